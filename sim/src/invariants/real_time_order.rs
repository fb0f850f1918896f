//! What was acknowledged before something else was asked for stands before it in the log (26).

use crate::history::Evidence;

pub(super) fn check(evidence: &Evidence<'_>) -> Result<(), String> {
    for (attempt, found) in evidence.attempts.iter().zip(&evidence.found) {
        let Some(first) = found.first() else { continue };
        let known = evidence.known_before(attempt.invoked);
        if known > *first {
            return Err(format!(
                "{} stands at {}, before {}, which was acknowledged before it was asked for",
                attempt.stream,
                evidence.log[*first].position,
                evidence.log[known - 1].position
            ));
        }
    }
    Ok(())
}
