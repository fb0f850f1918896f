//! `quorate-sim`: scenarios, seeds, and what they do.

mod commands;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use quorate_sim::recording::is_recording;

use self::commands::run::RunOptions;
use self::commands::seeds::Worlds;
use self::commands::swarm::SwarmOptions;
use self::commands::{
    diff, explain, folder, fuzz, mutants, profile, recording, replay, run, shrink, swarm, twice,
    validate,
};

#[derive(Parser)]
#[command(
    name = "quorate-sim",
    about = "Runs groups of Quorate in simulated worlds, by scenarios and from seeds",
    after_help = "Exit codes: 0 all holds, 1 a promise was broken, 2 bad usage or scenario, \
                  3 not in time, 4 not deterministic, 5 a service level was missed; the worst wins."
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a scenario and show what happened; or run worlds from seeds.
    Run(Box<RunOptions>),
    /// Run a scenario, or all of a folder, with many seeds, and group what fails.
    Swarm(SwarmOptions),
    /// Repeat a run from its plan, or go through recordings of real nodes again, and compare what
    /// happens.
    Replay {
        /// The folder of the run, or one or more folders of recordings.
        #[arg(required = true)]
        folders: Vec<PathBuf>,
        /// Write a report of all recordings together into this folder.
        #[arg(long, value_name = "FOLDER")]
        report: Option<PathBuf>,
        /// Show what happens up to this time, and stop there.
        #[arg(long, value_name = "TIME")]
        until: Option<String>,
        /// Show one event after the other; in a terminal, wait for the return key between them.
        #[arg(long)]
        step: bool,
    },
    /// Make a failing run smaller, as long as it fails in the same way.
    Shrink {
        /// The folder of the run.
        folder: PathBuf,
    },
    /// Say in plain words why a run failed, and what happened before.
    Explain {
        /// The folder of the run.
        folder: PathBuf,
    },
    /// Draw the picture of a run again: report.html in its folder.
    Report {
        /// The folder of the run.
        folder: PathBuf,
    },
    /// Find where two runs part.
    Diff {
        /// The folder of one run.
        one: PathBuf,
        /// The folder of the other.
        other: PathBuf,
    },
    /// Look at scenarios without running them.
    Validate {
        /// Scenarios, or folders of them.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// The built-in profiles of zones.
    Profile {
        #[command(subcommand)]
        command: ProfileCommand,
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

#[derive(Subcommand)]
enum ProfileCommand {
    /// All of them, a line each.
    Ls,
    /// One of them, with where its figures come from.
    Show {
        /// Which one.
        name: String,
    },
}

fn main() -> ExitCode {
    quorate_sim::runner::catch_assertions();
    let code = match Arguments::parse().command {
        Command::Run(options) => run::run(&options),
        Command::Swarm(options) => swarm::swarm(&options),
        Command::Replay { folders, until, step, report } => match &folders[..] {
            [folder] if report.is_none() && !is_recording(folder) => {
                replay::replay(folder, until.as_deref(), step)
            }
            folders => recording::replay_all(folders, until.as_deref(), step, report.as_ref()),
        },
        Command::Shrink { folder } => shrink::shrink(&folder),
        Command::Explain { folder } => explain::explain(&folder),
        Command::Report { folder } => match quorate_sim::report::write(&folder) {
            Ok(path) => {
                println!("{}", path.display());
                0
            }
            Err(error) => {
                eprintln!("{error}");
                commands::USAGE
            }
        },
        Command::Diff { one, other } => diff::diff(&one, &other),
        Command::Validate { files } => validate::validate(&files),
        Command::Profile { command: ProfileCommand::Ls } => profile::list(),
        Command::Profile { command: ProfileCommand::Show { name } } => profile::show(&name),
        Command::Twice { seeds } => u8::from(!twice::twice(seeds)),
        Command::Mutants { seeds, world, only } => {
            u8::from(!mutants::mutants(world, seeds, only.as_deref()))
        }
        Command::Fuzz { seconds, seed, target, case } => {
            let seed = seed.unwrap_or_else(folder::fresh_seed);
            u8::from(!fuzz::fuzz_targets(seconds, seed, target, case))
        }
    };
    ExitCode::from(code)
}
