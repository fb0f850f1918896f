//! At most one node leads in an epoch (1).

use quorate_core::id::{Epoch, NodeId};
use quorate_core::message::Message;

use super::{Turned, broken, id_of};
use crate::group::ghost::{Ghost, Role};
use crate::history::Violation;

pub(super) fn check(ghost: &mut Ghost, turned: &Turned) -> Result<(), Violation> {
    let Turned { node, after, .. } = turned;
    if after.role == Role::Leader {
        leads(ghost, id_of(*node), after.epoch)?;
    }
    match after.leader {
        Some(leader) => leads(ghost, leader, after.epoch),
        None => Ok(()),
    }
}

/// A node speaks as a leader.
pub(super) fn said(ghost: &mut Ghost, from: usize, message: &Message) -> Result<(), Violation> {
    match message {
        Message::Heartbeat { epoch, .. }
        | Message::Append { epoch, .. }
        | Message::Commit { epoch, .. }
        | Message::TimeoutNow { epoch } => leads(ghost, id_of(from), *epoch),
        _ => Ok(()),
    }
}

fn leads(ghost: &mut Ghost, node: NodeId, epoch: Epoch) -> Result<(), Violation> {
    let reign = ghost.reigns.entry(epoch).or_default();
    match reign.leader.replace(node) {
        Some(other) if other != node => {
            let story = format!("nodes {other} and {node} lead in epoch {epoch}");
            Err(broken("one leader in an epoch", story))
        }
        _ => Ok(()),
    }
}
