//! `quorate serve`.

use std::process::ExitCode;

use crate::config::{Config, Flags};

/// What `quorate serve` takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Stop when standard input ends, so as not to outlive whoever holds its other end
    #[arg(long, hide = true)]
    stop_with_stdin: bool,
    #[command(flatten)]
    flags: Flags,
}

/// Runs a node until it is told to stop.
pub fn run(arguments: &Arguments) -> ExitCode {
    match Config::load(&arguments.flags, |name| std::env::var(name).ok()) {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("quorate: {error}");
            ExitCode::from(2)
        }
    }
}
