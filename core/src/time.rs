//! Time as the core sees it: two numbers that the shell brings, never a clock that it reads.

/// Monotonic nanoseconds since some start of the shell's choosing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// When the shell started to count.
    pub const START: Self = Self(0);

    /// Wraps nanoseconds since the shell's start.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the shell's start.
    #[must_use]
    pub const fn nanos(self) -> u64 {
        self.0
    }
}

/// Wall-clock time in ticks of 100 ns since 1970-01-01 UTC, as event stores stamp their events.
///
/// It is stamped and shown. Nothing that must be safe compares it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Created(u64);

impl Created {
    /// 1970-01-01 UTC.
    pub const UNIX_EPOCH: Self = Self(0);

    /// Wraps ticks of 100 ns since 1970-01-01 UTC.
    #[must_use]
    pub const fn from_ticks(ticks: u64) -> Self {
        Self(ticks)
    }

    /// Ticks of 100 ns since 1970-01-01 UTC.
    #[must_use]
    pub const fn ticks(self) -> u64 {
        self.0
    }

    /// This moment `seconds` earlier, or 1970 where that would be before it.
    #[must_use]
    pub const fn minus_seconds(self, seconds: u64) -> Self {
        Self(self.0.saturating_sub(seconds.saturating_mul(10_000_000)))
    }
}

/// Both clocks, read together by the shell once a turn.
#[derive(Clone, Copy, Debug, Default)]
pub struct Now {
    /// For timers.
    pub monotonic: Instant,
    /// For stamps.
    pub wall: Created,
}
