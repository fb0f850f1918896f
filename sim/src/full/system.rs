//! What stands in for the operating system on the thread of a world: its clock and timers, its
//! randomness, and a TLS that draws nothing else.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use quorate_net::environment::{self, Simulated, Timer};
use quorate_storage::disk::simulated::Random;
use rustls::crypto::{
    ActiveKeyExchange, CryptoProvider, GetRandomFailed, SecureRandom, SharedSecret,
    SupportedKxGroup,
};
use rustls::{Error, NamedGroup, PeerMisbehaved};
use x25519_dalek::{PublicKey, StaticSecret};

use crate::group::schedule::Nanos;

/// 2026-01-01, in seconds since 1970.
const WALL_START_S: u64 = 1_767_225_600;

/// The operating system of all machines of a world.
pub(super) struct System {
    /// All that happens does so at a multiple of it.
    resolution: Nanos,
    now: Cell<Nanos>,
    /// Who is to be woken when.
    timers: RefCell<BTreeMap<(Nanos, u64), Waker>>,
    /// Timers that were ever set.
    numbered: Cell<u64>,
    entropy: RefCell<Random>,
}

impl System {
    /// - `resolution`: what its time is counted in
    pub(super) fn new(seed: u64, resolution: Nanos) -> Rc<Self> {
        Rc::new(Self {
            resolution,
            now: Cell::default(),
            timers: RefCell::default(),
            numbered: Cell::default(),
            entropy: RefCell::new(Random::stream(seed, "entropy")),
        })
    }

    /// Mixes in what the operating system draws, to see that it is noticed.
    #[cfg(test)]
    pub(super) fn pollute(&self) {
        let drawn = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 1_u8);
        *self.entropy.borrow_mut() = Random::stream(drawn, "entropy");
    }

    /// The world's time.
    pub(super) fn now(&self) -> Nanos {
        self.now.get()
    }

    /// It is later now; those whose timers have gone off are woken, in their order.
    pub(super) fn pass(&self, now: Nanos) {
        self.now.set(now);
        let due = {
            let timers = &mut *self.timers.borrow_mut();
            let later = timers.split_off(&(now + 1, 0));
            std::mem::replace(timers, later)
        };
        due.into_values().for_each(Waker::wake);
    }

    /// When the next timer goes off.
    pub(super) fn next_timer(&self) -> Option<Nanos> {
        self.timers.borrow().first_key_value().map(|((at, _), _)| *at)
    }

    /// The first moment at or behind this one that the world knows.
    pub(super) fn not_before(&self, at: Nanos) -> Nanos {
        at.next_multiple_of(self.resolution)
    }

    /// The moment that the world knows which is nearest to this one; not the present one.
    pub(super) fn nearest(&self, at: Nanos) -> Nanos {
        let nearest = (at + self.resolution / 2) / self.resolution * self.resolution;
        nearest.max(self.not_before(self.now() + 1))
    }
}

fn nanos(duration: Duration) -> Nanos {
    u64::try_from(duration.as_nanos()).unwrap_or(Nanos::MAX / 2)
}

impl Simulated for System {
    fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.now.get())
    }

    fn set_timer(&self, at: Duration, waker: &Waker) -> Timer {
        let number = self.numbered.get();
        self.numbered.set(number + 1);
        let at = self.not_before(nanos(at));
        self.timers.borrow_mut().insert((at, number), waker.clone());
        Timer { at: Duration::from_nanos(at), number }
    }

    fn clear_timer(&self, timer: Timer) {
        let cleared = self.timers.borrow_mut().remove(&(nanos(timer.at), timer.number));
        // With the last of its wakers a task may go, and its timers with it.
        drop(cleared);
    }

    fn wall_clock(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(WALL_START_S) + self.elapsed()
    }

    fn fill(&self, bytes: &mut [u8]) {
        let mut entropy = self.entropy.borrow_mut();
        for piece in bytes.chunks_mut(8) {
            piece.copy_from_slice(&entropy.number().to_le_bytes()[..piece.len()]);
        }
    }

    fn cryptography(&self) -> Arc<CryptoProvider> {
        let mut provider = rustls::crypto::ring::default_provider();
        // ring's own key exchange draws from the operating system, and can't be told not to.
        provider.kx_groups = vec![&SeededX25519];
        provider.secure_random = &SeededRandom;
        Arc::new(provider)
    }
}

#[derive(Debug)]
struct SeededRandom;

impl SecureRandom for SeededRandom {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), GetRandomFailed> {
        environment::fill(bytes);
        Ok(())
    }
}

/// X25519 whose private keys come from the world's seed.
#[derive(Debug)]
struct SeededX25519;

struct Exchange {
    secret: StaticSecret,
    public: PublicKey,
}

impl SupportedKxGroup for SeededX25519 {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
        let secret = StaticSecret::from(environment::random::<32>());
        Ok(Box::new(Exchange { public: PublicKey::from(&secret), secret }))
    }

    fn name(&self) -> NamedGroup {
        NamedGroup::X25519
    }
}

impl ActiveKeyExchange for Exchange {
    fn complete(self: Box<Self>, theirs: &[u8]) -> Result<SharedSecret, Error> {
        let theirs: [u8; 32] =
            theirs.try_into().map_err(|_| Error::from(PeerMisbehaved::InvalidKeyShare))?;
        Ok(self.secret.diffie_hellman(&theirs.into()).as_bytes().as_slice().into())
    }

    fn pub_key(&self) -> &[u8] {
        self.public.as_bytes()
    }

    fn group(&self) -> NamedGroup {
        NamedGroup::X25519
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future as _;
    use std::pin::{Pin, pin};
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::task::{Context, Wake};

    use quorate_net::clock::{self, Elapsed, Sleep};

    use super::*;

    /// Counts how often it is woken.
    #[derive(Default)]
    struct Bell(AtomicU64);

    impl Wake for Bell {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    impl Bell {
        fn rung(&self) -> u64 {
            self.0.load(Ordering::Relaxed)
        }
    }

    /// A timer that is asked for `after`, and by whom.
    fn set(after: u64, bell: &Arc<Bell>) -> Pin<Box<Sleep>> {
        let mut sleep = Box::pin(clock::sleep(Duration::from_nanos(after)));
        let waker = Waker::from(Arc::clone(bell));
        assert!(sleep.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        sleep
    }

    #[test]
    fn timers_go_off_at_the_next_moment_that_the_world_knows() {
        let system = System::new(1, 1_000);
        let _simulation = environment::simulate(Rc::clone(&system) as Rc<dyn Simulated>);
        let bells: [Arc<Bell>; 3] = Default::default();
        let (mut first, second, third) =
            (set(1_001, &bells[0]), set(3_000, &bells[1]), set(2_000, &bells[2]));
        let rung = || bells.each_ref().map(|bell| bell.rung());
        assert_eq!(system.next_timer(), Some(2_000));
        drop(third);
        first.as_mut().reset(clock::Instant::now() + Duration::from_nanos(500));
        assert_eq!(system.next_timer(), Some(3_000), "one that was reset waits to be asked for");
        let waker = Waker::from(Arc::clone(&bells[0]));
        let mut context = Context::from_waker(&waker);
        assert!(first.as_mut().poll(&mut context).is_pending());
        assert_eq!(system.next_timer(), Some(1_000));
        assert!(!first.is_elapsed());
        system.pass(1_000);
        assert_eq!((rung(), first.is_elapsed()), ([1, 0, 0], true), "nobody has to look first");
        assert!(first.as_mut().poll(&mut context).is_ready() && first.is_elapsed());
        system.pass(5_000);
        assert_eq!((rung(), system.next_timer()), ([1, 1, 0], None));
        drop(second);
    }

    #[test]
    fn a_call_that_is_late_is_given_up_at_its_deadline() {
        let system = System::new(1, 1);
        let _simulation = environment::simulate(Rc::clone(&system) as Rc<dyn Simulated>);
        let mut context = Context::from_waker(Waker::noop());
        let mut late = pin!(clock::timeout(Duration::from_nanos(7), std::future::pending::<()>()));
        assert!(late.as_mut().poll(&mut context).is_pending());
        system.pass(6);
        assert!(late.as_mut().poll(&mut context).is_pending());
        system.pass(7);
        assert_eq!(late.as_mut().poll(&mut context), std::task::Poll::Ready(Err(Elapsed)));
        let mut soon = pin!(clock::timeout(Duration::ZERO, std::future::ready(5)));
        assert_eq!(soon.as_mut().poll(&mut context), std::task::Poll::Ready(Ok(5)));
    }

    #[test]
    fn what_arrives_does_so_later_and_at_a_moment_that_the_world_knows() {
        let system = System::new(1, 1_000);
        system.pass(3_000);
        let nearest = [0, 3_000, 3_400, 4_400, 4_500, 9_999].map(|at| system.nearest(at));
        assert_eq!(nearest, [4_000, 4_000, 4_000, 4_000, 5_000, 10_000]);
    }
}
