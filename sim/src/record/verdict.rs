//! Whether a run is what its scenario wants of it.

use super::measure::{longest_gap, percentile};
use super::summary::AssertSummary;
use super::{Deed, Outcome, Recorder};
use crate::history::Violation;
use crate::scenario::assertion::{Assertion, Check, Kind, Metric, Safety};
use crate::scenario::model::{Nanos, Operation};
use crate::scenario::units::show;

/// How a run ended, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// A promise was broken.
    Safety,
    /// Something good did not happen in time.
    Liveness,
    /// The same plan gave another run.
    NotDeterministic,
    /// Figures were missed.
    ServiceLevel,
    /// All holds.
    Holds,
}

impl Verdict {
    /// What the program exits with.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Holds => 0,
            Self::Safety => 1,
            Self::Liveness => 3,
            Self::NotDeterministic => 4,
            Self::ServiceLevel => 5,
        }
    }

    /// Its name in a summary.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Holds => "holds",
            Self::Safety => "safety",
            Self::Liveness => "liveness",
            Self::NotDeterministic => "not-deterministic",
            Self::ServiceLevel => "service-level",
        }
    }

    const fn of(kind: Kind) -> Self {
        match kind {
            Kind::Safety => Self::Safety,
            Kind::Liveness => Self::Liveness,
            Kind::Slo => Self::ServiceLevel,
        }
    }
}

/// What is said of a run.
#[derive(Clone, Debug)]
pub(super) struct Judgement {
    pub(super) verdict: Verdict,
    pub(super) reason: Option<String>,
    pub(super) signature: Option<String>,
    pub(super) asserts: Vec<AssertSummary>,
}

/// Invariants of progress: what breaks them is not in time, not wrong.
const LIVENESS: [&str; 1] = ["progress"];

pub(super) fn judge(recorder: &Recorder) -> Judgement {
    let scenario = &recorder.scenario;
    let mut asserts = Vec::new();
    let mut failed: Vec<(Verdict, String, String)> = Vec::new();
    let mut is_violation_named = false;
    for assertion in &scenario.asserts {
        let mut result = check(recorder, assertion);
        // A run that ended in the middle says nothing of what was still to come.
        let cut_short = recorder.violation.is_some();
        if cut_short && !matches!(assertion.check, Check::Safety(_)) {
            result.story = Some("the run ended before its time".to_owned());
            result.holds = true;
        }
        if let (Check::Safety(safety), Some((_, violation))) =
            (&assertion.check, &recorder.violation)
            && covers(safety, violation)
        {
            is_violation_named = true;
        }
        if !result.holds {
            let story = result.story.clone().unwrap_or_default();
            let cause = match &recorder.violation {
                Some((_, violation)) => cause(violation),
                None => assertion_cause(&assertion.check),
            };
            let verdict = match &recorder.violation {
                Some((_, violation)) => verdict_of(violation),
                None => Verdict::of(assertion.check.kind()),
            };
            failed.push((verdict, format!("{}: {cause}", assertion.id), story));
        }
        asserts.push(result);
    }
    if let Some((at, violation)) = &recorder.violation
        && !is_violation_named
    {
        let verdict = verdict_of(violation);
        let story = format!("{violation}, at {}", show(*at));
        failed.push((verdict, format!("{}: {}", violation.invariant, cause(violation)), story));
        asserts.push(AssertSummary {
            id: violation.invariant.to_owned(),
            kind: if verdict == Verdict::Safety { "safety" } else { "liveness" },
            holds: false,
            wanted: "always".to_owned(),
            measured: format!("broken at {}", show(*at)),
            story: Some(violation.story.clone()),
        });
    }
    let worst = failed.iter().min_by_key(|(verdict, ..)| *verdict);
    Judgement {
        verdict: worst.map_or(Verdict::Holds, |it| it.0),
        reason: worst.map(|it| it.2.clone()),
        signature: worst.map(|it| it.1.clone()),
        asserts,
    }
}

fn verdict_of(violation: &Violation) -> Verdict {
    if LIVENESS.contains(&violation.invariant) { Verdict::Liveness } else { Verdict::Safety }
}

fn covers(safety: &Safety, violation: &Violation) -> bool {
    let is_safety = verdict_of(violation) == Verdict::Safety;
    is_safety && (safety.invariants.is_empty() || safety.invariants.contains(&violation.invariant))
}

/// What broke, without what differs from seed to seed: two failures with the same are one bug.
fn cause(violation: &Violation) -> String {
    let story = violation.story.lines().next().unwrap_or("");
    if violation.invariant == "an assertion" {
        // The text of an assertion is the same wherever it fails; numbers in it are not.
        return format!("{}: {}", violation.invariant, without_numbers(story));
    }
    // What an invariant says of what it saw is mostly names of nodes and numbers.
    violation.invariant.to_owned()
}

fn without_numbers(text: &str) -> String {
    let mut out = String::new();
    let mut was_digit = false;
    for letter in text.chars() {
        let is_digit = letter.is_ascii_digit();
        if !(is_digit && was_digit) {
            out.push(if is_digit { '#' } else { letter });
        }
        was_digit = is_digit;
    }
    out
}

fn assertion_cause(check: &Check) -> String {
    match check {
        Check::Safety(safety) => safety.name.to_owned(),
        Check::Stops { .. } => "the node goes on".to_owned(),
        Check::Unavailable { .. } => "unavailable for too long".to_owned(),
        Check::Leaderless { .. } => "no leader for too long".to_owned(),
        Check::Elections { .. } => "number of elections".to_owned(),
        Check::Epochs { .. } => "epochs grow".to_owned(),
        Check::Answered { .. } => "too few appends answered".to_owned(),
        Check::Mended { .. } => "damage is left".to_owned(),
        Check::Acknowledged { .. } => "number of acknowledged appends".to_owned(),
        Check::Latency { .. } => "latency".to_owned(),
    }
}

/// The span in which an assertion looks: its own, or the run but for its warm-up.
fn window(recorder: &Recorder, assertion: &Assertion) -> (Nanos, Nanos) {
    let run = &recorder.scenario.run;
    let (from, to) = assertion.window.unwrap_or((run.warmup, run.virtual_time));
    (from, to.min(recorder.end()))
}

/// The span in which appends are due.
fn append_span(recorder: &Recorder, (from, to): (Nanos, Nanos)) -> Option<(Nanos, Nanos)> {
    let loads = recorder.scenario.clients.iter().flat_map(|client| &client.loads);
    let appends = loads.filter(|load| matches!(load.op, Operation::Append(_) | Operation::Mixed));
    let spans: Vec<(Nanos, Nanos)> =
        appends.map(|load| (load.from, load.until.unwrap_or(Nanos::MAX))).collect();
    let first = spans.iter().map(|it| it.0).min()?;
    let last = spans.iter().map(|it| it.1).max()?;
    Some((from.max(first), to.min(last)))
}

fn check(recorder: &Recorder, assertion: &Assertion) -> AssertSummary {
    let (from, to) = window(recorder, assertion);
    let (holds, wanted, measured, story) = match &assertion.check {
        Check::Safety(safety) => match &recorder.violation {
            Some((at, violation)) if covers(safety, violation) => {
                let story = format!("{violation}, at {}", show(*at));
                (false, "always".to_owned(), format!("broken at {}", show(*at)), Some(story))
            }
            _ => (true, "always".to_owned(), "never broken".to_owned(), None),
        },
        Check::Stops { node } => {
            let holds = recorder.halted[*node];
            let name = &recorder.lanes[*node];
            let measured = if holds { "it stopped" } else { "it runs" };
            let story = format!("{name} should have stopped by itself, and runs");
            (holds, "stops".to_owned(), measured.to_owned(), Some(story))
        }
        Check::Unavailable { max } => {
            let (from, to) = append_span(recorder, (from, to)).unwrap_or((to, to));
            let (at, gap) = longest_gap(&recorder.answered, from, to);
            let story = format!(
                "no append was acknowledged for {}, from {} on, and at most {} is wanted{}",
                show(gap),
                show(at),
                show(*max),
                context(recorder, at, gap),
            );
            (gap <= *max, at_most(*max), show(gap), Some(story))
        }
        Check::Leaderless { max } => {
            let (at, gap) = recorder.serving.longest_without(from, to);
            let story = format!(
                "nobody led a majority for {}, from {} on, and at most {} is wanted{}",
                show(gap),
                show(at),
                show(*max),
                context(recorder, at, gap),
            );
            (gap <= *max, at_most(*max), show(gap), Some(story))
        }
        Check::Elections { max, min } => {
            let elections = recorder.elections.iter().filter(|at| (from..=to).contains(at));
            count(elections.count() as u64, *min, Some(*max), "nodes began to lead")
        }
        Check::Epochs { max } => count(recorder.epoch_max, 0, Some(*max), "is the highest epoch"),
        Check::Answered { min } => {
            let due = appends(recorder, from, to).count();
            let open = recorder.open.values().filter(|it| it.deed == Deed::Append);
            let due = due + open.filter(|it| (from..=to).contains(&it.due)).count();
            let done = appends(recorder, from, to).filter(|it| it.outcome != Outcome::Unknown);
            let part = done.count() as f64 / due.max(1) as f64;
            let holds = part >= min.number() || due == 0;
            let percent = |part: f64| format!("{:.2} %", part * 100.0);
            let story = format!(
                "{} of {due} appends were answered, and at least {} are wanted",
                percent(part),
                percent(min.number())
            );
            (holds, format!("at least {}", percent(min.number())), percent(part), Some(story))
        }
        Check::Mended { min } => mended(recorder, *min),
        Check::Acknowledged { min, max } => {
            let done = appends(recorder, from, to).filter(|it| it.outcome == Outcome::Done);
            count(done.count() as u64, *min, *max, "appends were acknowledged")
        }
        Check::Latency { metric, most } => latency(recorder, *metric, most, (from, to)),
    };
    AssertSummary {
        id: assertion.id.clone(),
        kind: assertion.check.kind().name(),
        holds,
        wanted,
        measured,
        story: story.filter(|_| !holds),
    }
}

fn appends(
    recorder: &Recorder,
    from: Nanos,
    to: Nanos,
) -> impl Iterator<Item = &super::measure::Answered> {
    let is_append = move |it: &&super::measure::Answered| {
        it.deed == Deed::Append && (from..=to).contains(&it.due)
    };
    recorder.answered.iter().filter(is_append)
}

fn at_most(nanos: Nanos) -> String {
    format!("at most {}", show(nanos))
}

fn mended(recorder: &Recorder, min: u64) -> Checked {
    let checked = count(recorder.mended, min, None, "damaged entries were mended");
    let lanes = recorder.unreadable.iter().map(|node| recorder.lanes[*node].as_str());
    let damaged: Vec<&str> = lanes.collect();
    if damaged.is_empty() {
        return checked;
    }
    let story = format!("in the end {} can't read all of the log", damaged.join(", "));
    (false, checked.1, checked.2, Some(story))
}

type Checked = (bool, String, String, Option<String>);

fn count(found: u64, min: u64, max: Option<u64>, what: &str) -> Checked {
    let max = max.filter(|max| *max < u64::MAX);
    let holds = found >= min && max.is_none_or(|max| found <= max);
    let wanted = match (min, max) {
        (0, Some(max)) => format!("at most {max}"),
        (min, None) => format!("at least {min}"),
        (min, Some(max)) => format!("{min} to {max}"),
    };
    let story = format!("{found} {what}, and {wanted} is wanted");
    (holds, wanted, found.to_string(), Some(story))
}

fn latency(
    recorder: &Recorder,
    metric: Metric,
    most: &[(crate::scenario::assertion::Percentile, Nanos)],
    (from, to): (Nanos, Nanos),
) -> Checked {
    let deed = match metric {
        Metric::Append => Deed::Append,
        Metric::Read => Deed::Read,
    };
    let is_meant = |it: &&super::measure::Answered| {
        it.deed == deed && it.outcome == Outcome::Done && (from..=to).contains(&it.due)
    };
    let mut times: Vec<Nanos> =
        recorder.answered.iter().filter(is_meant).map(|it| it.latency()).collect();
    times.sort_unstable();
    let (mut wanted, mut measured, mut missed) = (Vec::new(), Vec::new(), Vec::new());
    for (kind, max) in most {
        let name = kind.name();
        wanted.push(format!("{name} {}", show(*max)));
        match percentile(&times, kind.percent()) {
            Some(found) => {
                measured.push(format!("{name} {}", show(found)));
                if found > *max {
                    missed.push(format!("{name} is {} and not {}", show(found), show(*max)));
                }
            }
            None => {
                measured.push(format!("{name} -"));
                missed.push(format!("there is no {} to take {name} of", deed.name()));
            }
        }
    }
    let story = format!(
        "from {} to {}, of {} {}s: {}",
        show(from),
        show(to),
        times.len(),
        deed.name(),
        missed.join("; ")
    );
    let wanted = format!("at most {}", wanted.join(", "));
    (missed.is_empty(), wanted, measured.join(", "), Some(story))
}

/// What went on while nothing went on.
fn context(recorder: &Recorder, at: Nanos, gap: Nanos) -> String {
    let end = at + gap;
    let mut parts = Vec::new();
    let running = recorder.faults.iter().filter(|fault| {
        fault.at <= end && fault.ended.or(fault.until).is_none_or(|ended| ended >= at)
    });
    let stories: Vec<&str> = running.map(|fault| fault.text.as_str()).take(3).collect();
    if !stories.is_empty() {
        parts.push(format!("meanwhile: {}", stories.join("; ")));
    }
    let campaigns = recorder.bands.campaigns(at, end);
    if campaigns > 0 {
        parts.push(format!("{campaigns} candidacies"));
    }
    if let Some((elected, node)) = recorder.serving.next_leader(at) {
        parts.push(format!("{} led from {} on", recorder.lanes[node], show(elected)));
    }
    if parts.is_empty() { String::new() } else { format!("; {}", parts.join("; ")) }
}
