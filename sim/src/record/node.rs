//! A node, as a record sees it.

/// What a node is, for those who look from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// It leads.
    Leader,
    /// It follows.
    Follower,
    /// It asks to lead.
    Candidate,
    /// Its process is not running.
    Down,
    /// Its process reads its disk.
    Starting,
    /// It stands still.
    Paused,
    /// It has stopped by itself, for good.
    Halted,
}

impl Role {
    /// Its name in a trace.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Leader => "leader",
            Self::Follower => "follower",
            Self::Candidate => "candidate",
            Self::Down => "down",
            Self::Starting => "starting",
            Self::Paused => "paused",
            Self::Halted => "halted",
        }
    }
}

/// How far a node is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Its epoch.
    pub epoch: u64,
    /// Its disk has all entries up to this one.
    pub durable: u64,
    /// It knows entries up to this one to be committed.
    pub committed: u64,
}
