//! The window of recent events: by it a retry is recognised.
//!
//! It holds the last so many events of the log, no more and no less, so every node that has the
//! same log has the same window, and so has this node after a restart. An id is looked up within
//! its stream; the same id in another stream is another event.

use alloc::boxed::Box;
use alloc::collections::VecDeque;

use hashbrown::HashTable;

use super::keys::{Keys, StreamKey};
use crate::event::{self, EventFrame};
use crate::id::{EventId, Position, Revision};
use crate::log::entry::{EntryHeader, EntryKind};
use crate::recording::{Recorded, RecordingError, Sink, Source};

/// An event of the window.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recent {
    id: EventId,
    stream: StreamKey,
    hash: u64,
    /// Its place in its stream.
    pub(crate) revision: Revision,
    /// Its place in the log; provisional while its entry gathers.
    pub(crate) position: Position,
    /// The serial number of the event before it that has the same stream and id.
    older: Option<u64>,
}

/// The window.
#[derive(Clone, Debug)]
pub(crate) struct RecentIds {
    keys: Keys,
    max: usize,
    /// Oldest first. Each has a serial number; the front one's is `first`.
    events: VecDeque<Recent>,
    first: u64,
    /// The serial number of the newest event of each stream and id.
    table: HashTable<u64>,
    /// Whether no event of the log lies before the window.
    complete: bool,
    /// Where the window began when it was empty.
    start: Position,
}

/// The table follows from the events, and so do their hashes.
impl Recorded for RecentIds {
    fn record(&self, out: &mut impl Sink) {
        let Self { keys, max, events, first, table: _, complete, start } = self;
        keys.record(out);
        max.record(out);
        first.record(out);
        complete.record(out);
        start.record(out);
        out.number(events.len() as u64);
        for Recent { id, stream, hash: _, revision, position, older } in events {
            id.record(out);
            stream.record(out);
            revision.record(out);
            position.record(out);
            older.record(out);
        }
    }

    fn read(from: &mut Source<'_>) -> Result<Self, RecordingError> {
        let malformed = RecordingError::Malformed { what: "recent event" };
        let (keys, max, first) = (Keys::read(from)?, usize::read(from)?, u64::read(from)?);
        let (complete, start) = (Recorded::read(from)?, Recorded::read(from)?);
        let count = usize::read(from)?;
        if count > from.left() || first.checked_add(count as u64).is_none() {
            return Err(malformed);
        }
        let mut window = Self {
            keys,
            max,
            events: VecDeque::with_capacity(count),
            first,
            table: HashTable::with_capacity(2 * count),
            complete,
            start,
        };
        for _ in 0..count {
            let (id, stream) = (EventId::read(from)?, StreamKey::read(from)?);
            let (revision, position) = (Recorded::read(from)?, Recorded::read(from)?);
            let older = Option::<u64>::read(from)?;
            if older.is_some_and(|older| older >= first + window.events.len() as u64) {
                return Err(malformed);
            }
            window.add(stream, id, revision, position);
            window.events.back_mut().expect("one was added").older = older;
        }
        Ok(window)
    }
}

impl RecentIds {
    /// The newest event of a stream with this id.
    pub(crate) fn find(&self, stream: StreamKey, id: EventId) -> Option<&Recent> {
        let hash = self.keys.event(stream, id);
        let serial = self.table.find(hash, |serial| self.at(*serial).is(stream, id))?;
        Some(self.at(*serial))
    }

    /// All events from here on are in the window; the log's start where there is no other event.
    pub(crate) fn floor(&self) -> Position {
        if self.complete {
            Position::START
        } else {
            self.events.front().map_or(self.start, |oldest| oldest.position)
        }
    }

    /// Whether no event of the log lies before the window.
    pub(crate) const fn is_complete(&self) -> bool {
        self.complete
    }

    /// Adds the newest event of the log; the oldest makes room for it.
    pub(crate) fn push(
        &mut self,
        stream: StreamKey,
        id: EventId,
        revision: Revision,
        position: Position,
    ) {
        if self.events.len() == self.max {
            self.forget_oldest();
        }
        self.add(stream, id, revision, position);
    }

    fn add(&mut self, stream: StreamKey, id: EventId, revision: Revision, position: Position) {
        let hash = self.keys.event(stream, id);
        let serial = self.first + self.events.len() as u64;
        let Self { events, first, table, .. } = self;
        let at = |serial: u64| &events[(serial - *first) as usize];
        let known = table.find_mut(hash, |older| at(*older).is(stream, id));
        let older = known.as_deref().copied();
        if let Some(known) = known {
            *known = serial;
        }
        events.push_back(Recent { id, stream, hash, revision, position, older });
        if older.is_none() {
            let at = |serial: u64| &events[(serial - *first) as usize];
            table.insert_unique(hash, serial, |serial| at(*serial).hash);
        }
    }

    /// Adds the events of an entry that another leader has made.
    pub(crate) fn follow(&mut self, entry: &EntryHeader, body: &[u8]) {
        match entry.kind {
            EntryKind::Epoch => {}
            EntryKind::Events => {
                for frame in event::frames(body) {
                    let (offset, frame) = frame.expect("a body that fits its chain holds frames");
                    let position = entry.body_position().plus(offset as u64);
                    let stream = self.keys.stream(frame.stream());
                    self.push(stream, frame.id(), frame.revision(), position);
                }
            }
        }
    }

    /// Removes the events from here on, which will not be.
    pub(crate) fn truncate(&mut self, from: Position) {
        while self.events.back().is_some_and(|newest| newest.position >= from) {
            let newest = self.events.pop_back().expect("there is one");
            let serial = self.first + self.events.len() as u64;
            let entry = self.table.find_entry(newest.hash, |known| *known == serial);
            let mut entry = entry.expect("the newest event of an id is in the table");
            match newest.older.filter(|older| *older >= self.first) {
                Some(older) => *entry.get_mut() = older,
                None => {
                    entry.remove();
                }
            }
        }
        if self.events.is_empty() {
            self.start = from;
        }
    }

    fn forget_oldest(&mut self) {
        let oldest = self.events.front().expect("a full window has an oldest event");
        // A newer event may have taken its place in the table.
        if let Ok(entry) = self.table.find_entry(oldest.hash, |serial| *serial == self.first) {
            entry.remove();
        }
        self.events.pop_front();
        self.first += 1;
        self.complete = false;
    }

    /// The newest `count` events have become an entry and move on by `bytes`.
    pub(crate) fn settle(&mut self, count: u32, bytes: u64) {
        for recent in self.events.iter_mut().rev().take(count as usize) {
            recent.position = recent.position.plus(bytes);
        }
    }

    fn at(&self, serial: u64) -> &Recent {
        &self.events[(serial - self.first) as usize]
    }

    /// The invariants between any two inputs.
    pub(crate) fn check(&self) {
        assert!(self.events.len() <= self.max, "the window is bounded");
        assert!(self.table.len() <= self.events.len(), "what is looked up is in the window");
        let positions = self.events.iter().map(|recent| recent.position);
        assert!(positions.is_sorted(), "the window is in log order");
        for recent in &self.events {
            let newest = self.find(recent.stream, recent.id).expect("every id is found");
            assert!(newest.position >= recent.position, "the newest of an id is found");
        }
    }

    /// Adds how much it holds.
    pub(crate) fn sketch(&self, out: &mut impl Sink) {
        out.number(self.first);
        out.number(self.events.len() as u64);
        out.number(self.floor().get());
    }

    /// Adds all that decides what it will do to `hasher`.
    pub(crate) fn digest(&self, hasher: &mut blake3::Hasher) {
        hasher.update(&self.floor().get().to_le_bytes());
        for recent in &self.events {
            hasher.update(&recent.id.to_bytes());
            hasher.update(&recent.stream.to_bytes());
            hasher.update(&recent.revision.get().to_le_bytes());
            hasher.update(&recent.position.get().to_le_bytes());
        }
    }
}

impl Recent {
    fn is(&self, stream: StreamKey, id: EventId) -> bool {
        self.id == id && self.stream == stream
    }
}

/// What a start reads from the end of the log: the window, before there is a key to hash with.
#[derive(Clone, Debug, Default)]
pub(crate) struct RecoveredIds {
    max: usize,
    events: VecDeque<RecoveredId>,
    complete: bool,
    /// Behind the last entry.
    end: Option<Position>,
}

#[derive(Clone, Debug)]
struct RecoveredId {
    stream: Box<str>,
    id: EventId,
    revision: Revision,
    position: Position,
}

impl RecoveredIds {
    /// Before the first entry was read.
    pub(crate) fn new(max: u32) -> Self {
        Self { max: max as usize, ..Self::default() }
    }

    /// The next entry.
    ///
    /// # Panics
    ///
    /// Where entries leave a gap, or a body is not what a leader wrote: the log has compared it
    /// with its chain.
    pub(crate) fn push(&mut self, entry: &EntryHeader, body: &[u8]) {
        match self.end {
            None => self.complete = entry.events_before == 0,
            Some(end) => assert!(entry.position == end, "recovered entries have no gap"),
        }
        self.end = Some(entry.end());
        match entry.kind {
            EntryKind::Epoch => {}
            EntryKind::Events => {
                for frame in event::frames(body) {
                    let (offset, frame) = frame.expect("a body that fits its chain holds frames");
                    self.push_event(frame, entry.body_position().plus(offset as u64));
                }
            }
        }
    }

    fn push_event(&mut self, frame: EventFrame<'_>, position: Position) {
        if self.events.len() == self.max {
            self.events.pop_front();
            self.complete = false;
        }
        self.events.push_back(RecoveredId {
            stream: frame.stream().into(),
            id: frame.id(),
            revision: frame.revision(),
            position,
        });
    }

    /// The window of a log that ends here.
    pub(crate) fn into_window(self, keys: Keys, end: Position) -> RecentIds {
        if let Some(recovered) = self.end {
            assert!(recovered == end, "the last recovered entry is the log's last");
        }
        let mut window = RecentIds {
            keys,
            max: self.max,
            events: VecDeque::with_capacity(self.max),
            first: 0,
            // Half empty, so that no insertion has to clear away what was removed before it.
            table: HashTable::with_capacity(2 * self.max),
            complete: self.complete || end == Position::START,
            start: end,
        };
        for event in &self.events {
            window.push(keys.stream(&event.stream), event.id, event.revision, event.position);
        }
        window
    }
}
