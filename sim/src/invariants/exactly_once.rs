//! An append is in the log once or not at all, whole, with nothing between its events (24).

use crate::history::Evidence;

pub(super) fn check(evidence: &Evidence<'_>) -> Result<(), String> {
    for (attempt, found) in evidence.attempts.iter().zip(&evidence.found) {
        if found.is_empty() {
            continue;
        }
        let ids = attempt.ids();
        let logged: Vec<_> = found.iter().map(|place| evidence.log[*place].id).collect();
        if logged != ids {
            let (wanted, there) = (ids.len(), logged.len());
            return Err(format!(
                "an append of {wanted} events to {} left {there} there: {attempt:?}",
                attempt.stream
            ));
        }
        if found.windows(2).any(|pair| pair[0] + 1 != pair[1]) {
            return Err(format!("other events stand within one append to {}", attempt.stream));
        }
    }
    Ok(())
}
