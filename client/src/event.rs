//! Events on their way in and out.

use bytes::Bytes;
use quorate_core::event::{ContentType, EventFrame, NewEvent};
use quorate_core::id::{EventId, Position, Revision};
use quorate_core::item::{Item, ItemKind, items};
use quorate_core::time::Created;
use quorate_net::{environment, event_frames};

use crate::error::ReadError;

/// Something that an append can take: an [`EventData`], or core's borrowed [`NewEvent`].
pub trait AsNewEvent {
    /// The event, borrowed.
    fn as_new_event(&self) -> NewEvent<'_>;
}

impl AsNewEvent for NewEvent<'_> {
    fn as_new_event(&self) -> NewEvent<'_> {
        *self
    }
}

/// An event to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventData {
    /// What makes a retry recognisable: fresh for each event, kept for each retry.
    pub id: EventId,
    /// What kind of thing happened.
    pub event_type: String,
    /// What `data` is.
    pub content_type: ContentType,
    /// The application's bytes.
    pub data: Bytes,
    /// Bytes about the event: who, why, correlation.
    pub metadata: Bytes,
}

impl EventData {
    /// An event whose data is JSON, with a random id.
    #[must_use]
    pub fn json(event_type: impl Into<String>, data: impl Into<Bytes>) -> Self {
        Self::new(event_type.into(), ContentType::Json, data.into())
    }

    /// An event whose data is any bytes, with a random id.
    #[must_use]
    pub fn octets(event_type: impl Into<String>, data: impl Into<Bytes>) -> Self {
        Self::new(event_type.into(), ContentType::Octets, data.into())
    }

    /// The same event with this id.
    #[must_use]
    pub fn with_id(self, id: EventId) -> Self {
        Self { id, ..self }
    }

    /// The same event with these bytes about it.
    #[must_use]
    pub fn with_metadata(self, metadata: impl Into<Bytes>) -> Self {
        Self { metadata: metadata.into(), ..self }
    }

    fn new(event_type: String, content_type: ContentType, data: Bytes) -> Self {
        Self { id: random_id(), event_type, content_type, data, metadata: Bytes::new() }
    }
}

impl AsNewEvent for EventData {
    fn as_new_event(&self) -> NewEvent<'_> {
        NewEvent {
            id: self.id,
            event_type: &self.event_type,
            content_type: self.content_type,
            data: &self.data,
            metadata: &self.metadata,
        }
    }
}

/// A random event id (a version 4 UUID).
#[must_use]
pub fn random_id() -> EventId {
    let id = uuid::Builder::from_random_bytes(environment::random()).into_uuid();
    EventId::from_bytes(id.into_bytes())
}

/// An event as it was read: checked against its writer's checksum, shared with the buffer that it
/// was received in.
///
/// A clone is cheap. It keeps its whole batch (about 256 KiB) in memory; copy what you keep long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedEvent {
    frame: Bytes,
    position: Position,
}

impl RecordedEvent {
    fn new(batch: &Bytes, item: &Item<'_>) -> Self {
        let range = item.frame_offset..item.frame_offset + item.frame.bytes().len();
        Self { frame: batch.slice(range), position: item.position }
    }

    /// Its place in `$all`.
    #[must_use]
    pub fn position(&self) -> Position {
        self.position
    }

    /// Its place in its stream.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.as_frame().revision()
    }

    /// When the store took it in.
    #[must_use]
    pub fn created(&self) -> Created {
        self.as_frame().created()
    }

    /// Chosen by its writer.
    #[must_use]
    pub fn id(&self) -> EventId {
        self.as_frame().id()
    }

    /// The stream that it belongs to.
    #[must_use]
    pub fn stream(&self) -> &str {
        self.as_frame().stream()
    }

    /// What kind of thing happened.
    #[must_use]
    pub fn event_type(&self) -> &str {
        self.as_frame().event_type()
    }

    /// What its data is.
    #[must_use]
    pub fn content_type(&self) -> ContentType {
        self.as_frame().content_type()
    }

    /// The application's bytes.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        self.as_frame().data()
    }

    /// Bytes about the event.
    #[must_use]
    pub fn metadata(&self) -> &[u8] {
        self.as_frame().metadata()
    }

    /// The event as it lies in the log.
    #[must_use]
    pub fn as_frame(&self) -> EventFrame<'_> {
        EventFrame::accepted(&self.frame)
    }
}

/// One event of a read or a subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadEvent {
    /// The event; with links resolved, the one that the link points to. A link whose target does
    /// not exist any more stands for itself.
    pub event: RecordedEvent,
    /// The link that led to `event`.
    pub link: Option<RecordedEvent>,
}

impl ReadEvent {
    /// The event of the stream that is read: the link where there is one.
    #[must_use]
    pub fn original(&self) -> &RecordedEvent {
        self.link.as_ref().unwrap_or(&self.event)
    }
}

/// Takes a batch apart and checks every event in it.
pub(crate) fn parse_batch(
    batch: &Bytes,
    out: &mut impl Extend<ReadEvent>,
) -> Result<(), ReadError> {
    let mut link = None;
    for item in items(batch) {
        let item = item.map_err(ReadError::Batch)?;
        event_frames::verify(item.frame)
            .map_err(|error| ReadError::Damaged { position: item.position.get(), error })?;
        let event = RecordedEvent::new(batch, &item);
        match item.kind {
            ItemKind::Link => link = Some(event),
            ItemKind::Event | ItemKind::Target | ItemKind::LinkWithoutTarget => {
                out.extend([ReadEvent { event, link: link.take() }]);
            }
        }
    }
    Ok(())
}
