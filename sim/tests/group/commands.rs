//! The program's own commands on a group: what `quorate status` says, and `quorate transfer-leader`
//! under load.

use std::process::Output;

use serde_json::Value;

use crate::group::{Group, NODES, SMALL, leader, name, run};
use crate::process;
use crate::workload::Load;

/// A busy machine can let a transfer fail; the leader goes on then, and it is tried again.
const TRANSFERS_MAX: usize = 5;

/// A command line for this group, run to its end.
async fn command(group: &Group, words: &[&str]) -> Output {
    let (uri, ca) = (group.uri(), group.ca().display().to_string());
    let connection = ["--uri", uri.as_str(), "--ca", ca.as_str()];
    process::run(&[words, &connection].concat()).await
}

/// The same, where it must do what it is asked for.
async fn done(group: &Group, words: &[&str]) -> String {
    let Output { status, stdout, stderr } = command(group, words).await;
    assert!(status.success(), "{words:?}: {}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).unwrap()
}

async fn status(group: &Group) -> Value {
    serde_json::from_str(&done(group, &["status", "-o", "json"]).await).expect("it is one object")
}

/// Asks until the answer is as it should be at last; the test's end is not waited for by the clock.
async fn status_until(group: &Group, holds: impl Fn(&Value) -> bool) -> Value {
    const LOOKS_MAX: usize = 200;
    let mut last = Value::Null;
    for _ in 0..LOOKS_MAX {
        last = status(group).await;
        if holds(&last) {
            return last;
        }
    }
    panic!("the group does not come to that: {last:#}");
}

#[test]
fn status_says_how_a_group_is() {
    run(async {
        let mut group = Group::new("status", &SMALL);
        let client = group.start_all().await;
        let load = Load::start(&group, 7).await;
        load.history.wait_for(50).await;
        let healthy = status_until(&group, |status| {
            let members = status["members"].as_array().unwrap();
            let measured = members.iter().filter(|member| member["rtt_us"].is_u64()).count();
            status["tolerates"]["nodes"] == 1 && measured == NODES - 1
        })
        .await;
        check_fields(&healthy);
        assert_eq!(healthy["verdict"], "healthy");
        assert_eq!(healthy["tolerates"]["zones"], 1);
        let text = done(&group, &["status"]).await;
        let first = text.lines().next().unwrap();
        let start = "HEALTHY · tolerates the loss of 1 node or 1 zone · leader n";
        assert!(first.starts_with(start), "{first}");

        let lost = (leader(&client).await + 1) % NODES;
        group.kill(lost);
        let at_risk = status_until(&group, |status| status["tolerates"]["nodes"] == 0).await;
        check_fields(&at_risk);
        assert_eq!(at_risk["verdict"], "at_risk");
        let members = at_risk["members"].as_array().unwrap();
        let member = members.iter().find(|member| member["node"] == name(lost)).unwrap();
        assert_eq!(member["reachable"], false);
        let text = done(&group, &["status"]).await;
        let start = format!("AT RISK · tolerates no further loss · {} not reached", name(lost));
        assert!(text.starts_with(&start), "{text}");
        group.start(lost);
        group.ready(lost).await;
        load.judge(&mut group).await;
    });
}

#[test]
fn one_node_of_three_shows_what_is_committed_and_no_more() {
    run(async {
        let mut group = Group::new("one_left", &SMALL);
        let client = group.start_all().await;
        let appended = done(&group, &["append", "kept", "--type", "t", "--data", "1"]).await;
        assert!(appended.starts_with("kept@0 is written"), "{appended}");
        let left = leader(&client).await;
        for lost in (0..NODES).filter(|place| *place != left) {
            group.kill(lost);
        }
        let alone = status_until(&group, |status| status["serving"] == "without_leader").await;
        assert_eq!(alone["verdict"], "unavailable");
        let text = done(&group, &["status"]).await;
        assert!(text.starts_with("UNAVAILABLE · tolerates no further loss"), "{text}");
        assert!(text.contains("knows no leader: it takes no appends"), "{text}");
        let read = done(&group, &["read", "kept", "--committed"]).await;
        assert!(read.contains("kept@0"), "{read}");
        let newest = command(&group, &["read", "kept", "--timeout", "1"]).await;
        assert_eq!(newest.status.code(), Some(5), "{newest:?}");
    });
}

/// Everything that programs rely on is there, with its type.
fn check_fields(status: &Value) {
    assert!(status["leader"].is_string(), "{status:#}");
    for field in ["epoch", "committed"] {
        assert!(status[field].is_u64(), "{field}: {status:#}");
    }
    for field in ["nodes", "zones"] {
        assert!(status["tolerates"][field].is_u64(), "{field}: {status:#}");
    }
    let members = status["members"].as_array().unwrap();
    let names: Vec<_> = members.iter().map(|member| member["node"].as_str().unwrap()).collect();
    assert_eq!(names, ["n1", "n2", "n3"]);
    for (place, member) in members.iter().enumerate() {
        assert_eq!(member["zone"], format!("z{}", place + 1));
        let own = member["node"] == status["node"];
        let reachable = member["reachable"].as_bool().unwrap();
        assert!(member["role"].is_string(), "{member}");
        for field in ["durable", "committed", "lag_events"] {
            assert!(member[field].is_u64(), "{field}: {member}");
        }
        if own {
            assert!(member["rtt_us"].is_null(), "{member}");
        } else if reachable {
            assert!(member["rtt_us"].is_u64(), "{member}");
        }
    }
}

#[test]
fn the_lead_is_given_away_under_load() {
    run(async {
        let mut group = Group::new("transfer", &SMALL);
        let client = group.start_all().await;
        let load = Load::start(&group, 8).await;
        load.history.wait_for(50).await;
        for (to, place) in [("n2", 1), ("z3", 2), ("n1", 0), ("z2", 1), ("n2", 1)] {
            let told = transfer(&group, &["--to", to]).await;
            assert_eq!(told["to"], name(place), "{told}");
            assert!(told["epoch"].is_u64() && told["took_us"].is_u64(), "{told}");
            load.history.wait_for(50).await;
            assert_eq!(leader(&client).await, place, "{told}");
        }
        let told = transfer(&group, &[]).await;
        assert_ne!(told["to"], told["from"], "{told}");

        let refused = command(&group, &["transfer-leader", "--to", "nobody"]).await;
        let message = String::from_utf8(refused.stderr).unwrap();
        assert_eq!(refused.status.code(), Some(1), "{message}");
        let words =
            "no node or zone is called nobody: the nodes are n1, n2, n3, the zones z1, z2, z3";
        assert!(message.contains(words), "{message}");
        load.judge(&mut group).await;
    });
}

async fn transfer(group: &Group, to: &[&str]) -> Value {
    let words = [&["transfer-leader", "-o", "json"], to].concat();
    let mut messages = Vec::new();
    for _ in 0..TRANSFERS_MAX {
        let Output { status, stdout, stderr } = command(group, &words).await;
        if status.success() {
            return serde_json::from_slice(&stdout).expect("it is one object");
        }
        messages.push(String::from_utf8(stderr).unwrap());
    }
    panic!("nobody takes over: {messages:?}");
}

#[test]
fn a_node_that_is_gone_does_not_take_over() {
    run(async {
        let mut group = Group::new("transfer-to-nobody", &SMALL);
        let client = group.start_all().await;
        let leader = leader(&client).await;
        let gone = (leader + 1) % NODES;
        group.kill(gone);
        let refused = command(&group, &["transfer-leader", "--to", &name(gone)]).await;
        let message = String::from_utf8(refused.stderr).unwrap();
        assert_eq!(refused.status.code(), Some(1), "{message}");
        assert!(message.contains("take over"), "{message}");
    });
}
