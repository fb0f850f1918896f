//! The log: entries on disk, one record behind the other, in preallocated segments.
//!
//! [`Log`] is the writer. It takes entries in without waiting, has several writes in flight, and
//! reports which entries are on stable storage; what must be done beside that (the next segment's
//! file, a sealed segment's footer, the stamp) goes on inside it whenever it is polled.
//! [`LogReader`] reads what is committed, [`Scrub`] reads everything again in the background, and
//! [`verify()`] does so offline.
//!
//! Acknowledged bytes are never written again: a record is whole sectors, and a segment's header
//! and footer have sectors of their own.

mod corruption;
mod files;
mod home;
mod image;
mod reader;
mod record;
mod recover;
mod scrub;
mod segment;
mod spare;
mod stamp;
mod tail;
mod verify;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use quorate_core::id::{Epoch, LogIndex, NodeId, Position};
use quorate_core::log::entry::{EntryHeader, LogEnd, record_bytes};
use quorate_core::time::Instant;

pub use self::corruption::{Corruption, Damage, Part};
pub use self::home::Home;
pub use self::reader::{Chunk, EventBytes, LogReader, ReadError};
pub use self::recover::{OpenError, Recovery, TornTail};
pub use self::scrub::{Scrub, ScrubProgress};
pub use self::verify::{LogReport, verify};

use self::image::{SegmentImage, Verdict};
use self::reader::Shared;
use self::recover::{Recovered, Segment, recover};
use self::segment::{Anchors, FOOTER_BYTES, SegmentFooter, SegmentHeader};
use self::spare::Spare;
use self::stamp::{Stamp, StampFile};
use self::tail::HeldRecord;
use crate::buffer::AlignedBuffer;
use crate::disk::{Access, DiskError, Done, Durability, FileId, FileName, Op};
use crate::io::{Io, Running};

/// How long the log is idle before the stamp says what is durable.
const STAMP_AFTER_NANOS: u64 = 5_000_000;

/// What a log is opened with.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Whose log it is, and on which disk.
    pub home: Home,
    /// Which node writes it.
    pub node: NodeId,
    /// The length of new segments; those that exist keep theirs.
    pub segment_bytes: u32,
    /// Newest records that are kept in memory.
    pub tail_bytes_max: u64,
}

/// An entry that is on stable storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// In which epoch it was made.
    pub epoch: Epoch,
    /// Which one.
    pub index: LogIndex,
}

/// Whether the log can grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// It can.
    Ample,
    /// The disk has no space for another segment. What is appended still goes into the present one
    /// while it has room, and then waits.
    Full,
}

/// A write failed: nobody knows what is on the disk, so nothing more is written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the log can't be written any more: {0}")]
pub struct LogFault(pub DiskError);

/// The writer of one log.
pub struct Log {
    io: Io,
    settings: Settings,
    shared: Rc<RefCell<Shared>>,
    /// Behind the last entry that was appended.
    end: LogEnd,
    /// Every entry up to here is on stable storage.
    durable: LogIndex,
    /// Some stamp that is on stable storage says so up to here.
    stamped: LogIndex,
    active: Active,
    /// Records that wait for the next segment, oldest first.
    queue: VecDeque<Queued>,
    /// Writes under way, in the order of their entries.
    writes: VecDeque<Write>,
    spare: Spare,
    activation: Option<Activation>,
    /// Segments that take no more records, until they have their footer.
    closed: VecDeque<Closed>,
    sealing: Option<Working<()>>,
    stamp: StampFile,
    stamp_write: Option<(Running, LogIndex)>,
    /// Since when nothing has been under way.
    idle_since: Option<Instant>,
    failed: bool,
}

/// Work on files that goes on between polls.
type Working<T> = Pin<Box<dyn Future<Output = Result<T, DiskError>>>>;

/// A segment without a footer that takes no more records.
struct Closed {
    base: Position,
    /// Where it is still open, since it was written to.
    file: Option<FileId>,
}

/// The segment that is written to.
struct Active {
    file: FileId,
    base: Position,
    /// The address behind the room for records.
    room_end: Position,
}

struct Activation {
    start: LogEnd,
    made: Working<FileId>,
}

struct Queued {
    entry: EntryHeader,
    /// The stamp in the record.
    durable: LogIndex,
    record: AlignedBuffer,
}

struct Write {
    entry: EntryHeader,
    durable: LogIndex,
    state: WriteState,
}

enum WriteState {
    Running(Running),
    Done,
}

impl Log {
    /// Opens the log in the disk's folder, or begins one where there is none: finds its end, and
    /// cuts off what the last process did not finish writing.
    ///
    /// Reads the headers and footers of all segments, and in full only those that have no footer
    /// yet, which is the last one and seldom another.
    ///
    /// # Errors
    ///
    /// [`OpenError`] where something that may have been acknowledged is not there as it was
    /// written: nothing is cut silently.
    pub async fn open(io: &Io, settings: Settings) -> Result<(Self, Recovery), OpenError> {
        let Done::Listed(files) = io.run(Op::List { folder: segment::FOLDER.into() }).await? else {
            unreachable!("a list gives names")
        };
        let recovered = recover(io, &settings.home, &files).await?;
        let Recovered { mut segments, stamp, mut report } = recovered;
        let mut spare = Spare::find(io, u64::from(settings.segment_bytes), &files).await?;
        let stamp = match stamp {
            stamp::Found::Stamp(stamp) => {
                (StampFile::open(io, &settings.home, stamp).await?, stamp)
            }
            stamp::Found::Nothing | stamp::Found::Damaged => {
                let stamp = Stamp { sequence: 0, durable: report.end.index };
                (StampFile::make(io, &settings.home, stamp).await?, stamp)
            }
        };
        let end = report.end;
        let active = match segments.last() {
            Some(last) if !last.is_sealed() => Active::open(io, last).await?,
            Some(_) | None => {
                spare.made().await?;
                assert!(spare.take(), "it has just been made");
                let header = header_of_next(&settings, end, end.index);
                let file = activate(io.clone(), header).await?;
                spare.renew();
                segments.push(header.segment());
                report.segments += 1;
                Active::new(file, segments.last().expect("just added"))
            }
        };
        let closed = segments[..segments.len() - 1].iter().filter(|held| !held.is_sealed());
        let closed = closed.map(|held| Closed { base: held.base(), file: None }).collect();
        let shared = Rc::new(RefCell::new(Shared::new(segments, settings.tail_bytes_max)));
        let log = Self {
            io: io.clone(),
            settings,
            shared,
            end,
            durable: end.index,
            stamped: stamp.1.durable,
            active,
            queue: VecDeque::new(),
            writes: VecDeque::new(),
            spare,
            activation: None,
            closed,
            sealing: None,
            stamp: stamp.0,
            stamp_write: None,
            idle_since: Some(Instant::START),
            failed: false,
        };
        Ok((log, report))
    }

    /// Visits every entry from the record that holds `from` to the end, in order: what the index
    /// and the replica need at a start. Checks each of them, and the chain between them.
    ///
    /// # Errors
    ///
    /// [`OpenError::Corrupt`] at the first entry that is not what was written; those before it have
    /// been visited.
    pub async fn replay(
        &self,
        from: Position,
        mut visit: impl FnMut(&EntryHeader, &[u8]),
    ) -> Result<(), OpenError> {
        assert_eq!(self.durable, self.end.index, "a log is replayed before it grows");
        let segments = {
            let shared = self.shared.borrow();
            shared.segments[shared.holding(from)..].to_vec()
        };
        for segment in &segments {
            let image = SegmentImage::read(&self.io, segment.base()).await?;
            let home = &self.settings.home;
            // Where a record starts just there, those before it need not be gone through.
            let first = (segment.base() < from).then(|| image.header_at(home, from)).flatten();
            let start = first.map_or(segment.start, |header| header.before());
            let (end, verdict) = image.walk(home, start, |header, body| {
                if header.entry.end() > from {
                    visit(&header.entry, body);
                }
            });
            if end != segment.end {
                let corruption = match verdict {
                    Verdict::Bad(bad) => image.corruption(&end, &bad),
                    Verdict::Present(_) | Verdict::Blank => image.lost(&end),
                };
                return Err(OpenError::Corrupt(Box::new(corruption)));
            }
        }
        Ok(())
    }

    /// Takes an entry in. It goes to the disk now, or as soon as its segment is there.
    ///
    /// After a fault it is ignored: nothing is written any more.
    ///
    /// # Panics
    ///
    /// Where it does not continue the log, or is longer than a segment has room for.
    pub fn append(&mut self, entry: &EntryHeader, body: &[u8]) {
        if self.failed {
            return;
        }
        assert_eq!(entry.index, self.end.index.next(), "entries follow each other");
        assert_eq!(entry.position, self.end.position, "records follow each other");
        assert_eq!(entry.previous_chain, self.end.chain, "the chain goes on");
        assert_eq!(entry.events_before, self.end.events, "events are counted");
        let room = segment::records_bytes(u64::from(self.settings.segment_bytes));
        assert!(record_bytes(entry.body_bytes) <= room, "an entry fits in a segment");
        let record = record::encode(&self.settings.home, entry, self.durable, body);
        self.end = LogEnd::after(entry);
        self.idle_since = None;
        self.queue.push_back(Queued { entry: *entry, durable: self.durable, record });
        self.submit_queued();
    }

    /// Takes in what the disk has done, and goes on with the log's own work.
    ///
    /// Adds the entries that are now on stable storage to `written`, in any order: several writes
    /// are in flight, and an entry may be there before the one before it. Which of them will still
    /// be there after a crash is for the reader of this list to conclude: all before the first that
    /// was not reported.
    ///
    /// - `now`: for the stamp, and to look for space again; see [`Log::next_timer`]
    /// - `context`: is woken when there is more to do
    ///
    /// # Errors
    ///
    /// [`LogFault`], once; after it the log does nothing more.
    pub fn poll(
        &mut self,
        now: Instant,
        context: &mut Context<'_>,
        written: &mut Vec<Written>,
    ) -> Result<(), LogFault> {
        if self.failed {
            return Ok(());
        }
        let result = self.advance(now, context, written);
        if result.is_err() {
            self.failed = true;
            self.queue.clear();
        }
        result.map_err(LogFault)
    }

    /// Behind the last entry that was appended.
    #[must_use]
    pub fn end(&self) -> LogEnd {
        self.end
    }

    /// Whether the log can grow.
    #[must_use]
    pub fn room(&self) -> Room {
        if self.spare.is_wanting() { Room::Full } else { Room::Ample }
    }

    /// When to poll again though the disk says nothing.
    #[must_use]
    pub fn next_timer(&self) -> Option<Instant> {
        self.stamp_at().into_iter().chain(self.spare.retry_at()).min()
    }

    /// A reader of this log.
    #[must_use]
    pub fn reader(&self) -> LogReader {
        let (io, home, shared) = (self.io.clone(), self.settings.home, self.shared.clone());
        LogReader { io, home, shared }
    }

    /// Waits for the writes under way and stamps them, before the process ends in good order.
    ///
    /// Entries that have no room on a full disk are left out, as in a crash.
    ///
    /// # Errors
    ///
    /// [`LogFault`] where a write fails.
    pub async fn close(mut self) -> Result<(), LogFault> {
        if self.failed {
            return Ok(());
        }
        let mut written = Vec::new();
        std::future::poll_fn(|context| {
            let result = self.advance(Instant::START, context, &mut written);
            let waits_for_space = self.spare.is_wanting();
            let idle = self.writes.is_empty() && self.stamp_write.is_none();
            match result {
                Ok(()) if !idle || (!self.queue.is_empty() && !waits_for_space) => Poll::Pending,
                result => Poll::Ready(result),
            }
        })
        .await
        .map_err(LogFault)?;
        if self.stamped < self.durable {
            self.stamp.write(self.durable).await.map_err(LogFault)?;
        }
        Ok(())
    }

    fn advance(
        &mut self,
        now: Instant,
        context: &mut Context<'_>,
        written: &mut Vec<Written>,
    ) -> Result<(), DiskError> {
        self.spare.poll(now, context)?;
        self.poll_activation(context)?;
        self.submit_queued();
        self.poll_writes(context, written)?;
        // What was just submitted, or could be now that a segment is there, must hear of its end.
        self.poll_activation(context)?;
        self.poll_sealing(context)?;
        self.poll_stamp(now, context)
    }

    /// Submits records from the queue while they fit in the active segment; else asks for the next.
    fn submit_queued(&mut self) {
        while let Some(queued) = self.queue.front() {
            if queued.entry.end() > self.active.room_end {
                self.begin_next_segment();
                return;
            }
            let Queued { entry, durable, record } = self.queue.pop_front().expect("just seen");
            let distance = entry.position.since(self.active.base);
            let running = self.io.run(Op::Write {
                file: self.active.file,
                offset: segment::RECORDS_OFFSET + distance,
                buffer: record,
                durability: Durability::Durable,
            });
            let mut shared = self.shared.borrow_mut();
            let segment = shared.segments.last_mut().expect("there is an active segment");
            segment.anchors.as_mut().expect("it is not sealed").note(distance);
            segment.end = LogEnd::after(&entry);
            self.writes.push_back(Write { entry, durable, state: WriteState::Running(running) });
        }
    }

    /// Makes the spare the next segment, where there is one and nobody has begun.
    fn begin_next_segment(&mut self) {
        if self.activation.is_some() || !self.spare.take() {
            return;
        }
        let start = self.shared.borrow().segments.last().expect("there is one").end;
        let header = header_of_next(&self.settings, start, self.durable);
        let made = Box::pin(activate(self.io.clone(), header));
        self.activation = Some(Activation { start, made });
    }

    fn poll_activation(&mut self, context: &mut Context<'_>) -> Result<(), DiskError> {
        let Some(activation) = &mut self.activation else { return Ok(()) };
        let Poll::Ready(file) = activation.made.as_mut().poll(context) else { return Ok(()) };
        let file = file?;
        let segment = header_of_next(&self.settings, activation.start, self.durable).segment();
        self.activation = None;
        let file_of_closed = Some(self.active.file);
        self.closed.push_back(Closed { base: self.active.base, file: file_of_closed });
        self.active = Active::new(file, &segment);
        self.shared.borrow_mut().segments.push(segment);
        self.spare.renew();
        self.submit_queued();
        Ok(())
    }

    /// Takes in the writes that have ended.
    fn poll_writes(
        &mut self,
        context: &mut Context<'_>,
        written: &mut Vec<Written>,
    ) -> Result<(), DiskError> {
        for write in &mut self.writes {
            let WriteState::Running(running) = &mut write.state else { continue };
            let Poll::Ready(done) = Pin::new(running).poll(context) else { continue };
            let Done::Transferred(record) = done? else { unreachable!("a write gives its buffer") };
            write.state = WriteState::Done;
            let entry = write.entry;
            let start = entry.body_position().since(entry.position) as usize;
            let body = start..start + entry.body_bytes as usize;
            let held = HeldRecord { entry, bytes: Rc::new(record), body };
            self.shared.borrow_mut().tail.insert(held);
            self.stamped = self.stamped.max(write.durable);
            written.push(Written { epoch: entry.epoch, index: entry.index });
        }
        while let Some(Write { entry, state: WriteState::Done, .. }) = self.writes.front() {
            self.durable = entry.index;
            self.writes.pop_front();
        }
        Ok(())
    }

    /// Writes the footers of closed segments, one at a time, once all of their records are durable.
    fn poll_sealing(&mut self, context: &mut Context<'_>) -> Result<(), DiskError> {
        let Some(&Closed { base, file }) = self.closed.front() else { return Ok(()) };
        if self.sealing.is_none() {
            let shared = self.shared.borrow();
            let segment = &shared.segments[shared.holding(base)];
            if segment.end.index > self.durable {
                return Ok(());
            }
            let anchors = segment.anchors.as_ref().expect("it has no footer yet");
            let anchors = anchors.sectors().to_vec();
            let footer = SegmentFooter { base, end: segment.end, anchors };
            let footer = footer.encode(&self.settings.home);
            let offset = segment.bytes - FOOTER_BYTES;
            self.sealing = Some(Box::pin(seal(self.io.clone(), base, file, offset, footer)));
        }
        let sealing = self.sealing.as_mut().expect("one is under way");
        if let Poll::Ready(result) = sealing.as_mut().poll(context) {
            result?;
            let mut shared = self.shared.borrow_mut();
            let number = shared.holding(base);
            shared.segments[number].anchors = None;
            shared.files.forget(base);
            self.closed.pop_front();
            self.sealing = None;
        }
        Ok(())
    }

    /// Writes the stamp when the log has been idle for a while.
    fn poll_stamp(&mut self, now: Instant, context: &mut Context<'_>) -> Result<(), DiskError> {
        if !self.writes.is_empty() || !self.queue.is_empty() {
            self.idle_since = None;
        } else if self.idle_since.is_none() {
            self.idle_since = Some(now);
        }
        if self.stamp_at().is_some_and(|at| now >= at) {
            self.stamp_write = Some((self.stamp.write(self.durable), self.durable));
        }
        if let Some((running, durable)) = &mut self.stamp_write
            && let Poll::Ready(done) = Pin::new(running).poll(context)
        {
            done?;
            self.stamped = self.stamped.max(*durable);
            self.stamp_write = None;
        }
        Ok(())
    }

    /// When the stamp is to be written.
    fn stamp_at(&self) -> Option<Instant> {
        let idle_since = self.idle_since?;
        (self.stamped < self.durable && self.stamp_write.is_none())
            .then(|| Instant::from_nanos(idle_since.nanos() + STAMP_AFTER_NANOS))
    }
}

impl Active {
    async fn open(io: &Io, segment: &Segment) -> Result<Self, DiskError> {
        let file = open_direct(io, segment::file_name(segment.base())).await?;
        Ok(Self::new(file, segment))
    }

    fn new(file: FileId, segment: &Segment) -> Self {
        Self { file, base: segment.base(), room_end: segment.room_end() }
    }
}

impl SegmentHeader {
    /// The segment that this header begins.
    fn segment(&self) -> Segment {
        let bytes = u64::from(self.segment_bytes);
        let (start, end) = (self.start, self.start);
        Segment { bytes, start, end, anchors: Some(Anchors::new(bytes)) }
    }
}

fn header_of_next(settings: &Settings, start: LogEnd, durable: LogIndex) -> SegmentHeader {
    let Settings { home, node, segment_bytes, .. } = *settings;
    SegmentHeader { home, node, segment_bytes, durable, start }
}

/// Makes the spare a segment: its header first, then its name, both durable.
async fn activate(io: Io, header: SegmentHeader) -> Result<FileId, DiskError> {
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

async fn open_direct(io: &Io, name: FileName) -> Result<FileId, DiskError> {
    match io.run(Op::Open { name, access: Access::Direct }).await? {
        Done::Opened { file, .. } => Ok(file),
        other => unreachable!("an open gives a file, not {other:?}"),
    }
}

#[cfg(test)]
mod tests;
