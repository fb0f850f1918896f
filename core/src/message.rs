//! What the nodes of a group say to each other.
//!
//! Every message is complete in itself: it may be lost, doubled, late or out of order without harm.
//! What a node says of its own state it says only after that is on stable storage; `docs/protocol.md`
//! has the table. The shell carries messages between nodes of one lineage only, and tells truly who
//! sent them.

use crate::id::{ChainHash, Epoch, LogIndex, Round, Session};
use crate::log::entry::LogEnd;
use crate::time::Instant;

/// A place in a log, named so that two logs which agree on it agree on all before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Tip {
    /// An entry; zero for the start of the log.
    pub index: LogIndex,
    /// The chain up to and with that entry.
    pub chain: ChainHash,
}

impl Tip {
    /// The end of a log.
    #[must_use]
    pub const fn of(end: &LogEnd) -> Self {
        Self { index: end.index, chain: end.chain }
    }
}

/// The last entry of a log, as elections compare it: the later epoch wins, then the longer log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LastEntry {
    /// Of the entry.
    pub epoch: Epoch,
    /// Of the entry.
    pub index: LogIndex,
}

impl LastEntry {
    /// The end of a log.
    #[must_use]
    pub const fn of(end: &LogEnd) -> Self {
        Self { epoch: end.epoch, index: end.index }
    }
}

/// What a follower says of itself, to heartbeats and after writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Progress {
    /// The session in which it takes entries; zero for none yet.
    pub session: Session,
    /// The last entry that it has taken in and compared with the leader's, on disk or not.
    pub received: LogIndex,
    /// The last of those that is on stable storage, with all before it.
    pub durable: Tip,
    /// The last entry that it knows to be committed.
    pub committed: LogIndex,
}

/// One message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Message {
    /// Would I be elected? Changes nothing at the voter, not even a timer.
    PreVote {
        /// The epoch that it would campaign in.
        epoch: Epoch,
        /// The end of its log.
        last: LastEntry,
    },
    /// The answer.
    PreVoteReply {
        /// The epoch that was asked about.
        epoch: Epoch,
        /// Whether it would.
        granted: bool,
        /// The newest epoch that the voter knows of.
        promised: Epoch,
    },
    /// Elect me.
    Vote {
        /// The epoch that it campaigns in.
        epoch: Epoch,
        /// The end of its log.
        last: LastEntry,
        /// Whether the leader itself has asked it to: then a voter that hears that leader votes, too.
        transfer: bool,
    },
    /// The answer, once it is on stable storage.
    VoteReply {
        /// The newest epoch that the voter has promised to; where it grants, that of the campaign.
        epoch: Epoch,
        /// Whether the candidate has its vote.
        granted: bool,
    },
    /// I lead; who follows?
    Heartbeat {
        /// The leader's reign.
        epoch: Epoch,
        /// Comes back in the answer: each heartbeat has a new one.
        round: Round,
        /// The last committed entry.
        committed: LogIndex,
    },
    /// I do.
    HeartbeatReply {
        /// The reign that it follows.
        epoch: Epoch,
        /// Of the heartbeat.
        round: Round,
        /// How far it is.
        progress: Progress,
        /// Whether it could lead as far as its disk is concerned.
        fit: bool,
        /// How long a round trip to the nearest majority would take if it led, in nanoseconds;
        /// zero while it does not know.
        quorum_rtt_nanos: u64,
    },
    /// Entries, one behind the other; perhaps none. The shell carries them with the message.
    Append {
        /// The leader's reign.
        epoch: Epoch,
        /// Which attempt to bring this follower up to date.
        session: Session,
        /// The place behind which the entries stand.
        previous: Tip,
        /// The last of the entries; that of `previous` where there are none.
        last: LogIndex,
        /// The last committed entry.
        committed: LogIndex,
    },
    /// Entries are on stable storage.
    Ack {
        /// The reign that it follows.
        epoch: Epoch,
        /// How far it is.
        progress: Progress,
    },
    /// These entries don't follow on what I have.
    Resync {
        /// The reign that it follows.
        epoch: Epoch,
        /// The session of the entries that did not fit.
        session: Session,
        /// The end of its log.
        end: Tip,
        /// The last entry that it knows to be committed: the leader has that, too.
        committed: Tip,
    },
    /// More is committed, and no entries are under way that could say so.
    Commit {
        /// The leader's reign.
        epoch: Epoch,
        /// The last committed entry.
        committed: LogIndex,
    },
    /// Campaign now: I am giving the lead to you.
    TimeoutNow {
        /// The leader's reign.
        epoch: Epoch,
    },
    /// The reign that you speak of is over.
    Stale {
        /// The newest epoch that the sender has promised to.
        epoch: Epoch,
    },
    /// Measures the way.
    Ping {
        /// The sender's clock; comes back.
        sent: Instant,
    },
    /// The answer.
    Pong {
        /// Of the ping.
        sent: Instant,
    },
}
