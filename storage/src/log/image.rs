//! A segment's bytes in memory, and what they prove.
//!
//! Recovery and verification read whole segments at once and judge them here, without any I/O: what
//! is found at the place where the next record should be, and up to which entry something proves
//! that the log was on stable storage. Together they tell a torn append from a lost or rotten one.

use std::collections::BTreeSet;

use quorate_core::event::{EventFrame, frames};
use quorate_core::id::{LogIndex, Position};
use quorate_core::log::entry::{EntryKind, LogEnd, SECTOR_BYTES};

use super::corruption::{Corruption, Damage, Part};
use super::home::{Home, is_zero};
use super::record::{self, RecordHeader};
use super::segment::{self, RECORDS_OFFSET, records_bytes};
use crate::buffer::AlignedBuffer;
use crate::disk::{Access, DiskError, Done, FileName, Op};
use crate::io::Io;

const SECTOR: usize = SECTOR_BYTES as usize;
/// Streams that a corruption names.
const STREAMS_MAX: usize = 16;

/// A segment file as it was read.
pub(super) struct SegmentImage {
    pub(super) base: Position,
    bytes: AlignedBuffer,
}

/// What is where the next record should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The next record, whole, and continuing the chain.
    Present(RecordHeader),
    /// Zeros, or the end of the room for records.
    Blank,
    /// Something else.
    Bad(Bad),
}

/// A record that is not what was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bad {
    pub(super) damage: Damage,
    /// The first bad byte, counted from the record's start.
    pub(super) offset: u64,
    pub(super) streams: Vec<String>,
    /// All that is bad about it can come from a write that was never finished.
    pub(super) may_be_torn: bool,
}

impl SegmentImage {
    /// Reads a whole segment past the page cache.
    pub(super) async fn read(io: &Io, base: Position) -> Result<Self, DiskError> {
        let name = segment::file_name(base);
        let done = io.run(Op::Open { name, access: Access::Direct }).await?;
        let Done::Opened { file, bytes } = done else { unreachable!("an open gives a file") };
        let buffer = AlignedBuffer::zeroed(bytes as usize);
        let read = io.run(Op::Read { file, offset: 0, buffer }).await;
        io.run(Op::Close { file }).await?;
        let Done::Transferred(bytes) = read? else { unreachable!("a read gives its buffer") };
        Ok(Self { base, bytes })
    }

    pub(super) fn name(&self) -> FileName {
        segment::file_name(self.base)
    }

    pub(super) fn file_bytes(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// All room for records from this position on.
    pub(super) fn records_from(&self, position: Position) -> &[u8] {
        let records = records_bytes(self.file_bytes()) as usize;
        let area = &self.bytes[RECORDS_OFFSET as usize..][..records];
        &area[(position.since(self.base) as usize).min(records)..]
    }

    /// Takes all from this position on for blank: a truncation removes it.
    pub(super) fn forget_from(&mut self, position: Position) {
        let start = self.bytes.len().min(self.offset_of(position) as usize);
        self.bytes[start..].fill(0);
    }

    /// Says that a part of this file is damaged.
    pub(super) fn part(&self, part: Part, offset: u64, damage: Damage) -> Corruption {
        Corruption { file: self.name(), offset, part, damage, streams: Vec::new() }
    }

    /// Where in the file a position lies.
    pub(super) fn offset_of(&self, position: Position) -> u64 {
        RECORDS_OFFSET + position.since(self.base)
    }

    /// Visits record after record from the end `from` on, until there is no next one here.
    ///
    /// Gives where the last one ends, and what is there instead of a next.
    pub(super) fn walk(
        &self,
        home: &Home,
        from: LogEnd,
        mut visit: impl FnMut(&RecordHeader, &[u8]),
    ) -> (LogEnd, Verdict) {
        let mut end = from;
        loop {
            let bytes = self.records_from(end.position);
            match examine(bytes, home, &end) {
                Verdict::Present(header) => {
                    visit(&header, &bytes[header.body()]);
                    end = LogEnd::after(&header.entry);
                }
                verdict @ (Verdict::Blank | Verdict::Bad(_)) => return (end, verdict),
            }
        }
    }

    /// Up to which entry something in the records from here on proves that the log was durable.
    ///
    /// Every sector may be the start of a record; one with a good header at the place that it names
    /// was submitted once, and knew then what was durable.
    pub(super) fn durable_evidence(&self, home: &Home, from: Position) -> LogIndex {
        self.headers_from(home, from).map(|header| header.durable).max().unwrap_or_default()
    }

    /// The good headers at the places that they name, from this position on.
    pub(super) fn headers_from<'a>(
        &'a self,
        home: &'a Home,
        from: Position,
    ) -> impl Iterator<Item = RecordHeader> + 'a {
        let bytes = self.records_from(from);
        (0..bytes.len()).step_by(SECTOR).filter_map(move |offset| {
            let header = record::decode_header(&bytes[offset..], home).ok()?;
            let in_place = header.entry.position == from.plus(offset as u64);
            (in_place && header.log == home.log).then_some(header)
        })
    }

    /// The good header of a record that starts at this position.
    pub(super) fn header_at(&self, home: &Home, position: Position) -> Option<RecordHeader> {
        let is_sector = position.get().is_multiple_of(SECTOR_BYTES);
        let first = is_sector.then(|| self.headers_from(home, position).next()).flatten();
        first.filter(|header| header.entry.position == position)
    }

    /// How many bytes from this position on are up to the last one that is not zero, in sectors.
    pub(super) fn written_bytes(&self, from: Position) -> u64 {
        let bytes = self.records_from(from);
        let last = bytes.chunks_exact(SECTOR).rposition(|sector| !is_zero(sector));
        last.map_or(0, |last| (last as u64 + 1) * SECTOR_BYTES)
    }

    /// Says that the record that should follow this end is lost.
    pub(super) fn lost(&self, end: &LogEnd) -> Corruption {
        let bad = Bad { damage: Damage::Lost, offset: 0, streams: Vec::new(), may_be_torn: true };
        self.corruption(end, &bad)
    }

    /// Names what is wrong with the record that should follow this end.
    pub(super) fn corruption(&self, end: &LogEnd, bad: &Bad) -> Corruption {
        Corruption {
            file: self.name(),
            offset: self.offset_of(end.position) + bad.offset,
            part: Part::Record { index: Some(end.index.next()), position: end.position },
            damage: bad.damage,
            streams: bad.streams.clone(),
        }
    }
}

/// Judges what lies where the record that continues `after` should be.
///
/// - `bytes`: from there up to the end of the room for records; whole sectors
pub(super) fn examine(bytes: &[u8], home: &Home, after: &LogEnd) -> Verdict {
    let Some(sector) = bytes.get(..SECTOR) else { return Verdict::Blank };
    let header = match record::decode_header(bytes, home) {
        Ok(header) => header,
        Err(_) if is_zero(sector) => return Verdict::Blank,
        Err(_) => {
            let may_be_torn = record::header_is_torn(bytes, home);
            let damage = Damage::Rotten;
            return Verdict::Bad(Bad { damage, offset: 0, streams: Vec::new(), may_be_torn });
        }
    };
    let entry = &header.entry;
    let in_place = entry.position == after.position
        && entry.index == after.index.next()
        && header.log == home.log;
    let Some(record) = bytes.get(..header.bytes()).filter(|_| in_place) else {
        let damage = Damage::Misplaced { index: entry.index, position: entry.position };
        return Verdict::Bad(Bad { damage, offset: 0, streams: Vec::new(), may_be_torn: false });
    };
    if let Some(bad) = check_sectors(record, &header) {
        return Verdict::Bad(bad);
    }
    let body = &record[header.body()];
    let continues = entry.previous_chain == after.chain
        && entry.events_before == after.events
        && entry.epoch >= after.epoch
        && entry.chain == entry.expected_chain(&home.log, body);
    if continues {
        Verdict::Present(header)
    } else {
        let streams = streams_touched(record, &header, |_| true);
        Verdict::Bad(Bad { damage: Damage::Chain, offset: 0, streams, may_be_torn: false })
    }
}

/// Whether the events in a body are as many as the header says, and each what its writer sent.
pub(super) fn events_are_good(header: &RecordHeader, body: &[u8]) -> bool {
    let is_good = |frame: EventFrame<'_>| {
        crc32c::crc32c(frame.content()) == frame.content_checksum() && frame.verify_header().is_ok()
    };
    match header.entry.kind {
        EntryKind::Epoch => header.entry.event_count == 0,
        EntryKind::Events => {
            let mut count = 0;
            let all_good = frames(body).all(|frame| {
                count += 1;
                frame.is_ok_and(|(_, frame)| is_good(frame))
            });
            all_good && count == header.entry.event_count
        }
    }
}

/// What is wrong with the sectors of a whole record, where something is.
pub(super) fn check_sectors(record: &[u8], header: &RecordHeader) -> Option<Bad> {
    let bad: Vec<usize> = record::bad_sectors(record, header).collect();
    let first = *bad.first()?;
    let may_be_torn = bad.iter().all(|sector| record::sector_is_torn(record, header, *sector));
    let streams = streams_touched(record, header, |sector| bad.contains(&sector));
    let offset = (first * SECTOR) as u64;
    Some(Bad { damage: Damage::Rotten, offset, streams, may_be_torn })
}

/// The streams of those events that reach into a bad sector, as far as their names can be read.
fn streams_touched(
    record: &[u8],
    header: &RecordHeader,
    is_bad: impl Fn(usize) -> bool,
) -> Vec<String> {
    if header.entry.kind != EntryKind::Events {
        return Vec::new();
    }
    let body = header.body();
    let mut streams = BTreeSet::new();
    // A frame whose length can't be read hides where the next one starts.
    for (offset, frame) in frames(&record[body.clone()]).map_while(Result::ok) {
        let start = body.start + offset;
        let end = start + frame.bytes().len();
        if (start / SECTOR..end.div_ceil(SECTOR)).any(&is_bad) {
            streams.insert(frame.stream().to_owned());
        }
        if streams.len() == STREAMS_MAX {
            break;
        }
    }
    streams.into_iter().collect()
}
