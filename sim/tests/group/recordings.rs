//! The flight recorder of real nodes: a leader is killed, and the recordings of all three are gone
//! through again; and what was altered, or is gone through by another core, is noticed.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::Command;

use quorate_client::{Client, EventData, Expected};
use quorate_core::Input;
use quorate_core::mutant::Mutant;
use quorate_core::recording::{Step, TapeReader};
use quorate_node::recorder::segment::{End, Segment};
use quorate_node::recorder::shelf::files_of;
use quorate_sim::recording::{DivergenceKind, Replayed, replay};
use serde_json::Value;

use crate::group::{Group, NODES, SMALL, leader, run};
use crate::workload::{Load, append};

/// So many large events take a recording to its next file.
const BULK: u64 = 150;
const BULK_BYTES: usize = 60_000;

#[test]
fn the_story_of_a_killed_leader_is_told_by_all_recordings() {
    run(async {
        let mut group = Group::new("recordings", &SMALL);
        group.records = true;
        let client = group.start_all().await;
        let load = Load::start(&group, 31).await;
        load.history.wait_for(150).await;
        bulk(&client, &load).await;
        let killed = leader(&client).await;
        group.kill(killed);
        let next = leader(&client).await;
        assert_ne!(next, killed, "another node has taken over");
        load.history.wait_for(150).await;
        bulk(&client, &load).await;
        group.start(killed);
        group.ready(killed).await;
        load.history.wait_for(100).await;
        let committed = group.caught_up(&client).await;
        load.judge(&mut group).await;

        for place in 0..NODES {
            let replayed = replay(&group.recording(place), None, &mut ()).unwrap();
            let starts = if place == killed { 2 } else { 1 };
            check_same(&replayed, starts);
            let end = replayed.ends.last().expect("a core was at the end");
            assert!(end.committed.index.get() >= committed, "{place}: {end:?}");
        }
        check_command(&group, &[0, 1, 2].map(|place| group.recording(place)), 0, "all as it was");
        check_merged(&group, killed, next);
        check_altered(&group, killed);
        check_mutants(&group, killed, next);
    });
}

async fn bulk(client: &Client, load: &Load) {
    for number in 0..BULK {
        let event = EventData::octets("bulk", vec![number as u8; BULK_BYTES]);
        append(client, &load.history, "bulk", Expected::Any, &[event]).await;
    }
}

fn check_same(replayed: &Replayed, starts: u64) {
    assert_eq!(replayed.divergence, None);
    assert_eq!(
        (replayed.starts, replayed.gaps, &replayed.died),
        (starts, 0, &None),
        "{replayed:?}"
    );
    assert!(replayed.turns > 500, "{replayed:?}");
    assert!(replayed.states > 0, "it has gone from file to file: {replayed:?}");
}

/// Runs `quorate-sim replay`.
fn check_command(group: &Group, folders: &[PathBuf], code: i32, words: &str) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quorate-sim"));
    let output = command.arg("replay").args(folders).current_dir(group.path("")).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(code), "{text}{output:?}");
    assert!(text.contains(words), "{text}");
}

/// All three as one run, with a report.
fn check_merged(group: &Group, killed: usize, next: usize) {
    let out = group.path("merged");
    let mut command = Command::new(env!("CARGO_BIN_EXE_quorate-sim"));
    command.arg("replay").args([0, 1, 2].map(|place| group.recording(place)));
    let output = command.arg("--report").arg(&out).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(out.join("report.html").exists());
    let read = |name: &str| std::fs::read_to_string(out.join(name)).unwrap();
    let summary: Value = serde_json::from_str(&read("summary.json")).unwrap();
    assert_eq!(summary["verdict"], "holds");
    let lines: Vec<Value> = read("trace.jsonl")
        .lines()
        .skip(1)
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let (covered, killed_name) = (covered(&lines), crate::group::name(killed));
    let (mut sent, mut to_hear) = (BTreeMap::new(), 0);
    let (mut received, mut lost, mut led) = (0, 0, Vec::new());
    for line in &lines {
        let at = line["t"].as_u64().unwrap();
        match line["k"].as_str().unwrap() {
            "send" => {
                sent.insert(line["m"].as_u64().unwrap(), at);
                let to = line["to"].as_str().unwrap();
                let hears = covered.get(to).is_some_and(|span| span.contains(&at));
                // What is said to a node that was killed nobody hears.
                to_hear += usize::from(hears && to != killed_name);
            }
            "recv" => {
                let before = sent[&line["m"].as_u64().unwrap()];
                assert!(before < at, "a cause is before its effect");
                received += usize::from(line["l"] != killed_name.as_str());
            }
            "drop" => lost += 1,
            "role" if line["role"] == "leader" => led.push(line["l"].as_str().unwrap().to_owned()),
            _ => {}
        }
    }
    println!(
        "{} sent, {to_hear} to be heard, {received} received, {lost} lost; led: {led:?}",
        sent.len()
    );
    assert!(received > 500 && received * 10 > to_hear * 8, "{received} of {to_hear} received");
    assert_eq!(led.first(), Some(&crate::group::name(killed)));
    assert!(led.contains(&crate::group::name(next)));
}

/// From when to when each node's recording goes: it keeps only the last of what it was told.
fn covered(lines: &[Value]) -> BTreeMap<&str, RangeInclusive<u64>> {
    let mut spans: BTreeMap<&str, RangeInclusive<u64>> = BTreeMap::new();
    for line in lines.iter().filter(|line| line["k"] == "recv") {
        let at = line["t"].as_u64().unwrap();
        let span = spans.entry(line["l"].as_str().unwrap()).or_insert(at..=at);
        *span = *span.start()..=at;
    }
    spans
}

/// What is looked for.
type Wanted = fn(&Input<'_>) -> bool;

/// Where an input of this kind stands on a tape.
fn place_of(tape: &[u8], wanted: Wanted) -> Option<std::ops::Range<usize>> {
    let mut reader = TapeReader::new(tape);
    loop {
        let from = tape.len() - reader.left();
        let found = reader.next(|step| matches!(step, Step::Input(_, input) if wanted(&input)));
        if found.ok()? {
            return Some(from..tape.len() - reader.left());
        }
    }
}

/// A byte of an input is altered, and its checksum made right.
fn check_altered(group: &Group, killed: usize) {
    let recording = group.recording(killed);
    let is_propose: Wanted = |input| matches!(input, Input::Propose(_));
    let is_written: Wanted = |input| matches!(input, Input::EntryWritten { .. });
    for (name, wanted) in [("propose", is_propose), ("written", is_written)] {
        let copy = group.path(&format!("altered-{name}"));
        copy_folder(&recording, &copy);
        let altered = files_of(&copy).unwrap().into_iter().find_map(|(number, path)| {
            let mut segment = Segment::read(&path).unwrap().ok()?;
            let place = place_of(&segment.tape, wanted)?;
            // The last byte but one of an entry is of its index; the middle of an append its data.
            let middle = place.start + place.len() / 2;
            segment.tape[middle] ^= 1;
            segment.end = End::Whole;
            std::fs::write(&path, segment.to_bytes(7)).unwrap();
            Some(number)
        });
        let replayed = replay(&copy, None, &mut ()).unwrap();
        let divergence = replayed.divergence.expect("a byte was altered");
        println!("{name}: {divergence}");
        assert_eq!(Some(divergence.file), altered);
        assert_ne!(divergence.kind, DivergenceKind::State, "it is found where it happens");
        check_command(group, &[copy], 4, "NOT as it was");
    }
}

/// The core has changed since.
fn check_mutants(group: &Group, killed: usize, next: usize) {
    let follower = (0..NODES).find(|place| ![killed, next].contains(place)).unwrap();
    for (place, mutant) in [
        (killed, Mutant::CommitsAlone),
        (next, Mutant::CommitsAlone),
        (follower, Mutant::AcksBeforeWrite),
        (follower, Mutant::VotesBeforeWrite),
    ] {
        let replayed = replay(&group.recording(place), Some(mutant), &mut ()).unwrap();
        println!("{mutant:?}: {}", replayed.divergence.expect("it does something else"));
    }
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for (_, path) in files_of(from).unwrap() {
        std::fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
}
