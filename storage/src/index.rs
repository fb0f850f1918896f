//! The stream index: which positions of the log hold the events of a stream.
//!
//! It is derived from the log and holds nothing else, so it is never repaired, only rebuilt. The
//! newest events are in a memtable; when that is full it is frozen and written as a sorted
//! run, and neighbouring runs are merged. Memtables and runs tile the log's positions: what a
//! run does not cover is replayed from the log after a start. The manifest says which runs
//! there are; a file that it does not name is removed.
//!
//! All of it belongs to one thread. [`Index`] is the owner's half: it takes events in and does the
//! background work, in steps of one disk operation each, whenever it is polled. [`IndexReader`] is
//! the readers' half; it can be cloned, and its lookups see memory and files as they were when
//! the lookup began.

mod background;
mod block;
mod cache;
mod fault;
mod key;
mod manifest;
mod memtable;
mod merge;
mod reader;
mod rebuild;
mod run;
#[cfg(test)]
mod tests;
mod verify;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::{Context, Poll};

use quorate_core::event::FrameError;
use quorate_core::id::Position;
use quorate_core::log::entry::{EntryHeader, LogId};
use quorate_core::time::Instant;

use self::background::Background;
use self::cache::BlockCache;
pub use self::fault::{Damage, Flaw, IndexError, Part};
pub use self::key::{StreamHasher, StreamKey};
use self::manifest::Manifest;
use self::memtable::Memtable;
pub use self::reader::{IndexReader, Last, Positions};
use self::run::writer::remove_if_there;
use self::run::{Owner, Run};
pub use self::verify::{IndexReport, Pointer, PointersInto, pointers_into, verify};
use crate::disk::{Done, Op};
use crate::io::Io;
use crate::log::LogReader;

/// Bounds of the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexLimits {
    /// With so many events a memtable becomes a run: some 100 bytes of memory each.
    pub memtable_events_max: u64,
    /// Full memtables that may wait for the disk; beyond it, [`Room::Behind`].
    pub frozen_max: usize,
    /// Blocks of runs that are kept in memory.
    pub cache_bytes_max: usize,
}

impl IndexLimits {
    /// What a node runs with.
    pub const PRODUCTION: Self =
        Self { memtable_events_max: 1 << 18, frozen_max: 2, cache_bytes_max: 16 << 20 };

    /// What tests run with, so that edges are common.
    pub const TINY: Self = Self { memtable_events_max: 8, frozen_max: 2, cache_bytes_max: 3 << 12 };
}

/// What is indexed, and how.
#[derive(Clone)]
pub struct IndexConfig {
    /// The log that is indexed.
    pub log: LogId,
    /// Makes keys of stream names.
    pub hasher: StreamHasher,
    /// Bounds.
    pub limits: IndexLimits,
}

/// Whether more events may be taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// Yes.
    Free,
    /// Memory is at its bound: wait until a memtable is written ([`Index::make_room`]).
    Behind,
    /// The disk had no space for a memtable; it is tried again each second.
    Full,
}

/// How much of an index is where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    /// Files that are in use.
    pub runs: usize,
    /// Events before this are in files.
    pub covered: Position,
    /// Events that are in memory alone.
    pub memory_events: u64,
}

/// What a start found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IndexRecovery {
    /// Events before this are indexed; the log is to be replayed from here.
    pub covered: Position,
    /// Why runs were dropped, if any were.
    pub damage: Option<Damage>,
    /// Runs that are in use.
    pub runs: usize,
    /// Files that a crash had left over, or that were dropped.
    pub removed: usize,
}

/// What is in memory and on disk, for lookups.
struct Shared {
    io: Io,
    owner: Owner,
    hasher: StreamHasher,
    cache: BlockCache,
    tables: RefCell<Tables>,
}

/// The parts of the index from the oldest to the newest: runs, frozen memtables, active memtable.
struct Tables {
    runs: Rc<[Rc<Run>]>,
    frozen: VecDeque<Rc<Memtable>>,
    active: Memtable,
    /// Numbers of runs that were found damaged, until they are replaced.
    damaged: Vec<u64>,
}

impl Tables {
    /// Replaces all runs between the ends of `with`, or adds them behind the last.
    fn install(&mut self, with: Vec<Rc<Run>>) -> Vec<Rc<Run>> {
        let (from, to) = (with[0].info().from, with[with.len() - 1].info().to);
        let inside = |run: &Rc<Run>| run.info().from >= from && run.info().to <= to;
        let (replaced, kept): (Vec<_>, Vec<_>) = self.runs.iter().cloned().partition(inside);
        let at = kept.partition_point(|run| run.info().from < from);
        let mut runs = kept;
        runs.splice(at..at, with);
        let tiles = runs.windows(2).all(|pair| pair[0].info().to == pair[1].info().from);
        assert!(tiles, "runs tile the log");
        self.runs = runs.into();
        self.damaged.retain(|number| replaced.iter().all(|run| run.number() != *number));
        replaced
    }
}

/// The owner's half of the stream index.
pub struct Index {
    shared: Rc<Shared>,
    limits: IndexLimits,
    background: Background,
}

impl Index {
    /// Opens the index of a data folder. Whatever is damaged is dropped, with all that is newer,
    /// and must be replayed from the log, from [`IndexRecovery::covered`] on.
    ///
    /// - `log_end`: where the log ends; an index that knows more is not believed
    ///
    /// # Errors
    ///
    /// [`IndexError::Disk`] where the disk fails; damage is no error here.
    pub async fn open(
        io: &Io,
        config: &IndexConfig,
        log_end: Position,
    ) -> Result<(Self, IndexRecovery), IndexError> {
        let owner = Owner { log: config.log, hasher: config.hasher.fingerprint() };
        let mut recovery = IndexRecovery::default();
        let manifest = match Manifest::load(io, &owner).await {
            Ok(manifest) => manifest,
            Err(IndexError::Damaged(damage)) => {
                recovery.damage = Some(damage);
                Manifest { next_number: 0, runs: Vec::new() }
            }
            Err(error) => return Err(error),
        };
        let mut runs = Vec::new();
        for info in &manifest.runs {
            if info.to > log_end {
                break;
            }
            match Run::open(io, &owner, *info).await {
                Ok(run) => runs.push(Rc::new(run)),
                Err(IndexError::Damaged(damage)) => {
                    recovery.damage = Some(damage);
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        let dropped = runs.len() < manifest.runs.len();
        recovery.removed = Self::clean(io, &owner, &manifest, &runs).await?;
        recovery.runs = runs.len();
        recovery.covered = runs.last().map_or(Position::START, |run| run.info().to);
        if recovery.removed == 0 && !dropped && recovery.covered == Position::START {
            recovery.damage = None; // There never was an index.
        }
        let tables = Tables {
            runs: runs.into(),
            frozen: VecDeque::new(),
            active: Memtable::new(recovery.covered),
            damaged: Vec::new(),
        };
        let shared = Rc::new(Shared {
            io: io.clone(),
            owner,
            hasher: config.hasher.clone(),
            cache: BlockCache::new(config.limits.cache_bytes_max),
            tables: RefCell::new(tables),
        });
        let background = Background::new(Rc::clone(&shared), manifest.next_number, config.limits);
        Ok((Self { shared, limits: config.limits, background }, recovery))
    }

    /// Removes files that are not in use; first from the manifest, so that no manifest ever names
    /// a file that was removed.
    async fn clean(
        io: &Io,
        owner: &Owner,
        manifest: &Manifest,
        runs: &[Rc<Run>],
    ) -> Result<usize, IndexError> {
        if runs.len() < manifest.runs.len() {
            let runs = runs.iter().map(|run| *run.info()).collect();
            let shorter = Manifest { next_number: manifest.next_number, runs };
            shorter.store(io.clone(), *owner).await?;
        }
        let listed = match io.run(Op::List { folder: "index".into() }).await? {
            Done::Listed(files) => files,
            done => unreachable!("a list gave {done:?}"),
        };
        let in_use = |name: &str| {
            let manifest_in_use = name == manifest::NAME && manifest.next_number > 0;
            manifest_in_use || runs.iter().any(|run| *run.info().name() == *name)
        };
        let mut removed = 0;
        for (name, _) in listed {
            if !in_use(&name) {
                remove_if_there(io, name).await?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// A handle for lookups.
    #[must_use]
    pub fn reader(&self) -> IndexReader {
        IndexReader::new(Rc::clone(&self.shared))
    }

    /// Takes in the next entry of the committed log; one that it already has is ignored, so a
    /// replay may start too early.
    ///
    /// - `body`: checked by the log, or made by the core
    ///
    /// # Errors
    ///
    /// [`FrameError`] where the body of an entry of events is made of something else.
    ///
    /// # Panics
    ///
    /// Where an event does not follow on the one before it in its stream.
    pub fn apply(&mut self, entry: &EntryHeader, body: &[u8]) -> Result<(), FrameError> {
        let mut tables = self.shared.tables.borrow_mut();
        tables.active.apply(&self.shared.hasher, entry, body)?;
        if tables.active.events >= self.limits.memtable_events_max {
            let fresh = Memtable::new(tables.active.to);
            let full = std::mem::replace(&mut tables.active, fresh);
            tables.frozen.push_back(Rc::new(full));
        }
        Ok(())
    }

    /// Says where a run that turns out to be damaged can be rebuilt from. Until then, and until it
    /// is rebuilt, lookups that need it fail.
    pub fn rebuild_from(&mut self, log: LogReader) {
        self.background.rebuild_from(log);
    }

    /// Runs that are damaged and not rebuilt yet, or can't be, because the log is damaged too.
    #[must_use]
    pub fn damaged_runs(&self) -> usize {
        self.shared.tables.borrow().damaged.len()
    }

    /// How much of it is where.
    #[must_use]
    pub fn extent(&self) -> Extent {
        let tables = self.shared.tables.borrow();
        let frozen: u64 = tables.frozen.iter().map(|table| table.events).sum();
        Extent {
            runs: tables.runs.len(),
            covered: tables.runs.last().map_or(Position::START, |run| run.info().to),
            memory_events: frozen + tables.active.events,
        }
    }

    /// Entries before this were taken in.
    #[must_use]
    pub fn applied(&self) -> Position {
        self.shared.tables.borrow().active.to
    }

    /// Whether more events may be taken in. It is advice: nothing breaks where it is not heeded,
    /// but memory grows.
    #[must_use]
    pub fn room(&self) -> Room {
        if self.background.is_full() {
            Room::Full
        } else if self.shared.tables.borrow().frozen.len() > self.limits.frozen_max {
            Room::Behind
        } else {
            Room::Free
        }
    }

    /// Does background work as far as it goes without waiting: writes frozen memtables, merges
    /// runs, publishes the manifest, removes files. The context is woken when it can go on.
    ///
    /// # Errors
    ///
    /// [`IndexError::Disk`] where the disk failed: the node stops. A full disk is no error, see
    /// [`Index::room`], and neither is damage: the lookups that meet it say so.
    pub fn poll(&mut self, context: &mut Context<'_>, now: Instant) -> Result<(), IndexError> {
        self.background.poll(context, now)
    }

    /// When to poll at the latest, where something waits for time to pass.
    #[must_use]
    pub fn retry_at(&self) -> Option<Instant> {
        self.background.retry_at()
    }

    /// Waits until memory is below its bound. For replays, which have nothing else to do.
    ///
    /// # Errors
    ///
    /// As [`Index::poll`], and a full disk.
    pub async fn make_room(&mut self) -> Result<(), IndexError> {
        self.wait_until(|index| index.room() != Room::Behind).await
    }

    /// Waits until there is no background work left.
    ///
    /// # Errors
    ///
    /// As [`Index::poll`], and a full disk.
    pub async fn settle(&mut self) -> Result<(), IndexError> {
        self.wait_until(|index| index.background.is_idle()).await
    }

    async fn wait_until(&mut self, done: impl Fn(&Self) -> bool) -> Result<(), IndexError> {
        std::future::poll_fn(|context| {
            let polled = self.background.poll(context, Instant::START);
            match (polled, self.background.fullness()) {
                (Err(error), _) => Poll::Ready(Err(error)),
                (Ok(()), Some(full)) => Poll::Ready(Err(full.clone().into())),
                (Ok(()), None) if done(self) => Poll::Ready(Ok(())),
                (Ok(()), None) => Poll::Pending,
            }
        })
        .await
    }
}
