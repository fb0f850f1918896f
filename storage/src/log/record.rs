//! One entry as bytes on disk: a header with a checksum for each sector, and the body.
//!
//! A record is whole sectors of 4096 bytes, so that no write touches bytes that were acknowledged
//! before. Each sector has its own checksum because a disk tears, loses and rots by sectors: which
//! ones are bad, and how, tells a torn append from rot (`verdict.rs`).
//!
//! Layout, little-endian; `s` is the number of sectors:
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 8 | magic `QrtRec01` |
//! | 8 | 4 | header checksum: CRC-32C of the disk id's 16 bytes and of bytes 12..b |
//! | 12 | 4 | checksum of the fixed part: CRC-32C of the disk id's 16 bytes and of bytes 16..192 |
//! | 16 | 16 | cluster |
//! | 32 | 16 | lineage |
//! | 48 | 8 | group |
//! | 56 | 8 | epoch |
//! | 64 | 8 | index |
//! | 72 | 8 | position |
//! | 80 | 8 | durable stamp: every entry up to this index was on stable storage before |
//! | 88 | 8 | events in all entries before |
//! | 96 | 4 | events in this entry |
//! | 100 | 1 | kind: 1 epoch, 2 events |
//! | 101 | 3 | zero |
//! | 104 | 4 | body length |
//! | 108 | 4 | zero |
//! | 112 | 8 | commit stamp: every entry up to this index was known to be committed then |
//! | 120 | 8 | zero |
//! | 128 | 32 | chain up to the entry before |
//! | 160 | 32 | chain with this entry |
//! | 192 | 4 × s | CRC-32C of each sector, of its part from b on |
//! | … | 0 or 4 | zero, up to b, the next multiple of 8 |
//! | b | … | body, then zeros up to the end of the last sector |
//!
//! The fixed part has a checksum of its own because it lies within 512 bytes, which every disk
//! writes at once: it is there or not, so its length can be trusted even where the rest is torn.

use std::ops::Range;

use quorate_core::id::{ChainHash, Epoch, LogIndex, Position};
use quorate_core::log::entry::{
    EntryHeader, EntryKind, LogEnd, LogId, RECORD_FIXED_BYTES, SECTOR_BYTES, body_offset,
    record_bytes, record_sectors,
};

use super::home::{
    Home, NUMBER_MAX, array_at, is_zero, log_id_at, put_u32, put_u64, u32_at, u64_at,
};
use crate::buffer::AlignedBuffer;

pub(super) const MAGIC: [u8; 8] = *b"QrtRec01";
/// What even a simple disk writes at once: the unit in which a torn write is looked at.
const PIECE_BYTES: usize = 512;
const SECTOR: usize = SECTOR_BYTES as usize;
const FIXED: usize = RECORD_FIXED_BYTES as usize;

/// All that a record's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RecordHeader {
    pub(super) entry: EntryHeader,
    pub(super) log: LogId,
    /// Every entry up to this one was durable when the record was made.
    pub(super) durable: LogIndex,
    /// Every entry up to this one was known to be committed when the record was made.
    pub(super) committed: LogIndex,
}

/// What a record says of the log when it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Stamps {
    /// Every entry up to this one was durable.
    pub(super) durable: LogIndex,
    /// Every entry up to this one was known to be committed.
    pub(super) committed: LogIndex,
}

impl RecordHeader {
    /// How many bytes the whole record takes.
    pub(super) fn bytes(&self) -> usize {
        record_bytes(self.entry.body_bytes) as usize
    }

    /// What the log is before this entry, by its own account; the epoch is at most this.
    pub(super) fn before(&self) -> LogEnd {
        LogEnd {
            index: self.entry.index.previous(),
            epoch: self.entry.epoch,
            position: self.entry.position,
            chain: self.entry.previous_chain,
            events: self.entry.events_before,
        }
    }

    /// Where in the record the body is.
    pub(super) fn body(&self) -> Range<usize> {
        let start = body_offset(self.entry.body_bytes) as usize;
        start..start + self.entry.body_bytes as usize
    }
}

/// Why bytes are not a record's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeaderError {
    /// They don't begin like one.
    Magic,
    /// The header, or the record that it describes, is longer than the bytes.
    Length,
    /// They are not what was written.
    Checksum,
    /// A kind that this version doesn't know, a number that can't be, or a reserved byte that is not
    /// zero, though the checksum holds.
    Content,
}

/// Makes the record of an entry.
pub(super) fn encode(
    home: &Home,
    entry: &EntryHeader,
    stamps: Stamps,
    body: &[u8],
) -> AlignedBuffer {
    assert_eq!(body.len(), entry.body_bytes as usize, "the header describes this body");
    let mut record = AlignedBuffer::zeroed(record_bytes(entry.body_bytes) as usize);
    let bytes: &mut [u8] = &mut record;
    let body_start = body_offset(entry.body_bytes) as usize;
    bytes[body_start..body_start + body.len()].copy_from_slice(body);
    for sector in 0..record_sectors(entry.body_bytes) as usize {
        let checksum = crc32c::crc32c(&bytes[covered(sector, body_start)]);
        put_u32(bytes, FIXED + 4 * sector, checksum);
    }
    let header = &mut bytes[..body_start];
    header[0..8].copy_from_slice(&MAGIC);
    home.put_log(&mut header[16..56]);
    put_u64(header, 56, entry.epoch.get());
    put_u64(header, 64, entry.index.get());
    put_u64(header, 72, entry.position.get());
    put_u64(header, 80, stamps.durable.get());
    put_u64(header, 88, entry.events_before);
    put_u32(header, 96, entry.event_count);
    header[100] = entry.kind.code();
    put_u32(header, 104, entry.body_bytes);
    put_u64(header, 112, stamps.committed.get());
    header[128..160].copy_from_slice(&entry.previous_chain.to_bytes());
    header[160..192].copy_from_slice(&entry.chain.to_bytes());
    let checksum = home.fixed_checksum(&header[..FIXED]);
    put_u32(header, 12, checksum);
    let checksum = home.checksum(header);
    put_u32(header, 8, checksum);
    record
}

/// Reads the header at the start of `bytes`, of which there are at least a sector.
pub(super) fn decode_header(bytes: &[u8], home: &Home) -> Result<RecordHeader, HeaderError> {
    let body_bytes = body_bytes(bytes, home)?;
    let header = bytes.get(..body_offset(body_bytes) as usize).ok_or(HeaderError::Length)?;
    if home.checksum(header) != u32_at(header, 8) {
        return Err(HeaderError::Checksum);
    }
    let kind = EntryKind::from_code(header[100]).ok_or(HeaderError::Content)?;
    if !is_zero(&header[101..104]) || !is_zero(&header[108..112]) || !is_zero(&header[120..128]) {
        return Err(HeaderError::Content);
    }
    let numbers = [56, 64, 72, 80, 88, 112].map(|at| u64_at(header, at));
    if numbers.iter().any(|number| *number > NUMBER_MAX) || u64_at(header, 64) == 0 {
        return Err(HeaderError::Content);
    }
    let entry = EntryHeader {
        epoch: Epoch::from_wire(u64_at(header, 56)),
        index: LogIndex::from_wire(u64_at(header, 64)),
        position: Position::from_wire(u64_at(header, 72)),
        kind,
        body_bytes,
        event_count: u32_at(header, 96),
        events_before: u64_at(header, 88),
        previous_chain: ChainHash::from_bytes(array_at(header, 128)),
        chain: ChainHash::from_bytes(array_at(header, 160)),
    };
    Ok(RecordHeader {
        entry,
        log: log_id_at(header, 16),
        durable: LogIndex::from_wire(u64_at(header, 80)),
        committed: LogIndex::from_wire(u64_at(header, 112)),
    })
}

/// The body length in a fixed part, once that is checked.
fn body_bytes(bytes: &[u8], home: &Home) -> Result<u32, HeaderError> {
    if bytes[0..8] != MAGIC {
        Err(HeaderError::Magic)
    } else if home.fixed_checksum(&bytes[..FIXED]) != u32_at(bytes, 12) {
        Err(HeaderError::Checksum)
    } else {
        Ok(u32_at(bytes, 104))
    }
}

/// The length of the record that starts here, by the fixed part of its header.
///
/// For a reader that has only its first sector and must know how much more to read.
pub(super) fn claimed_bytes(sector: &[u8], home: &Home) -> Option<u64> {
    body_bytes(sector, home).ok().map(record_bytes)
}

/// The sectors of a whole record that are not what was written.
///
/// - `record`: exactly the bytes of the record with this header
pub(super) fn bad_sectors<'a>(
    record: &'a [u8],
    header: &RecordHeader,
) -> impl Iterator<Item = usize> + 'a {
    assert_eq!(record.len(), header.bytes(), "the whole record is checked");
    let body_start = header.body().start;
    (0..record.len() / SECTOR).filter(move |sector| {
        crc32c::crc32c(&record[covered(*sector, body_start)]) != u32_at(record, FIXED + 4 * sector)
    })
}

/// Whether a bad sector of a record with a good header looks as a torn write leaves it: some piece
/// of it, which should hold a part of the body, was never written.
pub(super) fn sector_is_torn(record: &[u8], header: &RecordHeader, sector: usize) -> bool {
    let body = header.body();
    let start = body.start.max(sector * SECTOR);
    let end = body.end.min((sector + 1) * SECTOR);
    has_blank_piece(record, start..end)
}

/// Whether a header that can't be read looks as a torn write leaves it: without its first piece, or
/// with a good fixed part and without another piece.
pub(super) fn header_is_torn(bytes: &[u8], home: &Home) -> bool {
    let bytes_of_header = match body_bytes(bytes, home) {
        Ok(body_bytes) => (body_offset(body_bytes) as usize).min(bytes.len()),
        Err(_) => FIXED,
    };
    has_blank_piece(bytes, 0..bytes_of_header)
}

/// Whether one of the pieces that overlap this range is all zero.
fn has_blank_piece(bytes: &[u8], range: Range<usize>) -> bool {
    if range.is_empty() {
        return false;
    }
    (range.start / PIECE_BYTES..range.end.div_ceil(PIECE_BYTES))
        .any(|piece| is_zero(&bytes[piece * PIECE_BYTES..][..PIECE_BYTES]))
}

/// The part of a sector that its checksum covers: what does not belong to the header.
fn covered(sector: usize, body_start: usize) -> Range<usize> {
    let end = (sector + 1) * SECTOR;
    body_start.clamp(sector * SECTOR, end)..end
}
