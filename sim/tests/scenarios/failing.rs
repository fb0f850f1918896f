//! Runs that fail, because a mistake was put into the core: they are explained, repeated and made
//! smaller, and a swarm groups them.

use std::process::{Command, Stdio};

use super::program::{SHORT, Scratch, program};

#[test]
fn a_broken_promise_is_repeated_explained_and_made_smaller() {
    let scratch = Scratch::new("failing");
    let file = scratch.write("short.toml", SHORT);
    let run = scratch.path("run");
    let mutant = ["--mutant", "ForgetsVote"];
    let (code, page, _) =
        program(&[&["run", &file, "--seed", "3", "-o", &run], &mutant[..]].concat());
    assert_eq!(code, 1, "{page}");
    assert!(page.contains("one vote in an epoch: node n"), "nodes have names: {page}");
    let (code, told, _) = program(&["replay", &run]);
    assert!(code == 0 && told.contains("the same run"), "{told}");
    let (code, told, _) = program(&["explain", &run]);
    assert!(code == 0 && told.contains("What happened before"), "{told}");
    let (code, told, _) = program(&["shrink", &run]);
    assert_eq!(code, 0, "{told}");
    let smaller = std::fs::read_to_string(scratch.path("run/shrunk.toml")).unwrap();
    let faults = smaller.matches("[[fault]]").count();
    assert!(faults <= 1, "one restart is enough to forget a vote:\n{smaller}");
    let shrunk = scratch.path("run/shrunk.toml");
    assert!(told.contains(&format!("run {shrunk} --seed 3 --tier pure")), "{told}");
    let (code, page, _) = program(&["run", &shrunk, "-o", &scratch.path("again")]);
    assert!(code == 1 && page.contains("promises: one vote in an epoch"), "{page}");
}

#[test]
fn an_assertion_of_the_core_that_fails_ends_the_run_and_not_its_record() {
    let scratch = Scratch::new("assertion");
    let file = scratch.write("short.toml", SHORT);
    let run = scratch.path("run");
    let arguments = ["run", &file, "--seed", "1", "-o", &run, "--mutant", "SkipsTruncation"];
    let (code, page, _) = program(&arguments);
    let told = "promises: an assertion: what was compared is the log (core/src/";
    assert!(code == 1 && page.contains(told), "{page}");
    assert!(page.contains(":#)"), "a line moves, and the failure is the same: {page}");
    let (code, told, _) = program(&["replay", &run]);
    assert_eq!(code, 0, "{told}");
}

#[test]
fn a_swarm_groups_what_fails() {
    let scratch = Scratch::new("swarm");
    let file = scratch.write("short.toml", SHORT);
    let arguments = ["swarm", &file, "--runs", "3", "--first", "5", "-j", "2"];
    let (code, told, _) = program(&arguments);
    assert!(code == 0 && told.contains("nothing failed"), "{told}");
    let (code, told, _) = program(&[&arguments[..], &["--mutant", "CommitsAlone"]].concat());
    assert_eq!(code, 1, "{told}");
    assert!(told.contains("3 x  promises: committed is on a quorum"), "{told}");
    assert!(told.contains("--vary --tier pure --mutant CommitsAlone"), "{told}");
}

#[test]
fn a_swarm_of_whole_nodes_says_how_to_repeat_what_fails() {
    let scratch = Scratch::new("whole-swarm");
    let file = scratch.write("short.toml", SHORT);
    let arguments = ["swarm", &file, "--tier", "full", "--runs", "2", "--first", "5"];
    let (code, told, _) = program(&arguments);
    assert!(code == 0 && told.contains("nothing failed"), "{told}");
    let (code, told, _) = program(&[&arguments[..], &["--mutant", "CommitsAlone"]].concat());
    assert_eq!(code, 1, "{told}");
    let again = told.lines().find_map(|line| line.trim().strip_prefix("quorate-sim "));
    let again: Vec<&str> = again.expect("it says how").split(' ').collect();
    let (code, page, _) = program(&[&again[..], &["-o", &scratch.path("run")]].concat());
    assert!(code == 1 && page.contains("tier full"), "{page}");
}

/// It is neither a broken promise nor a verdict.
#[test]
fn a_reader_who_has_enough_is_no_failure_of_the_run() {
    let scratch = Scratch::new("enough");
    let file = scratch.write("short.toml", SHORT);
    let mut command = Command::new(env!("CARGO_BIN_EXE_quorate-sim"));
    command.args(["run", &file, "--trace", "-o", &scratch.path("run")]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), said.as_str()), (Some(141), ""));
}
