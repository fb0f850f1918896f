//! Giving the lead to another node, on purpose: for maintenance, for a better place, or because
//! this node's disk is sick.
//!
//! The leader takes no more appends, waits until the other has all entries, and tells it to
//! campaign at once. If that one does not take over in time, the leader goes on.

use super::peer::quorum_rtt_nanos;
use super::remote::Remote;
use super::{Consensus, Role};
use crate::effect::{Effect, Effects};
use crate::id::{NodeId, RequestId};
use crate::log::tail::Tail;
use crate::message::Message;
use crate::notice::Notice;
use crate::recording::recorded;
use crate::request::TransferError;

/// A transfer under way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Transfer {
    to: NodeId,
    ticks_left: u32,
    told: bool,
    /// Who has asked for it.
    request: Option<RequestId>,
}

recorded!(struct Transfer { to, ticks_left, told, request });

impl Transfer {
    /// Who is to take over.
    pub(crate) const fn to(&self) -> NodeId {
        self.to
    }
}

/// Somebody who asked for a transfer that has taken this node's lead away, and who wants to know
/// who leads now.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Curious {
    request: RequestId,
    ticks_left: u32,
}

recorded!(struct Curious { request, ticks_left });

/// A better place must save this much of the round trip, and at least so many nanoseconds: what is
/// less is noise.
const SAVES_ONE_IN: u64 = 5;
const SAVES_NANOS_MIN: u64 = 200_000;

impl Consensus {
    /// Somebody wants another node to lead.
    pub(crate) fn transfer(
        &mut self,
        request: RequestId,
        to: Option<NodeId>,
        effects: &mut Effects,
    ) {
        if let Err(error) = self.try_transfer(request, to, effects) {
            let result = Err(error);
            effects.push(Effect::Transferred { request, result });
        }
    }

    fn try_transfer(
        &mut self,
        request: RequestId,
        to: Option<NodeId>,
        effects: &mut Effects,
    ) -> Result<(), TransferError> {
        let Role::Leader(reign) = &self.role else {
            return Err(TransferError::NotLeader { leader: self.leader });
        };
        if to == Some(self.node) {
            effects.push(Effect::Transferred { request, result: Ok(self.node) });
            return Ok(());
        }
        if reign.transfer.is_some() {
            return Err(TransferError::Busy);
        }
        if to.is_some_and(|to| self.peers.iter().all(|peer| peer.node != to)) {
            return Err(TransferError::UnknownNode);
        }
        let wanted = |remote: &Remote| to.is_none_or(|to| remote.node == to);
        let to = self.candidate(wanted).ok_or(TransferError::NoCandidate)?;
        self.begin_transfer(to, Some(request), effects);
        Ok(())
    }

    /// Tries to give the lead to whoever is best. Gives whether that is under way.
    pub(super) fn give_lead_away(&mut self, tail: &Tail, effects: &mut Effects) -> bool {
        let Role::Leader(reign) = &self.role else { return false };
        if reign.transfer.is_some() {
            return true;
        }
        // One that has not all entries would take too long: it can't get them from here.
        let end = tail.end().index;
        let has_all = |remote: &Remote| remote.durable() >= end;
        let best = self.candidate(has_all);
        if let Some(to) = best {
            self.begin_transfer(to, None, effects);
        }
        best.is_some()
    }

    /// Whether there is a node that could lead in this one's place.
    pub(crate) fn has_heir(&self) -> bool {
        self.candidate(|_| true).is_some()
    }

    fn begin_transfer(&mut self, to: NodeId, request: Option<RequestId>, effects: &mut Effects) {
        let ticks_left = self.timing.election_ticks_min;
        let Role::Leader(reign) = &mut self.role else { return };
        reign.transfer = Some(Transfer { to, ticks_left, told: false, request });
        effects.push(Effect::Notice(Notice::Transferring { to }));
    }

    /// The best of those others that are wanted and can.
    fn candidate(&self, is_wanted: impl Fn(&Remote) -> bool) -> Option<NodeId> {
        let Role::Leader(reign) = &self.role else { return None };
        let rank =
            |node| self.peers.iter().find(|peer| peer.node == node).map_or(0, |peer| peer.rank);
        let answers = |remote: &&Remote| remote.silent_ticks < self.timing.election_ticks_min;
        reign
            .remotes
            .iter()
            .filter(|remote| is_wanted(remote))
            .filter(|remote| remote.fit)
            .filter(answers)
            .min_by_key(|remote| {
                let behind = u64::MAX - remote.durable().get();
                (rank(remote.node), behind, remote.quorum_rtt_nanos, remote.node)
            })
            .map(|remote| remote.node)
    }

    /// Tells the other to campaign, once it has everything.
    pub(super) fn finish_transfer(&mut self, tail: &Tail, effects: &mut Effects) {
        let end = tail.end().index;
        let Role::Leader(reign) = &mut self.role else { return };
        let Some(transfer) = &mut reign.transfer else { return };
        let to = transfer.to;
        let ready = reign.remotes.iter().any(|it| it.node == to && it.durable() >= end);
        if ready && !transfer.told {
            transfer.told = true;
            let message = Message::TimeoutNow { epoch: reign.epoch };
            effects.push(Effect::Send { to, message });
        }
    }

    /// Time has passed: gives a transfer up, or begins one to a node that has long been better.
    pub(super) fn tick_transfer(&mut self, tail: &Tail, effects: &mut Effects) {
        let Role::Leader(reign) = &mut self.role else { return };
        if let Some(transfer) = &mut reign.transfer {
            transfer.ticks_left -= 1;
            if transfer.ticks_left == 0 {
                let Transfer { to, request, .. } = *transfer;
                reign.transfer = None;
                effects.push(Effect::Notice(Notice::TransferFailed { to }));
                if let Some(request) = request {
                    let result = Err(TransferError::TimedOut);
                    effects.push(Effect::Transferred { request, result });
                }
            }
            return;
        }
        if self.disk.is_stalled() || self.disk.is_full() {
            self.give_lead_away(tail, effects);
            return;
        }
        if let Some(to) = self.settled_better(tail) {
            self.begin_transfer(to, None, effects);
        }
    }

    /// A node that has been the better leader for long enough.
    fn settled_better(&mut self, tail: &Tail) -> Option<NodeId> {
        let own_rtt = quorum_rtt_nanos(&self.peers, self.quorum.commit - 1);
        let Role::Leader(reign) = &mut self.role else { return None };
        for remote in &mut reign.remotes {
            let rank = self.peers.iter().find(|peer| peer.node == remote.node)?.rank;
            let rtt = remote.quorum_rtt_nanos;
            let saves = own_rtt.saturating_sub(rtt);
            let nearer = rtt > 0 && saves >= SAVES_NANOS_MIN && saves * SAVES_ONE_IN >= own_rtt;
            let better = rank < self.rank || (rank == self.rank && nearer);
            let close = remote.durable() >= tail.committed().index.min(self.committed);
            let healthy = remote.fit && remote.silent_ticks < self.timing.heartbeat_ticks * 2;
            remote.better_ticks = match better && healthy {
                true if close || remote.better_ticks > 0 => remote.better_ticks + 1,
                _ => 0,
            };
            if remote.better_ticks >= self.timing.settle_ticks && close {
                remote.better_ticks = 0;
                return Some(remote.node);
            }
        }
        None
    }

    /// The reign has ended: who asked for that is told once there is another leader.
    pub(super) fn keep_curious(&mut self, transfer: Option<Transfer>) {
        let ticks_left = 4 * self.timing.election_ticks_min;
        let request = transfer.and_then(|transfer| transfer.request);
        if let Some(request) = request {
            self.curious = Some(Curious { request, ticks_left });
        }
    }

    /// There is a leader.
    pub(super) fn tell_curious(&mut self, leader: NodeId, effects: &mut Effects) {
        if let Some(Curious { request, .. }) = self.curious.take() {
            effects.push(Effect::Transferred { request, result: Ok(leader) });
        }
    }

    /// Time has passed, and there still is none.
    pub(super) fn tick_curious(&mut self, effects: &mut Effects) {
        let Some(curious) = &mut self.curious else { return };
        curious.ticks_left -= 1;
        if curious.ticks_left == 0 {
            let (request, result) = (curious.request, Err(TransferError::TimedOut));
            self.curious = None;
            effects.push(Effect::Transferred { request, result });
        }
    }
}
