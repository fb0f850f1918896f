//! Bytes that rot on the disks of nodes that run.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use quorate_client::{Client, Consistency, EventData, Expected, Options, ReadOptions, random_id};
use serde_json::Value;
use tokio::time::timeout;

use crate::group::{Group, NODES, PATIENCE, SMALL, name, run};
use crate::process;
use crate::workload::{Load, append};

/// With this many segments the first one is sealed for certain.
const SEGMENTS: usize = 3;
const EVENT_BYTES: usize = 60_000;
const FIRST: &str = "log/0000000000000000.segment";
/// In the records of the first segment.
const PLACE: u64 = 5 * 4096 + 300;

#[test]
fn rotten_entries_are_mended_from_a_node_that_has_them() {
    run(async {
        // What is in memory is not read from the disk.
        let settings = [&SMALL[..], &["--tail-cache-bytes-max", "262144"]].concat();
        let mut group = Group::new("rot", &settings);
        let client = group.start_all().await;
        let load = Load::start(&group, 31).await;
        fill(&group, &client, &load, SEGMENTS).await;
        // The same entry on each one, whether or not it leads, and on each two.
        for rotten in [vec![0], vec![1], vec![2], vec![0, 1], vec![1, 2], vec![0, 2]] {
            let said = |place: usize| group.node(place).said.text().lines().count();
            let said: Vec<usize> = (0..NODES).map(said).collect();
            rotten.iter().for_each(|place| flip(&group.data(*place).join(FIRST)));
            for place in &rotten {
                let line = mended(&group, *place, said[*place]).await;
                // Perhaps one that was mended before it.
                assert_ne!(line["from"], name(*place).as_str());
            }
        }
        for place in 0..NODES {
            let said = &group.node(place).said;
            let line = said.find("read-failed", 0).await.expect("it goes on running");
            assert!(line["reason"].as_str().unwrap().contains("fails its checksum"), "{line}");
            // What was mended is looked at once more before that is forgotten.
            let healthy = async {
                while client.status_of(&group.address(place)).await.unwrap().warnings != [""; 0] {
                    tokio::task::yield_now().await;
                }
            };
            assert!(timeout(PATIENCE, healthy).await.is_ok(), "{}", name(place));
        }
        load.judge(&mut group).await;
    });
}

#[test]
fn a_start_that_meets_rot_gets_what_is_damaged_from_another_node_first() {
    run(async {
        let mut group = Group::new("rot-start", &SMALL);
        let client = group.start_all().await;
        let load = Load::start(&group, 47).await;
        fill(&group, &client, &load, 2).await;
        // The newest record of each node, whether or not it leads: the group goes on meanwhile, and
        // comes to have something committed there. A node that is killed may have been about to take
        // its newest record back, and a start would go on with that; one that stops has done so.
        for place in 0..NODES {
            assert!(group.stop(place).await.success());
            flip_newest(&group.data(place));
            start_mended(&mut group, place).await;
        }
        // An older one that is read for the window of recent ids, on two nodes at once: the third
        // can't lead alone, but it can give.
        for place in [0, 1] {
            group.kill(place);
            flip(&group.data(place).join(FIRST));
            says_how_it_is_mended(&group.data(place)).await;
        }
        group.start(0);
        start_mended(&mut group, 1).await;
        said_mended(&group, 0).await;
        load.judge(&mut group).await;
    });
}

/// Appends until each node has so many segments.
async fn fill(group: &Group, client: &Client, load: &Load, count: usize) {
    while (0..NODES).any(|place| segments(&group.data(place)).len() < count) {
        let event = EventData::octets("bulk", vec![7; EVENT_BYTES]).with_id(random_id());
        append(client, &load.history, "bulk", Expected::Any, &[event]).await;
    }
}

/// Starts a node, and waits until it has mended what it needs and serves.
async fn start_mended(group: &mut Group, place: usize) {
    group.start(place);
    said_mended(group, place).await;
    group.ready(place).await;
}

/// A start has met damage, and has mended it.
async fn said_mended(group: &Group, place: usize) {
    let said = &group.node(place).said;
    let line = said.find("damaged", 0).await.expect("it goes on running");
    assert!(line.to_string().contains("fails its checksum"), "{line}");
    let line = said.find("mended", 0).await.expect("it goes on running");
    assert_ne!(line["from"], name(place).as_str());
    said.find("recovered", 0).await.expect("it goes on running");
}

/// `quorate verify` sends people to the other nodes, before they look for a backup.
async fn says_how_it_is_mended(data: &Path) {
    let output = process::run(&["verify", data.to_str().unwrap()]).await;
    let found = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{found}");
    assert!(found.contains("it gets damaged records from the other nodes"), "{found}");
}

/// The segments' files, oldest first.
fn segments(data: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(data.join("log")).unwrap().map(|file| file.unwrap().path());
    let is_segment = |path: &PathBuf| path.extension().is_some_and(|it| it == "segment");
    let mut segments: Vec<PathBuf> = files.filter(is_segment).collect();
    segments.sort();
    segments
}

/// Flips a bit of the newest record, which is in the last segment that has any.
fn flip_newest(data: &Path) {
    let newest = segments(data).into_iter().rev().find_map(|path| {
        let bytes = fs::read(&path).unwrap();
        // Behind its header, and before its footer.
        let records = &bytes[4096..bytes.len() - 8192];
        let last = records.chunks(4096).rposition(|sector| sector.iter().any(|byte| *byte != 0))?;
        Some((path, 4096 + last as u64 * 4096 + 50))
    });
    let (path, place) = newest.expect("something was written");
    flip_at(&path, place);
}

fn flip(segment: &Path) {
    flip_at(segment, PLACE);
}

fn flip_at(segment: &Path, place: u64) {
    let file = OpenOptions::new().read(true).write(true).open(segment).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, place).unwrap();
    file.write_all_at(&[byte[0] ^ 1], place).unwrap();
}

/// Reads from the start until the node has mended what it has met there; gives the line that says so.
async fn mended(group: &Group, place: usize, said: usize) -> Value {
    let uri = format!("quorate://{}", group.address(place));
    let client = group.client_of(&uri, Options::default()).await;
    let reading = async {
        loop {
            let consistency = Consistency::Committed;
            let options = ReadOptions { count: Some(100), consistency, ..ReadOptions::default() };
            let mut events = client.read_all(options);
            while let Some(event) = events.next().await {
                event.expect("a read waits for what is being mended");
            }
        }
    };
    tokio::select! {
        line = group.node(place).said.find("mended", said) => line.expect("it goes on running"),
        () = reading => unreachable!("it goes on for ever"),
    }
}
