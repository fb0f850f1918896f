//! Reading what is committed: heads of streams, streams, and `$all`, in batches that go to a
//! client as they are.
//!
//! A [`StoreReader`] joins the log, which has the events, with the index, which knows where they
//! are. A cursor is asked for one batch after the other; each call says up to which position the
//! log is committed, so a cursor at the end just waits to be asked again: that is a subscription.
//! A batch is bounded in bytes and in events looked at, so no reader holds up the others.
//!
//! Streams show what their metadata leaves in sight, as it is at each batch. `$all` shows every
//! event there is.

mod all;
mod batch;
mod concurrent;
mod fetch;
mod head;
mod link;
mod stream;
#[cfg(test)]
mod tests;

use quorate_core::event::FrameError;
use quorate_core::id::{EventId, Position, Revision};

pub use self::all::{AllCursor, AllQuery};
pub use self::batch::{Batch, Progress};
pub use self::head::StreamHead;
pub use self::stream::{StreamCursor, StreamQuery};
use crate::index::{IndexError, IndexReader};
use crate::log::{self, LogReader};

/// Bounds of reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadLimits {
    /// A batch ends before the event that would make it longer; one event always fits.
    pub batch_bytes_max: usize,
    /// A batch ends when so many events were looked at, whether or not they are in it.
    pub scan_events_max: u64,
    /// Events of a stream that are read from the disk at once.
    pub fetches_max: usize,
}

impl ReadLimits {
    /// What a node runs with.
    pub const PRODUCTION: Self =
        Self { batch_bytes_max: 256 << 10, scan_events_max: 1 << 13, fetches_max: 32 };

    /// What tests run with, so that edges are common.
    pub const TINY: Self = Self { batch_bytes_max: 400, scan_events_max: 5, fetches_max: 3 };
}

/// Towards which end a read goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// To newer events.
    Forwards,
    /// To older events.
    Backwards,
}

/// Where a read begins. `T` is a revision in a stream and a position in `$all`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From<T> {
    /// At the first event.
    Start,
    /// Backwards: at the last event. Forwards: behind it.
    End,
    /// With the event here, or the next one in the read's direction.
    At(T),
    /// With the next event behind this, in the read's direction.
    After(T),
}

/// Why a read gives nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The stream has no events, or was deleted and not written since. A cursor can be asked
    /// again: it gives what is written later.
    #[error("the stream does not exist")]
    NotFound,
    /// The stream is closed for ever.
    #[error("the stream is deleted for ever (tombstone)")]
    StreamDeleted,
    /// The log failed, or is damaged.
    #[error(transparent)]
    Log(#[from] log::ReadError),
    /// The index failed, or is damaged.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// A record's checksums hold, and yet its body is not made of events.
    #[error("the entry whose body starts at position {record_body} is not made of events: {error}")]
    Frame {
        /// Where the body starts, or the part of it that was looked at.
        record_body: Position,
        /// What is wrong with it.
        error: FrameError,
    },
    /// The log is sound, and so is the index, but they contradict each other.
    #[error(
        "the index points to position {position} for event {revision} of {stream}, which is not there"
    )]
    Mismatch {
        /// Where the index points to.
        position: Position,
        /// The stream that was read.
        stream: String,
        /// The revision that should be there.
        revision: Revision,
    },
}

/// Reads one store. Clones read the same one.
#[derive(Clone)]
pub struct StoreReader {
    log: LogReader,
    index: IndexReader,
    limits: ReadLimits,
}

impl StoreReader {
    /// Joins a log with its index.
    #[must_use]
    pub fn new(log: LogReader, index: IndexReader, limits: ReadLimits) -> Self {
        Self { log, index, limits }
    }

    /// The state of a stream, for `Input::HeadLoaded`.
    ///
    /// # Errors
    ///
    /// Where the log or the index can't be read. A stream without events is no error.
    pub async fn head(&self, stream: &str) -> Result<StreamHead, ReadError> {
        head::load(self, stream).await
    }

    /// The ids of a stream's events from a revision on, for `Input::IdsLoaded`: fewer than `count`
    /// where the stream ends before, hidden events included; and the position of the last of them,
    /// or the log's start.
    ///
    /// # Errors
    ///
    /// Where the log or the index can't be read.
    pub async fn ids(
        &self,
        stream: &str,
        first: Revision,
        count: u32,
    ) -> Result<(Vec<EventId>, Position), ReadError> {
        let key = self.index.key(stream);
        let found = self.index.positions(key, first, u64::from(count), Position::START).await?;
        let mut places = fetch::places(&found);
        let position = places.back().map_or(Position::START, |place| place.position);
        let mut ids = Vec::with_capacity(places.len());
        while !places.is_empty() {
            let events = fetch::fetch_each(self, stream, &mut places).await?;
            ids.extend(events.iter().map(|event| event.frame().id()));
        }
        Ok((ids, position))
    }

    /// A read of one stream.
    #[must_use]
    pub fn stream(&self, query: StreamQuery) -> StreamCursor {
        StreamCursor::new(self.clone(), query)
    }

    /// A read of all streams.
    #[must_use]
    pub fn all(&self, query: AllQuery) -> AllCursor {
        AllCursor::new(self.clone(), query)
    }
}
