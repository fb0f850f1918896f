//! The folder of a real disk: where its names lead, and what every real disk does the same way.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Access, DiskError, DiskErrorKind, FileName};

/// A folder on a real file system. Names in it have at most one folder part.
pub(super) struct Folder {
    root: PathBuf,
    /// Whether its file system can go past the page cache.
    direct: bool,
    /// Open folders, to make names in them durable.
    handles: HashMap<FileName, Arc<File>>,
}

impl Folder {
    /// Takes a folder that exists.
    pub(super) fn open(path: &Path, direct: bool) -> Result<Self, DiskError> {
        let root = path.canonicalize().map_err(|error| disk_error("open", path, &error))?;
        Ok(Self { root, direct, handles: HashMap::new() })
    }

    /// Where a name leads.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        let is_plain = |part: &str| !part.is_empty() && part != "." && part != "..";
        let is_inside = name.split('/').count() <= 2 && name.split('/').all(is_plain);
        assert!(is_inside, "{name:?} is not a name below the data folder");
        self.root.join(name)
    }

    /// Makes the folder of a name where it is missing.
    pub(super) fn make_parent(&mut self, name: &str) -> Result<(), DiskError> {
        let parent = parent(name);
        if parent.is_empty() || self.handles.contains_key(parent) {
            return Ok(());
        }
        let path = self.path(parent);
        match fs::create_dir(&path) {
            Ok(()) => {
                let root = self.handle("")?;
                root.sync_all().map_err(|error| disk_error("sync", &self.root, &error))
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(disk_error("create folder", &path, &error)),
        }
    }

    /// The open folder of a name, to sync it.
    pub(super) fn parent_handle(&mut self, name: &str) -> Result<Arc<File>, DiskError> {
        self.handle(parent(name))
    }

    fn handle(&mut self, folder: &str) -> Result<Arc<File>, DiskError> {
        if let Some(handle) = self.handles.get(folder) {
            return Ok(Arc::clone(handle));
        }
        let path = self.root.join(folder);
        let file = File::open(&path).map_err(|error| disk_error("open", &path, &error))?;
        let handle = Arc::new(file);
        self.handles.insert(folder.into(), Arc::clone(&handle));
        Ok(handle)
    }

    /// The flags with which a file is opened, beside those for reading and writing.
    pub(super) const fn open_flags(&self, access: Access) -> i32 {
        match access {
            Access::Direct if self.direct => libc::O_DIRECT | libc::O_CLOEXEC,
            Access::Direct | Access::Cached => libc::O_CLOEXEC,
        }
    }

    /// How the standard library opens a file so.
    pub(super) fn open_options(&self, access: Access) -> OpenOptions {
        let mut options = OpenOptions::new();
        options.read(true).write(access == Access::Direct).custom_flags(self.open_flags(access));
        options
    }

    /// Files of a folder by name, with their lengths; none where the folder is missing.
    pub(super) fn list(&self, folder: &str) -> Result<Vec<(FileName, u64)>, DiskError> {
        let path = if folder.is_empty() { self.root.clone() } else { self.path(folder) };
        let failed = |error| disk_error("list", &path, &error);
        let entries = match fs::read_dir(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(failed)?,
        };
        let mut files = Vec::new();
        for entry in entries {
            let entry = entry.map_err(failed)?;
            let metadata = match entry.metadata() {
                // Removed since the folder was read.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                metadata => metadata.map_err(failed)?,
            };
            // A name that is not text is none of ours.
            let name = entry.file_name();
            if let (true, Some(name)) = (metadata.is_file(), name.to_str()) {
                let slash = if folder.is_empty() { "" } else { "/" };
                files.push((format!("{folder}{slash}{name}").into(), metadata.len()));
            }
        }
        files.sort_unstable();
        Ok(files)
    }
}

/// The folder part of a name.
fn parent(name: &str) -> &str {
    name.rsplit_once('/').map_or("", |(parent, _)| parent)
}

/// What the system said, in the seam's words.
pub(super) fn disk_error(verb: &str, path: &Path, error: &io::Error) -> DiskError {
    let kind = match error.raw_os_error() {
        Some(libc::ENOENT) => DiskErrorKind::NotFound,
        Some(libc::ENOSPC | libc::EDQUOT) => DiskErrorKind::Full,
        Some(libc::EACCES | libc::EPERM | libc::EROFS) => DiskErrorKind::Denied,
        _ => DiskErrorKind::Failed,
    };
    DiskError { kind, message: format!("{verb} {}: {error}", path.display()) }
}

/// A read or write of this many bytes at this offset failed.
pub(super) fn transfer_error(
    verb: &str,
    path: &Path,
    offset: u64,
    bytes: usize,
    error: &io::Error,
) -> DiskError {
    disk_error(&format!("{verb} {bytes} bytes at {offset} of"), path, error)
}

/// Checks a write against the rules of the seam.
pub(super) fn check_write(path: &Path, file_bytes: u64, offset: u64, bytes: usize) {
    assert!(
        offset + bytes as u64 <= file_bytes,
        "a file keeps the length that it was created with: {} has {file_bytes} bytes, not {}",
        path.display(),
        offset + bytes as u64
    );
}

/// Checks a read against the file's length, which never changes.
pub(super) fn check_read(
    path: &Path,
    file_bytes: u64,
    offset: u64,
    bytes: usize,
) -> Result<(), DiskError> {
    if offset + bytes as u64 <= file_bytes {
        return Ok(());
    }
    let error = io::Error::new(
        io::ErrorKind::UnexpectedEof,
        format!("the file has only {file_bytes} bytes"),
    );
    Err(transfer_error("read", path, offset, bytes, &error))
}
