//! `quorate doctor`: what of this machine a node would like to be otherwise, and how to mend it.

use std::path::{Path, PathBuf};

use super::failure::Failure;
use super::output::Output;

mod disk;
mod system;

/// Check this machine: io_uring, direct I/O, disk latency, UDP, clock, free space
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  quorate doctor
  quorate doctor --data /var/lib/quorate -o json

Each line is ok, warn (it works, but slower or less safely) or fail (a node can't run well here).
The exit code is 1 where anything fails, else 0.")]
pub struct Arguments {
    /// The data folder; where it does not exist yet, the nearest folder above it is checked
    #[arg(long, value_name = "DIR", env = "QUORATE_DATA", default_value = "quorate-data")]
    data: PathBuf,
}

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Ok,
    Warn,
    Fail,
}

impl Verdict {
    const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// One thing looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Check {
    name: &'static str,
    verdict: Verdict,
    found: String,
    mend: Option<String>,
}

impl Check {
    fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Ok, found: found.into(), mend: None }
    }

    fn warn(name: &'static str, found: impl Into<String>, mend: &str) -> Self {
        Self { verdict: Verdict::Warn, ..Self::fail(name, found, mend) }
    }

    fn fail(name: &'static str, found: impl Into<String>, mend: &str) -> Self {
        let mend = (!mend.is_empty()).then(|| mend.to_owned());
        Self { name, verdict: Verdict::Fail, found: found.into(), mend }
    }

    fn text(&self) -> String {
        let line = format!("{:<4}  {:<14}  {}", self.verdict.name(), self.name, self.found);
        match &self.mend {
            Some(mend) => format!("{line}\n      {:<14}  to mend it: {mend}", ""),
            None => line,
        }
    }

    fn object(&self) -> serde_json::Value {
        serde_json::json!({
            "check": self.name,
            "verdict": self.verdict.name(),
            "found": self.found,
            "mend": self.mend,
        })
    }
}

/// Looks at everything and prints what it found.
///
/// # Errors
///
/// Where anything fails.
pub(crate) fn run(arguments: &Arguments, output: &mut Output) -> Result<(), Failure> {
    let folder = existing_folder(&arguments.data)?;
    let mut checks = disk::checks(&folder);
    checks.extend([
        system::udp_buffers(),
        system::udp_offload(),
        system::clock(),
        system::free_space(&folder),
    ]);
    for check in &checks {
        output.result(&check.text(), &check.object());
    }
    output.flush_blocking()?;
    match checks.iter().filter(|check| check.verdict == Verdict::Fail).count() {
        0 => Ok(()),
        count => Err(Failure::failed(format!("{count} of {} checks failed", checks.len()))),
    }
}

/// The folder itself, or the nearest one above it that exists.
fn existing_folder(data: &Path) -> Result<PathBuf, Failure> {
    let data = std::path::absolute(data)
        .map_err(|error| Failure::usage(format!("--data {}: {error}", data.display())))?;
    let existing = data.ancestors().find(|folder| folder.exists()).expect("the root exists");
    if existing.is_dir() {
        return Ok(existing.to_owned());
    }
    Err(Failure::usage(format!(
        "--data {}: {} is not a folder",
        data.display(),
        existing.display()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_for_people_and_programs() {
        let check = Check::warn("udp_buffers", "small", "sysctl -w x=1");
        assert_eq!(
            check.text(),
            "warn  udp_buffers     small\n                      to mend it: sysctl -w x=1"
        );
        assert_eq!(
            check.object().to_string(),
            r#"{"check":"udp_buffers","found":"small","mend":"sysctl -w x=1","verdict":"warn"}"#
        );
    }

    #[test]
    fn the_folder_need_not_exist_yet() {
        let here = std::path::absolute(env!("CARGO_MANIFEST_DIR")).unwrap();
        assert_eq!(existing_folder(&here.join("no/such/folder")).unwrap(), here);
        let failure = existing_folder(&here.join("Cargo.toml/data")).unwrap_err();
        assert!(failure.message.ends_with("Cargo.toml is not a folder"), "{failure:?}");
    }
}
