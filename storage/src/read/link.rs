//! Finds the events that links stand for.

use quorate_core::event::EventFrame;
use quorate_core::id::Position;
use quorate_core::item::ItemKind;
use quorate_core::store::link::Link;
use quorate_core::store::name;
use quorate_core::time::Created;

use super::batch::Filling;
use super::fetch::{self, Fetched};
use super::head::Head;
use super::{ReadError, StoreReader};

/// What a reader gets for one event.
pub(super) enum Shown {
    /// The event itself.
    Event,
    /// It is a link to this one.
    Link(Fetched),
    /// It is a link to an event that is hidden, deleted or never was.
    LinkWithoutTarget,
}

impl Shown {
    /// Bytes of frames, and items, that it takes in a batch.
    pub(super) fn room(&self, event: EventFrame<'_>) -> (usize, usize) {
        match self {
            Self::Event | Self::LinkWithoutTarget => (event.bytes().len(), 1),
            Self::Link(target) => (event.bytes().len() + target.frame().bytes().len(), 2),
        }
    }

    /// Adds it to a batch.
    pub(super) fn push(&self, filling: &mut Filling, position: Position, event: EventFrame<'_>) {
        match self {
            Self::Event => filling.push(position, ItemKind::Event, event.bytes()),
            Self::LinkWithoutTarget => {
                filling.push(position, ItemKind::LinkWithoutTarget, event.bytes());
            }
            Self::Link(target) => {
                filling.push(position, ItemKind::Link, event.bytes());
                filling.push(target.position, ItemKind::Target, target.frame().bytes());
            }
        }
    }
}

/// Whether an event is a link.
pub(super) fn is_link(event: EventFrame<'_>) -> bool {
    event.event_type() == name::LINK_TYPE
}

/// Finds what a link stands for, as a read of the target's stream would show it. A link that
/// can't be understood is an event like any other.
///
/// - `end`: what is committed
pub(super) async fn resolve(
    reader: &StoreReader,
    event: EventFrame<'_>,
    end: Position,
    now: Created,
) -> Result<Shown, ReadError> {
    let Ok(Link { stream, revision }) = Link::parse(event.data()) else { return Ok(Shown::Event) };
    let mut head = Head::new(reader, stream);
    head.refresh(reader).await?;
    let last = match head.readable() {
        Ok(last) => last,
        Err(ReadError::NotFound | ReadError::StreamDeleted) => return Ok(Shown::LinkWithoutTarget),
        Err(error) => return Err(error),
    };
    let found = reader.index.positions(head.key(), revision, 1, Position::START).await?;
    let place = fetch::places(&found).pop_front();
    let Some(place) = place.filter(|place| place.revision == revision && place.position < end)
    else {
        return Ok(Shown::LinkWithoutTarget);
    };
    let target = fetch::event_at(reader, stream, place).await?;
    if head.metadata().visible(revision, target.frame().created(), last, now) {
        Ok(Shown::Link(target))
    } else {
        Ok(Shown::LinkWithoutTarget)
    }
}
