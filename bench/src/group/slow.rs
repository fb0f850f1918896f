//! What a follower that hangs or limps does to everybody's latency.
//!
//! The load comes at a steady rate, so that a node that takes no part leaves the others no more
//! processor time than they need. A node has no switch that makes its disk slow (only the
//! simulator's disks have); a follower that is stopped nine tenths of the time is what stands for
//! it here: it takes part, late.

use std::error::Error;
use std::time::Duration;

use serde::Serialize;

use super::nodes::Nodes;
use super::report::{Mark, Report, print_runs};
use super::runs::{Run, Runs};
use super::{Common, Group};
use crate::machine::Machine;

const RATE: f64 = 2_000.0;
const SECONDS: f64 = 5.0;
/// A limping follower is stopped for this long, and then goes on for a ninth of it.
const LIMP_STOPPED: Duration = Duration::from_millis(90);
const LIMP_RUNNING: Duration = Duration::from_millis(10);
/// Above this a slow follower is felt by everybody.
const RATIO_MAX: f64 = 2.0;

#[derive(Debug, Serialize)]
struct Slow {
    healthy: Runs,
    /// One follower does not run at all.
    stopped: Runs,
    /// One follower runs a tenth of the time.
    limping: Runs,
    slow_disk: &'static str,
}

/// Measures the three in turn, so that a machine in a bad mood is so to all of them.
pub(super) async fn run(mut common: Common, machine: Machine) -> Result<(), Box<dyn Error>> {
    common.load = common.load.or(4, 16, Some(SECONDS)).at_rate(RATE);
    let mut group = Group::find(&common)?;
    let nodes = group.own()?;
    let mut found = Slow {
        healthy: Runs::new(),
        stopped: Runs::new(),
        limping: Runs::new(),
        slow_disk: "not measured: only the simulator can make a node's disk slow",
    };
    for round in 1..=2 * common.runs {
        let valid =
            [&found.healthy, &found.stopped, &found.limping].map(|runs| runs.valid().count());
        if valid.iter().all(|count| *count >= common.runs as usize) {
            break;
        }
        eprintln!("round {round}");
        let leader = nodes.ready().await?.replication.name;
        found
            .healthy
            .push(Run::measure(&nodes.node_by_way_of(&leader), &common.load, &common.data).await?);
        found.stopped.push(stopped(nodes, &common).await?);
        found.limping.push(limping(nodes, &common).await?);
    }
    group.end()?;
    let p99 = |runs: &Runs| runs.median(|run| run.load.response.p99);
    let ratio = |runs: &Runs| Some(p99(runs)? / p99(&found.healthy)?);
    let marks = vec![
        Mark::at_most("p99 with a stopped follower by healthy", RATIO_MAX, ratio(&found.stopped)),
        Mark::at_most("p99 with a limping follower by healthy", RATIO_MAX, ratio(&found.limping)),
    ];
    let mut report = Report::new("slow", &common, machine, found);
    report.marks = marks;
    Ok(report.print(&common, |slow| {
        for (name, runs) in
            [("healthy", &slow.healthy), ("stopped", &slow.stopped), ("limping", &slow.limping)]
        {
            println!("\n{name}");
            print_runs(runs);
        }
        println!("\nslow disk: {}", slow.slow_disk);
    })?)
}

async fn stopped(nodes: &mut Nodes, common: &Common) -> Result<Run, Box<dyn Error>> {
    let leader = nodes.ready().await?.replication.name;
    let follower = nodes.follower(&leader);
    nodes.freeze(&follower)?;
    let run = Run::measure(&nodes.node_by_way_of(&leader), &common.load, &common.data).await;
    nodes.thaw(&follower)?;
    run
}

async fn limping(nodes: &mut Nodes, common: &Common) -> Result<Run, Box<dyn Error>> {
    let leader = nodes.ready().await?.replication.name;
    let follower = nodes.follower(&leader);
    let node = nodes.node_by_way_of(&leader);
    let limp = async {
        loop {
            nodes.freeze(&follower)?;
            tokio::time::sleep(LIMP_STOPPED).await;
            nodes.thaw(&follower)?;
            tokio::time::sleep(LIMP_RUNNING).await;
        }
    };
    let run = tokio::select! {
        run = Run::measure(&node, &common.load, &common.data) => run,
        failed = limp => failed,
    };
    nodes.thaw(&follower)?;
    run
}
