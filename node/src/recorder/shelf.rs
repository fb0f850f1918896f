//! The folder of a recording: numbered files, of which the oldest make room for the newest.

use std::collections::VecDeque;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::segment::MAGIC;

/// How a file's name ends.
const EXTENSION: &str = "recording";
/// The file that is locked. A data folder has one of the same name: a recording can't be put there.
const LOCK_NAME: &str = "lock";

/// Why a folder can't be recorded to.
#[derive(Debug, thiserror::Error)]
pub enum ShelfError {
    /// The system refuses it.
    #[error("can't record to {}: can't {doing}: {error}", .path.display())]
    Failed {
        /// The folder.
        path: PathBuf,
        /// What was tried.
        doing: &'static str,
        /// Why not.
        error: io::Error,
    },
    /// Somebody else writes there.
    #[error(
        "can't record to {}: another process records there, or it is a data folder; give each node \
         a folder of its own",
        .path.display()
    )]
    InUse {
        /// The folder.
        path: PathBuf,
    },
}

/// The files, oldest first.
#[derive(Debug)]
pub struct Shelf {
    path: PathBuf,
    files: VecDeque<(u64, u64)>,
    bytes: u64,
    bytes_max: u64,
    next: u64,
    /// Bytes of the newest file that are new.
    written: u64,
    _lock: File,
}

impl Shelf {
    /// Takes a folder for this process, and makes it where it is missing. What an earlier process
    /// has recorded stays until there is no room for it.
    ///
    /// # Errors
    ///
    /// [`ShelfError`].
    pub fn open(path: &Path, bytes_max: u64) -> Result<Self, ShelfError> {
        let failed = |doing| {
            let path = path.to_owned();
            move |error| ShelfError::Failed { path, doing, error }
        };
        // Events are in it, so it is nobody else's.
        let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.map_err(failed("make the folder"))?;
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let lock = options.open(path.join(LOCK_NAME)).map_err(failed("make a file in it"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(ShelfError::InUse { path: path.into() }),
            Err(TryLockError::Error(error)) => return Err(failed("lock it")(error)),
        }
        let mut files = VecDeque::new();
        for (number, path) in files_of(path).map_err(failed("list it"))? {
            files.push_back((number, fs::metadata(&path).map_or(0, |metadata| metadata.len())));
        }
        let bytes = files.iter().map(|(_, bytes)| bytes).sum();
        let next = files.back().map_or(1, |(number, _)| number + 1);
        Ok(Self { path: path.to_owned(), files, bytes, bytes_max, next, written: 0, _lock: lock })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The longest state that a file may begin with.
    #[must_use]
    pub const fn state_bytes_max(&self) -> u64 {
        self.bytes_max / 2
    }

    /// Begins the next file, and gives its number. Where there will be no room, the oldest becomes
    /// the newest and is written over, from its beginning: pages that the kernel has already cost a
    /// fraction of new ones.
    ///
    /// - `expected`: how long the file will be, more or less
    ///
    /// # Errors
    ///
    /// Where it can't be made.
    pub fn begin(&mut self, expected: u64) -> io::Result<(u64, File)> {
        let number = self.next;
        let path = file_name(&self.path, number);
        let is_full = self.bytes + expected > self.bytes_max && !self.files.is_empty();
        let oldest = is_full.then(|| self.files[0]);
        self.written = 0;
        if let Some((oldest, length)) = oldest
            && self.reuse(oldest, &path).is_ok()
        {
            self.files.pop_front();
            self.files.push_back((number, length));
        } else {
            let mut options = OpenOptions::new();
            options.write(true).create_new(true).mode(0o600).open(&path)?;
            self.files.push_back((number, 0));
        }
        self.next += 1;
        Ok((number, OpenOptions::new().write(true).open(&path)?))
    }

    /// Gives a file another name. Whoever finds it before it is written over must not take the old
    /// story for a new one.
    fn reuse(&self, number: u64, path: &Path) -> io::Result<()> {
        let old = file_name(&self.path, number);
        OpenOptions::new().write(true).open(&old)?.write_all(&[0; MAGIC.len()])?;
        fs::rename(old, path)
    }

    /// So many bytes are about to be added to the newest file: the oldest make room.
    ///
    /// # Errors
    ///
    /// Where one can't be removed.
    pub fn make_room(&mut self, bytes: u64) -> io::Result<()> {
        self.written += bytes;
        let length = self.files.back().map_or(0, |(_, length)| *length);
        let bytes = self.written.saturating_sub(length);
        while self.bytes + bytes > self.bytes_max && self.files.len() > 1 {
            let (number, length) = self.files[0];
            match fs::remove_file(file_name(&self.path, number)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
            self.files.pop_front();
            self.bytes -= length;
        }
        if let Some((_, length)) = self.files.back_mut() {
            *length += bytes;
            self.bytes += bytes;
        }
        Ok(())
    }
}

fn file_name(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:012}.{EXTENSION}"))
}

/// The files of a recording with their numbers, oldest first.
///
/// # Errors
///
/// Where the folder can't be read.
pub fn files_of(folder: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let is_one = path.extension().is_some_and(|extension| extension == EXTENSION);
        let number = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok());
        if let Some(number) = number.filter(|_| is_one) {
            files.push((number, path));
        }
    }
    files.sort_unstable();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_files_make_room_and_the_newest_stays() {
        let path = std::env::temp_dir().join(format!("quorate-shelf-{}", std::process::id()));
        let mut shelf = Shelf::open(&path, 100).unwrap();
        assert!(matches!(Shelf::open(&path, 100), Err(ShelfError::InUse { .. })));
        for _ in 0..5 {
            let (_, mut file) = shelf.begin(40).unwrap();
            shelf.make_room(30).unwrap();
            shelf.make_room(10).unwrap();
            file.write_all(&[0; 40]).unwrap();
            assert!(shelf.bytes <= 100);
        }
        let numbers = |path: &Path| -> Vec<u64> {
            files_of(path).unwrap().into_iter().map(|(number, _)| number).collect()
        };
        assert_eq!(numbers(&path), [4, 5]);
        drop(shelf);
        let mut shelf = Shelf::open(&path, 100).unwrap();
        assert_eq!((shelf.bytes, shelf.next), (80, 6));
        shelf.begin(10).unwrap();
        shelf.make_room(90).unwrap();
        assert_eq!(numbers(&path), [6]);
        drop(shelf);
        std::fs::remove_dir_all(&path).unwrap();
    }
}
