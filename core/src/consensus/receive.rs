//! What other nodes say: who may say what, and which rule takes it in.

use super::follower::Batch;
use super::{Consensus, Role};
use crate::effect::{Effect, Effects};
use crate::id::NodeId;
use crate::log::entry::EntryHeader;
use crate::log::tail::Tail;
use crate::message::Message;
use crate::mutant::Mutant;
use crate::notice::Notice;
use crate::time::Now;

impl Consensus {
    /// Another node has said something.
    pub(crate) fn receive(
        &mut self,
        now: Now,
        from: NodeId,
        message: Message,
        entries: &[(EntryHeader, &[u8])],
        tail: &mut Tail,
        effects: &mut Effects,
    ) {
        let Some(peer) = self.peers.iter_mut().find(|peer| peer.node == from) else {
            effects.push(Effect::Notice(Notice::BadMessage { from }));
            return;
        };
        peer.heard = Some(now.monotonic);
        match message {
            Message::Ping { sent } => {
                effects.push(Effect::Send { to: from, message: Message::Pong { sent } });
            }
            Message::Pong { sent } => {
                let nanos = now.monotonic.nanos().saturating_sub(sent.nanos());
                peer.measured(nanos.max(1));
            }
            Message::PreVote { epoch, last } => {
                self.asked_beforehand(from, epoch, last, tail, effects);
            }
            Message::PreVoteReply { epoch, granted, promised } => {
                self.answered_beforehand(from, epoch, granted, promised, tail, effects);
            }
            Message::Vote { epoch, last, transfer } => {
                self.asked(from, (epoch, last, transfer), tail, effects);
            }
            Message::VoteReply { epoch, granted } => {
                if self.answered(from, epoch, granted) {
                    self.lead(now, tail, effects);
                }
            }
            Message::Heartbeat { .. }
            | Message::Append { .. }
            | Message::Commit { .. }
            | Message::TimeoutNow { .. } => {
                self.receive_from_leader(from, message, entries, tail, effects);
            }
            Message::HeartbeatReply { .. } | Message::Ack { .. } | Message::Resync { .. } => {
                self.receive_from_follower(from, message, tail, effects);
            }
            Message::Stale { epoch } => {
                if epoch > self.promise.epoch() {
                    self.observe(epoch, tail, effects);
                }
            }
        }
    }

    fn receive_from_leader(
        &mut self,
        from: NodeId,
        message: Message,
        entries: &[(EntryHeader, &[u8])],
        tail: &mut Tail,
        effects: &mut Effects,
    ) {
        let (Message::Heartbeat { epoch, .. }
        | Message::Append { epoch, .. }
        | Message::Commit { epoch, .. }
        | Message::TimeoutNow { epoch }) = message
        else {
            unreachable!("only a leader's messages come here")
        };
        if epoch < self.promise.epoch() {
            return self.tell_stale(from, effects);
        }
        if !self.follow(from, epoch, tail, effects) {
            return;
        }
        match message {
            Message::Heartbeat { round, committed, .. } => {
                self.follower.heartbeat(round);
                self.follower.tell_committed(committed);
            }
            Message::Append { session, previous, last, committed, .. } => {
                let batch = Batch { from, epoch, session, previous, last, entries };
                self.follower.tell_committed(committed);
                self.follower.append(&batch, tail, &mut self.disk, self.mutants, effects);
            }
            Message::Commit { committed, .. } => self.follower.tell_committed(committed),
            Message::TimeoutNow { .. } => {
                // It says so only to whom has everything; the logs are compared all the same.
                if self.disk.can_write() {
                    self.campaign(epoch.next(), true, tail, effects);
                }
                return;
            }
            Message::PreVote { .. }
            | Message::PreVoteReply { .. }
            | Message::Vote { .. }
            | Message::VoteReply { .. }
            | Message::HeartbeatReply { .. }
            | Message::Ack { .. }
            | Message::Resync { .. }
            | Message::Stale { .. }
            | Message::Ping { .. }
            | Message::Pong { .. } => unreachable!("only a leader's messages come here"),
        }
        let committed = self.follower.committed(tail, self.mutants);
        self.committed = self.committed.max(committed);
    }

    fn receive_from_follower(
        &mut self,
        from: NodeId,
        message: Message,
        tail: &mut Tail,
        effects: &mut Effects,
    ) {
        let (Message::HeartbeatReply { epoch, .. }
        | Message::Ack { epoch, .. }
        | Message::Resync { epoch, .. }) = message
        else {
            unreachable!("only a follower's messages come here")
        };
        if epoch > self.promise.epoch() {
            return self.observe(epoch, tail, effects);
        }
        let counts_all = self.mutants.is(Mutant::AcksByIndex);
        if epoch < self.promise.epoch() && !counts_all {
            return;
        }
        if let Role::Leader(reign) = &mut self.role
            && let Some(remote) = reign.remote(from)
        {
            remote.silent_ticks = 0;
        }
        match message {
            Message::HeartbeatReply { round, progress, fit, quorum_rtt_nanos, .. } => {
                let answer = (round, fit, quorum_rtt_nanos);
                self.heartbeat_answered(from, answer, &progress, tail, effects);
            }
            Message::Ack { progress, .. } => self.acknowledged(from, &progress, tail, effects),
            Message::Resync { session, end, committed, .. } => {
                self.resync(from, session, end, committed, tail, effects);
            }
            Message::PreVote { .. }
            | Message::PreVoteReply { .. }
            | Message::Vote { .. }
            | Message::VoteReply { .. }
            | Message::Heartbeat { .. }
            | Message::Append { .. }
            | Message::Commit { .. }
            | Message::TimeoutNow { .. }
            | Message::Stale { .. }
            | Message::Ping { .. }
            | Message::Pong { .. } => unreachable!("only a follower's messages come here"),
        }
    }
}
