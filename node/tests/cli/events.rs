//! Appending, reading, following, deleting.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::{Value, json};

use super::home::Node;

#[test]
fn an_event_comes_back_as_it_was_given() {
    let node = Node::start("an_event_comes_back");
    let id = "11111111-2222-4333-8444-555555555555";
    let append = ["append", "order-7", "--type", "placed", "--data", r#"{"item":"tea","n":1.50}"#];
    let arguments = [&append[..], &["--metadata", r#"{"by":"me"}"#, "--id", id]].concat();
    let appended = node.run(&[&arguments[..], &["-o", "json"]].concat()).ok().object();
    assert_eq!(appended["revision"], 0);
    assert_eq!(appended["duplicate"], false);

    let event = node.run(&["read", "order-7", "-o", "json"]).ok().object();
    assert_eq!(event["stream"], "order-7");
    assert_eq!(event["revision"], 0);
    assert_eq!(event["position"], appended["position"]);
    assert_eq!(event["id"], id);
    assert_eq!(event["type"], "placed");
    assert_eq!(event["data"], json!({"item": "tea", "n": 1.5}));
    assert_eq!(event["metadata"], json!({"by": "me"}));
    assert!(event["created"].as_str().unwrap().ends_with('Z'), "{event}");

    let again = node.run(&[&arguments[..], &["-o", "json"]].concat()).ok().object();
    assert_eq!(again["duplicate"], true);
    assert_eq!(again["position"], appended["position"]);
    let text = node.run(&["read", "order-7"]).ok().stdout;
    assert!(text.contains("order-7@0  placed  {\"item\":\"tea\",\"n\":1.50}"), "{text}");
}

#[test]
fn bytes_from_stdin_and_files() {
    let node = Node::start("bytes_from_stdin");
    let binary = ["append", "s", "--binary", "--data", "-"];
    node.run_with(&binary, &[0xff, 0]).ok();
    let file = format!("@{}", node.home.file("event.json", "{\n\"a\": 1\n}"));
    node.run(&["append", "s", "--data", &file]).ok();
    let events = node.run(&["read", "s", "-o", "json"]).ok().objects();
    assert_eq!(events[0]["data_base64"], "/wA=");
    assert_eq!(events[0].get("data"), None);
    assert_eq!(events[1]["data"], json!({"a": 1}));
    let text = node.run(&["read", "s"]).ok().stdout;
    assert!(text.contains("(2 bytes, not text)"), "{text}");
}

#[test]
fn expectations_have_their_exit_code() {
    let node = Node::start("expectations");
    let expect = |expect: &str| node.run(&["append", "s", "--expect", expect]);
    expect("exists").fails(4, "the stream has no events");
    expect("0").fails(4, "wrong expected revision");
    expect("none").ok();
    expect("none").fails(4, "the stream is at 0");
    expect("0").ok();
    expect("exists").ok();
    expect("any").ok();
    let json = node.run(&["append", "s", "--expect", "7", "-o", "json"]);
    let error: Value = serde_json::from_str(&json.stderr).unwrap();
    assert_eq!((json.code, &error["error"]), (Some(4), &json!("wrong_revision")));
}

#[test]
fn bad_appends_are_refused_with_advice() {
    let node = Node::start("bad_appends");
    node.run(&["append", "s", "--data", "{item:1}"]).fails(2, "--data is not JSON");
    node.run(&["append", "s", "--data", ""]).fails(2, "--data is not JSON");
    node.run(&["append", "s", "--metadata", "me"]).fails(2, "--metadata is not JSON");
    node.run(&["append", "s", "--data", "-", "--metadata", "-"]).fails(2, "only one of");
    node.run(&["append", "s", "--data", "@missing.json"]).fails(1, "can't read missing.json");
    node.run(&["append", "s", "--id", "7"]).fails(2, "--id");
    node.run(&["append", "s", "--expect", "-1"]).fails(2, "--expect");
    node.run(&["append", "s", "--expect", "some"]).fails(2, "give any, none, exists or a revision");
    node.run(&["append"]).fails(2, "STREAM");
    node.run(&["append", ""]).fails(1, "name must not be empty");
    node.run(&["append", "$$$$s"]).fails(1, "nor start with $$$$");
    node.run(&["append", &"x".repeat(2000)]).fails(1, "stream_name_bytes_max");
    node.run(&["append", "s", "--type", &"x".repeat(2000)]).fails(1, "event_type_bytes_max");
    let large = vec![b'x'; 17 << 20];
    node.run_with(&["append", "s", "--binary", "--data", "-"], &large).fails(1, "event_bytes_max");
    node.run(&["read", "s"]).fails(3, "is not found");
}

#[test]
fn reads_in_both_directions_and_from_anywhere() {
    let node = Node::start("reads");
    for number in 0..5 {
        node.run(&["append", "s", "--data", &number.to_string()]).ok();
    }
    let check = |arguments: &[&str], expected: &[u64]| {
        let events = node.run(&[&["read", "s", "-o", "json"], arguments].concat()).ok().objects();
        let numbers: Vec<u64> =
            events.iter().map(|event| event["data"].as_u64().unwrap()).collect();
        assert_eq!(numbers, expected, "{arguments:?}");
    };
    check(&[], &[0, 1, 2, 3, 4]);
    check(&["--from", "start", "--count", "2"], &[0, 1]);
    check(&["--from", "3"], &[3, 4]);
    check(&["--from", "9"], &[]);
    check(&["--backwards"], &[4, 3, 2, 1, 0]);
    check(&["--backwards", "--count", "1"], &[4]);
    check(&["--backwards", "--from", "1"], &[1, 0]);
    check(&["--backwards", "--from", "end", "--count", "2"], &[4, 3]);
    check(&["--count", "0"], &[]);
    let all = node.run(&["read", "$all", "-o", "json"]).ok().objects();
    assert_eq!(all.len(), 5);
    let third = all[2]["position"].to_string();
    let rest = node.run(&["read", "$all", "--from", &third, "-o", "json"]).ok().objects();
    assert_eq!(rest, all[2..]);
}

#[test]
fn filters_of_all() {
    let node = Node::start("filters");
    for (stream, kind) in [("a-1", "x"), ("b-1", "x"), ("a-2", "y"), ("c-1", "z")] {
        node.run(&["append", stream, "--type", kind]).ok();
    }
    let check = |arguments: &[&str], expected: &[&str]| {
        let events =
            node.run(&[&["read", "$all", "-o", "json"], arguments].concat()).ok().objects();
        let streams: Vec<&str> =
            events.iter().map(|event| event["stream"].as_str().unwrap()).collect();
        assert_eq!(streams, expected, "{arguments:?}");
    };
    check(&["--stream-prefix", "a-"], &["a-1", "a-2"]);
    check(&["--stream-prefix", "a-", "--stream-prefix", "c"], &["a-1", "a-2", "c-1"]);
    check(&["--type-prefix", "x"], &["a-1", "b-1"]);
    check(&["--stream-regex", "[bc]-1$"], &["b-1", "c-1"]);
    check(&["--type-regex", "^[yz]$", "--backwards"], &["c-1", "a-2"]);
    node.run(&["read", "$all", "--type-regex", "("]).fails(1, "expression");
    node.run(&["read", "a-1", "--type-prefix", "x"]).fails(2, "chooses among all streams");
    let both = ["read", "$all", "--type-prefix", "x", "--stream-prefix", "a"];
    node.run(&both).fails(2, "cannot be used with");
}

#[test]
fn a_missing_stream_is_not_found() {
    let node = Node::start("a_missing_stream");
    node.run(&["read", "s"]).fails(3, "is not found");
    assert_eq!(node.run(&["read", "$all"]).ok().stdout, "");
    node.run(&["read", "s", "--from", "first"]).fails(2, "give start, end");
    node.run(&["read", "s", "--count", "-1"]).fails(2, "--count");
}

#[test]
fn deletes_and_tombstones() {
    let node = Node::start("deletes");
    node.run(&["append", "s", "--data", "1"]).ok();
    node.run(&["delete", "s", "--expect", "5"]).fails(4, "the stream is at 0");
    node.run(&["delete", "s"]).ok();
    node.run(&["read", "s"]).fails(3, "is not found");
    let again = node.run(&["append", "s", "--data", "2", "-o", "json"]).ok().object();
    assert_eq!(again["revision"], 1);
    let events = node.run(&["read", "s", "-o", "json"]).ok().objects();
    assert_eq!((events.len(), &events[0]["data"]), (1, &json!(2)));

    let deleted = node.run(&["delete", "s", "--tombstone", "-o", "json"]).ok().object();
    assert_eq!(deleted["tombstone"], true);
    node.run(&["append", "s"]).fails(3, "deleted for ever");
    node.run(&["read", "s"]).fails(3, "deleted for ever");
}

#[test]
fn metadata_hides_events() {
    let node = Node::start("metadata");
    for number in 0..4 {
        node.run(&["append", "s", "--data", &number.to_string()]).ok();
    }
    let none = node.run(&["metadata", "get", "s", "-o", "json"]).ok().object();
    assert_eq!(none, json!({"stream": "s", "revision": null, "metadata": {}}));
    node.run(&["metadata", "set", "s", "--max-count", "2"]).ok();
    let set = node.run(&["metadata", "get", "s", "-o", "json"]).ok().object();
    assert_eq!(set, json!({"stream": "s", "revision": 0, "metadata": {"$maxCount": 2}}));
    assert_eq!(node.run(&["read", "s"]).ok().stdout.lines().count(), 2);

    let json = r#"{"$tb":3,"owner":"me"}"#;
    node.run(&["metadata", "set", "s", json, "--expect", "7"]).fails(4, "is at 0");
    node.run(&["metadata", "set", "s", json, "--expect", "0"]).ok();
    assert_eq!(node.run(&["read", "s"]).ok().stdout.lines().count(), 1);
    node.run(&["metadata", "set", "s", r#"{"$maxCount":"two"}"#]).fails(1, "metadata");
    node.run(&["metadata", "set", "s", "[]"]).fails(2, "not a JSON object");
    node.run(&["metadata", "set", "s"]).fails(2, "required");
    node.run(&["metadata", "set", "s", "{}", "--max-count", "1"]).fails(2, "cannot be used with");
    node.run(&["metadata"]).fails(2, "Usage");
}

#[test]
fn a_subscription_gives_history_then_what_comes() {
    let node = Node::start("a_subscription");
    node.run(&["append", "s", "--data", "0"]).ok();
    let mut command = node.command(&["subscribe", "s", "-o", "json", "--count", "3"]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || -> Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    assert_eq!(next()["data"], 0);
    node.run(&["append", "s", "--data", "1"]).ok();
    assert_eq!(next()["data"], 1);
    node.run(&["append", "other", "--data", "9"]).ok();
    node.run(&["append", "s", "--data", "2"]).ok();
    assert_eq!(next()["data"], 2);
    assert_eq!(child.wait().unwrap().code(), Some(0));

    let after = node.run(&["subscribe", "s", "--from", "0", "--count", "1", "-o", "json"]);
    assert_eq!(after.ok().object()["revision"], 1);
    node.run(&["subscribe", "s", "--from", "x"]).fails(2, "give start, end");
    node.run(&["subscribe", "s", "--type-prefix", "x"]).fails(2, "chooses among all streams");
}

#[test]
fn a_command_leaves_no_connection_behind() {
    let node = Node::start("no_connection_behind");
    node.run(&["append", "s", "--data", "1"]).ok();
    node.run(&["read", "s"]).ok();
    node.run(&["read", "nothing"]).fails(3, "not found");
    let status = node.run(&["status", "-o", "json"]).ok().object();
    assert_eq!(status["details"]["connections"], 1, "its own: {status}");
}

#[test]
fn status_in_words_and_as_an_object() {
    let node = Node::start("status");
    node.run(&["append", "s"]).ok();
    let text = node.run(&["status"]).ok().stdout;
    assert!(text.contains("is well: it takes appends and serves reads."), "{text}");
    let status = node.run(&["status", "-o", "json"]).ok().object();
    assert_eq!(status["serving"], "everything");
    assert_eq!(status["events"], 1);
}

#[test]
fn a_reader_that_has_enough_is_no_error() {
    let node = Node::start("a_reader_that_has_enough");
    let rows =
        (0..20_000).fold("number\n".to_owned(), |rows, number| rows + &format!("{number}\n"));
    let file = node.home.file("rows.csv", rows);
    node.run(&["import", &file, "--stream", "s", "--type", "t"]).ok();
    let mut command = node.command(&["read", "s", "-o", "json"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::with_capacity(64, child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}
