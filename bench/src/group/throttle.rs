//! Makes one process's disk slow, by the kernel's own means: a control group that lets so many
//! operations a second through. Needs the right to make one, which root has.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Where control groups of version 1 limit a device, and where those of version 2 do.
const HIERARCHIES: [(&str, Version); 3] = [
    ("/sys/fs/cgroup/blkio", Version::One),
    ("/sys/fs/cgroup", Version::Two),
    ("/sys/fs/cgroup/unified", Version::Two),
];

/// How a limit is written down.
#[derive(Clone, Copy)]
enum Version {
    One,
    Two,
}

impl Version {
    const fn file(self) -> &'static str {
        match self {
            Self::One => "blkio.throttle.write_iops_device",
            Self::Two => "io.max",
        }
    }

    fn limit(self, device: &str, writes_per_s: u32) -> String {
        match self {
            Self::One => format!("{device} {writes_per_s}"),
            Self::Two => format!("{device} wiops={writes_per_s}"),
        }
    }
}

/// A limit on one process; it ends with this.
pub(super) struct Throttle {
    hierarchy: &'static str,
    folder: PathBuf,
    process: u32,
}

impl Throttle {
    /// Lets a process write so many times a second.
    ///
    /// - `data`: a folder on the disk that is meant
    ///
    /// # Errors
    ///
    /// Where the kernel, or this user's rights, have no such thing.
    pub(super) fn put(process: u32, data: &Path, writes_per_s: u32) -> io::Result<Self> {
        let device = device_of(data)?;
        let mut refused = io::Error::from(io::ErrorKind::Unsupported);
        for (hierarchy, version) in HIERARCHIES {
            let folder = Path::new(hierarchy).join(format!("quorate-bench-{process}"));
            if let Err(error) = fs::create_dir(&folder) {
                refused = error;
                continue;
            }
            let throttle = Self { hierarchy, folder, process };
            let limit = version.limit(&device, writes_per_s);
            match throttle.write(version.file(), &limit).and_then(|()| throttle.take(process)) {
                Ok(()) => return Ok(throttle),
                Err(error) => refused = error,
            }
        }
        Err(refused)
    }

    fn write(&self, file: &str, text: &str) -> io::Result<()> {
        // Not created: in a control group of another kind there is no such file.
        let mut options = fs::OpenOptions::new();
        io::Write::write_all(
            &mut options.write(true).open(self.folder.join(file))?,
            text.as_bytes(),
        )
    }

    fn take(&self, process: u32) -> io::Result<()> {
        self.write("cgroup.procs", &process.to_string())
    }
}

impl Drop for Throttle {
    fn drop(&mut self) {
        // A process that has ended is in no group any more.
        let root = Path::new(self.hierarchy).join("cgroup.procs");
        let _moved = fs::write(root, self.process.to_string());
        if let Err(error) = fs::remove_dir(&self.folder) {
            eprintln!("{} is left behind: {error}", self.folder.display());
        }
    }
}

/// The disk that a folder is on, as `major:minor`; of a partition, the disk that it is on.
fn device_of(folder: &Path) -> io::Result<String> {
    let number = fs::metadata(folder)?.dev();
    let device = format!("{}:{}", rustix::fs::major(number), rustix::fs::minor(number));
    let entry = PathBuf::from(format!("/sys/dev/block/{device}"));
    if !entry.join("partition").exists() {
        return Ok(device);
    }
    let disk = fs::read_to_string(fs::canonicalize(entry)?.join("../dev"))?;
    Ok(disk.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_written_as_the_kernel_reads_them() {
        assert_eq!(Version::One.limit("254:0", 50), "254:0 50");
        assert_eq!(Version::Two.limit("254:0", 50), "254:0 wiops=50");
    }

    #[test]
    fn a_missing_folder_has_no_device() {
        assert!(device_of(Path::new("no/such/folder")).is_err());
    }
}
