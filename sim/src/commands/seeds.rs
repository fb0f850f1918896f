//! `run` without a file: worlds from seeds.

use std::sync::{Mutex, PoisonError};

use clap::ValueEnum;
use quorate_sim::group;
use quorate_sim::group::mutant::GroupMutant;
use quorate_sim::plan::Plan;
use quorate_sim::scenarios::REMEMBERED;
use quorate_sim::world::{self, Failure, Summary};

use super::folder::fresh_seed;
use super::run::RunOptions;

/// Runs the seeds that were asked for, up to the first broken promise.
pub(crate) fn run(options: &RunOptions) -> u8 {
    name_seeds_in_panics();
    let passed = match (options.seed, &options.mutant) {
        (Some(seed), Some(mutant)) => run_mutant(mutant, seed, options.trace),
        (Some(seed), None) => run_seeds(options.world, &[seed], options.trace),
        (None, Some(_)) => {
            eprintln!("--mutant goes with --seed, or with a scenario");
            return super::USAGE;
        }
        (None, None) => {
            let fresh_first = fresh_seed();
            let remembered = REMEMBERED.iter().map(|(seed, _)| *seed);
            let all: Vec<u64> = remembered
                .chain(options.first..options.first + options.seeds)
                .chain((0..options.fresh).map(|at| fresh_first + at))
                .collect();
            run_seeds(options.world, &all, false)
        }
    };
    u8::from(!passed)
}

/// Which worlds to run.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Worlds {
    /// A node alone.
    One,
    /// A group of nodes.
    Group,
    /// One after the other.
    Both,
}

/// One of the two.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum World {
    One,
    Group,
}

/// In so many seeds everything that happens sometimes must have happened.
const COVERED_SEEDS: usize = 300;

impl Worlds {
    /// Does it for each, up to the first that fails.
    pub(crate) fn each(self, mut act: impl FnMut(World) -> bool) -> bool {
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
