//! Reads a whole log and changes nothing: is every byte what was written?
//!
//! Unlike a start it does not stop at the first damage. Behind a damaged record it goes on with the
//! next place where a good header stands, else with the next segment.

use quorate_core::id::{LogIndex, Position};
use quorate_core::log::entry::{LogEnd, SECTOR_BYTES};

use super::corruption::{Corruption, Damage, Part};
use super::home::Home;
use super::image::{SegmentImage, Verdict, events_are_good};
use super::recover::{Ends, OpenError, TornTail, check_header, list, part_corruption, read_ends};
use super::segment::{self, FOOTER_BYTES, PartError, SegmentFooter, SegmentHeader};
use super::stamp;
use crate::disk::DiskError;
use crate::io::Io;

/// What [`verify`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogReport {
    /// Segment files.
    pub segments: u64,
    /// Bytes of segment files.
    pub bytes: u64,
    /// Records that are good.
    pub records: u64,
    /// Events in them.
    pub events: u64,
    /// Where the log ends.
    pub end: LogEnd,
    /// A truncation was not finished, and the next start finishes it: the last entry that is left.
    /// What is behind is not looked at.
    pub truncating: Option<LogIndex>,
    /// An append that was never finished: what a crash leaves, and the next start cuts off.
    pub torn: Option<TornTail>,
    /// What is not as it was written.
    pub damage: Vec<Corruption>,
}

/// A segment file, its header where that is good, and its footer where there is a good one.
struct Checked {
    header: Option<SegmentHeader>,
    footer: Option<SegmentFooter>,
    /// Up to which entry something in later segments proves that the log was durable.
    durable: LogIndex,
}

/// Checks every segment of a log, record by record, and the stamp.
///
/// # Errors
///
/// [`OpenError`] where the disk fails, or a file is of another log or a newer format. Damage is no
/// error: it is in the report.
pub async fn verify(io: &Io, home: &Home) -> Result<LogReport, OpenError> {
    let mut report = LogReport::default();
    let files = list(io).await?;
    let mut intent = None;
    let mut durable = match stamp::read(io, home).await? {
        stamp::Found::Nothing => LogIndex::ZERO,
        stamp::Found::Stamp { stamp, .. } => {
            intent = stamp.intent;
            stamp.intent.map_or(stamp.durable, |end| end.index)
        }
        stamp::Found::Damaged => {
            report.damage.push(part_corruption(stamp::FILE.into(), 0, Part::Stamp));
            LogIndex::ZERO
        }
    };
    let stamped = durable;
    let (mut ends, cut) = read_ends(io, &files).await?;
    report.damage.extend(cut);
    if let Some(end) = &intent {
        report.truncating = Some(end.index);
        // What the next start removes is not there any more.
        ends.retain(|ends| ends.base <= end.position);
        if let Some(last) = ends.last_mut() {
            last.footer.fill(0);
        }
    }
    let mut checked = Vec::with_capacity(ends.len());
    for ends in ends.iter().rev() {
        let segment = check_ends(home, ends, durable, &mut report)?;
        durable = evidence(io, home, ends, &segment, intent.as_ref()).await?;
        checked.push(segment);
    }
    checked.reverse();
    let mut certain = true;
    for (number, segment) in checked.iter().enumerate() {
        let image = read_image(io, ends[number].base, intent.as_ref()).await?;
        report.segments += 1;
        report.bytes += image.file_bytes();
        let at = report.start(home, &image, segment, certain);
        certain = report.check_segment(home, &image, segment, at, ends.get(number + 1));
        if report.torn.is_some() {
            break;
        }
    }
    if certain && stamped > report.end.index && report.damage.is_empty() {
        report.damage.push(missing(&report.end));
    }
    if intent.is_some_and(|end| end != report.end) && report.damage.is_empty() {
        report.damage.push(Corruption {
            damage: Damage::Chain,
            ..part_corruption(stamp::FILE.into(), 0, Part::Stamp)
        });
    }
    Ok(report)
}

/// Reads a segment, without what is to be removed.
async fn read_image(
    io: &Io,
    base: Position,
    intent: Option<&LogEnd>,
) -> Result<SegmentImage, DiskError> {
    let mut image = SegmentImage::read(io, base).await?;
    if let Some(end) = intent.filter(|end| end.position >= base) {
        image.forget_from(end.position);
    }
    Ok(image)
}

/// Checks a segment's header and footer.
fn check_ends(
    home: &Home,
    ends: &Ends,
    durable: LogIndex,
    report: &mut LogReport,
) -> Result<Checked, OpenError> {
    let part = |part, offset, damage| Corruption {
        file: segment::file_name(ends.base),
        offset,
        part,
        damage,
        streams: Vec::new(),
    };
    let header = match check_header(home, ends)? {
        Ok(header) => Some(header),
        Err(damage) => {
            report.damage.push(part(Part::SegmentHeader, 0, damage));
            None
        }
    };
    let footer = match SegmentFooter::decode(&ends.footer, home, ends.base, ends.bytes) {
        Ok(footer) => Some(footer),
        Err(PartError::Blank) => None,
        Err(PartError::Damaged) if segment::footer_is_torn(&ends.footer, home) => None,
        Err(PartError::Damaged | PartError::Version(_)) => {
            let offset = ends.bytes - FOOTER_BYTES;
            report.damage.push(part(Part::SegmentFooter, offset, Damage::Rotten));
            None
        }
    };
    Ok(Checked { header, footer, durable })
}

/// What this segment and those behind it prove durable.
async fn evidence(
    io: &Io,
    home: &Home,
    ends: &Ends,
    segment: &Checked,
    intent: Option<&LogEnd>,
) -> Result<LogIndex, OpenError> {
    let mut durable = segment.durable;
    if let Some(header) = &segment.header {
        durable = durable.max(header.durable);
    }
    match &segment.footer {
        Some(footer) => durable = durable.max(footer.end.index),
        None => {
            let image = read_image(io, ends.base, intent).await?;
            durable = durable.max(image.durable_evidence(home, ends.base));
        }
    }
    Ok(durable)
}

impl LogReport {
    /// Where to begin in a segment: where the one before it ended, as far as that is known.
    ///
    /// - `certain`: whether the end so far is the end of the segment before
    fn start(
        &mut self,
        home: &Home,
        image: &SegmentImage,
        segment: &Checked,
        certain: bool,
    ) -> LogEnd {
        let Some(header) = &segment.header else {
            let first = image.headers_from(home, image.base).next();
            let follows = self.end.position == image.base;
            return first.filter(|_| !follows).map_or(self.end, |h| h.before());
        };
        if certain && header.start.position > self.end.position {
            self.damage.push(missing(&self.end));
        } else if certain && header.start != self.end {
            self.damage.push(image.part(Part::SegmentHeader, 0, Damage::Chain));
        }
        header.start
    }

    /// Walks one segment. Gives whether its end is known.
    fn check_segment(
        &mut self,
        home: &Home,
        image: &SegmentImage,
        segment: &Checked,
        mut at: LogEnd,
        next: Option<&Ends>,
    ) -> bool {
        loop {
            let (end, verdict) = self.walk(home, image, at);
            self.end = end;
            let is_last_here = segment.footer.as_ref().is_some_and(|footer| footer.end == end)
                || next.is_some_and(|next| next.base == end.position);
            if is_last_here {
                if image.written_bytes(end.position) > 0 {
                    let offset = image.offset_of(end.position);
                    self.damage.push(image.part(Part::Unused, offset, Damage::Rotten));
                }
                return true;
            }
            let mut durable = segment.durable.max(image.durable_evidence(home, end.position));
            if let Some(footer) = &segment.footer {
                durable = durable.max(footer.end.index);
            }
            if self.explains(image, &end, &verdict, durable, next) {
                return true;
            }
            let behind = end.position.plus(SECTOR_BYTES);
            let good = image.headers_from(home, behind).find(|h| h.entry.index > end.index);
            match (good, &segment.footer) {
                (Some(header), _) => at = header.before(),
                (None, Some(footer)) => {
                    self.end = footer.end;
                    return true;
                }
                (None, None) => return false,
            }
        }
    }

    /// Counts the good records from here on.
    fn walk(&mut self, home: &Home, image: &SegmentImage, from: LogEnd) -> (LogEnd, Verdict) {
        image.walk(home, from, |header, body| {
            self.records += 1;
            self.events += u64::from(header.entry.event_count);
            if !events_are_good(header, body) {
                let entry = &header.entry;
                let (index, position) = (Some(entry.index), entry.position);
                let offset = image.offset_of(position);
                let part = Part::Record { index, position };
                self.damage.push(image.part(part, offset, Damage::Events));
            }
        })
    }

    /// Whether the log just ends here, maybe with a torn append; else notes the damage.
    fn explains(
        &mut self,
        image: &SegmentImage,
        end: &LogEnd,
        verdict: &Verdict,
        durable: LogIndex,
        next: Option<&Ends>,
    ) -> bool {
        let may_be_torn = match verdict {
            Verdict::Present(_) => unreachable!("a walk goes on behind a record"),
            Verdict::Blank => true,
            Verdict::Bad(bad) => bad.may_be_torn,
        };
        if may_be_torn && durable <= end.index {
            let bytes = image.written_bytes(end.position);
            if bytes > 0 || next.is_some() {
                let (index, position) = (end.index.next(), end.position);
                self.torn = Some(TornTail { index, position, bytes });
            }
            return true;
        }
        let mut corruption = match verdict {
            Verdict::Bad(bad) => image.corruption(end, bad),
            Verdict::Present(_) | Verdict::Blank => image.lost(end),
        };
        if may_be_torn {
            corruption.damage = Damage::Lost;
        }
        self.damage.push(corruption);
        false
    }
}

/// The segment that should begin at this end is not there.
fn missing(end: &LogEnd) -> Corruption {
    let file = segment::file_name(end.position);
    let (part, damage) = (Part::Segment, Damage::Missing);
    Corruption { file, offset: 0, part, damage, streams: Vec::new() }
}
