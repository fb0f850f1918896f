//! `summary.json` of recordings that were merged.

use std::collections::BTreeMap;

use quorate_core::RoleView;
use quorate_core::id::NodeId;
use quorate_node::recorder::segment::Member;

use super::{Replayed, name_of};
use crate::record::measure::percentile;
use crate::record::summary::{AssertSummary, Bucket, LeaderSummary, PhaseSummary, Summary};
use crate::record::{Outcome, SCHEMA};

/// So many parts has the course.
const BUCKETS: u64 = 120;
/// Percentiles of the curve.
const CURVE: [f64; 8] = [50.0, 75.0, 90.0, 95.0, 99.0, 99.9, 99.99, 100.0];

/// Figures of a trace, taken while it is written.
pub(super) struct Measured {
    span: u64,
    members: Vec<Member>,
    /// When asked, when answered, how it ended.
    answers: Vec<(u64, u64, Outcome)>,
    /// Who leads, and since when.
    leaders: BTreeMap<NodeId, u64>,
    led: BTreeMap<NodeId, u64>,
}

impl Measured {
    pub(super) fn new(span: u64, members: Vec<Member>) -> Self {
        let (answers, leaders, led) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
        Self { span, members, answers, leaders, led }
    }

    /// A node has become something else; `None` for down.
    pub(super) fn role(&mut self, t: u64, node: NodeId, role: Option<RoleView>) {
        if role.is_some_and(RoleView::leads) {
            self.leaders.entry(node).or_insert(t);
        } else if let Some(since) = self.leaders.remove(&node) {
            *self.led.entry(node).or_default() += t - since;
        }
    }

    pub(super) fn answer(&mut self, called: u64, answered: u64, outcome: Outcome) {
        self.answers.push((called, answered, outcome));
    }

    fn count(&self, outcome: Outcome) -> u64 {
        self.answers.iter().filter(|(_, _, it)| *it == outcome).count() as u64
    }

    /// How long calls took that were done and came within a span, sorted.
    fn latencies(&self, from: u64, to: u64) -> Vec<u64> {
        let done = self.answers.iter().filter(|(called, _, outcome)| {
            *outcome == Outcome::Done && (from..to).contains(called)
        });
        let mut nanos: Vec<u64> = done.map(|(called, answered, _)| answered - called).collect();
        nanos.sort_unstable();
        nanos
    }

    fn phase(&self) -> PhaseSummary {
        let nanos = self.latencies(0, self.span + 1);
        let mut done: Vec<u64> = self
            .answers
            .iter()
            .filter(|(_, _, outcome)| *outcome == Outcome::Done)
            .map(|(_, answered, _)| *answered)
            .chain([0, self.span])
            .collect();
        done.sort_unstable();
        let gap = done.windows(2).map(|pair| pair[1] - pair[0]).max();
        let at = |percent| percentile(&nanos, percent);
        PhaseSummary {
            name: "recorded".to_owned(),
            from_ns: 0,
            to_ns: self.span,
            done: self.count(Outcome::Done),
            refused: self.count(Outcome::Refused),
            unknown: self.count(Outcome::Unknown),
            p50_ns: at(50.0),
            p99_ns: at(99.0),
            p999_ns: at(99.9),
            max_ns: at(100.0),
            longest_gap_ns: gap.unwrap_or(0),
            curve: CURVE.iter().filter_map(|it| Some((*it, at(*it)?))).collect(),
        }
    }

    fn course(&self) -> Vec<Bucket> {
        let width = (self.span / BUCKETS).max(1);
        let mut parts: Vec<(Vec<u64>, u64)> = vec![(Vec::new(), 0); BUCKETS as usize];
        for (called, answered, outcome) in &self.answers {
            let place = (called / width).min(BUCKETS - 1) as usize;
            match outcome {
                Outcome::Done => parts[place].0.push(answered - called),
                Outcome::Refused | Outcome::Unknown => parts[place].1 += 1,
            }
        }
        let bucket = |(number, (mut nanos, failed)): (u64, (Vec<u64>, u64))| {
            nanos.sort_unstable();
            Bucket {
                t_ns: number * width,
                done: nanos.len() as u64,
                failed,
                p50_ns: percentile(&nanos, 50.0),
                p99_ns: percentile(&nanos, 99.0),
                max_ns: nanos.last().copied(),
            }
        };
        (0..).zip(parts).map(bucket).collect()
    }

    fn leaders(&self) -> Vec<LeaderSummary> {
        let mut led = self.led.clone();
        for (node, since) in &self.leaders {
            *led.entry(*node).or_default() += self.span - since;
        }
        let of = |member: &Member| LeaderSummary {
            node: member.name.to_string(),
            zone: member.zone.to_string(),
            ns: led.get(&member.node).copied().unwrap_or(0),
        };
        self.members.iter().map(of).collect()
    }
}

/// All figures.
pub(super) fn of(
    measured: &Measured,
    replayed: &[Replayed],
    hash: &str,
    wall_ms: u64,
    command: String,
) -> Summary {
    let asserts: Vec<AssertSummary> = replayed.iter().map(assertion).collect();
    let holds = asserts.iter().all(|it| it.holds);
    let reason = asserts.iter().find_map(|it| it.story.clone());
    Summary {
        schema: SCHEMA,
        name: "recording".to_owned(),
        seed: 0,
        tier: "recorded",
        resolution_ns: 1,
        virtual_ns: measured.span,
        wall_ms,
        exit_code: if holds { 0 } else { 4 },
        verdict: if holds { "holds" } else { "not-deterministic" },
        reason,
        signature: None,
        command,
        trace_hash: hash.to_owned(),
        asserts,
        phases: vec![measured.phase()],
        over_time: measured.course(),
        links: Vec::new(),
        leaders: measured.leaders(),
        faults: Vec::new(),
        coverage: BTreeMap::new(),
    }
}

fn assertion(replayed: &Replayed) -> AssertSummary {
    let name = replayed.origin.as_ref().map_or_else(String::new, name_of);
    let Replayed { turns, states, divergence, .. } = replayed;
    AssertSummary {
        id: format!("{name} replays to the same states"),
        kind: "safety",
        holds: divergence.is_none(),
        wanted: "the same digest behind each turn".to_owned(),
        measured: format!("{turns} turns and {states} whole states compared"),
        story: divergence.as_ref().map(|it| format!("{name}: {it}")),
    }
}
