//! What needs no running node, and what is said where there is none.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::Value;

use super::home::{Home, Node, free_port};

#[test]
fn no_node_is_unreachable_with_advice() {
    let home = Home::new("no_node");
    let uri = format!("quorate://127.0.0.1:{}", free_port());
    for command in [&["read", "s"][..], &["append", "s"], &["status"], &["delete", "s"]] {
        let run = home.run(&[command, &["--uri", &uri, "--timeout", "1"]].concat());
        run.fails(5, "quorate serve");
    }
    let run = home.run(&["status", "--uri", &uri, "-o", "json"]);
    let error: Value = serde_json::from_str(&run.stderr).unwrap();
    assert_eq!((run.code, &error["error"]), (Some(5), &Value::from("unreachable")));
    home.run(&["status", "--uri", "quorate://example.com:2113"]).fails(5, "--ca");
    home.run(&["status", "--uri", "http://127.0.0.1:2113"]).fails(2, "quorate://");
    home.run(&["status", "--uri", "127.0.0.1"]).fails(2, "quorate://");
    home.run(&["status", "--ca", "missing.pem"]).fails(5, "missing.pem");
    home.run(&["status", "--timeout", "soon"]).fails(2, "--timeout");
}

#[test]
fn another_authority_is_not_trusted() {
    let first = Node::start("another_authority_1");
    let second = Node::start("another_authority_2");
    let ca = |node: &Node| node.home.path("data/certs/ca.pem").to_str().unwrap().to_owned();
    first.run(&["status", "--ca", &ca(&first)]).ok();
    first.run(&["status", "--ca", &ca(&second)]).fails(5, "not issued by the authority");
}

#[test]
fn help_and_mistakes() {
    let home = Home::new("help");
    let help = home.run(&["--help"]).ok().stdout;
    for words in ["Exit codes:", "QUORATE_URI", "subscribe", "completion"] {
        assert!(help.contains(words), "{words}");
    }
    let import = home.run(&["import", "--help"]).ok().stdout;
    assert!(import.contains("quorate import flights.csv.gz"), "{import}");
    home.run(&["apend", "s"]).fails(2, "append");
    home.run(&["read", "s", "-o", "xml"]).fails(2, "text, json");
    assert_eq!(home.run(&[]).code, Some(2));
    assert!(home.run(&["--version"]).ok().stdout.starts_with("quorate 0."));
}

#[test]
fn completions_for_every_shell() {
    let home = Home::new("completions");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = home.run(&["completion", shell]).ok().stdout;
        assert!(script.contains("subscribe"), "{shell}");
    }
    home.run(&["completion", "csh"]).fails(2, "bash");
}

#[test]
fn doctor_looks_at_everything() {
    let home = Home::new("doctor");
    let checks = home.run(&["doctor", "-o", "json"]).objects();
    let names: Vec<&str> = checks.iter().map(|check| check["check"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        ["io_uring", "direct_io", "durable_write", "udp_buffers", "udp_gso", "clock", "free_space"]
    );
    for check in &checks {
        assert!(["ok", "warn", "fail"].contains(&check["verdict"].as_str().unwrap()), "{check}");
        assert_eq!(check["verdict"] == "ok", check["mend"].is_null(), "{check}");
    }
    assert_eq!(std::fs::read_dir(home.path(".")).unwrap().count(), 0, "it leaves nothing behind");
    let file = home.file("file", "");
    home.run(&["doctor", "--data", &file]).fails(2, "is not a folder");
}

#[test]
fn verify_finds_what_was_changed() {
    let node = Node::start("verify");
    for number in 0..10 {
        node.run(&["append", "order-7", "--data", &number.to_string()]).ok();
    }
    let running = node.home.run(&["verify", "data"]);
    assert_eq!(running.code, Some(1), "{running:?}");
    let home = node.stop();
    let sound = home.run(&["verify", "data"]).ok().stdout;
    assert!(sound.contains("10 events"), "{sound}");

    let segment = home.path("data/log/0000000000000000.segment");
    let mut bytes = std::fs::read(&segment).unwrap();
    let place = bytes.windows(7).position(|window| window == b"order-7").unwrap();
    bytes[place] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    let run = home.run(&["verify", "data"]);
    assert_eq!(run.code, Some(1), "{run:?}");
    home.run(&["verify", "missing"]).fails(1, "missing");
    home.run(&["verify"]).fails(2, "DIR");
}

#[test]
fn a_demo_shows_itself_and_leaves_nothing() {
    let home = Home::new("demo");
    let mut command = home.command(&["demo", "-o", "json"]);
    let streams = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = streams.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let shown: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(shown["events"], 5000);
    assert!(shown["append_p50_us"].as_u64().unwrap() > 0, "{shown}");
    let folder = std::path::PathBuf::from(shown["folder"].as_str().unwrap());
    assert!(folder.starts_with(home.path("")), "{shown}");
    let uri = shown["uri"].as_str().unwrap();
    home.run(&["read", "aircraft-N730MQ", "--uri", uri]).ok();

    let process = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(process, rustix::process::Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(!folder.exists(), "{shown}");
    home.run(&["status", "--uri", uri, "--timeout", "1"]).fails(5, "quorate serve");
}
