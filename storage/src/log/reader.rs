//! Reading the log: records from any position in either direction, and single events.
//!
//! Cheap to clone, and independent of the writer. What it is asked for is committed, but need not be
//! durable here: what this disk has not finished writing is read from memory. Everything that comes
//! from the disk is checked against its checksums before it is given out.

use std::cell::RefCell;
use std::ops::Deref;
use std::rc::Rc;

use quorate_core::event::{EventFrame, HEADER_BYTES};
use quorate_core::id::{LogIndex, Position};
use quorate_core::log::entry::{EntryHeader, SECTOR_BYTES};

use super::corruption::{Corruption, Damage, Part};
use super::files::OpenSegment;
use super::home::{Home, u32_at};
use super::image::check_sectors;
use super::record::{self, HeaderError, RecordHeader};
use super::recover::Segment;
use super::segment::{self, RECORDS_OFFSET};
use super::shared::Shared;
use super::tail::HeldRecord;
use crate::buffer::AlignedBuffer;
use crate::disk::DiskError;
use crate::io::Io;

/// About how many bytes of records a chunk has.
const CHUNK_BYTES: u64 = 256 << 10;

/// Why something can't be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The disk failed.
    #[error("the log can't be read: {0}")]
    Disk(#[from] DiskError),
    /// What is there is not what was written.
    #[error("the log is damaged: {0}")]
    Corrupt(Box<Corruption>),
    /// The log is good there, but no event starts at this position.
    #[error("no event starts at position {0}")]
    NoEvent(Position),
}

/// Whole records, in order and without a gap between them.
#[derive(Clone, Debug)]
pub struct Chunk {
    records: Vec<HeldRecord>,
    end: Position,
}

impl Chunk {
    /// Each record's header and body.
    pub fn records(&self) -> impl DoubleEndedIterator<Item = (&EntryHeader, &[u8])> {
        self.records.iter().map(|record| (&record.entry, record.body()))
    }

    /// Where the first record starts; the end, where there is none.
    #[must_use]
    pub fn start(&self) -> Position {
        self.records.first().map_or(self.end, |record| record.entry.position)
    }

    /// The address behind the last record.
    #[must_use]
    pub fn end(&self) -> Position {
        self.end
    }
}

/// The bytes of one event frame, checked.
#[derive(Debug)]
pub struct EventBytes {
    bytes: AlignedBuffer,
    start: usize,
    length: usize,
}

impl EventBytes {
    /// The event.
    ///
    /// # Panics
    ///
    /// Never: the frame was parsed when it was read.
    #[must_use]
    pub fn frame(&self) -> EventFrame<'_> {
        EventFrame::parse(self).expect("it was parsed when it was read")
    }
}

impl Clone for EventBytes {
    fn clone(&self) -> Self {
        Self { bytes: self.bytes.share(), start: self.start, length: self.length }
    }
}

impl Deref for EventBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[self.start..self.start + self.length]
    }
}

/// Reads one log. Clones read the same one.
#[derive(Clone)]
pub struct LogReader {
    pub(super) io: Io,
    pub(super) home: Home,
    pub(super) shared: Rc<RefCell<Shared>>,
}

/// What part of a segment to read.
struct Span {
    /// A place where a record starts.
    start: Position,
    /// Records before it are left out.
    first: First,
    /// Records that start from here on are left out.
    upto: Position,
    /// Nothing behind it is read.
    limit: Position,
    /// Enough.
    bytes: u64,
}

/// What a read begins with.
#[derive(Clone, Copy)]
enum First {
    /// The record that ends behind this.
    At(Position),
    /// This entry's record.
    Entry(LogIndex),
}

impl First {
    /// Whether a record comes before it.
    fn is_behind(self, entry: &EntryHeader) -> bool {
        match self {
            Self::At(position) => entry.end() <= position,
            Self::Entry(index) => entry.index < index,
        }
    }
}

impl LogReader {
    /// Reads records forwards: the one that holds `from` and some behind it.
    ///
    /// The chunk is empty only where `from` is not below `upto`. To go on, read from
    /// [`Chunk::end`].
    ///
    /// - `from`: any position; an event's, a record's, or one between
    /// - `upto`: where a record ends; nothing from there on is looked at
    ///
    /// # Errors
    ///
    /// [`ReadError`], also where a record before the first bad one could have been given.
    pub async fn read_forwards(&self, from: Position, upto: Position) -> Result<Chunk, ReadError> {
        if from >= upto {
            return Ok(Chunk { records: Vec::new(), end: from });
        }
        let held = self.shared.borrow().tail.forwards(from, upto, CHUNK_BYTES);
        if !held.is_empty() {
            return Ok(chunk(held));
        }
        let (segment, file) = self.open(from).await?;
        let on_disk = self.shared.borrow().on_disk(upto);
        let limit = on_disk.min(segment.room_end()).min(segment.sealed_end());
        let start = self.anchor(&segment, &file, from);
        let known = self.shared.borrow().start_before(from);
        let start = known.map_or(start, |known| start.max(known));
        let first = First::At(from);
        let span = Span { start, first, upto: limit, limit, bytes: CHUNK_BYTES };
        let truncations = self.shared.borrow().truncations;
        let records = self.read_span(&segment, &file, &span).await?;
        let mut shared = self.shared.borrow_mut();
        if shared.truncations == truncations {
            shared.remember(&records);
        }
        Ok(chunk(records))
    }

    /// Reads records backwards: the one that holds the byte before `before` and some before it.
    ///
    /// The chunk is in ascending order, and empty only at the start of the log. To go on, read
    /// before [`Chunk::start`].
    ///
    /// - `before`: any position but zero; an event's, a record's, or one between
    /// - `upto`: where a record ends, not below `before`; nothing from there on is looked at
    ///
    /// # Errors
    ///
    /// [`ReadError`], also where a record behind the last bad one could have been given.
    pub async fn read_backwards(
        &self,
        before: Position,
        upto: Position,
    ) -> Result<Chunk, ReadError> {
        assert!(before <= upto, "a read backwards starts at the end at most");
        let Some(last) = before.get().checked_sub(1) else {
            return Ok(Chunk { records: Vec::new(), end: before });
        };
        let last = Position::from_wire(last);
        let held = self.shared.borrow().tail.backwards(last, CHUNK_BYTES);
        if !held.is_empty() {
            return Ok(chunk(held));
        }
        let (segment, file) = self.open(last).await?;
        let on_disk = self.shared.borrow().on_disk(upto);
        let limit = on_disk.min(segment.room_end()).min(segment.sealed_end());
        let start = self.anchor(&segment, &file, last);
        let first = First::At(start);
        let span = Span { start, first, upto: before.min(limit), limit, bytes: u64::MAX };
        Ok(chunk(self.read_span(&segment, &file, &span).await?))
    }

    /// Reads the event whose frame starts here. It must be committed.
    ///
    /// # Errors
    ///
    /// [`ReadError::NoEvent`] where no frame starts there, though the record is good.
    pub async fn read_event(&self, position: Position) -> Result<EventBytes, ReadError> {
        if let Some(record) = self.shared.borrow().tail.holding(position) {
            let offset = position.get().checked_sub(record.entry.body_position().get());
            let start = record.body.start + offset.ok_or(ReadError::NoEvent(position))? as usize;
            return event(record.bytes.share(), start, record.body.end)
                .ok_or(ReadError::NoEvent(position));
        }
        let (segment, file) = self.open(position).await?;
        // Where the record is good though the event was not, it was mended in between.
        for _look in 0..2 {
            if let Some(event) = event_on_disk(&segment, &file, position).await? {
                return Ok(event);
            }
            // Either the record is damaged, and reading it says how, or the position is wrong.
            let upto = self.record_end(&segment, &file, position).await?;
            self.read_forwards(position, upto).await?;
        }
        Err(ReadError::NoEvent(position))
    }

    /// A position where a record starts, from which on there are at least so many events, or all.
    ///
    /// - `events_total`: as many as the log has
    ///
    /// # Errors
    ///
    /// [`ReadError`] where the headers that lead there can't be read.
    pub async fn start_of_last(
        &self,
        events: u64,
        events_total: u64,
    ) -> Result<Position, ReadError> {
        let wanted = events_total.saturating_sub(events);
        let (base, sealed_anchors) = {
            let shared = self.shared.borrow();
            let number = shared.segments.partition_point(|held| held.start.events <= wanted);
            let segment = &shared.segments[number.saturating_sub(1)];
            (segment.base(), segment.anchors.clone())
        };
        let (segment, file) = self.open(base).await?;
        let anchors = match &sealed_anchors {
            Some(anchors) => anchors.sectors().to_vec(),
            None => file.anchors.clone().unwrap_or_default(),
        };
        self.last_anchor(&segment, &file, &anchors, |entry| entry.events_before <= wanted).await
    }

    /// Reads entries for a replica that lacks them, from this one on: at least one, and no more than
    /// make up `bytes_max`. Nothing where `from` is not durable, or just now ceased to be.
    ///
    /// They need not be committed, and may be removed as soon as they were read.
    ///
    /// # Errors
    ///
    /// [`ReadError`] where the entry, or one of those behind it that were read with it, is damaged.
    pub async fn read_entries(
        &self,
        from: LogIndex,
        bytes_max: u64,
    ) -> Result<Option<Chunk>, ReadError> {
        assert!(from > LogIndex::ZERO, "no entry is before the first");
        let truncations = {
            let shared = self.shared.borrow();
            if from > shared.durable {
                return Ok(None);
            }
            let held = shared.tail.entries(from, shared.durable, bytes_max);
            if !held.is_empty() {
                return Ok(Some(chunk(held)));
            }
            shared.truncations
        };
        let found = self.entries_on_disk(from, bytes_max).await;
        let mut shared = self.shared.borrow_mut();
        if shared.truncations != truncations {
            return Ok(None);
        }
        let mut records = found?;
        let mut bytes: u64 = records.iter().map(|record| record.length()).sum();
        while bytes > bytes_max && records.len() > 1 {
            bytes -= records.pop().map_or(0, |record| record.length());
        }
        shared.remember(&records);
        Ok(Some(chunk(records)))
    }

    /// Reads entries that are not in memory, from this one on, of one segment.
    async fn entries_on_disk(
        &self,
        from: LogIndex,
        bytes: u64,
    ) -> Result<Vec<HeldRecord>, ReadError> {
        let base = {
            let shared = self.shared.borrow();
            let number = shared.segments.partition_point(|held| held.start.index < from);
            shared.segments[number.saturating_sub(1)].base()
        };
        let (segment, file) = self.open(base).await?;
        let limit = self.shared.borrow().on_disk(segment.end.position);
        let anchors = match &segment.anchors {
            Some(anchors) => anchors.sectors(),
            None => file.anchors.as_deref().unwrap_or_default(),
        };
        let written = |sector: &u32| base.plus(u64::from(*sector) * SECTOR_BYTES) < limit;
        let anchors = &anchors[..anchors.partition_point(written)];
        let known = self.shared.borrow().start_of(from).filter(|known| *known >= base);
        let start = match known {
            Some(known) => known,
            None => self.last_anchor(&segment, &file, anchors, |entry| entry.index <= from).await?,
        };
        let first = First::Entry(from);
        let span = Span { start, first, upto: limit, limit, bytes: bytes.max(1) };
        let records = self.read_span(&segment, &file, &span).await?;
        if records.is_empty() {
            return Err(bad_record(&segment, limit, Some(from), Damage::Missing));
        }
        Ok(records)
    }

    /// The last of these places in a segment, or its base, whose record fulfils `is_before`: what
    /// those before it do as well.
    async fn last_anchor(
        &self,
        segment: &Segment,
        file: &OpenSegment,
        anchors: &[u32],
        is_before: impl Fn(&EntryHeader) -> bool,
    ) -> Result<Position, ReadError> {
        let base = segment.base();
        let (mut good, mut bad) = (0, anchors.len());
        while good + 1 < bad {
            let middle = good.midpoint(bad);
            let start = base.plus(u64::from(anchors[middle]) * SECTOR_BYTES);
            let header = self.read_header(segment, file, start).await?;
            if is_before(&header.entry) { good = middle } else { bad = middle }
        }
        let sector = anchors.get(good).copied().unwrap_or(0);
        Ok(base.plus(u64::from(sector) * SECTOR_BYTES))
    }

    /// The segment that holds a position, open.
    async fn open(&self, position: Position) -> Result<(Segment, Rc<OpenSegment>), DiskError> {
        let (segment, held, truncations) = {
            let mut shared = self.shared.borrow_mut();
            let number = shared.holding(position);
            let segment = shared.segments[number].clone();
            let held = shared.files.find(segment.base());
            (segment, held, shared.truncations)
        };
        if let Some(file) = held {
            return Ok((segment, file));
        }
        let opened =
            OpenSegment::open(&self.io, &self.home, segment.base(), segment.is_sealed()).await?;
        let file = Rc::new(opened);
        let mut shared = self.shared.borrow_mut();
        // A truncation may have removed it meanwhile, and another may get its name.
        if shared.truncations == truncations {
            shared.files.insert(segment.base(), file.clone());
        }
        Ok((segment, file))
    }

    /// The nearest anchor up to `position`.
    fn anchor(&self, segment: &Segment, file: &OpenSegment, position: Position) -> Position {
        let anchors = match &segment.anchors {
            Some(anchors) => anchors.sectors(),
            None => file.anchors.as_deref().unwrap_or_default(),
        };
        let distance = position.since(segment.base()) / SECTOR_BYTES;
        let behind = anchors.partition_point(|sector| u64::from(*sector) <= distance);
        let sector = behind.checked_sub(1).map_or(0, |number| anchors[number]);
        segment.base().plus(u64::from(sector) * SECTOR_BYTES)
    }

    /// Reads, checks and gathers records.
    async fn read_span(
        &self,
        segment: &Segment,
        file: &OpenSegment,
        span: &Span,
    ) -> Result<Vec<HeldRecord>, ReadError> {
        let mut found: Vec<HeldRecord> = Vec::new();
        let (mut at, mut gathered, mut needed) = (span.start, 0, SECTOR_BYTES);
        let mut index = (at == segment.base()).then(|| segment.start.index.next());
        while at < span.upto && gathered < span.bytes {
            let length = needed.max(CHUNK_BYTES).min(span.limit.since(at));
            let bytes = file.read(segment.offset_of(at), length as usize).await?;
            let mut offset = 0;
            while at < span.upto && gathered < span.bytes && offset < bytes.len() {
                let whole = span.limit.since(at);
                let header = match place(&bytes[offset..], &self.home, at, whole) {
                    Placed::Whole(header) => header,
                    Placed::Needs(more) => {
                        needed = more;
                        break;
                    }
                    Placed::Bad(damage) => return Err(bad_record(segment, at, index, damage)),
                };
                index = Some(header.entry.index);
                let record = &bytes[offset..offset + header.bytes()];
                if !span.first.is_behind(&header.entry) {
                    if let Some(bad) = check_sectors(record, &header) {
                        let mut error = bad_record(segment, at, index, bad.damage);
                        if let ReadError::Corrupt(corruption) = &mut error {
                            corruption.offset += bad.offset;
                            corruption.streams = bad.streams;
                        }
                        return Err(error);
                    }
                    let body = header.body();
                    let body = offset + body.start..offset + body.end;
                    found.push(HeldRecord { entry: header.entry, bytes: bytes.share(), body });
                    gathered += header.bytes() as u64;
                }
                index = Some(header.entry.index.next());
                at = header.entry.end();
                offset += header.bytes();
                needed = SECTOR_BYTES;
            }
        }
        Ok(found)
    }

    async fn read_header(
        &self,
        segment: &Segment,
        file: &OpenSegment,
        start: Position,
    ) -> Result<RecordHeader, ReadError> {
        let whole = segment.room_end().since(start);
        let mut length = SECTOR_BYTES;
        loop {
            let bytes = file.read(segment.offset_of(start), length as usize).await?;
            match record::decode_header(&bytes, &self.home) {
                Ok(header) if header.entry.position == start => return Ok(header),
                Ok(header) => {
                    let (index, position) = (header.entry.index, header.entry.position);
                    let damage = Damage::Misplaced { index, position };
                    return Err(bad_record(segment, start, None, damage));
                }
                Err(HeaderError::Length) => {
                    let claimed = record::claimed_bytes(&bytes, &self.home).unwrap_or(u64::MAX);
                    if claimed > whole || claimed <= length {
                        return Err(bad_record(segment, start, None, Damage::Rotten));
                    }
                    length = claimed;
                }
                Err(HeaderError::Magic | HeaderError::Checksum | HeaderError::Content) => {
                    return Err(bad_record(segment, start, None, Damage::Rotten));
                }
            }
        }
    }

    /// The end of the record that holds a position, as far as headers lead there.
    async fn record_end(
        &self,
        segment: &Segment,
        file: &OpenSegment,
        position: Position,
    ) -> Result<Position, ReadError> {
        let mut at = self.anchor(segment, file, position);
        loop {
            let header = self.read_header(segment, file, at).await?;
            at = header.entry.end();
            if at > position {
                return Ok(at);
            }
        }
    }
}

impl Segment {
    /// Where in the file a position lies.
    pub(super) fn offset_of(&self, position: Position) -> u64 {
        RECORDS_OFFSET + position.since(self.base())
    }

    /// The address behind the last record there will be.
    pub(super) fn sealed_end(&self) -> Position {
        if self.is_sealed() { self.end.position } else { self.room_end() }
    }
}

/// What a look at a place where a record should start gives.
pub(super) enum Placed {
    Whole(RecordHeader),
    /// The record goes on behind what was read.
    Needs(u64),
    Bad(Damage),
}

/// Looks at the record that should start at `at`.
///
/// - `whole`: how many bytes there can be, of which `bytes` may be only the first
pub(super) fn place(bytes: &[u8], home: &Home, at: Position, whole: u64) -> Placed {
    match record::decode_header(bytes, home) {
        Ok(header) if header.entry.position != at || header.log != home.log => {
            let (index, position) = (header.entry.index, header.entry.position);
            Placed::Bad(Damage::Misplaced { index, position })
        }
        Ok(header) if header.bytes() <= bytes.len() => Placed::Whole(header),
        Ok(header) if header.bytes() as u64 <= whole => Placed::Needs(header.bytes() as u64),
        Err(HeaderError::Length) => match record::claimed_bytes(bytes, home) {
            Some(claimed) if claimed <= whole => Placed::Needs(claimed),
            Some(_) | None => Placed::Bad(Damage::Rotten),
        },
        Ok(_) | Err(HeaderError::Magic | HeaderError::Checksum | HeaderError::Content) => {
            Placed::Bad(Damage::Rotten)
        }
    }
}

fn chunk(records: Vec<HeldRecord>) -> Chunk {
    let end = records.last().expect("a read gives a record or an error").entry.end();
    Chunk { records, end }
}

/// The event whose frame starts here, where there is a good one.
async fn event_on_disk(
    segment: &Segment,
    file: &OpenSegment,
    position: Position,
) -> Result<Option<EventBytes>, DiskError> {
    let room_end = segment.room_end().min(segment.sealed_end());
    let start = position.get() % SECTOR_BYTES;
    let first = position.get() - start;
    // The first read is one sector, or the two that the frame's header lies in.
    let mut sectors_end = (position.get() + HEADER_BYTES as u64).next_multiple_of(SECTOR_BYTES);
    while sectors_end <= room_end.get() {
        let offset = segment.offset_of(Position::from_wire(first));
        let bytes = file.read(offset, (sectors_end - first) as usize).await?;
        let length = u64::from(u32_at(&bytes, start as usize));
        let needed = (position.get() + length).next_multiple_of(SECTOR_BYTES);
        if needed <= sectors_end {
            let end = bytes.len();
            return Ok(event(bytes, start as usize, end));
        }
        sectors_end = needed;
    }
    Ok(None)
}

/// The event at `start`, where there is a good one.
fn event(bytes: AlignedBuffer, start: usize, end: usize) -> Option<EventBytes> {
    let frame = EventFrame::parse(bytes.get(start..end)?).ok()?;
    let length = frame.bytes().len();
    let good = crc32c::crc32c(frame.content()) == frame.content_checksum()
        && frame.verify_header().is_ok();
    good.then_some(EventBytes { bytes, start, length })
}

fn bad_record(
    segment: &Segment,
    position: Position,
    index: Option<LogIndex>,
    damage: Damage,
) -> ReadError {
    ReadError::Corrupt(Box::new(Corruption {
        file: segment::file_name(segment.base()),
        offset: segment.offset_of(position),
        part: Part::Record { index, position },
        damage,
        streams: Vec::new(),
    }))
}
