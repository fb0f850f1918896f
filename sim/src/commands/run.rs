//! `run`: scenarios from files, or worlds from seeds.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use quorate_sim::scenario::check::Tier;

use super::seeds::Worlds;
use super::{scenario, seeds};

/// What `run` takes.
#[derive(Args)]
pub(crate) struct RunOptions {
    /// Scenarios, or folders of them; without any, worlds are made from seeds.
    pub(crate) files: Vec<PathBuf>,
    /// Just this seed.
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// Where a scenario runs.
    #[arg(long, value_enum, default_value_t = TierName::Pure, requires = "files")]
    pub(crate) tier: TierName,
    /// Where to keep what happens; runs/NAME-SEED if not given.
    #[arg(short, long, value_name = "DIR", requires = "files")]
    pub(crate) output: Option<PathBuf>,
    /// Run each scenario in two processes; they must do the same.
    #[arg(long, requires = "files")]
    pub(crate) twice: bool,
    /// Scenarios at once, where there are several; as many as there are processors, if not given.
    #[arg(short, long, requires = "files")]
    pub(crate) jobs: Option<usize>,
    /// A list of those that the tier refuses; it must be exact.
    #[arg(long, value_name = "LIST", requires = "files")]
    pub(crate) refused: Option<PathBuf>,
    /// Vary the scenario by its seed, as a swarm does.
    #[arg(long, requires = "files")]
    pub(crate) vary: bool,
    /// No colours.
    #[arg(long)]
    pub(crate) plain: bool,
    /// The summary as one line of JSON, and no folder.
    #[arg(long, hide = true, requires = "files")]
    pub(crate) brief: bool,
    /// With this deliberate mistake.
    #[arg(long)]
    pub(crate) mutant: Option<String>,
    /// Show what happens, line by line.
    #[arg(long)]
    pub(crate) trace: bool,
    /// Worlds of so many seeds, from `first` on, those that once failed before all others.
    #[arg(long, default_value_t = 0, conflicts_with = "files")]
    pub(crate) seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 0, conflicts_with = "files")]
    pub(crate) first: u64,
    /// Seeds that nobody has run before.
    #[arg(long, default_value_t = 0, conflicts_with_all = ["files", "seed"])]
    pub(crate) fresh: u64,
    /// Which world of seeds.
    #[arg(long, value_enum, default_value_t = Worlds::Both, conflicts_with = "files")]
    pub(crate) world: Worlds,
}

/// Where a scenario runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TierName {
    /// Cores, model disks and a model network in one loop: fast, nanoseconds count.
    Pure,
    /// Whole nodes over simulated UDP, with real QUIC.
    Full,
}

impl TierName {
    pub(crate) const fn tier(self) -> Tier {
        match self {
            Self::Pure => Tier::Pure,
            Self::Full => Tier::Full,
        }
    }
}

pub(crate) fn run(options: &RunOptions) -> u8 {
    if options.files.is_empty() { seeds::run(options) } else { scenario::run(options) }
}
