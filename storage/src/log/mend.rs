//! Writes a damaged record anew, with the entry as another node of the group has it.
//!
//! In a log that is open ([`mend`]), only in sealed segments. Where such a segment ends stands in its
//! footer, so a mend that is cut short by a crash leaves damage as before, and never something that
//! passes for the log's end. For the same reason nothing need be remembered of a mend: what is left
//! undone is found again.
//!
//! Nobody is believed. The entry must continue what comes before the damage, by its chain, and what
//! comes behind must continue the entry.
//!
//! A log that can't be opened because of the damage is mended in any segment
//! ([`mend_unopened`][super::mend_unopened()]).

use quorate_core::id::Position;
use quorate_core::log::entry::{EntryHeader, LogEnd, SECTOR_BYTES};

use super::files::{open_direct, read};
use super::home::Home;
use super::image::{Verdict, events_are_good, examine};
use super::reader::LogReader;
use super::record::{self, Stamps};
use super::recover::Segment;
use super::segment;
use crate::buffer::AlignedBuffer;
use crate::disk::{DiskError, Durability, FileId, Op};
use crate::io::Io;

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
    /// A truncation has been intended and not carried out.
    #[error("the log was about to be cut when the last process ended")]
    Truncating,
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
    let place = Place { io: &reader.io, home: &reader.home, segment: &segment, before };
    place.write(&entry, place.record(&entry, &body)?).await
}

/// Where a damaged record is.
pub(super) struct Place<'a> {
    pub(super) io: &'a Io,
    pub(super) home: &'a Home,
    pub(super) segment: &'a Segment,
    /// Where the log is good up to.
    pub(super) before: LogEnd,
}

impl Place<'_> {
    /// The record of an entry that continues what comes before it.
    pub(super) fn record(
        &self,
        entry: &EntryHeader,
        body: &[u8],
    ) -> Result<AlignedBuffer, MendError> {
        if entry.end() > self.segment.sealed_end() {
            return Err(MendError::Unfit);
        }
        // All before it was durable and committed, by the entry itself: it is committed.
        let stamps = Stamps { durable: self.before.index, committed: self.before.index };
        let record = record::encode(self.home, entry, stamps, body);
        match examine(&record, self.home, &self.before) {
            Verdict::Present(header) if events_are_good(&header, body) => Ok(record),
            Verdict::Present(_) | Verdict::Blank | Verdict::Bad(_) => Err(MendError::Unfit),
        }
    }

    /// Writes the record, where what is there is damaged and what comes behind goes on from it.
    pub(super) async fn write(
        &self,
        entry: &EntryHeader,
        record: AlignedBuffer,
    ) -> Result<(), MendError> {
        let opened = open_direct(self.io, segment::file_name(self.segment.base())).await;
        let file = opened.map_err(MendError::Read)?;
        let mended = self.write_to(file, entry, record).await;
        self.io.run(Op::Close { file }).await.map_err(MendError::Read)?;
        mended
    }

    async fn write_to(
        &self,
        file: FileId,
        entry: &EntryHeader,
        record: AlignedBuffer,
    ) -> Result<(), MendError> {
        if self.is_good(file, entry).await? {
            return Ok(());
        }
        // Behind the newest record there is nothing yet that could go on from it.
        if self.segment.is_sealed() && !self.is_continued(file, entry).await? {
            return Err(MendError::Unfit);
        }
        let offset = self.segment.offset_of(self.before.position);
        let write = Op::Write { file, offset, buffer: record, durability: Durability::Durable };
        self.io.run(write).await.map_err(MendError::Write)?;
        if self.is_good(file, entry).await? { Ok(()) } else { Err(MendError::NotKept) }
    }

    /// Whether the record is there as it should be.
    async fn is_good(&self, file: FileId, entry: &EntryHeader) -> Result<bool, MendError> {
        let bytes = entry.end().since(self.before.position);
        let found = self.read(file, self.before.position, bytes).await?;
        let Verdict::Present(header) = examine(&found, self.home, &self.before) else {
            return Ok(false);
        };
        Ok(header.entry == *entry && events_are_good(&header, &found[header.body()]))
    }

    /// Whether what comes behind follows on the entry. Where the next records are damaged as well,
    /// there must be room for just them up to the first that is not.
    async fn is_continued(&self, file: FileId, entry: &EntryHeader) -> Result<bool, MendError> {
        let after = LogEnd::after(entry);
        let next = self.next(file).await?;
        Ok(if next.index == after.index {
            (next.position, next.chain) == (after.position, after.chain)
        } else {
            next.index > after.index && next.position > after.position
        })
    }

    /// What the log is before the next record whose header can be read, wherever that is; the
    /// segment's end, where there is none.
    async fn next(&self, file: FileId) -> Result<LogEnd, MendError> {
        let mut at = self.before.position.plus(SECTOR_BYTES);
        while at < self.segment.end.position {
            let sector = self.read(file, at, SECTOR_BYTES).await?;
            match record::decode_header(&sector, self.home) {
                Ok(header) if header.entry.position == at => return Ok(header.before()),
                Ok(_) | Err(_) => at = at.plus(SECTOR_BYTES),
            }
        }
        Ok(self.segment.end)
    }

    async fn read(
        &self,
        file: FileId,
        from: Position,
        bytes: u64,
    ) -> Result<AlignedBuffer, MendError> {
        read(self.io, file, self.segment.offset_of(from), bytes).await.map_err(MendError::Read)
    }
}
