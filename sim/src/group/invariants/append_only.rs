//! A leader's log has all that reigns before its own have committed (8), and only grows while it
//! leads (9).
//!
//! It need not have what a later reign has committed: votes can arrive, or one's own can become
//! durable, when others have long elected somebody else.

use super::{Turned, broken};
use crate::group::ghost::{Ghost, Role};
use crate::history::Violation;

pub(super) fn check(ghost: &Ghost, turned: &Turned) -> Result<(), Violation> {
    let Turned { node, before, after, .. } = turned;
    if after.role != Role::Leader {
        return Ok(());
    }
    let Some(before) = before.filter(|it| it.role == Role::Leader && it.epoch == after.epoch)
    else {
        return is_complete(ghost, turned);
    };
    // An entry that no disk was given yet is not in the tree; then the last one that is decides.
    if after.end.index < before.end.index
        || (after.end.index == before.end.index && after.end != before.end)
    {
        let story = format!("leader {node} had {:?} and now has {:?}", before.end, after.end);
        return Err(broken("a leader only appends", story));
    }
    Ok(())
}

/// It leads from now on.
fn is_complete(ghost: &Ghost, turned: &Turned) -> Result<(), Violation> {
    let Turned { node, after, .. } = turned;
    let last = ghost.committed_before(after.epoch);
    if last == 0 {
        return Ok(());
    }
    let path = &ghost.nodes[*node].path;
    if path.len() < last && last as u64 <= after.end.index.get() {
        // It has something there that its disk was not given yet: what, will be seen then.
        return Ok(());
    }
    if path.get(last - 1) != ghost.committed.get(last - 1) {
        let story = format!(
            "node {node} leads in epoch {} and has not the committed entry {last}: {after:?}",
            after.epoch
        );
        return Err(broken("a leader is complete", story));
    }
    Ok(())
}
