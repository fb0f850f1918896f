//! `quorate verify`: every byte of a data folder, against every checksum and every promise.

use std::path::{Path, PathBuf};

use quorate_storage::data_folder::DataFolder;
use quorate_storage::disk::probe::{DiskChoice, open_disk};
use quorate_storage::disk::{Done, Op};
use quorate_storage::index::{self, IndexConfig, IndexLimits, IndexReport, StreamHasher};
use quorate_storage::io::Io;
use quorate_storage::log::{self, Home, LogReport};
use quorate_storage::superblock::{CopyLook, Identity, State, Superblock, SuperblockError};
use serde_json::{Value, json};

use super::failure::Failure;
use super::output::{Output, count};

/// What to do with a damaged log that others have, too.
const IN_A_GROUP: &str = "Start the node: it gets damaged records from the other nodes. Where it \
                          ends with this damage all the same, bring the folder back from a backup.";

/// Check every byte of a data folder whose node does not run
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  quorate verify ./quorate-data
  quorate verify /var/lib/quorate -o json

It reads the superblock, every record of the log with its chain, and the stream index; it changes
nothing. With -o json: one object each for the superblock, the log and the index, with part, sound,
found and damage (a list of sentences).
Exit codes: 0 all is as it was written, 1 something is damaged or can't be read.")]
pub struct Arguments {
    /// The data folder
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

/// What was found in one part of the folder.
struct Finding {
    part: &'static str,
    found: String,
    /// A sentence for each thing that is not as it was written.
    damage: Vec<String>,
    /// What to do about it.
    advice: &'static str,
}

impl Finding {
    fn text(&self) -> String {
        let verdict = if self.damage.is_empty() { "sound" } else { "DAMAGED" };
        let mut text = format!("{:<10}  {verdict}: {}", self.part, self.found);
        for damage in &self.damage {
            text += &format!("\n            - {damage}");
        }
        if !self.damage.is_empty() && !self.advice.is_empty() {
            text += &format!("\n            {}", self.advice);
        }
        text
    }

    fn object(&self) -> Value {
        json!({
            "part": self.part,
            "sound": self.damage.is_empty(),
            "found": self.found,
            "damage": self.damage,
        })
    }
}

/// Checks the folder and prints what it found.
///
/// # Errors
///
/// A folder that can't be read or is in use, or any damage.
pub(crate) fn run(arguments: &Arguments, output: &mut Output) -> Result<(), Failure> {
    let folder = open(&arguments.folder)?;
    let (disk, _) = open_disk(folder.path(), DiskChoice::Auto).map_err(Failure::failed)?;
    let io = Io::new(disk);
    let findings = io.block_on(examine(&io))?;
    for finding in &findings {
        output.result(&finding.text(), &finding.object());
    }
    output.flush_blocking()?;
    match findings.iter().map(|finding| finding.damage.len()).sum() {
        0 => Ok(()),
        1 => Err(Failure::failed("one thing is not as it was written")),
        count => Err(Failure::failed(format!("{count} things are not as they were written"))),
    }
}

/// Takes the folder, so that no node writes to it meanwhile.
fn open(path: &Path) -> Result<DataFolder, Failure> {
    // Taking a folder leaves a lock file in it: only a data folder is taken.
    let is_data = path.join("superblock").exists() || path.join("log").exists();
    if path.is_dir() && !is_data {
        let message = format!("{} is not the data folder of a node", path.display());
        return Err(
            Failure::failed(message).hint("Give the folder that `quorate serve --data` names.")
        );
    }
    DataFolder::open(path).map_err(Failure::failed)
}

async fn examine(io: &Io) -> Result<Vec<Finding>, Failure> {
    let (state, copies) = match Superblock::examine(io).await {
        Ok(examined) => examined,
        Err(error @ SuperblockError::Unreadable { .. }) => {
            return Ok(vec![unreadable_superblock(&error)]);
        }
        Err(error) => return Err(Failure::failed(error)),
    };
    let identity = state.identity;
    let superblock = superblock(&state, &copies);
    let home = Home { log: identity.log, disk: identity.disk };
    let log = log::verify(io, &home).await.map_err(Failure::failed)?;
    let config = IndexConfig {
        log: identity.log,
        hasher: StreamHasher::new(&identity.stream_key),
        limits: IndexLimits::PRODUCTION,
    };
    let index = if has_index(io).await? {
        index_finding(&index::verify(io, &config).await.map_err(Failure::failed)?)
    } else {
        no_index()
    };
    Ok(vec![superblock, log_finding(&log, identity.members.as_slice().len()), index])
}

/// A young node keeps its index in memory: there are no files then, and none is missed.
async fn has_index(io: &Io) -> Result<bool, Failure> {
    let listed = io.run(Op::List { folder: "index".into() }).await.map_err(Failure::failed)?;
    let Done::Listed(files) = listed else { unreachable!("a list gives names") };
    Ok(!files.is_empty())
}

fn no_index() -> Finding {
    Finding {
        part: "index",
        found: "nothing is written yet; the node makes it from the log".to_owned(),
        damage: Vec::new(),
        advice: "",
    }
}

fn unreadable_superblock(error: &SuperblockError) -> Finding {
    Finding {
        part: "superblock",
        found: "it says whose log this is; without it, nothing else can be checked".to_owned(),
        damage: vec![error.to_string()],
        advice: "",
    }
}

fn superblock(state: &State, copies: &[CopyLook]) -> Finding {
    let Identity { log, node, .. } = &state.identity;
    let damage = copies.iter().enumerate().filter_map(|(copy, look)| match look {
        CopyLook::Good => None,
        CopyLook::Other { .. } | CopyLook::Bad(_) => Some(format!("copy {copy}: {look}")),
    });
    let damage: Vec<String> = damage.collect();
    Finding {
        part: "superblock",
        found: format!(
            "{} of {} copies agree; node {node} of cluster {}",
            copies.len() - damage.len(),
            copies.len(),
            log.cluster,
        ),
        damage,
        advice: "Two copies that agree are enough: the node repairs the others at its next start.",
    }
}

/// - `members`: nodes of the group, this one included
fn log_finding(report: &LogReport, members: usize) -> Finding {
    let mut found = format!(
        "{} in {} and {}, up to position {}",
        count(report.events, "event"),
        count(report.records, "good record"),
        count(report.segments, "segment"),
        report.end.position,
    );
    if let Some(last) = report.truncating {
        found += &format!(
            "; the next start finishes a truncation: it removes what lies behind entry {last}, which \
             was never committed"
        );
    }
    if let Some(torn) = &report.torn {
        found += &format!(
            "; behind it lie {} of an append that was never finished, as a crash leaves them, and \
             that the next start cuts off",
            count(torn.bytes, "byte")
        );
    }
    Finding {
        part: "log",
        found,
        damage: report.damage.iter().map(ToString::to_string).collect(),
        advice: match members {
            1 => "A node does not serve what it can't trust: bring the folder back from a backup.",
            _ => IN_A_GROUP,
        },
    }
}

fn index_finding(report: &IndexReport) -> Finding {
    Finding {
        part: "index",
        found: format!(
            "{} in {}, up to position {}",
            count(report.events, "event"),
            count(report.runs as u64, "run"),
            report.covered
        ),
        damage: report.damage.iter().map(ToString::to_string).collect(),
        advice: "No event is lost by that: the node makes the index again from the log at its \
                 next start.",
    }
}
