//! The folder that holds all files of one node, and belongs to one process at a time.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The file that is locked. It stays behind, and means nothing while nobody holds its lock.
const LOCK_NAME: &str = "lock";

/// A data folder that no other process uses, until this is dropped.
#[derive(Debug)]
pub struct DataFolder {
    path: PathBuf,
    /// The system takes the lock away with the descriptor, also from a process that was killed.
    _lock: File,
}

/// Why a data folder can't be used; each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum DataFolderError {
    /// It is not there.
    #[error("the data folder {} does not exist: check the path, or start a node with it", .path.display())]
    Missing {
        /// Which folder.
        path: PathBuf,
    },
    /// Something else is there.
    #[error("{} is not a folder: choose another path for the data folder", .path.display())]
    NotAFolder {
        /// What is there.
        path: PathBuf,
    },
    /// The rights are missing.
    #[error(
        "no permission to {doing} {}: run as the user who owns it, or give that user the right to \
         write there",
        .path.display()
    )]
    Denied {
        /// What was tried.
        doing: &'static str,
        /// Which folder.
        path: PathBuf,
    },
    /// It can't be written to by anybody.
    #[error(
        "the data folder {} is on a read-only file system: mount it for writing, or choose another",
        .path.display()
    )]
    ReadOnly {
        /// Which folder.
        path: PathBuf,
    },
    /// Another process has it.
    #[error(
        "the data folder {} is in use by {}: stop that process, or choose another folder",
        .path.display(),
        describe(*.holder)
    )]
    InUse {
        /// Which folder.
        path: PathBuf,
        /// The process that said it holds the lock.
        holder: Option<u32>,
    },
    /// Anything else.
    #[error("can't {doing} {}: {error}", .path.display())]
    Failed {
        /// What was tried.
        doing: &'static str,
        /// Which folder.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

impl DataFolder {
    /// Takes a folder for this process; makes it, and the folders above it, where it is missing.
    ///
    /// # Errors
    ///
    /// Where it can't be made, can't be written to, or is in use.
    pub fn open_or_create(path: &Path) -> Result<Self, DataFolderError> {
        match fs::create_dir_all(path) {
            Ok(()) => Self::open(path),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Err(DataFolderError::NotAFolder { path: path.into() })
            }
            Err(error) => Err(failed("make the data folder", path, error)),
        }
    }

    /// Takes a folder that exists for this process.
    ///
    /// # Errors
    ///
    /// Where it is missing, can't be written to, or is in use.
    pub fn open(path: &Path) -> Result<Self, DataFolderError> {
        let metadata =
            fs::metadata(path).map_err(|error| failed("open the data folder", path, error))?;
        if !metadata.is_dir() {
            return Err(DataFolderError::NotAFolder { path: path.into() });
        }
        let doing = "lock the data folder";
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path.join(LOCK_NAME))
            .map_err(|error| failed(doing, path, error))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let holder = read_holder(&mut lock);
                return Err(DataFolderError::InUse { path: path.into(), holder });
            }
            Err(TryLockError::Error(error)) => return Err(failed(doing, path, error)),
        }
        write_holder(&mut lock).map_err(|error| failed(doing, path, error))?;
        let path = path.canonicalize().map_err(|error| failed(doing, path, error))?;
        Ok(Self { path, _lock: lock })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn failed(doing: &'static str, path: &Path, error: io::Error) -> DataFolderError {
    let path = path.into();
    match error.kind() {
        io::ErrorKind::NotFound => DataFolderError::Missing { path },
        io::ErrorKind::NotADirectory => DataFolderError::NotAFolder { path },
        io::ErrorKind::PermissionDenied => DataFolderError::Denied { doing, path },
        io::ErrorKind::ReadOnlyFilesystem => DataFolderError::ReadOnly { path },
        _ => DataFolderError::Failed { doing, path, error },
    }
}

/// Leaves a note for whoever finds the folder in use.
fn write_holder(lock: &mut File) -> io::Result<()> {
    lock.set_len(0)?;
    lock.rewind()?;
    writeln!(lock, "{}", std::process::id())
}

/// The note of the process that holds the lock; `None` where it has not written it yet.
fn read_holder(lock: &mut File) -> Option<u32> {
    let mut note = String::new();
    // A process id has at most ten digits; a note that can't be read is as good as none.
    lock.take(16).read_to_string(&mut note).ok()?;
    note.trim().parse().ok()
}

fn describe(holder: Option<u32>) -> String {
    match holder {
        Some(process) if process == std::process::id() => {
            format!("this very process ({process})")
        }
        Some(process) => format!("process {process}"),
        None => "another process".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_folder::TestFolder;

    fn error(path: &Path) -> String {
        DataFolder::open(path).unwrap_err().to_string()
    }

    #[test]
    fn a_folder_is_made_and_opened_again() {
        let folder = TestFolder::new("data-made");
        let path = folder.path().join("a/b");
        drop(DataFolder::open_or_create(&path).unwrap());
        let opened = DataFolder::open(&path).unwrap();
        assert!(opened.path().ends_with("a/b"));
    }

    #[test]
    fn a_second_taker_is_told_who_has_it() {
        let folder = TestFolder::new("data-taken");
        let first = DataFolder::open_or_create(folder.path()).unwrap();
        match DataFolder::open(folder.path()).unwrap_err() {
            DataFolderError::InUse { holder, .. } => assert_eq!(holder, Some(std::process::id())),
            other => panic!("{other}"),
        }
        let path = folder.path().display();
        let process = std::process::id();
        let expected = format!(
            "the data folder {path} is in use by this very process ({process}): stop that process, \
             or choose another folder"
        );
        assert_eq!(error(folder.path()), expected);
        drop(first);
        DataFolder::open(folder.path()).expect("the lock went with its holder");
    }

    #[test]
    fn a_missing_folder_is_named() {
        let folder = TestFolder::new("data-missing");
        let path = folder.path().join("not-there");
        let expected = format!(
            "the data folder {} does not exist: check the path, or start a node with it",
            path.display()
        );
        assert_eq!(error(&path), expected);
    }

    #[test]
    fn a_file_is_no_folder() {
        let folder = TestFolder::new("data-file");
        let path = folder.path().join("file");
        fs::write(&path, "").unwrap();
        for path in [path.clone(), path.join("below")] {
            let made = DataFolder::open_or_create(&path).unwrap_err();
            assert!(matches!(made, DataFolderError::NotAFolder { .. }), "{made}");
            let opened = DataFolder::open(&path).unwrap_err();
            assert!(matches!(opened, DataFolderError::NotAFolder { .. }), "{opened}");
        }
    }

    #[test]
    fn a_read_only_place_is_told_from_one_without_rights() {
        let error = |kind| failed("lock the data folder", Path::new("/d"), io::Error::from(kind));
        let denied = error(io::ErrorKind::PermissionDenied).to_string();
        assert!(denied.starts_with("no permission to lock the data folder /d: run as"), "{denied}");
        let read_only = error(io::ErrorKind::ReadOnlyFilesystem).to_string();
        assert!(read_only.starts_with("the data folder /d is on a read-only"), "{read_only}");
    }
}
