use std::path::Path;

use super::resolve::resolve;
use super::write::write;
use super::*;

const EVERYTHING: &str = include_str!("tests/everything.toml");

#[track_caller]
fn resolved(text: &str) -> Scenario {
    resolve(Path::new("x.toml"), text).unwrap_or_else(|problems| panic!("{problems}"))
}

#[test]
fn a_resolved_scenario_is_a_scenario_and_means_the_same() {
    let scenario = resolved(EVERYTHING);
    let written = write(&scenario);
    assert_eq!(resolved(&written), scenario, "{written}");
    let kinds: std::collections::BTreeSet<_> =
        scenario.faults.iter().map(|fault| fault.kind.name()).collect();
    assert_eq!(kinds.len(), fault::FaultName::ALL.len(), "every kind of fault is in it");
}

/// Every error there is, as text: `UPDATE=1` rewrites it.
#[test]
fn what_is_wrong_is_said_with_its_place_and_a_hint() {
    let cases = include_str!("tests/wrong.txt");
    let mut shown = String::new();
    for case in cases.split("=== ").skip(1) {
        let (title, rest) = case.split_once('\n').unwrap();
        let text = rest.split("--- says\n").next().unwrap();
        let problems = match resolve(Path::new("wrong.toml"), text) {
            Err(problems) => problems.to_string(),
            Ok(scenario) => check::impossible(&scenario).join("\n") + "\n",
        };
        shown += &format!("=== {title}\n{text}--- says\n{problems}\n");
    }
    if std::env::var_os("UPDATE").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/scenario/tests/wrong.txt");
        std::fs::write(path, &shown).unwrap();
    } else {
        assert_eq!(shown.trim_end(), cases.trim_end(), "UPDATE=1 rewrites it");
    }
}
