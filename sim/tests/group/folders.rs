//! Data folders that are lost, or that get to the wrong node.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use quorate_client::{Client, EventData, Expected};
use serde_json::Value;

use crate::group::{Group, NODES, SMALL, leader, name, run};
use crate::process;
use crate::workload::Load;

/// Two nodes that could elect a leader would have done so many times meanwhile.
const NO_LEADER_WITHIN: Duration = Duration::from_secs(4);

#[test]
fn a_wiped_node_does_not_vote() {
    run(async {
        let mut group = Group::new("wiped", &SMALL);
        let client = group.start_all().await;
        let load = Load::start(&group, 4).await;
        load.history.wait_for(100).await;
        let wiped = (leader(&client).await + 1) % NODES;
        let (old, third) = ((wiped + 1) % NODES, (wiped + 2) % NODES);
        (0..NODES).for_each(|place| group.kill(place));
        fs::rename(group.data(wiped), group.path("kept")).unwrap();

        // One that remembers and one that does not are no majority.
        group.start(old);
        group.start(wiped);
        check_says_what_to_do(&group, wiped, old).await;
        let acknowledged = load.history.acknowledged();
        let impatient = client.with_deadline(NO_LEADER_WITHIN);
        let event = EventData::json("refused", "{}");
        let refused = impatient.append("nobody", Expected::Any, &[event]).await;
        assert!(refused.is_err(), "{refused:?}, and nobody may lead");
        assert_eq!(load.history.acknowledged(), acknowledged, "nobody may lead");

        // With the third there is a majority again, and nothing is lost.
        group.start(third);
        load.history.wait_for(100).await;
        assert_ne!(leader(&client).await, wiped);

        // The folder is found again.
        group.kill(wiped);
        fs::remove_dir_all(group.data(wiped)).unwrap();
        fs::rename(group.path("kept"), group.data(wiped)).unwrap();
        group.start(wiped);
        group.ready(wiped).await;
        load.judge(&mut group).await;
    });
}

/// Both sides name the node and what to do: in their logs, to clients, and over HTTP.
async fn check_says_what_to_do(group: &Group, wiped: usize, old: usize) {
    for place in [wiped, old] {
        let said = &group.node(place).said;
        let line = said.find_any(&["refused", "refused-by-peer"], 0).await;
        let line = line.expect("it goes on running");
        let words = format!("{} has lost its data folder", name(wiped));
        assert!(text(&line).contains(&words), "{line}");
        assert!(text(&line).contains("bring the folder back, or replace the node"), "{line}");
    }
    let uri = format!("quorate://{}", group.address(wiped));
    let ca = group.ca().display().to_string();
    let status = process::run(&["status", "--uri", &uri, "--ca", &ca, "--timeout", "2"]).await;
    let told = String::from_utf8(status.stderr).unwrap();
    assert_eq!(status.status.code(), Some(5), "{told}");
    assert!(told.contains("lost its data folder"), "{told}");
    let ready = http(&group.address(wiped), "/readyz");
    assert!(ready.contains("503") && ready.contains("lost its data folder"), "{ready}");
}

#[test]
fn a_folder_of_another_node_is_refused() {
    run(async {
        let mut group = Group::new("swapped", &SMALL);
        let client = group.start_all().await;
        let load = Load::start(&group, 5).await;
        load.history.wait_for(100).await;
        let leader = leader(&client).await;
        let (victim, other) = ((leader + 1) % NODES, (leader + 2) % NODES);
        group.kill(victim);
        group.kill(other);
        fs::rename(group.data(victim), group.path("kept")).unwrap();
        copy(&group.data(other), &group.data(victim));
        group.start(other);

        // By its own name.
        let mut started = group.launch(victim, &group.arguments(victim));
        assert_eq!(started.ended().await.code(), Some(21));
        let words = format!("is that of node {}", name(other));
        assert!(started.said.text().contains(&words), "{}", started.said.text());

        // By the name that is in the folder, with the certificate of the other name.
        let mut arguments = group.arguments(victim);
        let place = arguments.iter().position(|word| word == "--node").unwrap();
        arguments[place + 1] = name(other);
        let mut started = group.launch(victim, &arguments);
        assert_eq!(started.ended().await.code(), Some(22));
        assert!(started.said.text().contains("certificate"), "{}", started.said.text());

        // The group goes on with two, and with its own folder the third is one of it again.
        load.history.wait_for(100).await;
        fs::remove_dir_all(group.data(victim)).unwrap();
        fs::rename(group.path("kept"), group.data(victim)).unwrap();
        group.start(victim);
        group.ready(victim).await;
        load.judge(&mut group).await;
    });
}

#[test]
fn a_folder_of_a_group_does_not_start_alone() {
    run(async {
        let mut group = Group::new("alone", &SMALL);
        let client: Client = group.start_all().await;
        client.close().await;
        group.kill(0);
        let mut arguments = group.arguments(0);
        for (flag, value) in [("--join", ""), ("--voters", "1")] {
            let place = arguments.iter().position(|word| word == flag).unwrap();
            arguments[place + 1] = value.to_owned();
        }
        let mut started = group.launch(0, &arguments);
        assert_eq!(started.ended().await.code(), Some(21), "{}", started.said.text());
        assert!(started.said.text().contains("a group of 3 nodes"), "{}", started.said.text());
    });
}

#[test]
fn a_copy_of_a_folder_does_not_run_beside_it() {
    run(async {
        let mut group = Group::new("copied", &SMALL);
        let client = group.start_all().await;
        let load = Load::start(&group, 16).await;
        load.history.wait_for(100).await;
        let copied = (leader(&client).await + 1) % NODES;
        group.kill(copied);
        copy(&group.data(copied), &group.path("copy"));
        group.start(copied);
        group.ready(copied).await;

        let mut arguments = group.arguments(copied);
        let path = group.path("copy").display().to_string();
        for (flag, value) in [("--data", path.as_str()), ("--listen", "127.0.0.1:0")] {
            let place = arguments.iter().position(|word| word == flag).unwrap();
            arguments[place + 1] = value.to_owned();
        }
        let mut process = group.launch(copied, &arguments);
        assert_eq!(process.ended().await.code(), Some(21), "{}", process.said.text());
        let words = format!("{} runs twice, with copies of one data folder", name(copied));
        assert!(process.said.text().contains(&words), "{}", process.said.text());
        load.history.wait_for(100).await;
        load.judge(&mut group).await;
    });
}

/// All that a log line tells a person.
fn text(line: &Value) -> String {
    line.to_string()
}

/// Copies a folder with all that is in it.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// What a node answers over HTTP.
fn http(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
