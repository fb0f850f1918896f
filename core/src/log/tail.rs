//! The end of the log in memory: what is being gathered, what is being written, and what was just
//! committed and is still lent to the shell.
//!
//! Group commit is nothing but back-pressure: while the disk is busy, appends gather; when it has
//! room, what has gathered becomes one entry. No timer is involved.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::id::{Epoch, LogIndex, Position};
use crate::log::entry::{EntryHeader, EntryKind, LogEnd, LogId, RECORD_FIXED_BYTES};

/// What gathers until it becomes the next entry.
#[derive(Debug, Default)]
pub(crate) struct Gathering {
    /// Stamped event frames, one behind the other.
    pub(crate) body: Vec<u8>,
    /// How many.
    pub(crate) event_count: u32,
}

#[derive(Debug)]
struct Entry {
    header: EntryHeader,
    body: Vec<u8>,
}

/// The end of the log. Entries are, oldest first: lent, in flight, sealed and not yet submitted.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    log: LogId,
    entries: VecDeque<Entry>,
    gathering: Gathering,
    /// Behind the last sealed entry.
    end: LogEnd,
    /// Behind the last committed entry.
    committed: LogEnd,
    /// The last entry whose write was asked for.
    submitted: LogIndex,
    /// Bytes of the bodies that are not committed, what gathers not included.
    pending_bytes: u64,
    /// Emptied bodies, so that the steady state takes no memory from the allocator.
    spare: Vec<Vec<u8>>,
}

/// More than are in use at once with the writes in flight that pay; a few lie idle otherwise.
const SPARE_MAX: usize = 8;
/// A body that once was larger than this is given back to the allocator.
const SPARE_BYTES_MAX: usize = 4 << 20;

impl Tail {
    /// Behind a recovered log that ends here.
    pub(crate) fn open(log: LogId, end: LogEnd) -> Self {
        Self { log, end, committed: end, submitted: end.index, ..Self::default() }
    }

    /// The index that the next entry will have.
    pub(crate) const fn next_index(&self) -> LogIndex {
        self.end.index.next()
    }

    /// Behind the last sealed entry: where the record of the next one will start.
    pub(crate) const fn end(&self) -> &LogEnd {
        &self.end
    }

    /// Behind the last committed entry.
    pub(crate) const fn committed(&self) -> &LogEnd {
        &self.committed
    }

    /// What gathers.
    pub(crate) const fn gathering(&mut self) -> &mut Gathering {
        &mut self.gathering
    }

    /// Where an event that gathers stands, as far as that is known: the header of its record grows
    /// with the body, so this counts from the shortest header there is. All of an entry's events
    /// move on by the same number of bytes when it is sealed.
    ///
    /// - `start`: of the record
    pub(crate) fn provisional_position(start: Position, offset: usize) -> Position {
        start.plus(RECORD_FIXED_BYTES + offset as u64)
    }

    /// Bytes of bodies that are not committed.
    pub(crate) fn pending_bytes(&self) -> u64 {
        self.pending_bytes + self.gathering.body.len() as u64
    }

    /// Bytes that have gathered.
    pub(crate) fn gathered_bytes(&self) -> usize {
        self.gathering.body.len()
    }

    /// Makes an entry of what has gathered.
    pub(crate) fn seal_events(&mut self, epoch: Epoch) -> &EntryHeader {
        assert!(self.gathering.event_count > 0, "an entry of events has some");
        let body = self.spare.pop().unwrap_or_default();
        let gathered = core::mem::replace(&mut self.gathering, Gathering { body, event_count: 0 });
        self.seal(epoch, EntryKind::Events, gathered)
    }

    /// Makes an entry of an epoch record. What gathers stays behind it.
    pub(crate) fn seal_epoch(&mut self, epoch: Epoch, record: &[u8]) -> &EntryHeader {
        assert!(self.gathering.event_count == 0, "nothing is decided before the epoch record");
        let mut body = self.spare.pop().unwrap_or_default();
        body.extend_from_slice(record);
        self.seal(epoch, EntryKind::Epoch, Gathering { body, event_count: 0 })
    }

    fn seal(&mut self, epoch: Epoch, kind: EntryKind, content: Gathering) -> &EntryHeader {
        let Gathering { body, event_count } = content;
        assert!(epoch >= self.end.epoch, "epochs grow along the log");
        let mut header = EntryHeader {
            epoch,
            index: self.next_index(),
            position: self.end.position,
            kind,
            body_bytes: u32::try_from(body.len()).expect("limits.rs bounds a body"),
            event_count,
            events_before: self.end.events,
            previous_chain: self.end.chain,
            chain: self.end.chain,
        };
        header.chain = header.expected_chain(&self.log, &body);
        self.end = LogEnd::after(&header);
        self.pending_bytes += body.len() as u64;
        self.entries.push_back(Entry { header, body });
        &self.entries.back().expect("one was pushed").header
    }

    /// The next entry whose write has not been asked for.
    pub(crate) fn submit(&mut self) -> Option<LogIndex> {
        if self.submitted == self.end.index {
            return None;
        }
        self.submitted = self.submitted.next();
        Some(self.submitted)
    }

    /// Whether the write of this entry was asked for.
    pub(crate) fn is_submitted(&self, index: LogIndex) -> bool {
        index <= self.submitted
    }

    /// An entry that is not committed, or was just now.
    ///
    /// # Panics
    ///
    /// Where it has been released, or does not exist.
    pub(crate) fn entry(&self, index: LogIndex) -> (&EntryHeader, &[u8]) {
        let entry = &self.entries[self.place(index)];
        (&entry.header, &entry.body)
    }

    fn place(&self, index: LogIndex) -> usize {
        let first = self.entries.front().expect("an entry is lent until its turn is over");
        let place = index.get().checked_sub(first.header.index.get());
        usize::try_from(place.expect("a released entry is in the shell's log only"))
            .expect("an index into memory")
    }

    /// Commits one more entry.
    pub(crate) fn commit_next(&mut self) -> &EntryHeader {
        let place = self.place(self.committed.index.next());
        let entry = &self.entries[place];
        self.committed = LogEnd::after(&entry.header);
        self.pending_bytes -= entry.body.len() as u64;
        &entry.header
    }

    /// Takes back what was lent: the committed entries.
    pub(crate) fn release(&mut self) {
        while self.entries.front().is_some_and(|entry| entry.header.index <= self.committed.index) {
            let mut body = self.entries.pop_front().expect("there is one").body;
            if self.spare.len() < SPARE_MAX && body.capacity() <= SPARE_BYTES_MAX {
                body.clear();
                self.spare.push(body);
            }
        }
    }

    /// The invariants between any two inputs.
    pub(crate) fn check(&self) {
        let mut pending = 0;
        let mut before: Option<&EntryHeader> = None;
        for Entry { header, body } in &self.entries {
            assert!(header.body_bytes as usize == body.len(), "a header fits its body");
            assert!(header.chain == header.expected_chain(&self.log, body), "the chain holds");
            if let Some(before) = before {
                assert!(header.index == before.index.next(), "indexes have no gap");
                assert!(header.position == before.end(), "records have no gap");
                assert!(header.previous_chain == before.chain, "chains are linked");
                assert!(header.events_before == LogEnd::after(before).events, "events add up");
            }
            if header.index > self.committed.index {
                pending += body.len() as u64;
            }
            before = Some(header);
        }
        if let Some(last) = before {
            assert!(self.end == LogEnd::after(last), "the end is behind the last entry");
        }
        assert!(pending == self.pending_bytes, "pending bytes add up");
        assert!(self.committed.index <= self.end.index, "what is committed exists");
        assert!(self.committed.index <= self.submitted, "what is committed was written");
        assert!(self.submitted <= self.end.index, "what is submitted exists");
        assert!(
            (self.gathering.event_count == 0) == self.gathering.body.is_empty(),
            "every event has bytes"
        );
    }

    /// Adds all that decides what it will do to `hasher`.
    pub(crate) fn digest(&self, hasher: &mut blake3::Hasher) {
        hasher.update(&self.end.chain.to_bytes());
        hasher.update(&self.committed.chain.to_bytes());
        let numbers = [
            self.end.index.get(),
            self.end.position.get(),
            self.committed.index.get(),
            self.committed.position.get(),
            self.submitted.get(),
            u64::from(self.gathering.event_count),
        ];
        for number in numbers {
            hasher.update(&number.to_le_bytes());
        }
        hasher.update(&self.gathering.body);
    }
}
