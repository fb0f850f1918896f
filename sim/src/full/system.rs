//! What stands in for the operating system on the thread of a world: its clock, its randomness, and
//! a TLS that draws nothing else.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use quorate_net::environment::{self, Simulated};
use quorate_storage::disk::simulated::Random;
use rustls::crypto::{
    ActiveKeyExchange, CryptoProvider, GetRandomFailed, SecureRandom, SharedSecret,
    SupportedKxGroup,
};
use rustls::{Error, NamedGroup, PeerMisbehaved};
use x25519_dalek::{PublicKey, StaticSecret};

use super::moment;
use crate::group::schedule::Nanos;

/// 2026-01-01, in seconds since 1970.
const WALL_START_S: u64 = 1_767_225_600;

/// The operating system of all machines of a world.
pub(super) struct System {
    dilation: u32,
    entropy: RefCell<Random>,
    /// The runtime's time where no machine runs.
    between: Cell<Duration>,
}

impl System {
    /// - `dilation`: so many of the runtime's nanoseconds pass in one of the world's
    pub(super) fn new(seed: u64, dilation: u32) -> Rc<Self> {
        let entropy = RefCell::new(Random::stream(seed, "entropy"));
        Rc::new(Self { dilation, entropy, between: Cell::default() })
    }

    /// Mixes in what the operating system draws, to see that it is noticed.
    #[cfg(test)]
    pub(super) fn pollute(&self) {
        let drawn = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 1_u8);
        *self.entropy.borrow_mut() = Random::stream(drawn, "entropy");
    }

    /// No machine runs now, and this is the runtime's time.
    pub(super) fn set_between(&self, elapsed: Duration) {
        self.between.set(elapsed);
    }

    /// The world's time.
    pub(super) fn now(&self) -> Nanos {
        u64::try_from(self.elapsed().as_nanos()).expect("a run is short")
    }

    /// What the runtime's timers can tell apart, in the world's time.
    pub(super) fn grain(&self) -> Nanos {
        1_000_000 / u64::from(self.dilation)
    }

    /// How much of so long turmoil lets pass, in the world's time.
    pub(super) fn seen_to(&self, nanos: Nanos) -> Nanos {
        let stretched = u64::try_from(self.stretched(nanos).as_nanos()).expect("a run is short");
        stretched / u64::from(self.dilation)
    }

    /// How long the runtime takes for so much of the world's time, in its whole milliseconds.
    pub(super) fn stretched(&self, nanos: Nanos) -> Duration {
        let nanos = u128::from(nanos) * u128::from(self.dilation);
        // What is left over is the sender's to add.
        let millis = u64::try_from(nanos / 1_000_000).expect("a run is short");
        Duration::from_millis(millis.max(1))
    }
}

impl Simulated for System {
    fn elapsed(&self) -> Duration {
        moment::elapsed().unwrap_or_else(|| self.between.get()) / self.dilation
    }

    fn dilation(&self) -> u32 {
        self.dilation
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
