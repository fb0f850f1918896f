//! The operations on a medium: in flight, completed, struck by faults, or cut off by a crash.

use std::collections::BTreeMap;

use super::crash::CrashPoint;
use super::fault::{Fault, Faults, Strike};
use super::image::{Image, Inode, SECTOR_BYTES, Survival};
use super::random::Random;
use crate::buffer::AlignedBuffer;
use crate::disk::{
    Access, Completion, DiskError, DiskErrorKind, Done, Durability, FileId, FileName, Op, OpId,
};

/// All there is of a medium and the process that uses it.
pub(super) struct State {
    pub(super) image: Image,
    pub(super) faults: Faults,
    /// What a power loss keeps, and what becomes of writes in flight.
    survival: Random,
    /// Bytes for all files together.
    pub(super) space: u64,
    /// Grows with each crash; disks of earlier sessions are dead.
    pub(super) session: u64,
    crash_at: Option<CrashPoint>,
    /// The machine has stopped; the process hears nothing but errors until it ends.
    pub(super) crashed: bool,
    pub(super) changes_submitted: u64,
    pub(super) changes_completed: u64,
    operations: u64,
    /// Everything that is submitted stalls.
    pub(super) holds: bool,
    queue: Vec<Pending>,
    completions: Vec<Completion>,
    open: BTreeMap<FileId, (Inode, Access)>,
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
    stalled: bool,
}

impl Pending {
    fn inode(&self) -> Inode {
        self.inode.expect("looked up when it was submitted")
    }
}

impl State {
    pub(super) fn new(seed: u64, faults: Faults) -> Self {
        Self {
            image: Image::default(),
            faults,
            survival: Random::stream(seed, "survival"),
            space: u64::MAX,
            session: 0,
            crash_at: None,
            crashed: false,
            changes_submitted: 0,
            changes_completed: 0,
            operations: 0,
            holds: false,
            queue: Vec::new(),
            completions: Vec::new(),
            open: BTreeMap::new(),
            files_opened: 0,
        }
    }

    pub(super) fn crash_at(&mut self, point: CrashPoint) {
        self.crash_at = Some(point);
    }

    /// Takes an operation in.
    pub(super) fn submit(&mut self, op: Op) -> OpId {
        self.operations += 1;
        let id = OpId(self.operations);
        if self.crashed {
            self.completions.push(Completion { op: id, result: Err(crashed()) });
            return id;
        }
        let inode = self.target(&op);
        let changes = changes(&op);
        let stalled = self.holds || self.faults.strikes(Fault::Stall);
        self.queue.push(Pending { id, op, inode, started: false, stalled });
        if changes {
            self.changes_submitted += 1;
            if self.crash_at == Some(CrashPoint::Submitted(self.changes_submitted)) {
                self.start();
                self.crash();
            }
        }
        id
    }

    /// Checks an operation against the rules of the seam, and looks its file up.
    fn target(&self, op: &Op) -> Option<Inode> {
        match op {
            Op::Close { file } | Op::Sync { file } => Some(self.inode(*file)),
            Op::Write { file, offset, buffer, .. } => {
                assert!(offset.is_multiple_of(SECTOR_BYTES as u64), "whole sectors are written");
                let inode = self.inode(*file);
                let end = offset + buffer.len() as u64;
                let bytes = self.image.bytes(inode);
                assert!(end <= bytes, "a file keeps the length that it was created with");
                Some(inode)
            }
            Op::Read { file, offset, .. } => {
                assert!(offset.is_multiple_of(SECTOR_BYTES as u64), "whole sectors are read");
                Some(self.inode(*file))
            }
            Op::Create { .. }
            | Op::Open { .. }
            | Op::Rename { .. }
            | Op::Remove { .. }
            | Op::List { .. } => None,
        }
    }

    fn inode(&self, file: FileId) -> Inode {
        self.open.get(&file).expect("only open files are used").0
    }

    /// Lets all that was submitted happen.
    pub(super) fn start(&mut self) {
        self.queue.iter_mut().for_each(|pending| pending.started = true);
    }

    /// Lets all that has stalled happen.
    pub(super) fn release(&mut self) {
        self.queue.iter_mut().for_each(|pending| pending.stalled = false);
    }

    /// Operations that were started and wait for [`State::complete`], oldest first.
    pub(super) fn in_flight(&self) -> Vec<OpId> {
        let started = self.queue.iter().filter(|pending| pending.started);
        started.map(|pending| pending.id).collect()
    }

    /// Whether all that is in flight has stalled, and there is something.
    pub(super) fn is_stuck(&self) -> bool {
        let mut started = self.queue.iter().filter(|pending| pending.started).peekable();
        !self.crashed
            && self.completions.is_empty()
            && started.peek().is_some()
            && started.all(|pending| pending.stalled)
    }

    /// Completes one operation, where one can.
    pub(super) fn complete_any(&mut self) -> bool {
        if self.crashed {
            return false;
        }
        let ready: Vec<usize> = (0..self.queue.len())
            .filter(|index| self.queue[*index].started && !self.queue[*index].stalled)
            .collect();
        if ready.is_empty() {
            return false;
        }
        let chosen = ready[self.faults.next_of(ready.len())];
        self.complete_at(chosen);
        true
    }

    /// Completes this operation, stalled or not.
    pub(super) fn complete(&mut self, op: OpId) {
        assert!(!self.crashed, "nothing completes on a machine that has stopped");
        let index = self.queue.iter().position(|pending| pending.id == op && pending.started);
        self.complete_at(index.expect("the operation is in flight"));
    }

    fn complete_at(&mut self, index: usize) {
        let pending = self.queue.remove(index);
        let op = pending.id;
        let changes = changes(&pending.op);
        let result = self.carry_out(pending);
        self.completions.push(Completion { op, result });
        self.rot();
        if changes {
            self.changes_completed += 1;
            if self.crash_at == Some(CrashPoint::Completed(self.changes_completed)) {
                self.crash();
            }
        }
    }

    pub(super) fn has_completions(&self) -> bool {
        !self.completions.is_empty()
    }

    pub(super) fn take_completions(&mut self, into: &mut Vec<Completion>) {
        into.append(&mut self.completions);
    }

    fn carry_out(&mut self, pending: Pending) -> Result<Done, DiskError> {
        let inode = pending.inode;
        let inode = || inode.expect("looked up when it was submitted");
        match pending.op {
            Op::Create { name, bytes } => self.create(&name, bytes),
            Op::Open { name, access } => {
                let (inode, bytes) = self.image.open(&name)?;
                Ok(self.opened(inode, bytes, access))
            }
            Op::Close { file } => {
                self.open.remove(&file);
                Ok(Done::Nothing)
            }
            Op::Write { file, offset, buffer, durability } => match self.open.get(&file) {
                Some((inode, Access::Cached)) => Err(DiskError {
                    kind: DiskErrorKind::Failed,
                    message: format!("write {}: it is open for reads only", self.name(*inode)),
                }),
                Some((_, Access::Direct)) | None => self.write(inode(), offset, buffer, durability),
            },
            Op::Read { offset, buffer, .. } => self.read(inode(), offset, buffer),
            Op::Sync { .. } => self.sync(inode()),
            Op::Rename { from, to } => {
                self.change_name("rename", &from, |image| image.rename(&from, &to))
            }
            Op::Remove { name } => self.change_name("remove", &name, |image| image.remove(&name)),
            Op::List { folder } => Ok(Done::Listed(self.image.list(&folder))),
        }
    }

    fn opened(&mut self, inode: Inode, bytes: u64, access: Access) -> Done {
        self.files_opened += 1;
        let file = FileId(self.files_opened);
        self.open.insert(file, (inode, access));
        Done::Opened { file, bytes }
    }

    fn create(&mut self, name: &FileName, bytes: u64) -> Result<Done, DiskError> {
        if self.image.bytes_beside(name).saturating_add(bytes) > self.space {
            return Err(DiskError {
                kind: DiskErrorKind::Full,
                message: format!("create {name} of {bytes} bytes: no space on the simulated disk"),
            });
        }
        if self.faults.strikes(Fault::FailedName) {
            if self.faults.stream(Fault::FailedName).coin() {
                self.image.create(name, bytes);
            }
            return Err(self.failed(Fault::FailedName, "create", name.clone(), 0));
        }
        let inode = self.image.create(name, bytes);
        Ok(self.opened(inode, bytes, Access::Direct))
    }

    fn change_name(
        &mut self,
        verb: &str,
        name: &FileName,
        change: impl FnOnce(&mut Image) -> Result<(), DiskError>,
    ) -> Result<Done, DiskError> {
        if self.faults.strikes(Fault::FailedName) {
            if self.faults.stream(Fault::FailedName).coin() {
                change(&mut self.image)?;
            }
            return Err(self.failed(Fault::FailedName, verb, name.clone(), 0));
        }
        change(&mut self.image).map(|()| Done::Nothing)
    }

    fn write(
        &mut self,
        inode: Inode,
        offset: u64,
        buffer: AlignedBuffer,
        durability: Durability,
    ) -> Result<Done, DiskError> {
        if self.faults.strikes(Fault::FailedWrite) {
            let random = self.faults.stream(Fault::FailedWrite);
            self.image.write(inode, offset, &buffer, Durability::None, || random.coin());
            return Err(self.failed(Fault::FailedWrite, "write", self.name(inode), offset));
        }
        if self.faults.strikes(Fault::MisdirectedWrite) {
            self.misdirect(inode, offset, &buffer, durability);
        } else if durability == Durability::Durable && self.faults.strikes(Fault::LyingFlush) {
            self.image.write(inode, offset, &buffer, Durability::None, || true);
            self.record(Fault::LyingFlush, self.name(inode), offset);
        } else {
            self.image.write(inode, offset, &buffer, durability, || true);
        }
        Ok(Done::Transferred(buffer))
    }

    /// Writes to another place, as far as it reaches there.
    fn misdirect(&mut self, inode: Inode, offset: u64, buffer: &[u8], durability: Durability) {
        let random = self.faults.stream(Fault::MisdirectedWrite);
        let (other, place) = self.image.any_sector(random).unwrap_or((inode, offset));
        let room = self.image.bytes(other).saturating_sub(place);
        let bytes = buffer.len().min(usize::try_from(room).unwrap_or(usize::MAX));
        self.image.write(other, place, &buffer[..bytes], durability, || true);
        self.record(Fault::MisdirectedWrite, self.name(other), place);
    }

    fn read(
        &mut self,
        inode: Inode,
        offset: u64,
        mut buffer: AlignedBuffer,
    ) -> Result<Done, DiskError> {
        let end = offset + buffer.len() as u64;
        let bytes = self.image.bytes(inode);
        if end > bytes {
            let name = self.name(inode);
            return Err(DiskError {
                kind: DiskErrorKind::Failed,
                message: format!("read {name} at {offset} up to {end}: it has {bytes} bytes"),
            });
        }
        if self.faults.strikes(Fault::FailedRead) {
            return Err(self.failed(Fault::FailedRead, "read", self.name(inode), offset));
        }
        self.image.read(inode, offset, &mut buffer);
        Ok(Done::Transferred(buffer))
    }

    fn sync(&mut self, inode: Inode) -> Result<Done, DiskError> {
        if self.faults.strikes(Fault::FailedSync) {
            self.image.drop_volatile(inode, self.faults.stream(Fault::FailedSync));
            return Err(self.failed(Fault::FailedSync, "sync", self.name(inode), 0));
        }
        if self.faults.strikes(Fault::LyingFlush) {
            self.record(Fault::LyingFlush, self.name(inode), 0);
        } else {
            self.image.sync(inode);
        }
        Ok(Done::Nothing)
    }

    fn rot(&mut self) {
        if !self.faults.strikes(Fault::Rot) {
            return;
        }
        let random = self.faults.stream(Fault::Rot);
        if let Some((inode, sector)) = self.image.any_sector(random) {
            let offset = sector + random.below(SECTOR_BYTES as u64);
            let bit = random.below(8);
            self.image.damage(inode, offset, |byte| *byte ^= 1 << bit);
            self.record(Fault::Rot, self.name(inode), offset);
        }
    }

    fn name(&self, inode: Inode) -> FileName {
        self.image.name(inode).cloned().unwrap_or_else(|| "(removed)".into())
    }

    fn record(&mut self, fault: Fault, file: FileName, offset: u64) {
        self.faults.record(Strike { fault, file, offset });
    }

    fn failed(&mut self, fault: Fault, verb: &str, file: FileName, offset: u64) -> DiskError {
        let message = format!("{verb} {file} at {offset}: simulated input/output error");
        self.record(fault, file, offset);
        DiskError { kind: DiskErrorKind::Failed, message }
    }

    /// Stops the machine: what is in flight stays so, and its process hears an error.
    fn crash(&mut self) {
        self.crashed = true;
        let errors = self.queue.iter().map(|pending| pending.id);
        self.completions.extend(errors.map(|op| Completion { op, result: Err(crashed()) }));
    }

    /// Ends the process: what it had in flight happens in part, and its files are closed.
    pub(super) fn end_session(&mut self) {
        for pending in std::mem::take(&mut self.queue) {
            if !pending.started {
                continue;
            }
            let inode = pending.inode;
            match pending.op {
                Op::Write { offset, ref buffer, .. } => {
                    let random = &mut self.survival;
                    self.image
                        .write(pending.inode(), offset, buffer, Durability::None, || random.coin());
                }
                Op::Sync { .. } if self.survival.coin() => {
                    self.image.sync(inode.expect("looked up when it was submitted"));
                }
                Op::Create { name, bytes } if self.survival.coin() => {
                    self.image.create(&name, bytes);
                }
                // Of a rename or remove that can't happen nobody is left to hear.
                Op::Rename { from, to } if self.survival.coin() => {
                    drop(self.image.rename(&from, &to));
                }
                Op::Remove { name } if self.survival.coin() => drop(self.image.remove(&name)),
                Op::Sync { .. }
                | Op::Create { .. }
                | Op::Rename { .. }
                | Op::Remove { .. }
                | Op::Open { .. }
                | Op::Close { .. }
                | Op::Read { .. }
                | Op::List { .. } => {}
            }
        }
        self.completions.clear();
        self.open.clear();
        self.files_opened = 0;
        self.image.forget_unnamed();
        self.session += 1;
        self.crashed = false;
        self.crash_at = None;
        self.holds = false;
    }

    /// Ends the process and the power.
    pub(super) fn lose_power(&mut self, survival: Survival) {
        self.end_session();
        self.image.lose_power(survival, &mut self.survival);
    }
}

/// Whether an operation changes what the medium holds.
const fn changes(op: &Op) -> bool {
    match op {
        Op::Create { .. }
        | Op::Write { .. }
        | Op::Sync { .. }
        | Op::Rename { .. }
        | Op::Remove { .. } => true,
        Op::Open { .. } | Op::Close { .. } | Op::Read { .. } | Op::List { .. } => false,
    }
}

fn crashed() -> DiskError {
    DiskError { kind: DiskErrorKind::Failed, message: "the simulated machine has crashed".into() }
}
