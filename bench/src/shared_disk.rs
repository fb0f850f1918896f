//! What a durable write costs where three nodes share one disk: the second of three that begin at
//! the same moment.
//!
//! A commit needs two of three disks. Where those are one, as on a machine that runs a whole group to
//! measure it, the device has three writes and their flushes at once, and a flush that finds another
//! one under way waits for it. That is a property of the machine, not of the store, and a group with
//! a disk for each node does not have it: it is measured as barely as the rest of the floor, and shown
//! beside it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Barrier, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::floor::{WRITE_BYTES, WRITES, filled_file, median_us};

/// Nodes of a group.
const NODES: usize = 3;
/// A commit needs so many of them.
const QUORUM: usize = 2;
/// Between two rounds, so that the kernel's workers have gone to sleep as between two appends.
const PAUSE: Duration = Duration::from_micros(300);

/// The median time until two of three durable 4 KiB writes, begun at once, have ended; in µs.
///
/// - `data`: a folder on the disk that is meant
#[allow(clippy::disallowed_methods, reason = "the pause between two rounds is part of the measure")]
pub(crate) fn second_of_three_us(data: &Path) -> io::Result<f64> {
    let files: Vec<File> =
        (0..NODES).map(|node| filled_file(data, &node.to_string())).collect::<io::Result<_>>()?;
    let (begin, end) = (Barrier::new(NODES + 1), Barrier::new(NODES + 1));
    let ended = Mutex::new(Vec::new());
    let mut times = Vec::with_capacity(WRITES);
    std::thread::scope(|scope| {
        let writers: Vec<_> = files
            .iter()
            .map(|file| scope.spawn(|| write_in_rounds(file, &begin, &end, &ended)))
            .collect();
        for _ in 0..WRITES {
            std::thread::sleep(PAUSE);
            let start = Instant::now();
            begin.wait();
            end.wait();
            let mut ended = std::mem::take(&mut *lock(&ended));
            ended.sort_unstable();
            // A writer that has failed keeps the rounds, and reports it at the end.
            times.extend(ended.get(QUORUM - 1).map(|second| second.duration_since(start)));
        }
        writers.into_iter().try_for_each(|writer| writer.join().expect("a writer does not panic"))
    })?;
    Ok(median_us(&mut times))
}

/// Writes once in each round, and says when that was durable.
fn write_in_rounds(
    file: &File,
    begin: &Barrier,
    end: &Barrier,
    ended: &Mutex<Vec<Instant>>,
) -> io::Result<()> {
    let mut buffer = quorate_storage::buffer::AlignedBuffer::zeroed(WRITE_BYTES);
    buffer.fill(7);
    let mut result = Ok(());
    for index in 0..WRITES {
        begin.wait();
        let written = file.write_all_at(&buffer, (index * WRITE_BYTES) as u64);
        lock(ended).push(Instant::now());
        result = result.and(written);
        end.wait();
    }
    result
}

fn lock(ended: &Mutex<Vec<Instant>>) -> std::sync::MutexGuard<'_, Vec<Instant>> {
    ended.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_folder_is_an_error() {
        assert!(second_of_three_us(Path::new("no/such/folder")).is_err());
    }
}
