//! Writes a damaged record anew, with the entry as another node of the group has it.
//!
//! Only in sealed segments. Where such a segment ends stands in its footer, so a mend that is cut
//! short by a crash leaves damage as before, and never something that passes for the log's end. For
//! the same reason nothing need be remembered of a mend: what is left undone is found again.
//!
//! Nobody is believed. The entry must continue what comes before the damage, by its chain, and what
//! comes behind must continue the entry.

use quorate_core::id::Position;
use quorate_core::log::entry::{EntryHeader, LogEnd, SECTOR_BYTES};

use super::files::{open_direct, read};
use super::image::{Verdict, events_are_good, examine};
use super::reader::LogReader;
use super::record::{self, Stamps};
use super::recover::Segment;
use super::segment;
use crate::buffer::AlignedBuffer;
use crate::disk::{DiskError, Durability, FileId, Op};

/// Why a damaged record is not mended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MendError {
    /// The log has no sealed segment there.
    #[error("its segment is not sealed")]
    NotSealed,
    /// It is not what was written there: the log around it says otherwise.
    #[error("the entry that was sent does not fit the log around it")]
    Unfit,
    /// What is there can't be looked at.
    #[error("the place can't be read: {0}")]
    Read(DiskError),
    /// The disk fails.
    #[error("the place can't be written: {0}")]
    Write(DiskError),
    /// The disk gives something else back than was written.
    #[error("the disk does not keep what is written there")]
    NotKept,
}

/// Writes the record behind `before` anew, and looks whether the disk has kept it. Where the record
/// is good, nothing is done.
///
/// - `before`: where the log is good up to; the damage is behind it
/// - `entry`, `body`: what another node has there; a body as long as the header says
///
/// # Errors
///
/// [`MendError`]: the record is damaged as before, and after a failed write perhaps in another way.
pub async fn mend(
    reader: LogReader,
    before: LogEnd,
    entry: EntryHeader,
    body: Vec<u8>,
) -> Result<(), MendError> {
    let segment = {
        let shared = reader.shared.borrow();
        shared.segments[shared.holding(before.position)].clone()
    };
    if !segment.is_sealed() || before.position >= segment.end.position {
        return Err(MendError::NotSealed);
    }
    if entry.end() > segment.end.position {
        return Err(MendError::Unfit);
    }
    // All before it was durable and committed when the segment was sealed, and long before.
    let stamps = Stamps { durable: before.index, committed: before.index };
    let record = record::encode(&reader.home, &entry, stamps, &body);
    match examine(&record, &reader.home, &before) {
        Verdict::Present(header) if events_are_good(&header, &body) => {}
        Verdict::Present(_) | Verdict::Blank | Verdict::Bad(_) => return Err(MendError::Unfit),
    }
    let opened = open_direct(&reader.io, segment::file_name(segment.base())).await;
    let file = opened.map_err(MendError::Read)?;
    let place = Place { reader: &reader, segment: &segment, file, before, entry };
    let mended = place.write(record).await;
    reader.io.run(Op::Close { file }).await.map_err(MendError::Read)?;
    mended
}

/// The damaged place, open.
struct Place<'a> {
    reader: &'a LogReader,
    segment: &'a Segment,
    file: FileId,
    before: LogEnd,
    entry: EntryHeader,
}

impl Place<'_> {
    async fn write(&self, record: AlignedBuffer) -> Result<(), MendError> {
        if self.is_good().await? {
            return Ok(());
        }
        if !self.is_continued().await? {
            return Err(MendError::Unfit);
        }
        let offset = self.segment.offset_of(self.before.position);
        let (file, durability) = (self.file, Durability::Durable);
        let write = Op::Write { file, offset, buffer: record, durability };
        self.reader.io.run(write).await.map_err(MendError::Write)?;
        if self.is_good().await? { Ok(()) } else { Err(MendError::NotKept) }
    }

    /// Whether the record is there as it should be.
    async fn is_good(&self) -> Result<bool, MendError> {
        let bytes = self.entry.end().since(self.before.position);
        let found = self.read(self.before.position, bytes).await?;
        let Verdict::Present(header) = examine(&found, &self.reader.home, &self.before) else {
            return Ok(false);
        };
        Ok(header.entry == self.entry && events_are_good(&header, &found[header.body()]))
    }

    /// Whether what comes behind follows on the entry. Where the next records are damaged as well,
    /// there must be room for just them up to the first that is not.
    async fn is_continued(&self) -> Result<bool, MendError> {
        let after = LogEnd::after(&self.entry);
        let next = self.next().await?;
        Ok(if next.index == after.index {
            (next.position, next.chain) == (after.position, after.chain)
        } else {
            next.index > after.index && next.position > after.position
        })
    }

    /// What the log is before the next record whose header can be read, wherever that is; the
    /// segment's end, where there is none.
    async fn next(&self) -> Result<LogEnd, MendError> {
        let mut at = self.before.position.plus(SECTOR_BYTES);
        while at < self.segment.end.position {
            let sector = self.read(at, SECTOR_BYTES).await?;
            match record::decode_header(&sector, &self.reader.home) {
                Ok(header) if header.entry.position == at => return Ok(header.before()),
                Ok(_) | Err(_) => at = at.plus(SECTOR_BYTES),
            }
        }
        Ok(self.segment.end)
    }

    async fn read(&self, from: Position, bytes: u64) -> Result<AlignedBuffer, MendError> {
        let offset = self.segment.offset_of(from);
        read(&self.reader.io, self.file, offset, bytes).await.map_err(MendError::Read)
    }
}
