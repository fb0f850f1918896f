//! Small worlds of whole nodes, and that they would tell if they were not their own.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::rc::Rc;

use quorate_net::environment;

use super::system::System;
use super::world::World;
use super::{play, resolution};
use crate::history::Violation;
use crate::record::sink::Sink;
use crate::record::{Recorder, Shared};
use crate::scenario::check::{self, Tier};
use crate::scenario::model::Scenario;
use crate::scenario::resolve::resolve;

const SMALL: &str = include_str!("tests/small.toml");

fn scenario(more: &str) -> Scenario {
    resolve(Path::new("small.toml"), &format!("{SMALL}{more}")).unwrap_or_else(|it| panic!("{it}"))
}

fn record(scenario: &Scenario) -> Shared {
    let recorder = Recorder::new(scenario, 1, Tier::Full, 1, Sink::none());
    Rc::new(RefCell::new(recorder))
}

fn hash_of(scenario: &Scenario) -> String {
    let record = record(scenario);
    play(scenario, 1, None, &record).expect("all holds");
    record.borrow().summary(0, String::new()).trace_hash
}

#[test]
fn the_same_seed_is_the_same_bytes_and_a_crash_is_another_story() {
    let calm = scenario("");
    let crash = "[[fault]]\nat = \"600ms\"\nkind = \"crash\"\nnode = \"$leader\"\nrestart_after = \"300ms\"\n";
    let hash = hash_of(&calm);
    assert_eq!(hash, hash_of(&calm));
    assert_ne!(hash, hash_of(&scenario(crash)));
}

#[test]
fn a_machine_stands_still_while_the_others_elect_another_leader() {
    let pause =
        "[[fault]]\nat = \"500ms\"\nfor = \"500ms\"\nkind = \"pause\"\nnode = \"$leader\"\n";
    let scenario = scenario(pause);
    let run = || {
        let record = record(&scenario);
        let lines = Rc::<RefCell<Vec<String>>>::default();
        let kept = Rc::clone(&lines);
        record.borrow_mut().on_line(Box::new(move |line| kept.borrow_mut().push(line.to_owned())));
        play(&scenario, 1, None, &record).expect("all holds");
        drop(record);
        Rc::try_unwrap(lines).expect("the run is over").into_inner()
    };
    let lines = run();
    assert_eq!(lines, run());
    let place = |part: &str| lines.iter().position(|line| line.contains(part)).expect(part);
    let (paused, healed) = (place("\"role\":\"paused\""), place("\"k\":\"heal\""));
    let (_, lane) = lines[paused].split_once("\"l\":").expect("a node has a lane");
    let lane = format!("\"l\":{}", lane.split(',').next().expect("there is a first"));
    let meanwhile = &lines[paused + 1..healed];
    assert!(meanwhile.iter().any(|line| line.contains("\"role\":\"leader\"")), "{meanwhile:#?}");
    let says = |line: &&String| line.contains(&lane) && !line.contains("\"k\":\"drop\"");
    assert_eq!(meanwhile.iter().find(says), None);
}

/// The alarm: one draw that is not the seed's, and the hash of all datagrams is another.
#[test]
fn a_draw_from_the_operating_system_is_noticed() {
    let run = |draws: bool| -> String {
        let scenario = scenario("");
        let record = record(&scenario);
        let system = System::new(1, resolution(&scenario));
        if draws {
            system.pollute();
        }
        let _simulation = environment::simulate(Rc::clone(&system) as Rc<_>);
        let mut world = World::new(&scenario, 1, None, system, &record);
        let played: Result<(), Violation> = world.perform(None);
        played.expect("all holds");
        drop(world);
        record.borrow().summary(0, String::new()).trace_hash
    };
    assert_eq!(run(false), run(false));
    assert_ne!(run(false), run(true));
}

#[test]
fn a_name_that_only_the_system_could_resolve_ends_the_simulation() {
    let system = System::new(1, 1);
    let _simulation = environment::simulate(system as Rc<_>);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let resolve = |host| runtime.block_on(environment::resolve(host, 1));
    assert_eq!(resolve("10.0.0.1").unwrap()[0].to_string(), "10.0.0.1:1");
    let caught = catch_unwind(AssertUnwindSafe(|| resolve("localhost")));
    assert!(caught.is_err(), "a simulation asks nobody what a name means");
}

#[test]
fn what_this_tier_can_not_do_is_said_before_the_run() {
    let lose = "[[fault]]\nat = \"600ms\"\nfor = \"100ms\"\nkind = \"lose-answers\"\nshare = 0.5\n";
    let problems = check::unsupported(&scenario(lose), Tier::Full);
    assert!(problems.len() == 1 && problems[0].contains("within QUIC"), "{problems:?}");
    assert!(check::unsupported(&scenario(lose), Tier::Pure).is_empty());
    assert!(check::unsupported(&scenario(""), Tier::Full).is_empty());
}

/// Half a round trip is what each message takes, whatever it is made of.
#[test]
fn a_message_takes_what_the_scenario_says_to_the_microsecond() {
    let text = SMALL.replace("rtt = \"2ms\"", "rtt = \"1234us\"");
    let text = text.replace("settle = \"500ms\"", "settle = \"500ms\"\nresolution = \"1us\"");
    let scenario = resolve(Path::new("small.toml"), &text).unwrap_or_else(|it| panic!("{it}"));
    let record = record(&scenario);
    play(&scenario, 1, None, &record).expect("all holds");
    let summary = record.borrow().summary(0, String::new());
    assert_eq!(summary.links[0].got_p50_ns, Some(1_234_000));
}

#[test]
fn time_is_counted_as_finely_as_the_shortest_way_needs() {
    let with = |rtt: &str| {
        let text = SMALL.replace("rtt = \"2ms\"", &format!("rtt = \"{rtt}\""));
        resolution(&resolve(Path::new("small.toml"), &text).unwrap_or_else(|it| panic!("{it}")))
    };
    assert_eq!(
        ["20ms", "2ms", "1ms", "500us", "60us"].map(with),
        [100_000, 100_000, 50_000, 20_000, 2_000]
    );
    let as_told = SMALL.replace("settle = \"500ms\"", "settle = \"500ms\"\nresolution = \"3us\"");
    assert_eq!(resolution(&resolve(Path::new("small.toml"), &as_told).unwrap()), 3_000);
}
