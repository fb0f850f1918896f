//! The heads of streams: what must be known of a stream to decide an append to it.
//!
//! A bounded cache over the log. A head runs ahead of what is committed, since appends are decided
//! one behind the other without waiting for the disk; `changed_at` says how far, and a head that
//! does, or that somebody waits for, is never evicted. Eviction goes round the slots and gives each
//! that was used since the last round a second chance.

use alloc::boxed::Box;
use alloc::vec::Vec;

use hashbrown::HashTable;

use super::keys::StreamKey;
use super::metadata::{DELETED, StreamMetadata};
use super::waiting::Waiting;
use crate::id::{LogIndex, Revision};
use crate::input::LoadedHead;
use crate::limits::Limits;
use crate::recording::{Recorded, RecordingError, Sink, Source, recorded};

/// What is known of a stream and its metadata stream, pending appends included.
#[derive(Clone, Debug, Default)]
pub(crate) struct Head {
    /// Revision of the stream's last event.
    pub(crate) last: Option<Revision>,
    /// Whether that is a tombstone.
    pub(crate) tombstoned: bool,
    /// Revision of the metadata stream's last event.
    pub(crate) metadata_last: Option<Revision>,
    /// Data of that event.
    metadata: Box<[u8]>,
    /// Its `$tb`; zero where it has none.
    pub(crate) truncate_before: Revision,
    /// The entry that holds the newest change; zero where that was committed when it was loaded.
    pub(crate) changed_at: LogIndex,
}

recorded!(struct Head {
    last, tombstoned, metadata_last, metadata, truncate_before, changed_at,
});

impl Head {
    /// As the log knows it.
    pub(crate) fn loaded(loaded: &LoadedHead<'_>) -> Self {
        let mut head = Self {
            last: loaded.last,
            tombstoned: loaded.tombstoned,
            metadata_last: loaded.metadata_last,
            ..Self::default()
        };
        head.set_metadata(loaded.metadata.unwrap_or_default());
        head
    }

    /// Data of the last metadata event; empty where there is none.
    pub(crate) fn metadata(&self) -> &[u8] {
        &self.metadata
    }

    /// Whether the stream is soft-deleted.
    pub(crate) fn is_deleted(&self) -> bool {
        self.truncate_before == DELETED
    }

    fn set_metadata(&mut self, data: &[u8]) {
        self.metadata = data.into();
        // What was taken by an earlier version and can't be read says nothing.
        let metadata = StreamMetadata::parse(data).unwrap_or_default();
        self.truncate_before = metadata.truncate_before.unwrap_or(Revision::FIRST);
    }
}

/// What keeps heads from being evicted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pins<'a> {
    /// Changes up to here are committed, and so found when the head is loaded again.
    pub(crate) committed: LogIndex,
    /// Proposals wait for these streams.
    pub(crate) waiting: &'a Waiting,
}

impl Pins<'_> {
    fn hold(&self, slot: &Slot) -> bool {
        slot.head.changed_at > self.committed || self.waiting.is_waiting(slot.key)
    }
}

#[derive(Clone, Debug)]
struct Slot {
    key: StreamKey,
    /// Since eviction last came by.
    used: bool,
    head: Head,
}

recorded!(struct Slot { key, used, head });

/// The cache.
#[derive(Clone, Debug)]
pub(crate) struct Heads {
    max: usize,
    metadata_bytes_max: usize,
    pinned_max: usize,
    slots: Vec<Slot>,
    /// Places in `slots`.
    table: HashTable<u32>,
    /// Where eviction goes on.
    hand: usize,
    metadata_bytes: usize,
}

/// The table follows from the slots.
impl Recorded for Heads {
    fn record(&self, out: &mut impl Sink) {
        let Self { max, metadata_bytes_max, pinned_max, slots, table: _, hand, metadata_bytes } =
            self;
        [max, metadata_bytes_max, pinned_max].iter().for_each(|max| max.record(out));
        slots.record(out);
        hand.record(out);
        metadata_bytes.record(out);
    }

    fn read(from: &mut Source<'_>) -> Result<Self, RecordingError> {
        let [max, metadata_bytes_max, pinned_max] =
            [usize::read(from)?, usize::read(from)?, usize::read(from)?];
        let slots = Vec::<Slot>::read(from)?;
        let mut table = HashTable::with_capacity(slots.len());
        for (place, slot) in slots.iter().enumerate() {
            let malformed = RecordingError::Malformed { what: "head" };
            let place = u32::try_from(place).map_err(|_| malformed)?;
            let rehash = |place: &u32| slots[*place as usize].key.hash();
            table.insert_unique(slot.key.hash(), place, rehash);
        }
        let (hand, metadata_bytes) = (Recorded::read(from)?, Recorded::read(from)?);
        Ok(Self { max, metadata_bytes_max, pinned_max, slots, table, hand, metadata_bytes })
    }
}

/// How many slots one insertion looks at for something to evict: what it costs at the most. Where
/// it finds nothing, the cache grows over its bound by what is pinned, and later insertions shrink
/// it again.
const EVICTION_STEPS_MAX: usize = 64;

impl Heads {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            max: limits.heads_max as usize,
            metadata_bytes_max: limits.heads_metadata_bytes_max as usize,
            pinned_max: limits.pending_appends_max as usize,
            slots: Vec::new(),
            table: HashTable::new(),
            hand: 0,
            metadata_bytes: 0,
        }
    }

    /// The head of a stream, which is used.
    pub(crate) fn get(&mut self, key: StreamKey) -> Option<&Head> {
        let place = self.find(key)?;
        let slot = &mut self.slots[place];
        slot.used = true;
        Some(&slot.head)
    }

    /// The head of a stream, seen in passing.
    pub(crate) fn peek(&self, key: StreamKey) -> Option<&Head> {
        self.find(key).map(|place| &self.slots[place].head)
    }

    /// Changes the head of a stream, which is known, in this entry.
    pub(crate) fn change(&mut self, key: StreamKey, entry: LogIndex) -> &mut Head {
        let place = self.find(key).expect("what was decided was decided by a head");
        let head = &mut self.slots[place].head;
        head.changed_at = entry;
        head
    }

    /// Gives a stream, which is known, other metadata.
    pub(crate) fn set_metadata(&mut self, key: StreamKey, data: &[u8]) {
        let place = self.find(key).expect("what was decided was decided by a head");
        let head = &mut self.slots[place].head;
        self.metadata_bytes -= head.metadata.len();
        head.set_metadata(data);
        self.metadata_bytes += head.metadata.len();
    }

    /// Adds a head that was not there, and evicts others where there are too many.
    pub(crate) fn insert(&mut self, key: StreamKey, head: Head, pins: &Pins<'_>) {
        assert!(self.find(key).is_none(), "a head is loaded once");
        self.metadata_bytes += head.metadata.len();
        let place = u32::try_from(self.slots.len()).expect("heads are bounded");
        self.slots.push(Slot { key, used: true, head });
        let slots = &self.slots;
        self.table.insert_unique(key.hash(), place, |place| slots[*place as usize].key.hash());
        self.evict(pins);
    }

    /// Forgets all of them.
    pub(crate) fn clear(&mut self) {
        self.slots.clear();
        self.table.clear();
        self.hand = 0;
        self.metadata_bytes = 0;
    }

    fn find(&self, key: StreamKey) -> Option<usize> {
        let found = self.table.find(key.hash(), |place| self.slots[*place as usize].key == key);
        found.map(|place| *place as usize)
    }

    fn is_full(&self) -> bool {
        self.slots.len() > self.max || self.metadata_bytes > self.metadata_bytes_max
    }

    fn evict(&mut self, pins: &Pins<'_>) {
        for _ in 0..EVICTION_STEPS_MAX {
            if !self.is_full() {
                return;
            }
            self.hand %= self.slots.len();
            let slot = &mut self.slots[self.hand];
            if pins.hold(slot) || core::mem::take(&mut slot.used) {
                self.hand += 1;
            } else {
                self.remove(self.hand); // Another slot has come to its place.
            }
        }
    }

    fn remove(&mut self, place: usize) {
        let removed = self.slots.swap_remove(place);
        self.metadata_bytes -= removed.head.metadata.len();
        let found = self.table.find_entry(removed.key.hash(), |other| *other as usize == place);
        found.expect("every slot is in the table").remove();
        if let Some(moved) = self.slots.get(place) {
            let was = self.slots.len();
            let found = self.table.find_mut(moved.key.hash(), |other| *other as usize == was);
            *found.expect("every slot is in the table") = place as u32;
        }
    }

    /// The invariants between any two inputs.
    pub(crate) fn check(&self) {
        assert!(self.table.len() == self.slots.len(), "every slot is in the table");
        // A round may take so many insertions.
        let round = self.max / EVICTION_STEPS_MAX + 1;
        let bound = self.max + round + self.pinned_max;
        assert!(self.slots.len() <= bound, "the cache is bounded");
        let mut metadata_bytes = 0;
        for (place, slot) in self.slots.iter().enumerate() {
            assert!(self.find(slot.key) == Some(place), "every head is found");
            metadata_bytes += slot.head.metadata.len();
        }
        assert!(metadata_bytes == self.metadata_bytes, "metadata bytes add up");
    }

    /// Adds how much it holds.
    pub(crate) fn sketch(&self, out: &mut impl Sink) {
        [self.slots.len(), self.hand, self.metadata_bytes]
            .iter()
            .for_each(|number| number.record(out));
    }

    /// Adds all that decides what it will do to `hasher`.
    pub(crate) fn digest(&self, hasher: &mut blake3::Hasher) {
        hasher.update(&(self.hand as u64).to_le_bytes());
        let number = |revision: Option<Revision>| revision.map_or(u64::MAX, Revision::get);
        for Slot { key, used, head } in &self.slots {
            hasher.update(&key.to_bytes());
            hasher.update(&[u8::from(*used), u8::from(head.tombstoned)]);
            hasher.update(&number(head.last).to_le_bytes());
            hasher.update(&number(head.metadata_last).to_le_bytes());
            hasher.update(&head.changed_at.get().to_le_bytes());
            hasher.update(&(head.metadata.len() as u64).to_le_bytes());
            hasher.update(&head.metadata);
        }
    }
}
