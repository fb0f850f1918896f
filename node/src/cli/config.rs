//! `quorate config`.

use std::io::{self, Write};
use std::process::ExitCode;

use super::output::Format;
use crate::config::{Config, Flags, Loaded, SETTINGS};

/// What `quorate config` takes: the flags of `quorate serve`, to see what it would do.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  quorate config
  quorate config --config quorate.toml -o json
  QUORATE_DATA=/var/lib/quorate quorate config

A flag wins over the environment, that over the file, and that over the default.")]
pub struct Arguments {
    #[command(flatten)]
    flags: Flags,
}

/// Prints every setting, its value, unit and origin.
pub fn run(arguments: &Arguments, format: Format) -> ExitCode {
    let loaded = match Config::load(&arguments.flags, |name| std::env::var(name).ok()) {
        Ok(loaded) => loaded,
        Err(error) => {
            eprintln!("quorate: {error}");
            return ExitCode::from(2);
        }
    };
    let text = match format {
        Format::Text => table(&loaded),
        Format::Json => lines(&loaded),
    };
    match io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("quorate: can't write to standard output: {error}");
            ExitCode::FAILURE
        }
    }
}

fn table(loaded: &Loaded) -> String {
    let mut text = format!("{:<28} {:<24} {:<22} {}\n", "setting", "value", "unit", "origin");
    for setting in SETTINGS {
        let value = loaded.config.show(setting.name);
        let origin = loaded.origin(setting.name);
        text += &format!("{:<28} {value:<24} {:<22} {origin}\n", setting.name, setting.unit);
    }
    text
}

fn lines(loaded: &Loaded) -> String {
    let mut text = String::new();
    for setting in SETTINGS {
        let line = serde_json::json!({
            "setting": setting.name,
            "value": loaded.config.show(setting.name),
            "unit": setting.unit,
            "origin": loaded.origin(setting.name).to_string(),
            "default": Config::default().show(setting.name),
            "environment": setting.environment(),
            "flag": format!("--{}", setting.flag()),
            "about": setting.doc(),
        });
        text += &format!("{line}\n");
    }
    text
}
