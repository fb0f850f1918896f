//! What the kernel says of this process.

use std::fs;

use quorate_net::environment;

/// Bytes of memory that the process holds, from `/proc/self/statm`; `None` off Linux, and in a
/// simulation, where many nodes share a process.
#[must_use]
pub fn resident_bytes() -> Option<u64> {
    if environment::is_simulated() {
        return None;
    }
    let text = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = text.split_whitespace().nth(1)?.parse().ok()?;
    pages.checked_mul(4096)
}

/// Seconds of CPU that the process has used, from `/proc/self/stat`; `None` off Linux.
#[must_use]
pub fn cpu_seconds() -> Option<f64> {
    let text = fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is the program's name in parentheses and may hold anything.
    let mut fields = text.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    const TICKS_PER_SECOND: f64 = 100.0; // USER_HZ, part of Linux's ABI.
    Some((user + system) / TICKS_PER_SECOND)
}
