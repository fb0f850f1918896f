//! Ways past the simulator to the operating system, made on purpose: a run must be noticed that is
//! not its seed's alone. `sim/tests/alarm` looks whether it is.

use std::hash::{BuildHasher as _, RandomState};
use std::time::{SystemTime, UNIX_EPOCH};

/// Nodes' clocks go faster than their scenario says.
const DRIFT_PPM_MAX: i64 = 10_000;

/// What decides how much faster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leak {
    /// The system's clock.
    SystemClock,
    /// The system's randomness, in the way that code gets at it without a word: it has a hash map.
    SystemRandomness,
}

impl Leak {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::SystemClock, Self::SystemRandomness];

    /// By its name, which is a deliberate mistake's.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|leak| format!("{leak:?}") == name)
    }

    /// How much faster a node's clocks go, in parts per million.
    pub(crate) fn drift_ppm(self) -> i64 {
        let drawn = match self {
            Self::SystemClock => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH);
                since.expect("the clock has been set").subsec_nanos().into()
            }
            Self::SystemRandomness => RandomState::new().hash_one(()),
        };
        (drawn % DRIFT_PPM_MAX.unsigned_abs()).cast_signed()
    }
}
