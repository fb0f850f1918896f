//! What must hold of a run.

use super::model::{Nanos, Share};

/// Something that must hold.
#[derive(Clone, Debug, PartialEq)]
pub struct Assertion {
    /// How reports name it.
    pub id: String,
    /// What must hold.
    pub check: Check,
    /// Only what happens between these times counts.
    pub window: Option<(Nanos, Nanos)>,
}

/// What must hold.
#[derive(Clone, Debug, PartialEq)]
pub enum Check {
    /// No promise of this kind is broken. All are looked at in every run, whether asked for or not;
    /// this gives one a name and a place in the report.
    Safety(Safety),
    /// This node stops by itself, or does not start, and says why: it serves nothing that is wrong.
    Stops {
        /// Which.
        node: usize,
    },
    /// The longest time without one acknowledged append, while appends are due.
    Unavailable {
        /// At most.
        max: Nanos,
    },
    /// The longest time without a leader that a majority follows.
    Leaderless {
        /// At most.
        max: Nanos,
    },
    /// Nodes that began to lead.
    Elections {
        /// At most so many; the first of a group counts, too.
        max: u64,
        /// At least so many.
        min: u64,
    },
    /// How far epochs grew.
    Epochs {
        /// At most to this one.
        max: u64,
    },
    /// The part of appends that was acknowledged.
    Answered {
        /// At least.
        min: Share,
    },
    /// Damaged entries were mended, and in the end each node that runs can read all of its log.
    Mended {
        /// At least so many.
        min: u64,
    },
    /// Acknowledged appends: none, or at least so many.
    Acknowledged {
        /// At least.
        min: u64,
        /// At most.
        max: Option<u64>,
    },
    /// From when an operation was due until it was answered.
    Latency {
        /// Of which operations.
        metric: Metric,
        /// Percentiles and the most that each may be.
        most: Vec<(Percentile, Nanos)>,
    },
}

/// Operations whose time is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Metric {
    /// Appends that were acknowledged.
    Append,
    /// Reads that were answered.
    Read,
}

/// A percentile that can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Percentile {
    /// The middle.
    P50,
    /// All but one in a hundred.
    P99,
    /// All but one in a thousand.
    P999,
    /// The longest.
    Max,
}

impl Percentile {
    /// All of them, with their names.
    pub const ALL: [(&'static str, Self, f64); 4] = [
        ("p50", Self::P50, 50.0),
        ("p99", Self::P99, 99.0),
        ("p999", Self::P999, 99.9),
        ("max", Self::Max, 100.0),
    ];

    /// Its name in a scenario.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.entry().0
    }

    /// As a number from 0 to 100.
    #[must_use]
    pub fn percent(self) -> f64 {
        self.entry().2
    }

    fn entry(self) -> &'static (&'static str, Self, f64) {
        Self::ALL.iter().find(|(_, it, _)| *it == self).expect("all are listed")
    }
}

/// A kind of promise, as a scenario names it, with the invariants that it stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Safety {
    /// Its name in a scenario.
    pub name: &'static str,
    /// Which invariants, by their names; empty for all.
    pub invariants: &'static [&'static str],
}

/// All kinds of promises.
pub const SAFETIES: [Safety; 8] = [
    Safety { name: "all", invariants: &[] },
    Safety {
        name: "acked-durable",
        invariants: &[
            "durability",
            "acknowledged is durable",
            "commits are for ever",
            "what is committed stays",
            "committed is on a quorum",
            "nodes are equal",
        ],
    },
    Safety {
        name: "per-stream-linearizable",
        invariants: &["expected revision", "real-time order", "refusals", "log order"],
    },
    Safety { name: "exactly-once", invariants: &["exactly once", "no phantom"] },
    Safety {
        name: "single-leader-per-epoch",
        invariants: &["one leader in an epoch", "one vote in an epoch", "a leader is elected"],
    },
    Safety { name: "linearizable-reads", invariants: &["linearizable reads"] },
    Safety {
        name: "logs-match",
        invariants: &["logs match", "a reign begins once", "a leader is complete"],
    },
    Safety { name: "subscription-gapless", invariants: &["subscriptions", "prefix reads"] },
];

/// Which of the three kinds an assertion is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// At every moment.
    Safety,
    /// Something good happens in time.
    Liveness,
    /// Figures.
    Slo,
}

impl Kind {
    /// Its name in a scenario and in a summary.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Safety => "safety",
            Self::Liveness => "liveness",
            Self::Slo => "slo",
        }
    }
}

impl Check {
    /// Which of the three kinds it is.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Safety(_) | Self::Stops { .. } => Kind::Safety,
            Self::Unavailable { .. }
            | Self::Leaderless { .. }
            | Self::Elections { .. }
            | Self::Epochs { .. }
            | Self::Answered { .. }
            | Self::Acknowledged { .. }
            | Self::Mended { .. } => Kind::Liveness,
            Self::Latency { .. } => Kind::Slo,
        }
    }
}
