//! Everything that CI runs, in the order in which a failure is cheapest, each step with its time.
//!
//! The same steps run on a developer's machine: there is no second list.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::{report, tidy};

/// One thing that must pass.
struct Step {
    name: &'static str,
    action: Action,
}

enum Action {
    Tidy,
    /// The simulator's report in a browser.
    Report,
    /// A command line of cargo, in words.
    Cargo(&'static str),
    /// A command line of the simulator, in words.
    Simulator(&'static str),
    /// Bounds of exhaustive checks of the core.
    Exhaustive(&'static str),
}

/// Cheap ones first. The simulator's seeds are 0, 1, 2 … so that a run of CI can be repeated, and
/// some drawn from the clock, so that each run looks where none has looked before.
const STEPS: [Step; 14] = [
    Step { name: "format", action: Action::Cargo("fmt --all --check") },
    Step { name: "tidy", action: Action::Tidy },
    Step {
        name: "clippy",
        action: Action::Cargo("clippy --quiet --locked --workspace --all-targets -- -D warnings"),
    },
    Step {
        name: "docs",
        action: Action::Cargo(
            "doc --quiet --locked --workspace --no-deps --document-private-items",
        ),
    },
    Step { name: "test", action: Action::Cargo("test --locked --workspace") },
    Step { name: "fuzz", action: Action::Simulator("fuzz --seconds 60") },
    Step { name: "seeds", action: Action::Simulator("run --seeds 400 --fresh 400") },
    Step { name: "twice", action: Action::Simulator("twice --seeds 20") },
    Step { name: "scenarios", action: Action::Simulator("run sim/scenarios --seed 1 --twice") },
    Step {
        name: "whole-nodes",
        action: Action::Simulator("run sim/scenarios/full --tier full --seed 1 --twice"),
    },
    Step {
        name: "catalogue",
        action: Action::Simulator(
            "run sim/scenarios --tier full --seed 1 --refused sim/scenarios/full/refused.txt",
        ),
    },
    Step {
        name: "exhaustive",
        action: Action::Exhaustive("wide,2,0,0,0 narrow,2,1,0,0 narrow,2,0,1,0 narrow,1,2,1,0"),
    },
    Step { name: "mutants", action: Action::Simulator("mutants --seeds 60") },
    Step { name: "report", action: Action::Report },
];

/// Which steps to take.
pub(crate) struct Plan {
    steps: Vec<&'static Step>,
}

impl Plan {
    /// Reads `--only STEP` and `--without STEP`, each as often as wanted.
    pub(crate) fn parse(arguments: &[String]) -> Result<Self, String> {
        let (mut only, mut without) = (Vec::new(), Vec::new());
        for pair in arguments.chunks(2) {
            let list = match pair[0].as_str() {
                "--only" => &mut only,
                "--without" => &mut without,
                other => {
                    return Err(format!("unknown option {other}; there are --only, --without"));
                }
            };
            let name = pair.get(1).ok_or_else(|| format!("{} takes a step", pair[0]))?.as_str();
            if !STEPS.iter().any(|step| step.name == name) {
                let names: Vec<_> = STEPS.iter().map(|step| step.name).collect();
                return Err(format!("no step is called {name}; there are {}", names.join(", ")));
            }
            list.push(name);
        }
        let wanted = |step: &&Step| {
            (only.is_empty() || only.contains(&step.name)) && !without.contains(&step.name)
        };
        Ok(Self { steps: STEPS.iter().filter(wanted).collect() })
    }

    /// Takes the steps up to the first that fails; says whether all passed.
    pub(crate) fn run(&self, root: &Path) -> bool {
        let start = Instant::now();
        let mut times = Vec::new();
        for step in &self.steps {
            println!("==> {}", step.name);
            let step_start = Instant::now();
            let passed = step.action.run(root);
            let took = seconds(step_start.elapsed());
            println!("<== {} {} in {took}", step.name, if passed { "passed" } else { "FAILED" });
            times.push(format!("{} {took}", step.name));
            if !passed {
                println!(
                    "ci: FAILED at {} ({}); again with: cargo xtask ci --only {}",
                    step.name,
                    times.join(", "),
                    step.name
                );
                return false;
            }
        }
        println!("ci: passed in {} ({})", seconds(start.elapsed()), times.join(", "));
        true
    }
}

/// `cargo xtask fuzz …` on its own, with the arguments that the simulator's fuzzer takes.
pub(crate) fn fuzz(root: &Path, arguments: &[String]) -> bool {
    let words = arguments.iter().map(String::as_str);
    cargo(root, SIMULATOR.split(' ').chain(["fuzz"]).chain(words), &[])
}

const SIMULATOR: &str =
    "run --quiet --locked --profile simulation --package quorate-sim --bin quorate-sim --";

const EXHAUSTIVE: &str = "test --quiet --locked --profile simulation --package quorate-core --test exhaustive -- --nocapture --test-threads 1";

impl Action {
    fn run(&self, root: &Path) -> bool {
        match self {
            Self::Tidy => tidy::run(root).unwrap_or_else(|error| {
                eprintln!("can't read the tree: {error}");
                false
            }),
            Self::Report => report::check(root),
            Self::Cargo(words) => cargo(root, words.split(' '), &[]),
            Self::Simulator(words) => {
                cargo(root, SIMULATOR.split(' ').chain(words.split(' ')), &[])
            }
            Self::Exhaustive(bounds) => cargo(root, EXHAUSTIVE.split(' '), &[("BOUNDS", bounds)]),
        }
    }
}

/// Runs this very cargo. Warnings of rustdoc are errors, but private items may be linked to: the
/// pages are made with them, for those who work on the project.
///
/// - `variables`: of its environment
fn cargo<'a>(
    root: &Path,
    arguments: impl Iterator<Item = &'a str>,
    variables: &[(&str, &str)],
) -> bool {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(program)
        .args(arguments)
        .current_dir(root)
        .envs(variables.iter().copied())
        .env("RUSTDOCFLAGS", "-D warnings -A rustdoc::private_intra_doc_links")
        .status();
    match status {
        Ok(status) => status.success(),
        Err(error) => {
            eprintln!("can't run cargo: {error}");
            false
        }
    }
}

fn seconds(took: Duration) -> String {
    format!("{:.1} s", took.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(arguments: &[&str], expected: Result<&[&str], &str>) {
        let arguments: Vec<String> = arguments.iter().map(|word| (*word).to_owned()).collect();
        match (Plan::parse(&arguments), expected) {
            (Ok(plan), Ok(names)) => {
                let steps: Vec<_> = plan.steps.iter().map(|step| step.name).collect();
                assert_eq!(steps, names);
            }
            (Err(message), Err(part)) => assert!(message.contains(part), "{message}"),
            (Ok(_), Err(part)) => panic!("this should be refused: {part}"),
            (Err(message), Ok(_)) => panic!("{message}"),
        }
    }

    #[test]
    fn steps_are_chosen_by_name() {
        check(&["--only", "tidy"], Ok(&["tidy"]));
        check(&["--only", "tidy", "--only", "format"], Ok(&["format", "tidy"]));
        let all_but_test: Vec<_> =
            STEPS.iter().map(|step| step.name).filter(|name| *name != "test").collect();
        check(&["--without", "test"], Ok(&all_but_test));
    }

    #[test]
    fn wrong_choices_are_named() {
        check(&["--only", "tydi"], Err("no step is called tydi"));
        check(&["--only"], Err("takes a step"));
        check(&["--fast", "x"], Err("unknown option --fast"));
    }
}
