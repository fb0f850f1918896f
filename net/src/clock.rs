//! Time as it passes, for all code that may run in a simulation: the runtime's, or a stretched one.
//!
//! It is tokio's time, and so stands still and jumps where a test has paused that. In a simulation
//! ([`crate::environment`]) a node's second can be many of the runtime's, so that what takes less
//! than the runtime's millisecond can be told apart.

use std::future::Future;
use std::ops::{Add, AddAssign, Sub};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::environment::ask;

pub use tokio::time::error::Elapsed;

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

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0 + duration)
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, duration: Duration) {
        self.0 += duration;
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
    timer: Pin<Box<tokio::time::Sleep>>,
    deadline: Instant,
}

impl Sleep {
    /// When it goes off.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Whether it has gone off.
    #[must_use]
    pub fn is_elapsed(&self) -> bool {
        self.timer.is_elapsed()
    }

    /// Sets it anew.
    pub fn reset(mut self: Pin<&mut Self>, deadline: Instant) {
        self.deadline = deadline;
        self.timer.as_mut().reset(in_the_runtime(deadline));
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.timer.as_mut().poll(context)
    }
}

/// Waits until then.
#[must_use]
pub fn sleep_until(deadline: Instant) -> Sleep {
    let timer = Box::pin(tokio::time::sleep_until(in_the_runtime(deadline)));
    Sleep { timer, deadline }
}

/// Waits for so long.
#[must_use]
pub fn sleep(duration: Duration) -> Sleep {
    sleep_until(Instant::now() + duration)
}

/// What the future gives, if it does so in time.
pub fn timeout<F: IntoFuture>(
    duration: Duration,
    future: F,
) -> tokio::time::Timeout<F::IntoFuture> {
    tokio::time::timeout(ask(|simulated| duration * simulated.dilation(), || duration), future)
}

/// What the future gives, if it does so by then.
pub fn timeout_at<F: IntoFuture>(
    deadline: Instant,
    future: F,
) -> tokio::time::Timeout<F::IntoFuture> {
    tokio::time::timeout_at(in_the_runtime(deadline), future)
}

/// When the runtime's clock will show what a node calls this moment.
fn in_the_runtime(moment: Instant) -> tokio::time::Instant {
    ask(
        |simulated| {
            let wait = moment.saturating_duration_since(Instant::now());
            tokio::time::Instant::now() + wait * simulated.dilation()
        },
        || moment.0,
    )
}
