//! Which disk a machine allows, and why not another; and how fast it makes writes durable.

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

use super::fallback::FallbackDisk;
use super::folder::disk_error;
use super::uring::{self, UringDisk};
use super::{Disk, DiskError, DiskErrorKind, DiskKind, Done, Durability, FileName, Op};
use crate::buffer::AlignedBuffer;
use crate::io::Io;

/// Which disk to use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DiskChoice {
    /// `io_uring` where the machine allows it, else the fallback.
    #[default]
    Auto,
    /// `io_uring` or nothing.
    Uring,
    /// The fallback, whatever the machine allows.
    Fallback,
}

/// What was found out about a data folder's disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskReport {
    /// What is used.
    pub kind: DiskKind,
    /// Why `io_uring` can't be used, where that was looked into and is so.
    pub uring_refusal: Option<UringRefusal>,
    /// Whether writes go past the page cache; where not, they are durable all the same, and slower.
    pub direct: bool,
}

impl DiskReport {
    /// What a person should know: one sentence for each thing that is not as it should be.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if let Some(refusal) = &self.uring_refusal {
            warnings.push(format!(
                "io_uring can't be used, so writes go through helper threads and are slower under \
                 load: {refusal}"
            ));
        }
        if !self.direct {
            warnings.push(
                "the file system of the data folder refuses O_DIRECT, so all data goes through the \
                 page cache: put the folder on ext4 or XFS"
                    .into(),
            );
        }
        warnings
    }
}

/// Why `io_uring` can't be used; each says what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UringRefusal {
    /// The kernel does not know it.
    OldKernel {
        /// The kernel's own version.
        release: String,
    },
    /// `kernel.io_uring_disabled` forbids it.
    Sysctl {
        /// The setting's value.
        value: u8,
    },
    /// Something between this process and the kernel forbids it.
    Filtered,
    /// It would take more locked memory than is allowed.
    LockedMemory,
    /// Anything else.
    Other {
        /// What the system said.
        message: String,
    },
}

impl fmt::Display for UringRefusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OldKernel { release } => write!(
                out,
                "the kernel ({release}) does not know it; Linux 5.11 or newer does, if it is built \
                 with it"
            ),
            Self::Sysctl { value } => write!(
                out,
                "the setting kernel.io_uring_disabled is {value}: `sysctl \
                 kernel.io_uring_disabled=0` allows it"
            ),
            Self::Filtered => out.write_str(
                "the kernel allows it, but this process is not permitted to use it; that is the \
                 seccomp profile of a container as a rule: allow io_uring_setup, io_uring_enter \
                 and io_uring_register there",
            ),
            Self::LockedMemory => out.write_str(
                "it needs more locked memory than the process is allowed: raise `ulimit -l`",
            ),
            Self::Other { message } => out.write_str(message),
        }
    }
}

/// Opens the disk of a folder that exists.
///
/// # Errors
///
/// Where the folder can't be used, or not with the disk that was asked for.
pub fn open_disk(
    path: &Path,
    choice: DiskChoice,
) -> Result<(Box<dyn Disk>, DiskReport), DiskError> {
    let direct = supports_direct(path)?;
    let refusal = match choice {
        DiskChoice::Auto | DiskChoice::Uring => uring_refusal(),
        DiskChoice::Fallback => None,
    };
    let disk: Box<dyn Disk> = match (choice, &refusal) {
        (DiskChoice::Auto | DiskChoice::Uring, None) => Box::new(UringDisk::open(path, direct)?),
        (DiskChoice::Auto | DiskChoice::Fallback, _) => Box::new(FallbackDisk::open(path, direct)?),
        (DiskChoice::Uring, Some(refusal)) => {
            return Err(DiskError {
                kind: DiskErrorKind::Denied,
                message: format!("io_uring is asked for and can't be used: {refusal}"),
            });
        }
    };
    let report = DiskReport { kind: disk.kind(), uring_refusal: refusal, direct };
    Ok((disk, report))
}

/// Tries `io_uring`: why it can't be used, or `None` where it can.
#[must_use]
pub fn uring_refusal() -> Option<UringRefusal> {
    let sysctl = || fs::read_to_string("/proc/sys/kernel/io_uring_disabled").ok();
    let release = || fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    uring::try_uring().err().map(|error| explain_refusal(&error, sysctl, release))
}

fn explain_refusal(
    error: &io::Error,
    sysctl: impl FnOnce() -> Option<String>,
    release: impl FnOnce() -> String,
) -> UringRefusal {
    match error.raw_os_error() {
        Some(libc::ENOSYS) => UringRefusal::OldKernel { release: release().trim().into() },
        Some(libc::EPERM | libc::EACCES) => {
            match sysctl().and_then(|text| text.trim().parse().ok()) {
                // 1 forbids it to processes without privileges, 2 to all.
                Some(value) if value > 0 => UringRefusal::Sysctl { value },
                _ => UringRefusal::Filtered,
            }
        }
        Some(libc::ENOMEM) => UringRefusal::LockedMemory,
        _ => UringRefusal::Other { message: error.to_string() },
    }
}

/// Tries to write past the page cache in a folder.
///
/// # Errors
///
/// Where nothing can be written there at all.
pub fn supports_direct(path: &Path) -> Result<bool, DiskError> {
    let probe = path.join(".direct-probe");
    let failed = |error| disk_error("write to", &probe, &error);
    // Made without the flag first, so that what fails then is the flag.
    fs::write(&probe, b"").map_err(failed)?;
    let direct = fs::OpenOptions::new()
        .write(true)
        .custom_flags(libc::O_DIRECT | libc::O_CLOEXEC)
        .open(&probe)
        .and_then(|file| file.write_all_at(&AlignedBuffer::zeroed(4096), 0));
    fs::remove_file(&probe).map_err(failed)?;
    match direct {
        Ok(()) => Ok(true),
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Ok(false),
        Err(error) => Err(failed(error)),
    }
}

/// Free and whole space of the file system that a folder is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Bytes that this process may still use.
    pub free_bytes: u64,
    /// Bytes in all.
    pub bytes: u64,
}

/// Asks for the space of the file system that a folder is on.
///
/// # Errors
///
/// Where the system does not tell.
pub fn space(path: &Path) -> Result<Space, DiskError> {
    let stat = rustix::fs::statvfs(path)
        .map_err(|errno| disk_error("ask for the space of", path, &errno.into()))?;
    Ok(Space { free_bytes: stat.f_bavail * stat.f_frsize, bytes: stat.f_blocks * stat.f_frsize })
}

/// Measures how long durable writes of 4 KiB take, one at a time, as the log does them: into a file
/// that has its space and is filled with zeros.
///
/// # Errors
///
/// Where the disk fails.
pub fn measure_durable_writes(io: &Io, count: usize) -> Result<Vec<Duration>, DiskError> {
    const NAME: &str = "durable-write-probe";
    const FILE_BYTES: u64 = 1 << 20;
    const WRITE_BYTES: usize = 4096;
    io.block_on(async {
        let name = || FileName::from(NAME);
        let created = io.run(Op::Create { name: name(), bytes: FILE_BYTES }).await?;
        let Done::Opened { file, .. } = created else { unreachable!("a create gives a file") };
        let buffer = AlignedBuffer::zeroed(1 << 20);
        io.run(Op::Write { file, offset: 0, buffer, durability: Durability::None }).await?;
        io.run(Op::Sync { file }).await?;
        let mut buffer = AlignedBuffer::zeroed(WRITE_BYTES);
        buffer.fill(0x5a);
        let mut latencies = Vec::with_capacity(count);
        for index in 0..count as u64 {
            let offset = index * WRITE_BYTES as u64 % FILE_BYTES;
            let start = Instant::now();
            let durability = Durability::Durable;
            let written = io.run(Op::Write { file, offset, buffer, durability }).await?;
            latencies.push(start.elapsed());
            let Done::Transferred(back) = written else {
                unreachable!("a write gives its buffer back")
            };
            buffer = back;
        }
        io.run(Op::Close { file }).await?;
        io.run(Op::Remove { name: name() }).await?;
        Ok(latencies)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_folder::TestFolder;

    #[test]
    fn each_choice_gives_its_disk() {
        let folder = TestFolder::new("probe-choice");
        let refusal = uring_refusal();
        for (choice, kind) in [
            (DiskChoice::Auto, None),
            (DiskChoice::Fallback, Some(DiskKind::Fallback)),
            (DiskChoice::Uring, Some(DiskKind::Uring)),
        ] {
            match open_disk(folder.path(), choice) {
                Ok((disk, report)) => {
                    assert_eq!(disk.kind(), report.kind);
                    assert_eq!(kind.unwrap_or(report.kind), report.kind);
                    let warns = report.warnings().iter().any(|text| text.contains("io_uring"));
                    assert_eq!(warns, report.uring_refusal.is_some());
                }
                Err(error) => {
                    assert_eq!(choice, DiskChoice::Uring);
                    assert!(refusal.is_some(), "{error}");
                }
            }
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "the probe leaves nothing");
    }

    #[test]
    fn a_missing_folder_is_not_found() {
        let folder = TestFolder::new("probe-missing");
        let path = folder.path().join("not-there");
        let error = open_disk(&path, DiskChoice::Auto).err().unwrap();
        assert_eq!(error.kind, DiskErrorKind::NotFound);
    }

    #[test]
    fn refusals_are_told_apart() {
        let check = |errno, sysctl: Option<&str>, expected: UringRefusal, part: &str| {
            let error = io::Error::from_raw_os_error(errno);
            let sysctl = || sysctl.map(str::to_owned);
            let refusal = explain_refusal(&error, sysctl, || "4.19.0\n".into());
            assert_eq!(refusal, expected);
            assert!(refusal.to_string().contains(part), "{refusal}");
        };
        let old = UringRefusal::OldKernel { release: "4.19.0".into() };
        check(libc::ENOSYS, None, old, "the kernel (4.19.0) does not know it");
        let sysctl = |value| UringRefusal::Sysctl { value };
        check(libc::EPERM, Some("2\n"), sysctl(2), "kernel.io_uring_disabled is 2");
        check(libc::EPERM, Some("1\n"), sysctl(1), "kernel.io_uring_disabled=0");
        check(libc::EPERM, Some("0\n"), UringRefusal::Filtered, "seccomp");
        check(libc::EPERM, None, UringRefusal::Filtered, "seccomp");
        check(libc::ENOMEM, None, UringRefusal::LockedMemory, "ulimit -l");
        let message = io::Error::from_raw_os_error(libc::EMFILE).to_string();
        check(libc::EMFILE, None, UringRefusal::Other { message }, "open files");
    }

    #[test]
    fn warnings_say_what_is_slow() {
        let uring_refusal = Some(UringRefusal::Filtered);
        let report = DiskReport { kind: DiskKind::Fallback, uring_refusal, direct: false };
        let warnings = report.warnings();
        assert_eq!(warnings.len(), 2);
        assert!(warnings[0].contains("seccomp"));
        assert!(warnings[1].contains("O_DIRECT"));
        let report = DiskReport { kind: DiskKind::Uring, uring_refusal: None, direct: true };
        assert_eq!(report.warnings(), Vec::<String>::new());
    }

    #[test]
    fn durable_writes_are_measured_and_leave_nothing() {
        let folder = TestFolder::new("probe-measure");
        let (disk, _) = open_disk(folder.path(), DiskChoice::Auto).unwrap();
        assert_eq!(measure_durable_writes(&Io::new(disk), 3).unwrap().len(), 3);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_file_system_has_space() {
        let folder = TestFolder::new("probe-space");
        let space = space(folder.path()).unwrap();
        assert!(0 < space.free_bytes && space.free_bytes <= space.bytes);
        let error = super::space(Path::new("/not-there")).unwrap_err();
        assert_eq!(error.kind, DiskErrorKind::NotFound);
    }
}
