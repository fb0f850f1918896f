//! What a cursor gives at once.

use quorate_core::id::Position;
use quorate_core::item::{self, ItemKind};

/// Some events, as the wire carries them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Read items ([`quorate_core::item`]), in the order of the read.
    pub items: Vec<u8>,
    /// How many items.
    pub item_count: u32,
    /// How many events: a link and its target are one.
    pub event_count: u64,
    /// How many events were looked at, those included that a filter or metadata hides.
    pub looked_at: u64,
    /// Where the read goes on: the revision or position `n` of [`super::From::At`]. Forwards, all
    /// before it was looked at; backwards, all behind it. `None` before the very first.
    pub next: Option<u64>,
    /// Whether to ask again.
    pub progress: Progress,
}

/// How a cursor stands after a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// There may be more: ask again.
    More,
    /// Forwards, nothing more is committed: ask again when something is.
    AtEnd,
    /// The first event was reached, backwards.
    AtStart,
    /// As many events as were asked for were given.
    Counted,
}

/// Fills a batch up to its bounds.
pub(super) struct Filling {
    pub(super) items: Vec<u8>,
    item_count: u32,
    event_count: u64,
    pub(super) looked_at: u64,
    bytes_max: usize,
}

impl Filling {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { items: Vec::new(), item_count: 0, event_count: 0, looked_at: 0, bytes_max }
    }

    /// Whether items with frames of so many bytes may still be added; the first ones always may.
    pub(super) fn has_room(&self, frame_bytes: usize, items: usize) -> bool {
        let more = frame_bytes + items * item::ITEM_HEADER_BYTES;
        self.items.is_empty() || self.items.len() + more <= self.bytes_max
    }

    pub(super) fn push(&mut self, position: Position, kind: ItemKind, frame: &[u8]) {
        if self.items.is_empty() {
            self.items.reserve(self.bytes_max.max(item::ITEM_HEADER_BYTES + frame.len()));
        }
        item::push(&mut self.items, position, kind, frame);
        self.item_count += 1;
        if kind != ItemKind::Target {
            self.event_count += 1;
        }
    }

    pub(super) fn event_count(&self) -> u64 {
        self.event_count
    }

    pub(super) fn finish(self, next: Option<u64>, progress: Progress) -> Batch {
        let Self { items, item_count, event_count, looked_at, bytes_max: _ } = self;
        Batch { items, item_count, event_count, looked_at, next, progress }
    }
}
