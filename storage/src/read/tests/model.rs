//! What reads must give, the slow and simple way.

use quorate_core::event::{self, ContentType, EventFrame, NewEvent};
use quorate_core::id::{EventId, Position, Revision};
use quorate_core::item::ItemKind;
use quorate_core::store::metadata::StreamMetadata;
use quorate_core::time::Created;

use crate::read::{AllQuery, Direction, From, ReadError, StreamQuery};

#[derive(Clone, Debug)]
pub(super) struct ModelEvent {
    pub(super) position: Position,
    pub(super) stream: String,
    pub(super) revision: u64,
    pub(super) event_type: &'static str,
    pub(super) data: Vec<u8>,
    pub(super) created: Created,
}

#[derive(Default)]
pub(super) struct Model {
    pub(super) events: Vec<ModelEvent>,
}

type Items = Vec<(ItemKind, Position)>;

impl Model {
    pub(super) fn stream<'a>(
        &'a self,
        stream: &'a str,
    ) -> impl Iterator<Item = &'a ModelEvent> + use<'a> {
        self.events.iter().filter(move |event| event.stream == stream)
    }

    pub(super) fn is_tombstoned(&self, stream: &str) -> bool {
        self.stream(stream).any(|event| event.event_type == "$streamDeleted")
    }

    /// The events that a reader of the stream sees, oldest first.
    fn visible<'a>(
        &'a self,
        stream: &'a str,
        now: Created,
    ) -> Result<Vec<&'a ModelEvent>, ReadError> {
        let owner = stream.strip_prefix("$$").unwrap_or(stream);
        if self.is_tombstoned(owner) {
            return Err(ReadError::StreamDeleted);
        }
        let metadata_stream = format!("$${stream}");
        let metadata = self.stream(&metadata_stream).last().map(|event| &event.data);
        let metadata = metadata
            .map_or_else(StreamMetadata::default, |data| StreamMetadata::parse(data).unwrap());
        let last = self.stream(stream).last().filter(|_| !metadata.is_deleted());
        let last = Revision::from_wire(last.ok_or(ReadError::NotFound)?.revision);
        let is_visible = |event: &&ModelEvent| {
            metadata.visible(Revision::from_wire(event.revision), event.created, last, now)
        };
        Ok(self.stream(stream).filter(is_visible).collect())
    }

    pub(super) fn read_stream(
        &self,
        query: &StreamQuery,
        now: Created,
    ) -> Result<Items, ReadError> {
        let visible = self.visible(&query.stream, now)?;
        let last = self.stream(&query.stream).count() as u64 - 1;
        let from = match query.from {
            From::Start => From::Start,
            From::End => From::End,
            From::At(revision) => From::At(revision.get()),
            From::After(revision) => From::After(revision.get()),
        };
        let chosen = visible
            .into_iter()
            .filter(|event| is_from(from, query.direction, event.revision, last));
        Ok(self.shown(chosen.collect(), query.direction, query.count, query.resolve_links, now))
    }

    pub(super) fn read_all(&self, query: &AllQuery, now: Created) -> Items {
        let last = self.events.last().map_or(0, |event| event.position.get());
        let from = match query.from {
            From::Start => From::Start,
            From::End => From::End,
            From::At(position) => From::At(position.get()),
            From::After(position) => From::After(position.get()),
        };
        let chosen = self.events.iter().filter(|event| {
            let bytes = event.unstamped();
            is_from(from, query.direction, event.position.get(), last)
                && query.filter.matches(&EventFrame::parse(&bytes).unwrap())
        });
        self.shown(chosen.collect(), query.direction, query.count, query.resolve_links, now)
    }

    fn shown(
        &self,
        mut events: Vec<&ModelEvent>,
        direction: Direction,
        count: Option<u64>,
        resolve_links: bool,
        now: Created,
    ) -> Items {
        if direction == Direction::Backwards {
            events.reverse();
        }
        events.truncate(count.unwrap_or(u64::MAX).try_into().unwrap());
        let mut items = Vec::new();
        for event in events {
            match event.link().filter(|_| resolve_links) {
                None => items.push((ItemKind::Event, event.position)),
                Some((stream, revision)) => {
                    let seen = self.visible(stream, now).unwrap_or_default();
                    match seen.iter().find(|target| target.revision == revision) {
                        Some(target) => {
                            items.push((ItemKind::Link, event.position));
                            items.push((ItemKind::Target, target.position));
                        }
                        None => items.push((ItemKind::LinkWithoutTarget, event.position)),
                    }
                }
            }
        }
        items
    }
}

impl ModelEvent {
    fn link(&self) -> Option<(&str, u64)> {
        let text = str::from_utf8(&self.data).ok().filter(|_| self.event_type == "$>")?;
        let (revision, stream) = text.split_once('@')?;
        Some((stream, revision.parse().ok()?))
    }

    /// As a frame, for filters.
    pub(super) fn unstamped(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let event = NewEvent {
            id: EventId::from_bytes([0; 16]),
            event_type: self.event_type,
            content_type: ContentType::Octets,
            data: &self.data,
            metadata: &[],
        };
        event::encode(&mut bytes, &self.stream, &event, event::crc32c);
        bytes
    }
}

/// Whether a read gives the event with this number at all.
fn is_from(from: From<u64>, direction: Direction, number: u64, last: u64) -> bool {
    match (direction, from) {
        (Direction::Forwards, From::Start) => true,
        (Direction::Forwards, From::End) => number > last,
        (Direction::Forwards, From::At(start)) => number >= start,
        (Direction::Forwards, From::After(start)) => number > start,
        (Direction::Backwards, From::Start) => number == 0,
        (Direction::Backwards, From::End) => true,
        (Direction::Backwards, From::At(start)) => number <= start,
        (Direction::Backwards, From::After(start)) => number < start,
    }
}
