//! `replay`: a run once more, from its plan.

use std::cell::RefCell;
use std::io::{IsTerminal as _, Read as _};
use std::path::Path;
use std::rc::Rc;

use quorate_sim::runner::{Job, Ran};
use quorate_sim::scenario::units;

use super::USAGE;
use super::folder::Folder;

/// Repeats a run; 0 where it did the same, 4 where it did not.
pub(crate) fn replay(path: &Path, until: Option<&str>, is_stepping: bool) -> u8 {
    match try_replay(path, until, is_stepping) {
        Ok(code) => code,
        Err(problem) => {
            eprintln!("{problem}");
            USAGE
        }
    }
}

fn try_replay(path: &Path, until: Option<&str>, is_stepping: bool) -> Result<u8, String> {
    let until = until.map(units::duration).transpose()?;
    let folder = Folder::open(path)?;
    let job = Job {
        scenario: folder.scenario.clone(),
        as_written: folder.as_written.clone(),
        seed: folder.seed(),
        tier: folder.tier(),
        planned: Some(folder.plan()?),
        folder: None,
        command: format!("quorate-sim replay {}", path.display()),
    };
    if is_stepping || until.is_some() {
        let step = move |line: &str| {
            if until.is_some_and(|until| time_of(line) > until) {
                // The world has no way to stop in the middle, and nothing of it is kept.
                std::process::exit(0);
            }
            show_line(line);
            if is_stepping && std::io::stdin().is_terminal() {
                wait_for_return();
            }
        };
        return job.run(Some(Box::new(step)), |_| 0).map_err(|error| error.to_string());
    }
    let mut recorded = folder.trace()?.into_iter().skip(1);
    let parted: Rc<RefCell<Option<String>>> = Rc::default();
    let found = Rc::clone(&parted);
    let mut count = 0_u64;
    let compare = move |line: &str| {
        count += 1;
        let expected = recorded.next();
        if expected.as_deref() != Some(line) && found.borrow().is_none() {
            let expected = expected.unwrap_or_else(|| "(the end)".to_owned());
            let story = format!("they part at event {count}:\n  - {expected}\n  + {line}");
            *found.borrow_mut() = Some(story);
        }
    };
    let expected = folder.text("trace_hash").unwrap_or("").to_owned();
    let parted = Rc::clone(&parted);
    let end = move |ran: &Ran| show_end(ran, &expected, parted.borrow().as_deref());
    job.run(Some(Box::new(compare)), end).map_err(|error| error.to_string())
}

fn show_end(ran: &Ran, expected: &str, parted: Option<&str>) -> u8 {
    let summary = &ran.summary;
    if summary.trace_hash == expected && parted.is_none() {
        let took = units::show(summary.wall_ms * 1_000_000);
        let length = units::show(summary.virtual_ns);
        println!("the same run: {length} in {took}, trace {}", summary.trace_hash);
        println!("verdict  {}", summary.verdict);
        return 0;
    }
    println!("NOT the same run: trace {} and not {expected}", summary.trace_hash);
    if let Some(story) = parted {
        println!("{story}");
    }
    4
}

/// Shows a line.
pub(crate) fn show_line(line: &str) {
    println!("{line}");
}

fn time_of(line: &str) -> u64 {
    let digits = line.strip_prefix("{\"t\":").unwrap_or("");
    let digits = digits.split(',').next().unwrap_or("");
    digits.parse().unwrap_or(0)
}

pub(crate) fn wait_for_return() {
    let mut byte = [0];
    while std::io::stdin().read(&mut byte).is_ok_and(|count| count == 1) && byte != *b"\n" {}
}
