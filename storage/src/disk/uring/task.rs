//! One operation on its way through the kernel: what it keeps alive, and which call comes next.

use std::cell::Cell;
use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use io_uring::types::{Fd, FsyncFlags};
use io_uring::{opcode, squeue};

use crate::buffer::AlignedBuffer;
use crate::disk::folder::{disk_error, transfer_error};
use crate::disk::{Access, DiskError, Done};

/// A path as the kernel takes it.
pub(super) struct KernelPath {
    path: PathBuf,
    /// On the heap, so that it stays where it is while the kernel looks at it.
    text: CString,
}

impl KernelPath {
    pub(super) fn new(path: PathBuf) -> Self {
        let text = CString::new(path.as_os_str().as_bytes()).expect("paths hold no zero bytes");
        Self { path, text }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

/// An open file.
pub(super) struct OpenFile {
    pub(super) descriptor: File,
    /// As it was called when it was opened, for messages.
    pub(super) path: PathBuf,
    pub(super) bytes: u64,
    /// The folder to sync along with it, while its name is not durable.
    pub(super) unsynced_name: Cell<Option<Arc<File>>>,
}

/// How a write is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Writing {
    /// It is not durable.
    Plain,
    /// The write itself is durable, by its flag.
    Flagged,
    /// The write is linked to a flush of its file that comes right behind it.
    Flushed,
}

/// How many bytes of a transfer are done: the kernel may stop half-way.
pub(super) struct Transfer {
    pub(super) file: Rc<OpenFile>,
    pub(super) offset: u64,
    pub(super) buffer: AlignedBuffer,
    pub(super) bytes_done: usize,
}

/// An operation that the kernel has not finished.
pub(super) enum Task {
    Create {
        path: KernelPath,
        flags: i32,
        bytes: u64,
        folder: Arc<File>,
        /// Once it is there; next its space is reserved.
        file: Option<File>,
    },
    Open {
        path: KernelPath,
        access: Access,
        flags: i32,
        /// Once it is open; next the kernel is told not to read ahead.
        file: Option<File>,
    },
    Write(Transfer, Writing),
    Read(Transfer),
    Sync {
        file: Rc<OpenFile>,
        /// Still to be synced after the file.
        folder: Option<Arc<File>>,
        file_done: bool,
    },
    Rename {
        from: KernelPath,
        to: KernelPath,
        folder: Arc<File>,
        done: bool,
    },
    Remove {
        path: KernelPath,
        folder: Arc<File>,
        done: bool,
    },
}

/// What comes after a call.
pub(super) enum Next {
    /// Another call, of the same task.
    Call,
    /// The end, of all but opens.
    Finished(Result<Done, DiskError>),
    /// The end of a create or open.
    Opened(OpenFile),
}

impl Task {
    /// The call to make next. What it points to belongs to the task, on the heap.
    pub(super) fn call(&mut self) -> squeue::Entry {
        let working_folder = Fd(libc::AT_FDCWD);
        match self {
            Self::Create { path, flags, file: None, .. } => {
                opcode::OpenAt::new(working_folder, path.text.as_ptr())
                    .flags(*flags | libc::O_RDWR | libc::O_CREAT | libc::O_TRUNC)
                    .mode(0o600)
                    .build()
            }
            Self::Create { bytes, file: Some(file), .. } => {
                opcode::Fallocate::new(fd(file), *bytes).build()
            }
            Self::Open { path, access, flags, file: None } => {
                let rights = match access {
                    Access::Direct => libc::O_RDWR,
                    Access::Cached => libc::O_RDONLY,
                };
                opcode::OpenAt::new(working_folder, path.text.as_ptr())
                    .flags(*flags | rights)
                    .build()
            }
            Self::Open { file: Some(file), .. } => {
                opcode::Fadvise::new(fd(file), 0, libc::POSIX_FADV_RANDOM).build()
            }
            Self::Write(transfer, writing) => transfer.write(*writing),
            Self::Read(transfer) => transfer.read(),
            Self::Sync { file, file_done: false, .. } => {
                opcode::Fsync::new(fd(&file.descriptor)).flags(FsyncFlags::DATASYNC).build()
            }
            Self::Sync { folder: Some(folder), .. } => opcode::Fsync::new(fd(folder)).build(),
            Self::Sync { folder: None, .. } => unreachable!("a sync without a folder has ended"),
            Self::Rename { from, to, done: false, .. } => opcode::RenameAt::new(
                working_folder,
                from.text.as_ptr(),
                working_folder,
                to.text.as_ptr(),
            )
            .build(),
            Self::Remove { path, done: false, .. } => {
                opcode::UnlinkAt::new(working_folder, path.text.as_ptr()).build()
            }
            Self::Rename { folder, done: true, .. } | Self::Remove { folder, done: true, .. } => {
                opcode::Fsync::new(fd(folder)).build()
            }
        }
    }

    /// The call that is linked to the one to make next, if there is one. The kernel reports the end
    /// of this one only, or that of the first where it fails or stops half-way.
    pub(super) fn linked_call(&self) -> Option<squeue::Entry> {
        match self {
            Self::Write(transfer, Writing::Flushed) => {
                let file = fd(&transfer.file.descriptor);
                Some(opcode::Fsync::new(file).flags(FsyncFlags::DATASYNC).build())
            }
            _ => None,
        }
    }

    /// Takes in what the linked call gave.
    pub(super) fn advance_linked(&mut self, result: io::Result<usize>) -> Next {
        match (self, result) {
            // The flush ran, so the whole write was done.
            (Self::Write(transfer, Writing::Flushed), Ok(_)) => {
                transfer.advance("write", transfer.buffer.len() - transfer.bytes_done)
            }
            (Self::Write(transfer, Writing::Flushed), Err(error)) => {
                Next::Finished(Err(disk_error("flush a write to", &transfer.file.path, &error)))
            }
            _ => unreachable!("only such writes have a linked call"),
        }
    }

    /// Whether the call that is made gives a new descriptor, for [`Task::opened`].
    pub(super) const fn is_opening(&self) -> bool {
        matches!(self, Self::Create { file: None, .. } | Self::Open { file: None, .. })
    }

    /// Takes in the descriptor that the call gave.
    pub(super) fn opened(&mut self, opened: File) -> Next {
        match self {
            Self::Create { file, bytes, .. } => {
                *file = Some(opened);
                if *bytes > 0 { Next::Call } else { self.advance(Ok(0)) }
            }
            Self::Open { file, access, .. } => {
                *file = Some(opened);
                match access {
                    Access::Cached => Next::Call,
                    Access::Direct => self.advance(Ok(0)),
                }
            }
            _ => unreachable!("only these open files"),
        }
    }

    /// Takes in what any other call gave.
    pub(super) fn advance(&mut self, result: io::Result<usize>) -> Next {
        let result = match result {
            Ok(result) => result,
            // Nothing has happened yet: this is no failure of the disk.
            Err(error) if is_transient(&error) => return Next::Call,
            Err(error) => return Next::Finished(Err(self.failed(&error))),
        };
        match self {
            Self::Create { path, bytes, folder, file, .. } => Next::Opened(OpenFile {
                descriptor: file.take().expect("it is open by now"),
                path: path.path.clone(),
                bytes: *bytes,
                unsynced_name: Cell::new(Some(Arc::clone(folder))),
            }),
            Self::Open { path, file, .. } => {
                let file = file.take().expect("it is open by now");
                match file.metadata() {
                    Ok(metadata) => Next::Opened(OpenFile {
                        descriptor: file,
                        path: path.path.clone(),
                        bytes: metadata.len(),
                        unsynced_name: Cell::new(None),
                    }),
                    Err(error) => Next::Finished(Err(disk_error("look at", &path.path, &error))),
                }
            }
            Self::Write(transfer, _) => transfer.advance("write", result),
            Self::Read(transfer) => transfer.advance("read", result),
            Self::Sync { file, folder, file_done } => {
                if *file_done {
                    *folder = None;
                }
                *file_done = true;
                if folder.is_some() {
                    return Next::Call;
                }
                file.unsynced_name.set(None);
                Next::Finished(Ok(Done::Nothing))
            }
            Self::Rename { done, .. } | Self::Remove { done, .. } => {
                if std::mem::replace(done, true) {
                    Next::Finished(Ok(Done::Nothing))
                } else {
                    Next::Call
                }
            }
        }
    }

    fn failed(&self, error: &io::Error) -> DiskError {
        match self {
            Self::Create { path, file: None, .. } => disk_error("create", path.path(), error),
            Self::Create { path, bytes, file: Some(_), .. } => {
                // What was reserved of it is of no use, and may be what others wait for. Where
                // removing fails too, the first error is the one to tell.
                drop(std::fs::remove_file(path.path()));
                disk_error(&format!("reserve {bytes} bytes for"), path.path(), error)
            }
            Self::Open { path, .. } => disk_error("open", path.path(), error),
            Self::Write(transfer, _) => transfer.failed("write", error),
            Self::Read(transfer) => transfer.failed("read", error),
            Self::Sync { file, .. } => disk_error("sync", &file.path, error),
            Self::Rename { from, .. } => disk_error("rename", from.path(), error),
            Self::Remove { path, .. } => disk_error("remove", path.path(), error),
        }
    }
}

impl Transfer {
    fn write(&mut self, writing: Writing) -> squeue::Entry {
        let flags = match writing {
            Writing::Plain | Writing::Flushed => 0,
            Writing::Flagged => libc::RWF_DSYNC,
        };
        let rest = &self.buffer[self.bytes_done..];
        opcode::Write::new(fd(&self.file.descriptor), rest.as_ptr(), length(rest))
            .offset(self.offset + self.bytes_done as u64)
            .rw_flags(flags)
            .build()
    }

    fn read(&mut self) -> squeue::Entry {
        let rest = &mut self.buffer[self.bytes_done..];
        opcode::Read::new(fd(&self.file.descriptor), rest.as_mut_ptr(), length(rest))
            .offset(self.offset + self.bytes_done as u64)
            .build()
    }

    fn advance(&mut self, verb: &str, bytes: usize) -> Next {
        self.bytes_done += bytes;
        if self.bytes_done == self.buffer.len() {
            let buffer = std::mem::replace(&mut self.buffer, AlignedBuffer::zeroed(0));
            Next::Finished(Ok(Done::Transferred(buffer)))
        } else if bytes > 0 {
            Next::Call
        } else {
            let error = io::Error::from(io::ErrorKind::UnexpectedEof);
            Next::Finished(Err(self.failed(verb, &error)))
        }
    }

    fn failed(&self, verb: &str, error: &io::Error) -> DiskError {
        transfer_error(verb, &self.file.path, self.offset, self.buffer.len(), error)
    }
}

fn fd(file: &File) -> Fd {
    Fd(file.as_raw_fd())
}

fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).expect("one transfer is below 4 GiB")
}

/// Whether a call ended before it did anything.
fn is_transient(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EINTR | libc::EAGAIN))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transfer(bytes: usize) -> Transfer {
        let file = Rc::new(OpenFile {
            descriptor: File::open("/dev/null").unwrap(),
            path: "/d/f".into(),
            bytes: 1 << 20,
            unsynced_name: Cell::new(None),
        });
        Transfer { file, offset: 4096, buffer: AlignedBuffer::zeroed(bytes), bytes_done: 0 }
    }

    /// What the task ends with after calls that gave these results.
    fn finish(mut task: Task, results: &[io::Result<usize>]) -> Result<Done, DiskError> {
        let (last, first) = results.split_last().unwrap();
        let copy = |result: &io::Result<usize>| match result {
            Ok(bytes) => Ok(*bytes),
            Err(error) => Err(io::Error::from_raw_os_error(error.raw_os_error().unwrap())),
        };
        for result in first {
            task.call();
            assert!(matches!(task.advance(copy(result)), Next::Call), "after {result:?}");
        }
        task.call();
        match task.advance(copy(last)) {
            Next::Finished(result) => result,
            Next::Call | Next::Opened(_) => panic!("it does not end after {last:?}"),
        }
    }

    #[test]
    fn a_transfer_goes_on_where_the_kernel_stopped() {
        let interrupted = || Err(io::Error::from_raw_os_error(libc::EINTR));
        for task in [Task::Read(transfer(8192)), Task::Write(transfer(8192), Writing::Flagged)] {
            match finish(task, &[interrupted(), Ok(4096), interrupted(), Ok(4096)]) {
                Ok(Done::Transferred(buffer)) => assert_eq!(buffer.len(), 8192),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn a_flush_ends_the_write_before_it() {
        let task = || Task::Write(transfer(8192), Writing::Flushed);
        let mut half_way = task();
        assert!(half_way.linked_call().is_some());
        assert!(matches!(half_way.advance(Ok(4096)), Next::Call), "the rest, and its flush");
        for mut task in [task(), half_way] {
            match task.advance_linked(Ok(0)) {
                Next::Finished(Ok(Done::Transferred(buffer))) => assert_eq!(buffer.len(), 8192),
                _ => panic!("it does not end"),
            }
        }
        match task().advance_linked(Err(io::Error::from_raw_os_error(libc::EIO))) {
            Next::Finished(Err(error)) => {
                let expected = "flush a write to /d/f: Input/output error (os error 5)";
                assert_eq!(error.message, expected);
            }
            _ => panic!("a failed flush fails the write"),
        }
    }

    #[test]
    fn a_transfer_that_gets_nowhere_fails() {
        let error = finish(Task::Read(transfer(8192)), &[Ok(4096), Ok(0)]).unwrap_err();
        assert_eq!(error.message, "read 8192 bytes at 4096 of /d/f: unexpected end of file");
        let failed = Err(io::Error::from_raw_os_error(libc::EIO));
        let task = Task::Write(transfer(4096), Writing::Plain);
        let error = finish(task, &[failed]).unwrap_err();
        let expected = "write 4096 bytes at 4096 of /d/f: Input/output error (os error 5)";
        assert_eq!(error.message, expected);
    }
}
