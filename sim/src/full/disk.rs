//! A machine's disk in the world's time: operations take as long as its pace says, and the node is
//! woken when one has completed.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::Future as _;
use std::os::fd::BorrowedFd;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Waker};
use std::time::Duration;

use quorate_net::clock::{self, Instant, Sleep};
use quorate_storage::disk::simulated::{Medium, Random};
use quorate_storage::disk::{Completion, Disk, DiskKind, Op, OpId};

use crate::group::disk::{Ledger, WatchedDisk};
use crate::group::schedule::Nanos;

/// How long the operations of a disk take. It outlives the process, as the medium does.
pub(super) struct Pace {
    pub(super) random: Random,
    /// How long one takes that starts now; `None` where it does not complete while this is so.
    pub(super) takes: Box<dyn FnMut(&mut Random) -> Option<Nanos>>,
}

/// A pace that can be changed while the disk is used.
pub(super) type SharedPace = Rc<RefCell<Pace>>;

/// One process's disk.
pub(super) struct TimedDisk {
    disk: WatchedDisk,
    medium: Medium,
    pace: SharedPace,
    began: Instant,
    /// Operations in flight, by when they complete.
    due: BTreeMap<(Nanos, OpId), ()>,
    /// Those that have stalled.
    stalled: Vec<OpId>,
    last: Option<OpId>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl TimedDisk {
    pub(super) fn new(medium: &Medium, ledger: Ledger, pace: SharedPace) -> Self {
        medium.hold();
        Self {
            disk: WatchedDisk::new(medium, ledger),
            medium: medium.clone(),
            pace,
            began: Instant::now(),
            due: BTreeMap::new(),
            stalled: Vec::new(),
            last: None,
            timer: None,
        }
    }

    fn now(&self) -> Nanos {
        u64::try_from(self.began.elapsed().as_nanos()).expect("a run is short")
    }

    /// Says when those operations complete that were started since the last call.
    fn schedule(&mut self) {
        let (now, last) = (self.now(), self.last);
        let started = self.medium.in_flight().into_iter();
        let new: Vec<OpId> = started.filter(|op| last.is_none_or(|last| *op > last)).collect();
        self.last = new.last().copied().or(last);
        let mut pace = self.pace.borrow_mut();
        let Pace { random, takes } = &mut *pace;
        for op in std::mem::take(&mut self.stalled).into_iter().chain(new) {
            match takes(random) {
                Some(nanos) => drop(self.due.insert((now + nanos, op), ())),
                None => self.stalled.push(op),
            }
        }
    }

    fn complete_until(&mut self, until: Nanos) {
        while let Some(first) = self.due.first_entry()
            && first.key().0 <= until
        {
            let ((_, op), ()) = first.remove_entry();
            self.medium.complete(op);
        }
    }
}

impl Disk for TimedDisk {
    fn submit(&mut self, op: Op) -> OpId {
        self.disk.submit(op)
    }

    fn flush(&mut self) {
        self.disk.flush();
        self.schedule();
    }

    fn reap(&mut self, completions: &mut Vec<Completion>) {
        self.complete_until(self.now());
        self.disk.reap(completions);
    }

    /// Completes all there is: whoever waits holds the whole machine up, and time with it.
    fn wait(&mut self) {
        self.flush();
        self.complete_until(Nanos::MAX);
        for op in std::mem::take(&mut self.stalled) {
            self.medium.complete(op);
        }
    }

    fn readiness(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn wake_when_ready(&mut self, waker: &Waker) {
        let Some(((first, _), ())) = self.due.first_key_value() else { return };
        let deadline = self.began + Duration::from_nanos(*first);
        let timer = self.timer.get_or_insert_with(|| Box::pin(clock::sleep_until(deadline)));
        if timer.deadline() != deadline || timer.is_elapsed() {
            timer.as_mut().reset(deadline);
        }
        if timer.as_mut().poll(&mut Context::from_waker(waker)).is_ready() {
            waker.wake_by_ref();
        }
    }

    fn kind(&self) -> DiskKind {
        self.disk.kind()
    }
}
