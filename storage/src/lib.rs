//! Bytes that survive: the log, its index, the superblock, and the disk below them.
//!
//! All files go through the [`disk::Disk`] seam, so the same code runs on io_uring, on plain system
//! calls, and on a simulated disk that tears, loses and rots. Nothing here needs an async runtime:
//! [`io::Io`] turns completions into futures that any loop can drive.

pub mod buffer;
pub mod data_folder;
pub mod disk;
pub mod index;
pub mod io;
pub mod log;
pub mod read;
pub mod superblock;

#[cfg(test)]
mod test_folder;
#[cfg(test)]
mod test_golden;
