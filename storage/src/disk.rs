//! The seam between the store and whatever keeps its bytes: operations go down, completions come
//! up, buffers are lent and come back.
//!
//! A disk is one folder of files. Names are relative to it and may have one folder part
//! (`log/…`, `index/…`).

pub mod fallback;
mod folder;
pub mod probe;
pub mod simulated;
pub mod uring;

use std::fmt;
use std::os::fd::BorrowedFd;
use std::task::Waker;

use crate::buffer::AlignedBuffer;

/// A file of the data folder by its name, such as `superblock` or `log/0000000000000000.segment`.
pub type FileName = Box<str>;

/// An open file of one disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(pub(crate) u32);

/// One submitted operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OpId(pub(crate) u64);

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Past the page cache: what is read is what the disk holds. For writes and recovery.
    Direct,
    /// Through the page cache, without read-ahead. Only for reads, of what is already durable.
    Cached,
}

/// What a write promises when it completes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Nothing, before a later [`Op::Sync`] of the file.
    None,
    /// The bytes are on stable storage.
    Durable,
}

/// One thing for a disk to do. Offsets and buffer lengths are multiples of 4096.
#[derive(Debug)]
pub enum Op {
    /// Makes an empty file, or empties the one of that name, and gives it `bytes` bytes that read
    /// as zero (allocated, so that a full disk shows here). Opens it for direct access. Makes its
    /// folder where that is missing. Its name and length are durable after a [`Op::Sync`].
    Create {
        /// Its name.
        name: FileName,
        /// Its length.
        bytes: u64,
    },
    /// Opens a file that exists.
    Open {
        /// Its name.
        name: FileName,
        /// How.
        access: Access,
    },
    /// Forgets an open file.
    Close {
        /// Which one.
        file: FileId,
    },
    /// Writes the whole buffer, within the file's length. Writes in flight at the same time are done in any order, and a
    /// power loss may keep any subset of their sectors.
    Write {
        /// Where.
        file: FileId,
        /// From which byte on.
        offset: u64,
        /// What.
        buffer: AlignedBuffer,
        /// What its completion means.
        durability: Durability,
    },
    /// Fills the whole buffer; past the end of the file is an error.
    Read {
        /// Where.
        file: FileId,
        /// From which byte on.
        offset: u64,
        /// Room for what is read.
        buffer: AlignedBuffer,
    },
    /// Makes all completed writes of the file, its length and its name durable.
    Sync {
        /// Which one.
        file: FileId,
    },
    /// Renames a file over another or none, within its folder; durable when it completes (what the
    /// file holds only if it was synced before). Open ids stay valid.
    Rename {
        /// What it is called.
        from: FileName,
        /// What it shall be called.
        to: FileName,
    },
    /// Removes a file; durable when it completes.
    Remove {
        /// Which one.
        name: FileName,
    },
    /// Names the files in a folder, in order of their names; a missing folder has none.
    List {
        /// The folder; the empty name is the data folder itself.
        folder: FileName,
    },
}

/// What an operation gave.
#[derive(Debug)]
pub enum Done {
    /// Of a create or open.
    Opened {
        /// For further operations.
        file: FileId,
        /// How long it is.
        bytes: u64,
    },
    /// Of a write: the buffer back. Of a read: the buffer, filled.
    Transferred(AlignedBuffer),
    /// Of a list: names with the folder part, and lengths.
    Listed(Vec<(FileName, u64)>),
    /// Of all others.
    Nothing,
}

/// The end of one operation.
#[derive(Debug)]
pub struct Completion {
    /// Which one.
    pub op: OpId,
    /// How it ended.
    pub result: Result<Done, DiskError>,
}

/// The world broke below us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskError {
    /// What kind of trouble, as far as the store treats it differently.
    pub kind: DiskErrorKind,
    /// What was tried, on which file, and what the system said.
    pub message: String,
}

/// Kinds of trouble with a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskErrorKind {
    /// No such file or folder.
    NotFound,
    /// No space left, or over a quota.
    Full,
    /// Not allowed, or a read-only file system.
    Denied,
    /// Anything else: the device or file system failed. Nothing is retried on it.
    Failed,
}

impl fmt::Display for DiskError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.message)
    }
}

impl std::error::Error for DiskError {}

/// Which implementation a disk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskKind {
    /// io_uring.
    Uring,
    /// Plain system calls on helper threads.
    Fallback,
    /// Memory, with faults from a seed.
    Simulated,
}

/// Something that keeps files.
pub trait Disk {
    /// Takes an operation in; it may start at once or at [`Disk::flush`].
    fn submit(&mut self, op: Op) -> OpId;

    /// Starts everything that was submitted.
    fn flush(&mut self);

    /// Adds what has completed since the last call, in order of completion; never waits.
    fn reap(&mut self, completions: &mut Vec<Completion>);

    /// Starts everything that was submitted, and waits until something has completed. Returns at
    /// once where nothing is under way.
    fn wait(&mut self);

    /// Becomes readable when something may have completed; `None` for a simulated disk. An event
    /// loop that watches it (a clone of it) edge-triggered clears it before it reaps.
    fn readiness(&self) -> Option<BorrowedFd<'_>>;

    /// Wakes this when something may have completed, where [`Disk::readiness`] has nothing to watch.
    fn wake_when_ready(&mut self, _waker: &Waker) {}

    /// Which implementation it is.
    fn kind(&self) -> DiskKind;
}

#[cfg(test)]
mod tests;
