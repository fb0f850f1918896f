//! What must hold in a group at every moment, one file each. The numbers in their docs are those
//! of the list of invariants that the project keeps; those that clients can see are with the
//! oracle, [`crate::invariants`], and those of progress with [`super::liveness`].

mod ack_durable;
mod append_only;
mod commit;
mod log_matching;
mod monotone;
mod one_leader;
mod one_vote;
mod ordering;
mod recovery;
mod truncation;

use quorate_core::id::{LogIndex, NodeId};
use quorate_core::message::Message;

use super::disk::News;
use super::ghost::{Ghost, View};
use crate::history::Violation;

/// Something is wrong: which invariant, and what was seen.
pub(super) fn broken(invariant: &'static str, story: String) -> Violation {
    Violation { invariant, story }
}

/// A node as the wire names it.
pub(super) const fn id_of(node: usize) -> NodeId {
    NodeId::from_wire(node as u64 + 1)
}

/// A node has taken a turn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turned {
    pub(crate) node: usize,
    /// What it was before; `None` in the first turn of a process.
    pub(crate) before: Option<View>,
    pub(crate) after: View,
    /// It is its last one: its disk has failed.
    pub(crate) stops: bool,
}

/// A disk was given something, or has made it durable.
pub(crate) fn disk(ghost: &mut Ghost, node: usize, news: &News) -> Result<(), Violation> {
    match news {
        News::Submitted(record) => {
            // Another entry in its place was removed before.
            let place = record.index.get() as usize - 1;
            while let Some(known) = ghost.nodes[node].path.get(place)
                && ghost.find(&record.chain) != Some(*known)
                && !ghost.nodes[node].removals.is_empty()
            {
                truncation::carried_out(ghost, node)?;
            }
            log_matching::submitted(ghost, node, record)
        }
        News::Durable(record) => {
            // What was removed while it was being written does not count any more.
            let place = record.index.get() as usize - 1;
            if let Some(id) = ghost.find(&record.chain)
                && ghost.nodes[node].path.get(place) == Some(&id)
            {
                ghost.set_held(id, node, true);
            }
            Ok(())
        }
    }
}

/// A node has started on what its disk has kept.
///
/// - `is_honest`: what its disk called durable is there, unless something is wrong with the node
pub(crate) fn started(
    ghost: &mut Ghost,
    node: usize,
    view: &View,
    is_honest: bool,
) -> Result<(), Violation> {
    recovery::check(ghost, node, view, is_honest)?;
    one_vote::started(ghost, node, view)?;
    monotone::started(ghost, node, view)
}

/// A node removes its newest entries, from this one on; before the disk's news of the same turn.
pub(crate) fn truncated(
    ghost: &mut Ghost,
    node: usize,
    from: LogIndex,
    after: &View,
) -> Result<(), Violation> {
    truncation::announced(ghost, node, from, after)
}

/// A node has taken a turn.
pub(crate) fn turned(ghost: &mut Ghost, turned: &Turned) -> Result<(), Violation> {
    while !ghost.nodes[turned.node].removals.is_empty() {
        truncation::carried_out(ghost, turned.node)?;
    }
    if turned.before == Some(turned.after) {
        return Ok(());
    }
    ordering::check(ghost, turned)?;
    monotone::check(turned)?;
    one_leader::check(ghost, turned)?;
    one_vote::turned(ghost, turned)?;
    // A node that stops drops what it had still to tell, such as that it removes entries.
    if !turned.stops {
        truncation::check(ghost, turned)?;
    }
    commit::check(ghost, turned)?;
    append_only::check(ghost, turned)?;
    ghost.nodes[turned.node].view = Some(turned.after);
    Ok(())
}

/// A node says something to another.
pub(crate) fn said(
    ghost: &mut Ghost,
    from: usize,
    to: usize,
    message: &Message,
) -> Result<(), Violation> {
    one_vote::said(ghost, from, to, message)?;
    one_leader::said(ghost, from, message)?;
    commit::said(ghost, from, message)?;
    ack_durable::said(ghost, from, message)?;
    monotone::said(ghost, from, message);
    Ok(())
}
