//! A scenario as a text again: as it was resolved, or as shrinking left it. Reading it gives the
//! same scenario.

use super::assertion::{Assertion, Check, Metric};
use super::distribution::Distribution;
use super::fault::{
    DiskOperation, End, Fault, FaultKind, RotTarget, Side, Symmetry, Target, When, ZoneLoss,
};
use super::model::{
    Append, Client, Expect, FaultBudget, Link, Load, Loss, NetworkModel, Operation, Scenario,
    Share, Sizes,
};
use super::names::Names;
use super::resolve::SCHEMA;
use super::tree::{Fields, Spot, Tree, texts, to_toml};
use super::units::show_exactly;

/// The whole scenario.
#[must_use]
pub fn write(scenario: &Scenario) -> String {
    let names = Names::of(scenario);
    let mut out = Fields::default();
    out.add("schema", Tree::Whole(SCHEMA)).text("name", &scenario.name);
    if let Some(description) = &scenario.description {
        out.text("description", description);
    }
    if let Some(mutant) = &scenario.mutant {
        out.text("mutant", mutant);
    }
    out.add("run", run(scenario));
    let zone = |name: &String| one("name", Tree::Text(name.clone()));
    out.add("zone", list(scenario.zones.iter().map(zone)));
    out.add("link", list(scenario.links.iter().map(|it| link(it, &names))));
    let mut disks = Fields::default();
    for disk in &scenario.disks {
        let mut fields = Fields::default();
        fields.add("write", times(&disk.write)).add("fsync", times(&disk.fsync));
        fields.add("torn_writes", Tree::Flag(disk.torn_writes));
        disks.add(&disk.name, fields.done());
    }
    out.add("disk", disks.done());
    let zones = scenario.group.leader_zones.iter().map(|zone| names.zones[*zone].clone());
    let mut group = Fields::default();
    group.add("voters", Tree::Whole(scenario.nodes.len() as i64));
    if !scenario.group.leader_zones.is_empty() {
        group.add("leader_pref", texts(zones));
    }
    out.add("group", group.done());
    out.add("node", list(scenario.nodes.iter().map(|it| node(it, &names))));
    for (name, items) in [
        ("client", scenario.clients.iter().map(|it| client(it, &names)).collect::<Vec<_>>()),
        ("fault", scenario.faults.iter().map(|it| fault_tree(it, &names)).collect()),
        ("assert", scenario.asserts.iter().map(|it| assertion(it, &names)).collect()),
    ] {
        if !items.is_empty() {
            out.add(name, list(items.into_iter()));
        }
    }
    swarm(scenario, &mut out);
    to_toml(&out.done())
}

/// A fault as a line of a plan.
#[must_use]
pub fn fault_json(scenario: &Scenario, fault: &Fault) -> serde_json::Value {
    Spot::of(fault_tree(fault, &Names::of(scenario))).to_json()
}

fn one(name: &str, tree: Tree) -> Tree {
    let mut fields = Fields::default();
    fields.add(name, tree);
    fields.done()
}

fn list(items: impl Iterator<Item = Tree>) -> Tree {
    Tree::List(items.map(Spot::of).collect())
}

fn time(nanos: u64) -> Tree {
    Tree::Text(show_exactly(nanos))
}

fn signed(nanos: i64) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    format!("{sign}{}", show_exactly(nanos.unsigned_abs()))
}

fn share(share: Share) -> Tree {
    Tree::Real(share.number())
}

fn bits(bandwidth: u64) -> Tree {
    let text = if bandwidth.is_multiple_of(1_000_000) {
        format!("{}Mbit/s", bandwidth / 1_000_000)
    } else {
        format!("{}kbit/s", bandwidth as f64 / 1e3)
    };
    Tree::Text(text)
}

fn times(distribution: &Distribution) -> Tree {
    spread(distribution, &|nanos| time(nanos))
}

fn spread(distribution: &Distribution, show: &dyn Fn(u64) -> Tree) -> Tree {
    let mut out = Fields::default();
    match distribution {
        Distribution::Constant(value) => return show(*value),
        Distribution::Uniform { min, max } => {
            out.text("dist", "uniform").add("min", show(*min)).add("max", show(*max));
        }
        Distribution::Lognormal { min, p50, p99 } => {
            out.text("dist", "lognormal");
            if *min > 0 {
                out.add("min", show(*min));
            }
            out.add("p50", show(*p50)).add("p99", show(*p99));
        }
        Distribution::Empirical(points) => {
            let point = |(percent, value): &(f64, u64)| {
                Tree::List(vec![Spot::of(Tree::Real(*percent)), Spot::of(show(*value))])
            };
            out.text("dist", "empirical").add("points", list(points.iter().map(point)));
        }
    }
    out.done()
}

fn run(scenario: &Scenario) -> Tree {
    let run = &scenario.run;
    let mut out = Fields::default();
    out.add("virtual_time", time(run.virtual_time)).add("warmup", time(run.warmup));
    if run.settle > 0 {
        out.add("settle", time(run.settle));
    }
    if let Some(seed) = run.seed {
        out.add("seed", Tree::Whole(seed as i64));
    }
    if run.fault_budget == FaultBudget::Any {
        out.text("fault_budget", "any");
    }
    if run.network == NetworkModel::Packets {
        out.text("network", "packets");
    }
    if run.sizes == Sizes::Tiny {
        out.text("sizes", "tiny");
    }
    if let Some(resolution) = run.resolution {
        out.add("resolution", time(resolution));
    }
    out.done()
}

fn link(link: &Link, names: &Names) -> Tree {
    let mut out = Fields::default();
    let (a, b) = (names.zones[link.a].clone(), names.zones[link.b].clone());
    if link.a == link.b {
        out.text("within", a);
    } else {
        out.add("between", texts([a, b]));
    }
    out.add("rtt", times(&link.rtt));
    match link.loss {
        Loss::Even(Share::NONE) => {}
        Loss::Even(even) => {
            out.add("loss", share(even));
        }
        Loss::Bursts { good, bad, to_bad, to_good } => {
            let mut loss = Fields::default();
            loss.text("model", "gilbert-elliott").add("good", share(good)).add("bad", share(bad));
            loss.add("to_bad", share(to_bad)).add("to_good", share(to_good));
            out.add("loss", loss.done());
        }
    }
    for (name, part) in [("duplicate", link.duplicate), ("reorder", link.reorder)] {
        if part > Share::NONE {
            out.add(name, share(part));
        }
    }
    if let Some(bandwidth) = link.bandwidth {
        out.add("bandwidth", bits(bandwidth));
    }
    out.done()
}

fn node(node: &super::model::Node, names: &Names) -> Tree {
    let mut out = Fields::default();
    out.text("name", &node.name).text("zone", &names.zones[node.zone]);
    out.text("disk", &names.disks[node.disk]);
    if (node.clock_offset, node.clock_drift_ppm) != (0, 0) {
        let mut clock = Fields::default();
        clock.text("offset", signed(node.clock_offset));
        clock.add("drift_ppm", Tree::Whole(node.clock_drift_ppm));
        out.add("clock", clock.done());
    }
    out.done()
}

fn client(client: &Client, names: &Names) -> Tree {
    let mut out = Fields::default();
    out.text("name", &client.name).add("count", Tree::Whole(client.count as i64));
    out.text("zone", &names.zones[client.zone]);
    if !client.loads.is_empty() {
        out.add("load", list(client.loads.iter().map(load)));
    }
    out.done()
}

fn load(load: &Load) -> Tree {
    let mut out = Fields::default();
    let op = match &load.op {
        Operation::Append(_) => "append",
        Operation::Mixed => "mixed",
        Operation::Read => "read",
        Operation::ReadCommitted => "read-committed",
        Operation::Subscribe => "subscribe",
    };
    out.text("op", op);
    let mut arrival = Fields::default();
    arrival.text("model", if load.arrival.is_poisson { "poisson" } else { "constant" });
    arrival.text("rate", format!("{}/s", load.arrival.rate));
    out.add("arrival", arrival.done());
    if let Operation::Append(append) = &load.op {
        appends(append, &mut out);
    }
    if load.from > 0 {
        out.add("from", time(load.from));
    }
    if let Some(until) = load.until {
        out.add("until", time(until));
    }
    out.add("timeout", time(load.timeout));
    out.done()
}

fn appends(append: &Append, out: &mut Fields) {
    let mut streams = Fields::default();
    streams.add("count", Tree::Whole(i64::from(append.streams)));
    if append.skew > 0.0 {
        streams.text("pick", "zipf").add("theta", Tree::Real(append.skew));
    }
    out.add("streams", streams.done());
    out.add("batch", spread(&append.batch, &|count| Tree::Whole(count as i64)));
    out.add("payload", spread(&append.payload, &|bytes| Tree::Text(format!("{bytes}B"))));
    let expect = match append.expect {
        Expect::Any => "any",
        Expect::Exact => "exact",
        Expect::None => "none",
        Expect::Exists => "stream-exists",
    };
    out.text("expect", expect);
}

/// A fault in the words of a scenario.
pub(super) fn fault_tree(fault: &Fault, names: &Names) -> Tree {
    let mut out = Fields::default();
    match fault.when {
        When::At(at) => {
            out.add("at", time(at));
        }
        When::Event { event, nth, after } => {
            let mut when = Fields::default();
            when.text("event", event.name()).add("nth", Tree::Whole(i64::from(nth)));
            if after > 0 {
                when.add("after", time(after));
            }
            out.add("when", when.done());
        }
    }
    if let Some(lasts) = fault.lasts {
        out.add("for", time(lasts));
    }
    out.text("kind", fault.kind.name().text());
    let targets = fault.kind.targets();
    match targets {
        [] => {}
        [target] => {
            out.text("node", names.show(*target));
        }
        several => {
            out.add("nodes", texts(several.iter().map(|it| names.show(*it))));
        }
    }
    particulars(&fault.kind, names, &mut out);
    out.done()
}

fn particulars(kind: &FaultKind, names: &Names, out: &mut Fields) {
    match kind {
        FaultKind::Partition { sides, symmetry, flap } => {
            partition(sides, *symmetry, names, out);
            if let Some(period) = flap {
                out.add("flap", time(*period));
            }
        }
        FaultKind::Link { from, to, add_rtt, loss, duplicate, reorder, replay, bandwidth } => {
            out.add("between", texts([from, to].map(|end| end_name(end, names))));
            if *add_rtt > 0 {
                out.add("add_rtt", time(*add_rtt));
            }
            let shares = [
                ("loss", loss),
                ("duplicate", duplicate),
                ("reorder", reorder),
                ("replay", replay),
            ];
            for (name, part) in shares.into_iter().filter(|(_, part)| **part > Share::NONE) {
                out.add(name, share(*part));
            }
            if let Some(bandwidth) = bandwidth {
                out.add("bandwidth", bits(*bandwidth));
            }
        }
        FaultKind::ZoneLoss { zone, mode } => {
            out.text("zone", &names.zones[*zone]);
            let power = *mode == ZoneLoss::Power;
            out.text("mode", if power { "power" } else { "network" });
        }
        FaultKind::SlowDisk { write, fsync, .. } => {
            for (name, distribution) in [("write", write), ("fsync", fsync)] {
                if let Some(distribution) = distribution {
                    out.add(name, times(distribution));
                }
            }
        }
        FaultKind::DiskError { operation, .. } => {
            let name = match operation {
                DiskOperation::Write => "write",
                DiskOperation::Sync => "sync",
                DiskOperation::Read => "read",
            };
            out.text("operation", name);
        }
        FaultKind::Corrupt { what, sectors, .. } => {
            let name = match what {
                RotTarget::Log => "log",
                RotTarget::LogTail => "log-tail",
                RotTarget::Index => "index",
                RotTarget::Superblock => "superblock",
            };
            out.text("target", name).add("sectors", Tree::Whole(i64::from(*sectors)));
        }
        FaultKind::LyingFlush { count, .. } => {
            out.add("count", Tree::Whole(i64::from(*count)));
        }
        FaultKind::ClockStep { by, .. } => {
            out.text("by", signed(*by));
        }
        FaultKind::ClockDrift { ppm, .. } => {
            out.add("drift_ppm", Tree::Whole(*ppm));
        }
        FaultKind::TransferLeader { to } => {
            if let Some(to) = to {
                out.text("to", names.show(*to));
            }
        }
        FaultKind::LoseAnswers { share: part } => {
            out.add("share", share(*part));
        }
        FaultKind::Crash { .. }
        | FaultKind::PowerLoss { .. }
        | FaultKind::Restart { .. }
        | FaultKind::Pause { .. }
        | FaultKind::StallDisk { .. }
        | FaultKind::DiskFull { .. }
        | FaultKind::TornWrite { .. } => {}
    }
}

fn partition(sides: &[Side], symmetry: Symmetry, names: &Names, out: &mut Fields) {
    let side = |side: &Side| {
        let nodes = side.nodes.iter().map(|it| names.show(*it));
        let clients = side.clients.iter().map(|it| names.clients[*it].0.clone());
        texts(nodes.chain(clients))
    };
    let all: Vec<Target> = (0..names.nodes.len()).map(Target::Node).collect();
    match sides {
        [one, others] if others.nodes == all && others.clients.is_empty() => {
            out.add("isolate", side(one));
        }
        _ => {
            out.add("groups", list(sides.iter().map(side)));
        }
    }
    let symmetry = match symmetry {
        Symmetry::Symmetric => return,
        Symmetry::Inbound => "inbound-only",
        Symmetry::Outbound => "outbound-only",
    };
    out.text("symmetry", symmetry);
}

fn end_name(end: &End, names: &Names) -> String {
    match end {
        End::Any => "*".to_owned(),
        End::Zone(zone) => names.zones[*zone].clone(),
        End::Node(target) => names.show(*target),
    }
}

fn assertion(assertion: &Assertion, names: &Names) -> Tree {
    let mut out = Fields::default();
    out.text("id", &assertion.id).text("kind", assertion.check.kind().name());
    match &assertion.check {
        Check::Safety(safety) => {
            out.text("check", safety.name);
        }
        Check::Stops { node } => {
            out.text("check", "stops").text("node", &names.nodes[*node]);
        }
        Check::Unavailable { max } => {
            out.text("check", "unavailable").add("max", time(*max));
        }
        Check::Leaderless { max } => {
            out.text("check", "leaderless").add("max", time(*max));
        }
        Check::Elections { max, min } => {
            out.text("check", "elections").add("min", Tree::Whole(*min as i64));
            if let Ok(max) = i64::try_from(*max) {
                out.add("max", Tree::Whole(max));
            }
        }
        Check::Epochs { max } => {
            out.text("check", "epochs").add("max", Tree::Whole(*max as i64));
        }
        Check::Answered { min } => {
            out.text("check", "answered").add("min", share(*min));
        }
        Check::Mended { min } => {
            out.text("check", "mended").add("min", Tree::Whole(*min as i64));
        }
        Check::Acknowledged { min, max } => {
            out.text("check", "acknowledged").add("min", Tree::Whole(*min as i64));
            if let Some(max) = max {
                out.add("max", Tree::Whole(*max as i64));
            }
        }
        Check::Latency { metric, most } => {
            let name = match metric {
                Metric::Append => "append.latency",
                Metric::Read => "read.latency",
            };
            out.text("metric", name);
            for (percentile, max) in most {
                out.add(percentile.name(), one("max", time(*max)));
            }
        }
    }
    if let Some((from, to)) = assertion.window {
        out.add("window", texts([show_exactly(from), show_exactly(to)]));
    }
    out.done()
}

fn swarm(scenario: &Scenario, out: &mut Fields) {
    let swarm = &scenario.swarm;
    let mut fields = Fields::default();
    if swarm.drops_kinds {
        fields.text("fault_subset", "random");
    }
    if swarm.jitter > 0 {
        fields.add("jitter_at", time(swarm.jitter));
    }
    if swarm.extra_rate > 0.0 {
        let mut extra = Fields::default();
        extra.text("rate", format!("{}/s", swarm.extra_rate));
        extra.add("kinds", texts(swarm.extra_kinds.iter().map(|it| it.text().to_owned())));
        fields.add("extra_random_faults", extra.done());
    }
    if let tree @ Tree::Table(_) = fields.done()
        && tree != Tree::Table(Vec::new())
    {
        out.add("swarm", tree);
    }
}
