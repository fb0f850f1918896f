//! Everything that can happen to a replica.

use crate::id::{DiskId, Epoch, EventId, LogIndex, NodeId, Position, RequestId, Revision};
use crate::log::entry::{EntryHeader, LogEnd, LogId};
use crate::request::Proposal;

/// What a node must never forget about elections, durable before it acts on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HardState {
    /// The newest epoch that it has spoken in or promised to.
    pub epoch: Epoch,
    /// Who got its vote in that epoch.
    pub voted_for: Option<NodeId>,
}

/// What the shell knows at a start.
#[derive(Clone, Copy, Debug)]
pub struct Boot {
    /// This node.
    pub node: NodeId,
    /// This node's disk.
    pub disk: DiskId,
    /// The group whose log it keeps.
    pub log: LogId,
    /// As last written.
    pub hard_state: HardState,
    /// As recovered.
    pub end: LogEnd,
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
    /// the window of recent ids is what it was.
    Recovered {
        /// Its header.
        entry: &'a EntryHeader,
        /// Its body.
        body: &'a [u8],
    },
    /// The start; all else but [`Input::Recovered`] comes after it.
    Boot(&'a Boot),
    /// The hard state of this epoch is on stable storage.
    HardStateWritten {
        /// Which one.
        epoch: Epoch,
    },
    /// An entry is on stable storage. Writes may finish in any order.
    EntryWritten {
        /// The epoch in which the write was asked for: a completion of an older one is void.
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
    },
    /// Instead of [`Input::IdsLoaded`]: some of those events are damaged on disk.
    IdsUnreadable {
        /// Which question.
        request: RequestId,
    },
    /// A client wants to read all that was acknowledged before now.
    Read {
        /// Comes back with the answer.
        request: RequestId,
    },
    /// Whether the log can still grow.
    DiskSpace {
        /// Whether it can not.
        full: bool,
    },
    /// The shell has no more inputs for now: what was gathered may become an entry.
    EndTurn,
}
