//! Checks of the disk: how a node would write to it, and how fast that is durable.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use quorate_storage::disk::probe::{
    DiskChoice, measure_durable_writes, open_disk, supports_direct, uring_refusal,
};
use quorate_storage::io::Io;

use super::Check;
use crate::cli::output::tell;

/// Enough for a median and a tail, and over in a moment.
const WRITES: usize = 300;
/// Above this, an append takes longer than most networks do.
const MEDIAN_WARN: Duration = Duration::from_millis(2);
/// Below this, no disk known can have done it: something answers before the bytes are safe.
const MEDIAN_INCREDIBLE: Duration = Duration::from_micros(3);

/// All of them, in a folder that exists.
pub(super) fn checks(folder: &Path) -> Vec<Check> {
    let own = match OwnFolder::make(folder) {
        Ok(own) => own,
        Err(error) => {
            let mend = "choose a folder that this user can write to, with --data";
            let found = format!("can't write in {}: {error}", folder.display());
            return vec![io_uring(), Check::fail("durable_write", found, mend)];
        }
    };
    vec![io_uring(), direct_io(&own.0), durable_write(&own.0)]
}

fn io_uring() -> Check {
    match uring_refusal() {
        None => Check::ok("io_uring", "the kernel allows it"),
        Some(refusal) => Check::warn(
            "io_uring",
            "refused, so that a node would use helper threads, which are slower under load",
            &refusal.to_string(),
        ),
    }
}

fn direct_io(folder: &Path) -> Check {
    match supports_direct(folder) {
        Ok(true) => Check::ok("direct_io", "the file system takes O_DIRECT"),
        Ok(false) => Check::warn(
            "direct_io",
            "the file system refuses O_DIRECT, so that writes go through the page cache",
            "put the data folder on ext4 or XFS",
        ),
        Err(error) => Check::fail("direct_io", error.to_string(), "look at the disk"),
    }
}

fn durable_write(folder: &Path) -> Check {
    let measured = open_disk(folder, DiskChoice::Auto)
        .and_then(|(disk, _)| measure_durable_writes(&Io::new(disk), WRITES));
    match measured {
        Ok(mut latencies) => {
            latencies.sort_unstable();
            judge_durable_write(latencies[WRITES / 2], latencies[WRITES * 99 / 100])
        }
        Err(error) => Check::fail("durable_write", error.to_string(), "look at the disk"),
    }
}

fn judge_durable_write(median: Duration, p99: Duration) -> Check {
    let microseconds = |time: Duration| time.as_micros();
    let found =
        format!("4 KiB in {} us (p50), {} us (p99)", microseconds(median), microseconds(p99));
    if median < MEDIAN_INCREDIBLE {
        let found = format!("{found}: too fast to be on stable storage (is it a RAM disk?)");
        return Check::warn("durable_write", found, "put the data folder on a real disk");
    }
    if median > MEDIAN_WARN {
        let found = format!("{found}: each append waits for that");
        return Check::warn(
            "durable_write",
            found,
            "use a local NVMe disk or faster cloud storage",
        );
    }
    Check::ok("durable_write", found)
}

/// A folder for the checks' own files, removed at the end.
struct OwnFolder(PathBuf);

impl OwnFolder {
    fn make(above: &Path) -> std::io::Result<Self> {
        let path = above.join(format!(".quorate-doctor-{}", std::process::id()));
        fs::create_dir(&path)?;
        Ok(Self(path))
    }
}

impl Drop for OwnFolder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tell(format_args!("can't remove {}: {error}", self.0.display()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn durable_writes() {
        let check = |median, verdict: Verdict| {
            let check = judge_durable_write(Duration::from_micros(median), Duration::from_secs(1));
            assert_eq!(check.verdict, verdict, "{median}");
        };
        check(2, Verdict::Warn);
        check(3, Verdict::Ok);
        check(2000, Verdict::Ok);
        check(2001, Verdict::Warn);
    }
}
