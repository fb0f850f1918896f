//! Runs that fail, because a mistake was put into the core: they are explained, repeated and made
//! smaller, and a swarm groups them.

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
    let (code, page, _) = program(&["run", &shrunk, "-o", &scratch.path("again")]);
    assert!(code == 1 && page.contains("promises: one vote in an epoch"), "{page}");
}

#[test]
fn an_assertion_of_the_core_that_fails_ends_the_run_and_not_its_record() {
    // Found by trying: this mistake makes a node stop by an assertion of its own.
    let scratch = Scratch::new("assertion");
    let file = scratch.write("short.toml", SHORT);
    let run = scratch.path("run");
    let mutant = ["--mutant", "SkipsTruncation"];
    for seed in 1..30 {
        let seed = seed.to_string();
        let arguments = ["run", &file, "--seed", &seed, "-o", &run];
        let (code, page, _) = program(&[&arguments, &mutant[..]].concat());
        if code == 1 && page.contains("an assertion") {
            assert!(page.contains("(promises: an assertion: "), "{page}");
            let (code, told, _) = program(&["replay", &run]);
            assert_eq!(code, 0, "{told}");
            return;
        }
    }
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
    assert!(told.contains("--vary --mutant CommitsAlone"), "{told}");
}
