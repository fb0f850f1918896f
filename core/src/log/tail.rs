//! The end of the log in memory: what is being gathered, what is being written, what is not
//! committed, and what was just committed and is still lent to the shell.
//!
//! Group commit is nothing but back-pressure: while the disks are busy, appends gather; when there
//! is room, what has gathered becomes one entry. No timer is involved.
//!
//! An entry leaves memory once it is committed *and* on this node's disk: until then the shell's
//! log can't be asked for it, or a later leader may replace it.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::id::{ChainHash, Epoch, LogIndex, Position};
use crate::log::entry::{EntryHeader, EntryKind, LogEnd, LogId, RECORD_FIXED_BYTES};
use crate::message::Tip;
use crate::recording::{Recorded, Sink, recorded};

/// What gathers until it becomes the next entry.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gathering {
    /// Stamped event frames, one behind the other.
    pub(crate) body: Vec<u8>,
    /// How many.
    pub(crate) event_count: u32,
}

recorded!(struct Gathering { body, event_count });

#[derive(Clone, Debug)]
struct Entry {
    header: EntryHeader,
    body: Vec<u8>,
}

recorded!(struct Entry { header, body });

/// The end of the log. Entries are, oldest first: committed and lent or not yet written, then not
/// committed; of both kinds those up to `submitted` were handed to the disk.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tail {
    log: LogId,
    /// Before the first entry in memory.
    released: LogEnd,
    entries: VecDeque<Entry>,
    gathering: Gathering,
    /// Behind the last sealed entry.
    end: LogEnd,
    /// Behind the last committed entry.
    committed: LogEnd,
    /// The last entry whose write was asked for.
    submitted: LogIndex,
    /// Bytes of the bodies in memory that are not committed or not written.
    held_bytes: u64,
    /// Up to where entries are committed and written: those count as held no more.
    settled: LogIndex,
    /// Emptied bodies, so that the steady state takes no memory from the allocator.
    spare: Vec<Vec<u8>>,
}

recorded!(struct Tail {
    log, released, entries, gathering, end, committed, submitted, held_bytes, settled; spare
});

/// More than are in use at once with the writes in flight that pay; a few lie idle otherwise.
const SPARE_MAX: usize = 8;
/// A body that once was larger than this is given back to the allocator.
const SPARE_BYTES_MAX: usize = 4 << 20;

impl Tail {
    /// Behind the last entry of a recovered log that is known to be committed. The entries behind
    /// it are on disk, and are added by [`Tail::recover`].
    pub(crate) fn open(log: LogId, committed: LogEnd) -> Self {
        Self {
            log,
            released: committed,
            end: committed,
            committed,
            submitted: committed.index,
            settled: committed.index,
            ..Self::default()
        }
    }

    /// An entry that is on disk, but not known to be committed.
    pub(crate) fn recover(&mut self, header: &EntryHeader, body: &[u8]) {
        self.push(header, body);
        self.submitted = header.index;
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

    /// The last entry whose write was asked for.
    pub(crate) const fn submitted(&self) -> LogIndex {
        self.submitted
    }

    /// Which log it is.
    pub(crate) const fn log(&self) -> &LogId {
        &self.log
    }

    /// What gathers.
    pub(crate) const fn gathering(&mut self) -> &mut Gathering {
        &mut self.gathering
    }

    /// Forgets what has gathered.
    pub(crate) fn clear_gathering(&mut self) {
        self.gathering.body.clear();
        self.gathering.event_count = 0;
    }

    /// Where an event that gathers stands, as far as that is known: the header of its record grows
    /// with the body, so this counts from the shortest header there is. All of an entry's events
    /// move on by the same number of bytes when it is sealed.
    ///
    /// - `start`: of the record
    pub(crate) fn provisional_position(start: Position, offset: usize) -> Position {
        start.plus(RECORD_FIXED_BYTES + offset as u64)
    }

    /// Bytes of bodies that are not committed or not on this node's disk.
    pub(crate) fn pending_bytes(&self) -> u64 {
        self.held_bytes + self.gathering.body.len() as u64
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
        self.add(Entry { header, body })
    }

    /// Takes in an entry of another node's, which follows on this end.
    pub(crate) fn push(&mut self, header: &EntryHeader, content: &[u8]) {
        let mut body = self.spare.pop().unwrap_or_default();
        body.extend_from_slice(content);
        self.add(Entry { header: *header, body });
    }

    /// Whether an entry of another node's is what its chain says, and follows on the entry before
    /// it, which is in memory or the end of the log.
    pub(crate) fn fits(&self, header: &EntryHeader, body: &[u8]) -> bool {
        let before = match header.index.get().checked_sub(1) {
            Some(before) if before == self.end.index.get() => self.end,
            Some(before) if before == self.released.index.get() => self.released,
            Some(before) if self.holds(LogIndex::from_wire(before)) => {
                LogEnd::after(self.entry(LogIndex::from_wire(before)).0)
            }
            _ => return false,
        };
        header.position == before.position
            && header.previous_chain == before.chain
            && header.events_before == before.events
            && header.epoch >= before.epoch
            && header.body_bytes as usize == body.len()
            && header.chain == header.expected_chain(&self.log, body)
    }

    fn add(&mut self, entry: Entry) -> &EntryHeader {
        self.end = LogEnd::after(&entry.header);
        self.held_bytes += entry.body.len() as u64;
        self.entries.push_back(entry);
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

    /// An entry that is in memory: not committed, not written, or committed just now.
    ///
    /// # Panics
    ///
    /// Where it has been released, or does not exist.
    pub(crate) fn entry(&self, index: LogIndex) -> (&EntryHeader, &[u8]) {
        let entry = &self.entries[self.place(index)];
        (&entry.header, &entry.body)
    }

    /// Whether an entry is in memory.
    pub(crate) fn holds(&self, index: LogIndex) -> bool {
        index > self.released.index && index <= self.end.index
    }

    /// The chain up to and with an entry, where it is known without reading the log.
    pub(crate) fn chain_at(&self, index: LogIndex) -> Option<ChainHash> {
        if index == self.released.index {
            return Some(self.released.chain);
        }
        self.holds(index).then(|| self.entry(index).0.chain)
    }

    /// The place of an entry in the log, where it is known without reading the log.
    pub(crate) fn tip_at(&self, index: LogIndex) -> Option<Tip> {
        self.chain_at(index).map(|chain| Tip { index, chain })
    }

    fn place(&self, index: LogIndex) -> usize {
        let place = index.get().checked_sub(self.released.index.get() + 1);
        usize::try_from(place.expect("a released entry is in the shell's log only"))
            .expect("an index into memory")
    }

    /// Commits one more entry.
    pub(crate) fn commit_next(&mut self) -> (&EntryHeader, &[u8]) {
        let place = self.place(self.committed.index.next());
        let entry = &self.entries[place];
        self.committed = LogEnd::after(&entry.header);
        (&entry.header, &entry.body)
    }

    /// Counts entries as held no more.
    ///
    /// - `durable`: every entry up to it is on this node's disk
    pub(crate) fn settle(&mut self, durable: LogIndex) {
        let settled = durable.min(self.committed.index);
        while self.settled < settled {
            self.settled = self.settled.next();
            let place = self.place(self.settled);
            self.held_bytes -= self.entries[place].body.len() as u64;
        }
    }

    /// Takes back what was lent: entries that are committed and on this node's disk.
    pub(crate) fn release(&mut self) {
        while self.released.index < self.settled {
            let entry = self.entries.pop_front().expect("what is settled was in memory");
            self.released = LogEnd::after(&entry.header);
            self.keep_spare(entry.body);
        }
    }

    fn keep_spare(&mut self, mut body: Vec<u8>) {
        if self.spare.len() < SPARE_MAX && body.capacity() <= SPARE_BYTES_MAX {
            body.clear();
            self.spare.push(body);
        }
    }

    /// Removes every entry behind this one from memory. Gives the new end, and whether entries are
    /// removed whose write was asked for.
    ///
    /// # Panics
    ///
    /// Where a committed entry would be removed.
    pub(crate) fn truncate(&mut self, index: LogIndex) -> (LogEnd, bool) {
        assert!(index >= self.committed.index, "what is committed is never removed");
        assert!(index <= self.end.index, "what is kept exists");
        assert!(self.gathering.event_count == 0, "who truncates does not lead");
        while self.end.index > index {
            let entry = self.entries.pop_back().expect("what is not committed is in memory");
            self.held_bytes -= entry.body.len() as u64;
            let before = self.entries.back().map(|entry| LogEnd::after(&entry.header));
            self.end = before.unwrap_or(self.released);
            self.keep_spare(entry.body);
        }
        let was_submitted = self.submitted > index;
        self.submitted = self.submitted.min(index);
        (self.end, was_submitted)
    }

    /// The invariants between any two inputs.
    pub(crate) fn check(&self) {
        let mut held = 0;
        let mut before = self.released;
        for Entry { header, body } in &self.entries {
            assert!(header.body_bytes as usize == body.len(), "a header fits its body");
            assert!(header.chain == header.expected_chain(&self.log, body), "the chain holds");
            assert!(header.index == before.index.next(), "indexes have no gap");
            assert!(header.position == before.position, "records have no gap");
            assert!(header.previous_chain == before.chain, "chains are linked");
            assert!(header.events_before == before.events, "events add up");
            assert!(header.epoch >= before.epoch, "epochs grow along the log");
            if header.index > self.settled {
                held += body.len() as u64;
            }
            before = LogEnd::after(header);
        }
        assert!(self.end == before, "the end is behind the last entry");
        assert!(held == self.held_bytes, "held bytes add up");
        assert!(self.released.index <= self.settled, "what is in use stays in memory");
        assert!(self.settled <= self.committed.index, "what is settled is committed");
        assert!(self.committed.index <= self.end.index, "what is committed exists");
        assert!(self.settled <= self.submitted, "what is settled was written");
        assert!(self.submitted <= self.end.index, "what is submitted exists");
        assert!(
            (self.gathering.event_count == 0) == self.gathering.body.is_empty(),
            "every event has bytes"
        );
    }

    /// Adds where it is; the chain stands for what lies in the log.
    pub(crate) fn sketch(&self, out: &mut impl Sink) {
        [self.released, self.end, self.committed].iter().for_each(|end| end.record(out));
        self.submitted.record(out);
        self.settled.record(out);
        out.number(self.held_bytes);
        out.number(self.gathering.body.len() as u64);
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
            self.released.index.get(),
            self.settled.get(),
            u64::from(self.gathering.event_count),
        ];
        for number in numbers {
            hasher.update(&number.to_le_bytes());
        }
        hasher.update(&self.gathering.body);
    }
}
