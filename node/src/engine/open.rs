//! A start: from a data folder, new or used, to an engine that campaigns.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Waker;

use quorate_core::Replica;
use quorate_core::effect::Effects;
use quorate_core::id::{LogIndex, Position};
use quorate_core::input::{Boot, Input, Voter};
use quorate_core::limits::Limits;
use quorate_core::log::entry::LogEnd;
use quorate_core::member::{Members, Name};
use quorate_core::mutant::Mutant;
use quorate_core::time::Now;
use quorate_core::timing::Timing;
use quorate_storage::index::{
    Index, IndexConfig, IndexError, IndexLimits, IndexRecovery, StreamHasher,
};
use quorate_storage::io::Io;
use quorate_storage::log::{self, Home, Log, Scrub};
use quorate_storage::read::{ReadLimits, StoreReader};
use quorate_storage::superblock::{Identity, Superblock, SuperblockError};

use super::mending::{self, Mending};
use super::outgoing::Encoder;
use super::tasks::Tasks;
use super::{Engine, Woken, apply};
use crate::recorder::Core;

/// What an engine is opened with.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// Bounds of the core. The segments' length is the folder's own where it was founded before.
    pub limits: Limits,
    /// How long to wait for what.
    pub timing: Timing,
    /// Zones in which a leader is wanted, the most wanted first; others come behind them.
    pub leader_zones: Vec<Name>,
    /// Bounds of the index.
    pub index: IndexLimits,
    /// Bounds of reads.
    pub reads: ReadLimits,
    /// Newest part of the log that is kept in memory for readers.
    pub tail_bytes_max: u64,
    /// How fast older segments are verified in the background; 0 for not at all.
    pub scrub_bytes_per_s: u64,
    /// Who the node is, where the folder is new.
    pub founding: Identity,
    /// Drawn at random for this start.
    pub seed: [u8; 32],
    /// A deliberate break of the protocol, for the simulator.
    pub mutant: Option<Mutant>,
}

/// What a start found and did.
#[derive(Clone, Debug)]
pub struct Recovered {
    /// Who the node is.
    pub identity: Identity,
    /// Whether the folder was new.
    pub founded: bool,
    /// What the log says of itself.
    pub log: log::Recovery,
    /// What the index says of itself.
    pub index: IndexRecovery,
    /// Events that were read again, for the index and for the window of recent ids.
    pub events_replayed: u64,
}

/// Why a node can't start on this folder.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The superblock is not there as it should be.
    #[error(transparent)]
    Superblock(#[from] SuperblockError),
    /// The log is not there as it should be.
    #[error(transparent)]
    Log(#[from] log::OpenError),
    /// Older parts of the log can't be read, which the index is made from.
    #[error("the index can't be made again: {0}")]
    Read(#[from] log::ReadError),
    /// The index can't be written.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// The folder was founded with segments that are too short for these limits.
    #[error("the data folder has segments of {segment_bytes} bytes: {problem}")]
    Limits {
        /// Of the folder.
        segment_bytes: u32,
        /// What does not fit.
        problem: &'static str,
    },
}

impl Engine {
    /// Opens the folder behind `io`, or founds a new one in it, and begins to campaign.
    ///
    /// The index is made good from where its files end; older parts of the log are trusted until
    /// they are read or scrubbed.
    ///
    /// # Errors
    ///
    /// [`OpenError`] for anything that a node must not serve with.
    pub async fn open(
        io: Io,
        now: Now,
        options: EngineOptions,
    ) -> Result<(Self, Recovered), OpenError> {
        let (superblock, founded) = match Superblock::open(&io).await {
            Err(SuperblockError::Missing) => {
                (Superblock::found(&io, options.founding).await?, true)
            }
            opened => (opened?, false),
        };
        let identity = *superblock.identity();
        let limits = fitting(options.limits, identity.segment_bytes)?;
        let settings = log::Settings {
            home: Home { log: identity.log, disk: identity.disk },
            node: identity.node,
            segment_bytes: identity.segment_bytes,
            tail_bytes_max: options.tail_bytes_max,
        };
        let (log, log_recovery) = Log::open(&io, settings).await?;
        let end = log_recovery.end;
        let config = IndexConfig {
            log: identity.log,
            hasher: StreamHasher::new(&identity.stream_key),
            limits: options.index,
        };
        let (mut index, index_recovery) = Index::open(&io, &config, end.position).await?;
        index.rebuild_from(log.reader());
        let mut replica = Replica::with_mutant(limits, options.mutant);
        let mut effects = Effects::new();
        // What the index's files hold was committed, whatever else is known.
        let known = log_recovery.committed;
        let covered = index_recovery.covered;
        let mut replay =
            Replay { log: &log, index: &mut index, events: 0, known, covered, committed: None };
        let from = replay.start(limits.recent_ids_max.into(), end.events).await?;
        replay.rebuild(covered, from).await?;
        replay.window(from, now, &mut replica, &mut effects).await?;
        let committed = replay.committed.unwrap_or_default();
        let recovered = Recovered {
            identity,
            founded,
            log: log_recovery,
            index: index_recovery,
            events_replayed: replay.events,
        };
        let boot = Boot {
            node: identity.node,
            disk: identity.disk,
            log: identity.log,
            voters: &voters(&identity.members, &options.leader_zones),
            timing: options.timing,
            hard_state: superblock.hard_state(),
            end,
            committed,
            seed: options.seed,
        };
        replica.step(now, Input::Boot(&boot), &mut effects);
        let parts = Parts { replica, effects, log, index, superblock, committed };
        Ok((Self::assemble(io, parts, &options), recovered))
    }

    fn assemble(io: Io, parts: Parts, options: &EngineOptions) -> Self {
        let Parts { replica, effects, log, index, superblock, committed } = parts;
        let group = superblock.identity().log.group;
        let woken = Arc::new(Woken::default());
        let scrub_rate = options.scrub_bytes_per_s;
        Self {
            io,
            core: Core::new(replica, effects),
            reader: StoreReader::new(log.reader(), index.reader(), options.reads),
            scrub: (scrub_rate > 0).then(|| Scrub::new(log.reader(), scrub_rate)),
            mending: Mending::new(mending::AGAIN_NANOS),
            giving: 0,
            log,
            index,
            encoder: Encoder::new(group),
            superblock: Some(superblock),
            hard_state_write: None,
            loads: Tasks::new(),
            loaded: Vec::new(),
            written: Vec::new(),
            writing: VecDeque::new(),
            committing: VecDeque::new(),
            committed: committed.index,
            end: committed.position,
            events: committed.events,
            disk_full: false,
            waker: Waker::from(Arc::clone(&woken)),
            woken,
            fault: None,
        }
    }
}

/// What a start has opened.
struct Parts {
    replica: Replica,
    effects: Effects,
    log: Log,
    index: Index,
    superblock: Superblock,
    committed: LogEnd,
}

/// The limits with the folder's own segments.
fn fitting(limits: Limits, segment_bytes: u32) -> Result<Limits, OpenError> {
    let limits = Limits { segment_bytes, ..limits };
    match limits.problem() {
        None => Ok(limits),
        Some(problem) => Err(OpenError::Limits { segment_bytes, problem }),
    }
}

/// The voters, each with the place of its zone among those that are wanted.
fn voters(members: &Members, leader_zones: &[Name]) -> Vec<Voter> {
    let rank = |zone: &Name| {
        let place = leader_zones.iter().position(|wanted| wanted == zone);
        u32::try_from(place.unwrap_or(leader_zones.len())).expect("zones are few")
    };
    let voter = |member: &quorate_core::member::Member| {
        let rank = rank(&member.zone);
        Voter { node: member.node, rank }
    };
    members.iter().map(voter).collect()
}

/// Reads parts of the log again.
struct Replay<'a> {
    log: &'a Log,
    index: &'a mut Index,
    events: u64,
    /// The log says that every entry up to here is committed.
    known: LogIndex,
    /// Behind what the index's files hold.
    covered: Position,
    /// Behind the last entry that is known to be committed.
    committed: Option<LogEnd>,
}

impl Replay<'_> {
    /// Where to begin: before the window of recent ids, and not behind the last committed entry.
    async fn start(&self, window: u64, events: u64) -> Result<Position, OpenError> {
        let reader = self.log.reader();
        let window = reader.start_of_last(window, events).await?;
        if self.known == LogIndex::ZERO {
            return Ok(Position::START);
        }
        let committed = reader.read_entries(self.known, 0).await?;
        Ok(committed.map_or(Position::START, |chunk| window.min(chunk.start())))
    }

    /// Gives the index what its files lack, up to where a record ends, in bounded memory.
    async fn rebuild(&mut self, from: Position, upto: Position) -> Result<(), OpenError> {
        let reader = self.log.reader();
        let mut from = from;
        while from < upto {
            let chunk = reader.read_forwards(from, upto).await?;
            for (entry, body) in chunk.records() {
                apply(self.index, entry, body);
                self.events += u64::from(entry.event_count);
            }
            from = chunk.end();
            self.index.make_room().await?;
        }
        Ok(())
    }

    /// Gives the newest entries to the replica, and to the index those that are committed.
    async fn window(
        &mut self,
        from: Position,
        now: Now,
        replica: &mut Replica,
        effects: &mut Effects,
    ) -> Result<(), OpenError> {
        let Self { log, index, events, known, covered, committed } = self;
        let visited = log.replay(from, |entry, body| {
            let is_committed = entry.index <= *known || entry.end() <= *covered;
            if is_committed {
                apply(index, entry, body);
                *committed = Some(LogEnd::after(entry));
            }
            let input = Input::Recovered { entry, body, committed: is_committed };
            replica.step(now, input, effects);
            *events += u64::from(entry.event_count);
        });
        Ok(visited.await?)
    }
}
