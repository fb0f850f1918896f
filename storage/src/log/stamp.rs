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
//! | 72 | 4024 | zero |

use quorate_core::id::LogIndex;
use quorate_core::log::entry::SECTOR_BYTES;

use super::home::{Home, NUMBER_MAX, is_zero, log_id_at, put_u64, u32_at, u64_at};
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
}

impl Stamp {
    pub(super) fn encode(&self, home: &Home) -> AlignedBuffer {
        let mut sector = AlignedBuffer::zeroed(SECTOR);
        sector[0..8].copy_from_slice(&MAGIC);
        home.put_log(&mut sector[16..56]);
        put_u64(&mut sector, 56, self.sequence);
        put_u64(&mut sector, 64, self.durable.get());
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
            && is_zero(&sector[72..])
            && u64_at(sector, 56) <= NUMBER_MAX
            && u64_at(sector, 64) <= NUMBER_MAX;
        whole.then(|| Self {
            sequence: u64_at(sector, 56),
            durable: LogIndex::from_wire(u64_at(sector, 64)),
        })
    }
}

/// What was found of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// There is none, or none that was ever written.
    Nothing,
    /// The newer copy that can be read.
    Stamp(Stamp),
    /// It has been written, and no copy can be read.
    Damaged,
}

/// Reads the newer whole copy of a file's contents.
pub(super) fn newest(contents: &[u8], home: &Home) -> Found {
    if is_zero(contents) {
        return Found::Nothing;
    }
    let stamps = contents.chunks_exact(SECTOR).filter_map(|sector| Stamp::decode(sector, home));
    stamps.max_by_key(|stamp| stamp.sequence).map_or(Found::Damaged, Found::Stamp)
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

/// The file, open for writing.
pub(super) struct StampFile {
    io: Io,
    home: Home,
    file: FileId,
    sequence: u64,
}

impl StampFile {
    /// Makes the file anew with what is known, durably, in place of one that may exist.
    ///
    /// Done where there is none that can be read.
    pub(super) async fn make(io: &Io, home: &Home, stamp: Stamp) -> Result<Self, DiskError> {
        let bytes = COPIES * SECTOR_BYTES;
        let done = io.run(Op::Create { name: FILE_BEING_MADE.into(), bytes }).await?;
        let Done::Opened { file, .. } = done else { unreachable!("a create opens the file") };
        let mut made = Self { io: io.clone(), home: *home, file, sequence: stamp.sequence };
        made.write(stamp.durable).await?;
        io.run(Op::Sync { file }).await?;
        io.run(Op::Rename { from: FILE_BEING_MADE.into(), to: FILE.into() }).await?;
        Ok(made)
    }

    /// Opens the file to write behind what was read from it.
    pub(super) async fn open(io: &Io, home: &Home, stamp: Stamp) -> Result<Self, DiskError> {
        let done = io.run(Op::Open { name: FILE.into(), access: Access::Direct }).await?;
        let Done::Opened { file, .. } = done else { unreachable!("an open gives a file") };
        Ok(Self { io: io.clone(), home: *home, file, sequence: stamp.sequence })
    }

    /// Writes a new stamp over the older copy; durable when it completes.
    pub(super) fn write(&mut self, durable: LogIndex) -> Running {
        self.sequence += 1;
        let stamp = Stamp { sequence: self.sequence, durable };
        self.io.run(Op::Write {
            file: self.file,
            offset: self.sequence % COPIES * SECTOR_BYTES,
            buffer: stamp.encode(&self.home),
            durability: Durability::Durable,
        })
    }
}
