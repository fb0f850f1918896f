//! The stamp: a small file that says up to which entry the log was on stable storage.
//!
//! Each record carries such a stamp for those before it. When no record follows for a few
//! milliseconds, this file says it of the last ones; without it, a lost last write could not be told
//! from one that was never finished. Two copies are written in turn, so that one is always whole.
//!
//! Each copy is one sector of `log/stamp`, little-endian:
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 8 | magic `QrtStamp` |
//! | 8 | 4 | checksum: CRC-32C of the disk id's 16 bytes and of bytes 12..4096 |
//! | 12 | 4 | zero |
//! | 16 | 40 | cluster, lineage, group |
//! | 56 | 8 | sequence; the greater one is the newer, and it stands in copy (sequence mod 2) |
//! | 64 | 8 | durable: every entry up to this index is on stable storage |
//! | 72 | 8 | committed: every entry up to this index is committed, whether or not it is here |
//! | 80 | 8 | truncations so far, that which is under way included |
//! | 88 | 8 | 1 while a truncation is under way, else 0 |
//! | 96 | 64 | what the log shall end with then (as in a segment's header), else zero |
//! | 160 | 3936 | zero |
//!
//! A truncation is intended here before anything is removed: in both copies, so that one that rots
//! does no harm while half of the tail is gone. When all of it is gone, both copies are written again
//! with what is durable now, and only then does the log grow. So no copy ever claims more than there
//! is, and none intends to remove what was appended since.

use std::cell::Cell;
use std::rc::Rc;

use quorate_core::id::LogIndex;
use quorate_core::log::entry::{LogEnd, SECTOR_BYTES};

use super::home::{Home, NUMBER_MAX, is_zero, log_id_at, put_u64, u32_at, u64_at};
use super::record::Stamps;
use super::segment::{end_at, put_end};
use crate::buffer::AlignedBuffer;
use crate::disk::{Access, DiskError, DiskErrorKind, Done, Durability, FileId, Op};
use crate::io::{Io, Running};

pub(super) const FILE: &str = "log/stamp";
const FILE_BEING_MADE: &str = "log/stamp.new";
const MAGIC: [u8; 8] = *b"QrtStamp";
const COPIES: u64 = 2;
const SECTOR: usize = SECTOR_BYTES as usize;

/// What one copy says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) sequence: u64,
    pub(super) durable: LogIndex,
    pub(super) committed: LogIndex,
    pub(super) truncations: u64,
    /// What the log shall end with, once the truncation that is under way has been carried out.
    pub(super) intent: Option<LogEnd>,
}

impl Stamp {
    pub(super) fn encode(&self, home: &Home) -> AlignedBuffer {
        let mut sector = AlignedBuffer::zeroed(SECTOR);
        sector[0..8].copy_from_slice(&MAGIC);
        home.put_log(&mut sector[16..56]);
        put_u64(&mut sector, 56, self.sequence);
        put_u64(&mut sector, 64, self.durable.get());
        put_u64(&mut sector, 72, self.committed.get());
        put_u64(&mut sector, 80, self.truncations);
        if let Some(end) = &self.intent {
            put_u64(&mut sector, 88, 1);
            put_end(&mut sector[96..160], end);
        }
        let checksum = home.checksum(&sector);
        sector[8..12].copy_from_slice(&checksum.to_le_bytes());
        sector
    }

    /// Reads one copy, exactly a sector; `None` where it is torn, damaged, or of another log.
    pub(super) fn decode(sector: &[u8], home: &Home) -> Option<Self> {
        let whole = sector[0..8] == MAGIC
            && home.checksum(sector) == u32_at(sector, 8)
            && log_id_at(sector, 16) == home.log
            && is_zero(&sector[12..16])
            && is_zero(&sector[160..])
            && [56, 64, 72, 80].iter().all(|at| u64_at(sector, *at) <= NUMBER_MAX);
        if !whole {
            return None;
        }
        let intent = match u64_at(sector, 88) {
            0 if is_zero(&sector[96..160]) => None,
            1 => Some(end_at(sector, 96)?),
            _ => return None,
        };
        Some(Self {
            sequence: u64_at(sector, 56),
            durable: LogIndex::from_wire(u64_at(sector, 64)),
            committed: LogIndex::from_wire(u64_at(sector, 72)),
            truncations: u64_at(sector, 80),
            intent,
        })
    }
}

/// What was found of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// There is none, or none that was ever written.
    Nothing,
    /// The newer copy that can be read.
    Stamp {
        /// That copy.
        stamp: Stamp,
        /// The other one says something that must not come back, should this one rot.
        other_is_stale: bool,
    },
    /// It has been written, and no copy can be read.
    Damaged,
}

/// Reads the newer whole copy of a file's contents.
pub(super) fn newest(contents: &[u8], home: &Home) -> Found {
    if is_zero(contents) {
        return Found::Nothing;
    }
    let stamps = contents.chunks_exact(SECTOR).filter_map(|sector| Stamp::decode(sector, home));
    let stamps: Vec<Stamp> = stamps.collect();
    let Some(stamp) = stamps.iter().copied().max_by_key(|stamp| stamp.sequence) else {
        return Found::Damaged;
    };
    let is_stale = |other: &Stamp| other.intent.is_some() || other.durable > stamp.durable;
    let other_is_stale = stamp.intent.is_none() && stamps.iter().any(is_stale);
    Found::Stamp { stamp, other_is_stale }
}

/// Reads the file.
pub(super) async fn read(io: &Io, home: &Home) -> Result<Found, DiskError> {
    let open = io.run(Op::Open { name: FILE.into(), access: Access::Direct }).await;
    let (file, bytes) = match open {
        Ok(Done::Opened { file, bytes }) => (file, bytes),
        Err(error) if error.kind == DiskErrorKind::NotFound => return Ok(Found::Nothing),
        Err(error) => return Err(error),
        Ok(other) => unreachable!("an open gives a file, not {other:?}"),
    };
    let found = if bytes == COPIES * SECTOR_BYTES {
        let buffer = AlignedBuffer::zeroed(bytes as usize);
        let done = io.run(Op::Read { file, offset: 0, buffer }).await?;
        let Done::Transferred(contents) = done else { unreachable!("a read gives its buffer") };
        newest(&contents, home)
    } else {
        Found::Damaged
    };
    io.run(Op::Close { file }).await?;
    Ok(found)
}

/// The file, open for writing. Clones write the same one.
#[derive(Clone)]
pub(super) struct StampFile {
    io: Io,
    home: Home,
    file: FileId,
    /// What was written last.
    newest: Rc<Cell<Stamp>>,
}

impl StampFile {
    /// Makes the file anew with what is known, durably, in place of one that may exist.
    ///
    /// Done where there is none that can be read.
    pub(super) async fn make(io: &Io, home: &Home, stamp: Stamp) -> Result<Self, DiskError> {
        let bytes = COPIES * SECTOR_BYTES;
        let done = io.run(Op::Create { name: FILE_BEING_MADE.into(), bytes }).await?;
        let Done::Opened { file, .. } = done else { unreachable!("a create opens the file") };
        let newest = Rc::new(Cell::new(stamp));
        let made = Self { io: io.clone(), home: *home, file, newest };
        made.put(stamp).await?;
        io.run(Op::Sync { file }).await?;
        io.run(Op::Rename { from: FILE_BEING_MADE.into(), to: FILE.into() }).await?;
        Ok(made)
    }

    /// Opens the file for a log that was recovered, or makes it anew where it can't be read. Neither of
    /// its copies claims more than there is then. Gives the stamp that it holds as well.
    pub(super) async fn settled(
        io: &Io,
        home: &Home,
        found: Found,
        known: Stamps,
    ) -> Result<(Self, Stamp), DiskError> {
        let Found::Stamp { stamp, other_is_stale } = found else {
            let Stamps { durable, committed } = known;
            let stamp = Stamp { durable, committed, ..Stamp::default() };
            return Ok((Self::make(io, home, stamp).await?, stamp));
        };
        let file = Self::open(io, home, stamp).await?;
        if other_is_stale {
            file.put(stamp).await?;
        }
        Ok((file, stamp))
    }

    /// Opens the file to write behind what was read from it.
    pub(super) async fn open(io: &Io, home: &Home, stamp: Stamp) -> Result<Self, DiskError> {
        let done = io.run(Op::Open { name: FILE.into(), access: Access::Direct }).await?;
        let Done::Opened { file, .. } = done else { unreachable!("an open gives a file") };
        Ok(Self { io: io.clone(), home: *home, file, newest: Rc::new(Cell::new(stamp)) })
    }

    /// Writes a new stamp over the older copy; durable when it completes.
    pub(super) fn write(&self, durable: LogIndex, committed: LogIndex) -> Running {
        self.put(Stamp { durable, committed, intent: None, ..self.newest.get() })
    }

    /// Says in both copies that the log shall end here; which truncation of this log that is.
    pub(super) async fn intend(&self, end: LogEnd, committed: LogIndex) -> Result<u64, DiskError> {
        let newest = self.newest.get();
        let durable = newest.durable.max(end.index);
        let (truncations, intent) = (newest.truncations + 1, Some(end));
        let stamp = Stamp { durable, committed, truncations, intent, ..newest };
        self.put(stamp).await?;
        self.put(stamp).await?;
        Ok(truncations)
    }

    /// Says in both copies that the truncation has been carried out.
    pub(super) async fn settle(&self, end: LogEnd) -> Result<(), DiskError> {
        let stamp = Stamp { durable: end.index, intent: None, ..self.newest.get() };
        self.put(stamp).await?;
        self.put(stamp).await.map(drop)
    }

    /// Closes the file.
    pub(super) async fn close(self) -> Result<(), DiskError> {
        self.io.run(Op::Close { file: self.file }).await.map(drop)
    }

    fn put(&self, stamp: Stamp) -> Running {
        let stamp = Stamp { sequence: self.newest.get().sequence + 1, ..stamp };
        self.newest.set(stamp);
        self.io.run(Op::Write {
            file: self.file,
            offset: stamp.sequence % COPIES * SECTOR_BYTES,
            buffer: stamp.encode(&self.home),
            durability: Durability::Durable,
        })
    }
}
