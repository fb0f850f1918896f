//! What can go wrong in a scenario, and when.

use std::fmt;

use quorate_storage::disk::simulated as disk;

use super::distribution::Distribution;
use super::model::{Nanos, Share};
use super::units::show_exactly;

/// Something that goes wrong.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    /// When it begins.
    pub when: When,
    /// How long it lasts; to the end where it does not say. What happens in a moment has none.
    pub lasts: Option<Nanos>,
    /// What happens.
    pub kind: FaultKind,
}

/// When a fault begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// At this time of the run.
    At(Nanos),
    /// So long after this has happened for the `nth` time, counted from 1.
    Event {
        /// What.
        event: Trigger,
        /// For the how manieth time.
        nth: u32,
        /// How long after it.
        after: Nanos,
    },
}

impl fmt::Display for When {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(at) => write!(out, "at {}", show_exactly(*at)),
            Self::Event { event, nth, .. } => write!(out, "at {} {nth}", event.name()),
        }
    }
}

/// What a fault can wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// A node begins to lead and takes appends.
    LeaderElected,
    /// A node asks to be elected.
    Election,
    /// A leader ends its reign, or its process ends.
    LeaderLost,
    /// A process starts.
    NodeStarted,
    /// A process ends.
    NodeDown,
    /// Entries are cut from a log.
    Truncation,
    /// A client is told that its append is done.
    Acknowledged,
    /// A fault of the script ends.
    Healed,
}

impl Trigger {
    /// All of them with their names.
    pub const ALL: [(&'static str, Self); 8] = [
        ("leader-elected", Self::LeaderElected),
        ("election", Self::Election),
        ("leader-lost", Self::LeaderLost),
        ("node-started", Self::NodeStarted),
        ("node-down", Self::NodeDown),
        ("truncation", Self::Truncation),
        ("acknowledged", Self::Acknowledged),
        ("healed", Self::Healed),
    ];

    /// Its name in a scenario.
    #[must_use]
    pub fn name(self) -> &'static str {
        let found = Self::ALL.iter().find(|(_, it)| *it == self);
        found.expect("all are listed").0
    }
}

/// Who is struck. What is not a node by name is looked up at the moment at which it strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// This node.
    Node(usize),
    /// Whoever leads, or led last.
    Leader,
    /// The first, by name, of those who don't lead.
    Follower,
}

impl Target {
    /// Which node it is, of a fault that has struck.
    ///
    /// # Panics
    ///
    /// Where it is still to be looked up.
    #[must_use]
    pub fn node(self) -> usize {
        match self {
            Self::Node(node) => node,
            Self::Leader | Self::Follower => unreachable!("it was looked up when it struck"),
        }
    }
}

/// One end of a cut: nodes and clients.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Side {
    /// Nodes.
    pub nodes: Vec<Target>,
    /// Clients, by their place among all ([`super::model::Scenario::client_names`]).
    pub clients: Vec<usize>,
}

/// Which directions a partition cuts, as the first side sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Symmetry {
    /// Both.
    Symmetric,
    /// It hears nothing, and is heard.
    Inbound,
    /// It is not heard, and hears.
    Outbound,
}

/// One end of links that get worse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// All of them.
    Any,
    /// The nodes and clients of a zone.
    Zone(usize),
    /// One node.
    Node(Target),
}

/// How a zone is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ZoneLoss {
    /// Its machines lose their power, and what was not durable.
    Power,
    /// Nothing gets in or out; its machines go on.
    Network,
}

/// Which operation of a disk fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskOperation {
    /// A write.
    Write,
    /// A flush.
    Sync,
    /// A read.
    Read,
}

impl DiskOperation {
    /// What it is to a simulated disk.
    pub(crate) const fn fault(self) -> disk::Fault {
        match self {
            Self::Write => disk::Fault::FailedWrite,
            Self::Sync => disk::Fault::FailedSync,
            Self::Read => disk::Fault::FailedRead,
        }
    }
}

/// What rots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RotTarget {
    /// The log, somewhere in the middle.
    Log,
    /// The newest entries of the log.
    LogTail,
    /// The index.
    Index,
    /// The copies of the superblock.
    Superblock,
}

/// What happens.
#[derive(Clone, Debug, PartialEq)]
pub enum FaultKind {
    /// Sides don't reach each other; whoever is on no side reaches all.
    Partition {
        /// The sides, at least two.
        sides: Vec<Side>,
        /// Which directions.
        symmetry: Symmetry,
        /// The cut comes and goes: so long there, so long not.
        flap: Option<Nanos>,
    },
    /// Links get worse.
    Link {
        /// From here
        from: End,
        /// to there, and back.
        to: End,
        /// Added to the round trip.
        add_rtt: Nanos,
        /// Messages lost on top.
        loss: Share,
        /// Messages doubled on top.
        duplicate: Share,
        /// Messages late on top.
        reorder: Share,
        /// Messages that bring one of the past with them.
        replay: Share,
        /// Bits a second, where that is less.
        bandwidth: Option<u64>,
    },
    /// A zone is gone.
    ZoneLoss {
        /// Which one.
        zone: usize,
        /// How.
        mode: ZoneLoss,
    },
    /// Processes end. They start again when the fault ends.
    Crash {
        /// Whose.
        targets: Vec<Target>,
    },
    /// Machines lose their power, and any part of what was not durable. They start again when the
    /// fault ends.
    PowerLoss {
        /// Whose.
        targets: Vec<Target>,
    },
    /// A process starts that is not running.
    Restart {
        /// Whose.
        targets: Vec<Target>,
    },
    /// The machine stands still, and then finds its clocks moved.
    Pause {
        /// Whose.
        targets: Vec<Target>,
    },
    /// Everything takes longer on a disk.
    SlowDisk {
        /// Whose.
        targets: Vec<Target>,
        /// A write, instead of what its model says.
        write: Option<Distribution>,
        /// A flush, likewise.
        fsync: Option<Distribution>,
    },
    /// Nothing completes on a disk.
    StallDisk {
        /// Whose.
        targets: Vec<Target>,
    },
    /// There is no space for another file.
    DiskFull {
        /// Whose disk.
        targets: Vec<Target>,
    },
    /// The next operation of this kind fails, once.
    DiskError {
        /// Whose disk.
        targets: Vec<Target>,
        /// Which operation.
        operation: DiskOperation,
    },
    /// Bits flip on a disk, for good.
    Corrupt {
        /// Whose.
        targets: Vec<Target>,
        /// Where.
        what: RotTarget,
        /// In so many sectors.
        sectors: u32,
    },
    /// The power is lost while something is being written, and each 512 bytes of it are there or
    /// not. The node starts again when the fault ends.
    TornWrite {
        /// Whose.
        targets: Vec<Target>,
    },
    /// The next so many flushes say that they are done and are not; a power loss shows it.
    LyingFlush {
        /// Whose disk.
        targets: Vec<Target>,
        /// How many.
        count: u32,
    },
    /// The wall clock jumps.
    ClockStep {
        /// Whose.
        targets: Vec<Target>,
        /// By so much, in nanoseconds.
        by: i64,
    },
    /// Clocks run too fast or too slow.
    ClockDrift {
        /// Whose.
        targets: Vec<Target>,
        /// Parts per million, above true time.
        ppm: i64,
    },
    /// The leader is asked to give the lead away.
    TransferLeader {
        /// To whom; to whomever it likes best where that is open.
        to: Option<Target>,
    },
    /// Answers of nodes to their clients get lost.
    LoseAnswers {
        /// How many of them.
        share: Share,
    },
}

/// The kind of a fault, without its particulars.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultName {
    /// [`FaultKind::Partition`].
    Partition,
    /// [`FaultKind::Link`].
    Link,
    /// [`FaultKind::ZoneLoss`].
    ZoneLoss,
    /// [`FaultKind::Crash`].
    Crash,
    /// [`FaultKind::PowerLoss`].
    PowerLoss,
    /// [`FaultKind::Restart`].
    Restart,
    /// [`FaultKind::Pause`].
    Pause,
    /// [`FaultKind::SlowDisk`].
    SlowDisk,
    /// [`FaultKind::StallDisk`].
    StallDisk,
    /// [`FaultKind::DiskFull`].
    DiskFull,
    /// [`FaultKind::DiskError`].
    DiskError,
    /// [`FaultKind::Corrupt`].
    Corrupt,
    /// [`FaultKind::TornWrite`].
    TornWrite,
    /// [`FaultKind::LyingFlush`].
    LyingFlush,
    /// [`FaultKind::ClockStep`].
    ClockStep,
    /// [`FaultKind::ClockDrift`].
    ClockDrift,
    /// [`FaultKind::TransferLeader`].
    TransferLeader,
    /// [`FaultKind::LoseAnswers`].
    LoseAnswers,
}

impl FaultName {
    /// All of them, with what a scenario calls them.
    pub const ALL: [(&'static str, Self); 18] = [
        ("partition", Self::Partition),
        ("link", Self::Link),
        ("zone-loss", Self::ZoneLoss),
        ("crash", Self::Crash),
        ("power-loss", Self::PowerLoss),
        ("restart", Self::Restart),
        ("pause", Self::Pause),
        ("slow-disk", Self::SlowDisk),
        ("stall-disk", Self::StallDisk),
        ("disk-full", Self::DiskFull),
        ("disk-error", Self::DiskError),
        ("corrupt", Self::Corrupt),
        ("torn-write", Self::TornWrite),
        ("lying-flush", Self::LyingFlush),
        ("clock-step", Self::ClockStep),
        ("clock-drift", Self::ClockDrift),
        ("transfer-leader", Self::TransferLeader),
        ("lose-answers", Self::LoseAnswers),
    ];

    /// What a scenario calls it.
    #[must_use]
    pub fn text(self) -> &'static str {
        let found = Self::ALL.iter().find(|(_, it)| *it == self);
        found.expect("all are listed").0
    }

    /// Whether it happens in a moment, so that there is nothing to end.
    #[must_use]
    pub const fn is_momentary(self) -> bool {
        matches!(
            self,
            Self::Restart
                | Self::DiskError
                | Self::Corrupt
                | Self::LyingFlush
                | Self::ClockStep
                | Self::TransferLeader
        )
    }
}

impl FaultKind {
    /// Which kind it is.
    #[must_use]
    pub const fn name(&self) -> FaultName {
        match self {
            Self::Partition { .. } => FaultName::Partition,
            Self::Link { .. } => FaultName::Link,
            Self::ZoneLoss { .. } => FaultName::ZoneLoss,
            Self::Crash { .. } => FaultName::Crash,
            Self::PowerLoss { .. } => FaultName::PowerLoss,
            Self::Restart { .. } => FaultName::Restart,
            Self::Pause { .. } => FaultName::Pause,
            Self::SlowDisk { .. } => FaultName::SlowDisk,
            Self::StallDisk { .. } => FaultName::StallDisk,
            Self::DiskFull { .. } => FaultName::DiskFull,
            Self::DiskError { .. } => FaultName::DiskError,
            Self::Corrupt { .. } => FaultName::Corrupt,
            Self::TornWrite { .. } => FaultName::TornWrite,
            Self::LyingFlush { .. } => FaultName::LyingFlush,
            Self::ClockStep { .. } => FaultName::ClockStep,
            Self::ClockDrift { .. } => FaultName::ClockDrift,
            Self::TransferLeader { .. } => FaultName::TransferLeader,
            Self::LoseAnswers { .. } => FaultName::LoseAnswers,
        }
    }

    /// The nodes that it names as its targets.
    #[must_use]
    pub fn targets(&self) -> &[Target] {
        match self {
            Self::Crash { targets }
            | Self::PowerLoss { targets }
            | Self::Restart { targets }
            | Self::Pause { targets }
            | Self::SlowDisk { targets, .. }
            | Self::StallDisk { targets }
            | Self::DiskFull { targets }
            | Self::DiskError { targets, .. }
            | Self::Corrupt { targets, .. }
            | Self::TornWrite { targets }
            | Self::LyingFlush { targets, .. }
            | Self::ClockStep { targets, .. }
            | Self::ClockDrift { targets, .. } => targets,
            Self::Partition { .. }
            | Self::Link { .. }
            | Self::ZoneLoss { .. }
            | Self::TransferLeader { .. }
            | Self::LoseAnswers { .. } => &[],
        }
    }

    /// The same list, to be changed; `None` where such a fault has none.
    pub(crate) fn targets_mut(&mut self) -> Option<&mut Vec<Target>> {
        match self {
            Self::Crash { targets }
            | Self::PowerLoss { targets }
            | Self::Restart { targets }
            | Self::Pause { targets }
            | Self::SlowDisk { targets, .. }
            | Self::StallDisk { targets }
            | Self::DiskFull { targets }
            | Self::DiskError { targets, .. }
            | Self::Corrupt { targets, .. }
            | Self::TornWrite { targets }
            | Self::LyingFlush { targets, .. }
            | Self::ClockStep { targets, .. }
            | Self::ClockDrift { targets, .. } => Some(targets),
            Self::Partition { .. }
            | Self::Link { .. }
            | Self::ZoneLoss { .. }
            | Self::TransferLeader { .. }
            | Self::LoseAnswers { .. } => None,
        }
    }

    /// The same with every target replaced by the node that it means now.
    #[must_use]
    pub fn with_targets(&self, find: impl Fn(Target) -> usize) -> Self {
        let mut kind = self.clone();
        let fix = |target: &mut Target| *target = Target::Node(find(*target));
        match &mut kind {
            Self::Partition { sides, .. } => {
                sides.iter_mut().flat_map(|side| &mut side.nodes).for_each(fix);
            }
            Self::Link { from, to, .. } => {
                for end in [from, to] {
                    if let End::Node(target) = end {
                        fix(target);
                    }
                }
            }
            Self::TransferLeader { to } => to.iter_mut().for_each(fix),
            kind => kind.targets_mut().into_iter().flatten().for_each(fix),
        }
        kind
    }
}
