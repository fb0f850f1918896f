//! Rebuilds a damaged run from the log while all others are in use.

use std::rc::Rc;

use super::fault::{Flaw, IndexError};
use super::memtable::Memtable;
use super::run::writer::remove_if_there;
use super::run::{Run, RunInfo};
use super::{Shared, merge};
use crate::log::{self, LogReader};

/// How many runs the rebuilt one may become: each but the last has as many events as a memtable.
pub(super) fn pieces_max(info: &RunInfo, memtable_events_max: u64) -> u64 {
    info.events / memtable_events_max + 1
}

/// Reads the part of the log again that the run covers, and writes it as runs of one memtable
/// each. They take the damaged one's place together.
///
/// - `first_number`: of the first of them; as many as [`pieces_max`] are free
///
/// # Errors
///
/// [`IndexError::Damaged`] where the log can't say what was in the run.
pub(super) async fn rebuild(
    shared: Rc<Shared>,
    log: LogReader,
    damaged: Rc<Run>,
    memtable_events_max: u64,
    first_number: u64,
) -> Result<Vec<Run>, IndexError> {
    let mut runs = Vec::new();
    let mut pieces = Pieces { shared, memtable_events_max, next_number: first_number };
    match pieces.write(&log, &damaged, &mut runs).await {
        Ok(()) => Ok(runs),
        Err(error) => {
            for run in runs {
                run.close().await?;
                remove_if_there(&pieces.shared.io, run.info().name()).await?;
            }
            Err(error)
        }
    }
}

struct Pieces {
    shared: Rc<Shared>,
    memtable_events_max: u64,
    next_number: u64,
}

impl Pieces {
    async fn write(
        &mut self,
        log: &LogReader,
        damaged: &Run,
        runs: &mut Vec<Run>,
    ) -> Result<(), IndexError> {
        let info = *damaged.info();
        let unrecoverable = || IndexError::from(damaged.damage(0, Flaw::Unrecoverable));
        let mut table = Memtable::new(info.from);
        while table.to < info.to {
            let chunk = match log.read_forwards(table.to, info.to).await {
                Ok(chunk) => chunk,
                Err(log::ReadError::Disk(error)) => return Err(error.into()),
                Err(log::ReadError::Corrupt(_) | log::ReadError::NoEvent(_)) => {
                    return Err(unrecoverable());
                }
            };
            for (entry, body) in chunk.records() {
                table.apply(&self.shared.hasher, entry, body).map_err(|_| unrecoverable())?;
                if table.events >= self.memtable_events_max {
                    let fresh = Memtable::new(table.to);
                    runs.push(self.flush(std::mem::replace(&mut table, fresh)).await?);
                }
            }
        }
        if table.events > 0 {
            runs.push(self.flush(table).await?);
        }
        let events: u64 = runs.iter().map(|run| run.info().events).sum();
        if events == info.events { Ok(()) } else { Err(unrecoverable()) }
    }

    async fn flush(&mut self, table: Memtable) -> Result<Run, IndexError> {
        let (io, owner) = (self.shared.io.clone(), self.shared.owner);
        self.next_number += 1;
        merge::flush(io, owner, self.next_number - 1, Rc::new(table)).await
    }
}
