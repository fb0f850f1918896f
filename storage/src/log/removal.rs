//! Removes the end of a log from the disk, so that a crash at any moment leaves either all of it or a
//! stamp that intends to remove the rest.
//!
//! The order is all there is to it:
//!
//! 1. the intent, in both copies of the stamp;
//! 2. a copy of what is removed, for whoever wonders later;
//! 3. the later segments, and the sectors behind the end in the segment that is left;
//! 4. both copies of the stamp again, without the intent.
//!
//! A start that finds the intent makes sure that it is durable, and does the same from step 2 on. Every stamp that claims an entry behind
//! the end durable is gone after step 4: those in records and segment headers are removed with them
//! (a record claims only what comes before it), a footer is zeroed, the stamp file is written twice.
//! So what is appended later can be torn without looking lost.

use quorate_core::id::{LogIndex, Position};
use quorate_core::log::entry::LogEnd;

use super::files::{open_direct, read};
use super::home::Home;
use super::quarantine::{self, Piece};
use super::segment::{self, FOOTER_BYTES, RECORDS_OFFSET, SegmentFooter, records_bytes};
use super::stamp::StampFile;
use crate::buffer::AlignedBuffer;
use crate::disk::{DiskError, DiskErrorKind, Durability, FileId, Op};
use crate::io::Io;

/// What is zeroed in one write.
const ZEROED_AT_ONCE_BYTES: u64 = 1 << 20;

/// What to remove.
pub(super) struct Removal {
    /// What the log ends with from now on.
    pub(super) end: LogEnd,
    /// What is known to be committed: records that say so may be among those that are removed.
    pub(super) committed: LogIndex,
    /// The segment that the end lies in.
    pub(super) kept: File,
    /// Up to where something may be written in it.
    pub(super) written: Position,
    /// The segments behind it, in order.
    pub(super) later: Vec<File>,
}

/// A segment's file.
pub(super) struct File {
    pub(super) base: Position,
    /// Its length.
    pub(super) bytes: u64,
    /// Where it is open for writing.
    pub(super) file: Option<FileId>,
}

/// What is left.
pub(super) struct Removed {
    /// The segment that the log ends in, open for writing.
    pub(super) file: FileId,
    /// The anchors of its footer, where it had one.
    pub(super) anchors: Option<Vec<u32>>,
}

/// Carries a truncation out: all four steps.
pub(super) async fn carry_out(
    io: Io,
    home: Home,
    stamp: StampFile,
    removal: Removal,
) -> Result<Removed, DiskError> {
    let number = stamp.intend(removal.end, removal.committed).await?;
    let removed = finish(&io, &home, number, &removal).await?;
    stamp.settle(removal.end).await?;
    Ok(removed)
}

/// Does what was intended, durably: steps 2 and 3. Doing it again changes nothing.
///
/// - `number`: which truncation it is
pub(super) async fn finish(
    io: &Io,
    home: &Home,
    number: u64,
    removal: &Removal,
) -> Result<Removed, DiskError> {
    let Removal { end, kept, written, later, .. } = removal;
    quarantine::keep(io, home, number, end.position, &pieces(removal)).await?;
    for later in later.iter().rev() {
        if let Some(file) = later.file {
            io.run(Op::Close { file }).await?;
        }
        match io.run(Op::Remove { name: segment::file_name(later.base) }).await {
            Err(error) if error.kind != DiskErrorKind::NotFound => return Err(error),
            Ok(_) | Err(_) => {}
        }
    }
    let file = match kept.file {
        Some(file) => file,
        None => open_direct(io, segment::file_name(kept.base)).await?,
    };
    let footer_at = kept.bytes - FOOTER_BYTES;
    let footer = read(io, file, footer_at, FOOTER_BYTES).await?;
    let footer = SegmentFooter::decode(&footer, home, kept.base, kept.bytes).ok();
    zero(io, file, footer_at, FOOTER_BYTES).await?;
    let bytes = written.get().saturating_sub(end.position.get());
    zero(io, file, RECORDS_OFFSET + end.position.since(kept.base), bytes).await?;
    Ok(Removed { file, anchors: footer.map(|footer| footer.anchors) })
}

/// Writes zeros, durably.
pub(super) async fn zero(
    io: &Io,
    file: FileId,
    mut offset: u64,
    bytes: u64,
) -> Result<(), DiskError> {
    let end = offset + bytes;
    while offset < end {
        let length = (end - offset).min(ZEROED_AT_ONCE_BYTES);
        let buffer = AlignedBuffer::zeroed(length as usize);
        let durability = Durability::Durable;
        io.run(Op::Write { file, offset, buffer, durability }).await?;
        offset += length;
    }
    Ok(())
}

/// Where what is removed lies.
fn pieces(removal: &Removal) -> Vec<Piece> {
    let Removal { end, kept, written, later, .. } = removal;
    let first = Piece {
        name: segment::file_name(kept.base),
        offset: RECORDS_OFFSET + end.position.since(kept.base),
        bytes: written.get().saturating_sub(end.position.get()),
    };
    let later = later.iter().map(|later| Piece {
        name: segment::file_name(later.base),
        offset: RECORDS_OFFSET,
        bytes: records_bytes(later.bytes),
    });
    [first].into_iter().chain(later).collect()
}
