//! A start finds all that was on stable storage, and nothing that nobody wrote (22, on one disk).

use super::broken;
use crate::group::ghost::{Ghost, View};
use crate::history::Violation;

pub(super) fn check(
    ghost: &mut Ghost,
    node: usize,
    view: &View,
    is_honest: bool,
) -> Result<(), Violation> {
    let found = ghost.find(&view.end.chain);
    let Some(id) = found.filter(|id| ghost.entry(*id).index == view.end.index.get()) else {
        let story = format!("node {node} starts with {:?}, which nobody wrote", view.end);
        return Err(broken("recovery", story));
    };
    let observed = &ghost.nodes[node];
    let durable = &observed.path[..observed.durable];
    if let Some(last) = durable.last().filter(|_| is_honest) {
        let index = ghost.entry(*last).index;
        if ghost.entry(id).index < index || ghost.ancestor(id, index) != *last {
            let story = format!(
                "node {node} starts with {:?}, and had {index} entries on stable storage",
                view.end
            );
            return Err(broken("recovery", story));
        }
    }
    let committed = view.committed.index.get();
    let known = ghost.committed.len() as u64;
    if committed > known || ghost.committed_at(committed) != ghost.find(&view.committed.chain) {
        let story = format!(
            "node {node} starts with {:?} as committed, of {known} entries that are",
            view.committed
        );
        return Err(broken("recovery", story));
    }
    ghost.truncate(node, 0);
    ghost.recovered(node, id);
    Ok(())
}
