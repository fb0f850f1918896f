//! `explain`: why a run failed, in plain words, and what happened before.

use std::path::Path;

use quorate_sim::scenario::units::{self, show};
use serde_json::Value;

use super::USAGE;
use super::folder::Folder;

/// Events that are shown at most, the last ones before the end of what failed.
const EVENTS_MAX: usize = 40;
/// How long before it they may be.
const BEFORE_NANOS: u64 = 5_000_000_000;

/// Tells the story of a run.
pub(crate) fn explain(path: &Path) -> u8 {
    let told = Folder::open(path).and_then(|folder| {
        let trace = folder.trace()?;
        Ok((folder, trace))
    });
    let (folder, trace) = match told {
        Ok(all) => all,
        Err(problem) => {
            eprintln!("{problem}");
            return USAGE;
        }
    };
    let name = folder.text("name").unwrap_or("?");
    println!("{name}, seed {}: {}", folder.seed(), folder.text("verdict").unwrap_or("?"));
    let Some(reason) = folder.text("reason") else {
        println!("All that was wanted holds; there is nothing to explain.");
        return 0;
    };
    println!("\nWhat failed\n  {}", reason.replace('\n', "\n  "));
    let failed = folder.summary["asserts"].as_array().into_iter().flatten();
    for assert in failed.filter(|assert| assert["holds"] == Value::Bool(false)) {
        let text = |field: &str| assert[field].as_str().unwrap_or("-").to_owned();
        println!("  {}: {}, and {} was wanted", text("id"), text("measured"), text("wanted"));
    }
    let events = telling(&trace);
    let moment = moment_of(reason, &events);
    println!("\nWhat happened before");
    let near = |event: &&Value| {
        let at = event["t"].as_u64().unwrap_or(0);
        at <= moment && at + BEFORE_NANOS >= moment
    };
    let chain: Vec<&Value> = events.iter().filter(near).collect();
    let skipped = chain.len().saturating_sub(EVENTS_MAX);
    if skipped > 0 {
        println!("  … {skipped} more events");
    }
    for event in &chain[skipped..] {
        println!("  {}", tell(event));
    }
    let running = folder.summary["faults"].as_array().into_iter().flatten().filter(|fault| {
        let from = fault["at_ns"].as_u64().unwrap_or(0);
        from <= moment && fault["until_ns"].as_u64().is_none_or(|until| until >= moment)
    });
    let running: Vec<&str> = running.filter_map(|fault| fault["text"].as_str()).collect();
    if !running.is_empty() {
        println!("\nWhat was wrong with the world at that moment");
        running.iter().for_each(|text| println!("  {text}"));
    }
    println!("\nagain    {}", folder.text("command").unwrap_or(""));
    println!("smaller  quorate-sim shrink {}", path.display());
    0
}

/// When what failed in a run was complete.
pub(crate) fn end_of_failure(folder: &Folder) -> Result<u64, String> {
    let events = telling(&folder.trace()?);
    Ok(moment_of(folder.text("reason").unwrap_or(""), &events))
}

fn telling(trace: &[String]) -> Vec<Value> {
    let events = trace.iter().skip(1).filter_map(|line| serde_json::from_str(line).ok());
    events.filter(is_telling).collect()
}

/// Whether an event says something to a person: messages and entries are too many.
fn is_telling(event: &Value) -> bool {
    match event["k"].as_str() {
        Some("role" | "fault" | "heal" | "truncate" | "violation") => true,
        Some("note") => !event["d"].as_str().is_some_and(|text| text.starts_with("Resyncing")),
        Some("answer") => event["outcome"].as_str() == Some("unknown"),
        _ => false,
    }
}

/// The end of what failed: of the violation, or of the gap that a reason names.
fn moment_of(reason: &str, events: &[Value]) -> u64 {
    let violation = events.iter().find(|event| event["k"].as_str() == Some("violation"));
    if let Some(at) = violation.and_then(|event| event["t"].as_u64()) {
        return at;
    }
    let time = |before: &str, after: &str| {
        let (_, rest) = reason.split_once(before)?;
        let (text, _) = rest.split_once(after)?;
        units::duration(&text.replace(' ', "")).ok()
    };
    match (time(" for ", ","), time("from ", " on")) {
        (Some(lasts), Some(from)) => from + lasts,
        _ => events.last().and_then(|event| event["t"].as_u64()).unwrap_or(u64::MAX),
    }
}

fn tell(event: &Value) -> String {
    let text = |field: &str| event[field].as_str().unwrap_or("");
    let at = show(event["t"].as_u64().unwrap_or(0));
    let words = match text("k") {
        "role" => format!("{} is {}, epoch {}", text("l"), text("role"), event["epoch"]),
        "fault" => format!("fault {}: {}", event["f"], text("d")),
        "heal" => format!("fault {} ends", event["f"]),
        "truncate" => format!("{} removes its entries behind {}", text("l"), event["i"]),
        "answer" => format!("{} will not know how its call {} ended", text("l"), event["c"]),
        "violation" => format!("VIOLATION  {}", text("d")),
        _ if text("l").is_empty() => text("d").to_owned(),
        _ => format!("{}: {}", text("l"), text("d")),
    };
    format!("{at:>9}  {words}")
}
