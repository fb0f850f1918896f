//! The command line: one file below `cli/` for each command; here they are only listed.
//!
//! Every command prints its results on stdout and everything else on stderr, and ends with one of
//! the exit codes that `quorate --help` lists.

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use tokio::runtime;

pub mod append;
pub mod cert;
pub mod config;
mod connection;
mod content;
pub mod delete;
pub mod demo;
pub mod doctor;
mod expect;
mod failure;
pub mod import;
mod interrupt;
pub mod metadata;
pub mod output;
pub mod read;
pub mod selection;
pub mod serve;
pub mod sim;
pub mod status;
pub mod subscribe;
mod thread;
pub mod transfer;
pub mod verify;

pub use connection::Options;

use failure::Failure;
use output::Output;

/// Quorate: a low-latency event store.
#[derive(Debug, Parser)]
#[command(name = "quorate", version, propagate_version = true, arg_required_else_help = true)]
#[command(after_help = "\
Start here:
  quorate demo                                      three nodes with real data, until Ctrl-C
  quorate serve --data ./quorate-data               a node that keeps its data
  quorate append order-7 --type placed --data '{\"item\":\"tea\"}'
  quorate read '$all' --count 10

Exit codes:
  0    done
  1    refused, or failed
  2    the command line makes no sense
  3    no such stream, or it is deleted for ever
  4    the stream is not at the expected revision
  5    no node answered, or it could not be trusted
  6    unknown whether the change was made
  130  interrupted before the work was done")]
pub struct Cli {
    /// How to reach a node, and how to print.
    #[command(flatten)]
    pub options: Options,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a node
    Serve(serve::Arguments),
    /// See it work: three nodes in three zones, loaded with real flights, until Ctrl-C
    Demo(demo::Arguments),
    /// Append one event to a stream
    Append(append::Arguments),
    /// Import the rows of a CSV or NDJSON file as events
    Import(import::Arguments),
    /// Read events of a stream, or of '$all'
    Read(read::Arguments),
    /// Follow a stream, or '$all': history first, then each new event
    Subscribe(subscribe::Arguments),
    /// Hide all events of a stream, or close it for ever
    Delete(delete::Arguments),
    /// Show or set what a stream keeps: age, count, start
    Metadata(metadata::Arguments),
    /// Say how the group is, in plain words first
    Status(status::Arguments),
    /// Make another node lead
    TransferLeader(transfer::Arguments),
    /// Check every byte of a data folder whose node does not run
    Verify(verify::Arguments),
    /// Make certificates for nodes, look at them, and check them
    Cert(cert::Arguments),
    /// Check this machine: io_uring, direct I/O, disk latency, UDP, clock, free space
    Doctor(doctor::Arguments),
    /// Run a simulated group by a scenario: the program quorate-sim does it
    Sim(sim::Arguments),
    /// Show every setting: value, unit, and where the value comes from
    Config(config::Arguments),
    /// Print a completion script for a shell
    #[command(after_help = "\
Examples:
  quorate completion bash > ~/.local/share/bash-completion/completions/quorate
  quorate completion fish > ~/.config/fish/completions/quorate.fish")]
    Completion {
        /// Which shell
        shell: Shell,
    },
}

/// Runs what the process's arguments say, and tells how it ended.
#[must_use]
pub fn run() -> ExitCode {
    let Cli { options, command } = Cli::parse();
    let mut output = Output::new(options.output);
    let done = match &command {
        Command::Serve(arguments) => return serve::run(arguments),
        Command::Config(arguments) => return config::run(arguments, options.output),
        Command::Sim(arguments) => return sim::run(arguments, output.is_json()),
        Command::Verify(arguments) => verify::run(arguments, &mut output),
        Command::Cert(arguments) => cert::run(arguments, &mut output),
        Command::Doctor(arguments) => doctor::run(arguments, &mut output),
        Command::Completion { shell } => completion(*shell, &mut output),
        Command::Demo(_)
        | Command::Append(_)
        | Command::Import(_)
        | Command::Read(_)
        | Command::Subscribe(_)
        | Command::Delete(_)
        | Command::Metadata(_)
        | Command::TransferLeader(_)
        | Command::Status(_) => talk(&options, &command, &mut output),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(output.is_json()),
    }
}

/// Runs a command that needs the network.
fn talk(options: &Options, command: &Command, output: &mut Output) -> Result<(), Failure> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::failed(format!("cannot start: {error}")))?;
    let done = runtime.block_on(async {
        let done = match command {
            Command::Demo(arguments) => demo::run(options, arguments, output).await,
            Command::Append(arguments) => append::run(options, arguments, output).await,
            Command::Import(arguments) => import::run(options, arguments, output).await,
            Command::Read(arguments) => read::run(options, arguments, output).await,
            Command::Subscribe(arguments) => subscribe::run(options, arguments, output).await,
            Command::Delete(arguments) => delete::run(options, arguments, output).await,
            Command::Metadata(arguments) => metadata::run(options, arguments, output).await,
            Command::Status(arguments) => status::run(options, arguments, output).await,
            Command::TransferLeader(arguments) => transfer::run(options, arguments, output).await,
            Command::Serve(_)
            | Command::Config(_)
            | Command::Verify(_)
            | Command::Cert(_)
            | Command::Doctor(_)
            | Command::Sim(_)
            | Command::Completion { .. } => unreachable!("these need no network"),
        };
        take_leave().await;
        done
    });
    // A helper thread may be reading a pipe that nobody writes to: it is not waited for.
    runtime.shutdown_background();
    done
}

/// Lets the tasks of clients that were dropped tell the node so. Without that, each command would
/// leave a connection behind that the node keeps until it has been idle for too long.
async fn take_leave() {
    // A client's end goes from its session to its connection and on to its endpoint, each a task
    // that the one before it wakes; none of them waits for the network.
    for _ in 0..16 {
        tokio::task::yield_now().await;
    }
}

fn completion(shell: Shell, output: &mut Output) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "quorate", &mut script);
    output.raw(&script);
    output.flush_blocking()
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;
    use crate::config::SETTINGS;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn no_setting_has_a_name_that_means_something_to_every_command() {
        let command = Cli::command();
        for argument in command.get_arguments() {
            for setting in SETTINGS {
                assert_ne!(argument.get_id().as_str(), setting.name);
                assert_ne!(argument.get_env(), Some(OsStr::new(&setting.environment())));
            }
        }
    }

    #[test]
    fn every_setting_can_be_a_flag() {
        for setting in SETTINGS {
            let flag = format!("--{}", setting.flag());
            let parsed = Cli::try_parse_from(["quorate", "serve", &flag, "1"]).unwrap();
            assert!(matches!(parsed.command, Command::Serve(_)), "{flag}");
        }
    }

    #[test]
    fn what_is_for_the_simulator_is_not_looked_at() {
        let arguments = ["quorate", "sim", "run", "x.toml", "-o", "folder", "--seed", "7"];
        assert!(Cli::try_parse_from(arguments).is_ok());
        assert!(Cli::try_parse_from(["quorate", "sim", "--help"]).is_ok());
    }

    #[test]
    fn options_stand_before_or_behind_the_command() {
        for arguments in [["quorate", "-o", "json", "status"], ["quorate", "status", "-o", "json"]]
        {
            let cli = Cli::try_parse_from(arguments).unwrap();
            assert_eq!(cli.options.output, output::Format::Json);
        }
    }

    #[test]
    fn every_command_says_how_it_is_used() {
        for command in Cli::command().get_subcommands() {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("Examples:\n  quorate "), "{}", command.get_name());
        }
    }

    #[test]
    fn the_handbook_lists_every_command() {
        const HANDBOOK: &str = include_str!("../../docs/cli.md");
        for command in Cli::command().get_subcommands() {
            assert!(
                HANDBOOK.contains(&format!("`{}", command.get_name())),
                "{}",
                command.get_name()
            );
        }
    }
}
