//! A disk gives one vote in an epoch, over all starts (2), and a leader has those of a majority.

use quorate_core::id::{Epoch, NodeId};
use quorate_core::message::{LastEntry, Message};

use super::{Turned, broken, id_of};
use crate::group::ghost::{Ghost, Role, View};
use crate::history::Violation;

pub(super) fn said(
    ghost: &mut Ghost,
    from: usize,
    to: usize,
    message: &Message,
) -> Result<(), Violation> {
    let (epoch, candidate) = match message {
        Message::Vote { epoch, last, .. } => {
            ghost.campaigns.insert((id_of(from), *epoch), *last);
            (*epoch, id_of(from))
        }
        Message::VoteReply { epoch, granted: true } => {
            is_complete(ghost, from, id_of(to), *epoch)?;
            (*epoch, id_of(to))
        }
        _ => return Ok(()),
    };
    match ghost.votes.insert((from, epoch), candidate) {
        Some(other) if other != candidate => {
            let story = format!("node {from} votes in epoch {epoch} for {other}, then {candidate}");
            Err(broken("one vote in an epoch", story))
        }
        _ => Ok(()),
    }
}

/// Who gets a vote has a log that is at least as good as the voter's.
fn is_complete(
    ghost: &Ghost,
    voter: usize,
    candidate: NodeId,
    epoch: Epoch,
) -> Result<(), Violation> {
    let Some(view) = ghost.nodes[voter].view else { return Ok(()) };
    let Some(end) = ghost.find(&view.end.chain).map(|id| ghost.entry(id)) else { return Ok(()) };
    let end = LastEntry { epoch: end.epoch, index: view.end.index };
    let asked_with = ghost.campaigns.get(&(candidate, epoch)).copied().unwrap_or_default();
    // What has come from the leader of that epoch since does not count.
    if end.epoch < epoch && asked_with < end {
        let story = format!(
            "node {voter} votes in epoch {epoch} for {candidate}, which has {asked_with:?}, and has \
             {end:?} itself"
        );
        return Err(broken("votes go to complete logs", story));
    }
    Ok(())
}

/// A node has started anew: it remembers whom it has given its vote.
pub(super) fn started(ghost: &Ghost, node: usize, view: &View) -> Result<(), Violation> {
    let told = ghost.votes.get(&(node, view.epoch)).copied();
    if told.is_some() && view.voted_for != told {
        let story = format!(
            "node {node} starts in epoch {} with {:?}, and has voted for {told:?} there",
            view.epoch, view.voted_for
        );
        return Err(broken("one vote in an epoch", story));
    }
    Ok(())
}

/// A node leads since this turn: a majority has told it so.
pub(super) fn turned(ghost: &Ghost, turned: &Turned) -> Result<(), Violation> {
    let Turned { node, before, after, .. } = turned;
    let led = before.is_some_and(|it| it.role == Role::Leader && it.epoch == after.epoch);
    if after.role != Role::Leader || led {
        return Ok(());
    }
    let has_vote = |voter: &usize| {
        ghost.votes.get(&(*voter, after.epoch)).is_some_and(|to| *to == id_of(*node))
    };
    let votes = (0..ghost.nodes.len()).filter(has_vote).count();
    if votes < ghost.quorum {
        let story = format!("node {node} leads in epoch {} with {votes} votes", after.epoch);
        return Err(broken("a leader is elected", story));
    }
    Ok(())
}
