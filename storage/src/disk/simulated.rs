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

mod image;
mod random;

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::os::fd::RawFd;
use std::rc::Rc;

pub use image::Survival;
pub use random::{Chance, Random};

use self::image::{Image, Inode};
use super::{
    Completion, Disk, DiskError, DiskErrorKind, DiskKind, Done, Durability, FileId, FileName, Op,
    OpId,
};

/// Files that outlive the process which uses them. Clones are the same medium.
#[derive(Clone)]
pub struct Medium(Rc<RefCell<State>>);

struct State {
    image: Image,
    survival: Random,
    /// Grows with each crash; disks of earlier sessions are dead.
    session: u64,
    operations: u64,
    queue: VecDeque<Pending>,
    completions: Vec<Completion>,
    open: BTreeMap<FileId, Inode>,
    files_opened: u32,
}

/// An operation that has not completed.
struct Pending {
    id: OpId,
    op: Op,
    /// Of operations on an open file.
    inode: Option<Inode>,
    /// Flushed: it may happen at any time.
    started: bool,
}

impl Medium {
    /// An empty one without faults.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(Rc::new(RefCell::new(State {
            image: Image::default(),
            survival: Random::stream(seed, "survival"),
            session: 0,
            operations: 0,
            queue: VecDeque::new(),
            completions: Vec::new(),
            open: BTreeMap::new(),
            files_opened: 0,
        })))
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
        let mut state = self.0.borrow_mut();
        let state = &mut *state;
        state.end_session();
        state.image.lose_power(survival, &mut state.survival);
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
        let mut contents = vec![0; bytes as usize];
        state.image.read(inode, 0, &mut contents);
        contents
    }

    /// Replaces bytes of a file for good, as rot or a stranger would.
    ///
    /// # Panics
    ///
    /// Where there is no such file, or it is shorter.
    pub fn overwrite(&self, name: &str, offset: u64, bytes: &[u8]) {
        let mut state = self.0.borrow_mut();
        let (inode, _) = state.image.open(name).expect("the file exists");
        for (offset, byte) in (offset..).zip(bytes) {
            state.image.damage(inode, offset, |old| *old = *byte);
        }
    }

    /// Flips one bit of a file for good.
    ///
    /// # Panics
    ///
    /// Where there is no such file, or it is shorter.
    pub fn rot(&self, name: &str, offset: u64) {
        let mut state = self.0.borrow_mut();
        let (inode, _) = state.image.open(name).expect("the file exists");
        state.image.damage(inode, offset, |byte| *byte ^= 1 << (offset % 8));
    }
}

impl State {
    fn submit(&mut self, op: Op) -> OpId {
        self.operations += 1;
        let id = OpId(self.operations);
        let inode = match &op {
            Op::Close { file } | Op::Sync { file } => Some(self.inode(*file)),
            Op::Write { file, offset, buffer, .. } | Op::Read { file, offset, buffer } => {
                assert!(offset.is_multiple_of(image::SECTOR_BYTES as u64), "whole sectors");
                let inode = self.inode(*file);
                let end = offset + buffer.len() as u64;
                assert!(
                    matches!(op, Op::Read { .. }) || end <= self.image.bytes(inode),
                    "a file keeps the length that it was created with"
                );
                Some(inode)
            }
            Op::Create { .. }
            | Op::Open { .. }
            | Op::Rename { .. }
            | Op::Remove { .. }
            | Op::List { .. } => None,
        };
        self.queue.push_back(Pending { id, op, inode, started: false });
        id
    }

    fn inode(&self, file: FileId) -> Inode {
        *self.open.get(&file).expect("only open files are used")
    }

    /// Completes the oldest operation that was started.
    fn complete_one(&mut self) -> bool {
        let Some(pending) = self.queue.pop_front_if(|pending| pending.started) else {
            return false;
        };
        let op = pending.id;
        let result = self.carry_out(pending);
        self.completions.push(Completion { op, result });
        true
    }

    fn carry_out(&mut self, pending: Pending) -> Result<Done, DiskError> {
        let inode = || pending.inode.expect("resolved when it was submitted");
        match pending.op {
            Op::Create { name, bytes } => {
                let inode = self.image.create(&name, bytes);
                Ok(self.opened(inode, bytes))
            }
            Op::Open { name, access: _ } => {
                let (inode, bytes) = self.image.open(&name)?;
                Ok(self.opened(inode, bytes))
            }
            Op::Close { file } => {
                self.open.remove(&file);
                Ok(Done::Nothing)
            }
            Op::Write { offset, buffer, durability, .. } => {
                self.image.write(inode(), offset, &buffer, durability, || true);
                Ok(Done::Transferred(buffer))
            }
            Op::Read { offset, mut buffer, .. } => {
                let end = offset + buffer.len() as u64;
                let bytes = self.image.bytes(inode());
                if end > bytes {
                    return Err(DiskError {
                        kind: DiskErrorKind::Failed,
                        message: format!("read up to {end}: the file has {bytes} bytes"),
                    });
                }
                self.image.read(inode(), offset, &mut buffer);
                Ok(Done::Transferred(buffer))
            }
            Op::Sync { .. } => {
                self.image.sync(inode());
                Ok(Done::Nothing)
            }
            Op::Rename { from, to } => self.image.rename(&from, &to).map(|()| Done::Nothing),
            Op::Remove { name } => self.image.remove(&name).map(|()| Done::Nothing),
            Op::List { folder } => Ok(Done::Listed(self.image.list(&folder))),
        }
    }

    fn opened(&mut self, inode: Inode, bytes: u64) -> Done {
        self.files_opened += 1;
        let file = FileId(self.files_opened);
        self.open.insert(file, inode);
        Done::Opened { file, bytes }
    }

    /// Ends the process: what it had in flight happens in part, and its files are closed.
    fn end_session(&mut self) {
        for pending in std::mem::take(&mut self.queue) {
            let mut coin = || pending.started && self.survival.coin();
            match pending.op {
                Op::Write { offset, buffer, .. } => {
                    let inode = pending.inode.expect("resolved when it was submitted");
                    self.image.write(inode, offset, &buffer, Durability::None, coin);
                }
                Op::Create { .. } | Op::Rename { .. } | Op::Remove { .. } | Op::Sync { .. } => {
                    if coin() {
                        // Nobody hears how it ended.
                        drop(self.carry_out(pending));
                    }
                }
                Op::Open { .. } | Op::Close { .. } | Op::Read { .. } | Op::List { .. } => {}
            }
        }
        self.completions.clear();
        self.open.clear();
        self.image.forget_unnamed();
        self.session += 1;
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
        self.with(|state| state.queue.iter_mut().for_each(|pending| pending.started = true));
    }

    fn reap(&mut self, completions: &mut Vec<Completion>) {
        self.with(|state| {
            while state.complete_one() {}
            completions.append(&mut state.completions);
        });
    }

    fn wait(&mut self) {
        self.with(|state| {
            if state.completions.is_empty() {
                state.complete_one();
            }
        });
    }

    fn readiness(&self) -> Option<RawFd> {
        None
    }

    fn kind(&self) -> DiskKind {
        DiskKind::Simulated
    }
}
