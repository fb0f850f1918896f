//! How long, under what circumstances, and how a swarm varies it.

use crate::full::RESOLUTIONS;
use crate::scenario::fault::FaultName;
use crate::scenario::model::{FaultBudget, NetworkModel, Run, Sizes, Swarm};
use crate::scenario::reader::Reader;
use crate::scenario::tree::{Spot, Tree};
use crate::scenario::units;

const SECOND: u64 = 1_000_000_000;
/// More than a day of virtual time is a mistake in a unit.
const VIRTUAL_TIME_MAX: u64 = 86_400 * SECOND;

pub(super) fn run(reader: &mut Reader<'_>) -> Option<Run> {
    let empty = Spot::of(Tree::Table(Vec::new()));
    let given = reader.field("run");
    let spot = given.unwrap_or(&empty);
    let mut reader = Reader::new("[run]", spot, reader.notes)?;
    let virtual_time = reader.duration("virtual_time").unwrap_or(30 * SECOND);
    let warmup = reader.duration("warmup").unwrap_or(2 * SECOND).min(virtual_time);
    let settle = reader.duration("settle").unwrap_or(0);
    if virtual_time == 0 || virtual_time > VIRTUAL_TIME_MAX {
        reader.notes.add(&spot.span, "virtual_time is more than nothing and at most 24h");
    }
    if settle >= virtual_time.max(1) {
        reader.notes.add(&spot.span, "settle is a part of virtual_time, and must be shorter");
    }
    let seed = match reader.field("seed") {
        None => None,
        Some(Spot { tree: Tree::Text(text), .. }) if text == "random" => None,
        Some(Spot { tree: Tree::Whole(seed), .. }) if *seed >= 0 => Some(*seed as u64),
        Some(spot) => {
            reader.notes.add(&spot.span, "`seed` is a whole number, or \"random\"");
            None
        }
    };
    let budgets = [("keep-quorum", FaultBudget::KeepQuorum), ("any", FaultBudget::Any)];
    let fault_budget = reader.word("fault_budget", &budgets).unwrap_or(FaultBudget::KeepQuorum);
    let networks = [("streams", NetworkModel::Streams), ("packets", NetworkModel::Packets)];
    let network = reader.word("network", &networks).unwrap_or(NetworkModel::Streams);
    let sizes = [("production", Sizes::Production), ("tiny", Sizes::Tiny)];
    let sizes = reader.word("sizes", &sizes).unwrap_or(Sizes::Production);
    let resolution = reader.duration("resolution");
    if resolution.is_some_and(|it| !RESOLUTIONS.contains(&it)) {
        reader.notes.add(&spot.span, "resolution is at least 1us and at most 1ms");
    }
    let run = Run { virtual_time, warmup, settle, seed, fault_budget, network, sizes, resolution };
    reader.finish();
    Some(run)
}

pub(super) fn swarm(reader: &mut Reader<'_>) -> Swarm {
    let mut swarm =
        Swarm { drops_kinds: false, jitter: 0, extra_rate: 0.0, extra_kinds: Vec::new() };
    let notes = reader.notes;
    let Some(spot) = reader.field("swarm") else { return swarm };
    let Some(mut reader) = Reader::new("[swarm]", spot, notes) else { return swarm };
    let subsets = [("random", true), ("all", false)];
    swarm.drops_kinds = reader.word("fault_subset", &subsets).unwrap_or(false);
    swarm.jitter = reader.duration("jitter_at").unwrap_or(0);
    if let Some(extra) = reader.field("extra_random_faults")
        && let Some(mut extra) = Reader::new("extra_random_faults", extra, notes)
    {
        swarm.extra_rate = extra.parsed("rate", units::rate).unwrap_or(0.1);
        for kind in extra.texts("kinds").unwrap_or_default() {
            swarm.extra_kinds.extend(extra.find_word("kinds", &kind, &EXTRA_KINDS));
        }
        extra.finish();
    }
    reader.finish();
    swarm
}

/// What a swarm can add by itself. What needs a majority of honest disks is left out.
pub(crate) const EXTRA_KINDS: [(&str, FaultName); 12] = [
    ("partition", FaultName::Partition),
    ("link", FaultName::Link),
    ("zone-loss", FaultName::ZoneLoss),
    ("crash", FaultName::Crash),
    ("power-loss", FaultName::PowerLoss),
    ("pause", FaultName::Pause),
    ("slow-disk", FaultName::SlowDisk),
    ("stall-disk", FaultName::StallDisk),
    ("disk-full", FaultName::DiskFull),
    ("disk-error", FaultName::DiskError),
    ("clock-step", FaultName::ClockStep),
    ("transfer-leader", FaultName::TransferLeader),
];
