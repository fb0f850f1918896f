//! The disk over `io_uring`: many operations in flight, one system call to start them all, none to
//! take their results in.
//!
//! The ring's own descriptor becomes readable when something has completed. It is used with
//! `COOP_TASKRUN`, so completions appear with the next system call of this thread, such as the
//! wait of its event loop, and do not interrupt it before.
//!
//! A durable write is one call with `RWF_DSYNC` where the device makes single writes durable. Where
//! it needs a flush after the write, the kernel does that flush on a worker that is bound to one
//! processor, and waits there for the next tick if the processor is busy: 4 ms where 0.1 ms is
//! usual. So there a write and a flush are linked instead; the flush then runs on whichever
//! processor is free. docs/decisions/0014 has the figures for this, and 0013 those for buffers,
//! which are not registered.
//!
//! This is the only file of the project with unsafe code. It rests on one rule: whatever an entry
//! in the ring points to belongs to its [`Task`], lies on the heap, and is kept in `slots` until
//! the kernel has reported the end of that entry, also when the disk is dropped.

#![allow(unsafe_code, reason = "the kernel is handed pointers; see the rule above")]

mod task;

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::rc::Rc;

use io_uring::IoUring;
use io_uring::squeue::Flags;

use self::task::{KernelPath, Next, OpenFile, Task, Transfer, Writing};
use super::folder::{Folder, check_read, check_write};
use super::{Completion, Disk, DiskError, DiskKind, Done, Durability, FileId, Op, OpId};

/// Operations that the kernel works on at once; more of them wait here. Each has at most two linked
/// entries in the ring and one completion, so neither of its queues overflows.
const IN_FLIGHT_MAX: u32 = 256;
const ENTRIES_MAX: u32 = 2 * IN_FLIGHT_MAX;

/// In an entry's `user_data` beside the slot: it is the linked one.
const LINKED: u64 = 1 << 32;

/// A folder on a real file system, through one ring of the kernel.
pub struct UringDisk {
    uring: IoUring,
    folder: Folder,
    /// How a durable write is made.
    durable: Writing,
    files: HashMap<FileId, Rc<OpenFile>>,
    /// Submitted, not yet given to the kernel.
    waiting: VecDeque<(OpId, Task)>,
    /// Given to the kernel; an entry's `user_data` is its index here.
    slots: Vec<Option<(OpId, Task)>>,
    slots_free: Vec<usize>,
    /// Completed, not yet reaped.
    completions: Vec<Completion>,
    operations: u64,
    files_opened: u32,
}

impl UringDisk {
    /// Opens a folder that exists.
    ///
    /// - `direct`: whether its file system can go past the page cache
    ///
    /// # Errors
    ///
    /// Where the folder can't be opened, or the ring can't be made ([`super::probe`] says why).
    pub fn open(path: &Path, direct: bool) -> Result<Self, DiskError> {
        let uring = make_uring()
            .map_err(|error| super::folder::disk_error("use io_uring on", path, &error))?;
        let can_link = uring.params().is_feature_skip_cqe_on_success();
        let flushes = can_link && direct && needs_flush(path);
        Ok(Self {
            uring,
            folder: Folder::open(path, direct)?,
            durable: if flushes { Writing::Flushed } else { Writing::Flagged },
            files: HashMap::new(),
            waiting: VecDeque::new(),
            slots: (0..IN_FLIGHT_MAX).map(|_| None).collect(),
            slots_free: (0..IN_FLIGHT_MAX as usize).rev().collect(),
            completions: Vec::new(),
            operations: 0,
            files_opened: 0,
        })
    }

    /// What the kernel has to do for an operation; the result itself where it has nothing to do.
    fn task(&mut self, op: Op) -> Result<Task, Result<Done, DiskError>> {
        Ok(match op {
            Op::Create { name, bytes } => {
                self.folder.make_parent(&name).map_err(Err)?;
                Task::Create {
                    path: KernelPath::new(self.folder.path(&name)),
                    flags: self.folder.open_flags(super::Access::Direct),
                    bytes,
                    folder: self.folder.parent_handle(&name).map_err(Err)?,
                    file: None,
                }
            }
            Op::Open { name, access } => Task::Open {
                path: KernelPath::new(self.folder.path(&name)),
                access,
                flags: self.folder.open_flags(access),
                file: None,
            },
            Op::Close { file } => {
                // What is in flight on it keeps it open until then.
                self.files.remove(&file).expect("only open files are closed");
                return Err(Ok(Done::Nothing));
            }
            Op::Write { file, offset, buffer, durability } => {
                let file = self.file(file);
                check_write(&file.path, file.bytes, offset, buffer.len());
                let writing = match durability {
                    Durability::None => Writing::Plain,
                    Durability::Durable => self.durable,
                };
                Task::Write(Transfer { file, offset, buffer, bytes_done: 0 }, writing)
            }
            Op::Read { file, offset, buffer } => {
                let file = self.file(file);
                check_read(&file.path, file.bytes, offset, buffer.len()).map_err(Err)?;
                Task::Read(Transfer { file, offset, buffer, bytes_done: 0 })
            }
            Op::Sync { file } => {
                let file = self.file(file);
                let folder = file.unsynced_name.take();
                file.unsynced_name.set(folder.clone());
                Task::Sync { file, folder, file_done: false }
            }
            Op::Rename { from, to } => Task::Rename {
                folder: self.folder.parent_handle(&to).map_err(Err)?,
                from: KernelPath::new(self.folder.path(&from)),
                to: KernelPath::new(self.folder.path(&to)),
                done: false,
            },
            Op::Remove { name } => Task::Remove {
                folder: self.folder.parent_handle(&name).map_err(Err)?,
                path: KernelPath::new(self.folder.path(&name)),
                done: false,
            },
            Op::List { folder } => return Err(self.folder.list(&folder).map(Done::Listed)),
        })
    }

    fn file(&self, file: FileId) -> Rc<OpenFile> {
        Rc::clone(self.files.get(&file).expect("only open files are used"))
    }

    /// Puts what waits into the ring, as far as there are slots.
    fn fill_uring(&mut self) {
        while let Some(slot) = self.slots_free.last().copied() {
            let Some(waiting) = self.waiting.pop_front() else { return };
            self.slots_free.pop();
            self.slots[slot] = Some(waiting);
            self.push(slot);
        }
    }

    /// Puts the next call of a slot's task into the ring.
    fn push(&mut self, slot: usize) {
        let (_, task) = self.slots[slot].as_mut().expect("the slot is taken");
        let call = task.call().user_data(slot as u64);
        let mut submission = self.uring.submission();
        let pushed = match task.linked_call() {
            None => {
                // SAFETY: all that the entry points to belongs to the task, on the heap, and its
                // files are open. The task stays in its slot until `settle` finds the completion
                // of this entry; `drop` waits for that too, or leaks the slots.
                unsafe { submission.push(&call) }
            }
            Some(linked) => {
                let call = call.flags(Flags::IO_LINK | Flags::SKIP_SUCCESS);
                let linked = linked.user_data(slot as u64 | LINKED);
                // SAFETY: as above. Of the two the kernel reports the second if it comes to run,
                // and else the first, so the one completion is the end of both.
                unsafe { submission.push_multiple(&[call, linked]) }
            }
        };
        pushed.expect("the ring has two entries for each slot");
    }

    /// Gives the kernel all that is in the ring, and waits for so many completions.
    fn enter(&mut self, completions_wanted: usize) -> io::Result<()> {
        loop {
            match self.uring.submit_and_wait(completions_wanted) {
                // The kernel stops at an entry that it refuses, and reports it as completed.
                Ok(_) if self.uring.submission().is_empty() => return Ok(()),
                Ok(_) => {}
                Err(error) => match error.raw_os_error() {
                    // Interrupted, or short of memory for a moment: entries stay in the ring.
                    Some(libc::EINTR | libc::EAGAIN | libc::EBUSY) => std::thread::yield_now(),
                    _ => return Err(error),
                },
            }
        }
    }

    /// Starts what waits, with at most one system call.
    fn start(&mut self) {
        self.fill_uring();
        let submission = self.uring.submission();
        if submission.is_empty() && !submission.taskrun() {
            return;
        }
        drop(submission);
        self.enter(0).expect("the kernel takes entries that are well formed");
    }

    /// Takes in what the kernel has completed.
    fn settle(&mut self) {
        while let Some(entry) = { self.uring.completion().next() } {
            let is_linked = entry.user_data() & LINKED != 0;
            let slot = usize::try_from(entry.user_data() & !LINKED).expect("it is an index");
            let (op, task) = self.slots[slot].as_mut().expect("the slot is taken");
            let op = *op;
            let result = usize::try_from(entry.result())
                .map_err(|_| io::Error::from_raw_os_error(-entry.result()));
            let next = match result {
                result if is_linked => task.advance_linked(result),
                Ok(_) if task.is_opening() => {
                    // SAFETY: the kernel has just made this descriptor for this task, and nobody
                    // else knows of it.
                    task.opened(unsafe { File::from_raw_fd(entry.result()) })
                }
                result => task.advance(result),
            };
            let result = match next {
                Next::Call => {
                    self.push(slot);
                    continue;
                }
                Next::Finished(result) => result,
                Next::Opened(file) => Ok(self.opened(file)),
            };
            self.slots[slot] = None;
            self.slots_free.push(slot);
            self.completions.push(Completion { op, result });
        }
    }

    fn opened(&mut self, file: OpenFile) -> Done {
        self.files_opened += 1;
        let id = FileId(self.files_opened);
        let bytes = file.bytes;
        self.files.insert(id, Rc::new(file));
        Done::Opened { file: id, bytes }
    }

    fn in_flight(&self) -> usize {
        self.slots.len() - self.slots_free.len()
    }
}

impl Disk for UringDisk {
    fn submit(&mut self, op: Op) -> OpId {
        self.operations += 1;
        let id = OpId(self.operations);
        match self.task(op) {
            Ok(task) => self.waiting.push_back((id, task)),
            Err(result) => self.completions.push(Completion { op: id, result }),
        }
        id
    }

    fn flush(&mut self) {
        self.start();
    }

    /// Costs a system call only where an operation takes several calls, or more of them waited than
    /// the kernel works on at once.
    fn reap(&mut self, completions: &mut Vec<Completion>) {
        self.settle();
        self.start();
        completions.append(&mut self.completions);
    }

    fn wait(&mut self) {
        self.settle();
        self.fill_uring();
        while self.completions.is_empty() && self.in_flight() > 0 {
            self.enter(1).expect("the kernel takes entries that are well formed");
            self.settle();
            self.fill_uring();
        }
        // Where something had completed before, the rest is still to be started.
        self.start();
    }

    fn readiness(&self) -> Option<BorrowedFd<'_>> {
        // SAFETY: the ring, and its descriptor with it, lives as long as this disk.
        Some(unsafe { BorrowedFd::borrow_raw(self.uring.as_raw_fd()) })
    }

    fn kind(&self) -> DiskKind {
        DiskKind::Uring
    }
}

impl Drop for UringDisk {
    /// Waits for what is in flight: the kernel may still write to its buffers.
    fn drop(&mut self) {
        self.waiting.clear();
        while self.in_flight() > 0 {
            if self.enter(1).is_err() {
                // There is no way to learn when the kernel is done with them.
                std::mem::forget(std::mem::take(&mut self.slots));
                return;
            }
            self.settle();
        }
    }
}

/// Makes a ring and throws it away, to learn why it can't be made.
pub(super) fn try_uring() -> io::Result<()> {
    make_uring().map(drop)
}

/// A ring that does not interrupt this thread; a plain one where the kernel is older than that.
fn make_uring() -> io::Result<IoUring> {
    let cooperative = IoUring::builder()
        .setup_coop_taskrun()
        .setup_taskrun_flag()
        .setup_submit_all()
        .build(ENTRIES_MAX);
    match cooperative {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => IoUring::new(ENTRIES_MAX),
        made => made,
    }
}

/// Whether a device keeps writes in a cache, and can't write one through it: `false` where the
/// system does not tell.
fn needs_flush(path: &Path) -> bool {
    let Ok(metadata) = std::fs::metadata(path) else { return false };
    let device = metadata.dev();
    let block = format!("/sys/dev/block/{}:{}", libc::major(device), libc::minor(device));
    let read = |name| std::fs::read_to_string(format!("{block}/{name}")).ok();
    // A partition has no queue of its own, but its disk does.
    let queue = |name| read(format!("queue/{name}")).or_else(|| read(format!("../queue/{name}")));
    let (cache, through) = (queue("write_cache"), queue("fua"));
    cache.is_some_and(|text| text.trim() == "write back")
        && through.is_some_and(|text| text.trim() == "0")
}
