//! `replay` of recordings: real nodes once more, by the same core.

use std::io::IsTerminal as _;
use std::path::PathBuf;

use quorate_sim::recording::merge::merge;
use quorate_sim::recording::page::Page;
use quorate_sim::recording::{Replayed, is_recording, replay};
use quorate_sim::report;
use quorate_sim::scenario::units;

use super::USAGE;
use super::replay::wait_for_return;

/// Something else came of the same inputs.
const DIVERGED: u8 = 4;

/// Goes through recordings again; 0 where all was as it was, 4 where it was not.
///
/// - `out`: where a report of all of them is to go
pub(crate) fn replay_all(
    folders: &[PathBuf],
    until: Option<&str>,
    is_stepping: bool,
    out: Option<&PathBuf>,
) -> u8 {
    match try_replay(folders, until, is_stepping, out) {
        Ok(same) => u8::from(!same) * DIVERGED,
        Err(problem) => {
            eprintln!("{problem}");
            USAGE
        }
    }
}

fn try_replay(
    folders: &[PathBuf],
    until: Option<&str>,
    is_stepping: bool,
    out: Option<&PathBuf>,
) -> Result<bool, String> {
    if let Some(folder) = folders.iter().find(|folder| !is_recording(folder)) {
        return Err(format!("{} holds no recording", folder.display()));
    }
    let until = until.map(units::duration).transpose()?;
    if let Some(out) = out {
        let replayed = merge(folders, out)?;
        let path = report::write(out).map_err(|error| error.to_string())?;
        println!("report in {}", path.display());
        for divergence in replayed.iter().filter_map(|it| it.divergence.as_ref()) {
            println!("NOT as it was: {divergence}");
        }
        return Ok(replayed.iter().all(is_same));
    }
    let mut all_same = true;
    for folder in folders {
        let pauses = is_stepping && std::io::stdin().is_terminal();
        let mut page = if is_stepping || until.is_some() {
            Page::stepping(until, pauses.then_some(wait_for_return as fn()))
        } else {
            Page::default()
        };
        let replayed = replay(folder, None, &mut page).map_err(|error| error.to_string())?;
        print!("{}", page.text(folder, &replayed));
        all_same &= is_same(&replayed);
    }
    Ok(all_same)
}

const fn is_same(replayed: &Replayed) -> bool {
    replayed.divergence.is_none()
}
