//! Makes runs: of a memtable, and one of several neighbours, so that lookups have few to look at.
//!
//! Merges are tiered. A run's tier is the power of [`FAN_IN`] by which it is larger than a
//! memtable; [`FAN_IN`] neighbours up to some tier become one of about the next. Each event is
//! thus rewritten once for each tier, and the number of runs is logarithmic.

use std::ops::Range;
use std::rc::Rc;

use quorate_core::id::Position;

use super::fault::{Flaw, IndexError};
use super::memtable::Memtable;
use super::run::cursor::RunCursor;
use super::run::writer::RunWriter;
use super::run::{Extent, Owner, Run, RunInfo};
use crate::io::Io;

/// So many neighbours are worth a merge.
pub(super) const FAN_IN: usize = 4;
/// So many are merged at once at the most: each takes some 64 KiB of memory.
const INPUTS_MAX: usize = 8;

/// Writes a memtable as a run.
pub(super) async fn flush(
    io: Io,
    owner: Owner,
    number: u64,
    table: Rc<Memtable>,
) -> Result<Run, IndexError> {
    let info = RunInfo {
        number,
        from: table.from,
        to: table.to,
        streams: table.streams.len() as u64,
        events: table.events,
    };
    let mut writer = RunWriter::create(&io, &owner, info).await?;
    let filled = fill(&mut writer, &table).await;
    writer.finish(filled).await
}

async fn fill(writer: &mut RunWriter, table: &Memtable) -> Result<(), IndexError> {
    for (key, tail) in &table.streams {
        writer.stream(*key, tail.first, tail.positions.len() as u64).await?;
        writer.positions(&tail.positions).await?;
    }
    Ok(())
}

/// Which runs to merge next, if any are worth it.
///
/// - `runs`: oldest first
/// - `memtable_events`: how many events a fresh run has
/// - `is_sound`: whether a run can be read
pub(super) fn choose(
    runs: &[Rc<Run>],
    memtable_events: u64,
    is_sound: impl Fn(&Run) -> bool,
) -> Option<Range<usize>> {
    let tiers: Vec<Option<u32>> =
        runs.iter().map(|run| is_sound(run).then(|| tier(run, memtable_events))).collect();
    let highest = tiers.iter().flatten().max().copied()?;
    (0..=highest).find_map(|most| stretch(&tiers, most))
}

/// The newest neighbours that are all at or below a tier.
fn stretch(tiers: &[Option<u32>], most: u32) -> Option<Range<usize>> {
    let mut end = tiers.len();
    while end > 0 {
        let fits = |tier: &&Option<u32>| tier.is_some_and(|tier| tier <= most);
        let count = tiers[..end].iter().rev().take_while(fits).count();
        if count >= FAN_IN {
            let start = end - count;
            return Some(start..start + count.min(INPUTS_MAX));
        }
        end -= count.max(1);
    }
    None
}

fn tier(run: &Run, memtable_events: u64) -> u32 {
    (run.info().events / memtable_events).max(1).ilog(FAN_IN as u64)
}

/// Writes one run with all that the inputs hold.
///
/// - `inputs`: neighbours, oldest first
pub(super) async fn merge(
    io: Io,
    owner: Owner,
    number: u64,
    inputs: Vec<Rc<Run>>,
) -> Result<Run, IndexError> {
    let (first, last) = (inputs[0].info(), inputs[inputs.len() - 1].info());
    let info = RunInfo {
        number,
        from: first.from,
        to: last.to,
        streams: count_streams(&inputs).await?,
        events: inputs.iter().map(|run| run.info().events).sum(),
    };
    let mut writer = RunWriter::create(&io, &owner, info).await?;
    let merged = combine(&mut writer, &inputs).await;
    writer.finish(merged).await
}

/// How many streams the inputs have together: it decides where the sections are.
async fn count_streams(inputs: &[Rc<Run>]) -> Result<u64, IndexError> {
    let mut inputs = Inputs::open(inputs).await?;
    let mut streams = 0;
    while let Some(parts) = inputs.next().await? {
        drop(parts);
        streams += 1;
    }
    Ok(streams)
}

async fn combine(writer: &mut RunWriter, runs: &[Rc<Run>]) -> Result<(), IndexError> {
    let mut inputs = Inputs::open(runs).await?;
    let mut positions: Vec<Position> = Vec::with_capacity(POSITIONS_AT_ONCE);
    while let Some(parts) = inputs.next().await? {
        let count = parts.iter().map(|(_, part)| part.count).sum();
        writer.stream(parts[0].1.key, parts[0].1.first, count).await?;
        for (input, part) in parts {
            for taken in 0..part.count {
                positions.push(inputs.cursors[input].position().await?);
                if positions.len() == POSITIONS_AT_ONCE || taken + 1 == part.count {
                    writer.positions(&positions).await?;
                    positions.clear();
                }
            }
        }
    }
    Ok(())
}

const POSITIONS_AT_ONCE: usize = 512;

/// Cursors over neighbours, each with the stream that it is at.
struct Inputs {
    runs: Vec<Rc<Run>>,
    cursors: Vec<RunCursor>,
    heads: Vec<Option<Extent>>,
}

impl Inputs {
    async fn open(runs: &[Rc<Run>]) -> Result<Self, IndexError> {
        let mut cursors: Vec<RunCursor> =
            runs.iter().map(|run| RunCursor::new(Rc::clone(run))).collect();
        let mut heads = Vec::with_capacity(cursors.len());
        for cursor in &mut cursors {
            heads.push(cursor.next().await?);
        }
        Ok(Self { runs: runs.to_vec(), cursors, heads })
    }

    /// The parts of the next stream, each with the input that it is in, oldest first.
    async fn next(&mut self) -> Result<Option<Vec<(usize, Extent)>>, IndexError> {
        let Some(key) = self.heads.iter().flatten().map(|head| head.key).min() else {
            return Ok(None);
        };
        let mut parts: Vec<(usize, Extent)> = Vec::new();
        for input in 0..self.heads.len() {
            let Some(head) = self.heads[input].filter(|head| head.key == key) else { continue };
            if parts.last().is_some_and(|(_, part)| part.first.plus(part.count) != head.first) {
                return Err(self.runs[input].damage(0, Flaw::Contradiction).into());
            }
            parts.push((input, head));
        }
        for (input, _) in &parts {
            self.heads[*input] = self.cursors[*input].next().await?;
        }
        Ok(Some(parts))
    }
}
