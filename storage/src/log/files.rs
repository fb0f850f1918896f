//! Segments that are open for reading, a bounded number of them, with their anchors; and how any
//! file of the log is opened and read.

use std::collections::BTreeMap;
use std::rc::Rc;

use quorate_core::id::Position;

use super::home::Home;
use super::segment::{self, FOOTER_BYTES, SegmentFooter};
use crate::buffer::AlignedBuffer;
use crate::disk::{Access, DiskError, Done, FileId, FileName, Op};
use crate::io::Io;

/// Files that are kept open; a read of another one closes the one that was used least recently.
const OPEN_MAX: usize = 128;

/// A segment that is open through the page cache; closed when nobody reads it any more.
pub(super) struct OpenSegment {
    io: Io,
    file: FileId,
    /// Of a sealed segment whose footer can be read.
    pub(super) anchors: Option<Vec<u32>>,
}

impl OpenSegment {
    /// Opens the segment with this base.
    pub(super) async fn open(
        io: &Io,
        home: &Home,
        base: Position,
        sealed: bool,
    ) -> Result<Self, DiskError> {
        let name = segment::file_name(base);
        let done = io.run(Op::Open { name, access: Access::Cached }).await?;
        let Done::Opened { file, bytes } = done else { unreachable!("an open gives a file") };
        let mut opened = Self { io: io.clone(), file, anchors: None };
        if sealed {
            let footer = opened.read(bytes - FOOTER_BYTES, FOOTER_BYTES as usize).await?;
            // Without a footer a reader starts at the first record, and finds what it looks for.
            opened.anchors =
                SegmentFooter::decode(&footer, home, base, bytes).ok().map(|footer| footer.anchors);
        }
        Ok(opened)
    }

    /// Reads whole sectors.
    pub(super) async fn read(&self, offset: u64, bytes: usize) -> Result<AlignedBuffer, DiskError> {
        read(&self.io, self.file, offset, bytes as u64).await
    }
}

impl Drop for OpenSegment {
    fn drop(&mut self) {
        // Nothing was written through it, so there is nothing to learn from its end.
        drop(self.io.run(Op::Close { file: self.file }));
    }
}

/// The segments that are open.
#[derive(Default)]
pub(super) struct OpenSegments {
    open: BTreeMap<Position, (Rc<OpenSegment>, u64)>,
    uses: u64,
}

impl OpenSegments {
    pub(super) fn find(&mut self, base: Position) -> Option<Rc<OpenSegment>> {
        self.uses += 1;
        let (segment, used) = self.open.get_mut(&base)?;
        *used = self.uses;
        Some(segment.clone())
    }

    pub(super) fn insert(&mut self, base: Position, segment: Rc<OpenSegment>) {
        self.uses += 1;
        self.open.insert(base, (segment, self.uses));
        if self.open.len() > OPEN_MAX {
            let oldest = self.open.iter().min_by_key(|(_, (_, used))| *used);
            let oldest = *oldest.expect("it has just been added to").0;
            self.open.remove(&oldest);
        }
    }

    /// Lets go of a segment, to read its anchors when it is opened the next time.
    pub(super) fn forget(&mut self, base: Position) {
        self.open.remove(&base);
    }
}

/// Opens a file past the page cache.
pub(super) async fn open_direct(io: &Io, name: FileName) -> Result<FileId, DiskError> {
    match io.run(Op::Open { name, access: Access::Direct }).await? {
        Done::Opened { file, .. } => Ok(file),
        other => unreachable!("an open gives a file, not {other:?}"),
    }
}

/// Reads whole sectors.
pub(super) async fn read(
    io: &Io,
    file: FileId,
    offset: u64,
    bytes: u64,
) -> Result<AlignedBuffer, DiskError> {
    let buffer = AlignedBuffer::zeroed(bytes as usize);
    match io.run(Op::Read { file, offset, buffer }).await? {
        Done::Transferred(buffer) => Ok(buffer),
        other => unreachable!("a read gives its buffer, not {other:?}"),
    }
}
