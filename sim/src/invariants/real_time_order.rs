//! What was acknowledged before something else was asked for stands before it in the log (26).

use crate::history::{End, Evidence};

pub(super) fn check(evidence: &Evidence<'_>) -> Result<(), String> {
    // By the moment of their answer: the furthest position that was known by then.
    let mut answered: Vec<(u64, usize)> = Vec::new();
    for (attempt, found) in evidence.attempts.iter().zip(&evidence.found) {
        if let (End::Done { at, .. }, Some(last)) = (&attempt.end, found.last()) {
            answered.push((*at, *last));
        }
    }
    answered.sort_unstable();
    for (attempt, found) in evidence.attempts.iter().zip(&evidence.found) {
        let Some(first) = found.first() else { continue };
        let before = answered.iter().take_while(|(at, _)| *at < attempt.invoked);
        if let Some((_, last)) = before.max_by_key(|(_, last)| *last)
            && last > first
        {
            return Err(format!(
                "{} stands at {}, before {}, which was acknowledged before it was asked for",
                attempt.stream, evidence.log[*first].position, evidence.log[*last].position
            ));
        }
    }
    Ok(())
}
