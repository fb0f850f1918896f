//! Figures of a replication group: three nodes and the load, all on one machine.
//!
//! | figure | what is asked for |
//! |---|---|
//! | [`steady`] latency | one append at a time: p50 within 1.8 times the floor, p99 within 3 times p50 |
//! | [`steady`] throughput | 80,000 appends of 256 bytes a second |
//! | [`table`] | rate and latency of many loads, as a table and a plot |
//! | [`kill`] | less than 500 ms without a successful append when the leader is killed |
//! | [`slow`] | what a follower that hangs or limps does to latency |
//! | [`soak`] | no election under full load |
//!
//! A missed mark is a result, not an error: it is printed, and the exit code stays 0.

mod kill;
mod nodes;
mod report;
mod runs;
mod slow;
mod soak;
mod steady;
mod table;
mod throttle;

use std::error::Error;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::append::Load;
use crate::group::nodes::Nodes;
use crate::machine::Machine;
use crate::{Node, Output};

/// What `quorate-bench group` takes.
#[derive(Args)]
#[command(after_help = "\
Examples:
  quorate-bench group latency --runs 5
  quorate-bench group throughput --seconds 8
  quorate-bench group table --svg docs/benchmarks/table.svg
  quorate-bench group kill --kills 10
  quorate-bench group slow
  quorate-bench group soak --seconds 600

The three nodes are processes of the `quorate` beside this program. They are started in a folder of
their own in --data, and both are gone afterwards.")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    figure: Figure,
}

#[derive(Subcommand)]
enum Figure {
    /// One append at a time: its latency, beside the floor.
    Latency(Common),
    /// 16 connections with 16 appends under way on each: how many a second.
    Throughput(Common),
    /// Many loads: 64 B to 4 KiB, 1 to 256 in flight; as a Markdown table, and a plot.
    Table {
        #[command(flatten)]
        common: Common,
        /// Where to write the plot.
        #[arg(long, value_name = "PATH")]
        svg: Option<PathBuf>,
    },
    /// Kill the leader under load, again and again: the longest pause without a successful append.
    Kill {
        #[command(flatten)]
        common: Common,
        /// How often.
        #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
        kills: u32,
    },
    /// Latency with a follower that hangs, and with one that limps, beside three healthy nodes.
    Slow(Common),
    /// Full load for long: elections are counted.
    Soak(Common),
}

/// What all figures take.
#[derive(Args)]
struct Common {
    /// A group that runs already, all its nodes in one URI; without it three nodes are started.
    #[arg(long)]
    uri: Option<String>,
    /// The authority that signed the nodes' certificates; needed with `--uri`.
    #[arg(long, requires = "uri")]
    ca: Option<PathBuf>,
    /// Where the nodes' folder is made; with `--uri`, a folder on their disk, for the floor.
    #[arg(long, default_value = ".")]
    data: PathBuf,
    /// Valid runs to take the medians of. A run with too much steal is void and repeated; after
    /// twice as many runs there are no more.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    runs: u32,
    /// One more setting of each node, as a flag of `quorate serve`; may be given again. `{folder}`
    /// in it stands for the node's own folder.
    #[arg(long = "serve", value_name = "FLAG", allow_hyphen_values = true, conflicts_with = "uri")]
    serve: Vec<String>,
    #[command(flatten)]
    load: Load,
    #[command(flatten)]
    output: Output,
}

/// The group that is measured.
enum Group {
    Own(Nodes),
    Running(Node),
}

impl Group {
    fn find(common: &Common) -> Result<Self, Box<dyn Error>> {
        match &common.uri {
            Some(uri) => Ok(Self::Running(Node { uri: uri.clone(), ca: common.ca.clone() })),
            None => Ok(Self::Own(Nodes::start(&common.data, &common.serve)?)),
        }
    }

    /// How to reach it.
    fn node(&self) -> Node {
        match self {
            Self::Own(nodes) => nodes.node(),
            Self::Running(node) => Node { uri: node.uri.clone(), ca: node.ca.clone() },
        }
    }

    /// The processes; only of a group that was started here.
    fn own(&mut self) -> Result<&mut Nodes, &'static str> {
        match self {
            Self::Own(nodes) => Ok(nodes),
            Self::Running(_) => {
                Err("only nodes that were started here are stopped: leave --uri out")
            }
        }
    }

    /// Stops what was started.
    fn end(self) -> std::io::Result<()> {
        match self {
            Self::Own(nodes) => nodes.stop(),
            Self::Running(_) => Ok(()),
        }
    }
}

/// Measures one figure and prints it.
pub(crate) fn run(arguments: Arguments) -> Result<(), Box<dyn Error>> {
    let machine = Machine::this()?;
    let runtime = crate::runtime()?;
    match arguments.figure {
        Figure::Latency(common) => runtime.block_on(steady::latency(common, machine)),
        Figure::Throughput(common) => runtime.block_on(steady::throughput(common, machine)),
        Figure::Table { common, svg } => {
            runtime.block_on(table::run(common, machine, svg.as_deref()))
        }
        Figure::Kill { common, kills } => runtime.block_on(kill::run(common, machine, kills)),
        Figure::Slow(common) => runtime.block_on(slow::run(common, machine)),
        Figure::Soak(common) => runtime.block_on(soak::run(common, machine)),
    }
}
