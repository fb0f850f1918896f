//! What a start finds in the folder: which segments there are, and where the log ends.
//!
//! A sealed segment is trusted by its header and footer, so that a start reads few bytes; the scrub
//! and every read check what is inside. Segments without a footer are read in full. At the first
//! place without a next record the question is why (protocol: "Storage faults"):
//!
//! | found | and | it is | done |
//! |---|---|---|---|
//! | the record, every checksum and the chain good | | present | kept |
//! | zeros all the way, nothing behind | nothing proves the entry durable | the end | |
//! | only zeros are bad | nothing proves the entry durable | torn, never acknowledged | cut, zeroed |
//! | only zeros are bad | something proves it durable | lost | the start is refused |
//! | other bytes | | rotten | the start is refused |
//! | a good record of another place or log | | misplaced | the start is refused |
//! | a good record that does not fit the one before | | chain broken | the start is refused |
//!
//! "Only zeros" looks at pieces of 512 bytes, because not every disk writes 4096 at once: a bad
//! sector counts when a piece of it that should hold something is all zero.
//!
//! What proves durability are stamps: of any later record with a good header, of a later segment's
//! header, of a later footer, and of the stamp file. A good record behind a bad one proves nothing
//! by itself, since several writes are in flight at once and finish in any order.
//!
//! A truncation that the last process did not finish is finished before anything else, so that none
//! of this sees half of it: [`removal`] says why no stamp is left that proves what was removed.
//!
//! One case can't be told: a disk that acknowledged the last write and lost it, when the power went
//! in the few milliseconds before any stamp. It looks torn.

use quorate_core::id::{LogIndex, Position};
use quorate_core::log::entry::{LogEnd, SECTOR_BYTES};

use super::corruption::{Corruption, Damage, Part};
use super::files::open_direct;
use super::home::Home;
use super::image::{SegmentImage, Verdict};
use super::record::Stamps;
use super::removal::{self, Removal};
use super::segment::{
    self, Anchors, FOOTER_BYTES, PartError, RECORDS_OFFSET, SegmentFooter, SegmentHeader, VERSION,
    records_bytes,
};
use super::stamp::{self, Stamp, StampFile};
use crate::buffer::AlignedBuffer;
use crate::disk::{Access, DiskError, Done, FileId, FileName, Op};
use crate::io::{Io, Running};

/// Segments whose headers and footers are read at once.
const READS_IN_FLIGHT: usize = 64;

/// Why a log can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The disk failed.
    #[error("the log can't be read: {0}")]
    Disk(#[from] DiskError),
    /// Something that was acknowledged, or may have been, is not there as it was written.
    #[error("the log is damaged: {0}")]
    Corrupt(Box<Corruption>),
    /// A file was written by a newer program.
    #[error("{file} is of version {version} of the log's format, and this program knows {VERSION}")]
    Version {
        /// Which file.
        file: FileName,
        /// Its version.
        version: u64,
    },
    /// A file belongs to another cluster, group, lineage or disk.
    #[error("{file} belongs to {}, and this is {}", Named(.found), Named(.expected))]
    Foreign {
        /// Which file.
        file: FileName,
        /// Whose it is.
        found: Box<Home>,
        /// Whose this folder is.
        expected: Box<Home>,
    },
}

/// A home in words.
struct Named<'a>(&'a Home);

impl std::fmt::Display for Named<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Home { log, disk } = self.0;
        write!(
            out,
            "cluster {}, group {}, lineage {}, disk {disk}",
            log.cluster, log.group, log.lineage
        )
    }
}

/// What a start found and did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Where the log ends.
    pub end: LogEnd,
    /// Segments, the one that is written to included.
    pub segments: u64,
    /// Bytes of segments that were read in full.
    pub scanned_bytes: u64,
    /// Every entry up to here was known to be committed: at least these are, maybe more.
    pub committed: LogIndex,
    /// The last entry that was left by a truncation which the last process had not finished.
    pub truncated: Option<LogIndex>,
    /// An unfinished append that was cut off.
    pub torn: Option<TornTail>,
    /// Damage that the log could make good by itself: footers hold nothing that can't be had from
    /// records, and the stamp little.
    pub repaired: Vec<Corruption>,
}

/// What was left of writes that never finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TornTail {
    /// The first entry that is not whole.
    pub index: LogIndex,
    /// Where its record started.
    pub position: Position,
    /// Bytes, from there to the last that is not zero, over all segments.
    pub bytes: u64,
}

/// A segment, as the log keeps account of it.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    /// The file's length.
    pub(super) bytes: u64,
    /// What comes before its first record.
    pub(super) start: LogEnd,
    /// What its last record leaves.
    pub(super) end: LogEnd,
    /// Of a segment without a footer.
    pub(super) anchors: Option<Anchors>,
}

impl Segment {
    pub(super) fn base(&self) -> Position {
        self.start.position
    }

    pub(super) fn is_sealed(&self) -> bool {
        self.anchors.is_none()
    }

    /// The address behind the room for records.
    pub(super) fn room_end(&self) -> Position {
        self.base().plus(records_bytes(self.bytes))
    }
}

/// What recovery leaves to the log.
pub(super) struct Recovered {
    /// In order; all but the last should be sealed.
    pub(super) segments: Vec<Segment>,
    pub(super) stamp: stamp::Found,
    pub(super) report: Recovery,
}

/// A segment file by its header and footer.
pub(super) struct Candidate {
    base: Position,
    bytes: u64,
    header: SegmentHeader,
    footer: Option<SegmentFooter>,
}

/// Finds the segments and the end of the log; cuts off what was torn.
///
/// - `files`: names and lengths in the log's folder
pub(super) async fn recover(
    io: &Io,
    home: &Home,
    files: &[(FileName, u64)],
) -> Result<Recovered, OpenError> {
    let mut report = Recovery::default();
    let mut stamp = stamp::read(io, home).await?;
    let mut read = read_ends(io, files).await?;
    if let stamp::Found::Stamp { stamp: found @ Stamp { intent: Some(end), .. }, .. } = stamp {
        make_stable(io, stamp::FILE.into()).await?;
        finish_truncation(io, home, &read.0, found, &end).await?;
        report.truncated = Some(end.index);
        stamp = stamp::read(io, home).await?;
        read = read_ends(io, &list(io).await?).await?;
    }
    let stamped = match stamp {
        stamp::Found::Nothing => Stamps::default(),
        stamp::Found::Stamp { stamp: Stamp { durable, committed, .. }, .. } => {
            Stamps { durable, committed }
        }
        stamp::Found::Damaged => {
            report.repaired.push(part_corruption(stamp::FILE.into(), 0, Part::Stamp));
            Stamps::default()
        }
    };
    report.committed = stamped.committed;
    let stamped = stamped.durable;
    let (ends, cut) = read;
    if let Some(corruption) = cut.into_iter().next() {
        return Err(OpenError::Corrupt(Box::new(corruption)));
    }
    let candidates: Vec<Candidate> =
        ends.iter().map(|ends| candidate(home, ends, &mut report)).collect::<Result<_, _>>()?;
    let mut segments: Vec<Segment> = Vec::with_capacity(candidates.len());
    let mut end = LogEnd::default();
    for (number, candidate) in candidates.iter().enumerate() {
        let later = &candidates[number + 1..];
        check_start(candidate, &end)?;
        report.committed = report.committed.max(candidate.header.committed);
        let (segment, torn) = match &candidate.footer {
            Some(footer) => (candidate.sealed(footer), None),
            None => settle_unsealed(io, home, candidate, later, stamped, &mut report).await?,
        };
        end = segment.end;
        segments.push(segment);
        if torn.is_some() {
            report.torn = torn;
            break;
        }
    }
    if end.index < stamped {
        return Err(lost_at_the_end(&segments, &end));
    }
    report.end = end;
    report.committed = report.committed.min(end.index);
    report.segments = segments.len() as u64;
    Ok(Recovered { segments, stamp, report })
}

/// Carries out a truncation that was intended: nothing that proves the removed entries durable is
/// looked at before.
///
/// An intended end at which the log does not have an entry's end removes nothing: it is damage.
async fn finish_truncation(
    io: &Io,
    home: &Home,
    ends: &[Ends],
    stamp: Stamp,
    end: &LogEnd,
) -> Result<(), OpenError> {
    let Some(number) = ends.iter().rposition(|ends| ends.base <= end.position) else {
        return Err(corrupt(segment::file_name(end.position), 0, Part::Segment, Damage::Missing));
    };
    let (kept, later) = (&ends[number], &ends[number + 1..]);
    let (header, mut image) = (check_header(home, kept)?, SegmentImage::read(io, kept.base).await?);
    let header = header
        .map_err(|damage| corrupt(segment::file_name(kept.base), 0, Part::SegmentHeader, damage))?;
    let written = end.position.plus(image.written_bytes(end.position));
    check_intent(home, &mut image, &header.start, end)?;
    let stamp_file = StampFile::open(io, home, stamp).await?;
    let file = |ends: &Ends| removal::File { base: ends.base, bytes: ends.bytes, file: None };
    let (kept, later) = (file(kept), later.iter().map(file).collect());
    let committed = stamp.committed;
    let removal = Removal { end: *end, committed, kept, written, later };
    let removed = removal::finish(io, home, stamp.truncations, &removal).await?;
    stamp_file.settle(*end).await?;
    stamp_file.close().await?;
    io.run(Op::Close { file: removed.file }).await?;
    Ok(())
}

/// Checks that the log has every entry up to an intended end, and ends there when the rest is gone.
///
/// Makes the image look as if it were.
pub(super) fn check_intent(
    home: &Home,
    image: &mut SegmentImage,
    start: &LogEnd,
    end: &LogEnd,
) -> Result<(), OpenError> {
    image.forget_from(end.position);
    let (found, verdict) = image.walk(home, *start, |_, _| {});
    if found == *end {
        return Ok(());
    }
    let corruption = match verdict {
        _ if found.position >= end.position => Corruption {
            damage: Damage::Chain,
            ..part_corruption(stamp::FILE.into(), 0, Part::Stamp)
        },
        Verdict::Bad(bad) => image.corruption(&found, &bad),
        Verdict::Blank | Verdict::Present(_) => image.lost(&found),
    };
    Err(OpenError::Corrupt(Box::new(corruption)))
}

/// Names and lengths in the log's folder.
pub(super) async fn list(io: &Io) -> Result<Vec<(FileName, u64)>, DiskError> {
    match io.run(Op::List { folder: segment::FOLDER.into() }).await? {
        Done::Listed(files) => Ok(files),
        other => unreachable!("a list gives names, not {other:?}"),
    }
}

impl Candidate {
    fn sealed(&self, footer: &SegmentFooter) -> Segment {
        let (start, end) = (self.header.start, footer.end);
        Segment { bytes: self.bytes, start, end, anchors: None }
    }

    /// The segment, before its records are looked at.
    pub(super) fn unread(&self) -> Segment {
        self.footer.as_ref().map_or_else(|| self.header.segment(), |footer| self.sealed(footer))
    }
}

/// A segment file's two ends, as they were read.
pub(super) struct Ends {
    pub(super) base: Position,
    pub(super) bytes: u64,
    pub(super) header: AlignedBuffer,
    pub(super) footer: AlignedBuffer,
}

/// Reads headers and footers of all segment files, in order of their bases.
///
/// The second list names files that are too short to be segments.
pub(super) async fn read_ends(
    io: &Io,
    files: &[(FileName, u64)],
) -> Result<(Vec<Ends>, Vec<Corruption>), DiskError> {
    let is_whole =
        |bytes: u64| bytes.is_multiple_of(SECTOR_BYTES) && bytes > RECORDS_OFFSET + FOOTER_BYTES;
    let named =
        files.iter().filter_map(|(name, bytes)| segment::base_of(name).map(|base| (base, *bytes)));
    let (whole, cut): (Vec<_>, Vec<_>) = named.partition(|(_, bytes)| is_whole(*bytes));
    let cut = cut.into_iter().map(|(base, _)| Corruption {
        file: segment::file_name(base),
        offset: 0,
        part: Part::Segment,
        damage: Damage::Missing,
        streams: Vec::new(),
    });
    let mut ends = Vec::with_capacity(whole.len());
    for batch in whole.chunks(READS_IN_FLIGHT) {
        let opens: Vec<Running> = batch
            .iter()
            .map(|(base, _)| {
                io.run(Op::Open { name: segment::file_name(*base), access: Access::Direct })
            })
            .collect();
        let mut reads = Vec::with_capacity(batch.len());
        for (open, (base, bytes)) in opens.into_iter().zip(batch) {
            let Done::Opened { file, .. } = open.await? else { unreachable!("an open") };
            let header = read(io, file, 0, RECORDS_OFFSET);
            let footer = read(io, file, bytes - FOOTER_BYTES, FOOTER_BYTES);
            reads.push((*base, *bytes, file, header, footer));
        }
        for (base, bytes, file, header, footer) in reads {
            let header = transferred(header.await?);
            let footer = transferred(footer.await?);
            io.run(Op::Close { file }).await?;
            ends.push(Ends { base, bytes, header, footer });
        }
    }
    Ok((ends, cut.collect()))
}

/// Takes a segment's header and footer in, or says why not.
pub(super) fn candidate(
    home: &Home,
    ends: &Ends,
    report: &mut Recovery,
) -> Result<Candidate, OpenError> {
    let Ends { base, bytes, .. } = *ends;
    let header = match check_header(home, ends)? {
        Ok(header) => header,
        Err(damage) => {
            return Err(corrupt(segment::file_name(base), 0, Part::SegmentHeader, damage));
        }
    };
    let footer = match SegmentFooter::decode(&ends.footer, home, ends.base, ends.bytes) {
        Ok(footer) => Some(footer),
        Err(PartError::Blank) => None,
        Err(PartError::Damaged) if segment::footer_is_torn(&ends.footer, home) => None,
        Err(PartError::Damaged | PartError::Version(_)) => {
            let name = segment::file_name(base);
            let offset = bytes - FOOTER_BYTES;
            report.repaired.push(part_corruption(name, offset, Part::SegmentFooter));
            None
        }
    };
    Ok(Candidate { base, bytes, header, footer })
}

/// Reads a segment's header, or says how it is damaged; an error where it is another's.
pub(super) fn check_header(
    home: &Home,
    ends: &Ends,
) -> Result<Result<SegmentHeader, Damage>, OpenError> {
    let header = match SegmentHeader::decode(&ends.header) {
        Ok(header) => header,
        Err(PartError::Version(version)) => {
            return Err(OpenError::Version { file: segment::file_name(ends.base), version });
        }
        // The file got its name after its header was durable.
        Err(PartError::Blank) => return Ok(Err(Damage::Lost)),
        Err(PartError::Damaged) => return Ok(Err(Damage::Rotten)),
    };
    if header.home != *home {
        let (found, expected) = (Box::new(header.home), Box::new(*home));
        return Err(OpenError::Foreign { file: segment::file_name(ends.base), found, expected });
    }
    if header.start.position != ends.base || u64::from(header.segment_bytes) != ends.bytes {
        let (index, position) = (header.start.index.next(), header.start.position);
        return Ok(Err(Damage::Misplaced { index, position }));
    }
    Ok(Ok(header))
}

/// Checks that a segment starts where, and as, the one before it ends.
fn check_start(candidate: &Candidate, end: &LogEnd) -> Result<(), OpenError> {
    if candidate.header.start == *end {
        return Ok(());
    }
    if candidate.base > end.position {
        let missing = segment::file_name(end.position);
        return Err(corrupt(missing, 0, Part::Segment, Damage::Missing));
    }
    let name = segment::file_name(candidate.base);
    Err(corrupt(name, 0, Part::SegmentHeader, Damage::Chain))
}

/// Reads a segment that has no good footer, and decides what it is that comes behind its last
/// record. Cuts off what is torn.
async fn settle_unsealed(
    io: &Io,
    home: &Home,
    candidate: &Candidate,
    later: &[Candidate],
    stamped: LogIndex,
    report: &mut Recovery,
) -> Result<(Segment, Option<TornTail>), OpenError> {
    let image = SegmentImage::read(io, candidate.base).await?;
    make_stable(io, segment::file_name(candidate.base)).await?;
    report.scanned_bytes += image.file_bytes();
    let mut anchors = Anchors::new(candidate.bytes);
    let (end, verdict) = image.walk(home, candidate.header.start, |header, _| {
        anchors.note(header.entry.position.since(candidate.base));
        report.committed = report.committed.max(header.committed);
    });
    let (bytes, start) = (candidate.bytes, candidate.header.start);
    let segment = Segment { bytes, start, end, anchors: Some(anchors) };
    if later.first().is_some_and(|next| next.base == end.position) {
        return Ok((segment, None));
    }
    let torn_bytes = image.written_bytes(end.position);
    if torn_bytes == 0 && later.is_empty() {
        return Ok((segment, None));
    }
    let mut durable = stamped.max(image.durable_evidence(home, end.position));
    let mut bytes = torn_bytes;
    for next in later {
        durable = durable.max(next.header.durable);
        match &next.footer {
            Some(footer) => durable = durable.max(footer.end.index),
            None => {
                let image = SegmentImage::read(io, next.base).await?;
                report.scanned_bytes += image.file_bytes();
                durable = durable.max(image.durable_evidence(home, next.base));
                bytes += image.written_bytes(next.base);
            }
        }
    }
    judge(&image, &end, &verdict, durable)?;
    for next in later.iter().rev() {
        io.run(Op::Remove { name: segment::file_name(next.base) }).await?;
    }
    zero(io, &image, end.position, torn_bytes).await?;
    let torn = TornTail { index: end.index.next(), position: end.position, bytes };
    Ok((segment, Some(torn)))
}

/// Makes stable what the last process may have written without hearing that it was, and the file's
/// name: what is found is relied on from now on.
async fn make_stable(io: &Io, name: FileName) -> Result<(), DiskError> {
    let file = open_direct(io, name).await?;
    io.run(Op::Sync { file }).await?;
    io.run(Op::Close { file }).await.map(drop)
}

/// Says whether what is not a record was torn; an error where it was not.
fn judge(
    image: &SegmentImage,
    end: &LogEnd,
    verdict: &Verdict,
    durable: LogIndex,
) -> Result<(), OpenError> {
    let was_durable = durable > end.index;
    let mut corruption = match verdict {
        Verdict::Present(_) => unreachable!("a walk goes on behind a record"),
        Verdict::Bad(bad) if !bad.may_be_torn => image.corruption(end, bad),
        Verdict::Bad(_) | Verdict::Blank if !was_durable => return Ok(()),
        Verdict::Bad(bad) => image.corruption(end, bad),
        Verdict::Blank => image.lost(end),
    };
    if matches!(verdict, Verdict::Bad(bad) if bad.may_be_torn) {
        corruption.damage = Damage::Lost;
    }
    Err(OpenError::Corrupt(Box::new(corruption)))
}

/// Writes zeros over what was torn, durably. Doing half of it leaves a torn tail again.
async fn zero(io: &Io, image: &SegmentImage, from: Position, bytes: u64) -> Result<(), DiskError> {
    if bytes == 0 {
        return Ok(());
    }
    let file = open_direct(io, image.name()).await?;
    removal::zero(io, file, image.offset_of(from), bytes).await?;
    io.run(Op::Close { file }).await.map(drop)
}

/// The stamp knows of an entry of which nothing is left.
fn lost_at_the_end(segments: &[Segment], end: &LogEnd) -> OpenError {
    let Some(last) = segments.last().filter(|segment| !segment.is_sealed()) else {
        return corrupt(segment::file_name(end.position), 0, Part::Segment, Damage::Missing);
    };
    let offset = RECORDS_OFFSET + end.position.since(last.base());
    let name = segment::file_name(last.base());
    OpenError::Corrupt(Box::new(record_lost(name, offset, end)))
}

fn record_lost(file: FileName, offset: u64, end: &LogEnd) -> Corruption {
    let part = Part::Record { index: Some(end.index.next()), position: end.position };
    Corruption { file, offset, part, damage: Damage::Lost, streams: Vec::new() }
}

pub(super) fn part_corruption(file: FileName, offset: u64, part: Part) -> Corruption {
    Corruption { file, offset, part, damage: Damage::Rotten, streams: Vec::new() }
}

fn corrupt(file: FileName, offset: u64, part: Part, damage: Damage) -> OpenError {
    OpenError::Corrupt(Box::new(Corruption { file, offset, part, damage, streams: Vec::new() }))
}

fn read(io: &Io, file: FileId, offset: u64, bytes: u64) -> Running {
    io.run(Op::Read { file, offset, buffer: AlignedBuffer::zeroed(bytes as usize) })
}

fn transferred(done: Done) -> AlignedBuffer {
    match done {
        Done::Transferred(buffer) => buffer,
        other => unreachable!("a read gives its buffer, not {other:?}"),
    }
}
