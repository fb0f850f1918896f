//! The newest events of the index, in memory until they are many enough for a run.

use std::collections::BTreeMap;

use quorate_core::id::{Position, Revision};

use super::key::StreamKey;

/// Streams with the positions of some successive events each: all events between two positions.
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

    /// Adds the event behind all others.
    ///
    /// - `end`: the address behind it
    pub(super) fn apply(
        &mut self,
        key: StreamKey,
        revision: Revision,
        position: Position,
        end: Position,
    ) {
        assert!(position >= self.to, "events are indexed in the order of the log");
        let tail = self
            .streams
            .entry(key)
            .or_insert_with(|| Tail { first: revision, positions: Vec::with_capacity(1) });
        assert!(tail.next() == revision, "a stream's revisions follow one another");
        tail.positions.push(position);
        self.events += 1;
        self.to = end;
    }
}
