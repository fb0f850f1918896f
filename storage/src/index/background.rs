//! The index's background work: one flush, one merge, one manifest and one removal at a time,
//! each a future that is polled from the owner's turn.
//!
//! The order that matters for crashes: a run is durable before a manifest names it, and a file is
//! removed only once the manifest that no longer names it is durable, and no lookup uses it.

use std::collections::btree_map;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use quorate_core::time::Instant;

use super::fault::IndexError;
use super::key::StreamKey;
use super::manifest::Manifest;
use super::memtable::Tail;
use super::run::Run;
use super::run::writer::remove_if_there;
use super::{IndexLimits, Shared, merge, rebuild};
use crate::disk::DiskError;
use crate::log::LogReader;

/// Streams of a memtable that are let go of in one turn.
const FREED_AT_ONCE: usize = 1024;
/// How long to wait before a full disk is tried again.
const RETRY_NANOS: u64 = 1_000_000_000;

type Task<T> = Pin<Box<dyn Future<Output = Result<T, IndexError>>>>;

/// What is under way, and what is to be done next.
pub(super) struct Background {
    shared: Rc<Shared>,
    limits: IndexLimits,
    next_number: u64,
    /// Writes the oldest frozen memtable.
    flush: Option<Task<Run>>,
    /// Makes one run of these.
    merge: Option<(Vec<Rc<Run>>, Task<Run>)>,
    /// Makes runs of what this damaged one held.
    rebuild: Option<(Rc<Run>, Task<Vec<Run>>)>,
    /// Where to rebuild from.
    log: Option<LogReader>,
    /// Numbers of runs that can't be rebuilt.
    given_up: Vec<u64>,
    /// Writes the manifest; these are then removed.
    publish: Option<(Vec<Rc<Run>>, Task<()>)>,
    /// Removes a file.
    removal: Option<Task<()>>,
    /// Whether the runs are other than in the last manifest.
    is_changed: bool,
    /// Replaced, but perhaps still named by the manifest.
    replaced: Vec<Rc<Run>>,
    /// No longer named by the manifest.
    unnamed: Vec<Rc<Run>>,
    /// Memtables that are written; letting go of all their streams at once would take too long.
    written: Vec<btree_map::IntoIter<StreamKey, Tail>>,
    /// Why something that lookups and memory depend on could not be written.
    full: Option<DiskError>,
    retry_at: Option<Instant>,
}

impl Background {
    pub(super) fn new(shared: Rc<Shared>, next_number: u64, limits: IndexLimits) -> Self {
        Self {
            shared,
            limits,
            next_number,
            flush: None,
            merge: None,
            rebuild: None,
            log: None,
            given_up: Vec::new(),
            publish: None,
            removal: None,
            is_changed: false,
            replaced: Vec::new(),
            unnamed: Vec::new(),
            written: Vec::new(),
            full: None,
            retry_at: None,
        }
    }

    pub(super) fn rebuild_from(&mut self, log: LogReader) {
        self.log = Some(log);
    }

    pub(super) fn is_full(&self) -> bool {
        self.full.is_some()
    }

    pub(super) fn fullness(&self) -> Option<&DiskError> {
        self.full.as_ref()
    }

    pub(super) fn retry_at(&self) -> Option<Instant> {
        self.retry_at
    }

    /// Whether there is nothing to do; files that a lookup still uses may be left.
    pub(super) fn is_idle(&self) -> bool {
        let under_way = self.flush.is_some()
            || self.merge.is_some()
            || self.rebuild.is_some()
            || self.publish.is_some()
            || self.removal.is_some();
        !under_way && !self.is_changed && self.shared.tables.borrow().frozen.is_empty()
    }

    pub(super) fn poll(
        &mut self,
        context: &mut Context<'_>,
        now: Instant,
    ) -> Result<(), IndexError> {
        if self.retry_at.is_some_and(|retry_at| retry_at <= now) {
            self.retry_at = None;
        }
        self.free_some(context);
        loop {
            self.start();
            let progress = self.advance_flush(context, now)?
                | self.advance_merge(context, now)?
                | self.advance_rebuild(context, now)?
                | self.advance_publish(context, now)?
                | self.advance_removal(context)?;
            if !progress {
                return Ok(());
            }
        }
    }

    /// Starts whatever can be started.
    fn start(&mut self) {
        if self.removal.is_none()
            && let Some(index) = self.unnamed.iter().position(|run| Rc::strong_count(run) == 1)
        {
            self.removal = Some(Box::pin(remove(self.unnamed.swap_remove(index))));
        }
        if self.retry_at.is_some() {
            return;
        }
        self.start_flush();
        self.start_merge();
        self.start_rebuild();
        self.start_publish();
    }

    fn start_flush(&mut self) {
        let tables = self.shared.tables.borrow();
        if self.flush.is_none()
            && let Some(table) = tables.frozen.front()
        {
            let (io, owner) = (self.shared.io.clone(), self.shared.owner);
            let flush = merge::flush(io, owner, self.next_number, Rc::clone(table));
            self.next_number += 1;
            self.flush = Some(Box::pin(flush));
        }
    }

    fn start_merge(&mut self) {
        let tables = self.shared.tables.borrow();
        let is_sound = |run: &Run| !tables.damaged.contains(&run.number());
        let events = self.limits.memtable_events_max;
        if self.merge.is_none()
            && let Some(chosen) = merge::choose(&tables.runs, events, is_sound)
        {
            let (io, owner) = (self.shared.io.clone(), self.shared.owner);
            let inputs = tables.runs[chosen].to_vec();
            let task = merge::merge(io, owner, self.next_number, inputs.clone());
            self.next_number += 1;
            self.merge = Some((inputs, Box::pin(task)));
        }
    }

    fn start_rebuild(&mut self) {
        let Some(log) = self.log.clone().filter(|_| self.rebuild.is_none()) else { return };
        let tables = self.shared.tables.borrow();
        // A merge that began before the damage was found replaces the run by itself.
        let merging = self.merge.iter().flat_map(|(inputs, _)| inputs);
        let merging: Vec<u64> = merging.map(|run| run.number()).collect();
        let mut damaged = tables.runs.iter().filter(|run| {
            let number = &run.number();
            tables.damaged.contains(number)
                && !merging.contains(number)
                && !self.given_up.contains(number)
        });
        if let Some(run) = damaged.next() {
            let events_max = self.limits.memtable_events_max;
            let (shared, number) = (Rc::clone(&self.shared), self.next_number);
            let task = rebuild::rebuild(shared, log, Rc::clone(run), events_max, number);
            self.next_number += rebuild::pieces_max(run.info(), events_max);
            self.rebuild = Some((Rc::clone(run), Box::pin(task)));
        }
    }

    fn start_publish(&mut self) {
        if self.publish.is_none() && self.is_changed {
            self.is_changed = false;
            let tables = self.shared.tables.borrow();
            let runs = tables.runs.iter().map(|run| *run.info()).collect();
            let manifest = Manifest { next_number: self.next_number, runs };
            let task = manifest.store(self.shared.io.clone(), self.shared.owner);
            self.publish = Some((std::mem::take(&mut self.replaced), Box::pin(task)));
        }
    }

    /// Lets go of some of what was written.
    fn free_some(&mut self, context: &Context<'_>) {
        let Some(streams) = self.written.last_mut() else { return };
        if streams.by_ref().take(FREED_AT_ONCE).count() < FREED_AT_ONCE {
            self.written.pop();
        }
        context.waker().wake_by_ref();
    }

    fn advance_flush(
        &mut self,
        context: &mut Context<'_>,
        now: Instant,
    ) -> Result<bool, IndexError> {
        let Some(Poll::Ready(result)) = self.flush.as_mut().map(|task| task.as_mut().poll(context))
        else {
            return Ok(false);
        };
        self.flush = None;
        if let Some(run) = self.unless_full(result, now, true)? {
            let mut tables = self.shared.tables.borrow_mut();
            tables.install(vec![Rc::new(run)]);
            let table = tables.frozen.pop_front().expect("the oldest one was written");
            let table = Rc::into_inner(table).expect("only the flush had another hold of it");
            self.written.push(table.streams.into_iter());
            self.is_changed = true;
        }
        Ok(true)
    }

    fn advance_merge(
        &mut self,
        context: &mut Context<'_>,
        now: Instant,
    ) -> Result<bool, IndexError> {
        let Some((_, task)) = &mut self.merge else { return Ok(false) };
        let Poll::Ready(result) = task.as_mut().poll(context) else { return Ok(false) };
        let inputs = self.merge.take().map(|(inputs, _)| inputs).unwrap_or_default();
        if let Err(IndexError::Damaged(damage)) = &result {
            let mut tables = self.shared.tables.borrow_mut();
            for run in inputs.iter().filter(|run| run.info().name() == damage.file) {
                tables.note_damage(run);
            }
            return Ok(true);
        }
        if let Some(run) = self.unless_full(result, now, false)? {
            let replaced = self.shared.tables.borrow_mut().install(vec![Rc::new(run)]);
            self.replaced.extend(replaced);
            self.is_changed = true;
        }
        Ok(true)
    }

    fn advance_rebuild(
        &mut self,
        context: &mut Context<'_>,
        now: Instant,
    ) -> Result<bool, IndexError> {
        let Some((_, task)) = &mut self.rebuild else { return Ok(false) };
        let Poll::Ready(result) = task.as_mut().poll(context) else { return Ok(false) };
        let damaged = self.rebuild.take().map(|(damaged, _)| damaged.number());
        if let Err(IndexError::Damaged(_)) = &result {
            // Lookups that need the run go on to fail.
            self.given_up.extend(damaged);
            return Ok(true);
        }
        if let Some(runs) = self.unless_full(result, now, false)? {
            let runs = runs.into_iter().map(Rc::new).collect();
            let replaced = self.shared.tables.borrow_mut().install(runs);
            self.replaced.extend(replaced);
            self.is_changed = true;
        }
        Ok(true)
    }

    fn advance_publish(
        &mut self,
        context: &mut Context<'_>,
        now: Instant,
    ) -> Result<bool, IndexError> {
        let Some((_, task)) = &mut self.publish else { return Ok(false) };
        let Poll::Ready(result) = task.as_mut().poll(context) else { return Ok(false) };
        let replaced = self.publish.take().map(|(replaced, _)| replaced).unwrap_or_default();
        if self.unless_full(result, now, true)?.is_some() {
            self.unnamed.extend(replaced);
        } else {
            self.replaced.extend(replaced);
            self.is_changed = true;
        }
        Ok(true)
    }

    fn advance_removal(&mut self, context: &mut Context<'_>) -> Result<bool, IndexError> {
        let Some(Poll::Ready(result)) =
            self.removal.as_mut().map(|task| task.as_mut().poll(context))
        else {
            return Ok(false);
        };
        self.removal = None;
        result.map(|()| true)
    }

    /// Turns a full disk into a pause.
    ///
    /// - `is_vital`: whether appends have to wait for it
    fn unless_full<T>(
        &mut self,
        result: Result<T, IndexError>,
        now: Instant,
        is_vital: bool,
    ) -> Result<Option<T>, IndexError> {
        match result {
            Ok(done) => {
                if is_vital {
                    self.full = None;
                }
                Ok(Some(done))
            }
            Err(IndexError::Disk(error)) if IndexError::Disk(error.clone()).is_full() => {
                if is_vital {
                    self.full = Some(error);
                }
                self.retry_at = Some(Instant::from_nanos(now.nanos() + RETRY_NANOS));
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

async fn remove(run: Rc<Run>) -> Result<(), IndexError> {
    run.close().await?;
    remove_if_there(run.io(), run.info().name()).await
}
