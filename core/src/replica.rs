//! One replica of a group: the machine that `step` drives.
//!
//! It alone knows both halves, the store that decides and the consensus that makes durable, and
//! passes between them. A change goes: propose → decided and gathered → entry written → committed →
//! reply. Each arrow is an input or an effect; nothing is said before the input that makes it true.

mod answers;
mod propose;
mod view;

use alloc::vec::Vec;

use crate::consensus::Consensus;
use crate::digest::Digest;
use crate::effect::{Effect, Effects};
use crate::id::{ChainHash, Epoch, LogIndex, RequestId};
use crate::input::{Boot, Input};
use crate::limits::Limits;
use crate::log::entry::EntryHeader;
use crate::log::tail::Tail;
use crate::mutant::{Mutant, Switch};
use crate::notice::Notice;
use crate::recording::{Recorded, RecordingError, Sink, Source, recorded};
use crate::request::{Consistency, Outcome, Rejection};
use crate::store::Store;
use crate::store::decide::Loaded;
use crate::store::keys::Keys;
use crate::store::recent_ids::RecoveredIds;
use crate::store::waiting::Waiting;
use crate::time::{Instant, Now};
use answers::Answers;

pub use view::{PeerView, RoleView, View};

/// One replica of one group. It is plain data: a clone goes on like the original.
#[derive(Clone, Debug)]
pub struct Replica {
    limits: Limits,
    mutants: Switch,
    state: State,
}

#[derive(Clone, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "there is one, and it is running nearly all its life"
)]
enum State {
    /// It reads what a start must know of the log.
    Recovering(Recovering),
    Running(Running),
}

/// What a replica is before [`Input::Boot`].
#[derive(Clone, Debug)]
struct Recovering {
    ids: RecoveredIds,
    /// Entries that are not known to be committed.
    entries: Vec<(EntryHeader, Vec<u8>)>,
}

/// What a replica is after [`Input::Boot`].
#[derive(Clone, Debug)]
struct Running {
    limits: Limits,
    consensus: Consensus,
    tail: Tail,
    store: Store,
    waiting: Waiting,
    answers: Answers,
    /// The epoch in which it leads, as the store knows it.
    reign: Option<Epoch>,
    /// Whether it has told that it takes appends in this reign.
    told_ready: bool,
    /// Committed entries are lent until the first step after the end of a turn.
    turn_ended: bool,
    mutants: Switch,
}

recorded!(struct Running {
    limits, consensus, tail, store, waiting, answers, reign, told_ready, turn_ended; mutants
});

impl Replica {
    /// A replica that knows nothing yet.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self::with_mutant(limits, None)
    }

    /// A replica with a deliberate break, or none.
    ///
    /// # Panics
    ///
    /// Where one is wanted and the crate was built without its feature `mutants`.
    #[must_use]
    pub fn with_mutant(limits: Limits, mutant: Option<Mutant>) -> Self {
        let mutants = Switch::new(mutant);
        let limits = limits.checked();
        let ids = RecoveredIds::new(limits.recent_ids_max);
        let state = State::Recovering(Recovering { ids, entries: Vec::new() });
        Self { limits, mutants, state }
    }

    /// Takes in one thing that happened, and adds to `effects` what is now to be done.
    ///
    /// # Panics
    ///
    /// Where the shell breaks the order that [`Input`] demands.
    pub fn step(&mut self, now: Now, input: Input<'_>, effects: &mut Effects) {
        match (&mut self.state, input) {
            (State::Recovering(recovering), Input::Recovered { entry, body, committed: true }) => {
                assert!(recovering.entries.is_empty(), "what is committed comes first");
                recovering.ids.push(entry, body);
            }
            (State::Recovering(recovering), Input::Recovered { entry, body, committed: false }) => {
                recovering.entries.push((*entry, body.to_vec()));
            }
            (State::Recovering(recovering), Input::Boot(boot)) => {
                let ids = core::mem::take(&mut recovering.ids);
                let entries = core::mem::take(&mut recovering.entries);
                let recovering = Recovering { ids, entries };
                let running = Running::boot(self.limits, boot, recovering, self.mutants, effects);
                self.state = State::Running(running);
            }
            (State::Recovering(_), _) => panic!("a replica is booted before all else"),
            (State::Running(running), input) => running.step(now, input, effects),
        }
    }

    /// An entry that is in memory: each that is not committed, or was committed in this turn, or is
    /// not on this node's disk.
    ///
    /// # Panics
    ///
    /// Where it is none of these.
    #[must_use]
    pub fn entry(&self, index: LogIndex) -> (&EntryHeader, &[u8]) {
        self.running().tail.entry(index)
    }

    /// The chain up to and with an entry, where that is known without reading the log.
    #[must_use]
    pub fn chain_at(&self, index: LogIndex) -> Option<ChainHash> {
        self.running().tail.chain_at(index)
    }

    /// When to step [`Input::Tick`] next, by the monotonic clock; never for a group of one.
    #[must_use]
    pub fn next_tick(&self) -> Option<Instant> {
        self.running().consensus.next_tick()
    }

    /// What it is and knows, to look at.
    #[must_use]
    pub fn view(&self) -> View {
        let Running { consensus, tail, .. } = self.running();
        View::of(consensus, tail)
    }

    /// The other voters, to look at.
    pub fn peers(&self) -> impl Iterator<Item = PeerView> + '_ {
        PeerView::all(&self.running().consensus)
    }

    fn running(&self) -> &Running {
        match &self.state {
            State::Recovering(_) => panic!("a replica is booted before all else"),
            State::Running(running) => running,
        }
    }

    /// The invariants between any two inputs. Slow: for tests and simulations.
    ///
    /// # Panics
    ///
    /// Where one is broken.
    pub fn check(&self) {
        if let State::Running(running) = &self.state {
            running.check();
        }
    }

    /// Writes its state, from which [`Replica::from_recording`] makes one that goes on like it.
    ///
    /// # Panics
    ///
    /// Before it was booted.
    pub fn record(&self, out: &mut impl Sink) {
        self.running().record(out);
    }

    /// A replica as it was when it was recorded, but for its mistake.
    ///
    /// # Errors
    ///
    /// [`RecordingError`] where the bytes are no state of a replica.
    ///
    /// # Panics
    ///
    /// Where a mistake is wanted and the crate was built without its feature `mutants`.
    pub fn from_recording(bytes: &[u8], mutant: Option<Mutant>) -> Result<Self, RecordingError> {
        let mut source = Source::new(bytes);
        let mut running = <Running as Recorded>::read(&mut source)?;
        let limits = running.limits;
        if source.left() > 0 || limits.problem().is_some() {
            return Err(RecordingError::Malformed { what: "replica" });
        }
        let mutants = Switch::new(mutant);
        running.mutants = mutants;
        running.consensus.break_by(mutants);
        Ok(Self { limits, mutants, state: State::Running(running) })
    }

    /// Adds what changes from turn to turn and is quickly looked at: all of the consensus, and of
    /// the rest its extent.
    pub(crate) fn sketch(&self, out: &mut impl Sink) {
        let running = self.running();
        running.consensus.record(out);
        running.tail.sketch(out);
        running.store.sketch(out);
        running.waiting.sketch(out);
        running.answers.sketch(out);
        running.reign.record(out);
    }

    /// A hash of the state: two replicas that were stepped with the same inputs have the same.
    #[must_use]
    pub fn digest(&self) -> u64 {
        self.digest_with(true)
    }

    /// A hash of the state but for its timers: of two replicas with the same, each can do what the
    /// other can, though not at the same time.
    #[must_use]
    pub fn timeless_digest(&self) -> u64 {
        self.digest_with(false)
    }

    fn digest_with(&self, timers: bool) -> u64 {
        let mut digest = Digest::new(timers);
        if let State::Running(running) = &self.state {
            running.digest(&mut digest);
        }
        digest.finish()
    }
}

impl Running {
    fn boot(
        limits: Limits,
        boot: &Boot<'_>,
        recovering: Recovering,
        mutants: Switch,
        effects: &mut Effects,
    ) -> Self {
        // One half of the seed is a secret, the other names reigns.
        let secret = boot.seed[..16].try_into().expect("16 of 32 bytes");
        let keys = Keys::new(&secret);
        let recent = recovering.ids.into_window(keys, boot.committed.position);
        let mut tail = Tail::open(boot.log, boot.committed);
        for (header, body) in &recovering.entries {
            tail.recover(header, body);
        }
        assert!(*tail.end() == boot.end, "what is behind the last committed entry was given");
        Self {
            limits,
            consensus: Consensus::boot(boot, &limits, &tail, mutants, effects),
            tail,
            store: Store::new(&limits, keys, recent),
            waiting: Waiting::default(),
            answers: Answers::new(boot.committed.index),
            reign: None,
            told_ready: false,
            turn_ended: false,
            mutants,
        }
    }

    fn step(&mut self, now: Now, input: Input<'_>, effects: &mut Effects) {
        if core::mem::take(&mut self.turn_ended) {
            self.tail.release();
        }
        // What is asked to be written must still be there when the shell looks: a later input of the
        // same turn may bring another leader, whose entries take its place. Nobody does that to a
        // node alone.
        let may_submit = matches!(input, Input::EndTurn) || self.consensus.is_alone();
        let Self { consensus, tail, .. } = self;
        if let Input::HeadLoaded { .. }
        | Input::HeadUnreadable { .. }
        | Input::IdsLoaded { .. }
        | Input::IdsUnreadable { .. } = input
        {
            consensus.disk.has_read();
        }
        match input {
            Input::Recovered { .. } | Input::Boot(_) => panic!("a replica is booted once"),
            Input::HardStateWritten(state) => {
                consensus.hard_state_written(now, state, tail, effects);
            }
            Input::EntryWritten { epoch, index } => {
                consensus.entry_written(epoch, index, tail);
            }
            Input::Received { from, message, entries } => {
                consensus.receive(now, from, message, entries, tail, effects);
            }
            Input::PeerUp { node } => consensus.set_link(node, true),
            Input::PeerDown { node } => consensus.set_link(node, false),
            Input::SentFromLog { to, session, last } => {
                consensus.sent_from_log(to, session, last, effects);
            }
            Input::Truncated { index } => consensus.truncated(index, effects),
            Input::Tick => consensus.tick(now, self.waiting.is_loading(), tail, effects),
            Input::DiskFailed => consensus.disk_failed(tail, effects),
            Input::Transfer { request, to } => consensus.transfer(request, to, effects),
            Input::Propose(proposal) => self.propose(now, &proposal, effects),
            Input::HeadLoaded { stream, epoch, head } => {
                if self.reign == Some(epoch) {
                    self.head_loaded(now, stream, &head, effects);
                }
            }
            Input::IdsLoaded { request, ids, position } => {
                if let Some((key, first)) = self.waiting.ids_arrived(request) {
                    self.resume(now, key, Some(Loaded { first, ids, position }), effects);
                }
            }
            Input::HeadUnreadable { stream, epoch } => {
                if self.reign == Some(epoch) {
                    self.head_unreadable(stream, effects);
                }
            }
            Input::IdsUnreadable { request } => self.ids_unreadable(now, request, effects),
            Input::Read { request, consistency } => self.read(request, consistency, effects),
            Input::DiskSpace { full } => consensus.disk.set_full(full, effects),
            Input::EndTurn => {
                self.end_turn(effects);
                self.turn_ended = true;
            }
        }
        self.settle(now, may_submit, effects);
    }

    /// Entries are made of what has gathered, while the disks have room for them.
    fn end_turn(&mut self, effects: &mut Effects) {
        while self.tail.gathered_bytes() > 0 && self.has_room() {
            self.seal();
        }
        self.consensus.end_turn(&self.tail, effects);
    }

    /// Whether another entry may go out. One takes a place until it is on the own disk or, where
    /// that is slower than others, committed.
    fn has_room(&self) -> bool {
        let end = self.tail.end().index.get();
        let durable = self.consensus.disk.durable().index.get();
        let unwritten = self.consensus.disk.in_flight(&self.tail)
            + (end - self.tail.submitted().get().max(durable));
        let uncommitted = end - self.consensus.committed().get();
        unwritten.min(uncommitted) < u64::from(self.limits.log_writes_in_flight_max)
            && uncommitted < u64::from(self.limits.entries_uncommitted_max)
    }

    /// Makes an entry of what has gathered.
    fn seal(&mut self) {
        let header = self.tail.seal_events(self.consensus.epoch());
        let moved = header.body_position().since(Tail::provisional_position(header.position, 0));
        self.store.recent.settle(header.event_count, moved);
    }

    /// Takes in what has changed in the agreement: first that this node leads no more, then what is
    /// committed.
    ///
    /// - `may_submit`: whether entries may be handed to the disk now
    fn settle(&mut self, now: Now, may_submit: bool, effects: &mut Effects) {
        let reign = self.consensus.reign();
        if reign != self.reign {
            if self.reign.is_some() {
                self.deposed(effects);
            }
            self.reign = reign;
            self.told_ready = false;
        }
        if may_submit {
            self.consensus.submit(&mut self.tail, effects);
        }
        // What is not at the disk yet can't be read there.
        let committed = self.consensus.committed().min(self.tail.submitted());
        if committed > self.tail.committed().index {
            self.commit(now, committed, effects);
        }
        self.tail.settle(self.consensus.disk.durable().index);
    }

    /// Another node leads, or nobody. What was under way may be finished by the next leader, or
    /// not.
    fn deposed(&mut self, effects: &mut Effects) {
        let leader = self.consensus.leader();
        let acks = self.mutants.is(Mutant::AcksWhenDeposed);
        self.answers.give_up(|request, answer| {
            let outcome = if acks { answer.outcome_now() } else { Outcome::Unknown };
            effects.push(Effect::Reply { request, outcome });
        });
        for request in self.waiting.give_up() {
            refuse(request, Rejection::NotLeader { leader }, effects);
        }
        self.store.forget_pending(self.tail.committed().position);
    }

    /// Shows what is newly committed to readers, and then to those who wait for it.
    fn commit(&mut self, now: Now, committed: LogIndex, effects: &mut Effects) {
        let end = self.tail.entry(committed).0.end();
        effects.push(Effect::Commit { index: committed, end });
        while self.tail.committed().index < committed {
            let (entry, body) = self.tail.commit_next();
            // A leader's own appends are in the window since they were decided.
            if self.reign != Some(entry.epoch) {
                self.store.follow(entry, body);
            }
            self.answers.commit(entry, |request, outcome| {
                effects.push(Effect::Reply { request, outcome });
            });
        }
        self.tell_ready(effects);
        while let Some(key) = self.waiting.commit_arrived(committed) {
            self.resume(now, key, None, effects);
        }
    }

    fn tell_ready(&mut self, effects: &mut Effects) {
        if let (Some(epoch), Some(index)) = (self.reign, self.consensus.epoch_record())
            && !self.told_ready
            && self.tail.committed().index >= index
        {
            self.told_ready = true;
            effects.push(Effect::Notice(Notice::Leading { epoch, index }));
        }
    }

    fn read(&mut self, request: RequestId, consistency: Consistency, effects: &mut Effects) {
        let limit = self.limits.pending_reads_max as usize;
        let refusal = match consistency {
            Consistency::Committed => return self.serve_read(request, effects),
            Consistency::Linearizable if self.reign.is_none() => self.not_leading(),
            Consistency::Linearizable if self.consensus.is_alone() && self.consensus.is_ready() => {
                return self.serve_read(request, effects);
            }
            Consistency::Linearizable if self.consensus.pending_reads() >= limit => {
                Rejection::Overloaded
            }
            Consistency::Linearizable => return self.consensus.read(request),
        };
        effects.push(Effect::RefuseRead { request, rejection: refusal });
    }

    /// Appends that were taken and not answered.
    fn pending_appends(&self) -> usize {
        self.answers.count() + self.waiting.count() + self.consensus.pending_answers()
    }

    fn serve_read(&self, request: RequestId, effects: &mut Effects) {
        let end = self.tail.committed().position;
        effects.push(Effect::ServeRead { request, end });
    }

    fn not_leading(&self) -> Rejection {
        if self.consensus.is_alone() {
            return Rejection::NotReady;
        }
        Rejection::NotLeader { leader: self.consensus.leader() }
    }

    fn check(&self) {
        self.consensus.check(&self.tail);
        self.tail.check();
        self.store.check();
        self.waiting.check();
        let committed = self.tail.committed().index;
        self.answers.check(committed, self.tail.next_index());
        assert!(self.reign == self.consensus.reign(), "both know who leads");
        if self.reign.is_none() {
            assert!(self.answers.count() == 0, "nobody waits for a node that does not lead");
            assert!(self.waiting.count() == 0, "nobody waits for a node that does not lead");
        }
        let limits = &self.limits;
        let appends = self.pending_appends();
        assert!(appends <= limits.pending_appends_max as usize, "pending appends are bounded");
    }

    fn digest(&self, digest: &mut Digest) {
        self.consensus.digest(digest);
        let hasher = digest.hasher();
        self.tail.digest(hasher);
        self.store.digest(hasher);
        self.waiting.digest(hasher);
        hasher.update(&(self.answers.count() as u64).to_le_bytes());
    }
}

fn refuse(request: RequestId, rejection: Rejection, effects: &mut Effects) {
    effects.push(Effect::Reply { request, outcome: Outcome::Refused(rejection) });
}
