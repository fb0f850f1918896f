//! Read results as bytes: event frames, each behind a few bytes that say where it stands.
//!
//! Storage fills a batch with them, the wire carries the batch as it is, and the client walks it:
//! an event is copied once on its way from the log to the network.
//!
//! Layout of one item, little-endian:
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 8 | position in `$all` |
//! | 8 | 1 | kind: 0 event, 1 link (its target is the next item), 2 target, 3 link without target |
//! | 9 | 7 | zero |
//! | 16 | … | the event frame ([`crate::event`]), whose first field is its length |

use alloc::vec::Vec;
use core::fmt;

use crate::event::{EventFrame, FrameError};
use crate::id::Position;

/// Bytes before the event frame.
pub const ITEM_HEADER_BYTES: usize = 16;

/// What an item is to the reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ItemKind {
    /// An event of the stream that is read.
    Event,
    /// A link event of the stream that is read; the next item is the event that it points to.
    Link,
    /// The event that the item before it points to.
    Target,
    /// A link event whose target does not exist any more.
    LinkWithoutTarget,
}

impl ItemKind {
    const fn code(self) -> u8 {
        match self {
            Self::Event => 0,
            Self::Link => 1,
            Self::Target => 2,
            Self::LinkWithoutTarget => 3,
        }
    }

    const fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Event),
            1 => Some(Self::Link),
            2 => Some(Self::Target),
            3 => Some(Self::LinkWithoutTarget),
            _ => None,
        }
    }
}

/// One event of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item<'a> {
    /// Where the event stands in `$all`.
    pub position: Position,
    /// What it is to the reader.
    pub kind: ItemKind,
    /// The event, checksums not checked yet.
    pub frame: EventFrame<'a>,
    /// Where in the batch the event frame starts.
    pub frame_offset: usize,
}

/// Why bytes are not a batch of items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ItemError {
    /// Fewer bytes than an item's header has.
    Truncated,
    /// A kind that this version does not know.
    Kind(u8),
    /// A byte that must be zero is not.
    Reserved,
    /// A link that is not followed by its target, or a target that follows no link.
    UnpairedLink,
    /// The event frame is damaged.
    Frame(FrameError),
}

impl fmt::Display for ItemError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => out.write_str("a read item is cut off"),
            Self::Kind(code) => write!(out, "unknown kind {code} of read item"),
            Self::Reserved => out.write_str("a reserved byte of a read item is not zero"),
            Self::UnpairedLink => out.write_str("a link and its target do not follow each other"),
            Self::Frame(error) => error.fmt(out),
        }
    }
}

impl core::error::Error for ItemError {}

/// Appends one item to a batch.
///
/// - `frame`: exactly one event frame's bytes
pub fn push(out: &mut Vec<u8>, position: Position, kind: ItemKind, frame: &[u8]) {
    let mut header = [0; ITEM_HEADER_BYTES];
    header[..8].copy_from_slice(&position.get().to_le_bytes());
    header[8] = kind.code();
    out.extend_from_slice(&header);
    out.extend_from_slice(frame);
}

/// Walks a batch; after an error it ends.
pub fn items(batch: &[u8]) -> Items<'_> {
    Items { batch, offset: 0, awaits_target: false }
}

/// The items of a batch, in order.
#[derive(Clone, Debug)]
pub struct Items<'a> {
    batch: &'a [u8],
    offset: usize,
    awaits_target: bool,
}

impl<'a> Items<'a> {
    fn parse(&mut self) -> Result<Item<'a>, ItemError> {
        let rest = &self.batch[self.offset..];
        let (header, rest) =
            rest.split_at_checked(ITEM_HEADER_BYTES).ok_or(ItemError::Truncated)?;
        let kind = ItemKind::from_code(header[8]).ok_or(ItemError::Kind(header[8]))?;
        if header[9..].iter().any(|byte| *byte != 0) {
            return Err(ItemError::Reserved);
        }
        if self.awaits_target != (kind == ItemKind::Target) {
            return Err(ItemError::UnpairedLink);
        }
        let frame = EventFrame::parse(rest).map_err(ItemError::Frame)?;
        let frame_offset = self.offset + ITEM_HEADER_BYTES;
        self.awaits_target = kind == ItemKind::Link;
        self.offset = frame_offset + frame.bytes().len();
        let address = u64::from_le_bytes(header[..8].try_into().expect("8 bytes"));
        Ok(Item { position: Position::from_wire(address), kind, frame, frame_offset })
    }
}

impl<'a> Iterator for Items<'a> {
    type Item = Result<Item<'a>, ItemError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.offset == self.batch.len() {
            // A batch never ends between a link and its target.
            return core::mem::take(&mut self.awaits_target)
                .then_some(Err(ItemError::UnpairedLink));
        }
        let parsed = self.parse();
        if parsed.is_err() {
            self.offset = self.batch.len();
            self.awaits_target = false;
        }
        Some(parsed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{self, ContentType, NewEvent};
    use crate::id::EventId;

    fn batch(kinds: &[ItemKind]) -> Vec<u8> {
        let event = NewEvent {
            id: EventId::from_bytes([7; 16]),
            event_type: "departed",
            content_type: ContentType::Octets,
            data: b"data",
            metadata: b"",
        };
        let mut frame = Vec::new();
        event::encode(&mut frame, "stream", &event, event::crc32c);
        let mut out = Vec::new();
        for (place, kind) in kinds.iter().enumerate() {
            push(&mut out, Position::from_wire(place as u64 * 8), *kind, &frame);
        }
        out
    }

    fn check(kinds: &[ItemKind], expected: Result<(), ItemError>) {
        let batch = batch(kinds);
        let walked: Result<Vec<Item<'_>>, ItemError> = items(&batch).collect();
        match walked {
            Ok(items) => {
                assert_eq!(Ok(()), expected);
                assert!(items.iter().map(|item| item.kind).eq(kinds.iter().copied()));
                assert!(items.iter().all(|item| item.frame.stream() == "stream"));
            }
            Err(error) => assert_eq!(Err(error), expected),
        }
    }

    #[test]
    fn a_link_and_its_target_stand_together() {
        use ItemKind::{Event, Link, LinkWithoutTarget, Target};
        check(&[], Ok(()));
        check(&[Event, Link, Target, LinkWithoutTarget, Event], Ok(()));
        check(&[Link], Err(ItemError::UnpairedLink));
        check(&[Link, Event], Err(ItemError::UnpairedLink));
        check(&[Target], Err(ItemError::UnpairedLink));
        check(&[Link, Target, Target], Err(ItemError::UnpairedLink));
    }

    #[test]
    fn damage_is_named_and_ends_the_walk() {
        let whole = batch(&[ItemKind::Event]);
        let walk = |bytes: &[u8]| {
            let mut items = items(bytes);
            let first = items.next().expect("there are bytes").map(|_| ());
            assert!(first.is_ok() || items.next().is_none());
            first
        };
        assert_eq!(walk(&whole[..15]), Err(ItemError::Truncated));
        let mut kind = whole.clone();
        kind[8] = 4;
        assert_eq!(walk(&kind), Err(ItemError::Kind(4)));
        let mut reserved = whole.clone();
        reserved[15] = 1;
        assert_eq!(walk(&reserved), Err(ItemError::Reserved));
        assert!(matches!(walk(&whole[..whole.len() - 8]), Err(ItemError::Frame(_))));
    }
}
