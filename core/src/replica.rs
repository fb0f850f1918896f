//! One replica of a group: the machine that `step` drives.
//!
//! It alone knows both halves, the store that decides and the consensus that makes durable, and
//! passes between them. A change goes: propose → decided and gathered → entry written → committed →
//! reply. Each arrow is an input or an effect; nothing is said before the input that makes it true.

mod answers;

use crate::consensus::Consensus;
use crate::effect::{Effect, Effects};
use crate::id::{LogIndex, Position, RequestId, Revision};
use crate::input::{Boot, HardState, Input, LoadedHead};
use crate::limits::Limits;
use crate::log::entry::EntryHeader;
use crate::log::epoch_record::EpochRecord;
use crate::log::tail::Tail;
use crate::notice::Notice;
use crate::request::{Appended, Outcome, Proposal, Rejection};
use crate::store::decide::{Decision, Loaded};
use crate::store::heads::Pins;
use crate::store::keys::{Keys, StreamKey};
use crate::store::recent_ids::RecoveredIds;
use crate::store::waiting::{Blocker, Held, Waiting, proposal_bytes};
use crate::store::{Opening, Store, Target, validate};
use crate::time::Now;
use answers::{Answer, Answers};

/// One replica of one group.
#[derive(Debug)]
pub struct Replica {
    limits: Limits,
    state: State,
}

#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "there is one, and it is running nearly all its life"
)]
enum State {
    /// It reads what a start must know of the log.
    Recovering(RecoveredIds),
    Running(Running),
}

/// What a replica is after [`Input::Boot`].
#[derive(Debug)]
struct Running {
    limits: Limits,
    boot: Boot,
    consensus: Consensus,
    tail: Tail,
    store: Store,
    waiting: Waiting,
    answers: Answers,
    /// Entry writes that were asked for and have not finished.
    writes_in_flight: u32,
    disk_full: bool,
    /// Committed entries are lent until the first step after the end of a turn.
    turn_ended: bool,
}

impl Replica {
    /// A replica that knows nothing yet.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        let limits = limits.checked();
        Self { limits, state: State::Recovering(RecoveredIds::new(limits.recent_ids_max)) }
    }

    /// Takes in one thing that happened, and adds to `effects` what is now to be done.
    ///
    /// # Panics
    ///
    /// Where the shell breaks the order that [`Input`] demands.
    pub fn step(&mut self, now: Now, input: Input<'_>, effects: &mut Effects) {
        match (&mut self.state, input) {
            (State::Recovering(recovered), Input::Recovered { entry, body }) => {
                recovered.push(entry, body);
            }
            (State::Recovering(recovered), Input::Boot(boot)) => {
                let recovered = core::mem::take(recovered);
                self.state = State::Running(Running::boot(self.limits, boot, recovered, effects));
            }
            (State::Recovering(_), _) => panic!("a replica is booted before all else"),
            (State::Running(running), input) => running.step(now, input, effects),
        }
    }

    /// An entry that is not committed, or was committed in this turn.
    ///
    /// # Panics
    ///
    /// Where it is neither.
    #[must_use]
    pub fn entry(&self, index: LogIndex) -> (&EntryHeader, &[u8]) {
        match &self.state {
            State::Recovering(_) => panic!("a replica is booted before all else"),
            State::Running(running) => running.tail.entry(index),
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

    /// A hash of the state: two replicas that were stepped with the same inputs have the same.
    #[must_use]
    pub fn digest(&self) -> u64 {
        let mut hasher = blake3::Hasher::new();
        if let State::Running(running) = &self.state {
            running.digest(&mut hasher);
        }
        let bytes = hasher.finalize().as_bytes()[..8].try_into().expect("8 of 32 bytes");
        u64::from_le_bytes(bytes)
    }
}

impl Running {
    fn boot(limits: Limits, boot: &Boot, recovered: RecoveredIds, effects: &mut Effects) -> Self {
        // One half of the seed is a secret, the other goes into the epoch record.
        let secret = boot.seed[..16].try_into().expect("16 of 32 bytes");
        let keys = Keys::new(&secret);
        let recent = recovered.into_window(keys, boot.end.position);
        let consensus = Consensus::campaign(boot.node, boot.hard_state, &boot.end);
        effects.push(Effect::Notice(Notice::Campaigning { epoch: consensus.epoch() }));
        effects.push(Effect::WriteHardState(consensus.hard_state()));
        Self {
            limits,
            boot: *boot,
            consensus,
            tail: Tail::open(boot.log, boot.end),
            store: Store::new(&limits, keys, recent),
            waiting: Waiting::default(),
            answers: Answers::new(boot.end.index),
            writes_in_flight: 0,
            disk_full: false,
            turn_ended: false,
        }
    }

    fn step(&mut self, now: Now, input: Input<'_>, effects: &mut Effects) {
        if core::mem::take(&mut self.turn_ended) {
            self.tail.release();
        }
        match input {
            Input::Recovered { .. } | Input::Boot(_) => panic!("a replica is booted once"),
            Input::HardStateWritten { epoch } => {
                if self.consensus.hard_state_written(epoch) {
                    self.lead(now, effects);
                }
            }
            Input::EntryWritten { epoch, index } => {
                if epoch == self.consensus.epoch() {
                    self.entry_written(now, index, effects);
                }
            }
            Input::Propose(proposal) => self.propose(now, &proposal, effects),
            Input::HeadLoaded { stream, head } => self.head_loaded(now, stream, &head, effects),
            Input::IdsLoaded { request, ids, position } => {
                if let Some((key, first)) = self.waiting.ids_arrived(request) {
                    self.resume(now, key, Some(Loaded { first, ids, position }), effects);
                }
            }
            Input::HeadUnreadable { stream } => self.head_unreadable(stream, effects),
            Input::IdsUnreadable { request } => self.ids_unreadable(now, request, effects),
            Input::Read { request } => self.read(request, effects),
            Input::DiskSpace { full } => {
                if full != self.disk_full {
                    self.disk_full = full;
                    effects.push(Effect::Notice(Notice::DiskSpace { full }));
                }
            }
            Input::EndTurn => {
                self.write_entries(effects);
                self.turn_ended = true;
            }
        }
    }

    /// It is elected: its epoch record goes first.
    fn lead(&mut self, now: Now, effects: &mut Effects) {
        let HardState { epoch, .. } = self.consensus.hard_state();
        let end = *self.tail.end();
        let record = EpochRecord {
            id: self.boot.seed[16..].try_into().expect("16 of 32 bytes"),
            lineage: self.boot.log.lineage,
            epoch,
            node: self.boot.node,
            disk: self.boot.disk,
            previous_epoch: end.epoch,
            previous_index: end.index,
            previous_chain: end.chain,
            created: now.wall,
        };
        let index = self.tail.seal_epoch(epoch, &record.encode()).index;
        self.consensus.lead(index);
        self.write_entries(effects);
    }

    /// Asks for writes as long as the disk has room for them: of entries that are ready, and then
    /// of what has gathered.
    fn write_entries(&mut self, effects: &mut Effects) {
        while self.writes_in_flight < self.limits.log_writes_in_flight_max {
            let index = match self.tail.submit() {
                Some(index) => index,
                None if self.tail.gathered_bytes() > 0 => {
                    self.seal();
                    self.tail.submit().expect("one was sealed")
                }
                None => return,
            };
            self.writes_in_flight += 1;
            effects.push(Effect::WriteEntry(index));
        }
    }

    /// Makes an entry of what has gathered.
    fn seal(&mut self) {
        let header = self.tail.seal_events(self.consensus.epoch());
        let moved = header.body_position().since(Tail::provisional_position(header.position, 0));
        self.store.recent.settle(header.event_count, moved);
    }

    fn entry_written(&mut self, now: Now, index: LogIndex, effects: &mut Effects) {
        assert!(self.tail.is_submitted(index), "what finishes was asked for");
        self.writes_in_flight -= 1;
        if self.consensus.written(index) {
            self.commit(now, effects);
        }
    }

    /// Shows what is newly committed to readers, and then to those who wait for it.
    fn commit(&mut self, now: Now, effects: &mut Effects) {
        let committed = self.consensus.committed();
        let was_ready = self.tail.committed().epoch == self.consensus.epoch();
        let end = self.tail.entry(committed).0.end();
        effects.push(Effect::Commit { index: committed, end });
        while self.tail.committed().index < committed {
            let entry = self.tail.commit_next();
            self.answers.commit(entry, |request, outcome| {
                effects.push(Effect::Reply { request, outcome });
            });
        }
        if !was_ready {
            let (epoch, index) = (self.consensus.epoch(), committed);
            effects.push(Effect::Notice(Notice::Leading { epoch, index }));
        }
        while let Some(key) = self.waiting.commit_arrived(committed) {
            self.resume(now, key, None, effects);
        }
    }

    fn propose(&mut self, now: Now, proposal: &Proposal<'_>, effects: &mut Effects) {
        if let Err(rejection) = self.admit(proposal) {
            if rejection == Rejection::Overloaded {
                effects.push(Effect::Notice(Notice::Overloaded));
            }
            refuse(proposal.request, rejection, effects);
            return;
        }
        let target = self.store.target(proposal.stream);
        if self.waiting.is_waiting(target.owner_key) {
            self.waiting.join(target.owner_key, proposal);
        } else if let Some(blocker) = self.decide(now, proposal, &target, None, effects) {
            self.waiting.block(target.owner_key, Held::copy(proposal), blocker);
        }
    }

    /// Whether a proposal may be decided at all.
    fn admit(&self, proposal: &Proposal<'_>) -> Result<(), Rejection> {
        if !self.consensus.is_ready() {
            return Err(Rejection::NotReady);
        }
        validate::validate(&self.limits, proposal)?;
        if self.disk_full {
            return Err(Rejection::DiskFull);
        }
        let appends = self.answers.count() + self.waiting.count();
        let bytes = self.tail.pending_bytes() + self.waiting.bytes() + proposal_bytes(proposal);
        let overloaded = appends >= self.limits.pending_appends_max as usize
            || bytes > u64::from(self.limits.pending_bytes_max);
        if overloaded { Err(Rejection::Overloaded) } else { Ok(()) }
    }

    /// Decides a proposal and does what was decided; or says what it must wait for, and asks for
    /// that.
    fn decide(
        &mut self,
        now: Now,
        proposal: &Proposal<'_>,
        target: &Target<'_>,
        loaded: Option<Loaded<'_>>,
        effects: &mut Effects,
    ) -> Option<Blocker> {
        let request = proposal.request;
        let Some(decision) = self.store.decide(proposal, target, loaded) else {
            effects.push(Effect::LoadHead { stream: target.owner.into() });
            return Some(Blocker::Head);
        };
        match decision {
            Decision::Write => self.write(now, proposal, target, effects),
            Decision::Duplicate { first, last, position } => {
                effects.push(Effect::Notice(Notice::DuplicateAppend));
                let answer = self.duplicate(first, last, position);
                self.answer(target, request, answer, effects);
            }
            Decision::Holds => self.answer(target, request, Answer::Holds, effects),
            Decision::Refuse(rejection) => {
                let answer = Answer::Settled(Outcome::Refused(rejection));
                self.answer(target, request, answer, effects);
            }
            Decision::ReadIds { first, count } => {
                let rests_on = self.store.rests_on(target);
                if rests_on > self.consensus.committed() {
                    return Some(Blocker::Commit(rests_on));
                }
                let stream = proposal.stream.into();
                effects.push(Effect::LoadIds { request, stream, first, count });
                return Some(Blocker::Ids(first));
            }
        }
        None
    }

    fn write(
        &mut self,
        now: Now,
        proposal: &Proposal<'_>,
        target: &Target<'_>,
        effects: &mut Effects,
    ) {
        let mut opening = Opening {
            index: self.tail.next_index(),
            start: self.tail.end().position,
            gathering: self.tail.gathering(),
        };
        let written = self.store.write(proposal, target, now.wall, &mut opening);
        let entry = opening.index;
        let answer = Answer::Written {
            first: written.first,
            last: written.last,
            offset: written.offset,
            duplicate: false,
        };
        self.answers.keep(entry, proposal.request, answer);
        if self.tail.gathered_bytes() >= self.limits.entry_bytes_target as usize {
            self.seal();
            self.write_entries(effects);
        }
    }

    /// The answer to a retry. The position of an event that still gathers is not known yet.
    fn duplicate(&self, first: Revision, last: Revision, position: Position) -> Answer {
        let gathers_from = Tail::provisional_position(self.tail.end().position, 0);
        if position >= gathers_from {
            let offset = position.since(gathers_from) as usize;
            return Answer::Written { first, last, offset, duplicate: true };
        }
        let (first, last) = (Some(first), Some(last));
        Answer::Settled(Outcome::Appended(Appended { first, last, position, duplicate: true }))
    }

    /// Tells a client, once what the answer rests on is committed.
    fn answer(
        &mut self,
        target: &Target<'_>,
        request: RequestId,
        answer: Answer,
        effects: &mut Effects,
    ) {
        let rests_on = self.store.rests_on(target);
        if rests_on > self.consensus.committed() {
            self.answers.keep(rests_on, request, answer);
            return;
        }
        let outcome = match answer {
            Answer::Settled(outcome) => outcome,
            Answer::Holds => Outcome::Appended(Appended {
                first: None,
                last: None,
                position: self.tail.committed().position,
                duplicate: false,
            }),
            Answer::Written { .. } => unreachable!("what gathers is not committed"),
        };
        effects.push(Effect::Reply { request, outcome });
    }

    fn head_loaded(
        &mut self,
        now: Now,
        stream: &str,
        head: &LoadedHead<'_>,
        effects: &mut Effects,
    ) {
        let key = self.store.key(stream);
        if self.waiting.wants_head(key) {
            let committed = self.consensus.committed();
            self.store.head_loaded(key, head, &Pins { committed, waiting: &self.waiting });
            self.resume(now, key, None, effects);
        }
    }

    /// Nobody who waits for this stream can be told more; who asks later makes another attempt.
    fn head_unreadable(&mut self, stream: &str, effects: &mut Effects) {
        let key = self.store.key(stream);
        if self.waiting.wants_head(key) {
            while let Some(held) = self.waiting.take_first(key) {
                refuse(held.proposal().request, Rejection::Damaged, effects);
            }
            self.waiting.close(key);
        }
    }

    fn ids_unreadable(&mut self, now: Now, request: RequestId, effects: &mut Effects) {
        if let Some((key, _)) = self.waiting.ids_arrived(request) {
            let first = self.waiting.take_first(key).expect("who asked still waits");
            assert!(first.proposal().request == request, "the first of a line has asked");
            refuse(request, Rejection::Damaged, effects);
            self.resume(now, key, None, effects);
        }
    }

    /// Decides those who wait in line for a stream, until one has to wait again.
    ///
    /// - `loaded`: what the first of them has asked for
    fn resume(
        &mut self,
        now: Now,
        key: StreamKey,
        mut loaded: Option<Loaded<'_>>,
        effects: &mut Effects,
    ) {
        while let Some(held) = self.waiting.take_first(key) {
            let proposal = held.proposal();
            let target = self.store.target(proposal.stream);
            if let Some(blocker) = self.decide(now, &proposal, &target, loaded.take(), effects) {
                self.waiting.block(key, held, blocker);
                return;
            }
        }
        self.waiting.close(key);
    }

    fn read(&self, request: RequestId, effects: &mut Effects) {
        effects.push(if self.consensus.is_ready() {
            Effect::ServeRead { request, end: self.tail.committed().position }
        } else {
            Effect::RefuseRead { request, rejection: Rejection::NotReady }
        });
    }

    fn check(&self) {
        self.consensus.check();
        self.tail.check();
        self.store.check();
        self.waiting.check();
        let committed = self.tail.committed().index;
        self.answers.check(committed, self.tail.next_index());
        if self.consensus.is_ready() {
            assert!(committed == self.consensus.committed(), "both count the same commits");
        }
        let limits = &self.limits;
        assert!(self.writes_in_flight <= limits.log_writes_in_flight_max, "writes are bounded");
        let appends = self.answers.count() + self.waiting.count();
        assert!(appends <= limits.pending_appends_max as usize, "pending appends are bounded");
    }

    fn digest(&self, hasher: &mut blake3::Hasher) {
        self.consensus.digest(hasher);
        self.tail.digest(hasher);
        self.store.digest(hasher);
        self.waiting.digest(hasher);
        let numbers = [
            self.answers.count() as u64,
            u64::from(self.writes_in_flight),
            u64::from(self.disk_full),
        ];
        for number in numbers {
            hasher.update(&number.to_le_bytes());
        }
    }
}

fn refuse(request: RequestId, rejection: Rejection, effects: &mut Effects) {
    effects.push(Effect::Reply { request, outcome: Outcome::Refused(rejection) });
}
