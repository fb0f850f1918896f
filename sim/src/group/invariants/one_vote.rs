//! A disk gives one vote in an epoch, over all starts (2).

use quorate_core::message::Message;

use super::{broken, id_of};
use crate::group::ghost::Ghost;
use crate::history::Violation;

pub(super) fn said(
    ghost: &mut Ghost,
    from: usize,
    to: usize,
    message: &Message,
) -> Result<(), Violation> {
    let (epoch, candidate) = match message {
        Message::Vote { epoch, .. } => (*epoch, id_of(from)),
        Message::VoteReply { epoch, granted: true } => (*epoch, id_of(to)),
        _ => return Ok(()),
    };
    match ghost.votes.insert((from, epoch), candidate) {
        Some(other) if other != candidate => {
            let story = format!("node {from} votes in epoch {epoch} for {other}, then {candidate}");
            Err(broken("one vote in an epoch", story))
        }
        _ => Ok(()),
    }
}
