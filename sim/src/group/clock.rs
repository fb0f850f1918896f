//! A node's two clocks: the monotonic one runs a little fast or slow, the other jumps.

use quorate_core::time::{Created, Instant, Now};

use super::schedule::Nanos;

/// 2026-01-01, in ticks of 100 ns.
const WALL_START: u64 = 17_672_256_000_000_000;
/// A clock that runs at the world's own pace, in parts per million.
pub(crate) const TRUE_RATE: u64 = 1_000_000;

/// What a node reads where the world has a moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    /// From this moment on the rate holds.
    since: Nanos,
    /// What the monotonic clock showed then.
    shown: Nanos,
    /// Nanoseconds that it counts in a million of the world's.
    rate: u64,
    /// How far the wall clock is ahead, in ticks.
    wall_ahead: i64,
}

impl Clock {
    /// A clock of this rate.
    pub(crate) const fn new(rate: u64) -> Self {
        Self { since: 0, shown: 0, rate, wall_ahead: 0 }
    }

    /// Both clocks at this moment.
    pub(crate) fn at(&self, moment: Nanos) -> Now {
        let wall = WALL_START.saturating_add(moment / 100).saturating_add_signed(self.wall_ahead);
        Now { monotonic: Instant::from_nanos(self.shows(moment)), wall: Created::from_ticks(wall) }
    }

    /// The first moment at which the monotonic clock shows at least this.
    pub(crate) fn moment_of(&self, instant: Instant) -> Nanos {
        let ahead = u128::from(instant.nanos().saturating_sub(self.shown));
        let nanos = (ahead * u128::from(TRUE_RATE)).div_ceil(u128::from(self.rate));
        self.since + u64::try_from(nanos).unwrap_or(u64::MAX / 2)
    }

    /// Changes the pace from this moment on.
    pub(crate) fn set_rate(&mut self, moment: Nanos, rate: u64) {
        (self.shown, self.since) = (self.shows(moment), moment);
        self.rate = rate;
    }

    /// How fast it runs.
    pub(super) const fn rate(&self) -> u64 {
        self.rate
    }

    /// Moves the wall clock.
    pub(crate) fn jump(&mut self, ticks: i64) {
        self.wall_ahead = self.wall_ahead.saturating_add(ticks);
    }

    fn shows(&self, moment: Nanos) -> Nanos {
        let passed = u128::from(moment.saturating_sub(self.since)) * u128::from(self.rate);
        self.shown + u64::try_from(passed / u128::from(TRUE_RATE)).expect("a run is short")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timer_rings_at_the_moment_at_which_the_clock_shows_it() {
        let mut clock = Clock::new(970_001);
        clock.set_rate(1_000_000, 1_030_007);
        for nanos in [970_002, 970_003, 1_000_000, 99_999_999] {
            let moment = clock.moment_of(Instant::from_nanos(nanos));
            assert!(clock.at(moment).monotonic.nanos() >= nanos);
            assert!(clock.at(moment - 1).monotonic.nanos() < nanos);
        }
        clock.jump(-7);
        assert_eq!(clock.at(100).wall.ticks(), WALL_START + 1 - 7);
    }
}
