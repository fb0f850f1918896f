//! The newest events of the index, in memory until they are many enough for a run.

use std::collections::BTreeMap;

use quorate_core::event::{self, FrameError};
use quorate_core::id::{Position, Revision};
use quorate_core::log::entry::{EntryHeader, EntryKind};

use super::key::{StreamHasher, StreamKey};

/// Streams with the positions of some successive events each: all events of some successive
/// entries.
#[derive(Debug)]
pub(super) struct Memtable {
    /// Events from here on are in it.
    pub(super) from: Position,
    /// Events from here on are not.
    pub(super) to: Position,
    pub(super) events: u64,
    pub(super) streams: BTreeMap<StreamKey, Tail>,
}

/// The last part of a stream.
#[derive(Debug)]
pub(super) struct Tail {
    /// Revision of the first of `positions`.
    pub(super) first: Revision,
    /// Never empty.
    pub(super) positions: Vec<Position>,
}

impl Tail {
    /// The revision that the next event will have.
    pub(super) fn next(&self) -> Revision {
        self.first.plus(self.positions.len() as u64)
    }
}

impl Memtable {
    pub(super) fn new(from: Position) -> Self {
        Self { from, to: from, events: 0, streams: BTreeMap::new() }
    }

    /// Adds an entry's events behind all others; what it already has is ignored.
    pub(super) fn apply(
        &mut self,
        hasher: &StreamHasher,
        entry: &EntryHeader,
        body: &[u8],
    ) -> Result<(), FrameError> {
        if entry.end() <= self.to {
            return Ok(());
        }
        match entry.kind {
            EntryKind::Epoch => {}
            EntryKind::Events => {
                for parsed in event::frames(body) {
                    let (offset, frame) = parsed?;
                    let position = entry.body_position().plus(offset as u64);
                    if position >= self.to {
                        self.push(hasher.key(frame.stream()), frame.revision(), position);
                    }
                }
            }
        }
        self.to = entry.end();
        Ok(())
    }

    fn push(&mut self, key: StreamKey, revision: Revision, position: Position) {
        let tail = self
            .streams
            .entry(key)
            .or_insert_with(|| Tail { first: revision, positions: Vec::with_capacity(1) });
        assert!(tail.next() == revision, "a stream's revisions follow one another");
        tail.positions.push(position);
        self.events += 1;
    }
}
