//! `quorate-sim`: seeds, and what they do.

use std::path::PathBuf;
use std::process::{self, ExitCode};
use std::time::Duration;

use clap::{Parser, Subcommand};
use quorate_sim::fuzz::{Failure, Target, targets};
use quorate_sim::mutant::Mutant;
use quorate_sim::plan::Plan;
use quorate_sim::scenarios::REMEMBERED;
use quorate_sim::world::{self, Summary};

#[derive(Parser)]
#[command(name = "quorate-sim", about = "Runs Quorate in simulated worlds, from seeds")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run worlds from seeds, those that once failed before all others; a promise that is broken
    /// ends it with the command that repeats it.
    Run {
        /// Seeds 0 up to this one.
        #[arg(long, default_value_t = 0)]
        seeds: u64,
        /// Seeds that nobody has run before.
        #[arg(long, default_value_t = 0)]
        fresh: u64,
        /// Just this seed.
        #[arg(long, conflicts_with_all = ["seeds", "fresh"])]
        seed: Option<u64>,
        /// Show what happens, line by line.
        #[arg(long, requires = "seed")]
        trace: bool,
    },
    /// Run seeds in two processes each and compare all that they did.
    Twice {
        /// Seeds 0 up to this one.
        #[arg(long, default_value_t = 10)]
        seeds: u64,
    },
    /// Break the store on purpose, in several ways: the oracle must notice each.
    Mutants {
        /// Seeds that it may take.
        #[arg(long, default_value_t = 60)]
        seeds: u64,
    },
    /// Feed mutated bytes to every decoder, for a bounded time.
    Fuzz {
        /// For how long, shared by all targets.
        #[arg(long, default_value_t = 60)]
        seconds: u64,
        /// What all mutations follow from; drawn from the clock if not given.
        #[arg(long)]
        seed: Option<u64>,
        /// Only this decoder.
        #[arg(long)]
        target: Option<String>,
        /// Only this case of the seed: repeats a failure.
        #[arg(long, requires = "seed", requires = "target")]
        case: Option<u64>,
    },
}

fn main() -> ExitCode {
    let passed = match Arguments::parse().command {
        Command::Run { seed: Some(seed), trace, .. } => run_seeds(&[seed], trace),
        Command::Run { seeds, fresh, .. } => {
            let first = fresh_seed();
            let remembered = REMEMBERED.iter().map(|(seed, _)| *seed);
            let all: Vec<u64> =
                remembered.chain(0..seeds).chain((0..fresh).map(|at| first + at)).collect();
            run_seeds(&all, false)
        }
        Command::Twice { seeds } => twice(seeds),
        Command::Mutants { seeds } => mutants(seeds),
        Command::Fuzz { seconds, seed, target, case } => {
            fuzz_targets(seconds, seed.unwrap_or_else(fresh_seed), target, case)
        }
    };
    if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs worlds one after the other, up to the first broken promise.
fn run_seeds(seeds: &[u64], trace: bool) -> bool {
    let (mut totals, mut hash) = (Summary::default(), 0_u64);
    for seed in seeds {
        match world::run(*seed, Plan::of(*seed), None, trace) {
            Ok(summary) => {
                totals += summary;
                hash = hash.rotate_left(1) ^ summary.hash;
            }
            Err(failure) => {
                println!("{failure}");
                println!(
                    "again with: cargo run --package quorate-sim -- run --seed {} --trace",
                    failure.seed
                );
                return false;
            }
        }
    }
    println!("{} seeds: {totals}; hash {hash:016x}", seeds.len());
    true
}

/// Runs the same seeds in two processes of this program and compares what they print.
fn twice(seeds: u64) -> bool {
    let run = || {
        let program = std::env::current_exe()?;
        let output =
            process::Command::new(program).args(["run", "--seeds", &seeds.to_string()]).output()?;
        Ok::<String, std::io::Error>(String::from_utf8_lossy(&output.stdout).into_owned())
    };
    match (run(), run()) {
        (Ok(first), Ok(second)) if first == second && first.contains("hash") => {
            print!("twice the same: {first}");
            true
        }
        (Ok(first), Ok(second)) => {
            println!("the same seeds gave two runs:\n{first}{second}");
            false
        }
        (Err(error), _) | (_, Err(error)) => {
            println!("can't run this program again: {error}");
            false
        }
    }
}

fn mutants(seeds: u64) -> bool {
    let mut all_caught = true;
    for mutant in Mutant::ALL {
        match mutant.first_caught(seeds) {
            Some(failure) => println!("{mutant:?} is caught by {failure}"),
            None => {
                println!("{mutant:?} is NOT caught within {seeds} seeds");
                all_caught = false;
            }
        }
    }
    all_caught
}

fn fuzz_targets(seconds: u64, seed: u64, target: Option<String>, case: Option<u64>) -> bool {
    let targets: Vec<Target> = targets::ALL
        .into_iter()
        .filter(|known| target.as_ref().is_none_or(|wanted| wanted == known.name))
        .collect();
    if targets.is_empty() {
        let names: Vec<_> = targets::ALL.iter().map(|target| target.name).collect();
        eprintln!("no such target; there are {}", names.join(", "));
        return false;
    }
    match case {
        Some(case) => repeat_case(&targets[0], seed, case),
        None => fuzz(&targets, seed, Duration::from_secs(seconds)),
    }
}

/// A seed that nobody has run before; the only thing here that comes from outside.
fn fresh_seed() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |since| since.as_nanos() as u64)
}

fn fuzz(targets: &[Target], seed: u64, time: Duration) -> bool {
    println!("fuzz: seed {seed}, {} targets, {} s", targets.len(), time.as_secs());
    for target in targets {
        match target.run(seed, time / targets.len() as u32) {
            Ok(cases) => println!("  {}: {cases} cases", target.name),
            Err(failure) => return report(&failure),
        }
    }
    println!("fuzz: no decoder panicked");
    true
}

fn repeat_case(target: &Target, seed: u64, case: u64) -> bool {
    let bytes = target.case(&(target.corpus)(), seed, case);
    let taken = (target.decode)(&bytes);
    println!("fuzz: {} bytes {}", bytes.len(), if taken { "taken as good" } else { "refused" });
    true
}

fn report(failure: &Failure) -> bool {
    let Failure { target, seed, case, bytes } = failure;
    let path = PathBuf::from(format!("fuzz-{target}-{seed}-{case}.bin"));
    match std::fs::write(&path, bytes) {
        Ok(()) => println!("fuzz: {target} PANICKED; the bytes are in {}", path.display()),
        Err(error) => println!("fuzz: {target} PANICKED; can't keep the bytes: {error}"),
    }
    println!("again with: cargo xtask fuzz --target {target} --seed {seed} --case {case}");
    false
}
