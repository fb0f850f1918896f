//! Time as it passes, for all code that may run in a simulation: the runtime's, or the simulation's.
//!
//! It is tokio's time, and so stands still and jumps where a test has paused that. A simulation
//! ([`crate::environment`]) has a clock and timers of its own, which know nanoseconds, where tokio's
//! timers know milliseconds.

use std::future::{Future, poll_fn};
use std::ops::{Add, AddAssign, Sub};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::environment::{Timer, ask, is_simulated};

/// A moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(tokio::time::Instant);

thread_local! {
    /// Any moment will do: simulated ones are only compared with each other.
    static SIMULATION_BEGAN: tokio::time::Instant = tokio::time::Instant::now();
}

impl Instant {
    /// This moment.
    #[must_use]
    pub fn now() -> Self {
        Self(ask(
            |simulated| SIMULATION_BEGAN.with(|began| *began) + simulated.elapsed(),
            tokio::time::Instant::now,
        ))
    }

    /// How long ago it was.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        Self::now() - *self
    }

    /// How long after `earlier` it is; zero where it is before.
    #[must_use]
    pub fn saturating_duration_since(&self, earlier: Self) -> Duration {
        self.0.saturating_duration_since(earlier.0)
    }

    /// The standard library's form of it, for quinn.
    #[must_use]
    pub fn into_std(self) -> std::time::Instant {
        self.0.into_std()
    }

    /// From the standard library's form.
    #[must_use]
    pub fn from_std(instant: std::time::Instant) -> Self {
        Self(tokio::time::Instant::from_std(instant))
    }
}

/// Longer than any process runs.
const FAR_AWAY: Duration = Duration::from_secs(30 * 365 * 24 * 3600);

impl Add<Duration> for Instant {
    type Output = Self;

    /// What no clock could show is so far away that nobody lives to see it, as it is in tokio.
    fn add(self, duration: Duration) -> Self {
        Self(self.0.checked_add(duration).unwrap_or_else(|| self.0 + FAR_AWAY))
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, duration: Duration) {
        *self = *self + duration;
    }
}

impl Sub for Instant {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        self.0 - earlier.0
    }
}

/// A timer.
#[derive(Debug)]
pub struct Sleep {
    deadline: Instant,
    kind: Kind,
}

/// Who wakes those that sleep.
#[derive(Debug)]
enum Kind {
    Runtime(Pin<Box<tokio::time::Sleep>>),
    /// With whom it wakes, once somebody has asked.
    Simulation(Option<(Timer, Waker)>),
}

impl Sleep {
    /// When it goes off.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Whether it has gone off, seen or unseen.
    #[must_use]
    pub fn is_elapsed(&self) -> bool {
        match &self.kind {
            Kind::Runtime(timer) => timer.is_elapsed(),
            Kind::Simulation(_) => Instant::now() >= self.deadline,
        }
    }

    /// Sets it anew.
    pub fn reset(mut self: Pin<&mut Self>, deadline: Instant) {
        let this = &mut *self;
        this.deadline = deadline;
        match &mut this.kind {
            Kind::Runtime(timer) => timer.as_mut().reset(deadline.0),
            Kind::Simulation(set) => clear(set),
        }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        match &mut this.kind {
            Kind::Runtime(timer) => timer.as_mut().poll(context),
            Kind::Simulation(set) => poll_simulated(set, this.deadline, context.waker()),
        }
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Kind::Simulation(set) = &mut self.kind {
            clear(set);
        }
    }
}

fn poll_simulated(set: &mut Option<(Timer, Waker)>, deadline: Instant, waker: &Waker) -> Poll<()> {
    if Instant::now() >= deadline {
        clear(set);
        return Poll::Ready(());
    }
    if set.as_ref().is_none_or(|(_, known)| !known.will_wake(waker)) {
        clear(set);
        let at = deadline.saturating_duration_since(Instant(SIMULATION_BEGAN.with(|it| *it)));
        let timer = ask(|simulated| Some(simulated.set_timer(at, waker)), || None);
        // Behind its end nothing of a simulation is woken any more.
        *set = timer.map(|timer| (timer, waker.clone()));
    }
    Poll::Pending
}

fn clear(set: &mut Option<(Timer, Waker)>) {
    if let Some((timer, _)) = set.take() {
        ask(|simulated| simulated.clear_timer(timer), || ());
    }
}

/// Waits until then.
#[must_use]
pub fn sleep_until(deadline: Instant) -> Sleep {
    let kind = match is_simulated() {
        true => Kind::Simulation(None),
        false => Kind::Runtime(Box::pin(tokio::time::sleep_until(deadline.0))),
    };
    Sleep { deadline, kind }
}

/// Waits for so long.
#[must_use]
pub fn sleep(duration: Duration) -> Sleep {
    sleep_until(Instant::now() + duration)
}

/// It was not there in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed;

/// What the future gives, if it does so in time.
///
/// # Errors
///
/// [`Elapsed`] where it does not.
pub fn timeout<F: IntoFuture>(
    duration: Duration,
    future: F,
) -> impl Future<Output = Result<F::Output, Elapsed>> {
    timeout_at(Instant::now() + duration, future)
}

/// What the future gives, if it does so by then.
///
/// # Errors
///
/// [`Elapsed`] where it does not.
pub async fn timeout_at<F: IntoFuture>(deadline: Instant, future: F) -> Result<F::Output, Elapsed> {
    if !is_simulated() {
        return tokio::time::timeout_at(deadline.0, future).await.map_err(|_late| Elapsed);
    }
    let (mut future, mut end) = (pin!(future.into_future()), pin!(sleep_until(deadline)));
    poll_fn(|context| {
        if let Poll::Ready(given) = future.as_mut().poll(context) {
            return Poll::Ready(Ok(given));
        }
        end.as_mut().poll(context).map(|()| Err(Elapsed))
    })
    .await
}
