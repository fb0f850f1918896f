//! `diff`: where two runs part.

use std::path::Path;

use serde_json::Value;

use super::USAGE;
use super::folder::Folder;

/// Lines of both that are shown before they part.
const CONTEXT: usize = 4;

/// Shows the first event that differs, and what differs of the figures; 0 where they are the same,
/// 4 where they are not.
pub(crate) fn diff(one: &Path, other: &Path) -> u8 {
    let opened = Folder::open(one).and_then(|one| Ok((one, Folder::open(other)?)));
    let traces = opened.and_then(|(one, other)| {
        let lines = (one.trace()?, other.trace()?);
        Ok((one, other, lines))
    });
    let (one, other, (left, right)) = match traces {
        Ok(all) => all,
        Err(problem) => {
            eprintln!("{problem}");
            return USAGE;
        }
    };
    // The first line is the header.
    let parts = (1..left.len().max(right.len())).find(|at| left.get(*at) != right.get(*at));
    match parts {
        None => println!("the same events, all {}", left.len().saturating_sub(1)),
        Some(at) => {
            println!("the same up to event {}, and then:", at - 1);
            for line in &left[at.saturating_sub(CONTEXT).max(1)..at.min(left.len())] {
                println!("    {line}");
            }
            for (name, lines) in [("-", &left), ("+", &right)] {
                let line = lines.get(at).map_or("(the end)", String::as_str);
                println!("  {name} {line}");
            }
        }
    }
    let mut differences = Vec::new();
    compare("", &one.summary, &other.summary, &mut differences);
    for line in &differences {
        println!("{line}");
    }
    if parts.is_none() { 0 } else { 4 }
}

/// Figures that differ; courses and curves are too long to be read.
fn compare(path: &str, one: &Value, other: &Value, out: &mut Vec<String>) {
    const SKIPPED: [&str; 5] = ["wall_ms", "command", "over_time", "curve", "links"];
    match (one, other) {
        (Value::Object(left), Value::Object(right)) => {
            let names: std::collections::BTreeSet<&String> =
                left.keys().chain(right.keys()).collect();
            for name in names.into_iter().filter(|name| !SKIPPED.contains(&name.as_str())) {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                let of = |fields: &serde_json::Map<String, Value>| {
                    fields.get(name).cloned().unwrap_or(Value::Null)
                };
                compare(&path, &of(left), &of(right), out);
            }
        }
        (Value::Array(left), Value::Array(right)) => {
            for place in 0..left.len().max(right.len()) {
                let of = |items: &[Value]| items.get(place).cloned().unwrap_or(Value::Null);
                compare(&format!("{path}[{place}]"), &of(left), &of(right), out);
            }
        }
        _ if one != other => out.push(format!("  {path}: {one} | {other}")),
        _ => {}
    }
}
