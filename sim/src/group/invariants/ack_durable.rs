//! What a node says to have on stable storage is there when it says so, and it is just that (14).

use quorate_core::message::{Message, Tip};

use super::broken;
use crate::group::ghost::{Ghost, ROOT};
use crate::history::Violation;

pub(super) fn said(ghost: &Ghost, from: usize, message: &Message) -> Result<(), Violation> {
    let (committed, is_true) = match message {
        Message::HeartbeatReply { progress, .. } | Message::Ack { progress, .. } => {
            check(ghost, from, &progress.durable, message)?;
            (progress.committed, true)
        }
        // It need not be on this node's disk, but it is committed.
        Message::Resync { committed, .. } => {
            let id = ghost.committed_at(committed.index.get());
            (committed.index, id.is_some() && id == ghost.find(&committed.chain))
        }
        _ => return Ok(()),
    };
    let known = ghost.committed.len() as u64;
    if committed.get() > known || !is_true {
        let story = format!("node {from} says {message:?}, and {known} entries are committed");
        return Err(broken("what is called committed is", story));
    }
    Ok(())
}

fn check(ghost: &Ghost, from: usize, tip: &Tip, message: &Message) -> Result<(), Violation> {
    let observed = &ghost.nodes[from];
    let index = tip.index.get() as usize;
    let there = match index {
        0 => Some(ROOT),
        _ => observed.path.get(index - 1).copied(),
    };
    if index > observed.durable || there.is_none() || ghost.find(&tip.chain) != there {
        let story = format!(
            "node {from} says {message:?}, and has {} of {} entries on stable storage",
            observed.durable,
            observed.path.len()
        );
        return Err(broken("acknowledged is durable", story));
    }
    Ok(())
}
