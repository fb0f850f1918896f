//! `swarm`: many runs of a scenario, each a little different, and what fails in them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use quorate_sim::scenario::fault::FaultName;
use quorate_sim::scenario::units;

use super::USAGE;
use super::folder::fresh_seed;
use super::run::TierName;
use super::scenario::{Brief, load, scenario_files, worse};

/// What `swarm` takes.
#[derive(Args)]
pub(crate) struct SwarmOptions {
    /// A scenario, or a folder of them.
    path: PathBuf,
    /// Where they run.
    #[arg(long, value_enum, default_value_t = TierName::Pure)]
    tier: TierName,
    /// So many runs.
    #[arg(long, default_value_t = 100)]
    runs: u64,
    /// As many as there is time for, like 30min; instead of a number of runs.
    #[arg(long = "for", value_name = "TIME", conflicts_with = "runs")]
    time: Option<String>,
    /// Runs at once; as many as there are processors, if not given.
    #[arg(short)]
    jobs: Option<usize>,
    /// The first seed; drawn from the clock if not given.
    #[arg(long)]
    first: Option<u64>,
    /// With this deliberate mistake in the core.
    #[arg(long)]
    mutant: Option<String>,
}

/// One run in so many is done twice: it must be the same.
const TWICE_EVERY: u64 = 50;
/// Failing seeds of a signature that are named.
const SEEDS_SHOWN: usize = 5;

/// All runs of a swarm.
#[derive(Default)]
struct Tally {
    runs: u64,
    twice: u64,
    virtual_ns: u64,
    code: u8,
    /// By signature: the runs, as the file and the seed.
    failures: BTreeMap<String, Vec<(PathBuf, u64)>>,
    coverage: BTreeMap<String, u64>,
    unrun: BTreeMap<String, u64>,
}

/// A run of a swarm.
struct Done {
    file: PathBuf,
    seed: u64,
    brief: Result<Brief, (u8, String)>,
    again: Option<Result<Brief, (u8, String)>>,
}

impl SwarmOptions {
    /// What `run` is told, beside the file and the seed, so that it does what the swarm did.
    fn settings(&self) -> Vec<String> {
        let mut settings = vec!["--vary", "--tier", self.tier.tier().name()];
        if let Some(mutant) = &self.mutant {
            settings.extend(["--mutant", mutant.as_str()]);
        }
        settings.into_iter().map(str::to_owned).collect()
    }
}

/// Runs a swarm; gives the worst exit code of its runs.
pub(crate) fn swarm(options: &SwarmOptions) -> u8 {
    let time = match options.time.as_deref().map(units::duration).transpose() {
        Ok(time) => time.map(Duration::from_nanos),
        Err(problem) => {
            eprintln!("--for: {problem}");
            return USAGE;
        }
    };
    let files = match scenario_files(&options.path) {
        Ok(files) if !files.is_empty() => files,
        Ok(_) => {
            eprintln!("there is no scenario in {}", options.path.display());
            return USAGE;
        }
        Err(error) => {
            eprintln!("can't read {}: {error}", options.path.display());
            return USAGE;
        }
    };
    // What is wrong with a file is said once, and not by each run.
    for file in &files {
        if let Err(code) = load(file, options.tier.tier()) {
            return code;
        }
    }
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let jobs = options.jobs.unwrap_or(processors).max(1);
    let first = options.first.unwrap_or_else(fresh_seed);
    println!("swarm of {}, from seed {first} on", options.path.display());
    let start = Instant::now();
    let tally = run_all(&files, options, (jobs, first, time));
    report(&tally, options, start.elapsed());
    tally.code
}

fn run_all(
    files: &[PathBuf],
    options: &SwarmOptions,
    (jobs, first, time): (usize, u64, Option<Duration>),
) -> Tally {
    let start = Instant::now();
    let next = AtomicU64::new(0);
    let bar = progress_bar(time.is_none().then_some(options.runs));
    let (sender, receiver) = mpsc::channel::<Done>();
    let mut tally = Tally::default();
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            let (sender, next) = (sender.clone(), &next);
            scope.spawn(move || {
                loop {
                    let run = next.fetch_add(1, Ordering::Relaxed);
                    let is_over = match time {
                        Some(time) => start.elapsed() >= time,
                        None => run >= options.runs,
                    };
                    if is_over || sender.send(one(files, options, first, run)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        for done in receiver {
            tally.add(done);
            bar.inc(1);
            let rate = tally.runs as f64 / start.elapsed().as_secs_f64().max(1e-9);
            let failed: usize = tally.failures.values().map(Vec::len).sum();
            bar.set_message(format!("{rate:.1} runs/s, {failed} failed"));
        }
    });
    bar.finish_and_clear();
    tally
}

fn progress_bar(runs: Option<u64>) -> ProgressBar {
    let bar = runs.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
    let template = match runs {
        Some(_) => "swarm [{bar:30}] {pos}/{len}  {msg}  eta {eta}",
        None => "swarm {spinner} {pos} runs  {msg}  {elapsed}",
    };
    let style = ProgressStyle::with_template(template).expect("the template is right");
    bar.set_style(style.progress_chars("=> "));
    bar
}

fn one(files: &[PathBuf], options: &SwarmOptions, first: u64, run: u64) -> Done {
    let file = files[(run % files.len() as u64) as usize].clone();
    let seed = first.wrapping_add(run / files.len() as u64);
    let mut arguments = options.settings();
    arguments.extend(["--seed".to_owned(), seed.to_string()]);
    let brief = Brief::of(&file, &arguments);
    let again = run.is_multiple_of(TWICE_EVERY).then(|| Brief::of(&file, &arguments));
    Done { file, seed, brief, again }
}

impl Tally {
    fn add(&mut self, done: Done) {
        self.runs += 1;
        let brief = match done.brief {
            Ok(brief) => brief,
            Err((code, said)) => {
                self.code = worse(self.code, code);
                *self.unrun.entry(said).or_default() += 1;
                return;
            }
        };
        self.code = worse(self.code, brief.exit_code);
        self.virtual_ns = self.virtual_ns.saturating_add(brief.virtual_ns);
        for (pair, count) in &brief.coverage {
            *self.coverage.entry(pair.clone()).or_default() += count;
        }
        if let Some(again) = done.again {
            self.twice += 1;
            if again.is_ok_and(|again| again.trace_hash != brief.trace_hash) {
                self.code = worse(self.code, 4);
                let signature = "not deterministic".to_owned();
                let runs = self.failures.entry(signature).or_default();
                runs.push((done.file.clone(), done.seed));
            }
        }
        if let Some(signature) = brief.signature {
            self.failures.entry(signature).or_default().push((done.file, done.seed));
        }
    }
}

fn report(tally: &Tally, options: &SwarmOptions, took: Duration) {
    let days = tally.virtual_ns as f64 / 86_400e9;
    println!(
        "{} runs in {:.1} s ({:.1}/s), {days:.2} simulated days; {} done twice",
        tally.runs,
        took.as_secs_f64(),
        tally.runs as f64 / took.as_secs_f64().max(1e-9),
        tally.twice,
    );
    for (said, count) in &tally.unrun {
        println!("{count} could not be run: {said}");
    }
    if tally.failures.is_empty() && tally.unrun.is_empty() {
        println!("nothing failed");
    }
    let settings = options.settings().join(" ");
    for (signature, runs) in &tally.failures {
        let seeds: Vec<String> =
            runs.iter().take(SEEDS_SHOWN).map(|(_, seed)| seed.to_string()).collect();
        let more = if runs.len() > SEEDS_SHOWN { " …" } else { "" };
        println!("{:>5} x  {signature}", runs.len());
        println!("         seeds {}{more}", seeds.join(", "));
        let (file, seed) = &runs[0];
        println!("         quorate-sim run {} --seed {seed} {settings}", file.display());
    }
    let kinds: Vec<&String> = tally.coverage.keys().filter(|key| !key.contains(" + ")).collect();
    let pairs = tally.coverage.len() - kinds.len();
    let possible = kinds.len() * kinds.len().saturating_sub(1) / 2;
    println!(
        "coverage {} of {} kinds of faults, {pairs} of the {possible} pairs of those at once",
        kinds.len(),
        FaultName::ALL.len()
    );
}
