//! `run FILE`: one scenario with its picture, or several with a line each.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, PoisonError};

use quorate_sim::group::play::mutant_of;
use quorate_sim::leak::Leak;
use quorate_sim::record::LineShown;
use quorate_sim::runner::{Job, Ran};
use quorate_sim::scenario::check::{self, Tier};
use quorate_sim::scenario::model::Scenario;
use quorate_sim::scenario::units::show;
use quorate_sim::{report, scenario, swarm, timeline};

use super::USAGE;
use super::folder::fresh_seed;
use super::refusals::Refusals;
use super::replay::show_line;
use super::run::RunOptions;

/// Exit codes from the worst to the best.
const WORST_FIRST: [u8; 6] = [1, 3, 4, 5, USAGE, 0];

/// Runs all of them; gives the worst exit code.
pub(crate) fn run(options: &RunOptions) -> u8 {
    let mut files = Vec::new();
    for path in &options.files {
        match scenario_files(path) {
            Ok(found) => files.extend(found),
            Err(error) => {
                eprintln!("can't read {}: {error}", path.display());
                return USAGE;
            }
        }
    }
    if files.is_empty() {
        eprintln!("there is no scenario in {}", options.files[0].display());
        return USAGE;
    }
    if let Some(list) = &options.refused {
        match without_refused(list, files, options.tier.tier()) {
            Ok(rest) => files = rest,
            Err(problems) => {
                eprintln!("{}:\n  {}", list.display(), problems.join("\n  "));
                return USAGE;
            }
        }
    }
    match files.as_slice() {
        [file] if !options.twice => run_one(file, options),
        _ => run_all(files, options),
    }
}

fn without_refused(
    list: &Path,
    files: Vec<PathBuf>,
    tier: Tier,
) -> Result<Vec<PathBuf>, Vec<String>> {
    let text = std::fs::read_to_string(list).map_err(|error| vec![error.to_string()])?;
    Refusals::parse(&text).map_err(|problem| vec![problem])?.take_from(files, tier)
}

/// Runs each apart, some at once; gives the worst exit code.
fn run_all(mut files: Vec<PathBuf>, options: &RunOptions) -> u8 {
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let jobs = options.jobs.unwrap_or(processors).clamp(1, files.len().max(1));
    // The longest first, so that none is left for one processor alone.
    files.sort_by_key(|file| scenario::load(file).map_or(0, |(_, it)| it.run.virtual_time));
    let waiting = Mutex::new(files);
    let worst = AtomicU8::new(0);
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                loop {
                    let file = waiting.lock().unwrap_or_else(PoisonError::into_inner).pop();
                    let Some(file) = file else { return };
                    let code = run_apart(&file, options);
                    let update = |known| Some(worse(known, code));
                    let _ = worst.fetch_update(Ordering::Relaxed, Ordering::Relaxed, update);
                }
            });
        }
    });
    worst.into_inner()
}

/// What a scenario is called by those who run it: its file's name.
pub(crate) fn name_of(file: &Path) -> String {
    file.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// The worse of two exit codes.
pub(crate) fn worse(one: u8, other: u8) -> u8 {
    let rank = |code: u8| WORST_FIRST.iter().position(|it| *it == code).unwrap_or(0);
    if rank(one) <= rank(other) { one } else { other }
}

/// The file itself, or all scenarios of a folder.
pub(crate) fn scenario_files(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// A scenario that is ready to run, or with what to exit.
pub(crate) fn load(file: &Path, tier: Tier) -> Result<(String, Scenario), u8> {
    let (text, scenario) = scenario::load(file).map_err(|error| {
        eprint!("{error}");
        USAGE
    })?;
    can_run(&scenario, tier).map_err(|problem| {
        eprintln!("{}: {problem}", file.display());
        USAGE
    })?;
    Ok((text, scenario))
}

/// Whether a tier can do all that a scenario has.
pub(crate) fn can_run(scenario: &Scenario, tier: Tier) -> Result<(), String> {
    if let Some(mutant) = &scenario.mutant
        && mutant_of(mutant).is_none()
        && Leak::of(mutant).is_none()
    {
        return Err(format!("there is no deliberate mistake `{mutant}`"));
    }
    let unsupported = check::unsupported(scenario, tier);
    if unsupported.is_empty() {
        return Ok(());
    }
    Err(format!("the {} tier can't do this:\n  {}", tier.name(), unsupported.join("\n  ")))
}

fn run_one(file: &Path, options: &RunOptions) -> u8 {
    let (as_written, mut scenario) = match load(file, options.tier.tier()) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    if let Some(mutant) = &options.mutant {
        scenario.mutant = Some(mutant.clone());
        if let Err(problem) = can_run(&scenario, options.tier.tier()) {
            eprintln!("{problem}");
            return USAGE;
        }
    }
    let seed = options.seed.or(scenario.run.seed).unwrap_or_else(fresh_seed);
    if options.vary {
        scenario = swarm::vary(&scenario, seed);
    }
    if !options.brief {
        for problem in check::impossible(&scenario) {
            eprintln!("warning: {problem}");
        }
    }
    let folder = match (&options.output, options.brief) {
        (Some(folder), _) => Some(folder.clone()),
        (None, true) => None,
        (None, false) => Some(PathBuf::from(format!("runs/{}-{seed}", scenario.name))),
    };
    let command = command(file, seed, options);
    let job = Job {
        scenario,
        as_written,
        seed,
        tier: options.tier.tier(),
        planned: None,
        folder,
        command,
    };
    let lines: Option<LineShown> = if options.trace { Some(Box::new(show_line)) } else { None };
    let (is_brief, plain) = (options.brief, options.plain);
    let ended = job.run(lines, move |ran| {
        show_end(ran, is_brief, plain);
        ran.summary.exit_code
    });
    match ended {
        Ok(code) => code,
        Err(error) => {
            eprintln!("can't make the folder of the run: {error}");
            USAGE
        }
    }
}

/// What repeats a run.
fn command(file: &Path, seed: u64, options: &RunOptions) -> String {
    let mut command = format!("quorate-sim run {} --seed {seed}", file.display());
    if options.tier.tier() != Tier::Pure {
        command += &format!(" --tier {}", options.tier.tier().name());
    }
    if options.vary {
        command += " --vary";
    }
    if let Some(mutant) = &options.mutant {
        command += &format!(" --mutant {mutant}");
    }
    command
}

/// The picture of a run, or its summary in one line.
pub(crate) fn show_end(ran: &Ran, is_brief: bool, plain: bool) {
    if is_brief {
        println!("{}", serde_json::to_string(&ran.summary).expect("a summary is JSON"));
        return;
    }
    let is_coloured =
        !plain && std::env::var_os("NO_COLOR").is_none() && std::io::stdout().is_terminal();
    let style = timeline::Style { is_coloured };
    print!("{}", timeline::page(&ran.record.borrow(), &ran.summary, style));
    if let Some(error) = &ran.unwritten {
        println!("warning: the folder of the run is not complete: {error}");
    }
    let folder = ran.record.borrow().folder().map(Path::to_owned);
    if let Some(folder) = folder {
        match report::write(&folder) {
            Ok(path) => println!("picture  {}", path.display()),
            Err(error) => println!("warning: there is no picture of the run: {error}"),
        }
    }
}

/// Runs a scenario in a process of its own, or in two, and gives a line.
fn run_apart(file: &Path, options: &RunOptions) -> u8 {
    let arguments = |seed: Option<u64>| {
        let mut arguments = vec!["--tier".to_owned(), options.tier.tier().name().to_owned()];
        if let Some(seed) = seed {
            arguments.extend(["--seed".to_owned(), seed.to_string()]);
        }
        if let Some(mutant) = &options.mutant {
            arguments.extend(["--mutant".to_owned(), mutant.clone()]);
        }
        if options.vary {
            arguments.push("--vary".to_owned());
        }
        arguments
    };
    let first = match Brief::of(file, &arguments(options.seed)) {
        Ok(brief) => brief,
        Err((code, said)) => {
            println!("{:<34} can't be run\n{said}", file.display());
            return code;
        }
    };
    let mut code = first.exit_code;
    let mut note = String::new();
    if options.twice {
        match Brief::of(file, &arguments(Some(first.seed))) {
            Ok(second) if second.trace_hash == first.trace_hash => note = "  twice the same".into(),
            Ok(second) => {
                let (one, other) = (&first.trace_hash, &second.trace_hash);
                note = format!("  NOT THE SAME: {one} and then {other}");
                code = worse(code, 4);
            }
            Err((again, said)) => {
                note = format!("  and not a second time: {said}");
                code = worse(code, again);
            }
        }
    }
    let verdict = if code == 0 { "ok  " } else { "FAIL" };
    println!(
        "{verdict} {:<30} seed {:<20} {:>7} simulated in {:>8}{note}",
        name_of(file),
        first.seed,
        show(first.virtual_ns),
        show(first.wall_ms * 1_000_000),
    );
    if let Some(reason) = first.reason.as_ref().filter(|_| first.exit_code != 0) {
        println!(
            "     {}\n     again: quorate-sim run {} --seed {}",
            reason.replace('\n', "\n     "),
            file.display(),
            first.seed
        );
    }
    code
}

/// What one process says of one run.
#[derive(Clone, Debug, serde::Deserialize)]
pub(crate) struct Brief {
    pub(crate) seed: u64,
    pub(crate) exit_code: u8,
    pub(crate) virtual_ns: u64,
    pub(crate) wall_ms: u64,
    pub(crate) reason: Option<String>,
    pub(crate) signature: Option<String>,
    pub(crate) trace_hash: String,
    pub(crate) coverage: std::collections::BTreeMap<String, u64>,
}

impl Brief {
    /// Runs a scenario in another process of this program.
    pub(crate) fn of(file: &Path, arguments: &[String]) -> Result<Self, (u8, String)> {
        let program = std::env::current_exe().map_err(|error| (USAGE, error.to_string()))?;
        let output = Command::new(program)
            .arg("run")
            .arg(file)
            .arg("--brief")
            .args(arguments)
            .output()
            .map_err(|error| (USAGE, error.to_string()))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let line = text.lines().last().unwrap_or("");
        serde_json::from_str(line).map_err(|error| {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            let code = output.status.code().map_or(1, |code| code as u8);
            (code, if said.is_empty() { error.to_string() } else { said })
        })
    }
}
