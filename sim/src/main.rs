//! `quorate-sim`: seeds, and what they do.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use quorate_sim::fuzz::{Failure, Target, targets};

#[derive(Parser)]
#[command(name = "quorate-sim", about = "Runs Quorate in simulated worlds, from seeds")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
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
    match Arguments::parse().command {
        Command::Fuzz { seconds, seed, target, case } => {
            let seed = seed.unwrap_or_else(fresh_seed);
            let targets: Vec<Target> = targets::ALL
                .into_iter()
                .filter(|known| target.as_ref().is_none_or(|wanted| wanted == known.name))
                .collect();
            if targets.is_empty() {
                let names: Vec<_> = targets::ALL.iter().map(|target| target.name).collect();
                eprintln!("no such target; there are {}", names.join(", "));
                return ExitCode::from(2);
            }
            match case {
                Some(case) => repeat_case(&targets[0], seed, case),
                None => fuzz(&targets, seed, Duration::from_secs(seconds)),
            }
        }
    }
}

/// A seed that nobody has run before; the only thing here that comes from outside.
fn fresh_seed() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |since| since.as_nanos() as u64)
}

fn fuzz(targets: &[Target], seed: u64, time: Duration) -> ExitCode {
    println!("fuzz: seed {seed}, {} targets, {} s", targets.len(), time.as_secs());
    for target in targets {
        match target.run(seed, time / targets.len() as u32) {
            Ok(cases) => println!("  {}: {cases} cases", target.name),
            Err(failure) => return report(&failure),
        }
    }
    println!("fuzz: no decoder panicked");
    ExitCode::SUCCESS
}

fn repeat_case(target: &Target, seed: u64, case: u64) -> ExitCode {
    let bytes = target.case(&(target.corpus)(), seed, case);
    let taken = (target.decode)(&bytes);
    println!("fuzz: {} bytes {}", bytes.len(), if taken { "taken as good" } else { "refused" });
    ExitCode::SUCCESS
}

fn report(failure: &Failure) -> ExitCode {
    let Failure { target, seed, case, bytes } = failure;
    let path = PathBuf::from(format!("fuzz-{target}-{seed}-{case}.bin"));
    match std::fs::write(&path, bytes) {
        Ok(()) => println!("fuzz: {target} PANICKED; the bytes are in {}", path.display()),
        Err(error) => println!("fuzz: {target} PANICKED; can't keep the bytes: {error}"),
    }
    println!("again with: cargo xtask fuzz --target {target} --seed {seed} --case {case}");
    ExitCode::FAILURE
}
