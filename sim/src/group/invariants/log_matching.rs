//! One place of one reign is one entry, on all disks and for all time (4); and one reign begins
//! once (1).

use super::broken;
use crate::group::disk::Record;
use crate::group::ghost::{EntryId, Ghost, ROOT};
use crate::history::Violation;

/// A disk is given a record to write.
pub(super) fn submitted(ghost: &mut Ghost, node: usize, record: &Record) -> Result<(), Violation> {
    let index = record.index.get();
    let Some(parent) = ghost.find(&record.parent) else {
        let story = format!("node {node} writes {record:?}, and nobody ever wrote what is before");
        return Err(broken("logs match", story));
    };
    let id = match ghost.find(&record.chain) {
        Some(id) => id,
        None => {
            is_new(ghost, node, record, parent)?;
            ghost.insert(record, parent)
        }
    };
    if ghost.entry(parent).index + 1 != index {
        let story = format!("node {node} writes {record:?} behind entry {parent}");
        return Err(broken("logs match", story));
    }
    // The same record again is what a start repairs; another one there was truncated before.
    let path = &ghost.nodes[node].path;
    if path.get(index as usize - 1) == Some(&id) {
        return Ok(());
    }
    let before = match index {
        1 => Some(ROOT),
        _ => path.get(index as usize - 2).copied(),
    };
    if path.len() as u64 != index - 1 || before != Some(parent) {
        let story = format!(
            "node {node} writes {record:?}, and its log has {} entries before that",
            path.len()
        );
        return Err(broken("a log is written in order", story));
    }
    ghost.nodes[node].path.push(id);
    Ok(())
}

/// Nobody has written an entry of this name yet.
fn is_new(
    ghost: &mut Ghost,
    node: usize,
    record: &Record,
    parent: EntryId,
) -> Result<(), Violation> {
    let (epoch, index) = (record.epoch, record.index.get());
    if ghost.at_place(epoch, index).is_some() {
        let story = format!("node {node} writes {record:?}, and another entry has its name");
        return Err(broken("logs match", story));
    }
    if ghost.entry(parent).epoch > epoch {
        let story = format!("node {node} writes {record:?} behind an entry of a later epoch");
        return Err(broken("logs match", story));
    }
    let begins = ghost.entry(parent).epoch < epoch;
    if begins != record.leader.is_some() {
        let story = format!("node {node} writes {record:?}: a reign begins with its record");
        return Err(broken("a reign begins once", story));
    }
    let reign = ghost.reigns.entry(epoch).or_default();
    if let Some(leader) = record.leader {
        if reign.record.is_some() || reign.leader.is_some_and(|known| known != leader) {
            let story = format!("node {node} writes {record:?}, and epoch {epoch} has {reign:?}");
            return Err(broken("a reign begins once", story));
        }
        (reign.leader, reign.record) = (Some(leader), Some(parent));
    }
    Ok(())
}
