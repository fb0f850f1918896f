//! The disk over plain system calls on helper threads, for machines that refuse `io_uring`.
//!
//! It promises the same and is slower where many writes are in flight: each takes a thread, a
//! handover to it and another back. The descriptor of [`Disk::readiness`] becomes readable with
//! each completion.

mod worker;

use std::collections::{HashMap, VecDeque};
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use self::worker::{Job, OpenFile, Outcome, work};
use super::folder::{Folder, check_read, check_write, disk_error};
use super::{Completion, Disk, DiskError, DiskKind, Done, FileId, Op, OpId};

/// Operations done at the same time: enough for the log's writes in flight, and reads beside them.
const THREADS: usize = 4;

/// A folder on a real file system, through helper threads.
pub struct FallbackDisk {
    folder: Folder,
    files: HashMap<FileId, Arc<OpenFile>>,
    /// Submitted, not yet flushed.
    waiting: VecDeque<(OpId, Job)>,
    /// `None` once the disk is dropped, which ends the threads.
    jobs: Option<Sender<(OpId, Job)>>,
    outcomes: Receiver<(OpId, Result<Outcome, DiskError>)>,
    /// Given to the threads, and not yet back.
    in_flight: usize,
    /// Holds a byte or more whenever there are outcomes to take.
    bell: UnixStream,
    threads: Vec<JoinHandle<()>>,
    completions: Vec<Completion>,
    operations: u64,
    files_opened: u32,
}

impl FallbackDisk {
    /// Opens a folder that exists.
    ///
    /// - `direct`: whether its file system can go past the page cache
    ///
    /// # Errors
    ///
    /// Where the folder can't be opened, or threads can't be made.
    pub fn open(path: &Path, direct: bool) -> Result<Self, DiskError> {
        let failed = |error: io::Error| disk_error("start helper threads for", path, &error);
        let folder = Folder::open(path, direct)?;
        let (jobs, queue) = channel();
        let (results, outcomes) = channel();
        let (bell, rope) = UnixStream::pair().map_err(failed)?;
        bell.set_nonblocking(true).map_err(failed)?;
        rope.set_nonblocking(true).map_err(failed)?;
        let queue = Arc::new(Mutex::new(queue));
        let mut threads = Vec::with_capacity(THREADS);
        for index in 0..THREADS {
            let (queue, results) = (Arc::clone(&queue), results.clone());
            let rope = rope.try_clone().map_err(failed)?;
            let builder = thread::Builder::new().name(format!("disk {index}"));
            let thread = builder.spawn(move || work(&queue, &results, &rope)).map_err(failed)?;
            threads.push(thread);
        }
        Ok(Self {
            folder,
            files: HashMap::new(),
            waiting: VecDeque::new(),
            jobs: Some(jobs),
            outcomes,
            in_flight: 0,
            bell,
            threads,
            completions: Vec::new(),
            operations: 0,
            files_opened: 0,
        })
    }

    /// What a thread has to do for an operation; the result itself where there is nothing to do.
    fn job(&mut self, op: Op) -> Result<Job, Result<Done, DiskError>> {
        Ok(match op {
            Op::Create { name, bytes } => {
                self.folder.make_parent(&name).map_err(Err)?;
                Job::Create {
                    path: self.folder.path(&name),
                    options: self.folder.open_options(super::Access::Direct),
                    bytes,
                    folder: self.folder.parent_handle(&name).map_err(Err)?,
                }
            }
            Op::Open { name, access } => Job::Open {
                path: self.folder.path(&name),
                options: self.folder.open_options(access),
                access,
            },
            Op::Close { file } => {
                // What is in flight on it keeps it open until then.
                self.files.remove(&file).expect("only open files are closed");
                return Err(Ok(Done::Nothing));
            }
            Op::Write { file, offset, buffer, durability } => {
                let file = self.file(file);
                check_write(&file.path, file.bytes, offset, buffer.len());
                Job::Write { file, offset, buffer, durability }
            }
            Op::Read { file, offset, buffer } => {
                let file = self.file(file);
                check_read(&file.path, file.bytes, offset, buffer.len()).map_err(Err)?;
                Job::Read { file, offset, buffer }
            }
            Op::Sync { file } => Job::Sync { file: self.file(file) },
            Op::Rename { from, to } => Job::Rename {
                folder: self.folder.parent_handle(&to).map_err(Err)?,
                from: self.folder.path(&from),
                to: self.folder.path(&to),
            },
            Op::Remove { name } => Job::Remove {
                folder: self.folder.parent_handle(&name).map_err(Err)?,
                path: self.folder.path(&name),
            },
            Op::List { folder } => return Err(self.folder.list(&folder).map(Done::Listed)),
        })
    }

    fn file(&self, file: FileId) -> Arc<OpenFile> {
        Arc::clone(self.files.get(&file).expect("only open files are used"))
    }

    fn take_in(&mut self, op: OpId, outcome: Result<Outcome, DiskError>) {
        self.in_flight -= 1;
        let result = outcome.map(|outcome| match outcome {
            Outcome::Done(done) => done,
            Outcome::Opened(file) => {
                self.files_opened += 1;
                let id = FileId(self.files_opened);
                let bytes = file.bytes;
                self.files.insert(id, Arc::new(file));
                Done::Opened { file: id, bytes }
            }
        });
        self.completions.push(Completion { op, result });
    }

    /// Empties the bell: before the outcomes are taken, so that none is left without a byte.
    fn silence(&mut self) {
        let mut bytes = [0; 64];
        loop {
            match self.bell.read(&mut bytes) {
                Ok(0) => panic!("the helper threads have ended"),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => panic!("a socket of this process failed: {error}"),
            }
        }
    }
}

impl Disk for FallbackDisk {
    fn submit(&mut self, op: Op) -> OpId {
        self.operations += 1;
        let id = OpId(self.operations);
        match self.job(op) {
            Ok(job) => self.waiting.push_back((id, job)),
            Err(result) => self.completions.push(Completion { op: id, result }),
        }
        id
    }

    fn flush(&mut self) {
        let jobs = self.jobs.as_ref().expect("threads run until the disk is dropped");
        for job in self.waiting.drain(..) {
            jobs.send(job).expect("threads run until the disk is dropped");
            self.in_flight += 1;
        }
    }

    fn reap(&mut self, completions: &mut Vec<Completion>) {
        if self.in_flight > 0 {
            self.silence();
            while let Ok((op, outcome)) = self.outcomes.try_recv() {
                self.take_in(op, outcome);
            }
        }
        completions.append(&mut self.completions);
    }

    fn wait(&mut self) {
        self.flush();
        if self.completions.is_empty() && self.in_flight > 0 {
            let (op, outcome) = self.outcomes.recv().expect("threads run as long as the disk");
            self.take_in(op, outcome);
        }
    }

    fn readiness(&self) -> Option<BorrowedFd<'_>> {
        Some(self.bell.as_fd())
    }

    fn kind(&self) -> DiskKind {
        DiskKind::Fallback
    }
}

impl Drop for FallbackDisk {
    /// Lets the threads finish what they have, so that the next disk finds it done.
    fn drop(&mut self) {
        self.jobs = None;
        for thread in self.threads.drain(..) {
            // A thread that panicked has told so; a panic here would hide it.
            drop(thread.join());
        }
    }
}
