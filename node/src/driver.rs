//! The node's loop: tokio brings requests, packets and the disk's completions together, and the
//! engine gets one turn for all that has come.
//!
//! One thread, one runtime, no disk thread: the ring's descriptor lies in the same reactor as
//! QUIC's socket. Sessions hand proposals to the engine the moment they are parsed; the turn that
//! follows gathers them into one entry, submits once, and wakes each session once.

mod calls;
mod damage;
mod group;
mod keeping;
mod notices;
mod status;
mod wakeup;

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use quorate_core::id::{NodeId, Position, RequestId};
use quorate_core::request::{Change, Consistency, Outcome, Proposal, Rejection};
use quorate_core::time::{Instant, Now};
use quorate_net::Frame;
use quorate_net::clock::{self, Sleep};
use quorate_net::wire::{CallId, ClientLimits, ErrorCode, LeaderHint, Welcome};
use quorate_storage::index::IndexError;
use quorate_storage::log;
use quorate_storage::read::{ReadError, StoreReader};
use quorate_storage::superblock::Identity;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::oneshot;

use self::calls::{Call, Calls};
use self::damage::Damages;
pub(crate) use self::damage::tell_mended;
use self::keeping::Keeping;
pub use self::status::disk_name;
use self::wakeup::{Driven, Wakeup};
use crate::admin::{Phase, Shared};
use crate::config::Config;
use crate::engine::{Engine, Fault, Mended, Output};
use crate::gateway::Peer;
use crate::gateway::session::Outbox;
use crate::logger::{Fields, Logger, wall_clock};
use crate::peers::Links;
use crate::watch;

/// How often a stopping node looks whether all is done.
const STOP_POLL: Duration = Duration::from_millis(5);
/// So often the tasks that are ready run before the disk is begun, where frames were sent: first
/// those of the lanes, then those of the connections, which hand them to the kernel.
const PASSES_BEFORE_DISK: u32 = 2;
/// The loop turns at least this often, as a sign of life.
const PULSE: Duration = Duration::from_millis(500);

/// The node's loop, and what its sessions ask of it.
pub struct Driver {
    engine: RefCell<Engine>,
    reader: StoreReader,
    identity: Identity,
    config: Config,
    calls: RefCell<Calls>,
    wakeup: Wakeup,
    end: watch::Sender<Position>,
    leader: watch::Sender<Option<LeaderHint>>,
    links: Rc<Links>,
    shared: Arc<Shared>,
    logger: Logger,
    clocks: Box<dyn Clocks>,
    /// The clocks as this turn's inputs see them; read once a turn.
    now: Cell<Option<Now>>,
    stopping: watch::Sender<bool>,
    streams: Cell<usize>,
    /// When the costlier gauges were last brought up to date.
    measured: Cell<Instant>,
    keeping: RefCell<Keeping>,
    /// Damage that readers have met, each once.
    damage: watch::Sender<Damages>,
    watch: Option<Box<dyn Watch>>,
}

/// What sees each turn of a node: a simulator's observer.
pub trait Watch {
    /// The engine was opened on what the disk had kept.
    fn opened(&self, engine: &Engine);

    /// The engine has taken a turn; what came of it has not gone anywhere yet.
    ///
    /// - `stops`: it was its last one
    fn turned(&self, engine: &Engine, output: &Output, stops: bool);

    /// Before the engine can be opened, an attempt was made to mend what is damaged.
    fn mended_at_start(&self, mended: &Mended);

    /// A frame has come from another node; the engine has not seen it yet.
    fn heard(&self, from: NodeId, frame: &Frame);
}

/// A node's two clocks.
pub trait Clocks {
    /// What they show.
    fn now(&self) -> Now;

    /// When the monotonic one will show this, or has shown it.
    fn moment(&self, instant: Instant) -> clock::Instant;
}

/// Clocks that are right.
struct TrueClocks {
    started: clock::Instant,
}

impl Clocks for TrueClocks {
    fn now(&self) -> Now {
        let nanos = u64::try_from(self.started.elapsed().as_nanos()).expect("centuries pass first");
        Now { monotonic: Instant::from_nanos(nanos), wall: wall_clock() }
    }

    fn moment(&self, instant: Instant) -> clock::Instant {
        self.started + Duration::from_nanos(instant.nanos())
    }
}

/// One stream of one connection, while it is open.
pub(crate) struct OpenStream<'a>(&'a Cell<usize>);

impl Drop for OpenStream<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

impl Driver {
    /// Takes an engine in that was just opened.
    #[must_use]
    pub fn new(
        engine: Engine,
        identity: Identity,
        config: Config,
        shared: Arc<Shared>,
        logger: Logger,
        links: Rc<Links>,
    ) -> Self {
        Self {
            reader: engine.reader().clone(),
            engine: RefCell::new(engine),
            identity,
            config,
            calls: RefCell::default(),
            wakeup: Wakeup::default(),
            end: watch::Sender::new(Position::START),
            leader: watch::Sender::new(None),
            links,
            shared,
            logger,
            clocks: Box::new(TrueClocks { started: clock::Instant::now() }),
            now: Cell::new(None),
            stopping: watch::Sender::new(false),
            streams: Cell::new(0),
            measured: Cell::default(),
            keeping: RefCell::default(),
            damage: watch::Sender::default(),
            watch: None,
        }
    }

    /// Shows each turn to this from now on.
    #[must_use]
    pub fn watched_by(self, watch: Option<Box<dyn Watch>>) -> Self {
        Self { watch, ..self }
    }

    /// Tells the time by these clocks from now on.
    #[must_use]
    pub fn timed_by(self, clocks: Option<Box<dyn Clocks>>) -> Self {
        Self { clocks: clocks.unwrap_or(self.clocks), ..self }
    }

    /// Turns for ever, or until the disk fails.
    pub async fn run(&self) -> Fault {
        let readiness = self.readiness();
        let timer = clock::sleep(Duration::ZERO);
        let mut timer = std::pin::pin!(timer);
        let mut output = Output::default();
        let mut passes = 0;
        std::future::poll_fn(|context| {
            if passes > 1 {
                passes -= 1;
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            self.wakeup.begin(context);
            clear(readiness.as_ref(), context);
            match self.turn(&mut output) {
                Ok(sent) => {
                    passes = self.start_disk(sent, context);
                    self.set_timer(timer.as_mut(), context);
                    Poll::Pending
                }
                Err(fault) => Poll::Ready(fault),
            }
        })
        .await
    }

    /// A descriptor that is readable when the disk may have something to say.
    fn readiness(&self) -> Option<AsyncFd<OwnedFd>> {
        let owned = self.engine.borrow().io().with_disk(|disk| {
            let descriptor = disk.readiness()?;
            Some(descriptor.try_clone_to_owned().expect("a descriptor can be cloned"))
        })?;
        #[allow(deprecated, reason = "its replacement is unsafe; an owned descriptor is sound")]
        let watched = AsyncFd::with_interest(owned, Interest::READABLE);
        Some(watched.expect("the reactor takes one more descriptor"))
    }

    /// Begins what a turn has asked of the disk. Frames that it has sent go first: to begin a write
    /// takes as long as to send one, and a commit waits for the others' disks rather than for this
    /// one. Gives in how many passes the loop turns next, and so begins what has waited.
    fn start_disk(&self, sent: bool, context: &Context<'_>) -> u32 {
        if sent {
            context.waker().wake_by_ref();
            return PASSES_BEFORE_DISK;
        }
        self.engine.borrow().start_disk();
        0
    }

    /// Whether it has sent frames to other nodes.
    fn turn(&self, output: &mut Output) -> Result<bool, Fault> {
        let now = self.now();
        let mut engine = self.engine.borrow_mut();
        let result = engine.turn(now, output);
        self.now.set(None);
        if let Some(watch) = &self.watch {
            watch.turned(&engine, output, result.is_err());
        }
        self.shared.health.beat();
        let (_, end) = engine.committed();
        let leader = Self::leader_of(&engine);
        let sent = !output.sends.is_empty();
        self.deliver(now, engine.epoch().get(), output);
        self.leader.send_if_modified(|known| std::mem::replace(known, leader) != leader);
        self.end.send_if_modified(|known| std::mem::replace(known, end) != end);
        self.measure(&engine, now);
        result.map(|()| sent)
    }

    fn set_timer(&self, mut timer: Pin<&mut Sleep>, context: &mut Context<'_>) {
        let engine = self.engine.borrow();
        // A disk without a descriptor wakes the loop by itself.
        engine.io().with_disk(|disk| disk.wake_when_ready(context.waker()));
        if engine.wants_turn() {
            context.waker().wake_by_ref();
            return;
        }
        let pulse = clock::Instant::now() + PULSE;
        let wanted = engine.next_timer().map_or(pulse, |at| pulse.min(self.clocks.moment(at)));
        // Resetting costs more than waking once too often.
        if timer.is_elapsed() || wanted < timer.deadline() {
            timer.as_mut().reset(wanted);
        }
        if timer.poll(context).is_ready() {
            context.waker().wake_by_ref();
        }
    }

    fn deliver(&self, now: Now, epoch: u64, output: &mut Output) {
        let metrics = &self.shared.metrics;
        let mut calls = self.calls.borrow_mut();
        for (request, outcome) in output.replies.drain(..) {
            let Call::Change { outbox, call, bytes, events, arrived } = calls.take(request) else {
                unreachable!("only a change gets an outcome")
            };
            let nanos = now.monotonic.nanos().saturating_sub(arrived.nanos());
            metrics.append.record(Duration::from_nanos(nanos));
            match &outcome {
                Outcome::Appended(appended) => {
                    metrics.appends.add(1);
                    if appended.duplicate {
                        metrics.duplicates.add(1);
                    } else {
                        metrics.appended_events.add(events.into());
                        metrics.appended_bytes.add(bytes as u64);
                    }
                }
                Outcome::Refused(rejection) => metrics.refused(rejection),
                Outcome::Unknown => metrics.unknown.add(1),
            }
            outbox.answer(call, bytes, outcome);
        }
        for (request, bound) in output.reads.drain(..) {
            let Call::Read(waiting) = calls.take(request) else {
                unreachable!("only a read gets a bound")
            };
            // A reader that has gone away in the meantime wants no answer.
            let _gone = waiting.send(bound);
        }
        drop(calls);
        for (request, result) in output.transfers.drain(..) {
            self.transferred(now, request, result, epoch);
        }
        for outgoing in output.sends.drain(..) {
            self.links.send(outgoing);
        }
        for (took, bytes) in output.writes.drain(..) {
            metrics.log_writes.add(1);
            metrics.log_write_bytes.add(bytes);
            metrics.log_write.record(took);
        }
        for damage in output.damage.drain(..) {
            self.note_damage(&damage);
        }
        for took in output.commits.drain(..) {
            metrics.commit.record(took);
        }
        for sound in output.sound.drain(..) {
            self.note_sound(&sound);
        }
        for mended in output.mended.drain(..) {
            self.note_mended(&mended);
        }
        for notice in output.notices.drain(..) {
            self.notice(notice);
        }
    }

    /// Both clocks, the same for all inputs of a turn.
    fn now(&self) -> Now {
        if let Some(now) = self.now.get() {
            return now;
        }
        let now = self.clocks.now();
        self.now.set(Some(now));
        now
    }

    /// The settings.
    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// What the loop shares with the admin thread.
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Reads what is committed.
    pub(crate) fn reader(&self) -> &StoreReader {
        &self.reader
    }

    /// Where log lines go.
    pub(crate) fn logger(&self) -> &Logger {
        &self.logger
    }

    /// Tells of each new end of the committed log.
    pub(crate) fn end(&self) -> watch::Receiver<Position> {
        self.end.subscribe()
    }

    /// What a session is greeted with.
    pub(crate) fn welcome(&self) -> Welcome {
        let engine = self.engine.borrow();
        Welcome {
            log: self.identity.log,
            node: self.identity.node,
            name: self.name(),
            version: env!("CARGO_PKG_VERSION").into(),
            committed: engine.committed().1,
            limits: ClientLimits::from(&self.config.limits()),
            leader: Self::leader_of(&engine),
            members: self.members(),
        }
    }

    /// Hands a change to the engine; the answer goes to `outbox`.
    ///
    /// - `bytes`: what it holds while it waits
    pub(crate) fn propose<'a>(
        &self,
        outbox: Rc<Outbox>,
        call: CallId,
        bytes: usize,
        proposal: impl FnOnce(RequestId) -> Proposal<'a>,
    ) {
        let now = self.now();
        let arrived = now.monotonic;
        let mut calls = self.calls.borrow_mut();
        let proposal = proposal(calls.next());
        let events = match proposal.change {
            Change::Append { count, .. } => count,
            Change::Delete { .. } | Change::Tombstone { .. } => 1,
        };
        calls.insert(Call::Change { outbox, call, bytes, events, arrived });
        self.engine.borrow_mut().propose(now, proposal);
        self.wakeup.want();
    }

    /// The position below which a read that begins now may see.
    ///
    /// # Errors
    ///
    /// [`Rejection`] where the node does not lead, and the reader must see all.
    pub(crate) async fn read_bound(&self, consistency: Consistency) -> Result<Position, Rejection> {
        let (sender, receiver) = oneshot::channel();
        let request = self.calls.borrow_mut().insert(Call::Read(sender));
        self.engine.borrow_mut().read(self.now(), request, consistency);
        self.wakeup.want();
        receiver.await.unwrap_or(Err(Rejection::NotReady))
    }

    /// Runs a future that uses the disk.
    pub(crate) fn drive<F: Future>(&self, future: F) -> impl Future<Output = F::Output> {
        Driven { future: Box::pin(future), wakeup: &self.wakeup }
    }

    /// A stream was opened; it lasts as long as the guard.
    pub(crate) fn stream_opened(&self) -> OpenStream<'_> {
        self.streams.set(self.streams.get() + 1);
        OpenStream(&self.streams)
    }

    /// A client has sent something that it must not, or has not sent what it should.
    pub(crate) fn refused_peer(&self, peer: &Peer, reason: &str) {
        self.shared.metrics.connections_refused.add(1);
        let fields: Fields<'_> = &[("peer", &peer.address), ("reason", &reason)];
        self.logger.warn("bad-client", "a client was refused", fields);
    }

    /// A read has met damage or a failing disk: what its client is to be told.
    pub(crate) fn read_failed(&self, error: &ReadError) -> ErrorCode {
        self.note_damage(error);
        match error {
            ReadError::Log(log::ReadError::Disk(_)) | ReadError::Index(IndexError::Disk(_)) => {
                ErrorCode::Internal
            }
            ReadError::NotFound | ReadError::StreamDeleted => ErrorCode::InvalidRequest,
            ReadError::Log(_)
            | ReadError::Index(_)
            | ReadError::Frame { .. }
            | ReadError::Mismatch { .. } => ErrorCode::Corruption,
        }
    }

    /// Whether calls are no longer taken.
    pub(crate) fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }

    /// Waits until the node stops.
    pub(crate) async fn stopping(&self) {
        let mut stopping = self.stopping.subscribe();
        // It can't end otherwise: the driver holds the other side.
        let _told = stopping.wait_for(|stopping| *stopping).await;
    }

    /// Gives the lead away where the node has it; then takes no more calls, and waits until those
    /// under way are answered and all streams have ended, or `patience` is over. The loop must go on
    /// meanwhile.
    pub async fn stop(&self, patience: Duration) {
        let deadline = clock::Instant::now() + patience;
        // Where nobody takes over there is an election, as if the node had failed.
        let _elapsed = clock::timeout_at(deadline, self.hand_over()).await;
        self.stopping.send_replace(true);
        self.shared.health.enter(Phase::Stopping);
        while self.streams.get() > 0 && clock::Instant::now() < deadline {
            clock::sleep(STOP_POLL).await;
        }
    }

    /// Gives the engine back, once the loop has ended and nobody else holds the driver.
    #[must_use]
    pub fn into_engine(self) -> Engine {
        self.engine.into_inner()
    }
}

/// Takes the readiness away before the disk is drained: what completes after that makes it ready
/// again, and what completed before is seen by the turn. The reactor tells only of changes.
fn clear(readiness: Option<&AsyncFd<OwnedFd>>, context: &mut Context<'_>) {
    let Some(descriptor) = readiness else { return };
    while let Poll::Ready(ready) = descriptor.poll_read_ready(context) {
        ready.expect("the reactor lives as long as the loop").clear_ready();
    }
}
