//! How long a node waits for what, in ticks.
//!
//! Timers count ticks that the shell has stepped, not time that has passed: a process that was
//! stopped, or starved of processor time, wakes up with the ticks that it had. It does not take its
//! own sleep for the silence of others, and first hears what has come in meanwhile.

/// The timers of one group. All nodes of it have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// From one tick to the next, in nanoseconds.
    pub tick_nanos: u64,
    /// A leader sends heartbeats this often.
    pub heartbeat_ticks: u32,
    /// A leader that was heard within so many ticks is alive: nobody is elected against it. A
    /// leader that a majority has not answered for so long steps down.
    pub election_ticks_min: u32,
    /// A follower waits up to so many ticks more, drawn anew each time, so that two seldom campaign
    /// at once.
    pub election_ticks_spread: u32,
    /// And so many more for each rank that it is less wanted as a leader.
    pub rank_ticks: u32,
    /// A write to the own disk that takes so long means that the disk is stalled.
    pub stall_ticks: u32,
    /// A leader under which nothing was committed for so long, though it had something to commit,
    /// gives the lead away.
    pub commit_stall_ticks: u32,
    /// Nodes measure the round trips between them this often.
    pub ping_ticks: u32,
    /// How long another node must have been the better leader before it is given the lead.
    pub settle_ticks: u32,
}

impl Timing {
    /// What a node runs with: a new leader within about half a second.
    pub const PRODUCTION: Self = Self {
        tick_nanos: 10_000_000,
        heartbeat_ticks: 3,
        election_ticks_min: 24,
        election_ticks_spread: 12,
        rank_ticks: 4,
        stall_ticks: 50,
        commit_stall_ticks: 100,
        ping_ticks: 50,
        settle_ticks: 3000,
    }
    .checked();

    /// What simulations run with, so that rare things are common.
    pub const TINY: Self = Self {
        tick_nanos: 10_000_000,
        heartbeat_ticks: 2,
        election_ticks_min: 10,
        election_ticks_spread: 8,
        rank_ticks: 2,
        stall_ticks: 12,
        commit_stall_ticks: 24,
        ping_ticks: 10,
        settle_ticks: 60,
    }
    .checked();

    /// The same, once they are known to fit each other.
    ///
    /// # Panics
    ///
    /// Where they don't; for the constants above that is when they are compiled.
    #[must_use]
    pub const fn checked(self) -> Self {
        match self.problem() {
            None => self,
            Some(problem) => panic!("{}", problem),
        }
    }

    /// What does not fit, in words for the person who set it; `None` where all do.
    #[must_use]
    pub const fn problem(&self) -> Option<&'static str> {
        if self.tick_nanos == 0 || self.heartbeat_ticks == 0 || self.ping_ticks == 0 {
            return Some("a tick, the heartbeat and the ping interval must not be zero");
        }
        if self.election_ticks_min < 3 * self.heartbeat_ticks {
            return Some("two heartbeats may be lost: election_ticks_min >= 3 x heartbeat_ticks");
        }
        if self.election_ticks_spread == 0 {
            return Some("two nodes must not campaign at once for ever: election_ticks_spread > 0");
        }
        if self.stall_ticks < self.heartbeat_ticks
            || self.commit_stall_ticks < self.election_ticks_min
        {
            return Some("a stall is longer than a heartbeat, and one of commits than an election");
        }
        None
    }
}
