//! What goes wrong, and when.

use std::path::Path;

use crate::scenario::fault::{
    DiskOperation, End, Fault, FaultKind, FaultName, RotTarget, Side, Symmetry, Target, Trigger,
    When, ZoneLoss,
};
use crate::scenario::names::{FOLLOWER, LEADER, Names};
use crate::scenario::problem::did_you_mean;
use crate::scenario::reader::{Notes, Reader, Text};
use crate::scenario::tree::{Spot, Tree};
use crate::scenario::units;

/// A fault that comes again and again does so at most so often.
const TIMES_MAX: i64 = 10_000;
/// Clocks of machines that work are not off by more.
const DRIFT_PPM_MAX: i64 = 900_000;

pub(super) fn faults(reader: &mut Reader<'_>, names: &Names, folder: &Path) -> Vec<Fault> {
    let notes = reader.notes;
    let items = reader.items("fault").iter();
    items.filter_map(|item| repeated(item, names, folder, notes)).flatten().collect()
}

/// One fault, without repetition: a line of a plan.
pub(in crate::scenario) fn fault_of(item: &Spot, names: &Names, notes: &Notes) -> Option<Fault> {
    let mut faults = repeated(item, names, Path::new("."), notes)?;
    faults.pop()
}

fn repeated(item: &Spot, names: &Names, folder: &Path, notes: &Notes) -> Option<Vec<Fault>> {
    let mut reader = Reader::new("[[fault]]", item, notes)?;
    let name = reader.needed_text("kind", "kind = \"partition\", \"crash\", \"pause\" …");
    let name = name.and_then(|it| reader.find_word("kind", &it, &FaultName::ALL))?;
    let mut reader = Reader::new(&format!("a fault of kind {}", name.text()), item, notes)?;
    reader.field("kind");
    let when = when(&mut reader);
    let lasts = lasts(&mut reader, name);
    let every = reader.duration("every");
    let times = reader.whole("times", 1, TIMES_MAX);
    let kind = kind(&mut reader, name, names, folder);
    let span = reader.span.clone();
    reader.finish();
    let fault = Fault { when: when?, lasts, kind: kind? };
    match (every, times, fault.when) {
        (None, None, _) => Some(vec![fault]),
        (Some(every), Some(times), When::At(first)) => {
            let at = |turn: i64| When::At(first + every * turn as u64);
            Some((0..times).map(|turn| Fault { when: at(turn), ..fault.clone() }).collect())
        }
        _ => {
            notes.add(&span, "a fault that comes again has `at`, `every` and `times`");
            None
        }
    }
}

fn when(reader: &mut Reader<'_>) -> Option<When> {
    let at = reader.duration("at");
    let Some(spot) = reader.field("when") else {
        if at.is_none() && reader.place_of("at").is_none() {
            let hint = "at = \"20s\", or when = { event = \"leader-elected\", nth = 2 }";
            reader.missing("at", hint);
        }
        return at.map(When::At);
    };
    let mut inner = Reader::new("`when`", spot, reader.notes)?;
    if inner.place_of("event").is_none() {
        inner.missing("event", "event = \"leader-elected\"");
    }
    let event = inner.word("event", &Trigger::ALL);
    let nth = inner.whole("nth", 1, 1_000_000).unwrap_or(1) as u32;
    let after = inner.duration("after").unwrap_or(0);
    inner.finish();
    if at.is_some() {
        reader.notes.add(&spot.span, "a fault has `at` or `when`, not both");
    }
    Some(When::Event { event: event?, nth, after })
}

/// How long it lasts: what ends processes calls it `restart_after`.
fn lasts(reader: &mut Reader<'_>, name: FaultName) -> Option<u64> {
    if name.is_momentary() {
        return None;
    }
    let lasts = reader.duration("for");
    let is_restarted =
        matches!(name, FaultName::Crash | FaultName::PowerLoss | FaultName::TornWrite);
    let restart = if is_restarted { reader.duration("restart_after") } else { None };
    lasts.or(restart)
}

fn kind(
    reader: &mut Reader<'_>,
    name: FaultName,
    names: &Names,
    folder: &Path,
) -> Option<FaultKind> {
    Some(match name {
        FaultName::Partition => partition(reader, names)?,
        FaultName::Link => link(reader, names)?,
        FaultName::ZoneLoss => {
            let zone = reader.needed_text("zone", "")?;
            let modes = [("power", ZoneLoss::Power), ("network", ZoneLoss::Network)];
            let mode = reader.word("mode", &modes).unwrap_or(ZoneLoss::Power);
            FaultKind::ZoneLoss { zone: names.zone(&zone, reader.notes)?, mode }
        }
        FaultName::Crash => FaultKind::Crash { targets: targets(reader, names)? },
        FaultName::PowerLoss => FaultKind::PowerLoss { targets: targets(reader, names)? },
        FaultName::Restart => FaultKind::Restart { targets: targets(reader, names)? },
        FaultName::Pause => FaultKind::Pause { targets: targets(reader, names)? },
        FaultName::SlowDisk => {
            let targets = targets(reader, names);
            let write = reader.distribution("write", units::duration, folder);
            let fsync = reader.distribution("fsync", units::duration, folder);
            if write.is_none() && fsync.is_none() {
                reader.missing("fsync", "fsync = \"40ms\", or `write`, or both");
            }
            FaultKind::SlowDisk { targets: targets?, write, fsync }
        }
        FaultName::StallDisk => FaultKind::StallDisk { targets: targets(reader, names)? },
        FaultName::DiskFull => FaultKind::DiskFull { targets: targets(reader, names)? },
        FaultName::DiskError => {
            let operations = [
                ("write", DiskOperation::Write),
                ("sync", DiskOperation::Sync),
                ("read", DiskOperation::Read),
            ];
            let operation = reader.word("operation", &operations).unwrap_or(DiskOperation::Write);
            FaultKind::DiskError { targets: targets(reader, names)?, operation }
        }
        FaultName::Corrupt => {
            let places = [
                ("log", RotTarget::Log),
                ("log-tail", RotTarget::LogTail),
                ("index", RotTarget::Index),
                ("superblock", RotTarget::Superblock),
            ];
            let what = reader.word("target", &places).unwrap_or(RotTarget::Log);
            let sectors = reader.whole("sectors", 1, 1_000).unwrap_or(1) as u32;
            FaultKind::Corrupt { targets: targets(reader, names)?, what, sectors }
        }
        FaultName::TornWrite => FaultKind::TornWrite { targets: targets(reader, names)? },
        FaultName::LyingFlush => {
            let count = reader.whole("count", 1, 1_000).unwrap_or(1) as u32;
            FaultKind::LyingFlush { targets: targets(reader, names)?, count }
        }
        FaultName::ClockStep => {
            if reader.place_of("by").is_none() {
                reader.missing("by", "by = \"-3s\"");
            }
            let by = reader.parsed("by", units::signed_duration);
            FaultKind::ClockStep { targets: targets(reader, names)?, by: by? }
        }
        FaultName::ClockDrift => {
            if reader.place_of("drift_ppm").is_none() {
                reader.missing("drift_ppm", "drift_ppm = 20000");
            }
            let ppm = reader.whole("drift_ppm", -DRIFT_PPM_MAX, DRIFT_PPM_MAX);
            FaultKind::ClockDrift { targets: targets(reader, names)?, ppm: ppm? }
        }
        FaultName::TransferLeader => {
            let to = reader.text("to");
            let to = to.map(|it| names.target(&it, reader.notes));
            if to == Some(None) {
                return None;
            }
            FaultKind::TransferLeader { to: to.flatten() }
        }
        FaultName::LoseAnswers => {
            FaultKind::LoseAnswers { share: reader.share("share").unwrap_or_default() }
        }
    })
}

/// Who is struck: `node`, `nodes`, or all of a `zone`.
fn targets(reader: &mut Reader<'_>, names: &Names) -> Option<Vec<Target>> {
    let notes = reader.notes;
    let one = reader.text("node");
    let several = reader.texts("nodes");
    let zone = reader.text("zone");
    let mut found: Vec<Target> = Vec::new();
    let mut is_good = true;
    for text in one.iter().chain(several.iter().flatten()) {
        match names.target(text, notes) {
            Some(target) => found.push(target),
            None => is_good = false,
        }
    }
    if let Some(text) = &zone {
        match names.zone(text, notes) {
            Some(zone) => found.extend(names.nodes_of(zone).into_iter().map(Target::Node)),
            None => is_good = false,
        }
    }
    if is_good && found.is_empty() {
        if one.is_none() && several.is_none() && zone.is_none() {
            let hint = format!("node = \"n1\", \"{LEADER}\" or \"{FOLLOWER}\"; or nodes, or zone");
            reader.missing("node", &hint);
        } else {
            notes.add(&reader.span, "this fault strikes nobody");
        }
    }
    let mut unique = Vec::new();
    for target in found {
        if !unique.contains(&target) {
            unique.push(target);
        }
    }
    (is_good && !unique.is_empty()).then_some(unique)
}

fn partition(reader: &mut Reader<'_>, names: &Names) -> Option<FaultKind> {
    let notes = reader.notes;
    let isolate = reader.texts("isolate");
    let groups = reader.field("groups");
    let symmetries = [
        ("symmetric", Symmetry::Symmetric),
        ("inbound-only", Symmetry::Inbound),
        ("outbound-only", Symmetry::Outbound),
    ];
    let symmetry = reader.word("symmetry", &symmetries).unwrap_or(Symmetry::Symmetric);
    let flap = reader.duration("flap");
    let sides = match (isolate, groups) {
        (Some(isolated), None) => {
            let side = side(&isolated, names, notes)?;
            let others = (0..names.nodes.len()).map(Target::Node);
            // Who is meant by `$leader` is found when it strikes; it is never on both sides.
            let others = Side { nodes: others.collect(), clients: Vec::new() };
            vec![side, others]
        }
        (None, Some(Spot { tree: Tree::List(groups), .. })) if groups.len() >= 2 => {
            let sides = groups.iter().map(|group| {
                let names_of = reader.as_texts("groups", group)?;
                side(&names_of, names, notes)
            });
            sides.collect::<Option<Vec<_>>>()?
        }
        _ => {
            let hint = "isolate = [\"n1\"], or groups = [[\"n1\"], [\"n2\", \"n3\"]]";
            let span = reader.span.clone();
            notes.add_with(&span, "a partition has `isolate` or `groups`", Some(hint.to_owned()));
            return None;
        }
    };
    Some(FaultKind::Partition { sides, symmetry, flap })
}

/// Names of nodes, zones and clients.
fn side(texts: &[Text], names: &Names, notes: &Notes) -> Option<Side> {
    let mut side = Side::default();
    let mut is_good = true;
    for text in texts {
        let clients = names.clients(&text.text);
        let zone = names.zones.iter().position(|it| *it == text.text);
        let is_node = names.nodes.contains(&text.text) || text.text.starts_with('$');
        if is_node {
            side.nodes.extend(names.target(text, notes));
        } else if let Some(zone) = zone {
            side.nodes.extend(names.nodes_of(zone).into_iter().map(Target::Node));
        } else if clients.is_empty() {
            let known = names.nodes.iter().chain(&names.zones).chain(&names.client_kinds);
            let hint = did_you_mean(&text.text, known.map(String::as_str));
            let what = format!("there is no node, zone or client `{}`", text.text);
            notes.add_with(&text.span, what, hint);
            is_good = false;
        }
        side.clients.extend(clients);
    }
    is_good.then_some(side)
}

fn link(reader: &mut Reader<'_>, names: &Names) -> Option<FaultKind> {
    let notes = reader.notes;
    let pair = reader.texts("between");
    let pair = match pair {
        Some(pair) if pair.len() == 2 => pair,
        _ => {
            reader.missing("between", "between = [\"z1\", \"z2\"]; nodes and \"*\" will do, too");
            return None;
        }
    };
    let mut ends = Vec::new();
    for text in &pair {
        let zone = names.zones.iter().position(|it| *it == text.text);
        ends.push(match (text.text.as_str(), zone) {
            ("*", _) => End::Any,
            (_, Some(zone)) => End::Zone(zone),
            _ => End::Node(names.target(text, notes)?),
        });
    }
    let kind = FaultKind::Link {
        from: ends.remove(0),
        to: ends.remove(0),
        add_rtt: reader.duration("add_rtt").unwrap_or(0),
        loss: reader.share("loss").unwrap_or_default(),
        duplicate: reader.share("duplicate").unwrap_or_default(),
        reorder: reader.share("reorder").unwrap_or_default(),
        replay: reader.share("replay").unwrap_or_default(),
        bandwidth: reader.parsed("bandwidth", units::bandwidth),
    };
    Some(kind)
}
