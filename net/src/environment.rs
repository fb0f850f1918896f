//! What running code takes from its operating system beside sockets and disks: randomness, the wall
//! clock, cryptography, and what host names mean. Time is [`crate::clock`].
//!
//! Whatever may run in a simulation takes these from here and from nowhere else. A simulator puts
//! its own in their place ([`simulate`]), for all that runs on its thread: the same code then does
//! the same thing twice, down to the bytes of a handshake. It is a matter of the thread, not of an
//! argument, because much of what draws on it has nobody to pass it: the id of a new event, the
//! deadline of a call, the signature within TLS.

use std::cell::RefCell;
use std::io;
use std::marker::PhantomData;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use quinn::TimeSource;
use ring::rand::{SecureRandom as _, SystemRandom};
use rustls::crypto::CryptoProvider;
use rustls::time_provider::TimeProvider;
use rustls_pki_types::UnixTime;

/// What stands in for the operating system on a thread that simulates.
pub trait Simulated {
    /// The time since the simulation began, as its nodes see it.
    fn elapsed(&self) -> Duration;

    /// Has somebody woken when [`Self::elapsed`] is this, or soon after.
    fn set_timer(&self, at: Duration, waker: &Waker) -> Timer;

    /// That timer is not wanted any more; it may have gone off.
    fn clear_timer(&self, timer: Timer);

    /// The date and time.
    fn wall_clock(&self) -> SystemTime;

    /// Fills the bytes from the simulation's seed.
    fn fill(&self, bytes: &mut [u8]);

    /// TLS's ciphers, with keys and random numbers from the simulation's seed.
    fn cryptography(&self) -> Arc<CryptoProvider>;
}

/// A timer of a simulation: when it goes off, and which of those that do so then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timer {
    /// Since the simulation began.
    pub at: Duration,
    /// No two of a simulation have the same.
    pub number: u64,
}

thread_local! {
    static SIMULATED: RefCell<Option<Rc<dyn Simulated>>> = const { RefCell::new(None) };
}

/// While it lives, its thread simulates.
#[must_use = "the simulation ends with it"]
#[derive(Debug)]
pub struct Simulation(PhantomData<Rc<()>>);

impl Drop for Simulation {
    fn drop(&mut self) {
        SIMULATED.set(None);
    }
}

/// From now on this takes the operating system's place on this thread.
///
/// # Panics
///
/// Where the thread simulates already.
pub fn simulate(simulated: Rc<dyn Simulated>) -> Simulation {
    let before = SIMULATED.replace(Some(simulated));
    assert!(before.is_none(), "a thread simulates one world at a time");
    Simulation(PhantomData)
}

/// Whether this thread simulates.
#[must_use]
pub fn is_simulated() -> bool {
    SIMULATED.with_borrow(Option::is_some)
}

/// Asks the simulation, where there is one; else the operating system.
pub(crate) fn ask<T>(simulated: impl FnOnce(&dyn Simulated) -> T, system: impl FnOnce() -> T) -> T {
    SIMULATED.with_borrow(|known| match known {
        Some(known) => simulated(&**known),
        None => system(),
    })
}

/// Fills the bytes with random ones.
///
/// # Panics
///
/// Where the operating system has none.
pub fn fill(bytes: &mut [u8]) {
    SIMULATED.with_borrow(|known| match known {
        Some(known) => known.fill(bytes),
        None => SystemRandom::new().fill(bytes).expect("the machine has random numbers"),
    });
}

/// So many random bytes.
///
/// # Panics
///
/// As [`fill`].
#[must_use]
pub fn random<const BYTES: usize>() -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    fill(&mut bytes);
    bytes
}

/// The date and time.
#[must_use]
pub fn wall_clock() -> SystemTime {
    ask(|simulated| simulated.wall_clock(), SystemTime::now)
}

/// TLS's ciphers, keys and random numbers.
#[must_use]
pub fn cryptography() -> Arc<CryptoProvider> {
    ask(|simulated| simulated.cryptography(), || Arc::new(rustls::crypto::ring::default_provider()))
}

/// The addresses of a host.
///
/// # Errors
///
/// Where the name can't be resolved.
///
/// # Panics
///
/// Where the thread simulates and `host` is a name: nobody there could say what it means.
pub async fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    assert!(!is_simulated(), "{host} is a name, and a simulation knows addresses only");
    Ok(tokio::net::lookup_host((host, port)).await?.collect())
}

/// The date and time, as TLS and QUIC ask for it.
#[derive(Debug)]
pub(crate) struct WallClock;

impl TimeProvider for WallClock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(wall_clock().duration_since(UNIX_EPOCH).ok()?))
    }
}

impl TimeSource for WallClock {
    fn now(&self) -> SystemTime {
        wall_clock()
    }
}
