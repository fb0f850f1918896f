//! Removing entries from the end of a log that goes on: a new leader has others in their place.
//!
//! What is only in memory is forgotten at once. Where something was written, the writes under way
//! end first, and nothing else is begun; then [`removal`] does its work on the disk, while what is
//! appended waits.

use std::collections::VecDeque;
use std::task::{Context, Poll};

use quorate_core::id::{LogIndex, Position};
use quorate_core::log::entry::LogEnd;
use quorate_core::time::Instant;

use super::recover::Segment;
use super::removal::{self, File, Removal, Removed};
use super::segment::Anchors;
use super::{Active, Log, Working, Written};
use crate::disk::{DiskError, FileId, Op};

/// Truncations of one log: what was asked for and is not done yet, and what is done.
#[derive(Default)]
pub(super) struct Truncations {
    under_way: Option<UnderWay>,
    /// Ends that were reached and nobody was told of.
    done: VecDeque<LogIndex>,
}

/// Something that was written is to be removed.
struct UnderWay {
    end: LogEnd,
    /// The segment that the end lies in, and up to where something is written in it.
    kept: File,
    written: Position,
    /// Segments behind it.
    later: Vec<File>,
    /// The ends that were asked for, in order.
    asked: Vec<LogIndex>,
    /// The work on the disk, and which end it leads to.
    work: Option<(LogEnd, Working<Removed>)>,
}

impl Truncations {
    /// Whether the disk still has something that is to be removed.
    pub(super) fn are_under_way(&self) -> bool {
        self.under_way.is_some()
    }

    /// The last entry that is left, where others are being removed.
    pub(super) fn last_left(&self) -> Option<LogIndex> {
        self.under_way.as_ref().map(|under_way| under_way.end.index)
    }

    /// A segment was begun behind the end: it goes as well.
    pub(super) fn remove_also(&mut self, segment: &Segment, file: FileId) {
        let under_way = self.under_way.as_mut().expect("a truncation is under way");
        under_way.later.push(file_of(segment, Some(file)));
    }
}

impl Log {
    /// Removes all entries behind this end, for good. [`Log::take_truncated`] says when that is done;
    /// nothing of them is reported as written from now on. What is appended meanwhile waits.
    ///
    /// A crash leaves all of them or none.
    ///
    /// After a fault it is ignored, as an append is.
    ///
    /// # Panics
    ///
    /// Where an entry would be removed that is known to be committed, or the log ends before.
    pub fn truncate(&mut self, end: LogEnd) {
        if self.failed {
            return;
        }
        assert!(end.index >= self.committed, "what is committed is never removed");
        assert!(end.index <= self.end.index, "a log is not made longer by a truncation");
        while self.queue.back().is_some_and(|queued| queued.entry.index > end.index) {
            self.queue.pop_back();
        }
        self.end = end;
        let mut shared = self.shared.borrow_mut();
        let submitted = shared.segments.last().expect("there is one").end;
        if end.index >= submitted.index {
            // Nothing of it has gone to the disk.
            shared.tail.truncate(end.index);
            match &mut self.truncations.under_way {
                Some(under_way) => under_way.asked.push(end.index),
                None => self.truncations.done.push_back(end.index),
            }
            return;
        }
        let gone = shared.truncate(&end);
        let kept = shared.segments.last().expect("one is left").clone();
        drop(shared);
        self.durable = self.durable.min(end.index);
        self.stamped = self.stamped.min(end.index);
        // The records that said so may be among those that go.
        self.stamped_committed = LogIndex::ZERO;
        self.idle_since = None;
        let later: Vec<File> =
            gone.iter().map(|gone| file_of(gone, self.take_file(gone.base()))).collect();
        // Up to where something was written in the segment that is left now.
        let written = gone.first().map_or(submitted.position, |gone| gone.base());
        let file = self.take_file(kept.base());
        self.truncations.under_way = Some(match self.truncations.under_way.take() {
            None => {
                let (kept, asked) = (file_of(&kept, file), vec![end.index]);
                UnderWay { end, kept, written, later, asked, work: None }
            }
            Some(mut before) => {
                before.end = end;
                before.asked.push(end.index);
                let mut later = later;
                if before.kept.base == kept.base() {
                    before.written = before.written.max(written);
                } else {
                    // It was left by the truncation before, and goes now.
                    let place = later.iter_mut().find(|gone| gone.base == before.kept.base);
                    let place = place.expect("it lies behind the new end");
                    place.file = place.file.take().or(before.kept.file.take());
                    (before.kept, before.written) = (file_of(&kept, file), written);
                }
                later.append(&mut before.later);
                UnderWay { later, ..before }
            }
        });
    }

    /// The next end that was asked for and has been reached; in the order in which they were asked
    /// for.
    pub fn take_truncated(&mut self) -> Option<LogIndex> {
        self.truncations.done.pop_front()
    }

    /// Begins the work on the disk as soon as nothing else is under way, and goes on with it.
    pub(super) fn poll_truncation(
        &mut self,
        now: Instant,
        context: &mut Context<'_>,
        written: &mut Vec<Written>,
    ) -> Result<(), DiskError> {
        while let Some(under_way) = &mut self.truncations.under_way {
            let busy = !self.writes.is_empty()
                || self.activation.is_some()
                || self.sealing.is_some()
                || self.stamp_write.is_some();
            if under_way.work.is_none() {
                if busy {
                    return Ok(());
                }
                let removal = under_way.removal(self.committed);
                let (io, home) = (self.io.clone(), self.settings.home);
                let work = removal::carry_out(io, home, self.stamp.clone(), removal);
                under_way.work = Some((under_way.end, Box::pin(work)));
            }
            let (end, work) = under_way.work.as_mut().expect("it is under way");
            let Poll::Ready(removed) = work.as_mut().poll(context) else { return Ok(()) };
            let (end, removed) = (*end, removed?);
            under_way.work = None;
            if under_way.end == end {
                self.end_truncation(removed);
                self.idle_since = Some(now);
                // What waited is submitted, and must hear of its end.
                self.submit_queued();
                self.poll_writes(context, written)?;
            } else if let Some(file) = under_way.keep_file(&end, removed.file) {
                // A shorter log was asked for meanwhile, which begins with an earlier segment.
                drop(self.io.run(Op::Close { file }));
            }
        }
        Ok(())
    }

    fn end_truncation(&mut self, removed: Removed) {
        let under_way = self.truncations.under_way.take().expect("it has just ended");
        let mut shared = self.shared.borrow_mut();
        shared.files.forget(under_way.kept.base);
        let segment = shared.segments.last_mut().expect("one is left");
        if let Some(sectors) = removed.anchors {
            let distance = segment.end.position.since(segment.base());
            segment.anchors = Some(Anchors::cut(segment.bytes, sectors, distance));
        }
        self.active = Some(Active::new(removed.file, segment));
        self.truncations.done.extend(under_way.asked);
    }

    /// The file of a segment that is open for writing, which is not written to by others any more.
    fn take_file(&mut self, base: Position) -> Option<FileId> {
        if self.active.as_ref().is_some_and(|active| active.base == base) {
            return self.active.take().map(|active| active.file);
        }
        let place = self.closed.iter().position(|closed| closed.base == base)?;
        self.closed.remove(place).and_then(|closed| closed.file)
    }
}

impl UnderWay {
    /// What is to be done on the disk now.
    fn removal(&mut self, committed: LogIndex) -> Removal {
        let kept = File { file: self.kept.file.take(), ..self.kept };
        let later = std::mem::take(&mut self.later);
        Removal { end: self.end, committed, kept, written: self.written, later }
    }

    /// Takes back the file of the segment that a truncation to this end left; gives it where it is of
    /// a segment that is to be removed by now.
    fn keep_file(&mut self, end: &LogEnd, file: FileId) -> Option<FileId> {
        if end.position >= self.kept.base && self.later.iter().all(|l| l.base > end.position) {
            self.kept.file = Some(file);
            self.written = end.position;
            return None;
        }
        Some(file)
    }
}

fn file_of(segment: &Segment, file: Option<FileId>) -> File {
    File { base: segment.base(), bytes: segment.bytes, file }
}
