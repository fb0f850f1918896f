//! `quorate sim …`: hands over to the simulator, which is a program of its own.
//!
//! It is found beside this program, or else on the PATH. What it prints and what it exits with are
//! what this command prints and exits with.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use super::failure::Failure;

const PROGRAM: &str = "quorate-sim";

/// What `quorate sim` takes.
#[derive(Debug, clap::Args)]
#[command(
    disable_help_flag = true,
    after_help = "\
Examples:
  quorate sim run sim/scenarios/az-loss.toml
  quorate sim replay runs/az-loss-42 --step"
)]
pub struct Arguments {
    /// What the simulator is to do, in its own words; --help lists it
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
    arguments: Vec<OsString>,
}

/// Runs the simulator, and ends as it ends.
pub fn run(arguments: &Arguments, is_json: bool) -> ExitCode {
    let own = std::env::current_exe().ok();
    let program = beside(own.as_deref()).unwrap_or_else(|| PathBuf::from(PROGRAM));
    let ended = Command::new(&program).args(&arguments.arguments).status();
    match ended {
        Ok(status) => ExitCode::from(status.code().map_or(1, |code| code as u8)),
        Err(error) => Failure::failed(why_not(own.as_deref(), &error)).report(is_json),
    }
}

/// The simulator in the folder of this program, if it is there.
fn beside(own: Option<&Path>) -> Option<PathBuf> {
    let path = own?.with_file_name(PROGRAM);
    path.is_file().then_some(path)
}

fn why_not(own: Option<&Path>, error: &io::Error) -> String {
    if error.kind() != io::ErrorKind::NotFound {
        return format!("cannot start {PROGRAM}: {error}");
    }
    let folder = own.and_then(Path::parent).map(|folder| format!(" in {} and", folder.display()));
    format!(
        "there is no {PROGRAM}: looked{} on the PATH. It is built with `cargo build --release \
         --package quorate-sim`, and belongs beside this program",
        folder.unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_simulator_is_looked_for_beside_this_program() {
        let folder =
            std::env::temp_dir().join(format!("quorate-sim-beside-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let own = folder.join("quorate");
        assert_eq!(beside(Some(&own)), None);
        std::fs::write(folder.join(PROGRAM), "").unwrap();
        assert_eq!(beside(Some(&own)), Some(folder.join(PROGRAM)));
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn where_it_is_not_there_one_learns_how_to_get_it() {
        let error = io::Error::from(io::ErrorKind::NotFound);
        let told = why_not(Some(Path::new("/opt/quorate")), &error);
        assert!(told.contains("looked in /opt and on the PATH"), "{told}");
        assert!(told.contains("cargo build"), "{told}");
    }
}
