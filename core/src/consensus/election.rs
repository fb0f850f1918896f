//! Elections: who asks to lead, and who gets whose vote.
//!
//! Before a node campaigns it asks whether it would be elected (pre-vote); that changes nothing at
//! anybody. Nobody helps to elect against a leader that it hears. Preferences for a node or a zone
//! act only through how long a node waits before it asks, never through the vote.

use alloc::vec::Vec;

use super::follower::Follower;
use super::quorum::Quorum;
use super::{Consensus, Role};
use crate::digest::Digest;
use crate::effect::{Effect, Effects};
use crate::id::{Epoch, NodeId};
use crate::log::tail::Tail;
use crate::message::{LastEntry, Message};
use crate::mutant::Mutant;
use crate::notice::Notice;
use crate::recording::recorded;

/// An attempt to be elected.
#[derive(Clone, Debug)]
pub(crate) struct Campaign {
    /// The epoch that it is about.
    pub(crate) epoch: Epoch,
    granted: Vec<NodeId>,
    /// Until it is given up and begun anew.
    ticks_left: u32,
    /// Whether the leader has asked for it.
    transfer: bool,
}

recorded!(struct Campaign { epoch, granted, ticks_left, transfer });

impl Campaign {
    const fn new(epoch: Epoch, ticks_left: u32, transfer: bool) -> Self {
        Self { epoch, granted: Vec::new(), ticks_left, transfer }
    }

    /// Counts a vote; each voter's once, however often it is heard.
    fn grant(&mut self, voter: NodeId) {
        if !self.granted.contains(&voter) {
            self.granted.push(voter);
        }
    }

    /// Whether the votes are enough.
    fn is_won(&self, quorum: Quorum) -> bool {
        self.granted.len() >= quorum.elect
    }

    /// Adds all that decides what it will do to `hasher`.
    pub(crate) fn digest(&self, digest: &mut Digest) {
        let mut granted = 0;
        for node in &self.granted {
            granted |= 1 << node.get();
        }
        digest.numbers(&[self.epoch.get(), granted, u64::from(self.transfer)]);
        digest.timers(&[u64::from(self.ticks_left)]);
    }
}

impl Consensus {
    /// Time has passed for a node that does not lead.
    pub(super) fn tick_election(&mut self, tail: &Tail, effects: &mut Effects) {
        self.silent_ticks = self.silent_ticks.saturating_add(1);
        let due = match &mut self.role {
            Role::Follower => self.silent_ticks >= self.patience_ticks,
            Role::PreCandidate(campaign) | Role::Candidate(campaign) => {
                campaign.ticks_left = campaign.ticks_left.saturating_sub(1);
                campaign.ticks_left == 0
            }
            Role::Leader(_) => unreachable!("a leader waits for nobody's election"),
        };
        if due {
            self.lose_leader(effects);
            // A promise that is still being written may take long on a slow disk. To promise more
            // meanwhile would only depose, one write after the other, whoever was elected since.
            if self.may_campaign() && self.promise.is_durable() {
                self.pre_campaign(tail, effects);
            } else {
                self.role = Role::Follower;
            }
        }
    }

    fn may_campaign(&self) -> bool {
        self.disk.can_write() || self.mutants.is(Mutant::VotesAfterFailure)
    }

    /// Nobody leads as far as this node can tell.
    pub(super) fn lose_leader(&mut self, effects: &mut Effects) {
        if self.leader.take().is_some() {
            effects.push(Effect::Notice(Notice::LeaderLost { epoch: self.promise.epoch() }));
        }
    }

    /// Asks whether it would be elected.
    pub(super) fn pre_campaign(&mut self, tail: &Tail, effects: &mut Effects) {
        let epoch = self.promise.epoch().max(self.heard_epoch).next();
        if self.quorum.elect == 1 || self.mutants.is(Mutant::SkipsPreVote) {
            return self.campaign(epoch, false, tail, effects);
        }
        effects.push(Effect::Notice(Notice::PreCampaigning { epoch }));
        let mut campaign = Campaign::new(epoch, self.draw_campaign_ticks(), false);
        campaign.grant(self.node);
        self.role = Role::PreCandidate(campaign);
        self.broadcast(Message::PreVote { epoch, last: LastEntry::of(tail.end()) }, effects);
    }

    /// Asks to be elected, once its own vote is on disk.
    pub(super) fn campaign(
        &mut self,
        epoch: Epoch,
        transfer: bool,
        tail: &Tail,
        effects: &mut Effects,
    ) {
        effects.push(Effect::Notice(Notice::Campaigning { epoch }));
        self.lose_leader(effects);
        self.role = Role::Candidate(Campaign::new(epoch, self.draw_campaign_ticks(), transfer));
        self.vote_to_tell = None;
        self.follower = Follower::new(tail);
        self.promise.set(epoch, Some(self.node), effects);
    }

    fn draw_campaign_ticks(&mut self) -> u32 {
        self.timing.election_ticks_min / 2
            + 1
            + self.random.below(self.timing.election_ticks_spread)
    }

    /// How long this node waits for a sign of life of a leader before it asks to lead.
    pub(super) fn draw_patience(&mut self) {
        let spread = self.random.below(self.timing.election_ticks_spread);
        let rank = self.rank * self.timing.rank_ticks;
        self.patience_ticks = self.timing.election_ticks_min + rank + spread;
    }

    /// Whether a leader is alive as far as this node can tell.
    fn hears_leader(&self) -> bool {
        match self.role {
            Role::Leader(_) => true,
            Role::Follower | Role::PreCandidate(_) | Role::Candidate(_) => {
                self.leader.is_some() && self.silent_ticks < self.timing.election_ticks_min
            }
        }
    }

    /// Another node asks whether it would be elected.
    pub(super) fn asked_beforehand(
        &self,
        from: NodeId,
        epoch: Epoch,
        last: LastEntry,
        tail: &Tail,
        effects: &mut Effects,
    ) {
        let granted = epoch > self.promise.epoch()
            && last >= LastEntry::of(tail.end())
            && self.may_campaign()
            && (!self.hears_leader() || self.mutants.is(Mutant::SkipsStickiness));
        let promised = self.promise.durable_epoch();
        let message = Message::PreVoteReply { epoch, granted, promised };
        effects.push(Effect::Send { to: from, message });
    }

    /// The answer to [`Message::PreVote`].
    pub(super) fn answered_beforehand(
        &mut self,
        from: NodeId,
        epoch: Epoch,
        granted: bool,
        promised: Epoch,
        tail: &Tail,
        effects: &mut Effects,
    ) {
        self.heard_epoch = self.heard_epoch.max(promised);
        let Role::PreCandidate(campaign) = &mut self.role else { return };
        if granted && epoch == campaign.epoch {
            campaign.grant(from);
            if campaign.is_won(self.quorum) && self.may_campaign() {
                self.campaign(epoch, false, tail, effects);
            }
        }
    }

    /// Another node asks for this node's vote.
    pub(super) fn asked(
        &mut self,
        from: NodeId,
        vote: (Epoch, LastEntry, bool),
        tail: &mut Tail,
        effects: &mut Effects,
    ) {
        let (epoch, last, transfer) = vote;
        if epoch < self.promise.epoch() {
            return self.tell_stale(from, effects);
        }
        let sticky = self.hears_leader() && !self.mutants.is(Mutant::SkipsStickiness);
        if epoch > self.promise.epoch() && sticky && !transfer {
            return;
        }
        if !self.may_campaign() {
            return;
        }
        let is_new = epoch > self.promise.epoch();
        let is_free = is_new
            || self.promise.voted_for().is_none_or(|node| node == from)
            || self.mutants.is(Mutant::VotesTwice);
        let is_behind = last < LastEntry::of(tail.end()) && !self.mutants.is(Mutant::IgnoresLogs);
        let vote = (is_free && !is_behind).then_some(from);
        if is_new {
            self.enter(epoch, vote, tail, effects);
        }
        if vote.is_none() {
            return;
        }
        self.promise.set(epoch, vote, effects);
        self.silent_ticks = 0;
        self.vote_to_tell = vote;
        effects.push(Effect::Notice(Notice::Voted { epoch, candidate: from }));
        if self.promise.is_durable() || self.mutants.is(Mutant::VotesBeforeWrite) {
            self.tell_vote(effects);
        }
    }

    /// Tells a candidate that it has this node's vote; that is on disk now.
    fn tell_vote(&mut self, effects: &mut Effects) {
        if let Some(to) = self.vote_to_tell.take() {
            let message = Message::VoteReply { epoch: self.promise.epoch(), granted: true };
            effects.push(Effect::Send { to, message });
        }
    }

    /// What was promised is on disk. Gives whether that elects this node.
    pub(super) fn promised(&mut self, tail: &Tail, effects: &mut Effects) -> bool {
        if !self.promise.is_durable() {
            return false;
        }
        self.tell_vote(effects);
        let Role::Candidate(campaign) = &mut self.role else { return false };
        if campaign.epoch != self.promise.epoch() {
            return false;
        }
        campaign.grant(self.node);
        if campaign.is_won(self.quorum) {
            return true;
        }
        let (epoch, transfer) = (campaign.epoch, campaign.transfer);
        let last = LastEntry::of(tail.end());
        self.broadcast(Message::Vote { epoch, last, transfer }, effects);
        false
    }

    /// The answer to [`Message::Vote`]. Gives whether it elects this node.
    pub(super) fn answered(&mut self, from: NodeId, epoch: Epoch, granted: bool) -> bool {
        let counts_all = self.mutants.is(Mutant::CountsOldVotes);
        let Role::Candidate(campaign) = &mut self.role else { return false };
        if !granted || (epoch != campaign.epoch && !counts_all) {
            return false;
        }
        campaign.grant(from);
        campaign.is_won(self.quorum) && self.promise.is_durable()
    }
}
