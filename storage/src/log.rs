//! The log: entries on disk, one record behind the other, in preallocated segments.
//!
//! [`Log`] is the writer. It takes entries in without waiting, has several writes in flight, and
//! reports which entries are on stable storage; what must be done beside that (the next segment's
//! file, a sealed segment's footer, the stamp) goes on inside it whenever it is polled. A member of a
//! group may have to take back what its leader never committed: [`Log::truncate`].
//! [`LogReader`] reads what is committed, [`Scrub`] reads everything again in the background, and
//! [`verify()`] does so offline. What is found damaged can be written anew from another node's copy:
//! [`mend()`], and where the log can't be opened because of it, [`mend_unopened()`].
//!
//! Acknowledged bytes that are good are never written again: a record is whole sectors, and a
//! segment's header and footer have sectors of their own.

mod corruption;
mod files;
mod home;
mod image;
mod mend;
mod mend_unopened;
mod quarantine;
mod reader;
mod record;
mod recover;
mod removal;
mod roll;
mod scrub;
mod segment;
mod shared;
mod spare;
mod stamp;
mod tail;
mod truncate;
mod verify;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use quorate_core::id::{Epoch, LogIndex, NodeId, Position};
use quorate_core::log::entry::{EntryHeader, LogEnd, body_offset, record_bytes};
use quorate_core::time::Instant;

pub use self::corruption::{Corruption, Damage, Part};
pub use self::home::Home;
pub use self::mend::{MendError, mend};
pub use self::mend_unopened::{good_before, mend_unopened};
pub use self::reader::{Chunk, EventBytes, LogReader, ReadError};
pub use self::recover::{OpenError, Recovery, TornTail};
pub use self::scrub::{Found, Scrub, ScrubProgress};
pub use self::verify::{LogReport, verify};

use self::image::{SegmentImage, Verdict};
use self::record::Stamps;
use self::recover::{Recovered, recover};
use self::roll::{Activation, Active, Closed, activate, header_of_next};
use self::shared::Shared;
use self::spare::Spare;
use self::stamp::StampFile;
use self::tail::HeldRecord;
use self::truncate::Truncations;
use crate::buffer::AlignedBuffer;
use crate::disk::{DiskError, Durability, Op};
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
    /// Every entry up to here is known to be committed.
    committed: LogIndex,
    /// Some stamp that is on stable storage says so up to here.
    stamped_committed: LogIndex,
    /// Away while its end is being removed.
    active: Option<Active>,
    /// Records that wait for the next segment, oldest first.
    queue: VecDeque<Queued>,
    /// Writes under way, in the order of their entries.
    writes: VecDeque<Write>,
    spare: Spare,
    activation: Option<Activation>,
    /// Segments that take no more records, until they have their footer.
    closed: VecDeque<Closed>,
    sealing: Option<(Position, Working<()>)>,
    truncations: Truncations,
    stamp: StampFile,
    stamp_write: Option<(Running, Stamps)>,
    /// Since when nothing has been under way.
    idle_since: Option<Instant>,
    failed: bool,
}

/// Work on files that goes on between polls.
type Working<T> = Pin<Box<dyn Future<Output = Result<T, DiskError>>>>;

struct Queued {
    entry: EntryHeader,
    /// Those in the record.
    stamps: Stamps,
    record: AlignedBuffer,
}

struct Write {
    entry: EntryHeader,
    stamps: Stamps,
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
        let files = recover::list(io).await?;
        let recovered = recover(io, &settings.home, &files).await?;
        let Recovered { mut segments, stamp, mut report } = recovered;
        let known = Stamps { durable: report.end.index, committed: report.committed };
        let mut spare = Spare::find(io, u64::from(settings.segment_bytes), &files).await?;
        let (stamp, stamped) = StampFile::settled(io, &settings.home, stamp, known).await?;
        let end = report.end;
        let active = match segments.last() {
            Some(last) if !last.is_sealed() => Active::open(io, last).await?,
            Some(_) | None => {
                spare.made().await?;
                assert!(spare.take(), "it has just been made");
                let header = header_of_next(&settings, end, known);
                let file = activate(io.clone(), header).await?;
                spare.renew();
                segments.push(header.segment());
                report.segments += 1;
                Active::new(file, segments.last().expect("just added"))
            }
        };
        let closed = segments[..segments.len() - 1].iter().filter(|held| !held.is_sealed());
        let closed = closed.map(|held| Closed { base: held.base(), file: None }).collect();
        let shared = Shared::new(segments, settings.tail_bytes_max, end.index);
        let shared = Rc::new(RefCell::new(shared));
        let log = Self {
            io: io.clone(),
            settings,
            shared,
            end,
            durable: end.index,
            stamped: stamped.durable,
            committed: known.committed,
            stamped_committed: stamped.committed,
            active: Some(active),
            queue: VecDeque::new(),
            writes: VecDeque::new(),
            spare,
            activation: None,
            closed,
            sealing: None,
            truncations: Truncations::default(),
            stamp,
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
    /// - `committed`: every entry up to this one is known to be committed; the record says so to the
    ///   next start
    ///
    /// # Panics
    ///
    /// Where it does not continue the log, or is longer than a segment has room for.
    pub fn append(&mut self, entry: &EntryHeader, body: &[u8], committed: LogIndex) {
        if self.failed {
            return;
        }
        assert_eq!(entry.index, self.end.index.next(), "entries follow each other");
        assert_eq!(entry.position, self.end.position, "records follow each other");
        assert_eq!(entry.previous_chain, self.end.chain, "the chain goes on");
        assert_eq!(entry.events_before, self.end.events, "events are counted");
        let room = segment::records_bytes(u64::from(self.settings.segment_bytes));
        assert!(record_bytes(entry.body_bytes) <= room, "an entry fits in a segment");
        self.committed = self.committed.max(committed);
        let stamps = self.stamps();
        let record = record::encode(&self.settings.home, entry, stamps, body);
        let start = body_offset(entry.body_bytes) as usize;
        let body = start..start + entry.body_bytes as usize;
        let held = HeldRecord { entry: *entry, bytes: record.share(), body };
        self.shared.borrow_mut().tail.push(held);
        self.end = LogEnd::after(entry);
        self.idle_since = None;
        self.queue.push_back(Queued { entry: *entry, stamps, record });
        self.submit_queued();
    }

    /// Takes note that every entry up to this one is committed. Where no record follows that says so,
    /// the stamp does.
    pub fn note_committed(&mut self, committed: LogIndex) {
        if committed > self.committed {
            self.committed = committed;
            // What else is learned in the next moments goes into the same stamp.
            self.idle_since = None;
        }
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
            let idle = self.writes.is_empty()
                && self.stamp_write.is_none()
                && !self.truncations.are_under_way();
            match result {
                Ok(()) if !idle || (!self.queue.is_empty() && !waits_for_space) => Poll::Pending,
                result => Poll::Ready(result),
            }
        })
        .await
        .map_err(LogFault)?;
        if self.wants_stamp() {
            self.stamp.write(self.durable, self.committed).await.map_err(LogFault)?;
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
        self.poll_stamp(now, context)?;
        self.poll_truncation(now, context, written)
    }

    /// What a record says that is made now.
    fn stamps(&self) -> Stamps {
        Stamps { durable: self.durable, committed: self.committed }
    }

    /// Submits records from the queue while they fit in the active segment; else asks for the next.
    fn submit_queued(&mut self) {
        while let (Some(queued), Some(active)) = (self.queue.front(), &self.active) {
            // Once the next segment is being made, it begins where this one ends now, though what had no
            // room may have been taken back.
            if self.activation.is_some() || queued.entry.end() > active.room_end {
                self.begin_next_segment();
                return;
            }
            let Queued { entry, stamps, record } = self.queue.pop_front().expect("just seen");
            let distance = entry.position.since(active.base);
            let running = self.io.run(Op::Write {
                file: active.file,
                offset: segment::RECORDS_OFFSET + distance,
                buffer: record,
                durability: Durability::Durable,
            });
            let mut shared = self.shared.borrow_mut();
            let segment = shared.segments.last_mut().expect("there is an active segment");
            segment.anchors.as_mut().expect("it is not sealed").note(distance);
            segment.end = LogEnd::after(&entry);
            self.writes.push_back(Write { entry, stamps, state: WriteState::Running(running) });
        }
    }

    /// Takes in the writes that have ended.
    fn poll_writes(
        &mut self,
        context: &mut Context<'_>,
        written: &mut Vec<Written>,
    ) -> Result<(), DiskError> {
        // Of what is being removed nobody hears any more, and nothing is claimed.
        let last_left = self.truncations.last_left().unwrap_or(self.end.index);
        for write in &mut self.writes {
            let WriteState::Running(running) = &mut write.state else { continue };
            let Poll::Ready(done) = Pin::new(running).poll(context) else { continue };
            done?;
            write.state = WriteState::Done;
            if write.entry.index <= last_left {
                self.stamped = self.stamped.max(write.stamps.durable);
                self.stamped_committed = self.stamped_committed.max(write.stamps.committed);
                let EntryHeader { epoch, index, .. } = write.entry;
                written.push(Written { epoch, index });
            }
        }
        let durable_before = self.durable;
        while let Some(Write { entry, state: WriteState::Done, .. }) = self.writes.front() {
            self.durable = entry.index.min(last_left);
            self.writes.pop_front();
        }
        if self.durable > durable_before {
            let mut shared = self.shared.borrow_mut();
            shared.durable = self.durable;
            shared.tail.shrink(self.durable);
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
            let stamps = self.stamps();
            self.stamp_write = Some((self.stamp.write(stamps.durable, stamps.committed), stamps));
        }
        if let Some((running, stamps)) = &mut self.stamp_write
            && let Poll::Ready(done) = Pin::new(running).poll(context)
        {
            done?;
            let last_left = self.truncations.last_left().unwrap_or(self.end.index);
            self.stamped = self.stamped.max(stamps.durable.min(last_left));
            self.stamped_committed = self.stamped_committed.max(stamps.committed);
            self.stamp_write = None;
        }
        Ok(())
    }

    fn wants_stamp(&self) -> bool {
        self.stamped < self.durable || self.stamped_committed < self.committed
    }

    /// When the stamp is to be written.
    fn stamp_at(&self) -> Option<Instant> {
        let idle_since = self.idle_since?;
        let may_write = self.stamp_write.is_none() && !self.truncations.are_under_way();
        (self.wants_stamp() && may_write)
            .then(|| Instant::from_nanos(idle_since.nanos() + STAMP_AFTER_NANOS))
    }
}

#[cfg(test)]
mod tests;
