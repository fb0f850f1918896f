//! Within a node: committed is not beyond the log's end, nor is durable (19).

use super::{Turned, broken};
use crate::group::ghost::Ghost;
use crate::history::Violation;

pub(super) fn check(ghost: &Ghost, turned: &Turned) -> Result<(), Violation> {
    let Turned { node, after, .. } = turned;
    let end = after.end.index;
    let written = ghost.nodes[*node].durable as u64;
    if after.committed.index > end || after.durable > end || after.durable.get() > written {
        let story = format!("node {node} is {after:?}, and {written} entries are durable there");
        return Err(broken("committed and durable are within the log", story));
    }
    Ok(())
}
