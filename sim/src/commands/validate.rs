//! `validate`: scenarios are looked at, and not run.

use std::path::{Path, PathBuf};

use quorate_sim::scenario;
use quorate_sim::scenario::check::{self, Tier};

use super::USAGE;
use super::scenario::{can_run, scenario_files};

/// Looks at all of them; gives with what to exit.
pub(crate) fn validate(paths: &[PathBuf]) -> u8 {
    let mut code = 0;
    for path in paths {
        match scenario_files(path) {
            Ok(files) => {
                for file in files {
                    if !is_good(&file) {
                        code = USAGE;
                    }
                }
            }
            Err(error) => {
                eprintln!("can't read {}: {error}", path.display());
                code = USAGE;
            }
        }
    }
    code
}

fn is_good(file: &Path) -> bool {
    let scenario = match scenario::load(file) {
        Ok((_, scenario)) => scenario,
        Err(error) => {
            eprint!("{error}");
            return false;
        }
    };
    let tiers = [Tier::Pure, Tier::Full];
    let able: Vec<&str> = tiers
        .into_iter()
        .filter(|tier| can_run(&scenario, *tier).is_ok())
        .map(Tier::name)
        .collect();
    if able.is_empty() {
        for tier in tiers {
            if let Err(problem) = can_run(&scenario, tier) {
                eprintln!("{}: {problem}", file.display());
            }
        }
        return false;
    }
    let impossible = check::impossible(&scenario);
    for problem in &impossible {
        eprintln!("{}: {problem}", file.display());
    }
    if impossible.is_empty() {
        println!(
            "{}: good; {} nodes, {} faults, {} assertions; tiers: {}",
            file.display(),
            scenario.nodes.len(),
            scenario.faults.len(),
            scenario.asserts.len(),
            able.join(", ")
        );
    }
    impossible.is_empty()
}
