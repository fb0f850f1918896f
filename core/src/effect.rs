//! What a replica wants done in the world.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::id::{LogIndex, Position, RequestId, Revision};
use crate::input::HardState;
use crate::notice::Notice;
use crate::request::{Outcome, Rejection};

/// One thing to do. The shell carries them out in order; the core has already waited for whatever
/// makes each of them true.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Make it durable, then step [`crate::Input::HardStateWritten`].
    WriteHardState(HardState),
    /// Make the entry durable, then step [`crate::Input::EntryWritten`]. `Replica::entry` lends its
    /// header and body until it is committed.
    WriteEntry(LogIndex),
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
    /// Something happened that people, metrics or tests may want to know.
    Notice(Notice),
}

/// The effects of some steps, in order; kept and emptied by the shell, so that no step allocates.
#[derive(Debug, Default)]
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

    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
