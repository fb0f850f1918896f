//! The alarm: what a run of the simulator takes from the operating system's clock or randomness is
//! noticed where it is asked for, below all code, ours and others'.
//!
//! Two things are looked at, because neither is enough. Runs under different lies of the system must
//! be the same, whoever asked for what. And nobody in a world may ask, whether it shows in a run or
//! not: tomorrow it may.

mod callers;
mod shim;

use quorate_sim::leak::Leak;

use self::callers::not_allowed;
use self::shim::{Left, Run, System};

/// Processes that end in each way, and everything that clients do.
const SCENARIO: &str = concat!(
    include_str!("../../src/full/tests/small.toml"),
    r#"[[client.load]]
op = "read"
rate = "20/s"
[[client.load]]
op = "subscribe"
[[fault]]
at = "400ms"
for = "200ms"
kind = "pause"
node = "n2"
[[fault]]
at = "600ms"
kind = "crash"
node = "$leader"
restart_after = "200ms"
"#
);

/// Two that have nothing in common.
const LIES: [System; 2] = [System::Lies(1), System::Lies(2)];

/// The first place at which two runs are not the same.
fn parting(one: &Left, other: &Left) -> Option<String> {
    for ((name, one), (_, other)) in one.story.iter().zip(&other.story) {
        let mut lines = one.lines().zip(other.lines()).enumerate();
        if let Some((line, (one, other))) = lines.find(|(_, (one, other))| one != other) {
            return Some(format!("{name}, line {}:\n{one}\n{other}", line + 1));
        }
        if one != other {
            return Some(format!("{name} ends earlier in one"));
        }
    }
    None
}

#[track_caller]
fn check_clean(tier: &str) {
    let run = Run { name: "clean", tier, scenario: SCENARIO, mutant: None };
    let truth = run.under(System::Truth);
    for lies in LIES {
        if let Some(parting) = parting(&truth, &run.under(lies)) {
            panic!("what the system says shows in a run of the {tier} tier, in {parting}");
        }
    }
    let asked = not_allowed(&truth.calls);
    assert!(asked.is_empty(), "a run asks the system:\n{}", asked.join("\n"));
}

/// - `is_seen`: whether it is noticed who asks
#[track_caller]
fn check_leak(tier: &str, leak: Leak, is_seen: bool) {
    let mutant = format!("{leak:?}");
    let run = Run { name: &mutant, tier, scenario: SCENARIO, mutant: Some(&mutant) };
    let [one, other] = LIES.map(|lies| run.under(lies));
    assert!(parting(&one, &other).is_some(), "{mutant} does not show in a run");
    let asked = not_allowed(&one.calls);
    let is_named = |asked: &String| asked.contains("sim/src/leak.rs");
    assert!(asked.iter().all(is_named), "somebody else asks, too:\n{}", asked.join("\n"));
    assert_eq!(!asked.is_empty(), is_seen, "{mutant}:\n{}", asked.join("\n"));
}

#[test]
fn whole_nodes_take_nothing_from_the_system() {
    check_clean("full");
}

#[test]
fn the_pure_world_takes_nothing_from_the_system() {
    check_clean("pure");
}

#[test]
fn a_clock_of_the_system_is_noticed_and_who_asked() {
    check_leak("full", Leak::SystemClock, true);
    check_leak("pure", Leak::SystemClock, true);
}

#[test]
fn randomness_is_noticed_even_where_nobody_asks_for_it() {
    // The draw was an earlier hash map's.
    check_leak("full", Leak::SystemRandomness, false);
    check_leak("pure", Leak::SystemRandomness, false);
}
