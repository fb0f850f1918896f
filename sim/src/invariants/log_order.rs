//! Positions grow, and each stream's revisions are 0, 1, 2 … without gap or repetition.

use std::collections::BTreeMap;

use crate::history::Evidence;

pub(super) fn check(evidence: &Evidence<'_>) -> Result<(), String> {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    let mut before = None;
    for event in evidence.log {
        if before.is_some_and(|before| before >= event.position) {
            return Err(format!(
                "position {} does not follow on the one before it",
                event.position
            ));
        }
        before = Some(event.position);
        let next = counts.entry(&event.stream).or_default();
        if event.revision.get() != *next {
            let (stream, revision) = (&event.stream, event.revision);
            return Err(format!("{stream} has revision {revision} where {next} should be"));
        }
        *next += 1;
    }
    Ok(())
}
