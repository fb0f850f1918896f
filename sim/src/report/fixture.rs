//! A made-up run, to try the report on: three nodes in three zones, two clients, and what befalls
//! them. It has the form of a real one and is always the same.
//!
//! The report's tests must know which acks a commit had, whatever the protocol becomes; so they
//! don't look at a run of the real one.

mod account;
mod group;

use std::fs;
use std::io;
use std::path::Path;

/// What a made-up run is like.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Of all clients together.
    pub calls_per_second: u64,
    /// Whether a promise is broken in it.
    pub failing: bool,
}

impl Shape {
    /// A run as people make it: some hundred thousand events.
    pub const USUAL: Self = Self { calls_per_second: 80, failing: false };
    /// More than a million events.
    pub const LARGE: Self = Self { calls_per_second: 980, failing: false };
}

/// Writes `summary.json` and `trace.jsonl` into a folder.
///
/// - returns how many events the trace has
///
/// # Errors
///
/// Where the folder can't be written to.
pub fn write(folder: &Path, shape: Shape) -> io::Result<usize> {
    let run = group::run(shape);
    fs::create_dir_all(folder)?;
    fs::write(folder.join("summary.json"), format!("{:#}\n", account::summary(&run, shape)))?;
    let mut trace = account::header().to_string();
    for (_, line) in &run.lines {
        trace.push('\n');
        trace.push_str(line);
    }
    trace.push('\n');
    fs::write(folder.join("trace.jsonl"), trace)?;
    Ok(run.lines.len())
}
