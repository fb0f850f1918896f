//! A stream that was called wrong was wrong, at some moment between question and answer (25).

use quorate_core::request::Rejection;

use crate::history::{Attempt, End, Evidence};
use crate::model::{Model, Stream};

pub(super) fn check(evidence: &Evidence<'_>) -> Result<(), String> {
    for attempt in evidence.attempts {
        let End::Refused { rejection, .. } = &attempt.end else { continue };
        let was_true = match rejection {
            Rejection::WrongRevision { actual, .. } => some_moment(evidence, attempt, |stream| {
                let seen = if stream.is_deleted() { *actual } else { stream.last };
                !stream.holds(attempt.expected) && seen == *actual
            }),
            Rejection::StreamDeleted => some_moment(evidence, attempt, |stream| stream.tombstoned),
            _ => true,
        };
        if !was_true {
            return Err(format!(
                "{} expecting {} was refused with {rejection:?}, which was never true",
                attempt.stream, attempt.expected
            ));
        }
    }
    Ok(())
}

/// Whether the stream was ever so, from what was acknowledged before the question on.
fn some_moment(
    evidence: &Evidence<'_>,
    attempt: &Attempt,
    is_so: impl Fn(&Stream) -> bool,
) -> bool {
    let known = evidence.attempts.iter().zip(&evidence.found).filter_map(|(other, found)| {
        match &other.end {
            End::Done { at, .. } if *at < attempt.invoked => found.last().map(|last| last + 1),
            _ => None,
        }
    });
    let known = known.max().unwrap_or(0);
    let mut model = Model::default();
    evidence.log[..known].iter().for_each(|event| model.apply(event));
    let mut rest = evidence.log[known..].iter();
    loop {
        if is_so(&model.stream(&attempt.stream)) {
            return true;
        }
        match rest.next() {
            Some(event) => model.apply(event),
            None => return false,
        }
    }
}
