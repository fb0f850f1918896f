//! No node removes what it knows to be committed, nor what is committed without its knowledge where
//! that leaves too few (10); and what is removed makes room for a later reign (11).

use quorate_core::id::LogIndex;

use super::{Turned, broken};
use crate::group::ghost::{Ghost, View};
use crate::history::Violation;

/// A node says that it removes its entries from this one on. What the disk was given before that in
/// the same turn is not known yet.
pub(super) fn announced(
    ghost: &mut Ghost,
    node: usize,
    from: LogIndex,
    after: &View,
) -> Result<(), Violation> {
    let before = ghost.nodes[node].view;
    if before.is_some_and(|before| from <= before.committed.index) {
        let story = format!("node {node} removes its log from entry {from} on: was {before:?}");
        return Err(broken("what is committed stays", story));
    }
    ghost.nodes[node].removals.push((from, after.epoch));
    Ok(())
}

/// The oldest announced removal happens now.
pub(super) fn carried_out(ghost: &mut Ghost, node: usize) -> Result<(), Violation> {
    let (from, epoch) = ghost.nodes[node].removals.remove(0);
    let story = format!("node {node} removes its log from entry {from} on");
    for id in ghost.truncate(node, from.get() - 1) {
        let entry = ghost.entry(id);
        let is_committed = ghost.committed_at(entry.index) == Some(id);
        if is_committed && ghost.holders(id) < ghost.quorum {
            let story = format!("{story}; entry {} was committed", entry.index);
            return Err(broken("what is committed stays", story));
        }
        if entry.epoch >= epoch {
            let story = format!("{story}; entry {} of epoch {}", entry.index, entry.epoch);
            return Err(broken("truncation makes room for a later reign", story));
        }
    }
    Ok(())
}

/// What was given to the disk is still in the log, unless its removal was announced.
pub(super) fn check(ghost: &Ghost, turned: &Turned) -> Result<(), Violation> {
    let Turned { node, before, after, .. } = turned;
    let path = &ghost.nodes[*node].path;
    let end = after.end.index.get();
    let known = path.last().copied().unwrap_or_default();
    let is_there = match ghost.find(&after.end.chain) {
        Some(id) => end >= path.len() as u64 && ghost.ancestor(id, path.len() as u64) == known,
        None => end > path.len() as u64,
    };
    if !is_there {
        let story = format!(
            "node {node} was {before:?} and is {after:?}, and its disk was given {} entries",
            path.len()
        );
        return Err(broken("a log only grows", story));
    }
    Ok(())
}
