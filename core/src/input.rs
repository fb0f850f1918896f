//! Everything that can happen to a replica.

use crate::id::{DiskId, Epoch, EventId, LogIndex, NodeId, Position, RequestId, Revision, Session};
use crate::log::entry::{EntryHeader, LogEnd, LogId};
use crate::message::Message;
use crate::request::{Consistency, Proposal};
use crate::timing::Timing;

/// What a node must never forget about elections, durable before it acts on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HardState {
    /// The newest epoch that it has spoken in or promised to.
    pub epoch: Epoch,
    /// Who got its vote in that epoch.
    pub voted_for: Option<NodeId>,
}

/// One voter of the group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Voter {
    /// Which node.
    pub node: NodeId,
    /// How little it is wanted as a leader: zero for most.
    pub rank: u32,
}

/// What the shell knows at a start.
#[derive(Clone, Copy, Debug)]
pub struct Boot<'a> {
    /// This node.
    pub node: NodeId,
    /// This node's disk.
    pub disk: DiskId,
    /// The group whose log it keeps.
    pub log: LogId,
    /// As last written.
    pub hard_state: HardState,
    /// All voters of the group, this node among them; at most
    /// [`crate::member::MEMBERS_MAX`].
    pub voters: &'a [Voter],
    /// How long to wait for what.
    pub timing: Timing,
    /// As recovered.
    pub end: LogEnd,
    /// The last entry that is known to be committed; the entries behind it were given by
    /// [`Input::Recovered`].
    pub committed: LogEnd,
    /// Drawn at random for this start: keys hash tables, names the epoch.
    pub seed: [u8; 32],
}

/// A stream's state as the shell found it in the committed log.
#[derive(Clone, Copy, Debug, Default)]
pub struct LoadedHead<'a> {
    /// Revision of its last event.
    pub last: Option<Revision>,
    /// Whether that event is a tombstone.
    pub tombstoned: bool,
    /// Revision of the last event of its metadata stream.
    pub metadata_last: Option<Revision>,
    /// Data of that event.
    pub metadata: Option<&'a [u8]>,
}

/// One thing that happened; the shell steps them in the order in which it saw them.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// An entry at the end of the log, oldest first, before [`Input::Boot`]: enough of them that
    /// the window of recent ids is what it was, and all that are not known to be committed.
    Recovered {
        /// Its header.
        entry: &'a EntryHeader,
        /// Its body.
        body: &'a [u8],
        /// Whether it is known to be committed.
        committed: bool,
    },
    /// The start; all else but [`Input::Recovered`] comes after it.
    Boot(&'a Boot<'a>),
    /// This hard state is on stable storage.
    HardStateWritten(HardState),
    /// Another node has said something.
    Received {
        /// Who, beyond doubt.
        from: NodeId,
        /// What.
        message: Message,
        /// The entries of [`Message::Append`]; none for all other messages.
        entries: &'a [(EntryHeader, &'a [u8])],
    },
    /// There is a link to another node now; what was sent before may be lost.
    PeerUp {
        /// Which node.
        node: NodeId,
    },
    /// There is none any more.
    PeerDown {
        /// Which node.
        node: NodeId,
    },
    /// The answer to [`crate::Effect::SendFromLog`].
    SentFromLog {
        /// To whom.
        to: NodeId,
        /// Of the message.
        session: Session,
        /// The last entry that was sent, and how many bytes of log that were; `None` where the log
        /// can't be read there.
        last: Option<(LogIndex, u64)>,
    },
    /// The answer to [`crate::Effect::Truncate`]: this is the end of the log on stable storage.
    Truncated {
        /// The last entry that is left.
        index: LogIndex,
    },
    /// Time has passed: see [`crate::Replica::next_tick`].
    Tick,
    /// A write has failed: nothing more can be made durable here. The node is about to stop.
    DiskFailed,
    /// Somebody wants another node to lead.
    Transfer {
        /// Comes back with the answer.
        request: RequestId,
        /// Which node; `None` for the best of the others.
        to: Option<NodeId>,
    },
    /// An entry is on stable storage. Writes may finish in any order.
    EntryWritten {
        /// The entry's own epoch: a completion for an entry that has been replaced since is void.
        epoch: Epoch,
        /// Which entry.
        index: LogIndex,
    },
    /// A client wants to change a stream.
    Propose(Proposal<'a>),
    /// The answer to [`crate::Effect::LoadHead`].
    HeadLoaded {
        /// Which stream.
        stream: &'a str,
        /// Of the question.
        epoch: Epoch,
        /// What the index and the log say of it.
        head: LoadedHead<'a>,
    },
    /// The answer to [`crate::Effect::LoadIds`].
    IdsLoaded {
        /// Which question.
        request: RequestId,
        /// The ids at those revisions, in order; shorter where the stream ends before.
        ids: &'a [EventId],
        /// Where the last of them stands; the start of the log where there is none.
        position: Position,
    },
    /// Instead of [`Input::HeadLoaded`]: what it rests on is damaged on disk.
    HeadUnreadable {
        /// Which stream.
        stream: &'a str,
        /// Of the question.
        epoch: Epoch,
    },
    /// Instead of [`Input::IdsLoaded`]: some of those events are damaged on disk.
    IdsUnreadable {
        /// Which question.
        request: RequestId,
    },
    /// A client wants to read.
    Read {
        /// Comes back with the answer.
        request: RequestId,
        /// What it must see at least.
        consistency: Consistency,
    },
    /// Whether the log can still grow.
    DiskSpace {
        /// Whether it can not.
        full: bool,
    },
    /// The shell has no more inputs for now: what was gathered may become an entry.
    EndTurn,
}
