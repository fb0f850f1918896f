//! What the core asks the committed log for, as futures.

use quorate_core::id::{Epoch, EventId, LogIndex, NodeId, Position, RequestId, Revision};
use quorate_core::input::Input;
use quorate_core::message::Message;
use quorate_core::time::Now;
use quorate_storage::log::{self, Chunk, LogReader};
use quorate_storage::read::{ReadError, StoreReader, StreamHead};

use crate::recorder::Core;

/// An answer to one of the core's questions.
pub(super) enum Loaded {
    Head {
        stream: Box<str>,
        epoch: Epoch,
        head: Result<StreamHead, ReadError>,
    },
    Ids {
        request: RequestId,
        ids: Result<(Vec<EventId>, Position), ReadError>,
    },
    Entries {
        to: NodeId,
        message: Message,
        entries: Result<Option<Chunk>, log::ReadError>,
    },
    /// Nothing that the core has asked for: another node's copy of this entry is damaged.
    Given {
        to: NodeId,
        index: LogIndex,
        entry: Result<Option<Chunk>, log::ReadError>,
    },
}

/// Entries of the log that are read for a follower at once, in bytes; one longer entry still is.
const ENTRIES_BYTES: u64 = 1 << 20;

pub(super) async fn head(reader: StoreReader, stream: Box<str>, epoch: Epoch) -> Loaded {
    let head = reader.head(&stream).await;
    Loaded::Head { stream, epoch, head }
}

/// - `message`: an append whose `previous` says behind which entry to begin
pub(super) async fn entries(reader: LogReader, to: NodeId, message: Message) -> Loaded {
    let Message::Append { previous, .. } = message else {
        unreachable!("only entries are sent from the log")
    };
    let entries = reader.read_entries(previous.index.next(), ENTRIES_BYTES).await;
    Loaded::Entries { to, message, entries }
}

/// - `index`: a committed entry
pub(super) async fn given(reader: LogReader, to: NodeId, index: LogIndex) -> Loaded {
    let entry = reader.read_entries(index, 0).await;
    Loaded::Given { to, index, entry }
}

pub(super) async fn ids(
    reader: StoreReader,
    request: RequestId,
    stream: Box<str>,
    first: Revision,
    count: u32,
) -> Loaded {
    let ids = reader.ids(&stream, first, count).await;
    Loaded::Ids { request, ids }
}

impl Loaded {
    /// Hands the answer to the core.
    ///
    /// # Errors
    ///
    /// Why there is none: the log or the index can't be read. The core knows, and refuses what
    /// rests on it.
    pub(super) fn step(self, now: Now, core: &mut Core) -> Result<(), ReadError> {
        let mut step = |input| core.step(now, input);
        match self {
            Self::Head { stream, epoch, head: Ok(head) } => {
                step(Input::HeadLoaded { stream: &stream, epoch, head: head.loaded() });
            }
            Self::Head { stream, epoch, head: Err(error) } => {
                step(Input::HeadUnreadable { stream: &stream, epoch });
                return Err(error);
            }
            Self::Entries { to, message, entries } => {
                let Message::Append { session, .. } = message else {
                    unreachable!("only entries are sent from the log")
                };
                let last = entries.as_ref().ok().and_then(Option::as_ref).and_then(last_of);
                step(Input::SentFromLog { to, session, last });
                entries?;
            }
            Self::Ids { request, ids: Ok((ids, position)) } => {
                step(Input::IdsLoaded { request, ids: &ids, position });
            }
            Self::Ids { request, ids: Err(error) } => {
                step(Input::IdsUnreadable { request });
                return Err(error);
            }
            Self::Given { entry, .. } => {
                entry?;
            }
        }
        Ok(())
    }
}

/// The last entry of a chunk, and how many bytes of log are in it.
fn last_of(chunk: &Chunk) -> Option<(LogIndex, u64)> {
    let (last, _) = chunk.records().next_back()?;
    Some((last.index, chunk.end().since(chunk.start())))
}
