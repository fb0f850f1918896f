//! `quorate-bench`: load on a node, and what this machine could do at best.
//!
//! A figure without its conditions is worth nothing, so each run prints the measured floor, the
//! processor time that the hypervisor took away, and how the load was made. Latency counts from the
//! moment at which an append was *meant* to start: a load generator that waits for a slow answer
//! before it sends the next append hides exactly what one wants to know.

mod append;
mod floor;
mod group;
mod machine;
mod pace;
mod plot;
mod report;
mod scan;
mod shared_disk;
mod steal;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};
use serde::Serialize;

use floor::Floor;
use steal::{NOISY_PERCENT, Steal};

#[derive(Parser)]
#[command(name = "quorate-bench", version, about = "Measures a Quorate node and its machine")]
#[command(after_help = "\
Examples:
  quorate-bench floor --data /var/lib/quorate
  quorate-bench append --connections 1 --in-flight 1 --seconds 10 --data /var/lib/quorate
  quorate-bench append --connections 16 --in-flight 16 --rate 20000 -o json
  quorate-bench scan
  quorate-bench group latency --runs 5
  quorate-bench group table --svg docs/benchmarks/table.svg

Exit codes: 0 fine, 1 can't measure, 3 there were errors or appends that were not sent in time.")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measure a UDP round trip between two processes and a durable write of 4 KiB.
    Floor {
        /// A folder on the disk that is meant.
        #[arg(long, default_value = ".")]
        data: PathBuf,
        #[command(flatten)]
        output: Output,
    },
    /// Append events and measure how long each takes.
    Append {
        #[command(flatten)]
        node: Node,
        #[command(flatten)]
        load: append::Load,
        /// A folder on the node's disk, for the floor.
        #[arg(long, default_value = ".")]
        data: PathBuf,
        #[command(flatten)]
        output: Output,
    },
    /// Read `$all` from its start to its end and count.
    Scan {
        #[command(flatten)]
        node: Node,
        #[command(flatten)]
        output: Output,
    },
    /// Measure a group of three nodes; without `--uri` it is started, and removed afterwards.
    Group(group::Arguments),
    /// The other side of the UDP round trip; started by `floor`.
    #[command(hide = true)]
    Echo,
}

#[derive(Args)]
struct Node {
    /// Where the node is.
    #[arg(long, env = "QUORATE_URI", default_value = "quorate://127.0.0.1:2113")]
    uri: String,
    /// The authority that signed the node's certificate; not needed on the node's own machine.
    #[arg(long, env = "QUORATE_CA")]
    ca: Option<PathBuf>,
}

#[derive(Args)]
struct Output {
    /// For a person or for a program.
    #[arg(short, long = "output", value_enum, default_value_t = Format::Text)]
    output: Format,
    /// The same as `-o json`.
    #[arg(long, conflicts_with = "output")]
    json: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(3),
        Err(error) => {
            eprintln!("quorate-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Says whether the run passed.
fn run(command: Command) -> Result<bool, Box<dyn Error>> {
    match command {
        Command::Echo => floor::echo()?,
        Command::Floor { data, output } => {
            let steal = Steal::start()?;
            let floor = Floor::measure(&data)?;
            output.print(&floor, || {
                println!("UDP round trip between two processes  {:.1} us", floor.udp_rtt_us);
                println!("durable write of 4 KiB                {:.1} us", floor.durable_write_us);
                println!(
                    "two of three such writes at once      {:.1} us",
                    floor.second_of_three_us
                );
                println!("floor of one append                   {:.1} us", floor.sum_us());
                println!("floor of one append at a group        {:.1} us", floor.group_us());
                println!("the same, three nodes on one disk     {:.1} us", floor.shared_group_us());
            })?;
            warn_if_noisy(steal.percent()?);
        }
        Command::Append { node, load, data, output } => {
            let floor = Floor::measure(&data).map_err(|error| {
                format!("can't measure the floor in {}: {error}", data.display())
            })?;
            let report = runtime()?.block_on(append::run(&node, &load, floor))?;
            output.print(&report, || report.print())?;
            return Ok(report.passed());
        }
        Command::Group(arguments) => group::run(arguments)?,
        Command::Scan { node, output } => {
            let report = runtime()?.block_on(scan::run(&node))?;
            output.print(&report, || report.print())?;
        }
    }
    Ok(true)
}

/// One thread: the node needs the other processors.
fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

fn warn_if_noisy(percent: f64) {
    if percent > NOISY_PERCENT {
        eprintln!("NOISY: {percent:.1} % of processor time went to other guests; repeat this run");
    }
}

impl Output {
    /// Prints one JSON object on a line, or what `text` prints.
    fn print(&self, report: &impl Serialize, text: impl FnOnce()) -> serde_json::Result<()> {
        match self.output {
            Format::Text if !self.json => text(),
            Format::Text | Format::Json => println!("{}", serde_json::to_string(report)?),
        }
        Ok(())
    }
}
