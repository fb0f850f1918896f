//! What a leader does: heartbeats, entries to followers, commits, and reads.

use alloc::vec::Vec;

use super::reads::{self, Asked, Reads};
use super::remote::Remote;
use super::transfer::Transfer;
use super::{Consensus, Role, commit};
use crate::digest::Digest;
use crate::effect::{Effect, Effects};
use crate::id::{Epoch, LogIndex, NodeId, RequestId, Round, Session};
use crate::log::tail::Tail;
use crate::message::{Message, Progress, Tip};
use crate::mutant::Mutant;
use crate::notice::{Notice, StepDown};
use crate::recording::recorded;
use crate::request::Outcome;

/// A node's reign.
#[derive(Clone, Debug)]
pub(crate) struct Reign {
    pub(super) epoch: Epoch,
    /// Its first entry. Nothing is committed before that is.
    pub(super) epoch_record: LogIndex,
    pub(super) remotes: Vec<Remote>,
    round: Round,
    /// Until the next heartbeat.
    heartbeat_in: u32,
    pub(super) reads: Reads,
    pub(super) transfer: Option<Transfer>,
    /// How long nothing was committed though there was something to commit.
    uncommitted_ticks: u32,
    /// What all followers were told to be committed.
    told: LogIndex,
}

recorded!(struct Reign {
    epoch, epoch_record, remotes, round, heartbeat_in, reads, transfer, uncommitted_ticks, told,
});

impl Reign {
    pub(super) fn new(epoch: Epoch, epoch_record: LogIndex, remotes: Vec<Remote>) -> Self {
        Self {
            epoch,
            epoch_record,
            remotes,
            round: Round::ZERO,
            heartbeat_in: 0,
            reads: Reads::default(),
            transfer: None,
            uncommitted_ticks: 0,
            told: LogIndex::ZERO,
        }
    }

    pub(super) fn remote(&mut self, node: NodeId) -> Option<&mut Remote> {
        self.remotes.iter_mut().find(|remote| remote.node == node)
    }

    /// The invariants between any two inputs.
    pub(super) fn check(&self, tail: &Tail) {
        for remote in &self.remotes {
            remote.check(tail);
        }
    }

    /// Adds all that decides what it will do to `hasher`.
    pub(super) fn digest(&self, digest: &mut Digest) {
        for remote in &self.remotes {
            remote.digest(digest);
        }
        digest.numbers(&[
            self.epoch.get(),
            self.epoch_record.get(),
            self.round.get(),
            (self.reads.count() + self.reads.answers()) as u64,
            self.transfer.map_or(0, |transfer| transfer.to().get()),
        ]);
        // What followers were told says whether they are told more before the next heartbeat.
        digest.timers(&[
            self.told.get(),
            u64::from(self.heartbeat_in),
            u64::from(self.uncommitted_ticks),
        ]);
    }
}

impl Consensus {
    /// Time has passed for a leader.
    pub(super) fn tick_reign(&mut self, tail: &mut Tail, effects: &mut Effects) {
        let committed = self.committed;
        let Role::Leader(reign) = &mut self.role else { return };
        for remote in &mut reign.remotes {
            remote.tick();
        }
        let all_committed = committed >= tail.end().index;
        reign.uncommitted_ticks = if all_committed { 0 } else { reign.uncommitted_ticks + 1 };
        let heard = reign
            .remotes
            .iter()
            .filter(|remote| remote.silent_ticks < self.timing.election_ticks_min)
            .count();
        if heard + 1 < self.quorum.elect && !self.mutants.is(Mutant::SkipsCheckQuorum) {
            return self.step_down(StepDown::NoMajority, tail, effects);
        }
        let stuck = reign.uncommitted_ticks >= self.timing.commit_stall_ticks;
        reign.heartbeat_in = reign.heartbeat_in.saturating_sub(1);
        if reign.heartbeat_in == 0 {
            reign.heartbeat_in = self.timing.heartbeat_ticks;
            self.begin_round(effects);
        } else {
            self.tell_committed(effects);
        }
        if stuck && !self.give_lead_away(tail, effects) {
            return self.step_down(StepDown::NoProgress, tail, effects);
        }
        self.tick_transfer(tail, effects);
    }

    /// Sends a heartbeat, and has all reads that wait depend on the answers.
    pub(super) fn begin_round(&mut self, effects: &mut Effects) {
        let committed = self.committed;
        let reuses = self.mutants.is(Mutant::ReusesRounds);
        let is_ready = self.is_ready();
        let Role::Leader(reign) = &mut self.role else { return };
        if !reuses || reign.round == Round::ZERO {
            reign.round = reign.round.next();
        }
        reign.told = committed;
        let (epoch, round) = (reign.epoch, reign.round);
        if is_ready {
            reign.reads.ask(round);
        }
        self.broadcast(Message::Heartbeat { epoch, round, committed }, effects);
    }

    fn tell_committed(&mut self, effects: &mut Effects) {
        let committed = self.committed;
        let Role::Leader(reign) = &mut self.role else { return };
        if reign.told < committed {
            reign.told = committed;
            let epoch = reign.epoch;
            self.broadcast(Message::Commit { epoch, committed }, effects);
        }
    }

    /// A follower has answered a heartbeat.
    pub(super) fn heartbeat_answered(
        &mut self,
        from: NodeId,
        answer: (Round, bool, u64),
        progress: &Progress,
        tail: &Tail,
        effects: &mut Effects,
    ) {
        let (round, fit, quorum_rtt_nanos) = answer;
        self.acknowledged(from, progress, tail, effects);
        let Role::Leader(reign) = &mut self.role else { return };
        let Some(remote) = reign.remote(from) else { return };
        remote.round = remote.round.max(round);
        remote.fit = fit;
        remote.quorum_rtt_nanos = quorum_rtt_nanos;
        let in_session = progress.session == remote.session;
        let session = remote.session;
        remote.answered(in_session, progress.received);
        if remote.session != session {
            let from_index = progress.received.next();
            effects.push(Effect::Notice(Notice::Resyncing { node: from, from: from_index }));
        }
        self.serve_reads(tail, effects);
    }

    /// Serves the reads whose round a majority has answered.
    pub(super) fn serve_reads(&mut self, tail: &Tail, effects: &mut Effects) {
        let others = self.quorum.elect - 1;
        let without = self.mutants.is(Mutant::ReadsWithoutRound);
        let end = tail.committed().position;
        let Role::Leader(reign) = &mut self.role else { return };
        let rounds = reign.remotes.iter().map(|remote| remote.round);
        let reached =
            if without { reign.round } else { reads::reached(rounds, others, reign.round) };
        while let Some(asked) = reign.reads.answered(reached) {
            effects.push(match asked {
                Asked::Read(request) => Effect::ServeRead { request, end },
                Asked::Answer(request, outcome) => Effect::Reply { request, outcome },
            });
        }
    }

    /// A client wants to read all that was acknowledged before now.
    pub(crate) fn read(&mut self, request: RequestId) {
        if let Role::Leader(reign) = &mut self.role {
            reign.reads.push(Asked::Read(request));
        }
    }

    /// A client is to be told of the state of a stream, if this node still leads.
    pub(crate) fn confirm(&mut self, request: RequestId, outcome: Outcome) {
        let Role::Leader(reign) = &mut self.role else { unreachable!("only a leader decides") };
        reign.reads.push(Asked::Answer(request, outcome));
    }

    /// A follower has said how far it is.
    pub(super) fn acknowledged(
        &mut self,
        from: NodeId,
        progress: &Progress,
        tail: &Tail,
        effects: &mut Effects,
    ) {
        let by_index = self.mutants.is(Mutant::AcksByIndex);
        let drops_session = self.mutants.is(Mutant::DropsSession) || by_index;
        let Role::Leader(reign) = &mut self.role else { return };
        let Some(remote) = reign.remote(from) else { return };
        if progress.session != remote.session && !drops_session {
            return;
        }
        let known = tail.chain_at(progress.durable.index);
        let is_ours = known.is_none_or(|chain| chain == progress.durable.chain);
        let exists = progress.durable.index <= tail.end().index;
        if !exists || (!is_ours && !by_index) {
            effects.push(Effect::Notice(Notice::FollowerDiverged { node: from }));
            return;
        }
        if remote.progressed(progress) {
            // A follower that catches up may have far to go before anything is committed. Without
            // commits this comes to an end, since what a leader takes is bounded.
            reign.uncommitted_ticks = 0;
            self.advance();
        }
    }

    /// A follower can't take what it was sent.
    pub(super) fn resync(
        &mut self,
        from: NodeId,
        session: Session,
        end: Tip,
        committed: Tip,
        tail: &Tail,
        effects: &mut Effects,
    ) {
        let Role::Leader(reign) = &mut self.role else { return };
        let Some(remote) = reign.remote(from) else { return };
        if session != remote.session {
            return;
        }
        let agrees = |tip: Tip| tail.chain_at(tip.index).is_none_or(|chain| chain == tip.chain);
        if committed.index > tail.end().index || !agrees(committed) {
            effects.push(Effect::Notice(Notice::FollowerDiverged { node: from }));
            return;
        }
        // Its whole log may be this leader's; what is surely so is what was committed.
        let whole = tail.chain_at(end.index) == Some(end.chain);
        let next = if whole { end.index.next() } else { committed.index.next() };
        remote.restart(next);
        effects.push(Effect::Notice(Notice::Resyncing { node: from, from: next }));
    }

    /// Commits what a quorum has on disk.
    pub(super) fn advance(&mut self) {
        let own = self.disk.durable().index;
        let commits_old = self.mutants.is(Mutant::CommitsOldEpochs);
        let quorum = if self.mutants.is(Mutant::CommitsAlone) { 1 } else { self.quorum.commit };
        let Role::Leader(reign) = &mut self.role else { return };
        let others = reign.remotes.iter().map(Remote::durable);
        let reached = commit::reached(others.chain([own]), quorum);
        // An entry of an earlier epoch is committed only by one of this epoch behind it, however
        // many hold it (Raft §5.4.2).
        let is_current = reached >= reign.epoch_record || commits_old;
        if is_current && reached > self.committed {
            self.committed = reached;
            reign.uncommitted_ticks = 0;
        }
    }

    /// Sends followers what there is to send, at the end of a turn.
    pub(super) fn pump(&mut self, tail: &Tail, effects: &mut Effects) {
        let committed = self.committed;
        let wants_round = self.is_ready()
            && matches!(&self.role, Role::Leader(reign) if reign.reads.wants_round());
        if wants_round {
            self.begin_round(effects);
            if self.quorum.elect == 1 || self.mutants.is(Mutant::ReadsWithoutRound) {
                self.serve_reads(tail, effects);
            }
        }
        let Role::Leader(reign) = &mut self.role else { return };
        let mut all_told = true;
        for remote in &mut reign.remotes {
            let up = self.peers.iter().any(|peer| peer.node == remote.node && peer.up);
            if up {
                all_told &= remote.pump(reign.epoch, committed, tail, &self.limits, effects);
            }
        }
        if all_told && !reign.remotes.is_empty() {
            reign.told = committed;
        }
        self.finish_transfer(tail, effects);
    }
}
