//! What goes wrong, and how the node comes back.

use quorate_core::id::{ClusterId, DiskId, GroupId, Lineage, NodeId};
use quorate_core::limits::Limits;
use quorate_core::log::entry::LogId;
use quorate_core::member::Members;
use quorate_core::request::Rejection;
use quorate_core::timing::Timing;
use quorate_node::engine::{Engine, EngineOptions, OpenError};
use quorate_storage::disk::simulated::{CrashPoint, Fault, Survival};
use quorate_storage::index::IndexLimits;
use quorate_storage::io::Io;
use quorate_storage::log;
use quorate_storage::read::ReadLimits;
use quorate_storage::superblock::Identity;

use super::{World, rot};
use crate::history::{End, Violation};
use crate::mutant::{Mutant, MutantDisk};

const FULL_STEPS_MAX: u64 = 40;
const STALL_STEPS_MAX: u64 = 20;
/// Recovery changes a handful of things; a crash is set on one of them.
const RECOVERY_CHANGES_MAX: u64 = 12;
/// One client in so many never asks again.
const GIVES_UP: u32 = 4;
const TAIL_BYTES_MAX: u64 = 3 * 4096;
const SCRUB_BYTES_PER_S: u64 = 1 << 20;

impl World {
    /// Draws which troubles come now.
    pub(super) fn strike(&mut self) {
        let plan = self.plan;
        if self.comes(plan.restart) {
            self.trace.line(format_args!("{} restart", self.moment));
            self.end_process();
            self.medium.restart();
        }
        if self.comes(plan.power_loss) {
            let survivals = [Survival::Nothing, Survival::Everything, Survival::Sectors];
            let survival = *self.faults.pick(&survivals);
            self.trace.line(format_args!("{} power loss, leaving {survival:?}", self.moment));
            self.end_process();
            self.medium.power_loss_keeping(survival);
        }
        if self.rot.comes(plan.rot) {
            self.end_process();
            self.medium.restart();
            self.rot.strike(&self.medium);
            self.trace.line(format_args!("{} {}", self.moment, self.rot));
        }
        if self.comes(plan.failed_write) {
            self.medium.inject(Fault::FailedWrite);
        }
        if self.comes(plan.failed_sync) {
            self.medium.inject(Fault::FailedSync);
        }
        if self.comes(plan.full_disk) {
            self.trace.line(format_args!("{} the disk is full", self.moment));
            self.medium.set_space(0);
            self.full_until = self.moment + 1 + self.faults.below(FULL_STEPS_MAX);
        }
        if self.moment == self.full_until {
            self.medium.set_space(u64::MAX);
        }
        if self.comes(plan.stall) {
            self.stalled_until = self.moment + 1 + self.faults.below(STALL_STEPS_MAX);
        }
    }

    /// Once in so many times; never for zero.
    fn comes(&mut self, times: u32) -> bool {
        times > 0 && self.faults.one_in(times)
    }

    /// Completes some of what is in flight, in any order.
    pub(super) fn complete_some(&mut self) {
        if self.moment < self.stalled_until || self.engine.is_none() {
            return;
        }
        let mut in_flight = self.medium.in_flight();
        while !in_flight.is_empty() && !self.schedule.one_in(4) {
            if self.medium.has_crashed() {
                self.trace.line(format_args!("{} power loss soon after the start", self.moment));
                self.end_process();
                return self.medium.power_loss();
            }
            let op = in_flight.swap_remove(self.schedule.index(in_flight.len()));
            self.medium.complete(op);
        }
    }

    /// The process is gone: nobody who waits for an answer gets one.
    pub(super) fn end_process(&mut self) {
        if self.engine.take().is_some() {
            self.crashes += 1;
        }
        self.output = Default::default();
        self.reading.clear();
        let at = self.moment;
        for (_, index) in std::mem::take(&mut self.waiting) {
            if self.mutant == Some(Mutant::CrashIsRefusal) {
                self.attempts[index].end = End::Refused { rejection: Rejection::NotReady, at };
            } else if !self.schedule.one_in(GIVES_UP) {
                self.unknown.insert(index);
            }
        }
    }

    /// Starts the node where it is not running.
    pub(super) fn keep_running(&mut self) -> Result<(), Violation> {
        if self.engine.is_some() {
            return Ok(());
        }
        // Space and time come back with whoever starts the node again.
        self.medium.set_space(u64::MAX);
        self.full_until = 0;
        self.medium.restart();
        if self.comes(self.plan.loss_in_recovery) {
            let change = self.medium.changes_completed() + 1;
            let change = change + self.faults.below(RECOVERY_CHANGES_MAX);
            self.medium.crash_at(CrashPoint::Submitted(change));
            let opened = self.open();
            self.trace.line(format_args!("{} power loss in recovery", self.moment));
            if opened.is_ok() && !self.medium.has_crashed() {
                // It was quicker than that; the crash hits whatever comes next.
                self.rot.heal(&self.medium, false);
                return Ok(());
            }
            self.engine = None;
            self.medium.power_loss();
        }
        let _before = self.medium.strikes();
        match self.open() {
            Ok(recovered) => {
                self.rot.heal(&self.medium, false);
                self.trace.line(format_args!("{} started: {recovered}", self.moment));
                Ok(())
            }
            // Rather that than a log that lacks something.
            Err(error) if self.rot.is_there() => {
                self.trace.line(format_args!("{} refused to start: {error}", self.moment));
                self.rot.heal(&self.medium, true);
                self.keep_running()
            }
            // A failed write or sync hit the start itself: whoever runs the node tries again.
            Err(error) if !self.medium.strikes().is_empty() => {
                self.trace.line(format_args!("{} not started: {error}", self.moment));
                Ok(())
            }
            Err(error) => Err(Violation {
                invariant: "recovery",
                story: format!("the node does not start on what an honest disk has kept: {error}"),
            }),
        }
    }

    fn open(&mut self) -> Result<String, OpenError> {
        self.medium.release();
        let io = Io::new(Box::new(MutantDisk::new(Box::new(self.medium.disk()), self.mutant)));
        let opened = io.block_on(Engine::open(io.clone(), self.now, self.options()));
        if let Err(OpenError::Log(log::OpenError::Corrupt(corruption))) = &opened
            && self.mutant == Some(Mutant::CutsRot)
        {
            rot::cut(&self.medium, &io, corruption);
        }
        self.medium.hold();
        let (engine, recovered) = opened?;
        self.engine = Some(engine);
        Ok(format!("{recovered:?}"))
    }

    fn options(&mut self) -> EngineOptions {
        let seed = self.schedule.bytes(32).try_into().expect("as many were drawn");
        let recent_ids_max = match self.mutant {
            Some(Mutant::ForgottenIds) => 1,
            _ => Limits::TINY.recent_ids_max,
        };
        let limits = Limits { recent_ids_max, ..Limits::TINY };
        EngineOptions {
            limits,
            timing: Timing::TINY,
            leader_zones: Vec::new(),
            index: IndexLimits::TINY,
            reads: ReadLimits::TINY,
            tail_bytes_max: TAIL_BYTES_MAX,
            scrub_bytes_per_s: SCRUB_BYTES_PER_S,
            founding: Identity {
                log: LogId {
                    cluster: ClusterId::from_bytes([1; 16]),
                    group: GroupId::from_wire(1),
                    lineage: Lineage::from_bytes([2; 16]),
                },
                node: NodeId::from_wire(1),
                disk: DiskId::from_bytes([3; 16]),
                members: Members::of_one(DiskId::from_bytes([3; 16])),
                segment_bytes: limits.segment_bytes,
                stream_key: [4; 16],
            },
            seed,
            mutant: None,
        }
    }

    /// Clients that don't know how their append ended send it again until they do.
    pub(super) fn send_again(&mut self) {
        if self.engine.is_none() || self.schedule.one_in(2) {
            return;
        }
        let Some(index) = self.unknown.pop_first() else { return };
        let since = match self.mutant {
            Some(Mutant::ForgottenIds) => None,
            _ => Some(self.sent[index].since),
        };
        self.sent[index].again = true;
        self.send(index, since);
    }
}
