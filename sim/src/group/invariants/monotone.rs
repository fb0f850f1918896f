//! Epochs and what is known to be committed never go back, and a start does not take back what was
//! said before it (3).

use quorate_core::id::Epoch;
use quorate_core::message::Message;

use super::{Turned, broken};
use crate::group::ghost::{Ghost, View};
use crate::history::Violation;

pub(super) fn check(turned: &Turned) -> Result<(), Violation> {
    let Turned { node, before: Some(before), after, .. } = turned else { return Ok(()) };
    let changed_vote = before.epoch == after.epoch
        && before.voted_for.is_some()
        && before.voted_for != after.voted_for;
    let changed_leader = before.epoch == after.epoch
        && before.leader.is_some()
        && after.leader.is_some()
        && before.leader != after.leader;
    if after.epoch < before.epoch
        || after.committed.index < before.committed.index
        || changed_vote
        || changed_leader
    {
        let story = format!("node {node} was {before:?} and is {after:?}");
        return Err(broken("nothing goes back", story));
    }
    Ok(())
}

/// A node has started anew.
pub(super) fn started(ghost: &Ghost, node: usize, view: &View) -> Result<(), Violation> {
    let spoken = ghost.nodes[node].spoken;
    if view.epoch < spoken {
        let story = format!("node {node} starts in epoch {}, and spoke in {spoken}", view.epoch);
        return Err(broken("nothing goes back", story));
    }
    Ok(())
}

/// A node promises something in an epoch.
pub(super) fn said(ghost: &mut Ghost, from: usize, message: &Message) {
    let epoch = match message {
        Message::Vote { epoch, .. }
        | Message::VoteReply { epoch, granted: true }
        | Message::Heartbeat { epoch, .. }
        | Message::HeartbeatReply { epoch, .. }
        | Message::Append { epoch, .. }
        | Message::Ack { epoch, .. } => *epoch,
        _ => Epoch::ZERO,
    };
    let spoken = &mut ghost.nodes[from].spoken;
    *spoken = epoch.max(*spoken);
}
