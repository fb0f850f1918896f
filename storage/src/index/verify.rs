//! Reads an index from end to end, changing nothing: is it what was written, and which streams
//! have events in a part of the log that is not?

use std::ops::Range;
use std::rc::Rc;

use quorate_core::id::{Position, Revision};

use super::IndexConfig;
use super::fault::{Damage, Flaw, IndexError};
use super::key::StreamKey;
use super::manifest::Manifest;
use super::run::cursor::RunCursor;
use super::run::{Extent, Owner, Run};
use crate::io::Io;

/// Streams come in the order of their blocks, so a few blocks serve all of them.
const CHECK_CACHE_BYTES: usize = 16 << 12;

/// What [`verify`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IndexReport {
    /// Runs that the manifest names.
    pub runs: usize,
    /// Entries in all directories; a stream that is in several runs counts several times.
    pub streams: u64,
    /// Events that the runs point to.
    pub events: u64,
    /// Events before this are in runs.
    pub covered: Position,
    /// What is not as it was written. All of it can be rebuilt from the log.
    pub damage: Vec<Damage>,
}

/// Checks the manifest and every block of every run, and that they agree with each other.
///
/// # Errors
///
/// [`IndexError::Disk`] where the disk fails.
pub async fn verify(io: &Io, config: &IndexConfig) -> Result<IndexReport, IndexError> {
    let owner = Owner { log: config.log, hasher: config.hasher.fingerprint() };
    let mut report = IndexReport::default();
    let Some(manifest) = report.unless_damaged(Manifest::load(io, &owner).await)? else {
        return Ok(report);
    };
    for info in manifest.runs {
        report.runs += 1;
        report.streams += info.streams;
        report.events += info.events;
        report.covered = info.to;
        let Some(run) = report.unless_damaged(Run::open(io, &owner, info).await)? else { continue };
        let run = Rc::new(run);
        let found_before = report.damage.len();
        for place in 0..run.blocks() {
            report.unless_damaged(run.read_blocks(place, 1).await)?;
        }
        if report.damage.len() == found_before {
            report.unless_damaged(check_streams(&run).await)?;
        }
        run.close().await?;
    }
    Ok(report)
}

impl IndexReport {
    fn unless_damaged<T>(
        &mut self,
        result: Result<T, IndexError>,
    ) -> Result<Option<T>, IndexError> {
        match result {
            Ok(done) => Ok(Some(done)),
            Err(IndexError::Damaged(damage)) => {
                self.damage.push(damage);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

/// Whether each stream of the directory can be found, and its positions are in order.
async fn check_streams(run: &Rc<Run>) -> Result<(), IndexError> {
    let cache = super::BlockCache::new(CHECK_CACHE_BYTES);
    let mut cursor = RunCursor::new(Rc::clone(run));
    while let Some(extent) = cursor.next().await? {
        if run.find(&cache, extent.key).await? != Some(extent) {
            return Err(run.damage(0, Flaw::Contradiction).into());
        }
        let mut last = None;
        for _ in 0..extent.count {
            let position = cursor.position().await?;
            if last >= Some(position) {
                return Err(run.damage(0, Flaw::Contradiction).into());
            }
            last = Some(position);
        }
    }
    Ok(())
}

/// Successive events of one stream that lie in a part of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pointer {
    /// The stream; its name stands in each of its events.
    pub key: StreamKey,
    /// The first revision that lies there.
    pub first: Revision,
    /// The last revision that lies there.
    pub last: Revision,
    /// An event of the stream outside that part, to learn the stream's name from.
    pub elsewhere: Option<Position>,
}

/// What [`pointers_into`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PointersInto {
    /// One for each stream and run.
    pub pointers: Vec<Pointer>,
    /// Whether there are more than were asked for.
    pub is_cut: bool,
}

/// Which streams have events in a part of the log, as far as runs know.
///
/// - `part`: from the first position to the one behind the last
/// - `count_max`: how many to return at the most
///
/// # Errors
///
/// [`IndexError`] where the disk fails or the index itself is damaged.
pub async fn pointers_into(
    io: &Io,
    config: &IndexConfig,
    part: Range<Position>,
    count_max: usize,
) -> Result<PointersInto, IndexError> {
    let owner = Owner { log: config.log, hasher: config.hasher.fingerprint() };
    let mut found = PointersInto::default();
    for info in Manifest::load(io, &owner).await?.runs {
        if info.from < part.end && info.to > part.start && !found.is_cut {
            let run = Rc::new(Run::open(io, &owner, info).await?);
            let collected = collect(&run, &part, count_max, &mut found).await;
            run.close().await?;
            collected?;
        }
    }
    Ok(found)
}

async fn collect(
    run: &Rc<Run>,
    part: &Range<Position>,
    count_max: usize,
    found: &mut PointersInto,
) -> Result<(), IndexError> {
    let mut cursor = RunCursor::new(Rc::clone(run));
    while let Some(extent) = cursor.next().await? {
        let Some(pointer) = pointer(&mut cursor, extent, part).await? else { continue };
        if found.pointers.len() == count_max {
            found.is_cut = true;
            break;
        }
        found.pointers.push(pointer);
    }
    Ok(())
}

async fn pointer(
    cursor: &mut RunCursor,
    extent: Extent,
    part: &Range<Position>,
) -> Result<Option<Pointer>, IndexError> {
    let mut inside: Option<(u64, u64)> = None;
    let mut elsewhere = None;
    for index in 0..extent.count {
        let position = cursor.position().await?;
        if part.contains(&position) {
            inside = Some((inside.map_or(index, |(first, _)| first), index));
        } else {
            elsewhere = Some(position);
        }
    }
    Ok(inside.map(|(first, last)| Pointer {
        key: extent.key,
        first: extent.first.plus(first),
        last: extent.first.plus(last),
        elsewhere,
    }))
}
