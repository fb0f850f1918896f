//! Importing files, once and again.

use std::fs;
use std::io::Write;
use std::process::Stdio;

use serde_json::json;

use super::home::Node;

const FLIGHTS: &str = "\
carrier,flight,tailnum,delay
UA,1545,N14228,2
AA,1141,N619AA,NA
UA,1714,N14228,-4
B6,725,,1.5
";

fn import<'a>(file: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let stream = ["import", file, "--stream", "aircraft-{tailnum}", "--type", "departed"];
    [&stream[..], more, &["-o", "json"]].concat()
}

#[test]
fn rows_become_events_and_again_adds_only_what_is_missing() {
    let node = Node::start("rows_become_events");
    let file = node.home.file("flights.csv", FLIGHTS);
    let summary = node.run(&import(&file, &[])).ok().object();
    assert_eq!(summary["events"], 4);
    assert_eq!(summary["streams"], 3);
    assert_eq!(summary["duplicates"], 0);
    assert!(summary["seconds"].as_f64().unwrap() > 0.0, "{summary}");

    let events = node.run(&["read", "aircraft-N14228", "-o", "json"]).ok().objects();
    let first = json!({"carrier": "UA", "flight": 1545, "tailnum": "N14228", "delay": 2});
    assert_eq!((&events[0]["data"], &events[0]["type"]), (&first, &json!("departed")));
    assert_eq!(events[1]["data"]["delay"], -4);
    let none = node.run(&["read", "aircraft-none", "-o", "json"]).ok().object();
    assert_eq!(none["data"]["tailnum"], json!(null));

    let longer = FLIGHTS.to_owned() + "UA,1,N14228,0\n";
    let file = node.home.file("flights.csv", longer);
    let again = node.run(&import(&file, &[])).ok().object();
    assert_eq!((&again["events"], &again["duplicates"]), (&json!(1), &json!(4)));
    assert_eq!(node.run(&["read", "$all"]).ok().stdout.lines().count(), 5);
}

#[test]
fn the_sample_of_real_flights_goes_in_through_every_door() {
    let node = Node::start("the_sample");
    let sample =
        concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/examples/flights-2013-sample.csv.gz");
    let summary = node.run(&import(sample, &["--null", "NA"])).ok().object();
    assert_eq!(summary["events"], 5000);
    let packed = fs::read(sample).unwrap();
    let again = node.run_with(&import("-", &["--null", "NA"]), &packed).ok().object();
    assert_eq!((&again["events"], &again["duplicates"]), (&json!(0), &json!(5000)));
    let events = node.run(&["read", "$all", "-o", "json"]).ok().objects();
    assert_eq!(events.len(), 5000);
    let mut revisions = std::collections::HashMap::new();
    for event in &events {
        let next = revisions.entry(event["stream"].to_string()).or_insert(0);
        assert_eq!(event["revision"], *next, "{event}");
        *next += 1;
    }
    assert_eq!(summary["streams"], revisions.len());
}

#[test]
fn ndjson_and_batches() {
    let node = Node::start("ndjson_and_batches");
    let rows: String = (0..1000).map(|number| format!("{{\"n\": {number}}}\n")).collect();
    let file = node.home.file("rows.ndjson", rows);
    for batch in ["1", "7", "1000"] {
        let stream = format!("numbers-{batch}");
        let arguments = ["import", &file, "--stream", &stream, "--type", "counted"];
        node.run(&[&arguments[..], &["--batch", batch]].concat()).ok();
        let events = node.run(&["read", &stream, "-o", "json"]).ok().objects();
        assert_eq!(events.len(), 1000);
        for (number, event) in events.iter().enumerate() {
            assert_eq!(event["data"]["n"], number, "{batch}");
        }
    }
}

#[test]
fn a_bad_row_refuses_a_file_before_anything_is_written() {
    let node = Node::start("a_bad_row");
    let file = node.home.file("bad.csv", FLIGHTS.to_owned() + "UA,1\n");
    let run = node.run(&import(&file, &[]));
    run.fails(1, "line 6: 2 fields, but the header has 4");
    run.fails(1, "Nothing was imported.");
    assert_eq!(node.run(&["read", "$all"]).ok().stdout, "");
}

#[test]
fn a_bad_row_from_stdin_says_what_was_written_before() {
    let node = Node::start("a_bad_row_from_stdin");
    let rows = FLIGHTS.to_owned() + "UA,1\n";
    let run = node.run_with(&import("-", &[]), rows.as_bytes());
    run.fails(1, "line 6: 2 fields, but the header has 4");
    run.fails(1, "Added before that: 4 events; there already: 0.");
    let again = node.run_with(&import("-", &[]), FLIGHTS.as_bytes()).ok().object();
    assert_eq!(again["duplicates"], 4);
}

#[test]
fn a_refusal_names_the_row() {
    let node = Node::start("a_refusal");
    let name = "x".repeat(2000);
    let file = node.home.file("rows.csv", format!("tailnum\nN1\n{name}\n"));
    let run = node.run(&import(&file, &[]));
    run.fails(1, "line 3: ");
    run.fails(1, "stream_name_bytes_max is 1024 bytes");
    run.fails(1, "Added before that: ");
}

#[test]
fn bad_imports_are_refused_with_advice() {
    let node = Node::start("bad_imports");
    let file = node.home.file("flights.csv", FLIGHTS);
    let template = |stream: &str| node.run(&["import", &file, "--stream", stream, "--type", "t"]);
    template("aircraft-{tail}").fails(1, "the columns are carrier, flight, tailnum, delay");
    template("aircraft-{tailnum").fails(2, "a { without its }");
    template("").fails(2, "must not be empty");
    node.run(&["import", &file, "--stream", "s"]).fails(2, "--type");
    node.run(&["import", &file, "--type", "t"]).fails(2, "--stream");
    node.run(&import(&file, &["--batch", "0"])).fails(2, "--batch");
    node.run(&import(&file, &["--format", "xml"])).fails(2, "csv, ndjson");
    node.run(&import(&file, &["--format", "ndjson"])).fails(1, "line 1: not a JSON object");
    node.run(&import("missing.csv", &[])).fails(1, "can't import missing.csv: No such file");
    node.run(&import("data", &[])).fails(1, "it is a folder");
    let packed = node.home.file("cut.csv.gz", [0x1f, 0x8b, 8, 0, 0]);
    node.run(&import(&packed, &[])).fails(1, "can't import");
    node.run(&import("-", &[])).fails(1, "there is nothing in it");
    assert_eq!(node.run(&["read", "$all"]).ok().stdout, "");
}

#[test]
fn an_interrupted_import_is_completed_by_the_next() {
    let node = Node::start("an_interrupted_import");
    let mut command = node.command(&import("-", &[]));
    let streams = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = streams.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(FLIGHTS.as_bytes()).unwrap();
    stdin.flush().unwrap();
    // Rows of a pipe go in as they come, and its end never does.
    node.run(&["subscribe", "$all", "--count", "4"]).ok();
    let process = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(process, rustix::process::Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    drop(stdin);
    assert_eq!(output.status.code(), Some(130), "{output:?}");

    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("Added before that: 4 events"), "{error}");
    let rows = FLIGHTS.to_owned() + "UA,1,N14228,0\n";
    let summary = node.run_with(&import("-", &[]), rows.as_bytes()).ok().object();
    assert_eq!((&summary["events"], &summary["duplicates"]), (&json!(1), &json!(4)));
}
