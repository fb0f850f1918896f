//! Mends a log that can't be opened because a record is damaged: one that a start reads.
//!
//! This may be the newest record of all, so nothing behind it need prove what it was. That it is
//! committed does: no other entry can ever stand there. Where this disk had another one, that was
//! of a leader which lost its lead before it was committed, and would have been cut off.
//!
//! Before the record is written, the stamp says that it was durable. A mend that is cut short by a
//! crash then leaves a record that is lost or rotten, as before, and never one that looks as if its
//! write had not been finished; such a one would be cut off, and with it what this node has
//! acknowledged.

use quorate_core::id::{LogIndex, Position};
use quorate_core::log::entry::{EntryHeader, LogEnd};

use super::corruption::{Corruption, Part};
use super::home::Home;
use super::image::SegmentImage;
use super::mend::{MendError, Place};
use super::recover::{Recovery, Segment, candidate, list, read_ends};
use super::segment;
use super::stamp::{self, Stamp, StampFile};
use crate::disk::DiskError;
use crate::io::Io;

/// Where the log is good up to, before damage that an open or a replay has met: the entry behind it
/// is the one to get for [`mend_unopened`]. `None` where the damage is not a record's.
///
/// # Errors
///
/// [`DiskError`] where the disk fails.
pub async fn good_before(
    io: &Io,
    home: &Home,
    corruption: &Corruption,
) -> Result<Option<LogEnd>, DiskError> {
    let Part::Record { position, .. } = corruption.part else { return Ok(None) };
    let Some(segment) = holding(io, home, position).await? else { return Ok(None) };
    let image = SegmentImage::read(io, segment.base()).await?;
    let (end, _) = image.walk(home, segment.start, |_, _| {});
    let is_whole = segment.is_sealed() && end == segment.end;
    Ok((!is_whole).then_some(end))
}

/// Writes the record behind `before` anew, in a log that is not open, and looks whether the disk has
/// kept it. Where the record is good, nothing is done.
///
/// - `before`: by [`good_before`]
/// - `entry`, `body`: a committed entry, as another node has it; a body as long as the header says
///
/// # Errors
///
/// [`MendError`]: the record is damaged as before, and after a failed write perhaps in another way.
pub async fn mend_unopened(
    io: &Io,
    home: &Home,
    before: LogEnd,
    entry: EntryHeader,
    body: Vec<u8>,
) -> Result<(), MendError> {
    let found = holding(io, home, before.position).await.map_err(MendError::Read)?;
    let segment = found.ok_or(MendError::Unfit)?;
    let place = Place { io, home, segment: &segment, before };
    let record = place.record(&entry, &body)?;
    if !segment.is_sealed() {
        stamp_durable(io, home, entry.index).await?;
    }
    place.write(&entry, record).await
}

/// Makes the stamp say that everything up to a committed entry was durable here.
async fn stamp_durable(io: &Io, home: &Home, index: LogIndex) -> Result<(), MendError> {
    let found = stamp::read(io, home).await.map_err(MendError::Read)?;
    let known = match found {
        stamp::Found::Stamp { stamp: Stamp { intent: Some(_), .. }, .. } => {
            return Err(MendError::Truncating);
        }
        stamp::Found::Stamp { stamp, .. } => Some(stamp),
        stamp::Found::Nothing | stamp::Found::Damaged => None,
    };
    let written = async {
        let file = match known {
            Some(stamp) if stamp.durable >= index && stamp.committed >= index => return Ok(()),
            Some(stamp) => {
                let file = StampFile::open(io, home, stamp).await?;
                file.write(stamp.durable.max(index), stamp.committed.max(index)).await?;
                file
            }
            None => {
                let stamp = Stamp { durable: index, committed: index, ..Stamp::default() };
                StampFile::make(io, home, stamp).await?
            }
        };
        file.close().await
    };
    written.await.map_err(MendError::Write)
}

/// The segment that holds a position; `None` where there is none with a good header.
async fn holding(io: &Io, home: &Home, position: Position) -> Result<Option<Segment>, DiskError> {
    let files = list(io).await?;
    let bases = files.iter().filter_map(|(name, bytes)| {
        segment::base_of(name).filter(|base| *base <= position).map(|base| (base, name, bytes))
    });
    let Some((_, name, bytes)) = bases.max_by_key(|(base, ..)| *base) else { return Ok(None) };
    let (ends, _) = read_ends(io, &[(name.clone(), *bytes)]).await?;
    // What is wrong with its ends, the start itself tells.
    let found = ends.first().and_then(|ends| candidate(home, ends, &mut Recovery::default()).ok());
    Ok(found.map(|found| found.unread()))
}
