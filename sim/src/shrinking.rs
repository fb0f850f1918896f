//! How a scenario gets smaller: one kind of simplification after the other, each kept where the run
//! still fails in the same way.

use crate::scenario::distribution::Distribution;
use crate::scenario::fault::{End, Fault, FaultKind, Target, When};
use crate::scenario::model::{Arrival, Loss, Nanos, Operation, Scenario, Share};
use crate::scenario::story;
use crate::scenario::units::{show, show_exactly};

const MILLIS: Nanos = 1_000_000;
const SECOND: Nanos = 1_000 * MILLIS;

/// A kind of simplification, in the order in which they help most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing after the failure.
    Cut,
    /// Assertions that hold are left out.
    Asserts,
    /// Fewer faults.
    Faults,
    /// Shorter ones, at round times.
    Times,
    /// Fewer clients that want less.
    Clients,
    /// Three nodes instead of five.
    Nodes,
    /// Constants instead of distributions, and clocks that are right.
    Constants,
    /// Fewer faults once more: what is simpler may need fewer.
    FaultsAgain,
    /// The end comes earlier.
    CutAgain,
}

impl Step {
    /// All of them, in order.
    pub const ALL: [Self; 9] = [
        Self::Cut,
        Self::Asserts,
        Self::Faults,
        Self::Times,
        Self::Clients,
        Self::Nodes,
        Self::Constants,
        Self::FaultsAgain,
        Self::CutAgain,
    ];

    /// What it does, for a person.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cut => "nothing after the failure",
            Self::Asserts => "only what fails is asserted",
            Self::Faults => "fewer faults",
            Self::Times => "shorter ones, at round times",
            Self::Clients => "fewer clients, which want less",
            Self::Nodes => "fewer nodes",
            Self::Constants => "constants instead of distributions",
            Self::FaultsAgain => "fewer faults, once more",
            Self::CutAgain => "an earlier end",
        }
    }
}

type Fails<'a> = &'a mut dyn FnMut(&Scenario) -> bool;

/// What is known of the failure.
#[derive(Clone, Debug)]
pub struct Asked {
    /// When it was complete.
    pub ends: Nanos,
    /// The assertion that fails.
    pub assertion: String,
}

/// Takes one step as far as it goes.
pub fn shrink(scenario: &Scenario, step: Step, asked: &Asked, fails: Fails<'_>) -> Scenario {
    let mut best = scenario.clone();
    match step {
        Step::Cut => {
            for margin in [200 * MILLIS, SECOND, 5 * SECOND] {
                let end = (asked.ends + margin).next_multiple_of(SECOND / 2);
                let candidate = cut(&best, end);
                if end < best.run.virtual_time && keep(&mut best, candidate, fails) {
                    break;
                }
            }
        }
        Step::CutAgain => {
            for _ in 0..6 {
                let end = (best.run.virtual_time / 4 * 3).next_multiple_of(100 * MILLIS);
                let candidate = cut(&best, end);
                if end >= best.run.virtual_time || !keep(&mut best, candidate, fails) {
                    break;
                }
            }
        }
        Step::Asserts => {
            for place in (0..best.asserts.len()).rev() {
                if best.asserts[place].id == asked.assertion {
                    continue;
                }
                let mut candidate = best.clone();
                candidate.asserts.remove(place);
                keep(&mut best, candidate, fails);
            }
        }
        Step::Faults | Step::FaultsAgain => fewer_faults(&mut best, fails),
        Step::Times => {
            for place in 0..best.faults.len() {
                shorter(&mut best, place, fails);
            }
        }
        Step::Clients => fewer_clients(&mut best, fails),
        Step::Nodes => fewer_nodes(&mut best, fails),
        Step::Constants => constants(&mut best, fails),
    }
    best
}

/// Takes a candidate where it still fails.
fn keep(best: &mut Scenario, candidate: Scenario, fails: Fails<'_>) -> bool {
    let is_kept = candidate != *best && fails(&candidate);
    if is_kept {
        *best = candidate;
    }
    is_kept
}

fn cut(scenario: &Scenario, end: Nanos) -> Scenario {
    let mut cut = scenario.clone();
    cut.run.virtual_time = end.max(100 * MILLIS);
    cut.run.settle = 0;
    cut.run.warmup = cut.run.warmup.min(cut.run.virtual_time / 2);
    cut.faults.retain(|fault| match fault.when {
        When::At(at) => at < end,
        When::Event { .. } => true,
    });
    cut
}

/// Delta debugging (Zeller): ever smaller parts are left out.
fn fewer_faults(best: &mut Scenario, fails: Fails<'_>) {
    let mut parts = 2;
    while !best.faults.is_empty() {
        let size = best.faults.len().div_ceil(parts);
        let mut is_smaller = false;
        let mut from = 0;
        while from < best.faults.len() {
            let mut candidate = best.clone();
            candidate.faults.drain(from..(from + size).min(best.faults.len()));
            if keep(best, candidate, fails) {
                is_smaller = true;
            } else {
                from += size;
            }
        }
        if size == 1 && !is_smaller {
            return;
        }
        if !is_smaller {
            parts = (parts * 2).min(best.faults.len().max(2));
        }
    }
}

fn shorter(best: &mut Scenario, place: usize, fails: Fails<'_>) {
    for unit in [SECOND, 100 * MILLIS, 10 * MILLIS] {
        let mut candidate = best.clone();
        if let When::At(at) = &mut candidate.faults[place].when {
            *at = (*at + unit / 2) / unit * unit;
        }
        if keep(best, candidate, fails) {
            break;
        }
    }
    for _ in 0..8 {
        let Some(lasts) = best.faults[place].lasts else { return };
        let unit = if lasts > 2 * SECOND { 100 * MILLIS } else { 10 * MILLIS };
        let mut candidate = best.clone();
        candidate.faults[place].lasts = Some((lasts / 2).next_multiple_of(unit));
        if candidate.faults[place].lasts >= best.faults[place].lasts
            || !keep(best, candidate, fails)
        {
            return;
        }
    }
}

fn fewer_clients(best: &mut Scenario, fails: Fails<'_>) {
    for place in (0..best.clients.len()).rev() {
        // Names of clients on sides of a cut must stay.
        if best.clients.len() > 1 && !names_clients(best) {
            let mut candidate = best.clone();
            candidate.clients.remove(place);
            if keep(best, candidate, fails) {
                continue;
            }
        }
        for load in (0..best.clients[place].loads.len()).rev() {
            let mut candidate = best.clone();
            candidate.clients[place].loads.remove(load);
            keep(best, candidate, fails);
        }
        if !names_clients(best) {
            let mut candidate = best.clone();
            candidate.clients[place].count = 1;
            keep(best, candidate, fails);
        }
        for load in 0..best.clients[place].loads.len() {
            for _ in 0..8 {
                let mut candidate = best.clone();
                let arrival = &mut candidate.clients[place].loads[load].arrival;
                arrival.rate = (arrival.rate / 2.0).ceil();
                if !keep(best, candidate, fails) {
                    break;
                }
            }
        }
    }
}

fn names_clients(scenario: &Scenario) -> bool {
    scenario.faults.iter().any(|fault| match &fault.kind {
        FaultKind::Partition { sides, .. } => sides.iter().any(|side| !side.clients.is_empty()),
        _ => false,
    })
}

fn fewer_nodes(best: &mut Scenario, fails: Fails<'_>) {
    while best.nodes.len() > 3 {
        let before = best.nodes.len();
        for one in (0..best.nodes.len()).rev() {
            for other in (0..one).rev() {
                let candidate = without_node(best, one).map(|it| without_node(&it, other));
                if let Some(Some(candidate)) = candidate
                    && best.nodes.len() == before
                {
                    keep(best, candidate, fails);
                }
            }
        }
        if best.nodes.len() == before {
            return;
        }
    }
}

/// The group without a node, and faults without it; `None` where one would strike nobody.
fn without_node(scenario: &Scenario, node: usize) -> Option<Scenario> {
    let mut smaller = scenario.clone();
    smaller.nodes.remove(node);
    let mut is_possible = true;
    let moved = |target: &Target| match target {
        Target::Node(it) if *it == node => None,
        Target::Node(it) if *it > node => Some(Target::Node(it - 1)),
        other => Some(*other),
    };
    for fault in &mut smaller.faults {
        match &mut fault.kind {
            FaultKind::Partition { sides, .. } => {
                for side in sides {
                    side.nodes = side.nodes.iter().filter_map(moved).collect();
                    is_possible &= !(side.nodes.is_empty() && side.clients.is_empty());
                }
            }
            FaultKind::Link { from, to, .. } => {
                for end in [from, to] {
                    if let End::Node(target) = end {
                        match moved(target) {
                            Some(moved) => *target = moved,
                            None => is_possible = false,
                        }
                    }
                }
            }
            FaultKind::TransferLeader { to } => *to = to.as_ref().and_then(moved),
            kind => {
                if let Some(targets) = kind.targets_mut() {
                    *targets = targets.iter().filter_map(moved).collect();
                    is_possible &= !targets.is_empty();
                }
            }
        }
    }
    is_possible.then_some(smaller)
}

fn constants(best: &mut Scenario, fails: Fails<'_>) {
    let constant = |it: &Distribution| Distribution::Constant(it.quantile(0.5));
    let mut candidate = best.clone();
    for link in &mut candidate.links {
        link.rtt = constant(&link.rtt);
        (link.loss, link.duplicate) = (Loss::Even(Share::NONE), Share::NONE);
        (link.reorder, link.bandwidth) = (Share::NONE, None);
    }
    keep(best, candidate, fails);
    let mut candidate = best.clone();
    for disk in &mut candidate.disks {
        (disk.write, disk.fsync) = (constant(&disk.write), constant(&disk.fsync));
    }
    keep(best, candidate, fails);
    let mut candidate = best.clone();
    for node in &mut candidate.nodes {
        (node.clock_offset, node.clock_drift_ppm) = (0, 0);
    }
    keep(best, candidate, fails);
    let mut candidate = best.clone();
    candidate.group.leader_zones.clear();
    keep(best, candidate, fails);
    let mut candidate = best.clone();
    for load in candidate.clients.iter_mut().flat_map(|client| &mut client.loads) {
        load.arrival = Arrival { is_poisson: false, ..load.arrival };
        if let Operation::Append(append) = &mut load.op {
            (append.batch, append.payload) =
                (Distribution::Constant(1), Distribution::Constant(16));
            (append.streams, append.skew) = (append.streams.min(2), 0.0);
        }
    }
    keep(best, candidate, fails);
}

/// How large a scenario is, for a person.
#[must_use]
pub fn size(scenario: &Scenario) -> String {
    let clients: usize = scenario.clients.iter().map(|client| client.count).sum();
    let loads = scenario.clients.iter().flat_map(|client| &client.loads);
    // An empty sum of floats is minus zero.
    let rate = loads.map(|load| load.arrival.rate).sum::<f64>() + 0.0;
    let downtime: Nanos = scenario.faults.iter().filter_map(|fault| fault.lasts).sum();
    format!(
        "{} long, {} faults of together {}, {clients} clients at {rate:.0}/s, {} nodes",
        show(scenario.run.virtual_time),
        scenario.faults.len(),
        show(downtime),
        scenario.nodes.len()
    )
}

/// What is left, as a story.
#[must_use]
pub fn story(scenario: &Scenario) -> String {
    let mut faults: Vec<&Fault> = scenario.faults.iter().collect();
    faults.sort_by_key(|fault| match fault.when {
        When::At(at) => at,
        When::Event { .. } => 0,
    });
    let line = |fault: &&Fault| {
        let when = fault.when;
        let lasts = fault.lasts.map(|it| format!(", for {}", show_exactly(it)));
        let lasts = lasts.unwrap_or_default();
        format!("  {when}: {}{lasts}\n", story::fault(scenario, &fault.kind))
    };
    if faults.is_empty() {
        return "  it fails without any fault\n".to_owned();
    }
    faults.iter().map(line).collect()
}
