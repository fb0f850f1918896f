//! The command line: one file below `cli/` for each group of commands; here they are only listed.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub mod config;
pub mod serve;

/// Quorate: a low-latency, replicated event store.
#[derive(Debug, Parser)]
#[command(name = "quorate", version, propagate_version = true, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a node
    Serve(serve::Arguments),
    /// Show every setting: value, unit, and where the value comes from
    Config(config::Arguments),
}

/// Runs what the process's arguments say, and tells how it ended.
#[must_use]
pub fn run() -> ExitCode {
    match Cli::parse().command {
        Command::Serve(arguments) => serve::run(&arguments),
        Command::Config(arguments) => config::run(&arguments),
    }
}
