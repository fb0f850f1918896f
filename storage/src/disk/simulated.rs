//! A disk in memory, for tests and for the simulator: it completes when asked to, and keeps after a
//! power loss what a disk might keep.
//!
//! A [`Medium`] is what outlives the process: the files. [`Medium::disk`] is what one process has
//! of it; after [`Medium::power_loss`] or [`Medium::restart`] the next process takes a new one.
//!
//! ```
//! # use quorate_storage::disk::{Durability, Op, Done, simulated::Medium};
//! # use quorate_storage::{buffer::AlignedBuffer, io::Io};
//! let medium = Medium::new(1);
//! let io = Io::new(Box::new(medium.disk()));
//! io.block_on(io.run(Op::Create { name: "log/1".into(), bytes: 8192 })).unwrap();
//! drop(io);
//! medium.power_loss(); // the file was not synced: it may be gone, empty, or there
//! let io = Io::new(Box::new(medium.disk()));
//! ```

mod crash;
mod fault;
mod image;
mod random;
mod state;

use std::cell::RefCell;
use std::os::fd::BorrowedFd;
use std::rc::Rc;

pub use self::crash::{Crash, CrashPoint, ENDS, crash_everywhere};
use self::fault::Faults;
pub use self::fault::{Fault, FaultPlan, Strike};
use self::image::Inode;
pub use self::image::Survival;
pub use self::random::{Chance, Random};
use self::state::State;
use super::{Completion, Disk, DiskKind, FileName, Op, OpId};

/// Files that outlive the process which uses them. Clones are the same medium.
#[derive(Clone)]
pub struct Medium(Rc<RefCell<State>>);

impl Medium {
    /// An empty one without faults.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self::with_faults(seed, FaultPlan::NONE)
    }

    /// An empty one with faults by this plan.
    #[must_use]
    pub fn with_faults(seed: u64, plan: FaultPlan) -> Self {
        Self(Rc::new(RefCell::new(State::new(seed, Faults::new(seed, plan)))))
    }

    /// The disk as the present process sees it.
    #[must_use]
    pub fn disk(&self) -> SimulatedDisk {
        SimulatedDisk { medium: self.clone(), session: self.0.borrow().session }
    }

    /// The process ends and its machine goes on: all that has completed is there, and of writes in
    /// flight any sectors.
    pub fn restart(&self) {
        self.0.borrow_mut().end_session();
    }

    /// The power is lost: of all that was not durable, any sectors are left.
    pub fn power_loss(&self) {
        self.power_loss_keeping(Survival::Sectors);
    }

    /// The power is lost, and this is left.
    pub fn power_loss_keeping(&self, survival: Survival) {
        self.0.borrow_mut().lose_power(survival);
    }

    /// The process ends, and with it its machine's power, where something is said to survive that.
    pub fn end(&self, survival: Option<Survival>) {
        match survival {
            Some(survival) => self.power_loss_keeping(survival),
            None => self.restart(),
        }
    }

    /// Stops the machine at this change, counted from the medium's first. From then on every
    /// operation fails, until [`Medium::restart`] or [`Medium::power_loss`].
    pub fn crash_at(&self, point: CrashPoint) {
        self.0.borrow_mut().crash_at(point);
    }

    /// Whether the machine has stopped where [`Medium::crash_at`] said.
    #[must_use]
    pub fn has_crashed(&self) -> bool {
        self.0.borrow().crashed
    }

    /// Creates, writes, syncs, renames and removes that have completed so far.
    #[must_use]
    pub fn changes_completed(&self) -> u64 {
        self.0.borrow().changes_completed
    }

    /// Exchanges the plan; the streams of random numbers go on.
    pub fn set_plan(&self, plan: FaultPlan) {
        self.0.borrow_mut().faults.set_plan(plan);
    }

    /// Lets a fault strike once, as soon as it can.
    pub fn inject(&self, fault: Fault) {
        self.0.borrow_mut().faults.ask(fault);
    }

    /// Takes back every [`Medium::inject`] whose fault has not struck yet.
    pub fn forget_injected(&self) {
        self.0.borrow_mut().faults.forget_asked();
    }

    /// The faults that have struck since the last call, oldest first.
    #[must_use]
    pub fn strikes(&self) -> Vec<Strike> {
        self.0.borrow_mut().faults.take_strikes()
    }

    /// Gives all files together this much space; fewer bytes than they have is a full disk.
    pub fn set_space(&self, bytes: u64) {
        self.0.borrow_mut().space = bytes;
    }

    /// Withholds the completion of all that is submitted from now on, until [`Medium::release`] or
    /// [`Medium::complete`].
    pub fn hold(&self) {
        self.0.borrow_mut().holds = true;
    }

    /// Ends [`Medium::hold`], and lets what has stalled complete.
    pub fn release(&self) {
        let mut state = self.0.borrow_mut();
        state.holds = false;
        state.release();
    }

    /// Operations that were started and have not completed, oldest first.
    #[must_use]
    pub fn in_flight(&self) -> Vec<OpId> {
        self.0.borrow().in_flight()
    }

    /// Completes this operation, even where it has stalled.
    ///
    /// # Panics
    ///
    /// Where it is not in flight.
    pub fn complete(&self, op: OpId) {
        self.0.borrow_mut().complete(op);
    }

    /// All files, in order of their names.
    #[must_use]
    pub fn names(&self) -> Vec<FileName> {
        self.0.borrow().image.names().cloned().collect()
    }

    /// The contents of a file as a read would find them.
    ///
    /// # Panics
    ///
    /// Where there is no such file.
    #[must_use]
    pub fn contents(&self, name: &str) -> Vec<u8> {
        let state = self.0.borrow();
        let (inode, bytes) = state.image.open(name).expect("the file exists");
        let mut contents = vec![0; usize::try_from(bytes).expect("it fits in memory")];
        state.image.read(inode, 0, &mut contents);
        contents
    }

    /// Replaces bytes of a file for good, as rot or a stranger would.
    ///
    /// # Panics
    ///
    /// Where there is no such file, or it is shorter.
    pub fn overwrite(&self, name: &str, offset: u64, bytes: &[u8]) {
        for (offset, byte) in (offset..).zip(bytes) {
            self.damage(name, offset, |old| *old = *byte);
        }
    }

    /// Flips one bit of a file for good.
    ///
    /// # Panics
    ///
    /// Where there is no such file, or it is shorter.
    pub fn rot(&self, name: &str, offset: u64) {
        self.damage(name, offset, |byte| *byte ^= 1 << (offset % 8));
    }

    /// Flips a bit back that [`Medium::rot`] has flipped, also in what lies below a write that is not
    /// yet stable; but not where something else was written since.
    ///
    /// - `rotten`: what the bytes around it have been since then, aligned to their number, which
    ///   divides a sector's
    pub fn undo_rot(&self, name: &str, offset: u64, rotten: &[u8]) {
        let mut state = self.0.borrow_mut();
        if let Ok((inode, _)) = state.image.open(name) {
            state.image.undo_rot(inode, offset, rotten);
        }
    }

    fn damage(&self, name: &str, offset: u64, change: impl FnOnce(&mut u8)) {
        let mut state = self.0.borrow_mut();
        let (inode, _): (Inode, u64) = state.image.open(name).expect("the file exists");
        state.image.damage(inode, offset, change);
    }
}

/// One process's view of a [`Medium`].
pub struct SimulatedDisk {
    medium: Medium,
    session: u64,
}

impl SimulatedDisk {
    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.medium.0.borrow_mut();
        assert_eq!(state.session, self.session, "a disk is used after its process ended");
        act(&mut state)
    }
}

impl Disk for SimulatedDisk {
    fn submit(&mut self, op: Op) -> OpId {
        self.with(|state| state.submit(op))
    }

    fn flush(&mut self) {
        self.with(State::start);
    }

    /// Also completes what can complete: all of it, or with [`FaultPlan::reordering`] some of it.
    fn reap(&mut self, completions: &mut Vec<Completion>) {
        self.with(|state| {
            while state.faults.goes_on() && state.complete_any() {}
            state.take_completions(completions);
        });
    }

    fn wait(&mut self) {
        self.with(|state| {
            state.start();
            assert!(!state.is_stuck(), "all has stalled: nothing will come of waiting");
            if !state.has_completions() {
                state.complete_any();
            }
        });
    }

    fn readiness(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn kind(&self) -> DiskKind {
        DiskKind::Simulated
    }
}

#[cfg(test)]
mod tests;
