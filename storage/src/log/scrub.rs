//! Reads sealed segments again in the background, so that rot is found while a copy may still be
//! had, and not by the reader who needs it.
//!
//! A start trusts sealed segments by their headers and footers; the first pass after it is what
//! makes good on that. It goes piece by piece, below a given rate, past the page cache.

use std::future::Future;
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll};

use quorate_core::id::Position;
use quorate_core::log::entry::LogEnd;
use quorate_core::time::Instant;

use super::corruption::{Corruption, Damage, Part};
use super::files::{open_direct, read};
use super::home::Home;
use super::image::{Verdict, events_are_good, examine};
use super::reader::{LogReader, Placed, ReadError, place};
use super::recover::Segment;
use super::segment::{self, FOOTER_BYTES, RECORDS_OFFSET, SegmentFooter, SegmentHeader};
use crate::disk::{FileId, Op};
use crate::io::Io;

/// Bytes that are read, and then checked without a pause.
const PIECE_BYTES: u64 = 256 << 10;
/// How long after a pass the next one begins.
const PASS_EVERY_NANOS: u64 = 24 * 3600 * 1_000_000_000;
const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// How far the scrub is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScrubProgress {
    /// Passes over all sealed segments that are complete.
    pub passes: u64,
    /// Up to where this pass has come.
    pub checked: Position,
    /// Up to where it will come.
    pub total: Position,
}

/// The background check of one log.
pub struct Scrub {
    reader: LogReader,
    bytes_per_second: u64,
    passes: u64,
    /// Up to where the records of this pass are checked.
    at: LogEnd,
    /// When the next piece may be read.
    next_at: Instant,
    /// Truncations of the log when the present piece was begun.
    truncations: u64,
    piece: Option<Pin<Box<dyn Future<Output = Checked>>>>,
    /// Where to go on instead, once the present piece is done.
    elsewhere: Option<LogEnd>,
    /// Somebody has met damage in this segment, so it is looked at without pauses.
    hurries: bool,
}

/// What a look at a piece gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// All is what was written.
    Sound(Range<Position>),
    /// Something is not.
    Damaged {
        /// What is wrong.
        error: ReadError,
        /// The log is good up to here, and the record behind it is not; `None` where no record is at
        /// fault, or none that is known.
        before: Option<LogEnd>,
    },
}

/// What a piece gave.
struct Checked {
    at: LogEnd,
    bytes: u64,
    found: Found,
    /// The segment has been looked at up to its end, or to where it is damaged.
    is_last: bool,
}

impl Scrub {
    /// Begins a first pass, at most at this rate.
    #[must_use]
    pub fn new(reader: LogReader, bytes_per_second: u64) -> Self {
        assert!(bytes_per_second > 0, "a scrub makes progress");
        let (at, next_at) = (LogEnd::default(), Instant::START);
        let truncations = reader.shared.borrow().truncations;
        Self {
            reader,
            bytes_per_second,
            passes: 0,
            at,
            next_at,
            truncations,
            piece: None,
            elsewhere: None,
            hurries: false,
        }
    }

    /// Goes on by at most one piece; gives what it found there.
    ///
    /// Behind damage it goes on with the next segment.
    pub fn poll(&mut self, now: Instant, context: &mut Context<'_>) -> Option<Found> {
        if self.piece.is_none() {
            self.step_back();
            if let Some(elsewhere) = self.elsewhere.take() {
                (self.at, self.next_at) = (elsewhere, now);
            }
            if now < self.next_at {
                return None;
            }
            let Some(segment) = self.next_segment() else {
                if self.at.position > Position::START {
                    self.passes += 1;
                }
                self.at = LogEnd::default();
                self.next_at = Instant::from_nanos(now.nanos() + PASS_EVERY_NANOS);
                return None;
            };
            let (io, home) = (self.reader.io.clone(), self.reader.home);
            self.piece = Some(Box::pin(check_piece(io, home, segment, self.at)));
        }
        let piece = self.piece.as_mut().expect("one is under way");
        let Poll::Ready(checked) = piece.as_mut().poll(context) else { return None };
        self.piece = None;
        let is_void = self.reader.shared.borrow().truncations != self.truncations;
        if is_void {
            // What was not there may just have been removed.
            return None;
        }
        self.at = checked.at;
        let pause = checked.bytes.saturating_mul(NANOS_PER_SECOND) / self.bytes_per_second;
        let pause = if self.hurries { 0 } else { pause };
        self.next_at = Instant::from_nanos(now.nanos() + pause);
        self.hurries &= !checked.is_last;
        Some(checked.found)
    }

    /// Goes on from here, once the present piece is done: what was damaged behind it was mended.
    pub fn look_again(&mut self, from: LogEnd) {
        self.elsewhere = Some(from);
    }

    /// Looks at the segment that holds this position as soon as it can, for somebody has met damage
    /// there; says whether it does, which it can where the segment is sealed.
    pub fn suspect(&mut self, position: Position) -> bool {
        let shared = self.reader.shared.borrow();
        let segment = &shared.segments[shared.holding(position)];
        let can_look = segment.is_sealed() && position < segment.end.position;
        if can_look {
            self.elsewhere = Some(segment.start);
            self.hurries = true;
        }
        can_look
    }

    /// When to poll again though the disk says nothing.
    #[must_use]
    pub fn next_timer(&self) -> Option<Instant> {
        let at = if self.elsewhere.is_some() { Instant::START } else { self.next_at };
        self.piece.is_none().then_some(at)
    }

    /// How far it is.
    #[must_use]
    pub fn progress(&self) -> ScrubProgress {
        let shared = self.reader.shared.borrow();
        let sealed = shared.segments.iter().take_while(|segment| segment.is_sealed());
        let total = sealed.last().map_or(Position::START, |segment| segment.end.position);
        ScrubProgress { passes: self.passes, checked: self.at.position, total }
    }

    /// Goes back to where the log still is what was checked, where entries were removed meanwhile;
    /// what anybody had met before may be gone.
    fn step_back(&mut self) {
        let shared = self.reader.shared.borrow();
        if self.truncations != shared.truncations {
            self.truncations = shared.truncations;
            self.elsewhere = None;
            self.at = shared.segments[shared.holding(self.at.position)].start;
        }
    }

    /// The segment to go on with, where it is sealed.
    fn next_segment(&self) -> Option<Segment> {
        let shared = self.reader.shared.borrow();
        let segment = &shared.segments[shared.holding(self.at.position)];
        segment.is_sealed().then(|| segment.clone())
    }
}

/// Checks some records of a sealed segment; at its start also its header and footer.
async fn check_piece(io: Io, home: Home, segment: Segment, at: LogEnd) -> Checked {
    let mut progress = Looked { at, bytes: 0 };
    let result = check_records(&io, &home, &segment, &mut progress).await;
    let Looked { at: upto, bytes } = progress;
    match result {
        Ok(()) => {
            let found = Found::Sound(at.position..upto.position);
            Checked { at: upto, bytes, found, is_last: upto.position == segment.end.position }
        }
        Err(error) => {
            let before = is_of_record(&error).then_some(upto);
            let found = Found::Damaged { error, before };
            Checked { at: segment.end, bytes, found, is_last: true }
        }
    }
}

/// How far a look at a piece has come.
struct Looked {
    at: LogEnd,
    bytes: u64,
}

async fn check_records(
    io: &Io,
    home: &Home,
    segment: &Segment,
    looked: &mut Looked,
) -> Result<(), ReadError> {
    let file = open_direct(io, segment::file_name(segment.base())).await?;
    let result = check_opened(io, home, segment, file, looked).await;
    io.run(Op::Close { file }).await?;
    result
}

async fn check_opened(
    io: &Io,
    home: &Home,
    segment: &Segment,
    file: FileId,
    looked: &mut Looked,
) -> Result<(), ReadError> {
    if looked.at.position == segment.base() {
        check_ends(io, home, segment, file).await?;
    }
    let mut length = PIECE_BYTES;
    loop {
        let at = looked.at;
        let whole = segment.end.position.since(at.position);
        let offset = RECORDS_OFFSET + at.position.since(segment.base());
        let bytes = read(io, file, offset, length.min(whole)).await?;
        looked.bytes += bytes.len() as u64;
        let mut behind = 0;
        while behind < bytes.len() {
            let rest = &bytes[behind..];
            let at = looked.at;
            let whole = segment.end.position.since(at.position);
            if let Placed::Needs(needed) = place(rest, home, at.position, whole) {
                length = needed;
                break;
            }
            let header = match examine(rest, home, &at) {
                Verdict::Present(header) => header,
                Verdict::Blank => return Err(bad(segment, &at, 0, Damage::Lost, Vec::new())),
                Verdict::Bad(found) => {
                    return Err(bad(segment, &at, found.offset, found.damage, found.streams));
                }
            };
            if !events_are_good(&header, &rest[header.body()]) {
                return Err(bad(segment, &at, 0, Damage::Events, Vec::new()));
            }
            behind += header.bytes();
            looked.at = LogEnd::after(&header.entry);
        }
        if behind > 0 {
            return Ok(());
        }
    }
}

/// Whether it is the next record that is not what was written.
fn is_of_record(error: &ReadError) -> bool {
    match error {
        ReadError::Corrupt(corruption) => matches!(corruption.part, Part::Record { .. }),
        ReadError::Disk(_) | ReadError::NoEvent(_) => false,
    }
}

/// Checks that header and footer still say what they said when the log was opened or sealed.
async fn check_ends(
    io: &Io,
    home: &Home,
    segment: &Segment,
    file: FileId,
) -> Result<(), ReadError> {
    let header = read(io, file, 0, RECORDS_OFFSET).await?;
    let header = SegmentHeader::decode(&header).ok();
    if header.is_none_or(|header| header.start != segment.start || header.home != *home) {
        return Err(bad_part(segment, 0, Part::SegmentHeader));
    }
    let offset = segment.bytes - FOOTER_BYTES;
    let footer = read(io, file, offset, FOOTER_BYTES).await?;
    let footer = SegmentFooter::decode(&footer, home, segment.base(), segment.bytes).ok();
    if footer.is_none_or(|footer| footer.end != segment.end) {
        return Err(bad_part(segment, offset, Part::SegmentFooter));
    }
    Ok(())
}

fn bad(
    segment: &Segment,
    at: &LogEnd,
    offset: u64,
    damage: Damage,
    streams: Vec<String>,
) -> ReadError {
    ReadError::Corrupt(Box::new(Corruption {
        file: segment::file_name(segment.base()),
        offset: RECORDS_OFFSET + at.position.since(segment.base()) + offset,
        part: Part::Record { index: Some(at.index.next()), position: at.position },
        damage,
        streams,
    }))
}

fn bad_part(segment: &Segment, offset: u64, part: Part) -> ReadError {
    let file = segment::file_name(segment.base());
    let (damage, streams) = (Damage::Rotten, Vec::new());
    ReadError::Corrupt(Box::new(Corruption { file, offset, part, damage, streams }))
}
