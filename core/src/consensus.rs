//! Who leads, which entries every node has, and which of them are committed.
//!
//! An entry's body is opaque bytes here. `docs/protocol.md` tells the protocol as states and
//! messages, and names the function of each rule.

pub(crate) mod commit;
pub(crate) mod disk;
pub(crate) mod election;
pub(crate) mod follower;
mod patience;
pub(crate) mod peer;
pub(crate) mod promise;
pub(crate) mod quorum;
pub(crate) mod reads;
mod receive;
pub(crate) mod reign;
pub(crate) mod remote;
pub(crate) mod transfer;

use alloc::vec::Vec;

use crate::digest::Digest;
use crate::effect::{Effect, Effects, Halt};
use crate::id::{DiskId, Epoch, LogIndex, NodeId, Round, Session};
use crate::input::{Boot, HardState};
use crate::limits::Limits;
use crate::log::entry::LogEnd;
use crate::log::epoch_record::EpochRecord;
use crate::log::tail::Tail;
use crate::member::MEMBERS_MAX;
use crate::message::Message;
use crate::mutant::{Mutant, Switch};
use crate::notice::{Notice, StepDown};
use crate::random::Random;
use crate::recording::recorded;
use crate::request::{Outcome, Rejection};
use crate::time::{Instant, Now};
use crate::timing::Timing;
use disk::OwnDisk;
use election::Campaign;
use follower::Follower;
use peer::{Peer, quorum_rtt_nanos};
use promise::Promise;
use quorum::Quorum;
use reads::Asked;
use reign::Reign;
pub use remote::PeerProgress;
use remote::Remote;
use transfer::Curious;

/// What a node is in its group.
#[derive(Clone, Debug)]
pub(crate) enum Role {
    /// It takes what a leader sends, or waits for one.
    Follower,
    /// It asks whether it would be elected.
    PreCandidate(Campaign),
    /// It asks to be elected.
    Candidate(Campaign),
    /// It leads.
    Leader(Reign),
}

recorded!(enum Role {
    0 => Follower, 1 => PreCandidate(campaign), 2 => Candidate(campaign), 3 => Leader(reign),
});

/// One node's part in the agreement of its group.
#[derive(Clone, Debug)]
pub(crate) struct Consensus {
    node: NodeId,
    disk_id: DiskId,
    rank: u32,
    quorum: Quorum,
    timing: Timing,
    limits: Limits,
    peers: Vec<Peer>,
    promise: Promise,
    pub(crate) disk: OwnDisk,
    role: Role,
    follower: Follower,
    /// Who leads in the present epoch, as far as this node knows.
    leader: Option<NodeId>,
    /// Since a leader was heard.
    silent_ticks: u32,
    /// How long it waits for one.
    patience_ticks: u32,
    /// The last committed entry, as far as this node knows; all of them are in its log, and some
    /// perhaps not on its disk.
    committed: LogIndex,
    /// Who is to be told that it has this node's vote, once that is on disk.
    vote_to_tell: Option<NodeId>,
    /// The newest epoch that others have spoken of.
    heard_epoch: Epoch,
    ping_in: u32,
    next_tick: Instant,
    curious: Option<Curious>,
    /// Made from this start's seed; names its reigns.
    seed: [u8; 32],
    random: Random,
    mutants: Switch,
}

recorded!(struct Consensus {
    node, disk_id, rank, quorum, timing, limits, peers, promise, disk, role, follower, leader,
    silent_ticks, patience_ticks, committed, vote_to_tell, heard_epoch, ping_in, next_tick, curious,
    seed, random; mutants
});

impl Consensus {
    /// As it was recovered. A group of one begins to campaign at once.
    pub(crate) fn boot(
        boot: &Boot<'_>,
        limits: &Limits,
        tail: &Tail,
        mutants: Switch,
        effects: &mut Effects,
    ) -> Self {
        assert!(boot.voters.len() <= MEMBERS_MAX, "voters are bounded");
        let own = boot.voters.iter().find(|voter| voter.node == boot.node);
        let own = own.expect("a node keeps the log of a group that it votes in");
        let others = boot.voters.iter().filter(|voter| voter.node != boot.node);
        let first = boot.seed[..8].try_into().expect("8 of 32 bytes");
        let mut consensus = Self {
            node: boot.node,
            disk_id: boot.disk,
            rank: own.rank,
            quorum: Quorum::of(boot.voters.len()),
            timing: boot.timing.checked(),
            limits: *limits,
            peers: others.map(|voter| Peer::new(voter.node, voter.rank)).collect(),
            promise: Promise::new(known_promise(boot, mutants)),
            disk: OwnDisk::new(&boot.end),
            role: Role::Follower,
            follower: Follower::new(tail),
            leader: None,
            silent_ticks: 0,
            patience_ticks: 0,
            committed: boot.committed.index,
            vote_to_tell: None,
            heard_epoch: Epoch::ZERO,
            ping_in: 1,
            next_tick: Instant::START,
            curious: None,
            seed: boot.seed,
            random: Random::new(u64::from_le_bytes(first) ^ boot.node.get()),
            mutants,
        };
        consensus.draw_patience();
        if consensus.peers.is_empty() {
            consensus.pre_campaign(tail, effects);
        }
        consensus
    }

    /// Makes this mistake from now on.
    pub(crate) const fn break_by(&mut self, mutants: Switch) {
        self.mutants = mutants;
    }

    /// The newest epoch that it has promised to.
    pub(crate) const fn epoch(&self) -> Epoch {
        self.promise.epoch()
    }

    /// Whom it has promised its vote in that epoch.
    pub(crate) const fn voted_for(&self) -> Option<NodeId> {
        self.promise.voted_for()
    }

    /// The last committed entry.
    pub(crate) const fn committed(&self) -> LogIndex {
        self.committed
    }

    /// Who leads, as far as this node knows.
    pub(crate) const fn leader(&self) -> Option<NodeId> {
        self.leader
    }

    /// The epoch in which it leads.
    pub(crate) const fn reign(&self) -> Option<Epoch> {
        match &self.role {
            Role::Leader(reign) => Some(reign.epoch),
            Role::Follower | Role::PreCandidate(_) | Role::Candidate(_) => None,
        }
    }

    /// What it is in its group.
    pub(crate) const fn role(&self) -> &Role {
        &self.role
    }

    /// The other voters.
    pub(crate) fn peers(&self) -> &[Peer] {
        &self.peers
    }

    /// The first entry of its reign, where it leads.
    pub(crate) const fn epoch_record(&self) -> Option<LogIndex> {
        match &self.role {
            Role::Leader(reign) => Some(reign.epoch_record),
            Role::Follower | Role::PreCandidate(_) | Role::Candidate(_) => None,
        }
    }

    /// How far a follower is, once it has said anything to this leader.
    pub(crate) fn progress_of(&self, node: NodeId) -> Option<PeerProgress> {
        let Role::Leader(reign) = &self.role else { return None };
        let remote = reign.remotes.iter().find(|remote| remote.node == node)?;
        remote.told()
    }

    /// Whether it takes appends and serves reads: it leads, and its epoch record is committed.
    pub(crate) fn is_ready(&self) -> bool {
        match &self.role {
            Role::Leader(reign) => {
                self.committed >= reign.epoch_record || self.mutants.is(Mutant::ServesBeforeReady)
            }
            Role::Follower | Role::PreCandidate(_) | Role::Candidate(_) => false,
        }
    }

    /// Whether there are no other voters.
    pub(crate) const fn is_alone(&self) -> bool {
        self.peers.is_empty()
    }

    /// Whether it is giving the lead away, and so takes no appends.
    pub(crate) fn is_transferring(&self) -> bool {
        matches!(&self.role, Role::Leader(reign) if reign.transfer.is_some())
    }

    /// Reads that wait.
    pub(crate) fn pending_reads(&self) -> usize {
        match &self.role {
            Role::Leader(reign) => reign.reads.count(),
            Role::Follower | Role::PreCandidate(_) | Role::Candidate(_) => 0,
        }
    }

    /// Answers that wait until it is known that this node still leads.
    pub(crate) fn pending_answers(&self) -> usize {
        match &self.role {
            Role::Leader(reign) => reign.reads.answers(),
            Role::Follower | Role::PreCandidate(_) | Role::Candidate(_) => 0,
        }
    }

    /// When to step [`crate::Input::Tick`] next.
    pub(crate) const fn next_tick(&self) -> Option<Instant> {
        if self.peers.is_empty() { None } else { Some(self.next_tick) }
    }

    /// A turn ends: a leader sends what there is to send, a follower says how far it is.
    pub(crate) fn end_turn(&mut self, tail: &Tail, effects: &mut Effects) {
        match &self.role {
            Role::Leader(_) => self.pump(tail, effects),
            Role::Follower | Role::PreCandidate(_) | Role::Candidate(_) => {
                self.speak(tail, effects);
            }
        }
    }

    /// Asks for the writes of entries that may go to the disk.
    pub(crate) fn submit(&mut self, tail: &mut Tail, effects: &mut Effects) {
        // An entry of an epoch must not be on disk before the promise of that epoch is: after a
        // crash between the two, an older leader could replace it (openraft, io ordering).
        let is_promised = self.promise.durable_epoch() >= tail.end().epoch;
        if is_promised || self.mutants.is(Mutant::WritesBeforeEpoch) {
            let must = self.committed;
            self.disk.submit(tail, self.limits.log_submissions_max, must, effects);
        }
    }

    /// Says what a follower has to say.
    fn speak(&mut self, tail: &Tail, effects: &mut Effects) {
        let epoch = self.promise.epoch();
        let Some(leader) = self.leader else { return };
        if self.promise.durable_epoch() < epoch || self.disk.has_failed() {
            return;
        }
        let fit = self.disk.is_fit();
        let quorum_rtt_nanos = quorum_rtt_nanos(&self.peers, self.quorum.commit - 1);
        let reply = |round: Round, progress| Message::HeartbeatReply {
            epoch,
            round,
            progress,
            fit,
            quorum_rtt_nanos,
        };
        let progress = self.follower.progress(tail, &self.disk, self.mutants);
        self.follower.speak(leader, epoch, reply, progress, tail, effects);
    }

    /// An entry is on this node's disk.
    pub(crate) fn entry_written(&mut self, epoch: Epoch, index: LogIndex, tail: &Tail) {
        if self.disk.written(epoch, index, tail, self.mutants) {
            match &self.role {
                Role::Leader(_) => self.advance(),
                Role::Follower | Role::PreCandidate(_) | Role::Candidate(_) => {
                    self.follower.acknowledge();
                }
            }
        }
    }

    /// A truncation of this node's log is done.
    pub(crate) fn truncated(&mut self, index: LogIndex, effects: &mut Effects) {
        self.disk.truncated(index, effects);
    }

    /// What was promised is on disk.
    pub(crate) fn hard_state_written(
        &mut self,
        now: Now,
        state: HardState,
        tail: &mut Tail,
        effects: &mut Effects,
    ) {
        self.promise.written(state, effects);
        if self.promised(tail, effects) {
            self.lead(now, tail, effects);
        }
    }

    /// Time has passed.
    ///
    /// - `reads`: whether proposals wait for what the own disk holds
    pub(crate) fn tick(&mut self, now: Now, reads: bool, tail: &mut Tail, effects: &mut Effects) {
        let next = now.monotonic.nanos() + self.timing.tick_nanos;
        self.next_tick = Instant::from_nanos(next);
        if self.disk.tick(reads, tail, self.timing.stall_ticks, effects) {
            self.give_lead_away(tail, effects);
        }
        self.ping_in -= 1;
        if self.ping_in == 0 {
            self.ping_in = self.timing.ping_ticks;
            self.broadcast(Message::Ping { sent: now.monotonic }, effects);
        }
        self.tick_curious(effects);
        match &self.role {
            Role::Leader(_) => self.tick_reign(tail, effects),
            Role::Follower | Role::PreCandidate(_) | Role::Candidate(_) => {
                self.tick_election(tail, effects);
            }
        }
    }

    /// The own disk has failed: somebody else must lead, and this node promises nothing more.
    pub(crate) fn disk_failed(&mut self, tail: &mut Tail, effects: &mut Effects) {
        self.disk.fail();
        let epoch = self.promise.epoch();
        if self.give_lead_away(tail, effects)
            && let Role::Leader(reign) = &self.role
        {
            let to = reign.transfer.as_ref().map(transfer::Transfer::to);
            if let Some(to) = to {
                effects.push(Effect::Send { to, message: Message::TimeoutNow { epoch } });
            }
        }
        if self.reign().is_some() {
            self.step_down(StepDown::DiskFailed, tail, effects);
        }
    }

    /// A link to another node is there, or gone.
    pub(crate) fn set_link(&mut self, node: NodeId, up: bool) {
        let Some(peer) = self.peers.iter_mut().find(|peer| peer.node == node) else { return };
        peer.up = up;
        if let Role::Leader(reign) = &mut self.role
            && up
            && let Some(remote) = reign.remote(node)
        {
            remote.reconnect();
        }
    }

    /// The shell has sent entries out of its log.
    pub(crate) fn sent_from_log(
        &mut self,
        to: NodeId,
        session: Session,
        last: Option<(LogIndex, u64)>,
        effects: &mut Effects,
    ) {
        let retry_ticks = self.timing.ping_ticks;
        if let Role::Leader(reign) = &mut self.role
            && let Some(remote) = reign.remote(to)
        {
            remote.sent_from_log(session, last, retry_ticks, effects);
        }
    }

    /// Follows the leader of this epoch or a later one. Gives whether it may.
    fn follow(
        &mut self,
        from: NodeId,
        epoch: Epoch,
        tail: &mut Tail,
        effects: &mut Effects,
    ) -> bool {
        let two_lead = epoch == self.promise.epoch()
            && (self.reign().is_some() || self.leader.is_some_and(|leader| leader != from));
        if two_lead {
            effects.push(Effect::Halt(Halt::TwoLeaders { other: from }));
            return false;
        }
        self.observe(epoch, tail, effects);
        if self.leader.is_none() {
            self.leader = Some(from);
            self.draw_patience();
            effects.push(Effect::Notice(Notice::Following { epoch, leader: from }));
            self.tell_curious(from, effects);
        }
        self.role = Role::Follower;
        self.silent_ticks = 0;
        true
    }

    /// Another node has spoken in this epoch: if it is a later one, this node goes there, too.
    fn observe(&mut self, epoch: Epoch, tail: &mut Tail, effects: &mut Effects) {
        self.heard_epoch = self.heard_epoch.max(epoch);
        if epoch > self.promise.epoch() {
            self.enter(epoch, None, tail, effects);
        }
    }

    /// Goes to a later epoch.
    fn enter(
        &mut self,
        epoch: Epoch,
        vote: Option<NodeId>,
        tail: &mut Tail,
        effects: &mut Effects,
    ) {
        if self.reign().is_some() {
            self.step_down(StepDown::LaterEpoch, tail, effects);
        }
        if matches!(self.role, Role::PreCandidate(_) | Role::Candidate(_)) {
            self.silent_ticks = 0;
        }
        self.role = Role::Follower;
        self.leader = None;
        self.vote_to_tell = None;
        self.follower = Follower::new(tail);
        self.draw_patience();
        self.promise.set(epoch, vote, effects);
    }

    /// It leads no more, and knows nobody who does.
    fn step_down(&mut self, reason: StepDown, tail: &mut Tail, effects: &mut Effects) {
        let Role::Leader(reign) = core::mem::replace(&mut self.role, Role::Follower) else {
            unreachable!("who steps down leads")
        };
        effects.push(Effect::Notice(Notice::SteppedDown { epoch: reign.epoch, reason }));
        let mut reads = reign.reads;
        for asked in reads.drain() {
            let rejection = Rejection::NotLeader { leader: None };
            effects.push(match asked {
                Asked::Read(request) => Effect::RefuseRead { request, rejection },
                // Whatever it was, it did not write anything.
                Asked::Answer(request, _) => {
                    Effect::Reply { request, outcome: Outcome::Refused(rejection) }
                }
            });
        }
        self.keep_curious(reign.transfer);
        self.leader = None;
        self.silent_ticks = 0;
        self.draw_patience();
        self.follower = Follower::new(tail);
        tail.clear_gathering();
    }

    /// It is elected: its epoch record goes first.
    fn lead(&mut self, now: Now, tail: &mut Tail, effects: &mut Effects) {
        let epoch = self.promise.epoch();
        let end = *tail.end();
        let record = EpochRecord {
            id: self.epoch_id(epoch),
            lineage: tail.log().lineage,
            epoch,
            node: self.node,
            disk: self.disk_id,
            previous_epoch: end.epoch,
            previous_index: end.index,
            previous_chain: end.chain,
            created: now.wall,
        };
        let index = tail.seal_epoch(epoch, &record.encode()).index;
        let remotes = self.peers.iter().map(|peer| Remote::new(peer.node, index)).collect();
        self.leader = Some(self.node);
        self.role = Role::Leader(Reign::new(epoch, index, remotes));
        effects.push(Effect::Notice(Notice::Elected { epoch, index }));
        self.tell_curious(self.node, effects);
        self.begin_round(effects);
    }

    /// Two leaders of one epoch, which must never be, would have different ones.
    fn epoch_id(&self, epoch: Epoch) -> [u8; 16] {
        let mut hasher = blake3::Hasher::new_derive_key("quorate 2026 id of an epoch");
        hasher.update(&self.seed);
        hasher.update(&epoch.get().to_le_bytes());
        hasher.finalize().as_bytes()[..16].try_into().expect("16 of 32 bytes")
    }

    fn tell_stale(&self, to: NodeId, effects: &mut Effects) {
        let epoch = self.promise.durable_epoch();
        effects.push(Effect::Send { to, message: Message::Stale { epoch } });
    }

    fn broadcast(&self, message: Message, effects: &mut Effects) {
        for peer in self.peers.iter().filter(|peer| peer.up) {
            effects.push(Effect::Send { to: peer.node, message });
        }
    }

    /// The invariants between any two inputs.
    pub(crate) fn check(&self, tail: &Tail) {
        self.quorum.check();
        self.disk.check(tail);
        self.follower.check(tail);
        assert!(self.committed <= tail.end().index, "what is committed is in the log");
        assert!(tail.committed().index <= self.committed, "what is shown is committed");
        if let Role::Leader(reign) = &self.role {
            reign.check(tail);
            assert!(self.leader == Some(self.node), "a leader knows itself");
            assert!(reign.epoch == self.promise.durable_epoch(), "it leads in what it promised");
        }
    }

    /// Adds all that decides what it will do to `hasher`.
    pub(crate) fn digest(&self, digest: &mut Digest) {
        self.promise.digest(digest.hasher());
        self.disk.digest(digest);
        self.follower.digest(digest.hasher());
        let role = match &self.role {
            Role::Follower => 0,
            Role::PreCandidate(campaign) => {
                campaign.digest(digest);
                1
            }
            Role::Candidate(campaign) => {
                campaign.digest(digest);
                2
            }
            Role::Leader(reign) => {
                reign.digest(digest);
                3
            }
        };
        for peer in &self.peers {
            digest.numbers(&[u64::from(peer.up)]);
        }
        digest.numbers(&[
            role,
            self.node.get(),
            self.leader.map_or(0, NodeId::get),
            self.committed.get(),
            self.vote_to_tell.map_or(0, NodeId::get),
            self.heard_epoch.get(),
        ]);
        digest.timers(&[
            u64::from(self.silent_ticks),
            u64::from(self.patience_ticks),
            u64::from(self.ping_in),
            self.random.state(),
        ]);
    }
}

/// What a node has promised. Its log may know a later epoch than its hard state, if that was
/// restored from a copy: then the vote of that epoch is spent, too.
fn known_promise(boot: &Boot<'_>, mutants: Switch) -> HardState {
    let LogEnd { epoch, .. } = boot.end;
    if mutants.is(Mutant::ForgetsVote) {
        return HardState { voted_for: None, ..boot.hard_state };
    }
    if epoch > boot.hard_state.epoch {
        return HardState { epoch, voted_for: Some(boot.node) };
    }
    boot.hard_state
}
