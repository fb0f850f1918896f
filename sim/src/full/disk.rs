//! A machine's disk in the world's time: operations take as long as its model says, and the node is
//! woken when one has completed.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::future::Future as _;
use std::os::fd::BorrowedFd;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Waker};
use std::time::Duration;

use quorate_net::clock::{self, Instant, Sleep};
use quorate_storage::disk::simulated::{Medium, Random};
use quorate_storage::disk::{Completion, Disk, DiskKind, Op, OpId};

use crate::group::disk::{Ledger, OpKind, OpKinds, Pace, WatchedDisk};
use crate::group::schedule::Nanos;

/// How long the operations of a disk take, and what is drawn for it. It outlives the process, as the
/// medium does, and faults change it.
pub(super) struct Drive {
    pub(super) pace: Pace,
    pub(super) random: Random,
}

/// One process's disk.
pub(super) struct TimedDisk {
    disk: WatchedDisk,
    medium: Medium,
    kinds: OpKinds,
    drive: Rc<RefCell<Drive>>,
    began: Instant,
    /// Operations in flight, by when they complete.
    due: BTreeSet<(Nanos, OpId)>,
    last: Option<OpId>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl TimedDisk {
    pub(super) fn new(
        medium: &Medium,
        ledger: Ledger,
        kinds: OpKinds,
        drive: Rc<RefCell<Drive>>,
    ) -> Self {
        medium.hold();
        Self {
            disk: WatchedDisk::new(medium, ledger, OpKinds::clone(&kinds)),
            medium: medium.clone(),
            kinds,
            drive,
            began: Instant::now(),
            due: BTreeSet::new(),
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
        let drive = &mut *self.drive.borrow_mut();
        for op in self.medium.in_flight() {
            if last.is_some_and(|last| op <= last) {
                continue;
            }
            let kind = self.kinds.borrow_mut().remove(&op).unwrap_or(OpKind::Other);
            self.due.insert((drive.pace.completion(now, kind, &mut drive.random), op));
            self.last = Some(op);
        }
    }

    /// Completes what is due, unless the disk stalls.
    fn complete(&mut self) {
        if self.due.is_empty() {
            return;
        }
        let now = self.now();
        let stalls_until = self.drive.borrow().pace.stalls_until(now);
        while let Some((at, op)) = self.due.first().copied().filter(|(at, _)| *at <= now) {
            self.due.remove(&(at, op));
            match stalls_until {
                Some(until) => drop(self.due.insert((until.max(now + 1), op))),
                None => self.medium.complete(op),
            }
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
        self.complete();
        self.disk.reap(completions);
    }

    /// Completes all there is: whoever waits holds the whole machine up, and its time with it.
    fn wait(&mut self) {
        self.flush();
        for (_, op) in std::mem::take(&mut self.due) {
            self.medium.complete(op);
        }
    }

    fn readiness(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn wake_when_ready(&mut self, waker: &Waker) {
        let Some((first, _)) = self.due.first() else { return };
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
