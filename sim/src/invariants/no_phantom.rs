//! Each event of the log was wanted by somebody, and nothing that was surely refused is there (23).

use crate::history::{End, Evidence};

pub(super) fn check(evidence: &Evidence<'_>) -> Result<(), String> {
    for (place, (event, owner)) in evidence.log.iter().zip(&evidence.owner).enumerate() {
        match owner {
            None if revives(evidence, place) => {}
            None => return Err(format!("nobody wrote {} {}", event.stream, event.id)),
            Some(owner) => {
                let end = &evidence.attempts[*owner].end;
                if matches!(end, End::Refused { .. }) {
                    return Err(format!("{} {} is there, and was {end:?}", event.stream, event.id));
                }
            }
        }
    }
    Ok(())
}

/// Whether this is the store's own metadata event, directly before the append that begins a deleted
/// stream anew.
fn revives(evidence: &Evidence<'_>, place: usize) -> bool {
    let owner = evidence.log[place].stream.strip_prefix("$$");
    let next = evidence.log.get(place + 1);
    next.is_some_and(|next| owner == Some(&next.stream) && evidence.owner[place + 1].is_some())
}
