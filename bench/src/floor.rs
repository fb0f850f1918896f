//! What this machine can do at best: the time below which no append can come.
//!
//! An acknowledged append needs at least one round trip between two processes and one durable
//! write, one behind the other. Both are measured as barely as possible: blocking system calls, one
//! at a time, without encryption, checksums or an event loop. Every result of an append is printed
//! beside it.
//!
//! The two processes are held on two processors. Left alone, the kernel now and then puts both on
//! one, where a datagram is handed over without waking anybody up: 14 µs instead of 60, from run to
//! run, and no client on a processor of its own can have that.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read};
use std::net::{Ipv4Addr, UdpSocket};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use quorate_storage::buffer::AlignedBuffer;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use serde::Serialize;

use crate::shared_disk;

const ROUND_TRIPS: usize = 5_000;
/// An append of 256 bytes, with its frame.
const DATAGRAM_BYTES: usize = 384;
pub(crate) const WRITES: usize = 1_000;
pub(crate) const WRITE_BYTES: usize = 4096;
/// A lost datagram is not answered at all.
const ANSWER_MAX: Duration = Duration::from_secs(1);

/// Medians of one measurement.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Floor {
    /// A datagram to another process and back.
    pub(crate) udp_rtt_us: f64,
    /// 4 KiB on stable storage, in a file whose space is already written.
    pub(crate) durable_write_us: f64,
    /// Two of three such writes at once, where three nodes share the disk.
    pub(crate) second_of_three_us: f64,
}

impl Floor {
    /// Measures both.
    ///
    /// - `data`: a folder on the disk that is meant
    pub(crate) fn measure(data: &Path) -> io::Result<Self> {
        Ok(Self {
            udp_rtt_us: round_trip()?,
            durable_write_us: durable_write(data)?,
            second_of_three_us: shared_disk::second_of_three_us(data)?,
        })
    }

    /// Below this no single append at a node alone can come.
    pub(crate) fn sum_us(&self) -> f64 {
        self.udp_rtt_us + self.durable_write_us
    }

    /// Below this no single append at a group can come: the client's round trip, the leader's to
    /// the nearer follower, and one write, for leader and follower write at the same time.
    pub(crate) fn group_us(&self) -> f64 {
        2.0 * self.udp_rtt_us + self.durable_write_us
    }

    /// The same where the three nodes share one disk, as they do on one machine.
    pub(crate) fn shared_group_us(&self) -> f64 {
        2.0 * self.udp_rtt_us + self.second_of_three_us
    }

    /// The middle of what was measured before and after something.
    pub(crate) fn mean(self, other: Self) -> Self {
        Self {
            udp_rtt_us: f64::midpoint(self.udp_rtt_us, other.udp_rtt_us),
            durable_write_us: f64::midpoint(self.durable_write_us, other.durable_write_us),
            second_of_three_us: f64::midpoint(self.second_of_three_us, other.second_of_three_us),
        }
    }
}

fn round_trip() -> io::Result<f64> {
    let mut echo = Command::new(std::env::current_exe()?)
        .arg("echo")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let stdout = echo.stdout.take().expect("it is piped");
    let everywhere = sched_getaffinity(None)?;
    let measured = stay_on(allowed(&everywhere).next())
        .and_then(|()| measure_round_trip(&mut BufReader::new(stdout)));
    sched_setaffinity(None, &everywhere)?;
    // The child ends by itself when its standard input does.
    drop(echo.stdin.take());
    echo.wait()?;
    measured
}

fn measure_round_trip(stdout: &mut impl BufRead) -> io::Result<f64> {
    let mut line = String::new();
    stdout.read_line(&mut line)?;
    let port: u16 = line.trim().parse().map_err(io::Error::other)?;
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.connect((Ipv4Addr::LOCALHOST, port))?;
    socket.set_read_timeout(Some(ANSWER_MAX))?;
    let mut bytes = [7; DATAGRAM_BYTES];
    let mut times = Vec::with_capacity(ROUND_TRIPS);
    for _ in 0..ROUND_TRIPS {
        let start = Instant::now();
        socket.send(&bytes)?;
        socket.recv(&mut bytes)?;
        times.push(start.elapsed());
    }
    Ok(median_us(&mut times))
}

/// The processors of a set, in order.
fn allowed(set: &CpuSet) -> impl DoubleEndedIterator<Item = usize> + '_ {
    (0..CpuSet::MAX_CPU).filter(|processor| set.is_set(*processor))
}

/// Holds this thread, and those that it starts, on one processor.
fn stay_on(processor: Option<usize>) -> io::Result<()> {
    let mut only = CpuSet::new();
    only.set(processor.expect("a thread that runs may run somewhere"));
    Ok(sched_setaffinity(None, &only)?)
}

/// The other process: sends every datagram back, until its standard input ends.
pub(crate) fn echo() -> io::Result<()> {
    stay_on(allowed(&sched_getaffinity(None)?).next_back())?;
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    println!("{}", socket.local_addr()?.port());
    std::thread::spawn(move || {
        let mut bytes = [0; DATAGRAM_BYTES];
        while let Ok((count, from)) = socket.recv_from(&mut bytes) {
            // Whoever does not hear the answer sees that by itself.
            let _sent = socket.send_to(&bytes[..count], from);
        }
    });
    let mut rest = Vec::new();
    io::stdin().read_to_end(&mut rest)?;
    Ok(())
}

/// The log's own way of writing: direct, durable when it returns, into space that is filled.
fn durable_write(data: &Path) -> io::Result<f64> {
    let file = filled_file(data, "alone")?;
    let mut buffer = AlignedBuffer::zeroed(WRITE_BYTES);
    buffer.fill(7);
    let mut times = Vec::with_capacity(WRITES);
    for index in 0..WRITES {
        let start = Instant::now();
        file.write_all_at(&buffer, (index * WRITE_BYTES) as u64)?;
        times.push(start.elapsed());
    }
    Ok(median_us(&mut times))
}

/// A file with room for all writes, which are durable when they return. It has no name any more, so
/// that nothing is left of it whatever happens.
pub(crate) fn filled_file(data: &Path, name: &str) -> io::Result<File> {
    let path = data.join(format!("floor-{}-{name}.tmp", std::process::id()));
    let filled = OpenOptions::new().create_new(true).write(true).open(&path)?;
    let flags = libc::O_DIRECT | libc::O_DSYNC;
    let file = OpenOptions::new().write(true).custom_flags(flags).open(&path);
    std::fs::remove_file(&path)?;
    filled.write_all_at(&vec![0; WRITES * WRITE_BYTES], 0)?;
    filled.sync_all()?;
    file
}

pub(crate) fn median_us(times: &mut [Duration]) -> f64 {
    times.sort_unstable();
    let nanos = times[times.len() / 2].as_nanos() as f64;
    (nanos / 100.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_in_microseconds() {
        let mut times = [9, 1, 5].map(Duration::from_millis);
        assert_eq!(median_us(&mut times), 5000.0);
        assert_eq!(median_us(&mut [Duration::from_nanos(1_260)]), 1.3);
    }

    #[test]
    fn a_group_waits_for_two_round_trips_and_one_write() {
        let before = Floor { udp_rtt_us: 60.0, durable_write_us: 100.0, second_of_three_us: 200.0 };
        let after = Floor { udp_rtt_us: 80.0, durable_write_us: 140.0, second_of_three_us: 240.0 };
        assert_eq!((before.sum_us(), before.group_us()), (160.0, 220.0));
        assert_eq!(before.mean(after).group_us(), 260.0);
        assert_eq!(before.mean(after).shared_group_us(), 360.0);
    }

    #[test]
    fn the_first_and_the_last_processor_are_those_of_the_set() {
        let mut set = CpuSet::new();
        set.set(3);
        set.set(70);
        assert_eq!((allowed(&set).next(), allowed(&set).next_back()), (Some(3), Some(70)));
    }

    #[test]
    fn a_missing_folder_is_an_error() {
        assert!(durable_write(Path::new("no/such/folder")).is_err());
    }
}
