//! A segment file's own two parts: a header before its records and a footer behind them.
//!
//! Both say what can be recomputed from the records. The header lets a start know where a segment
//! belongs and what came before it; the footer, written once every record is on stable storage, lets
//! a start trust the segment without reading it, and a reader find a record by its position.
//!
//! A segment file is `log/<base position as 16 hexadecimal digits>.segment`:
//!
//! | offset | bytes | part |
//! |---|---|---|
//! | 0 | 4096 | header |
//! | 4096 | … | records, one behind the other; then zeros |
//! | length − 8192 | 8192 | footer; zeros until the segment is sealed |
//!
//! Header, little-endian:
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 8 | magic `QrtSegmt` |
//! | 8 | 4 | checksum: CRC-32C of the disk id's 16 bytes and of bytes 12..4096 |
//! | 12 | 4 | length of the file |
//! | 16 | 16 | cluster |
//! | 32 | 16 | lineage |
//! | 48 | 8 | group |
//! | 56 | 16 | disk |
//! | 72 | 8 | node |
//! | 80 | 8 | durable stamp, as in a record |
//! | 88 | 8 | version of the log's format: 1. A later one keeps magic, checksum and this |
//! | 96 | 64 | start: what comes before the first record |
//! | 160 | 8 | commit stamp, as in a record |
//! | 168 | 3928 | zero |
//!
//! Footer:
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 8 | magic `QrtSegEn` |
//! | 8 | 4 | checksum: CRC-32C of the disk id's 16 bytes and of bytes 12..8192 |
//! | 12 | 4 | checksum of the fixed part: CRC-32C of the disk id's 16 bytes and of bytes 16..96 |
//! | 16 | 8 | base position |
//! | 24 | 4 | anchors |
//! | 28 | 4 | zero |
//! | 32 | 64 | end: what the last record leaves |
//! | 96 | 4 × anchors | places where a record starts, in sectors from the first record, ascending |
//! | … | … | zero |
//!
//! Start and end: index (8), epoch (8), position (8), events (8), chain (32).

use quorate_core::id::{ChainHash, DiskId, Epoch, LogIndex, NodeId, Position};
use quorate_core::log::entry::{LogEnd, SECTOR_BYTES};

use super::home::{
    Home, NUMBER_MAX, array_at, is_zero, log_id_at, put_u32, put_u64, u32_at, u64_at,
};
use crate::buffer::AlignedBuffer;
use crate::disk::FileName;

/// The folder of segments and the stamp.
pub(super) const FOLDER: &str = "log";
/// Where the first record starts.
pub(super) const RECORDS_OFFSET: u64 = SECTOR_BYTES;
/// A footer's length.
pub(super) const FOOTER_BYTES: u64 = 2 * SECTOR_BYTES;

/// The version of the log's format.
pub(super) const VERSION: u64 = 1;

/// What even a simple disk writes at once.
const PIECE_BYTES: usize = 512;
const HEADER_MAGIC: [u8; 8] = *b"QrtSegmt";
const FOOTER_MAGIC: [u8; 8] = *b"QrtSegEn";
const ANCHORS_AT: usize = 96;
const ANCHORS_MAX: u64 = (FOOTER_BYTES - ANCHORS_AT as u64) / 4;
const ANCHOR_SPACING_BYTES: u64 = 256 << 10;

/// A segment's file name.
pub(super) fn file_name(base: Position) -> FileName {
    format!("{FOLDER}/{:016x}.segment", base.get()).into()
}

/// The base position in a segment's file name.
pub(super) fn base_of(name: &str) -> Option<Position> {
    let digits = name.strip_prefix(FOLDER)?.strip_prefix('/')?.strip_suffix(".segment")?;
    let base = Position::from_wire(u64::from_str_radix(digits, 16).ok()?);
    let can_be = base.get() <= NUMBER_MAX && base.get().is_multiple_of(SECTOR_BYTES);
    (can_be && *file_name(base) == *name).then_some(base)
}

/// Where records may lie in a segment of this length.
pub(super) fn records_bytes(segment_bytes: u64) -> u64 {
    segment_bytes - RECORDS_OFFSET - FOOTER_BYTES
}

/// What the first sector of a segment says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    pub(super) home: Home,
    pub(super) node: NodeId,
    pub(super) segment_bytes: u32,
    /// Every entry up to this one was durable when the segment was begun.
    pub(super) durable: LogIndex,
    /// Every entry up to this one was known to be committed when the segment was begun.
    pub(super) committed: LogIndex,
    /// What comes before its first record; its position is the base.
    pub(super) start: LogEnd,
}

/// Why a sector is not a segment's header, or two sectors not its footer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PartError {
    /// All zero: never written.
    Blank,
    /// Something else than what was written.
    Damaged,
    /// Of a version that this program doesn't know.
    Version(u64),
}

impl SegmentHeader {
    pub(super) fn encode(&self) -> AlignedBuffer {
        let mut sector = AlignedBuffer::zeroed(RECORDS_OFFSET as usize);
        sector[0..8].copy_from_slice(&HEADER_MAGIC);
        put_u32(&mut sector, 12, self.segment_bytes);
        self.home.put_log(&mut sector[16..56]);
        sector[56..72].copy_from_slice(&self.home.disk.to_bytes());
        put_u64(&mut sector, 72, self.node.get());
        put_u64(&mut sector, 80, self.durable.get());
        put_u64(&mut sector, 88, VERSION);
        put_end(&mut sector[96..160], &self.start);
        put_u64(&mut sector, 160, self.committed.get());
        let checksum = self.home.checksum(&sector);
        put_u32(&mut sector, 8, checksum);
        sector
    }

    /// Reads a header, of whichever log and disk it says that it is.
    ///
    /// - `sector`: exactly one
    pub(super) fn decode(sector: &[u8]) -> Result<Self, PartError> {
        check_magic(sector, HEADER_MAGIC)?;
        let home =
            Home { log: log_id_at(sector, 16), disk: DiskId::from_bytes(array_at(sector, 56)) };
        if home.checksum(sector) != u32_at(sector, 8) {
            return Err(PartError::Damaged);
        }
        if u64_at(sector, 88) != VERSION {
            return Err(PartError::Version(u64_at(sector, 88)));
        }
        let (durable, committed) = (u64_at(sector, 80), u64_at(sector, 160));
        let start = end_at(sector, 96).ok_or(PartError::Damaged)?;
        if !is_zero(&sector[168..]) || durable > NUMBER_MAX || committed > NUMBER_MAX {
            return Err(PartError::Damaged);
        }
        Ok(Self {
            home,
            node: NodeId::from_wire(u64_at(sector, 72)),
            segment_bytes: u32_at(sector, 12),
            durable: LogIndex::from_wire(durable),
            committed: LogIndex::from_wire(committed),
            start,
        })
    }
}

/// What the end of a sealed segment says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SegmentFooter {
    pub(super) base: Position,
    /// What its last record leaves.
    pub(super) end: LogEnd,
    pub(super) anchors: Vec<u32>,
}

impl SegmentFooter {
    pub(super) fn encode(&self, home: &Home) -> AlignedBuffer {
        let mut sectors = AlignedBuffer::zeroed(FOOTER_BYTES as usize);
        sectors[0..8].copy_from_slice(&FOOTER_MAGIC);
        put_u64(&mut sectors, 16, self.base.get());
        put_u32(&mut sectors, 24, self.anchors.len() as u32);
        put_end(&mut sectors[32..96], &self.end);
        for (index, anchor) in self.anchors.iter().enumerate() {
            put_u32(&mut sectors, ANCHORS_AT + 4 * index, *anchor);
        }
        let checksum = home.fixed_checksum(&sectors[..ANCHORS_AT]);
        put_u32(&mut sectors, 12, checksum);
        let checksum = home.checksum(&sectors);
        put_u32(&mut sectors, 8, checksum);
        sectors
    }

    /// Reads the footer of the segment with this base, in a file of this length.
    ///
    /// - `sectors`: exactly two
    pub(super) fn decode(
        sectors: &[u8],
        home: &Home,
        base: Position,
        file_bytes: u64,
    ) -> Result<Self, PartError> {
        check_magic(sectors, FOOTER_MAGIC)?;
        let count = u64::from(u32_at(sectors, 24));
        if home.checksum(sectors) != u32_at(sectors, 8)
            || u64_at(sectors, 16) != base.get()
            || count > ANCHORS_MAX
            || !is_zero(&sectors[28..32])
            || !is_zero(&sectors[ANCHORS_AT + 4 * count as usize..])
        {
            return Err(PartError::Damaged);
        }
        let end = end_at(sectors, 32).ok_or(PartError::Damaged)?;
        let anchors = (0..count as usize).map(|index| u32_at(sectors, ANCHORS_AT + 4 * index));
        let anchors: Vec<u32> = anchors.collect();
        let records = base.get()..=base.get() + records_bytes(file_bytes);
        let below_end =
            |anchor: &u32| base.get() + u64::from(*anchor) * SECTOR_BYTES < end.position.get();
        if !records.contains(&end.position.get())
            || !anchors.is_sorted_by(|one, next| one < next)
            || !anchors.last().is_none_or(below_end)
        {
            return Err(PartError::Damaged);
        }
        Ok(Self { base, end, anchors })
    }
}

/// Gathers places in a segment where a record starts, not too many.
#[derive(Clone, Debug)]
pub(super) struct Anchors {
    spacing: u64,
    next: u64,
    sectors: Vec<u32>,
}

impl Anchors {
    /// None yet, for a segment of this length.
    pub(super) fn new(segment_bytes: u64) -> Self {
        let spacing = ANCHOR_SPACING_BYTES.max(segment_bytes / ANCHORS_MAX + 1);
        Self { spacing, next: 0, sectors: Vec::new() }
    }

    /// Those of a segment whose records now end so many bytes behind the base.
    pub(super) fn cut(segment_bytes: u64, mut sectors: Vec<u32>, distance: u64) -> Self {
        sectors.retain(|sector| u64::from(*sector) * SECTOR_BYTES < distance);
        let mut anchors = Self::new(segment_bytes);
        if let Some(last) = sectors.last() {
            anchors.next = u64::from(*last) * SECTOR_BYTES + anchors.spacing;
        }
        Self { sectors, ..anchors }
    }

    /// Takes note of a record that starts so many bytes behind the base; in ascending order.
    pub(super) fn note(&mut self, distance: u64) {
        if distance >= self.next {
            self.sectors.push((distance / SECTOR_BYTES) as u32);
            self.next = distance + self.spacing;
        }
    }

    pub(super) fn sectors(&self) -> &[u32] {
        &self.sectors
    }
}

/// Whether a footer that can't be read looks as an unfinished write leaves it: without its first
/// piece, or with a good fixed part and without another piece that should hold anchors.
pub(super) fn footer_is_torn(sectors: &[u8], home: &Home) -> bool {
    let fixed = &sectors[..ANCHORS_AT];
    let anchors = if home.fixed_checksum(fixed) == u32_at(fixed, 12) {
        u64::from(u32_at(fixed, 24)).min(ANCHORS_MAX) as usize
    } else {
        0
    };
    let pieces = (ANCHORS_AT + 4 * anchors).div_ceil(PIECE_BYTES);
    sectors.chunks_exact(PIECE_BYTES).take(pieces).any(is_zero)
}

fn check_magic(bytes: &[u8], magic: [u8; 8]) -> Result<(), PartError> {
    if is_zero(bytes) {
        Err(PartError::Blank)
    } else if bytes[..8] != magic {
        Err(PartError::Damaged)
    } else {
        Ok(())
    }
}

pub(super) fn put_end(out: &mut [u8], end: &LogEnd) {
    put_u64(out, 0, end.index.get());
    put_u64(out, 8, end.epoch.get());
    put_u64(out, 16, end.position.get());
    put_u64(out, 24, end.events);
    out[32..64].copy_from_slice(&end.chain.to_bytes());
}

pub(super) fn end_at(bytes: &[u8], at: usize) -> Option<LogEnd> {
    let numbers = [at, at + 8, at + 16, at + 24].map(|at| u64_at(bytes, at));
    let [index, epoch, position, events] = numbers;
    let can_be = numbers.iter().all(|number| *number <= NUMBER_MAX);
    (can_be && position.is_multiple_of(SECTOR_BYTES)).then(|| LogEnd {
        index: LogIndex::from_wire(index),
        epoch: Epoch::from_wire(epoch),
        position: Position::from_wire(position),
        events,
        chain: ChainHash::from_bytes(array_at(bytes, at + 32)),
    })
}
