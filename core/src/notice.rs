//! What happened, as one typed stream: logs, metrics, transcripts and the simulator all read it.

use crate::id::{Epoch, LogIndex, NodeId};

/// Something that happened inside a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Notice {
    /// It asks to lead.
    Campaigning {
        /// In which epoch.
        epoch: Epoch,
    },
    /// A majority has elected it; it takes appends once its epoch record is committed.
    Elected {
        /// In which epoch.
        epoch: Epoch,
        /// Where the epoch record stands.
        index: LogIndex,
    },
    /// It leads: its epoch record is committed, and it takes appends and reads.
    Leading {
        /// In which epoch.
        epoch: Epoch,
        /// Where the epoch record stands.
        index: LogIndex,
    },
    /// It follows this leader now.
    Following {
        /// Whose reign.
        epoch: Epoch,
        /// Who leads.
        leader: NodeId,
    },
    /// It hears of no leader any more.
    LeaderLost {
        /// The last reign.
        epoch: Epoch,
    },
    /// It leads no more.
    SteppedDown {
        /// Its reign.
        epoch: Epoch,
        /// Why.
        reason: StepDown,
    },
    /// It has given another node its vote.
    Voted {
        /// In which epoch.
        epoch: Epoch,
        /// Whom.
        candidate: NodeId,
    },
    /// It asks whether it would be elected.
    PreCampaigning {
        /// In which epoch it would be.
        epoch: Epoch,
    },
    /// Entries at the end of its log were never committed, and make room for the leader's.
    Truncating {
        /// The first of them.
        from: LogIndex,
        /// The last of them.
        last: LogIndex,
    },
    /// A follower does not have what was sent to it next: it is brought up to date from here on.
    Resyncing {
        /// Which follower.
        node: NodeId,
        /// The first entry that it is sent.
        from: LogIndex,
    },
    /// Another node is to take over.
    Transferring {
        /// Which one.
        to: NodeId,
    },
    /// The other node did not take over: this one goes on.
    TransferFailed {
        /// Which one.
        to: NodeId,
    },
    /// A write to the own disk takes very long, or has ended.
    DiskStalled {
        /// Whether it still does.
        stalled: bool,
    },
    /// The log can't be read where a follower needs it.
    CantServe {
        /// Which follower.
        node: NodeId,
    },
    /// A follower's log holds other committed entries than this leader's: one of the two is wrong.
    FollowerDiverged {
        /// Which follower.
        node: NodeId,
    },
    /// A message made no sense and was dropped.
    BadMessage {
        /// Who sent it.
        from: NodeId,
    },
    /// An append had been written by an earlier attempt.
    DuplicateAppend,
    /// An append was refused because too much waits for the disk.
    Overloaded,
    /// The disk is full, or has space again.
    DiskSpace {
        /// Whether it is full.
        full: bool,
    },
}

/// Why a leader gave up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StepDown {
    /// Another node has, or may have, a later reign.
    LaterEpoch,
    /// A majority has not answered for too long.
    NoMajority,
    /// Nothing was committed for too long.
    NoProgress,
    /// Its disk has failed.
    DiskFailed,
}
