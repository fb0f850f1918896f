//! Each acknowledged append is in the log, at the place that was told, with the bytes that were
//! written (22).

use crate::history::{Attempt, End, Evidence, Wish};
use quorate_core::event::EventFrame;
use quorate_core::request::Appended;

pub(super) fn check(evidence: &Evidence<'_>) -> Result<(), String> {
    for (attempt, found) in evidence.attempts.iter().zip(&evidence.found) {
        if let End::Done { appended, .. } = &attempt.end {
            check_attempt(evidence, attempt, found, appended).map_err(|what| {
                format!("{what}: {} was acknowledged as {appended:?}", attempt.stream)
            })?;
        }
    }
    Ok(())
}

fn check_attempt(
    evidence: &Evidence<'_>,
    attempt: &Attempt,
    found: &[usize],
    appended: &Appended,
) -> Result<(), String> {
    let ids = attempt.ids();
    if found.len() < ids.len() {
        return Err(format!("{} of {} events are in the log", found.len(), ids.len()));
    }
    let (Some(first), Some(last)) = (found.first(), found.last()) else { return Ok(()) };
    let (first, last) = (&evidence.log[*first], &evidence.log[*last]);
    if (Some(first.revision), Some(last.revision)) != (appended.first, appended.last) {
        let (first, last) = (first.revision, last.revision);
        return Err(format!("the events have the revisions {first} to {last}"));
    }
    if last.position != appended.position {
        return Err(format!("the last event is at {}", last.position));
    }
    if let Wish::Append(frames) = &attempt.wish {
        for (frame, place) in frames.iter().zip(found) {
            let frame = EventFrame::parse(frame).expect("the workload encodes frames");
            if frame.content() != evidence.log[*place].content {
                return Err(format!("event {} has other bytes", frame.id()));
            }
        }
    }
    Ok(())
}
