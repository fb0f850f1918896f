//! What a run came to: `summary.json`, whose form is stable.

use std::collections::BTreeMap;

use serde::Serialize;

use super::measure::percentile;
use super::phases::phases;
use super::verdict;
use super::{Deed, Outcome, Recorder, SCHEMA};
use crate::scenario::model::Nanos;

/// So many parts has the course of a run.
const BUCKETS: u64 = 120;

/// All figures of a run.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// The version of this form.
    pub schema: u64,
    /// Of the scenario.
    pub name: String,
    /// What was drawn from.
    pub seed: u64,
    /// `pure` or `full`.
    pub tier: &'static str,
    /// What the world's time was counted in.
    pub resolution_ns: Nanos,
    /// How long the run was in its own time.
    pub virtual_ns: Nanos,
    /// How long it took.
    pub wall_ms: u64,
    /// What the program exits with.
    pub exit_code: u8,
    /// How it ended.
    pub verdict: &'static str,
    /// Why, in a sentence or two.
    pub reason: Option<String>,
    /// What failed and why, without what differs from run to run.
    pub signature: Option<String>,
    /// What repeats it.
    pub command: String,
    /// Of the trace.
    pub trace_hash: String,
    /// What was to hold.
    pub asserts: Vec<AssertSummary>,
    /// The parts of the run.
    pub phases: Vec<PhaseSummary>,
    /// Its course.
    pub over_time: Vec<Bucket>,
    /// Round trips asked for and achieved.
    pub links: Vec<LinkSummary>,
    /// Who led for how long.
    pub leaders: Vec<LeaderSummary>,
    /// What went wrong, as it was applied.
    pub faults: Vec<FaultSummary>,
    /// Pairs of kinds of faults that were there at once, and how often.
    pub coverage: BTreeMap<String, u64>,
}

/// One assertion.
#[derive(Clone, Debug, Serialize)]
pub struct AssertSummary {
    /// Its name.
    pub id: String,
    /// `safety`, `liveness` or `slo`.
    pub kind: &'static str,
    /// Whether it holds.
    pub holds: bool,
    /// What was wanted.
    pub wanted: String,
    /// What was found.
    pub measured: String,
    /// What happened, where it does not hold.
    pub story: Option<String>,
}

/// The appends of a part of the run, by when they were due.
#[derive(Clone, Debug, Serialize)]
pub struct PhaseSummary {
    /// What it is called.
    pub name: String,
    /// From when.
    pub from_ns: Nanos,
    /// Until when.
    pub to_ns: Nanos,
    /// Acknowledged.
    pub done: u64,
    /// Refused.
    pub refused: u64,
    /// Without an answer that tells.
    pub unknown: u64,
    /// The middle.
    pub p50_ns: Option<Nanos>,
    /// All but one in a hundred.
    pub p99_ns: Option<Nanos>,
    /// All but one in a thousand.
    pub p999_ns: Option<Nanos>,
    /// The longest.
    pub max_ns: Option<Nanos>,
    /// The longest time without an acknowledged append.
    pub longest_gap_ns: Nanos,
    /// Percentiles with their values.
    pub curve: Vec<(f64, Nanos)>,
}

/// A short part of the run's course.
#[derive(Clone, Debug, Serialize)]
pub struct Bucket {
    /// Its beginning.
    pub t_ns: Nanos,
    /// Appends acknowledged.
    pub done: u64,
    /// Appends refused or unknown.
    pub failed: u64,
    /// The middle.
    pub p50_ns: Option<Nanos>,
    /// All but one in a hundred.
    pub p99_ns: Option<Nanos>,
    /// The longest.
    pub max_ns: Option<Nanos>,
}

/// The way between two zones.
#[derive(Clone, Debug, Serialize)]
pub struct LinkSummary {
    /// One zone.
    pub a: String,
    /// The other, or the same.
    pub b: String,
    /// The middle that was asked for, there and back.
    pub asked_p50_ns: Nanos,
    /// Of one in a hundred.
    pub asked_p99_ns: Nanos,
    /// Twice the middle of one way, as it was.
    pub got_p50_ns: Option<Nanos>,
    /// Of one in a hundred.
    pub got_p99_ns: Option<Nanos>,
    /// Messages.
    pub count: u64,
}

/// How long a node led.
#[derive(Clone, Debug, Serialize)]
pub struct LeaderSummary {
    /// Which, or `-` for nobody.
    pub node: String,
    /// Where it is.
    pub zone: String,
    /// How long.
    pub ns: Nanos,
}

/// A fault as it was applied.
#[derive(Clone, Debug, Serialize)]
pub struct FaultSummary {
    /// Its number in the trace.
    pub f: usize,
    /// What kind.
    pub kind: &'static str,
    /// When it struck.
    pub at_ns: Nanos,
    /// When it ended.
    pub until_ns: Option<Nanos>,
    /// In plain words.
    pub text: String,
}

impl Recorder {
    /// All figures of the run, once it is over.
    ///
    /// - `command`: what repeats it
    #[must_use]
    pub fn summary(&self, wall_ms: u64, command: String) -> Summary {
        let judgement = verdict::judge(self);
        Summary {
            schema: SCHEMA,
            name: self.scenario.name.clone(),
            seed: self.seed,
            tier: self.tier.name(),
            resolution_ns: self.resolution,
            virtual_ns: self.scenario.run.virtual_time,
            wall_ms,
            exit_code: judgement.verdict.exit_code(),
            verdict: judgement.verdict.name(),
            reason: judgement.reason,
            signature: judgement.signature,
            command,
            trace_hash: self.hash.text(),
            asserts: judgement.asserts,
            phases: self.phase_summaries(),
            over_time: self.course(),
            links: self.link_summaries(),
            leaders: self.leader_summaries(),
            faults: self.fault_summaries(),
            coverage: self.pairs(),
        }
    }

    /// Latencies of acknowledged appends that were due within a span, sorted.
    fn latencies(&self, from: Nanos, to: Nanos) -> Vec<Nanos> {
        let appends = self.answered.iter().filter(|it| it.deed == Deed::Append);
        let inside = appends.filter(|it| it.due >= from && it.due < to);
        let done = inside.filter(|it| it.outcome == Outcome::Done);
        let mut times: Vec<Nanos> = done.map(|it| it.latency()).collect();
        times.sort_unstable();
        times
    }

    fn phase_summaries(&self) -> Vec<PhaseSummary> {
        let phases = phases(&self.faults, self.scenario.run.warmup, self.end());
        let summary = |phase: super::phases::Phase| {
            let (from, to) = (phase.from, phase.to);
            let times = self.latencies(from, to);
            let count = |outcome: Outcome| {
                let appends = self.answered.iter().filter(|it| it.deed == Deed::Append);
                appends.filter(|it| it.due >= from && it.due < to && it.outcome == outcome).count()
            };
            let open = self.open.values().filter(|it| it.deed == Deed::Append);
            let open = open.filter(|it| it.due >= from && it.due < to).count();
            let (_, longest_gap_ns) = super::measure::longest_gap(&self.answered, from, to);
            PhaseSummary {
                name: phase.name,
                from_ns: from,
                to_ns: to,
                done: times.len() as u64,
                refused: count(Outcome::Refused) as u64,
                unknown: (count(Outcome::Unknown) + open) as u64,
                p50_ns: percentile(&times, 50.0),
                p99_ns: percentile(&times, 99.0),
                p999_ns: percentile(&times, 99.9),
                max_ns: times.last().copied(),
                longest_gap_ns,
                curve: curve(&times),
            }
        };
        phases.into_iter().map(summary).collect()
    }

    fn course(&self) -> Vec<Bucket> {
        let end = self.scenario.run.virtual_time;
        let width = end.div_ceil(BUCKETS).max(1);
        let mut done: Vec<Vec<Nanos>> = vec![Vec::new(); BUCKETS as usize];
        let mut failed = vec![0; BUCKETS as usize];
        for it in self.answered.iter().filter(|it| it.deed == Deed::Append) {
            let place = ((it.at / width) as usize).min(BUCKETS as usize - 1);
            match it.outcome {
                Outcome::Done => done[place].push(it.latency()),
                Outcome::Refused | Outcome::Unknown => failed[place] += 1,
            }
        }
        let bucket = |(place, (mut times, failed)): (usize, (Vec<Nanos>, u64))| {
            times.sort_unstable();
            Bucket {
                t_ns: place as u64 * width,
                done: times.len() as u64,
                failed,
                p50_ns: percentile(&times, 50.0),
                p99_ns: percentile(&times, 99.0),
                max_ns: times.last().copied(),
            }
        };
        done.into_iter().zip(failed).enumerate().map(bucket).collect()
    }

    fn link_summaries(&self) -> Vec<LinkSummary> {
        let zones = &self.scenario.zones;
        let summary = |link: &crate::scenario::model::Link| {
            let mut oneway = self.links.get(&(link.a, link.b)).cloned().unwrap_or_default();
            oneway.sort_unstable();
            LinkSummary {
                a: zones[link.a].clone(),
                b: zones[link.b].clone(),
                asked_p50_ns: link.rtt.quantile(0.5),
                asked_p99_ns: link.rtt.quantile(0.99),
                got_p50_ns: percentile(&oneway, 50.0).map(|it| 2 * it),
                got_p99_ns: percentile(&oneway, 99.0).map(|it| 2 * it),
                count: oneway.len() as u64,
            }
        };
        self.scenario.links.iter().map(summary).collect()
    }

    fn leader_summaries(&self) -> Vec<LeaderSummary> {
        let (led, nobody) = self.residency();
        let nodes = self.scenario.nodes.iter().zip(led);
        let mut list: Vec<LeaderSummary> = nodes
            .map(|(node, ns)| LeaderSummary {
                node: node.name.clone(),
                zone: self.scenario.zones[node.zone].clone(),
                ns,
            })
            .collect();
        list.push(LeaderSummary { node: "-".to_owned(), zone: "-".to_owned(), ns: nobody });
        list
    }

    fn fault_summaries(&self) -> Vec<FaultSummary> {
        let summary = |(f, it): (usize, &super::AppliedFault)| FaultSummary {
            f,
            kind: it.fault.kind.name().text(),
            at_ns: it.at,
            until_ns: it.ended.or(it.until),
            text: it.text.clone(),
        };
        self.faults.iter().enumerate().map(summary).collect()
    }

    /// Which kinds of faults met.
    fn pairs(&self) -> BTreeMap<String, u64> {
        let end = self.end();
        let span = |it: &super::AppliedFault| {
            // What happens in a moment has its effects a little longer.
            let moment = if it.until.is_none() && it.ended.is_none() {
                if it.fault.kind.name().is_momentary() { it.at + 1_000_000_000 } else { end }
            } else {
                it.ended.or(it.until).unwrap_or(end)
            };
            (it.at, moment)
        };
        let mut pairs = BTreeMap::new();
        for (place, one) in self.faults.iter().enumerate() {
            *pairs.entry(one.fault.kind.name().text().to_owned()).or_default() += 1;
            for other in &self.faults[place + 1..] {
                let ((from, to), (other_from, other_to)) = (span(one), span(other));
                let mut names = [one, other].map(|it| it.fault.kind.name().text());
                names.sort_unstable();
                if from <= other_to && other_from <= to && names[0] != names[1] {
                    *pairs.entry(format!("{} + {}", names[0], names[1])).or_default() += 1;
                }
            }
        }
        pairs
    }
}

/// Percentiles ever closer to all.
fn curve(sorted: &[Nanos]) -> Vec<(f64, Nanos)> {
    let mut points = Vec::new();
    let percents = [0.0, 10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 99.0, 99.5, 99.9, 99.95, 99.99, 100.0];
    for percent in percents {
        points.extend(percentile(sorted, percent).map(|value| (percent, value)));
    }
    points
}
