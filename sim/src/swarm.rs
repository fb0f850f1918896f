//! One scenario, many runs: what may vary around its script, drawn from the run's seed.

use quorate_storage::disk::simulated::Random;

use crate::scenario::distribution::Distribution;
use crate::scenario::fault::{
    DiskOperation, End, Fault, FaultKind, FaultName, Side, Symmetry, Target, When, ZoneLoss,
};
use crate::scenario::model::{Nanos, Scenario, Share};
use crate::scenario::{check, number};

const MILLIS: Nanos = 1_000_000;
const SECOND: Nanos = 1_000 * MILLIS;

/// The scenario as this seed has it: timed faults move, whole kinds are left out, and others come
/// on top, as its `[swarm]` says.
#[must_use]
pub fn vary(scenario: &Scenario, seed: u64) -> Scenario {
    let mut varied = scenario.clone();
    let swarm = &scenario.swarm;
    let mut random = Random::stream(seed, "swarm");
    if swarm.drops_kinds {
        let dropped: Vec<FaultName> =
            FaultName::ALL.iter().map(|(_, name)| *name).filter(|_| random.coin()).collect();
        varied.faults.retain(|fault| !dropped.contains(&fault.kind.name()));
    }
    if swarm.jitter > 0 {
        for fault in &mut varied.faults {
            if let When::At(at) = &mut fault.when {
                let moved = (*at + random.below(2 * swarm.jitter + 1)).saturating_sub(swarm.jitter);
                *at = moved.min(scenario.healed_at().saturating_sub(1));
            }
        }
    }
    if swarm.extra_rate > 0.0 && !swarm.extra_kinds.is_empty() {
        add_faults(&mut varied, &mut random);
    }
    varied
}

/// Random faults at random times, none of which takes the quorum away unless that is allowed.
fn add_faults(scenario: &mut Scenario, random: &mut Random) {
    let mean = 1e9 / scenario.swarm.extra_rate;
    let mut at: Nanos = 0;
    loop {
        at += (-number::ln(number::share(random)) * mean) as Nanos + 1;
        if at >= scenario.healed_at() {
            return;
        }
        let name = *random.pick(&scenario.swarm.extra_kinds);
        let lasts = (!name.is_momentary()).then(|| 100 * MILLIS + random.below(8 * SECOND));
        let kind = any(scenario, name, random);
        let fault = Fault { when: When::At(at), lasts, kind };
        let meets = |other: &&Fault| match (other.when, other.lasts) {
            (When::At(from), Some(lasts)) => from < at + 8 * SECOND && at < from + lasts,
            (When::At(from), None) => from < at + 8 * SECOND,
            (When::Event { .. }, _) => false,
        };
        let at_once: Vec<&Fault> = scenario.faults.iter().filter(meets).chain([&fault]).collect();
        if check::keeps_quorum(scenario, &at_once) {
            scenario.faults.push(fault);
        }
    }
}

/// A fault of this kind, with its particulars at random; magnitudes are those that the catalogue of
/// other simulators has.
fn any(scenario: &Scenario, name: FaultName, random: &mut Random) -> FaultKind {
    let count = scenario.nodes.len();
    let target = match random.below(3) {
        0 => Target::Leader,
        _ => Target::Node(random.index(count)),
    };
    let targets = vec![target];
    match name {
        FaultName::Partition => {
            let symmetries = [Symmetry::Symmetric, Symmetry::Inbound, Symmetry::Outbound];
            let others =
                Side { nodes: (0..count).map(Target::Node).collect(), clients: Vec::new() };
            let alone = Side { nodes: targets, clients: Vec::new() };
            let flap = random.one_in(4).then(|| 50 * MILLIS + random.below(500 * MILLIS));
            let symmetry = *random.pick(&symmetries);
            FaultKind::Partition { sides: vec![alone, others], symmetry, flap }
        }
        FaultName::Link => FaultKind::Link {
            from: End::Node(target),
            to: End::Any,
            add_rtt: random.below(100 * MILLIS),
            loss: Share(random.below(300_000_000) as u32),
            duplicate: Share::NONE,
            reorder: Share(random.below(100_000_000) as u32),
            replay: Share::NONE,
            bandwidth: None,
        },
        FaultName::ZoneLoss => {
            let mode = if random.coin() { ZoneLoss::Power } else { ZoneLoss::Network };
            FaultKind::ZoneLoss { zone: random.index(scenario.zones.len()), mode }
        }
        FaultName::Crash => FaultKind::Crash { targets },
        FaultName::PowerLoss => FaultKind::PowerLoss { targets },
        FaultName::Pause => FaultKind::Pause { targets },
        FaultName::SlowDisk => {
            let slow = Distribution::Constant(MILLIS + random.below(60 * MILLIS));
            FaultKind::SlowDisk { targets, write: None, fsync: Some(slow) }
        }
        FaultName::StallDisk => FaultKind::StallDisk { targets },
        FaultName::DiskFull => FaultKind::DiskFull { targets },
        FaultName::DiskError => {
            let operations = [DiskOperation::Write, DiskOperation::Sync];
            FaultKind::DiskError { targets, operation: *random.pick(&operations) }
        }
        FaultName::ClockStep => {
            let by = random.below(20 * SECOND) as i64 - 10 * SECOND as i64;
            FaultKind::ClockStep { targets, by }
        }
        // Others can't be asked for by a swarm.
        _ => FaultKind::TransferLeader { to: None },
    }
}
