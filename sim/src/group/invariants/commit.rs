//! What is committed is committed for ever (5), was on a quorum of disks when it was first called
//! so (6), and a leader calls it so by an entry of its own reign (7).

use quorate_core::message::{Message, Tip};

use super::{Turned, broken};
use crate::group::ghost::{Ghost, Role, View};
use crate::history::Violation;

/// A node's view of what is committed may have changed.
pub(super) fn check(ghost: &mut Ghost, turned: &Turned) -> Result<(), Violation> {
    let Turned { node, before, after, .. } = turned;
    let tip = after.committed;
    let known = before.map_or(0, |before| before.committed.index.get());
    if tip.index.get() == known && before.is_some() {
        return Ok(());
    }
    let extends = tip.index.get() > ghost.committed.len() as u64;
    agrees(ghost, *node, &tip)?;
    if extends {
        is_own(ghost, *node, after)?;
    }
    Ok(())
}

/// The tip is on the one committed log, or makes it longer.
fn agrees(ghost: &mut Ghost, node: usize, tip: &Tip) -> Result<(), Violation> {
    let index = tip.index.get();
    let Some(id) = ghost.find(&tip.chain).filter(|id| ghost.entry(*id).index == index) else {
        let story = format!("node {node} calls {tip:?} committed, which no disk was ever given");
        return Err(broken("commits are for ever", story));
    };
    let known = ghost.committed.len() as u64;
    if ghost.committed_at(index.min(known)) != Some(ghost.ancestor(id, index.min(known))) {
        let story = format!(
            "node {node} calls {tip:?} committed, and another entry was committed at or before {}",
            index.min(known)
        );
        return Err(broken("commits are for ever", story));
    }
    // A leader commits by an entry of its own, and is the first to know.
    let reign = ghost.entry(id).epoch;
    for index in known + 1..=index {
        let next = ghost.ancestor(id, index);
        let holders = ghost.holders(next);
        if holders < ghost.quorum {
            let story = format!(
                "node {node} calls entry {index} of epoch {} committed, and {holders} disks have it",
                ghost.entry(next).epoch
            );
            return Err(broken("committed is on a quorum", story));
        }
        ghost.commit(next, reign);
    }
    Ok(())
}

/// The entry by which a leader commits is of its own reign.
fn is_own(ghost: &Ghost, node: usize, after: &View) -> Result<(), Violation> {
    let tip = ghost.committed_at(after.committed.index.get()).expect("it was just added");
    let epoch = ghost.entry(tip).epoch;
    if after.role == Role::Leader && epoch != after.epoch {
        let story = format!(
            "leader {node} of epoch {} commits up to entry {}, which is of epoch {epoch}",
            after.epoch, after.committed.index
        );
        return Err(broken("a leader commits by its own entries", story));
    }
    Ok(())
}

/// A leader tells others what is committed: never more than what is.
pub(super) fn said(ghost: &Ghost, from: usize, message: &Message) -> Result<(), Violation> {
    let (Message::Heartbeat { committed, .. }
    | Message::Append { committed, .. }
    | Message::Commit { committed, .. }) = message
    else {
        return Ok(());
    };
    if committed.get() > ghost.committed.len() as u64 {
        let story = format!(
            "node {from} says {message:?}, and {} entries are committed",
            ghost.committed.len()
        );
        return Err(broken("committed is on a quorum", story));
    }
    Ok(())
}
