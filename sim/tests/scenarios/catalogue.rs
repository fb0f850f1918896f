//! Every committed scenario is sound, and a few are run.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use quorate_sim::record::plan;
use quorate_sim::record::summary::Summary;
use quorate_sim::runner::Job;
use quorate_sim::scenario::check::{Tier, impossible, unsupported};
use quorate_sim::scenario::model::Scenario;
use quorate_sim::scenario::{self, write};
use quorate_sim::swarm;

const SECOND: u64 = 1_000_000_000;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios")
}

fn load(name: &str) -> (String, Scenario) {
    let file = folder().join(name).with_extension("toml");
    scenario::load(&file).unwrap_or_else(|error| panic!("{error}"))
}

/// Runs a scenario, or repeats it; gives its summary and its plan.
fn run(scenario: &Scenario, planned: Option<Vec<plan::Planned>>) -> (Summary, Vec<plan::Planned>) {
    let folder = std::env::temp_dir().join(format!(
        "quorate-catalogue-{}-{}-{}",
        std::process::id(),
        scenario.name,
        planned.is_some()
    ));
    let job = Job {
        scenario: scenario.clone(),
        as_written: String::new(),
        seed: 1,
        tier: Tier::Pure,
        planned,
        folder: Some(folder.clone()),
        command: String::new(),
    };
    let kept = Rc::new(std::cell::RefCell::new(None));
    let keep = Rc::clone(&kept);
    let show = move |ran: &quorate_sim::runner::Ran| {
        *keep.borrow_mut() = Some(ran.summary.clone());
        0
    };
    job.run(None, show).unwrap();
    let text = std::fs::read_to_string(folder.join("plan.jsonl")).unwrap();
    let planned = plan::read(scenario, &text).unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    (kept.take().unwrap(), planned)
}

#[test]
fn every_scenario_is_sound_and_can_hold() {
    let mut count = 0;
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            // Those of whole nodes are run by a step of ci.
            continue;
        }
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let (text, scenario) = load(&name);
        assert_eq!(scenario.name, name, "it is named as its file");
        assert!(text.starts_with("# "), "{name} says first what it is of");
        assert_eq!(unsupported(&scenario, Tier::Pure), [""; 0], "{name}");
        assert_eq!(impossible(&scenario), [""; 0], "{name}");
        assert!(!scenario.asserts.is_empty(), "{name} says what it expects");
        let again = scenario::resolve::resolve(Path::new("again.toml"), &write::write(&scenario));
        assert_eq!(again.unwrap_or_else(|it| panic!("{it}")), scenario, "{name}");
        count += 1;
    }
    assert!(count >= 36, "{count} scenarios");
}

#[test]
fn a_run_is_repeated_from_its_plan_with_conditions_and_all() {
    let (_, mut scenario) = load("figure-8");
    scenario.run.virtual_time = 6 * SECOND;
    scenario.run.settle = SECOND;
    scenario.asserts.truncate(1);
    let (first, planned) = run(&scenario, None);
    assert_eq!(first.exit_code, 0, "{:?}", first.reason);
    let faults = planned.iter().filter(|it| matches!(it, plan::Planned::Fault { .. })).count();
    assert!(faults > 8, "{faults} faults struck");
    let (again, planned_again) = run(&scenario, Some(planned.clone()));
    assert_eq!(again.trace_hash, first.trace_hash);
    assert_eq!(planned_again, planned);
    // Without its conditions, as a list of faults at times, it is the same run, too.
    scenario.faults.clear();
    let (without, _) = run(&scenario, Some(planned));
    assert_eq!(without.trace_hash, first.trace_hash);
}

#[test]
fn a_scenario_of_the_catalogue_holds() {
    for (name, seconds) in [("leader-in-minority", 14), ("all-damaged", 13), ("power-cut", 8)] {
        let (_, mut scenario) = load(name);
        scenario.run.virtual_time = seconds * SECOND;
        scenario.faults.retain(|fault| match fault.when {
            scenario::fault::When::At(at) => at < seconds * SECOND,
            scenario::fault::When::Event { .. } => true,
        });
        scenario.asserts.retain(|it| it.window.is_none() && it.id != "acknowledged");
        let (summary, _) = run(&scenario, None);
        assert_eq!(summary.exit_code, 0, "{name}: {:?}", summary.reason);
        assert!(summary.phases.iter().map(|it| it.done).sum::<u64>() > 100, "{name}");
    }
}

#[test]
fn a_swarm_varies_a_scenario_by_its_seed_and_keeps_a_quorum() {
    let (_, scenario) = load("everything-at-once");
    let varied: Vec<Scenario> = (0..20).map(|seed| swarm::vary(&scenario, seed)).collect();
    assert_eq!(varied[3], swarm::vary(&scenario, 3));
    assert_ne!(varied[3].faults, varied[4].faults);
    let counts: Vec<usize> = varied.iter().map(|it| it.faults.len()).collect();
    assert!(counts.iter().max() > counts.iter().min(), "{counts:?}");
}
