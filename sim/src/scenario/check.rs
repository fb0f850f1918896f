//! What can't hold whatever the store does: found before a run, not by it.
//!
//! Only what is certain is said. Faults that wait for an event, and those of a leader or follower
//! whoever it is, are counted where they only make things worse.

use super::assertion::Check;
use super::fault::{Fault, FaultKind, FaultName, Symmetry, Target, When};
use super::model::{FaultBudget, Nanos, NetworkModel, Operation, Scenario, Share};
use super::names::Names;
use super::units::show_exactly;

/// Where a scenario runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// Cores, model disks and a model network in one loop.
    Pure,
    /// Whole nodes over simulated UDP.
    Full,
}

impl Tier {
    /// Its name on the command line and in a summary.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pure => "pure",
            Self::Full => "full",
        }
    }
}

/// What this tier can't do of a scenario, which is then not run in it.
#[must_use]
pub fn unsupported(scenario: &Scenario, tier: Tier) -> Vec<String> {
    let mut list = Vec::new();
    if tier == Tier::Full && scenario.run.network == NetworkModel::Packets {
        list.push("network = \"packets\" is worse than QUIC lets a network be".to_owned());
    }
    for fault in &scenario.faults {
        let why = match (&fault.kind, tier) {
            (FaultKind::Link { replay, .. }, Tier::Pure)
                if *replay > Share::NONE && scenario.run.network == NetworkModel::Streams =>
            {
                "QUIC drops packets that it has seen: replay needs network = \"packets\""
            }
            (FaultKind::Link { duplicate, .. }, Tier::Pure)
                if *duplicate > Share::NONE && scenario.run.network == NetworkModel::Streams =>
            {
                "QUIC drops packets that it has seen: duplicate needs network = \"packets\""
            }
            (kind, Tier::Full) => match crate::full::unsupported(kind) {
                Some(why) => why,
                None => continue,
            },
            _ => continue,
        };
        list.push(format!("{}: {why}", describe(fault)));
    }
    list
}

/// Assertions that can't hold, each with why.
#[must_use]
pub fn impossible(scenario: &Scenario) -> Vec<String> {
    let mut list = Vec::new();
    let outages = outages(scenario);
    for assertion in &scenario.asserts {
        let (from, to) = assertion.window.unwrap_or((0, scenario.run.virtual_time));
        let inside = |outage: &Outage| {
            let (from, to) = (outage.from.max(from), outage.to.min(to));
            (to > from).then(|| to - from)
        };
        let limit = match &assertion.check {
            Check::Unavailable { max } if has_appends(scenario) => *max,
            Check::Leaderless { max } => *max,
            _ => continue,
        };
        let worst = outages.iter().filter_map(|it| inside(it).map(|lasts| (lasts, it)));
        if let Some((lasts, outage)) = worst.max_by_key(|(lasts, _)| *lasts)
            && lasts > limit
        {
            list.push(format!(
                "{} can't hold: from {} on there is no quorum for {}, and it allows {}\n  {}",
                assertion.id,
                show_exactly(outage.from),
                show_exactly(lasts),
                show_exactly(limit),
                outage.story
            ));
        }
    }
    for fault in &scenario.faults {
        if let When::At(at) = fault.when
            && at >= scenario.run.virtual_time
        {
            let story = describe(fault);
            list.push(format!("{story}: the run has ended by then"));
        }
    }
    list
}

fn has_appends(scenario: &Scenario) -> bool {
    let loads = scenario.clients.iter().flat_map(|client| &client.loads);
    loads.into_iter().any(|load| matches!(load.op, Operation::Append(_) | Operation::Mixed))
}

fn describe(fault: &Fault) -> String {
    format!("{} {}", fault.kind.name().text(), fault.when)
}

/// A time without a quorum.
#[derive(Debug, PartialEq, Eq)]
struct Outage {
    from: Nanos,
    to: Nanos,
    story: String,
}

/// All times at which no majority of nodes that run reaches each other, both ways.
fn outages(scenario: &Scenario) -> Vec<Outage> {
    let timed: Vec<(Nanos, Nanos, &Fault)> = scenario
        .faults
        .iter()
        .filter_map(|fault| match fault.when {
            When::At(at) => {
                let end = fault.lasts.map_or(u64::MAX, |lasts| at.saturating_add(lasts));
                Some((at, end.min(scenario.healed_at().max(at)), fault))
            }
            When::Event { .. } => None,
        })
        .collect();
    let mut moments: Vec<Nanos> = timed.iter().flat_map(|(from, to, _)| [*from, *to]).collect();
    moments.sort_unstable();
    moments.dedup();
    let mut outages: Vec<Outage> = Vec::new();
    for pair in moments.windows(2) {
        let now: Vec<&Fault> = timed
            .iter()
            .filter(|(from, to, _)| *from <= pair[0] && pair[1] <= *to)
            .map(|(_, _, fault)| *fault)
            .collect();
        if has_quorum(scenario, &now) {
            continue;
        }
        match outages.last_mut().filter(|last| last.to == pair[0]) {
            Some(last) => last.to = pair[1],
            None => {
                let story = now.iter().map(|it| describe(it)).collect::<Vec<_>>();
                let story = format!("by then: {}", story.join("; "));
                outages.push(Outage { from: pair[0], to: pair[1], story });
            }
        }
    }
    outages
}

/// Whether some majority runs and is connected, whoever leads.
fn has_quorum(scenario: &Scenario, faults: &[&Fault]) -> bool {
    let count = scenario.nodes.len();
    let names = Names::of(scenario);
    let mut away = vec![false; count];
    let mut cut = vec![vec![false; count]; count];
    // Leaders and followers are nodes that work: one more is away, whichever it is.
    let mut unknown_away = 0;
    for fault in faults {
        match &fault.kind {
            FaultKind::Crash { targets }
            | FaultKind::PowerLoss { targets }
            | FaultKind::TornWrite { targets }
            | FaultKind::Pause { targets } => {
                for target in targets {
                    match target {
                        Target::Node(node) => away[*node] = true,
                        Target::Leader | Target::Follower => unknown_away = 1,
                    }
                }
            }
            FaultKind::ZoneLoss { zone, .. } => {
                names.nodes_of(*zone).into_iter().for_each(|node| away[node] = true);
            }
            FaultKind::Partition { sides, symmetry, flap: None } => {
                let directions = cuts(sides.iter().map(|side| side.nodes.as_slice()), *symmetry);
                for (from, to) in directions {
                    cut[from][to] = true;
                }
            }
            _ => {}
        }
    }
    let is_pair = |one: usize, other: usize| !cut[one][other] && !cut[other][one];
    // A leader and enough nodes that it reaches and that reach it.
    let reach = |leader: usize| {
        (0..count).filter(|it| !away[*it] && (*it == leader || is_pair(leader, *it))).count()
    };
    let best = (0..count).filter(|node| !away[*node]).map(reach).max().unwrap_or(0);
    best.saturating_sub(unknown_away) >= scenario.quorum()
}

/// The directions between known nodes that a partition cuts.
pub fn cuts<'a>(
    sides: impl Iterator<Item = &'a [Target]>,
    symmetry: Symmetry,
) -> Vec<(usize, usize)> {
    let known = |side: &[Target]| -> Vec<usize> {
        let nodes = side.iter().filter_map(|target| match target {
            Target::Node(node) => Some(*node),
            Target::Leader | Target::Follower => None,
        });
        nodes.collect()
    };
    between(&sides.map(known).collect::<Vec<_>>(), symmetry)
}

/// The directions between those on different sides, as the first side sees them.
pub(crate) fn between(sides: &[Vec<usize>], symmetry: Symmetry) -> Vec<(usize, usize)> {
    let mut directions = Vec::new();
    for (place, one) in sides.iter().enumerate() {
        for other in &sides[place + 1..] {
            for (from, to) in one.iter().flat_map(|a| other.iter().map(move |b| (*a, *b))) {
                // Whoever is on both sides is on the first.
                if one.contains(&to) {
                    continue;
                }
                if symmetry != Symmetry::Inbound {
                    directions.push((from, to));
                }
                if symmetry != Symmetry::Outbound {
                    directions.push((to, from));
                }
            }
        }
    }
    directions.sort_unstable();
    directions.dedup();
    directions
}

/// Whether a majority still runs and is connected with these faults at once; what a conditional or
/// random fault is asked before it strikes.
#[must_use]
pub fn keeps_quorum(scenario: &Scenario, faults: &[&Fault]) -> bool {
    scenario.run.fault_budget == FaultBudget::Any || {
        // A disk that stalls or is full takes its node's vote away, too.
        let stalls = |name: FaultName| {
            matches!(name, FaultName::StallDisk | FaultName::DiskFull | FaultName::Corrupt)
        };
        let as_away = |fault: &&Fault| {
            let targets = fault.kind.targets().to_vec();
            let kind = if stalls(fault.kind.name()) {
                FaultKind::Crash { targets }
            } else {
                fault.kind.clone()
            };
            Fault { kind, ..(*fault).clone() }
        };
        let faults: Vec<Fault> = faults.iter().map(as_away).collect();
        has_quorum(scenario, &faults.iter().collect::<Vec<_>>())
    }
}
