//! Zones, the links between them, disks, and nodes.

use std::path::Path;

use crate::scenario::distribution::Distribution;
use crate::scenario::model::{DiskModel, Group, Link, Loss, Node, Share};
use crate::scenario::names::Names;
use crate::scenario::reader::{Notes, Reader, Text};
use crate::scenario::tree::{Spot, Tree};
use crate::scenario::units;

/// Votes of more nodes than these are not counted.
const NODES_MAX: usize = 7;
const NAME_BYTES_MAX: usize = 32;

pub(super) struct Topology {
    pub(super) names: Names,
    pub(super) links: Vec<Link>,
    pub(super) disks: Vec<DiskModel>,
    pub(super) group: Group,
    pub(super) nodes: Vec<Node>,
}

/// What a scenario says itself goes over what its profile says.
pub(super) fn topology(
    reader: &mut Reader<'_>,
    profile: Option<&Spot>,
    folder: &Path,
) -> Option<Topology> {
    let notes = reader.notes;
    let own_notes = Notes::default();
    let mut profile = profile.and_then(|it| Reader::new("the profile", it, &own_notes));
    let mut names = Names::default();
    if let Some(profile) = &mut profile {
        zones(profile, &mut names);
    }
    zones(reader, &mut names);
    if names.zones.is_empty() {
        names.zones.push("z1".to_owned());
    }
    let mut links: Vec<(usize, usize, Link)> = Vec::new();
    if let Some(profile) = &mut profile {
        some_links(profile, &names, folder, &mut links);
    }
    some_links(reader, &names, folder, &mut links);
    let links = complete(links, &names, notes, &reader.span);
    let disks = disks(reader, folder, &mut names);
    let (leader_zones, voters) = group(reader, &names);
    let nodes = nodes(reader, &mut names, voters);
    let problems = own_notes.take();
    assert!(problems.is_empty(), "the built-in profiles are right: {problems:?}");
    Some(Topology { names, links, disks, group: Group { leader_zones }, nodes })
}

fn zones(reader: &mut Reader<'_>, names: &mut Names) {
    for item in reader.items("zone") {
        zone(item, names, reader.notes);
    }
}

fn some_links(
    reader: &mut Reader<'_>,
    names: &Names,
    folder: &Path,
    links: &mut Vec<(usize, usize, Link)>,
) {
    for item in reader.items("link") {
        link(item, names, folder, reader.notes, links);
    }
}

fn zone(item: &Spot, names: &mut Names, notes: &Notes) {
    let Some(mut reader) = Reader::new("[[zone]]", item, notes) else { return };
    if let Some(name) = reader.needed_text("name", "") {
        plain(&name, notes);
        if !names.zones.contains(&name.text) {
            names.zones.push(name.text);
        }
    }
    // Where it stands on the map is for people.
    reader.text("region");
    reader.finish();
}

/// Names are those of nodes and zones, which are short.
fn plain(name: &Text, notes: &Notes) {
    let is_plain = |it: char| it.is_ascii_alphanumeric() || it == '-' || it == '_';
    let is_good = !name.text.is_empty()
        && name.text.len() <= NAME_BYTES_MAX
        && name.text.chars().all(is_plain);
    if !is_good {
        let what = format!("a name is of 1 to {NAME_BYTES_MAX} letters, digits, `-` and `_`");
        notes.add(&name.span, what);
    }
}

/// A later link to the same zones takes the place of an earlier one.
fn link(
    item: &Spot,
    names: &Names,
    folder: &Path,
    notes: &Notes,
    links: &mut Vec<(usize, usize, Link)>,
) {
    let Some(mut reader) = Reader::new("[[link]]", item, notes) else { return };
    let between = reader.texts("between");
    let within = reader.texts("within");
    let pairs = match (between, within) {
        (Some(pair), None) if pair.len() == 2 => pairs(&pair, names, notes),
        (None, Some(zones)) => {
            let zones = zones.iter().filter_map(|it| some_zones(it, names, notes));
            zones.flatten().map(|it| (it, it)).collect()
        }
        _ => {
            let what = "a link is `between` two zones, or `within` one";
            let hint = "between = [\"z1\", \"z2\"], or within = \"*\" for each zone itself";
            notes.add_with(&reader.span, what, Some(hint.to_owned()));
            Vec::new()
        }
    };
    let rtt = round_trip(&mut reader, folder);
    let loss = loss(&mut reader).unwrap_or(Loss::Even(Share::NONE));
    let duplicate = reader.share("duplicate").unwrap_or_default();
    let reorder = reader.share("reorder").unwrap_or_default();
    let bandwidth = reader.parsed("bandwidth", units::bandwidth);
    reader.finish();
    // One that is wrong still says that there is a link.
    let rtt = rtt.unwrap_or(Distribution::Constant(0));
    for (a, b) in pairs {
        let (a, b) = (a.min(b), a.max(b));
        links.retain(|known| (known.0, known.1) != (a, b));
        let link = Link { a, b, rtt: rtt.clone(), loss, duplicate, reorder, bandwidth };
        links.push((a, b, link));
    }
}

fn some_zones(text: &Text, names: &Names, notes: &Notes) -> Option<Vec<usize>> {
    if text.text == "*" {
        return Some((0..names.zones.len()).collect());
    }
    names.zone(text, notes).map(|it| vec![it])
}

fn pairs(pair: &[Text], names: &Names, notes: &Notes) -> Vec<(usize, usize)> {
    let ends = pair.iter().map(|it| some_zones(it, names, notes));
    let Some(ends) = ends.collect::<Option<Vec<_>>>() else { return Vec::new() };
    let is_open = pair.iter().any(|it| it.text == "*");
    let all = ends[0].iter().flat_map(|a| ends[1].iter().map(move |b| (*a, *b)));
    // A star is every other zone.
    all.filter(|(a, b)| !is_open || a != b).collect()
}

fn round_trip(reader: &mut Reader<'_>, folder: &Path) -> Option<Distribution> {
    if let Some(span) = reader.place_of("latency") {
        let hint = "write `rtt` for there and back, or `oneway` for one way";
        let what = "a bare `latency` does not say which way it is meant";
        reader.notes.add_with(span, what, Some(hint.to_owned()));
        reader.field("latency");
        reader.field("rtt");
        reader.field("jitter");
        return None;
    }
    let rtt = reader.distribution("rtt", units::duration, folder);
    let oneway = reader.distribution("oneway", units::duration, folder);
    let jitter = reader.duration("jitter");
    let base = match (rtt, oneway) {
        (Some(rtt), None) => rtt,
        (None, Some(oneway)) => oneway.scaled(2, 1),
        (Some(_), Some(_)) => {
            reader.notes.add(&reader.span, "a link has `rtt` or `oneway`, not both");
            return None;
        }
        (None, None) => {
            if reader.place_of("rtt").is_none() && reader.place_of("oneway").is_none() {
                reader.missing("rtt", "rtt = \"1.2ms\", or { p50 = \"1.2ms\", p99 = \"2.2ms\" }");
            }
            return None;
        }
    };
    match (base, jitter) {
        (base, None) => Some(base),
        (Distribution::Constant(min), Some(jitter)) => {
            Some(Distribution::Uniform { min, max: min + jitter })
        }
        (_, Some(_)) => {
            reader
                .notes
                .add(&reader.span, "`jitter` goes with a constant rtt; others have their own");
            None
        }
    }
}

fn loss(reader: &mut Reader<'_>) -> Option<Loss> {
    let spot = reader.field("loss")?;
    if !matches!(spot.tree, Tree::Table(_)) {
        return reader.share("loss").map(Loss::Even);
    }
    let mut inner = Reader::new("`loss`", spot, reader.notes)?;
    inner.word("model", &[("gilbert-elliott", ())]);
    let mut part = |name| inner.share(name).unwrap_or_default();
    let loss = Loss::Bursts {
        good: part("good"),
        bad: part("bad"),
        to_bad: part("to_bad"),
        to_good: part("to_good"),
    };
    inner.finish();
    Some(loss)
}

/// Two machines of one zone are near each other where nothing else is said; zones need a link.
fn complete(
    mut links: Vec<(usize, usize, Link)>,
    names: &Names,
    notes: &Notes,
    span: &std::ops::Range<usize>,
) -> Vec<Link> {
    let near = Distribution::Lognormal { min: 45_000, p50: 65_000, p99: 180_000 };
    for a in 0..names.zones.len() {
        for b in a..names.zones.len() {
            if links.iter().any(|known| (known.0, known.1) == (a, b)) {
                continue;
            }
            if a != b {
                let (one, other) = (&names.zones[a], &names.zones[b]);
                let hint = format!("write [[link]] with between = [\"{one}\", \"{other}\"]");
                let start = span.start..span.start + 1;
                let what = format!("nothing says how far {one} and {other} are from each other");
                notes.add_with(&start, what, Some(hint));
            }
            let (rtt, loss) = (near.clone(), Loss::Even(Share::NONE));
            let (duplicate, reorder) = (Share::NONE, Share::NONE);
            let link = Link { a, b, rtt, loss, duplicate, reorder, bandwidth: None };
            links.push((a, b, link));
        }
    }
    links.sort_by_key(|(a, b, _)| (*a, *b));
    links.into_iter().map(|(_, _, link)| link).collect()
}

/// The disk of nodes that name none.
fn default_disk() -> DiskModel {
    DiskModel {
        name: "nvme".to_owned(),
        write: Distribution::Lognormal { min: 8_000, p50: 18_000, p99: 90_000 },
        fsync: Distribution::Lognormal { min: 10_000, p50: 25_000, p99: 150_000 },
        torn_writes: true,
    }
}

fn disks(reader: &mut Reader<'_>, folder: &Path, names: &mut Names) -> Vec<DiskModel> {
    let notes = reader.notes;
    let mut disks = Vec::new();
    if let Some(spot) = reader.field("disk") {
        let Tree::Table(models) = &spot.tree else {
            let hint = Some("write [disk.NAME]".to_owned());
            notes.add_with(&spot.span, "disks are models by name", hint);
            return vec![default_disk()];
        };
        for (key, item) in models {
            let what = format!("[disk.{}]", key.name);
            let Some(mut reader) = Reader::new(&what, item, notes) else { continue };
            let usual = default_disk();
            disks.push(DiskModel {
                name: key.name.clone(),
                write: reader.distribution("write", units::duration, folder).unwrap_or(usual.write),
                fsync: reader.distribution("fsync", units::duration, folder).unwrap_or(usual.fsync),
                torn_writes: reader.flag("torn_writes").unwrap_or(true),
            });
            reader.finish();
        }
    }
    if disks.is_empty() {
        disks.push(default_disk());
    }
    names.disks = disks.iter().map(|disk| disk.name.clone()).collect();
    disks
}

fn group(reader: &mut Reader<'_>, names: &Names) -> (Vec<usize>, Option<usize>) {
    let notes = reader.notes;
    let Some(spot) = reader.field("group") else { return (Vec::new(), None) };
    let Some(mut reader) = Reader::new("[group]", spot, notes) else { return (Vec::new(), None) };
    let voters = reader.whole("voters", 1, NODES_MAX as i64).map(|it| it as usize);
    // The only one there is: it stands in a file for those who read it.
    reader.word("ack", &[("quorum-durable", ())]);
    let zones = reader.texts("leader_pref").unwrap_or_default();
    let zones = zones.iter().filter_map(|zone| names.zone(zone, notes)).collect();
    reader.finish();
    (zones, voters)
}

fn nodes(reader: &mut Reader<'_>, names: &mut Names, voters: Option<usize>) -> Vec<Node> {
    let notes = reader.notes;
    let items = reader.items("node");
    let mut nodes: Vec<(Node, std::ops::Range<usize>)> = Vec::new();
    for item in items {
        if let Some(node) = node(item, names, notes) {
            if nodes.iter().any(|(known, _)| known.name == node.name) {
                notes.add(&item.span, format!("there are two nodes called {}", node.name));
            }
            nodes.push((node, item.span.clone()));
        }
    }
    let mut nodes: Vec<Node> = nodes.into_iter().map(|(node, _)| node).collect();
    if items.is_empty() {
        // One in each zone, in turn.
        let count = voters.unwrap_or(3);
        let zones = names.zones.len();
        nodes.extend((0..count).map(|index| Node {
            name: format!("n{}", index + 1),
            zone: index % zones,
            disk: 0,
            clock_offset: 0,
            clock_drift_ppm: 0,
        }));
    } else if voters.is_some_and(|voters| voters != items.len()) {
        let what = format!(
            "[group] has {} voters, and there are {} nodes",
            voters.unwrap_or(0),
            items.len()
        );
        notes.add(&reader.span, what);
    }
    if nodes.len() > NODES_MAX {
        notes.add(&reader.span, format!("a group has at most {NODES_MAX} voters"));
    }
    nodes.sort_by(|one, other| one.name.cmp(&other.name));
    names.nodes = nodes.iter().map(|node| node.name.clone()).collect();
    names.node_zones = nodes.iter().map(|node| node.zone).collect();
    nodes
}

fn node(item: &Spot, names: &Names, notes: &Notes) -> Option<Node> {
    let mut reader = Reader::new("[[node]]", item, notes)?;
    let name = reader.needed_text("name", "");
    if let Some(name) = &name {
        plain(name, notes);
    }
    let zone = reader.needed_text("zone", "").and_then(|it| names.zone(&it, notes));
    let disk = reader.text("disk").map(|it| names.disk(&it, notes).unwrap_or(0));
    if let Some(role) = reader.text("role")
        && role.text != "voter"
    {
        let what = format!("a node can't be `{}` yet: all are voters", role.text);
        notes.add(&role.span, what);
    }
    let (mut clock_offset, mut clock_drift_ppm) = (0, 0);
    if let Some(spot) = reader.field("clock")
        && let Some(mut clock) = Reader::new("`clock`", spot, notes)
    {
        clock_offset = clock.parsed("offset", units::signed_duration).unwrap_or(0);
        clock_drift_ppm = clock.whole("drift_ppm", -50_000, 50_000).unwrap_or(0);
        clock.finish();
    }
    reader.finish();
    let (name, zone) = (name?.text, zone?);
    Some(Node { name, zone, disk: disk.unwrap_or(0), clock_offset, clock_drift_ppm })
}
