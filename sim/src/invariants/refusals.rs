//! A stream that was called wrong was wrong, at some moment between question and answer (25).

use std::collections::BTreeMap;

use quorate_core::request::Rejection;

use crate::history::{Attempt, End, Evidence, Moment};
use crate::model::{Model, Stream};

pub(super) fn check(evidence: &Evidence<'_>) -> Result<(), String> {
    let states = States::of(evidence);
    for attempt in evidence.attempts {
        let End::Refused { rejection, at } = &attempt.end else { continue };
        let some_moment =
            |is_so: &dyn Fn(&Stream) -> bool| states.some_moment(evidence, attempt, *at, is_so);
        let was_true = match rejection {
            Rejection::WrongRevision { actual, .. } => some_moment(&|stream| {
                let seen = if stream.is_deleted() { *actual } else { stream.last };
                !stream.holds(attempt.expected) && seen == *actual
            }),
            Rejection::StreamDeleted => some_moment(&|stream| stream.tombstoned),
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

/// What each stream was, and from how many events of the log on.
struct States(BTreeMap<String, Vec<(usize, Stream)>>);

impl States {
    fn of(evidence: &Evidence<'_>) -> Self {
        let mut states = BTreeMap::<String, Vec<(usize, Stream)>>::new();
        let mut model = Model::default();
        for (place, event) in evidence.log.iter().enumerate() {
            model.apply(event);
            // An event changes its own stream, and what stands for the metadata of it or of which
            // it stands.
            let owner = event.stream.strip_prefix("$$").map(str::to_owned);
            let names = [Some(event.stream.clone()), owner, Some(format!("$${}", event.stream))];
            for name in names.into_iter().flatten() {
                let stream = model.stream(&name);
                let versions = states.entry(name).or_default();
                if versions.last().is_none_or(|(_, known)| *known != stream) {
                    versions.push((place + 1, stream));
                }
            }
        }
        Self(states)
    }

    /// Whether the stream was ever so between an attempt and its answer.
    fn some_moment(
        &self,
        evidence: &Evidence<'_>,
        attempt: &Attempt,
        answered: Moment,
        is_so: &dyn Fn(&Stream) -> bool,
    ) -> bool {
        let from = evidence.known_before(attempt.invoked);
        let upto = evidence.possible_at(answered);
        let versions = self.0.get(&attempt.stream).map_or(&[][..], Vec::as_slice);
        let passed = versions.partition_point(|(place, _)| *place <= from);
        let first = passed.checked_sub(1).map_or_else(Stream::default, |at| versions[at].1.clone());
        let later = versions[passed..].iter().take_while(|(place, _)| *place <= upto);
        is_so(&first) || later.map(|(_, stream)| stream).any(is_so)
    }
}
