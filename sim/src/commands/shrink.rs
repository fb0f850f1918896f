//! `shrink`: a failing run made smaller, as long as it fails in the same way.
//!
//! Each candidate is a whole scenario that runs in a process of its own. What is kept is the
//! *signature*: which assertion failed, and why, without numbers.

use std::path::{Path, PathBuf};

use quorate_sim::record::plan::Planned;
use quorate_sim::scenario::model::Scenario;
use quorate_sim::scenario::write::write;
use quorate_sim::shrinking::{self, Step};

use super::folder::Folder;
use super::scenario::Brief;
use super::{USAGE, explain};

/// More tries than these are not worth the wait.
const TRIES_MAX: u32 = 400;

/// Shrinks a run; 0 where the smaller scenario fails in the same way.
pub(crate) fn shrink(path: &Path) -> u8 {
    match try_shrink(path) {
        Ok(code) => code,
        Err(problem) => {
            eprintln!("{problem}");
            USAGE
        }
    }
}

/// Runs candidates, and counts.
struct Trial {
    file: PathBuf,
    arguments: Vec<String>,
    signature: String,
    tries: u32,
    others: Vec<String>,
}

impl Trial {
    /// The assertion that fails.
    fn assertion(&self) -> String {
        self.signature.split(": ").next().unwrap_or("").to_owned()
    }

    /// Whether a scenario fails in the same way.
    fn fails(&mut self, scenario: &Scenario) -> bool {
        if self.tries >= TRIES_MAX {
            return false;
        }
        self.tries += 1;
        if std::fs::write(&self.file, write(scenario)).is_err() {
            return false;
        }
        match Brief::of(&self.file, &self.arguments) {
            Ok(Brief { signature: Some(found), .. }) if found == self.signature => true,
            Ok(Brief { signature: Some(other), .. }) => {
                if !self.others.contains(&other) {
                    self.others.push(other);
                }
                false
            }
            Ok(_) | Err(_) => false,
        }
    }
}

fn try_shrink(path: &Path) -> Result<u8, String> {
    let folder = Folder::open(path)?;
    let Some(signature) = folder.text("signature").map(str::to_owned) else {
        return Err("all holds in this run: there is nothing to shrink".to_owned());
    };
    let (seed, tier) = (folder.seed(), folder.tier());
    let arguments = ["--seed", &seed.to_string(), "--tier", tier.name()].map(str::to_owned);
    let mut trial = Trial {
        file: path.join("candidate.toml"),
        arguments: arguments.to_vec(),
        signature,
        tries: 0,
        others: Vec::new(),
    };
    println!("shrinking {}: {}", path.display(), trial.signature);
    // As it was applied: no conditions, no random faults, no leader whoever it is.
    let mut start = folder.scenario.clone();
    start.faults = folder.plan()?.iter().filter_map(Planned::fault).collect();
    start.swarm.extra_rate = 0.0;
    start.run.seed = Some(seed);
    start.name = format!("{}-shrunk", folder.scenario.name);
    if !trial.fails(&start) {
        start.faults = folder.scenario.faults.clone();
        if !trial.fails(&start) {
            println!("it does not fail in the same way again");
            return Ok(4);
        }
    }
    let ends = explain::end_of_failure(&folder)?;
    let mut best = start.clone();
    for step in Step::ALL {
        let before = shrinking::size(&best);
        let asked = shrinking::Asked { ends, assertion: trial.assertion() };
        best = shrinking::shrink(&best, step, &asked, &mut |candidate| trial.fails(candidate));
        if shrinking::size(&best) != before {
            println!("  {:<34} {}", step.name(), shrinking::size(&best));
        }
    }
    best.description =
        Some(format!("{}; as small as it gets, from the run {}", trial.signature, path.display()));
    let target = path.join("shrunk.toml");
    std::fs::write(&target, write(&best)).map_err(|error| error.to_string())?;
    // It may not be there any more.
    drop(std::fs::remove_file(&trial.file));
    println!("{} tries: from {}", trial.tries, shrinking::size(&start));
    println!("{:>10} to {}", "", shrinking::size(&best));
    for other in &trial.others {
        println!("on the way something else failed: {other}");
    }
    println!("\n{}", shrinking::story(&best));
    println!("scenario  {}", target.display());
    println!("again     quorate-sim run {} {}", target.display(), trial.arguments.join(" "));
    Ok(0)
}
