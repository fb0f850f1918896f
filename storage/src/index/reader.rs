//! Lookups in the stream index.

use std::rc::Rc;

use quorate_core::id::{Position, Revision};

use super::Shared;
use super::fault::{Flaw, IndexError};
use super::key::StreamKey;
use super::run::Run;

/// The last event of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Last {
    /// Its revision.
    pub revision: Revision,
    /// Where it is.
    pub position: Position,
}

/// Where successive events of a stream are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Positions {
    /// Revision of the first of `positions`; meaningless where there are none.
    pub first: Revision,
    /// In the order of their revisions, which is that of the log.
    pub positions: Vec<Position>,
}

/// The readers' half of the stream index.
#[derive(Clone)]
pub struct IndexReader {
    shared: Rc<Shared>,
}

impl IndexReader {
    pub(super) fn new(shared: Rc<Shared>) -> Self {
        Self { shared }
    }

    /// The key of a stream.
    #[must_use]
    pub fn key(&self, stream: &str) -> StreamKey {
        self.shared.hasher.key(stream)
    }

    /// Events before this are in the index.
    #[must_use]
    pub fn applied(&self) -> Position {
        self.shared.tables.borrow().active.to
    }

    /// The last event of a stream; `None` where it has none.
    ///
    /// - `since`: the caller knows that there is none before; less is looked at
    ///
    /// # Errors
    ///
    /// [`IndexError`] where the disk fails, or a run is damaged.
    pub async fn last(&self, key: StreamKey, since: Position) -> Result<Option<Last>, IndexError> {
        let runs = {
            let tables = self.shared.tables.borrow();
            let frozen = tables.frozen.iter().rev().map(AsRef::as_ref);
            let newest = std::iter::once(&tables.active)
                .chain(frozen)
                .take_while(|table| table.to > since)
                .find_map(|table| table.streams.get(&key));
            if let Some(tail) = newest {
                let count = tail.positions.len();
                let revision = tail.first.plus(count as u64 - 1);
                return Ok(Some(Last { revision, position: tail.positions[count - 1] }));
            }
            Rc::clone(&tables.runs)
        };
        for run in runs.iter().rev().take_while(|run| run.info().to > since) {
            if let Some(last) = self.shared.noted(run, last_in(&self.shared, run, key).await)? {
                return Ok(Some(last));
            }
        }
        Ok(None)
    }

    /// Where a stream's events from a revision on are: `count` of them, fewer where the stream
    /// ends before.
    ///
    /// - `since`: the caller knows that none of them is before; less is looked at
    ///
    /// # Errors
    ///
    /// [`IndexError`] where the disk fails, or a run is damaged.
    pub async fn positions(
        &self,
        key: StreamKey,
        first: Revision,
        count: u64,
        since: Position,
    ) -> Result<Positions, IndexError> {
        let wanted = Wanted { first: first.get(), end: first.get().saturating_add(count) };
        let mut pieces = Pieces { wanted, newest_first: Vec::new() };
        let runs = {
            let tables = self.shared.tables.borrow();
            let frozen = tables.frozen.iter().rev().map(AsRef::as_ref);
            let tables_since =
                std::iter::once(&tables.active).chain(frozen).take_while(|table| table.to > since);
            for table in tables_since {
                let Some(tail) = table.streams.get(&key) else { continue };
                let (skip, take) = wanted.within(tail.first, tail.positions.len() as u64);
                let (skip, take) = (skip as usize, take as usize);
                pieces.add(tail.first, skip, tail.positions[skip..skip + take].to_vec());
            }
            Rc::clone(&tables.runs)
        };
        for run in runs.iter().rev().take_while(|run| run.info().to > since) {
            if pieces.reach_the_first() {
                break;
            }
            let found = piece_in(&self.shared, run, key, wanted).await;
            if let Some((first, skip, positions)) = self.shared.noted(run, found)? {
                pieces.add(first, skip, positions);
            }
        }
        match pieces.join() {
            Some(positions) => Ok(positions),
            None => {
                let run = runs.first().expect("what is in memory alone has no gaps");
                Err(run.damage(0, Flaw::Contradiction).into())
            }
        }
    }
}

impl Shared {
    /// Remembers that a run is damaged, where that is what `found` says.
    fn noted<T>(&self, run: &Run, found: Result<T, IndexError>) -> Result<T, IndexError> {
        if let Err(IndexError::Damaged(_)) = &found {
            self.tables.borrow_mut().note_damage(run);
        }
        found
    }
}

impl super::Tables {
    pub(super) fn note_damage(&mut self, run: &Run) {
        let number = run.number();
        let in_use = self.runs.iter().any(|run| run.number() == number);
        if in_use && !self.damaged.contains(&number) {
            self.damaged.push(number);
        }
    }
}

async fn last_in(shared: &Shared, run: &Run, key: StreamKey) -> Result<Option<Last>, IndexError> {
    let Some(extent) = run.find(&shared.cache, key).await? else { return Ok(None) };
    let mut positions = Vec::with_capacity(1);
    run.positions(&shared.cache, &extent, extent.count - 1, 1, &mut positions).await?;
    Ok(Some(Last { revision: extent.first.plus(extent.count - 1), position: positions[0] }))
}

async fn piece_in(
    shared: &Shared,
    run: &Run,
    key: StreamKey,
    wanted: Wanted,
) -> Result<Option<(Revision, usize, Vec<Position>)>, IndexError> {
    let Some(extent) = run.find(&shared.cache, key).await? else { return Ok(None) };
    let (skip, take) = wanted.within(extent.first, extent.count);
    let mut positions = Vec::with_capacity(take as usize);
    run.positions(&shared.cache, &extent, skip, take, &mut positions).await?;
    Ok(Some((extent.first, skip as usize, positions)))
}

/// A range of revisions.
#[derive(Clone, Copy)]
struct Wanted {
    first: u64,
    end: u64,
}

impl Wanted {
    /// Which events of a part of the stream are wanted: how many to skip and how many to take.
    fn within(self, first: Revision, count: u64) -> (u64, u64) {
        let (first, end) = (first.get(), first.get() + count);
        let start = self.first.clamp(first, end);
        (start - first, self.end.clamp(start, end) - start)
    }
}

/// What was found of a range, from its end to its start.
struct Pieces {
    wanted: Wanted,
    newest_first: Vec<Positions>,
}

impl Pieces {
    /// - `first`: of the part of the stream that was looked at
    /// - `skip`: how many of its events are older than what is wanted
    fn add(&mut self, first: Revision, skip: usize, positions: Vec<Position>) {
        self.newest_first.push(Positions { first: first.plus(skip as u64), positions });
    }

    fn reach_the_first(&self) -> bool {
        self.newest_first.last().is_some_and(|piece| piece.first.get() <= self.wanted.first)
    }

    /// All of it in order; `None` where something is missing in between.
    fn join(self) -> Option<Positions> {
        let mut pieces =
            self.newest_first.into_iter().rev().filter(|piece| !piece.positions.is_empty());
        let first = Revision::from_wire(self.wanted.first);
        let Some(mut joined) = pieces.next() else {
            return Some(Positions { first, positions: Vec::new() });
        };
        for piece in pieces {
            if joined.first.plus(joined.positions.len() as u64) != piece.first {
                return None;
            }
            joined.positions.extend(piece.positions);
        }
        Some(joined)
    }
}
