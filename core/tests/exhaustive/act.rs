//! What becomes of a state when something happens in it.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use crate::group::disk::Part;
use crate::group::{Envelope, Group};
use crate::space::{Action, Bounds, Kept, State, digest, place};
use quorate_core::id::{LogIndex, NodeId};
use quorate_core::message::Message;
use quorate_core::notice::Notice;
use quorate_core::{Effect, Input};

impl State {
    /// Gives the hashes of what was said, but for what others said because of a crash.
    pub(crate) fn act(&mut self, action: &Action, bounds: &Bounds) -> Vec<u64> {
        let group = &mut self.group;
        let id = match *action {
            Action::Timeout(id, is_refused) => {
                if is_refused {
                    ask_beforehand(group, id, false, |granted| !granted);
                }
                ask_beforehand(group, id, bounds.narrow, |_| true);
                id
            }
            Action::Beat(id) => {
                self.beats += 1;
                group.tick(id);
                id
            }
            Action::Deliver(key) => {
                let envelope = Arc::clone(&self.said[&key]);
                if bounds.narrow {
                    self.said.remove(&key);
                    if let Message::Vote { epoch, .. } = envelope.message
                        && epoch > group.node(envelope.to).replica.view().epoch
                    {
                        lose_leader(group, envelope.to);
                    }
                }
                group.deliver(&envelope);
                envelope.to
            }
            Action::HardStateWritten(id) => {
                group.finish_hard_state(id);
                id
            }
            Action::Written(id, index) => {
                group.finish_write(id, index);
                id
            }
            Action::Truncated(id) => {
                group.finish_truncation(id);
                id
            }
            Action::Append(id) => {
                self.appends += 1;
                // Each has its own stream, which nobody has written to.
                let stream = self.appends.to_string();
                group.append(id, self.appends, &stream);
                id
            }
            Action::Crash(id, kept) => {
                self.crashes += 1;
                crash(group, id, kept);
                if self.crashes == bounds.crashes {
                    // Only a start asks for it, and none is to come.
                    group.ids().into_iter().for_each(|id| group.node_mut(id).hint = LogIndex::ZERO);
                }
                id
            }
        };
        let says = self.end_turn(id, bounds);
        if matches!(action, Action::Crash(..)) {
            for peer in self.group.ids().into_iter().filter(|peer| *peer != id) {
                self.group.step(peer, Input::PeerDown { node: id });
                self.group.step(peer, Input::PeerUp { node: id });
                self.end_turn(peer, bounds);
            }
        }
        says
    }

    /// What the shell of a node does at once is done, and what it said is remembered.
    fn end_turn(&mut self, id: NodeId, bounds: &Bounds) -> Vec<u64> {
        self.group.step(id, Input::EndTurn);
        while !self.group.node(id).jobs.is_empty() {
            self.group.finish_job(id, 0);
            self.group.step(id, Input::EndTurn);
        }
        if bounds.narrow {
            self.finish_promise(id, self.crashes < bounds.crashes);
        }
        // A replica lets go of what it lent when it is stepped next. With one turn more, in which
        // nothing happens, that is always over: nodes that only differ in it are the same.
        self.group.step(id, Input::EndTurn);
        self.digests[place(id)] = digest(self.group.node(id));
        let mut says = Vec::new();
        for mut envelope in std::mem::take(&mut self.group.net) {
            if !self.is_lost(&envelope.message) {
                forget_views(&mut envelope.message);
                let mut hasher = DefaultHasher::new();
                (envelope.from, envelope.to, &envelope.message).hash(&mut hasher);
                says.push(hasher.finish());
                if bounds.narrow {
                    self.said.retain(|_, it| !overtakes(&envelope, it));
                }
                self.said.entry(hasher.finish()).or_insert_with(|| Arc::new(envelope));
            }
        }
        let group = &self.group;
        // Who makes mistakes may care.
        self.said.retain(|_, envelope| group.mutant.is_some() || can_matter(group, envelope));
        says
    }

    /// A promise is on disk at once, and without a crash to come a truncation is done at once, too.
    ///
    /// Until its promise is on disk a node is silent, as if what it has to say were late, and writes
    /// no entry. So if a crash loses the promise, all that came to the node since is lost with it,
    /// and the same is reached where that crash comes before the message, or the silence, that led
    /// to the promise: what has come since then comes never. That is not so where the log is
    /// truncated meanwhile, for that outlives the crash: then both take their time.
    fn finish_promise(&mut self, id: NodeId, may_crash: bool) {
        loop {
            let disk = &self.group.node(id).disk;
            if may_crash && disk.truncation.is_some() {
                return;
            }
            if disk.hard_state_under_way.is_some() {
                self.group.finish_hard_state(id);
            } else if disk.truncation.is_some() {
                self.group.finish_truncation(id);
            } else {
                return;
            }
            self.group.step(id, Input::EndTurn);
        }
    }

    /// What never arrives, so that there are fewer states: any message can be lost.
    fn is_lost(&self, message: &Message) -> bool {
        match message {
            Message::Heartbeat { .. } | Message::HeartbeatReply { .. } => self.beats == 0,
            Message::Ping { .. }
            | Message::Pong { .. }
            | Message::PreVote { .. }
            | Message::PreVoteReply { .. }
            | Message::Stale { .. } => true,
            _ => false,
        }
    }
}

/// A node has waited long enough. It asks the others whether they would elect it, and they answer in
/// the same moment: since that changes nothing at a voter, an answer that comes later is like a
/// question that is asked later.
///
/// - `lost`: whether they have lost their leader, too, for as long as that takes
/// - `hears`: which answers arrive
fn ask_beforehand(group: &mut Group, id: NodeId, lost: bool, hears: impl Fn(bool) -> bool) {
    let begins = |it: &Effect| matches!(it, Effect::Notice(Notice::PreCampaigning { .. }));
    while !group.tick(id).iter().any(begins) {}
    let mut voters = group.clone();
    for question in std::mem::take(&mut group.net) {
        if let Message::PreVote { .. } = question.message {
            if lost {
                lose_leader(&mut voters, question.to);
            }
            voters.net.clear();
            voters.deliver(&question);
            let answer = voters.net.pop().expect("it is answered");
            if matches!(answer.message, Message::PreVoteReply { granted, .. } if hears(granted)) {
                group.deliver(&answer);
            }
        }
    }
}

/// A node waits for its leader until it gives it up. Until it votes, nobody can tell such a node from
/// one that nothing reaches and whose words are late: it says nothing, it takes in nothing before it
/// hears a leader, and then follows that as it would have done anyway. So in a narrow check it is
/// enough that it gives its leader up when it is asked for its vote, or beforehand whether it would
/// give it.
fn lose_leader(group: &mut Group, id: NodeId) {
    let view = |group: &Group| group.node(id).replica.view();
    while view(group).leader.is_some() && !view(group).role.leads() {
        group.tick(id);
    }
}

/// What a follower knows to be committed is for people to look at where it leads to: messages that
/// only differ in that do the same.
const fn forget_views(message: &mut Message) {
    if let Message::Ack { progress, .. } | Message::HeartbeatReply { progress, .. } = message {
        progress.committed = LogIndex::ZERO;
    }
}

/// Whether a message makes an earlier one void: what a follower says of its progress is more than
/// what it said before.
fn overtakes(new: &Envelope, old: &Envelope) -> bool {
    if (new.from, new.to) != (old.from, old.to) {
        return false;
    }
    match (new.message, old.message) {
        (Message::Ack { epoch, progress }, Message::Ack { epoch: old_epoch, progress: old }) => {
            epoch == old_epoch
                && progress.session >= old.session
                && progress.received >= old.received
                && progress.durable.index >= old.durable.index
                && progress.committed >= old.committed
        }
        (
            Message::Append { epoch, session, .. },
            Message::Append { epoch: old_epoch, session: old, .. },
        ) => epoch == old_epoch && session > old,
        _ => false,
    }
}

/// Whether a message can still do anything but to be called stale: states that differ in others
/// only are the same.
fn can_matter(group: &Group, envelope: &Envelope) -> bool {
    let promised = group.node(envelope.to).disk.hard_state;
    match envelope.message {
        Message::Vote { epoch, .. } => {
            epoch > promised.epoch || epoch == promised.epoch && promised.voted_for.is_none()
        }
        Message::VoteReply { epoch, .. } => {
            epoch >= promised.epoch && group.ghost.leaders.get(&epoch) != Some(&envelope.to)
        }
        Message::Append { epoch, .. }
        | Message::Ack { epoch, .. }
        | Message::Resync { epoch, .. }
        | Message::Commit { epoch, .. }
        | Message::Heartbeat { epoch, .. }
        | Message::HeartbeatReply { epoch, .. } => epoch >= promised.epoch,
        _ => true,
    }
}

fn crash(group: &mut Group, id: NodeId, kept: Kept) {
    let mut entries = 0;
    group.crash(id, |part| match part {
        Part::HardState => kept.hard_state,
        Part::Truncation => kept.truncation,
        Part::Entry => {
            entries += 1;
            entries <= kept.entries
        }
    });
    if kept.hint {
        let node = group.node_mut(id);
        node.hint = node.committed.min(node.disk.end().index);
    }
    group.boot(id);
}
