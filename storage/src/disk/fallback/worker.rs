//! What a helper thread does: one operation after the other, each with plain system calls.

use std::fs::{self, File, OpenOptions};
use std::io::{self, IoSlice, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Arc, Mutex};

use rustix::fs::{Advice, FallocateFlags, fadvise, fallocate};
use rustix::io::{Errno, ReadWriteFlags, pwritev2};

use crate::buffer::AlignedBuffer;
use crate::disk::folder::{disk_error, transfer_error};
use crate::disk::{Access, DiskError, Done, Durability, OpId};

/// An open file.
pub(super) struct OpenFile {
    descriptor: File,
    /// As it was called when it was opened, for messages.
    pub(super) path: PathBuf,
    pub(super) bytes: u64,
    /// To be synced with the file as long as its name is not durable.
    folder: Option<Arc<File>>,
    name_synced: AtomicBool,
}

/// An operation, with all that a thread needs for it.
pub(super) enum Job {
    Create { path: PathBuf, options: OpenOptions, bytes: u64, folder: Arc<File> },
    Open { path: PathBuf, options: OpenOptions, access: Access },
    Write { file: Arc<OpenFile>, offset: u64, buffer: AlignedBuffer, durability: Durability },
    Read { file: Arc<OpenFile>, offset: u64, buffer: AlignedBuffer },
    Sync { file: Arc<OpenFile> },
    Rename { from: PathBuf, to: PathBuf, folder: Arc<File> },
    Remove { path: PathBuf, folder: Arc<File> },
}

/// What a job gave.
pub(super) enum Outcome {
    Opened(OpenFile),
    Done(Done),
}

/// Works until there are no more jobs to come.
pub(super) fn work(
    queue: &Mutex<Receiver<(OpId, Job)>>,
    results: &Sender<(OpId, Result<Outcome, DiskError>)>,
    mut rope: &UnixStream,
) {
    loop {
        let job = queue.lock().expect("no thread panics while it takes a job").recv();
        let Ok((op, job)) = job else { return };
        if results.send((op, job.run())).is_err() {
            // Nobody waits for results any more; what is queued is still done.
            continue;
        }
        match rope.write(&[1]) {
            Ok(_) => {}
            // Full of bytes: it is readable already.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            Err(error) => panic!("a socket of this process failed: {error}"),
        }
    }
}

impl Job {
    fn run(self) -> Result<Outcome, DiskError> {
        match self {
            Self::Create { path, options, bytes, folder } => {
                create(path, options, bytes, folder).map(Outcome::Opened)
            }
            Self::Open { path, options, access } => open(path, &options, access),
            Self::Write { file, offset, buffer, durability } => {
                match write_all(&file.descriptor, offset, &buffer, durability) {
                    Ok(()) => Ok(Outcome::Done(Done::Transferred(buffer))),
                    Err(error) => {
                        Err(transfer_error("write", &file.path, offset, buffer.len(), &error))
                    }
                }
            }
            Self::Read { file, offset, mut buffer } => {
                match file.descriptor.read_exact_at(&mut buffer, offset) {
                    Ok(()) => Ok(Outcome::Done(Done::Transferred(buffer))),
                    Err(error) => {
                        Err(transfer_error("read", &file.path, offset, buffer.len(), &error))
                    }
                }
            }
            Self::Sync { file } => sync(&file)
                .map(|()| Outcome::Done(Done::Nothing))
                .map_err(|error| disk_error("sync", &file.path, &error)),
            Self::Rename { from, to, folder } => {
                let renamed = fs::rename(&from, to).and_then(|()| folder.sync_all());
                done(renamed, "rename", &from)
            }
            Self::Remove { path, folder } => {
                let removed = fs::remove_file(&path).and_then(|()| folder.sync_all());
                done(removed, "remove", &path)
            }
        }
    }
}

fn done(result: io::Result<()>, verb: &str, path: &Path) -> Result<Outcome, DiskError> {
    result.map(|()| Outcome::Done(Done::Nothing)).map_err(|error| disk_error(verb, path, &error))
}

fn create(
    path: PathBuf,
    mut options: OpenOptions,
    bytes: u64,
    folder: Arc<File>,
) -> Result<OpenFile, DiskError> {
    let descriptor = options
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&path)
        .map_err(|error| disk_error("create", &path, &error))?;
    if bytes > 0 {
        reserve(&descriptor, bytes).map_err(|error| {
            // What was reserved of it is of no use, and may be what others wait for. Where
            // removing fails too, the first error is the one to tell.
            drop(fs::remove_file(&path));
            disk_error(&format!("reserve {bytes} bytes for"), &path, &error)
        })?;
    }
    let name_synced = AtomicBool::new(false);
    Ok(OpenFile { descriptor, path, bytes, folder: Some(folder), name_synced })
}

fn reserve(file: &File, bytes: u64) -> io::Result<()> {
    loop {
        match fallocate(file, FallocateFlags::empty(), 0, bytes) {
            Err(Errno::INTR) => {}
            result => return Ok(result?),
        }
    }
}

fn open(path: PathBuf, options: &OpenOptions, access: Access) -> Result<Outcome, DiskError> {
    let opened = options.open(&path).and_then(|descriptor| {
        if access == Access::Cached {
            fadvise(&descriptor, 0, None, Advice::Random)?;
        }
        let bytes = descriptor.metadata()?.len();
        Ok((descriptor, bytes))
    });
    let (descriptor, bytes) = opened.map_err(|error| disk_error("open", &path, &error))?;
    let name_synced = AtomicBool::new(true);
    Ok(Outcome::Opened(OpenFile { descriptor, path, bytes, folder: None, name_synced }))
}

fn write_all(
    file: &File,
    mut offset: u64,
    mut bytes: &[u8],
    durability: Durability,
) -> io::Result<()> {
    let flags = match durability {
        Durability::None => ReadWriteFlags::empty(),
        Durability::Durable => ReadWriteFlags::DSYNC,
    };
    while !bytes.is_empty() {
        match pwritev2(file, &[IoSlice::new(bytes)], offset, flags) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                bytes = &bytes[written..];
                offset += written as u64;
            }
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

/// Syncs a file, and its folder as long as its name is not durable.
fn sync(file: &OpenFile) -> io::Result<()> {
    file.descriptor.sync_data()?;
    if let (Some(folder), false) = (&file.folder, file.name_synced.load(Ordering::Relaxed)) {
        folder.sync_all()?;
        file.name_synced.store(true, Ordering::Relaxed);
    }
    Ok(())
}
