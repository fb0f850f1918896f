//! One group's engine: the shell that carries out what the core decides, without any runtime.
//!
//! It owns the replica, the log and the index, and moves inputs and effects between them and the
//! disk; it decides nothing. Whoever drives it calls [`Engine::propose`] and [`Engine::read`] as
//! requests come, and [`Engine::turn`] whenever the disk or the clock may have something to say.
//! The node drives it from tokio, the tests and the simulator from a loop over a simulated disk.

mod damage;
mod load;
mod mending;
mod open;
mod outgoing;
mod tasks;

use std::collections::VecDeque;
use std::future::Future;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use quorate_core::effect::{Effect, Halt};
use quorate_core::id::{Epoch, LogIndex, NodeId, Position, RequestId};
use quorate_core::input::{HardState, Input};
use quorate_core::log::entry::{EntryHeader, LogEnd};
use quorate_core::notice::Notice;
use quorate_core::request::{Consistency, Outcome, Proposal, Rejection, TransferError};
use quorate_core::time::{Instant, Now};
use quorate_core::{PeerView, View};
use quorate_net::wire::peer::PeerMessage;
use quorate_net::{Frame, WireError};
use quorate_storage::disk::DiskError;
use quorate_storage::index::{self, Index, IndexError};
use quorate_storage::io::Io;
use quorate_storage::log::{self, Log, LogFault, Scrub, ScrubProgress, Written};
use quorate_storage::read::{ReadError, StoreReader};
use quorate_storage::superblock::Superblock;

use self::load::Loaded;
use self::tasks::Tasks;
use crate::logger::Logger;
use crate::recorder::segment::Origin;
use crate::recorder::{Core, Recorder, RecordingFolder};

pub use self::damage::damaged_record;
pub use self::mending::Mended;
pub(crate) use self::mending::Mending;
pub use self::open::{EngineOptions, OpenError, Recovered};
pub(crate) use self::outgoing::Encoder;
pub use self::outgoing::Outgoing;

/// Why an engine can't go on. It is final: what is on the disk is uncertain, or can't be read.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Fault {
    /// A log write or sync failed.
    #[error(transparent)]
    Log(#[from] LogFault),
    /// A write of the index failed.
    #[error("the index can't be written any more: {0}")]
    Index(IndexError),
    /// The hard state could not be written.
    #[error("the superblock can't be written: {0}")]
    Superblock(DiskError),
    /// What the group says is not what this node has committed.
    #[error("{0}")]
    Halted(Halt),
}

/// What a turn gave; the driver empties it.
#[derive(Debug, Default)]
pub struct Output {
    /// Answers to [`Engine::propose`].
    pub replies: Vec<(RequestId, Outcome)>,
    /// Answers to [`Engine::read`]: events below the position may be shown.
    pub reads: Vec<(RequestId, Result<Position, Rejection>)>,
    /// Messages to other nodes, in order.
    pub sends: Vec<Outgoing>,
    /// Answers to [`Engine::transfer`].
    pub transfers: Vec<(RequestId, Result<NodeId, TransferError>)>,
    /// What happened.
    pub notices: Vec<Notice>,
    /// What could not be read, by the core or by the scrub.
    pub damage: Vec<ReadError>,
    /// Attempts to mend damage that have ended.
    pub mended: Vec<Mended>,
    /// Parts of the log that the scrub has found to be what was written.
    pub sound: Vec<Range<Position>>,
    /// Log writes that ended: how long each took, and its bytes.
    pub writes: Vec<(Duration, u64)>,
    /// Entries that this node has committed as a leader: how long each took since it was begun to
    /// be written.
    pub commits: Vec<Duration>,
}

/// One group's engine.
pub struct Engine {
    io: Io,
    core: Core,
    log: Log,
    index: Index,
    reader: StoreReader,
    /// Where older segments are to be verified.
    scrub: Option<Scrub>,
    mending: Mending,
    /// Entries that are being read for other nodes to mend theirs.
    giving: usize,
    /// Away while it is being written.
    superblock: Option<Superblock>,
    hard_state_write: Option<HardStateWrite>,
    encoder: Encoder,
    loads: Tasks<Loaded>,
    loaded: Vec<Loaded>,
    written: Vec<Written>,
    /// Entries whose write has not ended, with its start and its length, in their order.
    writing: VecDeque<(LogIndex, Instant, u64)>,
    /// Entries of a leader that are not committed, with the start of their write, in their order.
    committing: VecDeque<(LogIndex, Instant)>,
    committed: LogIndex,
    end: Position,
    events: u64,
    disk_full: bool,
    woken: Arc<Woken>,
    waker: Waker,
    fault: Option<Fault>,
}

struct HardStateWrite {
    state: HardState,
    future: Pin<Box<dyn Future<Output = Result<Superblock, DiskError>>>>,
}

/// Set when something that the engine polls can go on.
#[derive(Debug, Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Engine {
    /// A client wants to change a stream. The answer comes out of a later turn.
    pub fn propose(&mut self, now: Now, proposal: Proposal<'_>) {
        self.step(now, Input::Propose(proposal));
    }

    /// A client wants to read. The answer comes out of a later turn.
    pub fn read(&mut self, now: Now, request: RequestId, consistency: Consistency) {
        self.step(now, Input::Read { request, consistency });
    }

    /// Somebody wants another node to lead. The answer comes out of a later turn.
    pub fn transfer(&mut self, now: Now, request: RequestId, to: Option<NodeId>) {
        self.step(now, Input::Transfer { request, to });
    }

    /// There is a link to another node now.
    pub fn peer_up(&mut self, now: Now, node: NodeId) {
        self.step(now, Input::PeerUp { node });
    }

    /// There is none any more.
    pub fn peer_down(&mut self, now: Now, node: NodeId) {
        self.step(now, Input::PeerDown { node });
    }

    /// Another node has sent something.
    ///
    /// # Errors
    ///
    /// [`WireError`] where that is no message; nothing was done then.
    pub fn receive(&mut self, now: Now, from: NodeId, frame: &Frame) -> Result<(), WireError> {
        match self.encoder.decode(frame)? {
            PeerMessage::Consensus { message, entries, .. } => {
                self.core.step(now, Input::Received { from, message, entries: &entries });
            }
            PeerMessage::Fetch { index, .. } => self.give(from, index),
            PeerMessage::Fetched { index, entry, .. } => {
                let before = self.mending.answered(from, index, entry.is_some());
                if let (Some(before), Some((header, body))) = (before, entry) {
                    let work = log::mend(self.log.reader(), before, header, body.to_vec());
                    self.mending.write(from, work);
                }
                self.woken.0.store(true, Ordering::Relaxed);
            }
            _ => unreachable!("others are not for an engine"),
        }
        Ok(())
    }

    /// Takes in what the disk has done, ends the core's turn, and carries out its effects. What that
    /// asks of the disk is begun by [`Engine::start_disk`], or by the next turn.
    ///
    /// # Errors
    ///
    /// [`Fault`], and the same one ever after: the node must stop.
    pub fn turn(&mut self, now: Now, output: &mut Output) -> Result<(), Fault> {
        if let Some(fault) = &self.fault {
            return Err(fault.clone());
        }
        let result = self.advance(now, output);
        if let Err(fault) = &result {
            self.fault = Some(fault.clone());
            self.give_up(now, output);
        }
        let Core { replica, recorder, .. } = &mut self.core;
        if let Some(recorder) = recorder {
            recorder.turned(replica, now);
        }
        result
    }

    /// Begins what the last turn has asked of the disk.
    pub fn start_disk(&self) {
        self.io.turn();
    }

    /// The node is about to stop: somebody else must lead, and clients are told what is known.
    fn give_up(&mut self, now: Now, output: &mut Output) {
        self.core.effects.drain().for_each(drop);
        self.step(now, Input::DiskFailed);
        let mut effects = std::mem::take(&mut self.core.effects);
        for effect in effects.drain() {
            match effect {
                Effect::Send { to, message } => {
                    output.sends.push(self.encoder.encode(to, &message, &self.core.replica));
                }
                Effect::Reply { request, outcome } => output.replies.push((request, outcome)),
                Effect::RefuseRead { request, rejection } => {
                    output.reads.push((request, Err(rejection)));
                }
                Effect::Transferred { request, result } => output.transfers.push((request, result)),
                Effect::Notice(notice) => output.notices.push(notice),
                Effect::WriteHardState(_)
                | Effect::WriteEntry(_)
                | Effect::SendFromLog { .. }
                | Effect::Truncate { .. }
                | Effect::Halt(_)
                | Effect::Commit { .. }
                | Effect::LoadHead { .. }
                | Effect::LoadIds { .. }
                | Effect::ServeRead { .. } => {}
            }
        }
    }

    /// Records all that is stepped into the core from now on.
    ///
    /// # Errors
    ///
    /// Where there can be no thread for it.
    pub fn record(
        &mut self,
        now: Now,
        folder: RecordingFolder,
        origin: Origin,
        logger: Logger,
    ) -> std::io::Result<&Recorder> {
        let Core { replica, recorder, .. } = &mut self.core;
        Ok(recorder.insert(Recorder::start(folder, origin, replica, now, logger)?))
    }

    /// Whether another turn has something to do already.
    #[must_use]
    pub fn wants_turn(&self) -> bool {
        self.woken.0.load(Ordering::Relaxed) || self.loads.any_woken()
    }

    /// When to take a turn though the disk says nothing.
    #[must_use]
    pub fn next_timer(&self) -> Option<Instant> {
        let scrub = self.scrub.as_ref().and_then(Scrub::next_timer);
        let tick = self.core.replica.next_tick();
        let timers =
            [self.log.next_timer(), self.index.retry_at(), scrub, self.mending.next_timer(), tick];
        timers.into_iter().flatten().min()
    }

    /// Reads what is committed.
    #[must_use]
    pub fn reader(&self) -> &StoreReader {
        &self.reader
    }

    /// The disk below.
    #[must_use]
    pub fn io(&self) -> &Io {
        &self.io
    }

    /// The last committed entry, and the address behind it.
    #[must_use]
    pub fn committed(&self) -> (LogIndex, Position) {
        (self.committed, self.end)
    }

    /// Events in the committed log.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.events
    }

    /// The newest epoch that it knows of.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.core.replica.view().epoch
    }

    /// What the node is in its group.
    #[must_use]
    pub fn view(&self) -> View {
        self.core.replica.view()
    }

    /// The other voters, as this node sees them.
    pub fn peers(&self) -> impl Iterator<Item = PeerView> + '_ {
        self.core.replica.peers()
    }

    /// Whether appends are refused for want of space.
    #[must_use]
    pub fn disk_full(&self) -> bool {
        self.disk_full
    }

    /// The index, to look at.
    #[must_use]
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// How far the verification of older segments is; `None` where it is turned off.
    #[must_use]
    pub fn scrub(&self) -> Option<ScrubProgress> {
        self.scrub.as_ref().map(Scrub::progress)
    }

    /// Whether the core's invariants hold, for tests.
    pub fn check(&self) {
        self.core.replica.check();
    }

    /// Ends in good order: waits for the writes under way.
    ///
    /// # Errors
    ///
    /// [`Fault`] where one fails.
    pub async fn close(self) -> Result<(), Fault> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        Ok(self.log.close().await?)
    }

    fn step(&mut self, now: Now, input: Input<'_>) {
        self.core.step(now, input);
    }

    fn advance(&mut self, now: Now, output: &mut Output) -> Result<(), Fault> {
        self.io.turn();
        self.woken.0.store(false, Ordering::Relaxed);
        self.take_written(now, output)?;
        self.take_hard_state(now)?;
        // Behind all that has come in: a node that was kept from running hears others first.
        if self.core.replica.next_tick().is_some_and(|at| at <= now.monotonic) {
            self.step(now, Input::Tick);
        }
        self.loads.poll(&mut self.loaded);
        // A load that has nothing to wait for is answered within the turn.
        loop {
            self.take_loaded(now, output);
            self.step(now, Input::EndTurn);
            self.carry_out(now, output)?;
            if self.loaded.is_empty() {
                break;
            }
        }
        self.maintain(now, output)?;
        self.note_space(now);
        // The log hears of the end of what was just submitted only if it is asked once before.
        self.take_written(now, output)?;
        if !self.core.effects.is_empty() {
            self.woken.0.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Lets the index and the scrub go on, and what mends what the scrub finds.
    fn maintain(&mut self, now: Now, output: &mut Output) -> Result<(), Fault> {
        let waker = self.waker.clone();
        let mut context = Context::from_waker(&waker);
        self.index.poll(&mut context, now.monotonic).map_err(Fault::Index)?;
        self.mend(now, &mut context, output)
    }

    fn take_written(&mut self, now: Now, output: &mut Output) -> Result<(), Fault> {
        let waker = self.waker.clone();
        let mut context = Context::from_waker(&waker);
        self.log.poll(now.monotonic, &mut context, &mut self.written)?;
        for Written { epoch, index } in std::mem::take(&mut self.written) {
            self.step(now, Input::EntryWritten { epoch, index });
            let place = self.writing.iter().position(|(writing, _, _)| *writing == index);
            let place = place.expect("what was written had been submitted");
            let (_, started, bytes) = self.writing.remove(place).expect("just found");
            let nanos = now.monotonic.nanos().saturating_sub(started.nanos());
            output.writes.push((Duration::from_nanos(nanos), bytes));
        }
        while let Some(index) = self.log.take_truncated() {
            self.step(now, Input::Truncated { index });
        }
        Ok(())
    }

    fn take_hard_state(&mut self, now: Now) -> Result<(), Fault> {
        let Some(write) = &mut self.hard_state_write else { return Ok(()) };
        let waker = self.waker.clone();
        let polled = write.future.as_mut().poll(&mut Context::from_waker(&waker));
        let Poll::Ready(result) = polled else { return Ok(()) };
        let state = write.state;
        self.hard_state_write = None;
        self.superblock = Some(result.map_err(Fault::Superblock)?);
        self.step(now, Input::HardStateWritten(state));
        Ok(())
    }

    fn take_loaded(&mut self, now: Now, output: &mut Output) {
        for loaded in std::mem::take(&mut self.loaded) {
            match &loaded {
                Loaded::Entries { to, message, entries: Ok(Some(chunk)) } => {
                    output.sends.extend(self.encoder.encode_chunk(*to, message, chunk));
                }
                Loaded::Given { to, index, entry } => {
                    self.giving -= 1;
                    let chunk = entry.as_ref().ok().and_then(Option::as_ref);
                    output.sends.push(self.encoder.fetched(*to, *index, chunk));
                }
                Loaded::Entries { .. } | Loaded::Head { .. } | Loaded::Ids { .. } => {}
            }
            if let Err(error) = loaded.step(now, &mut self.core) {
                self.suspect(&error);
                output.damage.push(error);
            }
        }
    }

    fn carry_out(&mut self, now: Now, output: &mut Output) -> Result<(), Fault> {
        let mut effects = std::mem::take(&mut self.core.effects);
        for effect in effects.drain() {
            match effect {
                Effect::WriteHardState(state) => self.write_hard_state(state),
                Effect::WriteEntry(index) => self.write_entry(now, index),
                Effect::Send { to, message } => {
                    output.sends.push(self.encoder.encode(to, &message, &self.core.replica));
                }
                Effect::SendFromLog { to, message } => {
                    let load = load::entries(self.log.reader(), to, message);
                    self.loaded.extend(self.loads.start(load));
                }
                Effect::Truncate { end } => self.truncate(end),
                Effect::Halt(halt) => return Err(Fault::Halted(halt)),
                Effect::Transferred { request, result } => output.transfers.push((request, result)),
                Effect::Commit { index, end } => self.commit(now, index, end, output),
                Effect::LoadHead { stream, epoch } => {
                    let load = load::head(self.reader.clone(), stream, epoch);
                    self.loaded.extend(self.loads.start(load));
                }
                Effect::LoadIds { request, stream, first, count } => {
                    let load = load::ids(self.reader.clone(), request, stream, first, count);
                    self.loaded.extend(self.loads.start(load));
                }
                Effect::Reply { request, outcome } => output.replies.push((request, outcome)),
                Effect::ServeRead { request, end } => output.reads.push((request, Ok(end))),
                Effect::RefuseRead { request, rejection } => {
                    output.reads.push((request, Err(rejection)));
                }
                Effect::Notice(notice) => output.notices.push(notice),
            }
        }
        self.encoder.forget();
        // Carrying out an effect steps nothing, so the buffer can go back.
        self.core.effects = effects;
        Ok(())
    }

    /// What was being written of the removed entries is nobody's business any more.
    fn truncate(&mut self, end: LogEnd) {
        self.writing.retain(|(index, _, _)| *index <= end.index);
        self.committing.retain(|(index, _)| *index <= end.index);
        self.log.truncate(end);
        self.woken.0.store(true, Ordering::Relaxed);
    }

    fn write_hard_state(&mut self, state: HardState) {
        let mut superblock = self.superblock.take().expect("one hard state is written at a time");
        let future =
            Box::pin(async move { superblock.write_hard_state(state).await.map(|()| superblock) });
        self.hard_state_write = Some(HardStateWrite { state, future });
        self.woken.0.store(true, Ordering::Relaxed);
    }

    fn write_entry(&mut self, now: Now, index: LogIndex) {
        let (entry, body) = self.core.replica.entry(index);
        self.writing.push_back((index, now.monotonic, entry.end().since(entry.position)));
        self.log.append(entry, body, self.committed);
        if self.core.replica.view().role.leads() {
            self.committing.push_back((index, now.monotonic));
        }
    }

    /// Shows entries to readers.
    fn commit(&mut self, now: Now, index: LogIndex, end: Position, output: &mut Output) {
        let leads = self.core.replica.view().role.leads();
        while let Some((_, begun)) = self.committing.pop_front_if(|(own, _)| *own <= index) {
            let nanos = now.monotonic.nanos().saturating_sub(begun.nanos());
            // What a later leader commits says nothing of how long it takes.
            output.commits.extend(leads.then_some(Duration::from_nanos(nanos)));
        }
        while self.committed < index {
            self.committed = self.committed.next();
            let (entry, body) = self.core.replica.entry(self.committed);
            apply(&mut self.index, entry, body);
            self.events = entry.events_before + u64::from(entry.event_count);
        }
        self.end = end;
        self.log.note_committed(index);
    }

    fn note_space(&mut self, now: Now) {
        let full = self.log.room() == log::Room::Full || self.index.room() == index::Room::Full;
        if full != self.disk_full {
            self.disk_full = full;
            self.step(now, Input::DiskSpace { full });
        }
    }
}

/// Shows the events of an entry to readers.
fn apply(index: &mut Index, entry: &EntryHeader, body: &[u8]) {
    index.apply(entry, body).expect("the core made the body, or the log checked it");
}
