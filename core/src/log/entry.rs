//! A log entry, and how many bytes its record takes on disk.
//!
//! One entry holds the events of many appends (group commit), so it is the unit that is written,
//! replicated, checked and repaired. Its body is opaque here and in consensus.
//!
//! The record's *size* stands in the core, because positions follow from it and must be the same on
//! every replica; its bytes are the storage crate's affair.

use crate::id::{ChainHash, ClusterId, Epoch, GroupId, Lineage, LogIndex, Position};

/// Records start and end on multiples of this, so that no two share what a disk writes at once.
pub const SECTOR_BYTES: u64 = 4096;
/// The part of a record's header that has the same size in every record.
pub const RECORD_FIXED_BYTES: u64 = 192;

/// Where a log belongs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogId {
    /// The cluster.
    pub cluster: ClusterId,
    /// The group within it.
    pub group: GroupId,
    /// The group's history.
    pub lineage: Lineage,
}

/// What an entry's body holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EntryKind {
    /// A new leader's first words.
    Epoch,
    /// Stamped event frames, one behind the other.
    Events,
}

impl EntryKind {
    /// Its code in files and frames.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Epoch => 1,
            Self::Events => 2,
        }
    }

    /// The kind with this code.
    #[must_use]
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Epoch),
            2 => Some(Self::Events),
            _ => None,
        }
    }
}

/// All of an entry but its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryHeader {
    /// The leader's reign in which it was made.
    pub epoch: Epoch,
    /// Its place in the log.
    pub index: LogIndex,
    /// The address of its record's first byte.
    pub position: Position,
    /// What its body holds.
    pub kind: EntryKind,
    /// How long its body is.
    pub body_bytes: u32,
    /// Events in its body.
    pub event_count: u32,
    /// Events in all entries before it.
    pub events_before: u64,
    /// The chain up to the entry before it.
    pub previous_chain: ChainHash,
    /// The chain up to and with this entry.
    pub chain: ChainHash,
}

impl EntryHeader {
    /// The address of the record behind this one.
    #[must_use]
    pub const fn end(&self) -> Position {
        self.position.plus(record_bytes(self.body_bytes))
    }

    /// The address of its body's first byte, which is the position of its first event.
    #[must_use]
    pub const fn body_position(&self) -> Position {
        self.position.plus(body_offset(self.body_bytes))
    }

    /// What `chain` must be, for this body in this log.
    #[must_use]
    pub fn expected_chain(&self, log: &LogId, body: &[u8]) -> ChainHash {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.previous_chain.to_bytes());
        hasher.update(&log.cluster.to_bytes());
        hasher.update(&log.lineage.to_bytes());
        let numbers = [
            log.group.get(),
            self.epoch.get(),
            self.index.get(),
            self.position.get(),
            u64::from(self.kind.code()),
            u64::from(self.event_count),
            self.events_before,
            u64::from(self.body_bytes),
        ];
        for number in numbers {
            hasher.update(&number.to_le_bytes());
        }
        hasher.update(body);
        ChainHash::from_bytes(*hasher.finalize().as_bytes())
    }
}

/// Where the log ends: what the next entry follows on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogEnd {
    /// Index of the last entry; zero for an empty log.
    pub index: LogIndex,
    /// Epoch of the last entry; zero for an empty log.
    pub epoch: Epoch,
    /// The address behind the last record.
    pub position: Position,
    /// The chain with the last entry.
    pub chain: ChainHash,
    /// Events in the log.
    pub events: u64,
}

impl LogEnd {
    /// The end of a log whose last entry is this one.
    #[must_use]
    pub const fn after(entry: &EntryHeader) -> Self {
        Self {
            index: entry.index,
            epoch: entry.epoch,
            position: entry.end(),
            chain: entry.chain,
            events: entry.events_before + entry.event_count as u64,
        }
    }
}

/// How many sectors the record of a body this long takes: the fixed header, a CRC for each sector,
/// and the body.
#[must_use]
pub const fn record_sectors(body_bytes: u32) -> u64 {
    let mut sectors = (RECORD_FIXED_BYTES + body_bytes as u64).div_ceil(SECTOR_BYTES);
    while header_bytes(sectors) + body_bytes as u64 > sectors * SECTOR_BYTES {
        sectors += 1;
    }
    sectors
}

/// How many bytes the record of a body this long takes.
#[must_use]
pub const fn record_bytes(body_bytes: u32) -> u64 {
    record_sectors(body_bytes) * SECTOR_BYTES
}

/// Where in its record a body this long starts.
#[must_use]
pub const fn body_offset(body_bytes: u32) -> u64 {
    header_bytes(record_sectors(body_bytes))
}

/// Fixed header and CRCs; event frames start on multiples of 8.
const fn header_bytes(sectors: u64) -> u64 {
    (RECORD_FIXED_BYTES + 4 * sectors).next_multiple_of(8)
}
