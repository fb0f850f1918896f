//! The state of a stream as a reader sees it, kept up with what is committed.

use quorate_core::id::{Position, Revision};
use quorate_core::input::LoadedHead;
use quorate_core::store::metadata::StreamMetadata;
use quorate_core::store::name;

use super::fetch::{self, Fetched, Place};
use super::{ReadError, StoreReader};
use crate::index::StreamKey;

/// A stream's state, for the core.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamHead {
    /// Revision of its last event.
    pub last: Option<Revision>,
    /// Whether that event is a tombstone.
    pub tombstoned: bool,
    /// Revision of the last event of its metadata stream.
    pub metadata_last: Option<Revision>,
    /// Data of that event.
    pub metadata: Option<Vec<u8>>,
}

impl StreamHead {
    /// The same, as the core takes it.
    #[must_use]
    pub fn loaded(&self) -> LoadedHead<'_> {
        LoadedHead {
            last: self.last,
            tombstoned: self.tombstoned,
            metadata_last: self.metadata_last,
            metadata: self.metadata.as_deref(),
        }
    }
}

/// Reads it.
pub(super) async fn load(reader: &StoreReader, stream: &str) -> Result<StreamHead, ReadError> {
    let mut head = Head::new(reader, stream);
    head.refresh(reader).await?;
    Ok(StreamHead {
        last: head.last,
        tombstoned: head.tombstoned,
        metadata_last: head.metadata_last,
        metadata: head.metadata_data,
    })
}

/// A stream's state, which is only looked up again as far as something was committed since.
pub(super) struct Head {
    stream: String,
    key: StreamKey,
    related: Related,
    /// All before this was looked at.
    seen: Option<Position>,
    last: Option<Revision>,
    tombstoned: bool,
    metadata_last: Option<Revision>,
    metadata_data: Option<Vec<u8>>,
    metadata: StreamMetadata,
}

/// The other stream that decides about this one.
enum Related {
    /// The stream's metadata.
    Metadata(String, StreamKey),
    /// The stream whose metadata this is: they are closed together.
    Owner(String, StreamKey),
}

impl Head {
    pub(super) fn new(reader: &StoreReader, stream: &str) -> Self {
        let key = |name: &str| reader.index.key(name);
        let related = match name::metadata_owner(stream) {
            Some(owner) => Related::Owner(owner.to_owned(), key(owner)),
            None => {
                let metadata = name::metadata_stream(stream);
                let metadata_key = key(&metadata);
                Related::Metadata(metadata, metadata_key)
            }
        };
        Self {
            stream: stream.to_owned(),
            key: key(stream),
            related,
            seen: None,
            last: None,
            tombstoned: false,
            metadata_last: None,
            metadata_data: None,
            metadata: StreamMetadata::default(),
        }
    }

    pub(super) fn stream(&self) -> &str {
        &self.stream
    }

    pub(super) fn key(&self) -> StreamKey {
        self.key
    }

    /// Revision of the stream's last event.
    pub(super) fn last(&self) -> Option<Revision> {
        self.last
    }

    /// What hides its events.
    pub(super) fn metadata(&self) -> &StreamMetadata {
        &self.metadata
    }

    /// Revision of the last event, where the stream can be read.
    pub(super) fn readable(&self) -> Result<Revision, ReadError> {
        if self.tombstoned {
            return Err(ReadError::StreamDeleted);
        }
        match self.last {
            Some(last) if !self.metadata.is_deleted() => Ok(last),
            Some(_) | None => Err(ReadError::NotFound),
        }
    }

    /// Takes in what was committed since the last time.
    pub(super) async fn refresh(&mut self, reader: &StoreReader) -> Result<(), ReadError> {
        let applied = reader.index.applied();
        if self.seen == Some(applied) {
            return Ok(());
        }
        let since = self.seen.unwrap_or(Position::START);
        if let Some((last, event)) = newest(reader, &self.stream, self.key, since).await? {
            self.last = Some(last);
            self.tombstoned |= event.frame().event_type() == name::TOMBSTONE_TYPE;
        }
        match &self.related {
            Related::Metadata(metadata, key) => {
                if let Some((last, event)) = newest(reader, metadata, *key, since).await? {
                    self.metadata_last = Some(last);
                    self.metadata_data = Some(event.frame().data().to_vec());
                    // The core lets no other metadata in; it hides nothing.
                    self.metadata = StreamMetadata::parse(event.frame().data()).unwrap_or_default();
                }
            }
            Related::Owner(owner, key) => {
                if let Some((_, event)) = newest(reader, owner, *key, since).await? {
                    self.tombstoned |= event.frame().event_type() == name::TOMBSTONE_TYPE;
                }
            }
        }
        self.seen = Some(applied);
        Ok(())
    }
}

/// The last event of a stream, where there is one since a position.
async fn newest(
    reader: &StoreReader,
    stream: &str,
    key: StreamKey,
    since: Position,
) -> Result<Option<(Revision, Fetched)>, ReadError> {
    let Some(last) = reader.index.last(key, since).await? else { return Ok(None) };
    let place = Place { revision: last.revision, position: last.position };
    let event = fetch::event_at(reader, stream, place).await?;
    Ok(Some((last.revision, event)))
}
