//! `quorate serve`.

use std::process::ExitCode;

use crate::config::{Config, Flags};
use crate::serve::serve;

/// What `quorate serve` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  quorate serve
  quorate serve --data /var/lib/quorate --listen 0.0.0.0:2113
  quorate serve --config quorate.toml

The first start makes the data folder and development certificates in it. Each flag below is also a
setting of the file and of the environment: see `quorate config`.")]
pub struct Arguments {
    /// Stop when standard input ends, so as not to outlive whoever holds its other end
    #[arg(long, hide = true)]
    stop_with_stdin: bool,
    #[command(flatten)]
    flags: Flags,
}

/// Runs a node until it is told to stop.
pub fn run(arguments: &Arguments) -> ExitCode {
    let loaded = match Config::load(&arguments.flags, |name| std::env::var(name).ok()) {
        Ok(loaded) => loaded,
        Err(error) => {
            eprintln!("quorate: {error}");
            return ExitCode::from(2);
        }
    };
    match serve(loaded.config, arguments.stop_with_stdin) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("quorate: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}
