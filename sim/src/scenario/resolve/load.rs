//! Clients and what they want.

use std::path::Path;

use crate::scenario::distribution::Distribution;
use crate::scenario::model::{Append, Arrival, Client, Expect, Load, Operation};
use crate::scenario::names::Names;
use crate::scenario::reader::{Notes, Reader};
use crate::scenario::tree::{Spot, Tree};
use crate::scenario::units;

/// A lane in every report for each; more are not seen any more.
const CLIENTS_MAX: i64 = 256;
/// After so long a silence the client library takes a node for gone, and asks another.
const TIMEOUT: u64 = 500_000_000;

pub(super) fn clients(reader: &mut Reader<'_>, names: &mut Names, folder: &Path) -> Vec<Client> {
    let notes = reader.notes;
    let mut clients = Vec::new();
    for item in reader.items("client") {
        if let Some(client) = client(item, names, folder, notes) {
            if clients.iter().any(|known: &Client| known.name == client.name) {
                notes.add(&item.span, format!("there are two clients called {}", client.name));
            }
            clients.push(client);
        }
    }
    for (kind, client) in clients.iter().enumerate() {
        names.client_kinds.push(client.name.clone());
        if client.count == 1 {
            names.clients.push((client.name.clone(), kind));
        } else {
            let each = (1..=client.count).map(|it| (format!("{}{it}", client.name), kind));
            names.clients.extend(each);
        }
    }
    clients
}

fn client(item: &Spot, names: &Names, folder: &Path, notes: &Notes) -> Option<Client> {
    let mut reader = Reader::new("[[client]]", item, notes)?;
    let name = reader.needed_text("name", "");
    let count = reader.whole("count", 1, CLIENTS_MAX).unwrap_or(1) as usize;
    let zone = reader.text("zone").map_or(Some(0), |it| names.zone(&it, notes));
    let loads = reader.items("load").iter().filter_map(|it| load(it, folder, notes)).collect();
    reader.finish();
    Some(Client { name: name?.text, count, zone: zone?, loads })
}

fn load(item: &Spot, folder: &Path, notes: &Notes) -> Option<Load> {
    let mut reader = Reader::new("[[client.load]]", item, notes)?;
    let kinds = [("append", 0), ("mixed", 1), ("read", 2), ("read-committed", 3), ("subscribe", 4)];
    if reader.place_of("op").is_none() {
        reader.missing("op", "op = \"append\"");
    }
    let kind = reader.word("op", &kinds);
    let op = kind.and_then(|kind| match kind {
        0 => append(&mut reader, folder),
        1 => Some(Operation::Mixed),
        2 => Some(Operation::Read),
        3 => Some(Operation::ReadCommitted),
        _ => Some(Operation::Subscribe),
    });
    let arrival = arrival(&mut reader, kind == Some(4));
    let from = reader.duration("from").unwrap_or(0);
    let until = reader.duration("until");
    let timeout = reader.duration("timeout").unwrap_or(TIMEOUT);
    // Its fields are unknown only because it is.
    if kind.is_some() {
        reader.finish();
    }
    Some(Load { op: op?, arrival: arrival?, from, until, timeout: timeout.max(1) })
}

fn append(reader: &mut Reader<'_>, folder: &Path) -> Option<Operation> {
    let notes = reader.notes;
    let (mut streams, mut skew) = (10, 0.0);
    if let Some(spot) = reader.field("streams") {
        match &spot.tree {
            Tree::Whole(_) => streams = reader.whole("streams", 1, 1_000_000).unwrap_or(1),
            _ => {
                let mut inner = Reader::new("`streams`", spot, notes)?;
                streams = inner.whole("count", 1, 1_000_000).unwrap_or(10);
                let picks = [("zipf", true), ("uniform", false)];
                let is_skewed = inner.word("pick", &picks).unwrap_or(false);
                let theta = inner.number("theta").unwrap_or(0.99);
                skew = if is_skewed { theta } else { 0.0 };
                inner.finish();
            }
        }
    }
    let batch = match reader.field("batch") {
        None => Distribution::Constant(1),
        Some(Spot { tree: Tree::Whole(count), .. }) if *count > 0 => {
            Distribution::Constant(*count as u64)
        }
        Some(spot) => batch(spot, notes)?,
    };
    let payload = reader.distribution("payload", units::bytes, folder);
    let payload = payload.unwrap_or(Distribution::Constant(256));
    let expects = [
        ("any", Expect::Any),
        ("exact", Expect::Exact),
        ("none", Expect::None),
        ("stream-exists", Expect::Exists),
    ];
    let expect = reader.word("expect", &expects).unwrap_or(Expect::Any);
    Some(Operation::Append(Append { streams: streams as u32, skew, batch, payload, expect }))
}

/// Events of an append: a number, or a range of numbers.
fn batch(spot: &Spot, notes: &Notes) -> Option<Distribution> {
    let mut reader = Reader::new("`batch`", spot, notes)?;
    reader.word("dist", &[("uniform", ())]);
    let min = reader.whole("min", 1, 1_000).unwrap_or(1) as u64;
    let max = reader.whole("max", 1, 1_000).unwrap_or(1) as u64;
    reader.finish();
    if min > max {
        notes.add(&spot.span, "`min` is not more than `max`");
        return None;
    }
    Some(Distribution::Uniform { min, max })
}

fn arrival(reader: &mut Reader<'_>, is_subscription: bool) -> Option<Arrival> {
    let usual = Arrival { rate: 20.0, is_poisson: true };
    let Some(spot) = reader.field("arrival") else {
        if let Some(rate) = reader.parsed("rate", units::rate) {
            return Some(Arrival { rate, ..usual });
        }
        if !is_subscription && reader.place_of("rate").is_none() {
            reader.missing("arrival", "arrival = { model = \"poisson\", rate = \"200/s\" }");
            return None;
        }
        return Some(usual);
    };
    let mut inner = Reader::new("`arrival`", spot, reader.notes)?;
    let is_poisson = inner.word("model", &[("poisson", true), ("constant", false)]).unwrap_or(true);
    let rate = inner.parsed("rate", units::rate).unwrap_or(usual.rate);
    inner.finish();
    if rate <= 0.0 {
        reader.notes.add(&spot.span, "a rate is more than nothing; leave the load out instead");
        return None;
    }
    Some(Arrival { rate, is_poisson })
}
