//! What a node says to have on stable storage is there when it says so, and it is just that (14).

use quorate_core::message::{Message, Tip};

use super::broken;
use crate::group::ghost::{Ghost, ROOT};
use crate::history::Violation;

pub(super) fn said(ghost: &Ghost, from: usize, message: &Message) -> Result<(), Violation> {
    let progress = match message {
        Message::HeartbeatReply { progress, .. } | Message::Ack { progress, .. } => progress,
        Message::Resync { committed, .. } => return check(ghost, from, committed, message),
        _ => return Ok(()),
    };
    if progress.committed > progress.received && progress.session.get() > 0 {
        let story = format!("node {from} says {message:?}: more committed than received");
        return Err(broken("acknowledged is durable", story));
    }
    check(ghost, from, &progress.durable, message)
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
