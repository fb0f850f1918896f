//! The parts of a run: before anything goes wrong, with which faults, and healed. A latency means
//! little without it.

use super::AppliedFault;
use crate::scenario::fault::FaultName;
use crate::scenario::model::Nanos;

/// A part of the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Phase {
    /// What it is called.
    pub name: String,
    /// From when.
    pub from: Nanos,
    /// Until when.
    pub to: Nanos,
}

/// A part shorter than this belongs to the one before it.
const PHASE_NANOS_MIN: Nanos = 20_000_000;

/// All parts from the warm-up to the end, in order.
#[must_use]
pub fn phases(faults: &[AppliedFault], warmup: Nanos, end: Nanos) -> Vec<Phase> {
    let spans: Vec<(Nanos, Nanos, FaultName, &str)> = faults
        .iter()
        .filter(|it| !it.fault.kind.name().is_momentary())
        .map(|it| {
            let to = it.ended.or(it.until).unwrap_or(end).min(end);
            (it.at, to, it.fault.kind.name(), it.text.as_str())
        })
        .collect();
    let mut moments = vec![warmup.min(end), end];
    moments.extend(spans.iter().flat_map(|(from, to, ..)| [*from, *to]));
    moments.retain(|at| (warmup..=end).contains(at));
    moments.sort_unstable();
    moments.dedup();
    let mut phases: Vec<Phase> = Vec::new();
    let mut was_struck = false;
    for pair in moments.windows(2) {
        let (from, to) = (pair[0], pair[1]);
        let now: Vec<_> = spans.iter().filter(|it| it.0 <= from && to <= it.1).collect();
        was_struck |= !now.is_empty();
        let name = match now.as_slice() {
            [] if was_struck => "healed".to_owned(),
            [] => "steady".to_owned(),
            [one] => one.3.to_owned(),
            several => {
                let names: Vec<&str> = several.iter().map(|it| it.2.text()).collect();
                names.join(" + ")
            }
        };
        match phases.last_mut() {
            Some(last) if last.name == name || to - from < PHASE_NANOS_MIN => last.to = to,
            _ => phases.push(Phase { name, from, to }),
        }
    }
    phases
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::fault::{Fault, FaultKind, Target, When};

    #[test]
    fn a_run_has_parts() {
        let targets = vec![Target::Node(0)];
        let fault = |at, until: u64, kind: FaultKind| AppliedFault {
            fault: Fault { when: When::At(at), lasts: Some(until - at), kind },
            at,
            until: Some(until),
            ended: Some(until),
            text: "n1 stands still".to_owned(),
        };
        let second = 1_000_000_000;
        let faults = [
            fault(20 * second, 30 * second, FaultKind::Pause { targets: targets.clone() }),
            fault(25 * second, 40 * second, FaultKind::DiskFull { targets }),
        ];
        let found = phases(&faults, 5 * second, 60 * second);
        let named: Vec<_> =
            found.iter().map(|it| (it.name.as_str(), it.from / second, it.to / second)).collect();
        assert_eq!(
            named,
            [
                ("steady", 5, 20),
                ("n1 stands still", 20, 25),
                ("pause + disk-full", 25, 30),
                ("n1 stands still", 30, 40),
                ("healed", 40, 60),
            ]
        );
    }
}
