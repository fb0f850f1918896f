//! What a replica wants done in the world.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::id::{Epoch, LogIndex, NodeId, Position, RequestId, Revision};
use crate::input::HardState;
use crate::log::entry::LogEnd;
use crate::message::Message;
use crate::notice::Notice;
use crate::request::{Outcome, Rejection, TransferError};

/// One thing to do. The shell carries them out in order; the core has already waited for whatever
/// makes each of them true.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Make it durable, then step [`crate::Input::HardStateWritten`].
    WriteHardState(HardState),
    /// Make the entry durable, then step [`crate::Input::EntryWritten`]. `Replica::entry` lends its
    /// header and body now. Entries are asked for in the order of the log.
    WriteEntry(LogIndex),
    /// Tell another node. It may get lost. The entries of a [`Message::Append`] are those behind
    /// `previous` up to `last`, and `Replica::entry` lends them now.
    Send {
        /// Whom.
        to: NodeId,
        /// What.
        message: Message,
    },
    /// Send entries that are only in the shell's log: from behind `previous` of this
    /// [`Message::Append`] on, as many as make a good message and at least one; `last` is to be set
    /// accordingly. Then step [`crate::Input::SentFromLog`].
    SendFromLog {
        /// To whom.
        to: NodeId,
        /// A [`Message::Append`]. The index of `previous` says where to begin; the chain there and
        /// `last` are to be set from what is read.
        message: Message,
    },
    /// Remove every entry behind this one from the log, on stable storage, then step
    /// [`crate::Input::Truncated`]. Entries that are removed must not be told as written any more.
    Truncate {
        /// The end that is left.
        end: LogEnd,
    },
    /// What was committed here is not what the group has committed: something is badly wrong, and
    /// the node must stop with its data as it is.
    Halt(Halt),
    /// Every entry up to this one is committed: show it to readers (index it) before going on.
    /// `Replica::entry` lends the newly committed ones until the turn has ended and the next step
    /// is taken; the ones before [`crate::input::Boot::end`] are in the shell's log only.
    Commit {
        /// The last committed entry.
        index: LogIndex,
        /// The address behind it: readers may see what lies before.
        end: Position,
    },
    /// Find the head of a stream in what is committed, then step [`crate::Input::HeadLoaded`].
    LoadHead {
        /// Which stream; never a metadata stream.
        stream: Box<str>,
        /// Comes back with the answer: what was found for an earlier reign is void.
        epoch: Epoch,
    },
    /// Find the event ids of a stream at these revisions, then step [`crate::Input::IdsLoaded`].
    LoadIds {
        /// Comes back with the answer.
        request: RequestId,
        /// Which stream.
        stream: Box<str>,
        /// The first revision.
        first: Revision,
        /// How many.
        count: u32,
    },
    /// Tell the client.
    Reply {
        /// Who asked.
        request: RequestId,
        /// How it ended.
        outcome: Outcome,
    },
    /// Serve this read from what is committed.
    ServeRead {
        /// Who asked.
        request: RequestId,
        /// Events below this position may be shown; all that was acknowledged before is.
        end: Position,
    },
    /// This read can't be served.
    RefuseRead {
        /// Who asked.
        request: RequestId,
        /// Why.
        rejection: Rejection,
    },
    /// Tell who has asked for a transfer.
    Transferred {
        /// Who asked.
        request: RequestId,
        /// The new leader, or why there is none.
        result: Result<NodeId, TransferError>,
    },
    /// Something happened that people, metrics or tests may want to know.
    Notice(Notice),
}

/// Why a node must stop at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Halt {
    /// A leader has another entry where this node has a committed one.
    Diverged {
        /// Of that entry.
        index: LogIndex,
        /// Who said so.
        leader: NodeId,
    },
    /// Two nodes lead in one epoch.
    TwoLeaders {
        /// The second that was heard of.
        other: NodeId,
    },
}

impl core::fmt::Display for Halt {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Diverged { index, leader } => write!(
                out,
                "entry {index} is committed here, and leader {leader} has another one there: \
                 nothing was changed; keep this folder, and compare it with the others"
            ),
            Self::TwoLeaders { other } => {
                write!(out, "node {other} leads in an epoch in which another node leads, too")
            }
        }
    }
}

/// The effects of some steps, in order; kept and emptied by the shell, so that no step allocates.
#[derive(Clone, Debug, Default)]
pub struct Effects(Vec<Effect>);

impl Effects {
    /// None yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds one behind the others.
    pub fn push(&mut self, effect: Effect) {
        self.0.push(effect);
    }

    /// Takes all of them out, oldest first.
    pub fn drain(&mut self) -> impl Iterator<Item = Effect> + '_ {
        self.0.drain(..)
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Those behind the first so many.
    ///
    /// # Panics
    ///
    /// Where there never were so many.
    #[must_use]
    pub fn behind(&self, count: usize) -> &[Effect] {
        &self.0[count..]
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
