//! What must hold.

use crate::scenario::assertion::{Assertion, Check, Kind, Metric, Percentile, SAFETIES};
use crate::scenario::model::Share;
use crate::scenario::names::Names;
use crate::scenario::problem::did_you_mean;
use crate::scenario::reader::{Notes, Reader};
use crate::scenario::tree::Spot;

pub(super) fn asserts(reader: &mut Reader<'_>, names: &Names) -> Vec<Assertion> {
    let notes = reader.notes;
    let mut asserts: Vec<Assertion> = Vec::new();
    for item in reader.items("assert") {
        if let Some(assert) = assertion(item, names, notes) {
            if asserts.iter().any(|known| known.id == assert.id) {
                notes.add(&item.span, format!("there are two assertions called {}", assert.id));
            }
            asserts.push(assert);
        }
    }
    asserts
}

const KINDS: [(&str, Kind); 3] =
    [("safety", Kind::Safety), ("liveness", Kind::Liveness), ("slo", Kind::Slo)];

fn assertion(item: &Spot, names: &Names, notes: &Notes) -> Option<Assertion> {
    let mut reader = Reader::new("[[assert]]", item, notes)?;
    let id = reader.text("id");
    let kind = match reader.place_of("kind") {
        Some(_) => reader.word("kind", &KINDS)?,
        None => {
            reader.missing("kind", "kind = \"safety\", \"liveness\" or \"slo\"");
            return None;
        }
    };
    let (check, name) = match kind {
        Kind::Safety => safety(&mut reader, names)?,
        Kind::Liveness => liveness(&mut reader)?,
        Kind::Slo => level(&mut reader)?,
    };
    let window = match reader.texts("window") {
        None => None,
        Some(pair) if pair.len() == 2 => {
            let time = |at: usize| {
                let parsed = crate::scenario::units::duration(&pair[at].text);
                parsed.map_err(|what| notes.add(&pair[at].span, what)).ok()
            };
            time(0).zip(time(1))
        }
        Some(_) => {
            notes.add(&reader.span, "a window is from when to when: [\"5s\", \"20s\"]");
            None
        }
    };
    reader.finish();
    Some(Assertion { id: id.map_or(name, |it| it.text), check, window })
}

fn safety(reader: &mut Reader<'_>, names: &Names) -> Option<(Check, String)> {
    let text = reader.needed_text("check", "check = \"all\"")?;
    if text.text == "stops" {
        let node = reader.needed_text("node", "which node is to stop")?;
        let node = names.node(&node, reader.notes)?;
        return Some((Check::Stops { node }, format!("{}-stops", names.nodes[node])));
    }
    let found = SAFETIES.iter().find(|safety| safety.name == text.text);
    if found.is_none() {
        let known = SAFETIES.iter().map(|safety| safety.name).chain(["stops"]);
        let hint = did_you_mean(&text.text, known);
        reader.notes.add_with(&text.span, format!("`check` can't be `{}`", text.text), hint);
    }
    found.map(|it| (Check::Safety(*it), it.name.to_owned()))
}

fn liveness(reader: &mut Reader<'_>) -> Option<(Check, String)> {
    let text = reader.needed_text("check", "check = \"unavailable\"")?;
    let known = [
        ("unavailable", 0),
        ("leaderless", 1),
        ("elections", 2),
        ("epochs", 3),
        ("answered", 4),
        ("acknowledged", 5),
        ("mended", 6),
    ];
    let needs = |reader: &Reader<'_>, name: &str, hint: &str| {
        if reader.place_of(name).is_none() {
            reader.missing(name, hint);
        }
    };
    let check = match reader.find_word("check", &text, &known)? {
        place @ (0 | 1) => {
            needs(reader, "max", "max = \"1500ms\"");
            let max = reader.duration("max")?;
            if place == 0 { Check::Unavailable { max } } else { Check::Leaderless { max } }
        }
        2 => {
            let max = reader.whole("max", 0, i64::MAX).map_or(u64::MAX, |it| it as u64);
            let min = reader.whole("min", 0, i64::MAX).unwrap_or(0) as u64;
            Check::Elections { max, min }
        }
        3 => {
            needs(reader, "max", "max = 3");
            Check::Epochs { max: reader.whole("max", 1, i64::MAX)? as u64 }
        }
        4 => {
            needs(reader, "min", "min = 0.99");
            Check::Answered { min: reader.share("min").unwrap_or(Share::NONE) }
        }
        6 => Check::Mended { min: reader.whole("min", 0, i64::MAX).unwrap_or(0) as u64 },
        _ => {
            let max = reader.whole("max", 0, i64::MAX).map(|it| it as u64);
            let min = reader.whole("min", 0, i64::MAX).unwrap_or(0) as u64;
            Check::Acknowledged { min, max }
        }
    };
    Some((check, text.text))
}

fn level(reader: &mut Reader<'_>) -> Option<(Check, String)> {
    let text = reader.needed_text("metric", "metric = \"append.latency\"")?;
    let known = [("append.latency", Metric::Append), ("read.latency", Metric::Read)];
    let metric = reader.find_word("metric", &text, &known)?;
    let mut most = Vec::new();
    for (name, percentile, _) in Percentile::ALL {
        if let Some(spot) = reader.field(name)
            && let Some(mut inner) = Reader::new(&format!("`{name}`"), spot, reader.notes)
        {
            if inner.place_of("max").is_none() {
                inner.missing("max", "p99 = { max = \"1.5ms\" }");
            }
            most.extend(inner.duration("max").map(|max| (percentile, max)));
            inner.finish();
        }
    }
    if Percentile::ALL.iter().all(|(name, ..)| reader.place_of(name).is_none()) {
        reader.missing("p99", "p99 = { max = \"1.5ms\" }");
    }
    Some((Check::Latency { metric, most }, text.text))
}
