//! `quorate-sim`: seeds, and what they do.

use std::path::PathBuf;
use std::process::{self, ExitCode};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};
use quorate_sim::fuzz::{self, Target, targets};
use quorate_sim::group;
use quorate_sim::group::mutant::GroupMutant;
use quorate_sim::mutant::Mutant;
use quorate_sim::plan::Plan;
use quorate_sim::scenarios::REMEMBERED;
use quorate_sim::world::{self, Failure, Summary};

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
        /// So many seeds, from `first` on.
        #[arg(long, default_value_t = 0)]
        seeds: u64,
        /// The first of them.
        #[arg(long, default_value_t = 0)]
        first: u64,
        /// Seeds that nobody has run before.
        #[arg(long, default_value_t = 0)]
        fresh: u64,
        /// Just this seed.
        #[arg(long, conflicts_with_all = ["seeds", "fresh"])]
        seed: Option<u64>,
        /// Show what happens, line by line.
        #[arg(long, requires = "seed")]
        trace: bool,
        /// Which world.
        #[arg(long, value_enum, default_value_t = Worlds::Both)]
        world: Worlds,
        /// With this mistake in the core of a group.
        #[arg(long, requires = "seed")]
        mutant: Option<String>,
    },
    /// Run seeds in two processes each and compare all that they did.
    Twice {
        /// Seeds 0 up to this one.
        #[arg(long, default_value_t = 10)]
        seeds: u64,
    },
    /// Break the store on purpose, in several ways: the oracle must notice each.
    Mutants {
        /// Seeds that it may take in the world of one node; in the other each has its own number.
        #[arg(long, default_value_t = 60)]
        seeds: u64,
        /// Which world.
        #[arg(long, value_enum, default_value_t = Worlds::Both)]
        world: Worlds,
        /// Only those with this in their name.
        #[arg(long)]
        only: Option<String>,
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

/// Which worlds to run.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Worlds {
    /// A node alone.
    One,
    /// A group of nodes.
    Group,
    /// One after the other.
    Both,
}

/// One of the two.
#[derive(Clone, Copy, PartialEq, Eq)]
enum World {
    One,
    Group,
}

/// In so many seeds everything that happens sometimes must have happened.
const COVERED_SEEDS: usize = 300;

impl Worlds {
    /// Does it for each, up to the first that fails.
    fn each(self, mut act: impl FnMut(World) -> bool) -> bool {
        let worlds: &[World] = match self {
            Self::One => &[World::One],
            Self::Group => &[World::Group],
            Self::Both => &[World::One, World::Group],
        };
        worlds.iter().all(|world| act(*world))
    }
}

impl World {
    const fn name(self) -> &'static str {
        match self {
            Self::One => "one",
            Self::Group => "group",
        }
    }
}

fn main() -> ExitCode {
    name_seeds_in_panics();
    let passed = match Arguments::parse().command {
        Command::Run { seed: Some(seed), trace, mutant: Some(mutant), .. } => {
            run_mutant(&mutant, seed, trace)
        }
        Command::Run { seed: Some(seed), trace, world, .. } => run_seeds(world, &[seed], trace),
        Command::Run { seeds, first, fresh, world, .. } => {
            let fresh_first = fresh_seed();
            let remembered = REMEMBERED.iter().map(|(seed, _)| *seed);
            let all: Vec<u64> = remembered
                .chain(first..first + seeds)
                .chain((0..fresh).map(|at| fresh_first + at))
                .collect();
            run_seeds(world, &all, false)
        }
        Command::Twice { seeds } => twice(seeds),
        Command::Mutants { seeds, world, only } => mutants(world, seeds, only.as_deref()),
        Command::Fuzz { seconds, seed, target, case } => {
            fuzz_targets(seconds, seed.unwrap_or_else(fresh_seed), target, case)
        }
    };
    if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs worlds one after the other, up to the first broken promise.
fn run_seeds(worlds: Worlds, seeds: &[u64], trace: bool) -> bool {
    worlds.each(|world| match world {
        World::One => run_nodes(seeds, trace),
        World::Group => run_groups(seeds, trace),
    })
}

/// The seed that runs now, for an assertion that fails.
static RUNNING: Mutex<Option<(World, u64)>> = Mutex::new(None);

/// Sees to it that an assertion that fails says which seed it was, too.
fn name_seeds_in_panics() {
    let default = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if let Ok(running) = RUNNING.lock()
            && let Some((world, seed)) = *running
        {
            println!("seed {seed}: {panic}\n{}", again(world, seed));
        }
        default(panic);
    }));
}

fn note_running(world: World, seed: u64) {
    *RUNNING.lock().unwrap_or_else(PoisonError::into_inner) = Some((world, seed));
}

/// The command that repeats a seed.
fn again(world: World, seed: u64) -> String {
    let world = world.name();
    format!(
        "again with: cargo run --package quorate-sim -- run --world {world} --seed {seed} --trace"
    )
}

fn run_nodes(seeds: &[u64], trace: bool) -> bool {
    let (mut totals, mut hash) = (Summary::default(), 0_u64);
    for seed in seeds {
        note_running(World::One, *seed);
        match world::run(*seed, Plan::of(*seed), None, trace) {
            Ok(summary) => {
                totals += summary;
                hash = hash.rotate_left(1) ^ summary.hash;
            }
            Err(failure) => return complain(World::One, &failure),
        }
    }
    println!("one node: {} seeds: {totals}; hash {hash:016x}", seeds.len());
    true
}

fn run_groups(seeds: &[u64], trace: bool) -> bool {
    let (mut totals, mut hash) = (group::Summary::default(), 0_u64);
    let start = std::time::Instant::now();
    for seed in seeds {
        note_running(World::Group, *seed);
        match group::run(*seed, group::plan::Plan::of(*seed), None, trace) {
            Ok(summary) => {
                totals += &summary;
                hash = hash.rotate_left(1) ^ summary.hash;
            }
            Err(failure) => return complain(World::Group, &failure),
        }
    }
    println!("group: {} seeds: {totals}; hash {hash:016x}", seeds.len());
    let missing = totals.coverage.missing();
    if seeds.len() >= COVERED_SEEDS && !missing.is_empty() {
        println!("group: these never happened: {}", missing.join(", "));
        return false;
    }
    // Not on the line above, which two runs must have in common.
    eprintln!("{:.0} seeds a minute", seeds.len() as f64 * 60.0 / start.elapsed().as_secs_f64());
    true
}

/// Runs a group with a mistake in it, under the plan that [`GroupMutant::first_caught`] has.
fn run_mutant(name: &str, seed: u64, trace: bool) -> bool {
    let Some(mutant) = GroupMutant::all().into_iter().find(|it| format!("{it:?}").contains(name))
    else {
        println!("no such mistake; there are {:?}", GroupMutant::all());
        return false;
    };
    let plan = group::plan::Plan::hostile(seed);
    match group::run(seed, plan, Some(mutant), trace) {
        Ok(summary) => {
            println!("{mutant:?} was not noticed: {summary}");
            true
        }
        Err(failure) => {
            println!("{failure}");
            false
        }
    }
}

fn complain(world: World, failure: &Failure) -> bool {
    println!("{failure}");
    println!("{}", again(world, failure.seed));
    false
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

fn mutants(worlds: Worlds, seeds: u64, only: Option<&str>) -> bool {
    // A mistake may make the node itself stop; that is told as one line, too.
    std::panic::set_hook(Box::new(|_| {}));
    let wanted = |name: &str| only.is_none_or(|only| name.contains(only));
    worlds.each(|world| match world {
        World::One => {
            let mutants = Mutant::ALL.into_iter().map(|it| (format!("{it:?}"), it));
            all_caught(mutants.filter(|it| wanted(&it.0)), |it| it.first_caught(seeds))
        }
        World::Group => {
            let mutants = GroupMutant::all().into_iter().map(|it| (format!("{it:?}"), it));
            all_caught(mutants.filter(|it| wanted(&it.0)), |it| it.first_caught())
        }
    })
}

fn all_caught<M>(
    mutants: impl Iterator<Item = (String, M)>,
    first_caught: impl Fn(M) -> Option<Failure>,
) -> bool {
    let mut all_caught = true;
    for (name, mutant) in mutants {
        match first_caught(mutant) {
            Some(failure) => println!("{name} is caught by {failure}"),
            None => {
                println!("{name} is NOT caught");
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
        None => fuzz_all(&targets, seed, Duration::from_secs(seconds)),
    }
}

/// A seed that nobody has run before; the only thing here that comes from outside.
fn fresh_seed() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |since| since.as_nanos() as u64)
}

fn fuzz_all(targets: &[Target], seed: u64, time: Duration) -> bool {
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

fn report(failure: &fuzz::Failure) -> bool {
    let fuzz::Failure { target, seed, case, bytes } = failure;
    let path = PathBuf::from(format!("fuzz-{target}-{seed}-{case}.bin"));
    match std::fs::write(&path, bytes) {
        Ok(()) => println!("fuzz: {target} PANICKED; the bytes are in {}", path.display()),
        Err(error) => println!("fuzz: {target} PANICKED; can't keep the bytes: {error}"),
    }
    println!("again with: cargo xtask fuzz --target {target} --seed {seed} --case {case}");
    false
}
