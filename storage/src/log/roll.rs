//! From one segment to the next: the spare gets a header and a name, and the segment before it gets
//! its footer once all of its records are on stable storage.

use std::task::{Context, Poll};

use quorate_core::id::Position;
use quorate_core::log::entry::LogEnd;

use super::files::open_direct;
use super::record::Stamps;
use super::recover::Segment;
use super::segment::{self, Anchors, FOOTER_BYTES, SegmentFooter, SegmentHeader};
use super::{Log, Settings, Working, spare};
use crate::buffer::AlignedBuffer;
use crate::disk::{DiskError, Durability, FileId, Op};
use crate::io::Io;

/// A segment without a footer that takes no more records.
pub(super) struct Closed {
    pub(super) base: Position,
    /// Where it is still open, since it was written to.
    pub(super) file: Option<FileId>,
}

/// The segment that is written to.
pub(super) struct Active {
    pub(super) file: FileId,
    pub(super) base: Position,
    /// The address behind the room for records.
    pub(super) room_end: Position,
}

/// The next segment, on its way.
pub(super) struct Activation {
    start: LogEnd,
    made: Working<FileId>,
}

impl Log {
    /// Makes the spare the next segment, where there is one and nobody has begun.
    pub(super) fn begin_next_segment(&mut self) {
        if self.activation.is_some() || !self.spare.take() {
            return;
        }
        let start = self.shared.borrow().segments.last().expect("there is one").end;
        let header = header_of_next(&self.settings, start, self.stamps());
        let made = Box::pin(activate(self.io.clone(), header));
        self.activation = Some(Activation { start, made });
    }

    /// Goes on with making the next segment.
    pub(super) fn poll_activation(&mut self, context: &mut Context<'_>) -> Result<(), DiskError> {
        let Some(activation) = &mut self.activation else { return Ok(()) };
        let Poll::Ready(file) = activation.made.as_mut().poll(context) else { return Ok(()) };
        let file = file?;
        let segment = header_of_next(&self.settings, activation.start, self.stamps()).segment();
        self.activation = None;
        self.spare.renew();
        if self.truncations.are_under_way() {
            self.truncations.remove_also(&segment, file);
            return Ok(());
        }
        let before = self.active.replace(Active::new(file, &segment));
        let Active { file, base, .. } = before.expect("only a truncation takes it away");
        self.closed.push_back(Closed { base, file: Some(file) });
        self.shared.borrow_mut().segments.push(segment);
        self.submit_queued();
        Ok(())
    }

    /// Writes the footers of closed segments, one at a time, once all of their records are durable.
    pub(super) fn poll_sealing(&mut self, context: &mut Context<'_>) -> Result<(), DiskError> {
        if self.sealing.is_none() {
            self.begin_sealing();
        }
        let Some((base, work)) = &mut self.sealing else { return Ok(()) };
        let Poll::Ready(result) = work.as_mut().poll(context) else { return Ok(()) };
        let base = *base;
        self.sealing = None;
        result?;
        let mut shared = self.shared.borrow_mut();
        let number = shared.holding(base);
        // Where a truncation has begun meanwhile, it may take the footer off again, or all of it.
        if shared.segments[number].base() == base && number + 1 < shared.segments.len() {
            shared.segments[number].anchors = None;
            shared.files.forget(base);
        }
        Ok(())
    }

    fn begin_sealing(&mut self) {
        let Some(&Closed { base, file }) = self.closed.front() else { return };
        let shared = self.shared.borrow();
        let segment = &shared.segments[shared.holding(base)];
        if segment.end.index > self.durable || self.truncations.are_under_way() {
            return;
        }
        let anchors = segment.anchors.as_ref().expect("it has no footer yet");
        let anchors = anchors.sectors().to_vec();
        let footer = SegmentFooter { base, end: segment.end, anchors };
        let footer = footer.encode(&self.settings.home);
        let offset = segment.bytes - FOOTER_BYTES;
        let work = seal(self.io.clone(), base, file, offset, footer);
        self.sealing = Some((base, Box::pin(work)));
        self.closed.pop_front();
    }
}

impl Active {
    pub(super) async fn open(io: &Io, segment: &Segment) -> Result<Self, DiskError> {
        let file = open_direct(io, segment::file_name(segment.base())).await?;
        Ok(Self::new(file, segment))
    }

    pub(super) fn new(file: FileId, segment: &Segment) -> Self {
        Self { file, base: segment.base(), room_end: segment.room_end() }
    }
}

impl SegmentHeader {
    /// The segment that this header begins.
    pub(super) fn segment(&self) -> Segment {
        let bytes = u64::from(self.segment_bytes);
        let (start, end) = (self.start, self.start);
        Segment { bytes, start, end, anchors: Some(Anchors::new(bytes)) }
    }
}

pub(super) fn header_of_next(settings: &Settings, start: LogEnd, stamps: Stamps) -> SegmentHeader {
    let Settings { home, node, segment_bytes, .. } = *settings;
    let Stamps { durable, committed } = stamps;
    SegmentHeader { home, node, segment_bytes, durable, committed, start }
}

/// Makes the spare a segment: its header first, then its name, both durable.
pub(super) async fn activate(io: Io, header: SegmentHeader) -> Result<FileId, DiskError> {
    let file = open_direct(&io, spare::FILE.into()).await?;
    let (buffer, durability) = (header.encode(), Durability::Durable);
    io.run(Op::Write { file, offset: 0, buffer, durability }).await?;
    let to = segment::file_name(header.start.position);
    io.run(Op::Rename { from: spare::FILE.into(), to }).await?;
    Ok(file)
}

/// Writes a segment's footer, durably, and closes the file.
async fn seal(
    io: Io,
    base: Position,
    file: Option<FileId>,
    offset: u64,
    footer: AlignedBuffer,
) -> Result<(), DiskError> {
    let file = match file {
        Some(file) => file,
        None => open_direct(&io, segment::file_name(base)).await?,
    };
    let write = Op::Write { file, offset, buffer: footer, durability: Durability::Durable };
    io.run(write).await?;
    io.run(Op::Close { file }).await.map(drop)
}
