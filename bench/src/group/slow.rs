//! What a follower that hangs or limps does to everybody's latency.
//!
//! The load comes at a steady rate, so that a node that takes no part leaves the others no more
//! processor time than they need. A slow disk is made by a control group of the kernel, where this
//! user may make one ([`super::throttle`]); a follower that is stopped nine tenths of the time needs
//! no rights, and takes part as late.

use std::error::Error;
use std::time::Duration;

use serde::Serialize;

use super::nodes::Nodes;
use super::report::{Mark, Report, print_runs};
use super::runs::{Run, Runs};
use super::throttle::Throttle;
use super::{Common, Group};
use crate::machine::Machine;

const RATE: f64 = 2_000.0;
const SECONDS: f64 = 5.0;
/// A limping follower is stopped for this long, and then goes on for a ninth of it.
const LIMP_STOPPED: Duration = Duration::from_millis(90);
const LIMP_RUNNING: Duration = Duration::from_millis(10);
/// What a slow disk lets through: a write and a flush take 40 to 70 ms, a healthy disk's 0.1 to 0.2.
const SLOW_DISK_WRITES_PER_S: u32 = 50;
/// Above this a slow follower is felt by everybody.
const RATIO_MAX: f64 = 2.0;

#[derive(Debug, Serialize)]
struct Slow {
    healthy: Runs,
    /// One follower does not run at all.
    stopped: Runs,
    /// One follower runs a tenth of the time.
    limping: Runs,
    /// The disk of one follower takes 40 to 70 ms for each write.
    slow_disk: Runs,
    /// Why that could not be made.
    slow_disk_missing: Option<String>,
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
        slow_disk: Runs::new(),
        slow_disk_missing: None,
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
        match slow_disk(nodes, &common).await? {
            Ok(run) => found.slow_disk.push(run),
            Err(missing) => found.slow_disk_missing = Some(missing),
        }
    }
    group.end()?;
    let p99 = |runs: &Runs| runs.median(|run| run.load.response.p99);
    let ratio = |runs: &Runs| Some(p99(runs)? / p99(&found.healthy)?);
    let marks = vec![
        Mark::at_most("p99 with a stopped follower by healthy", RATIO_MAX, ratio(&found.stopped)),
        Mark::at_most("p99 with a limping follower by healthy", RATIO_MAX, ratio(&found.limping)),
        Mark::at_most("p99 with a slow disk by healthy", RATIO_MAX, ratio(&found.slow_disk)),
    ];
    let mut report = Report::new("slow", &common, machine, found);
    report.marks = marks;
    Ok(report.print(&common, |slow| {
        for (name, runs) in [
            ("healthy", &slow.healthy),
            ("stopped", &slow.stopped),
            ("limping", &slow.limping),
            ("slow disk", &slow.slow_disk),
        ] {
            println!("\n{name}");
            print_runs(runs);
        }
        if let Some(missing) = &slow.slow_disk_missing {
            println!("no slow disk: {missing}");
        }
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

/// A run with a slow disk at one follower; or why there is none.
async fn slow_disk(
    nodes: &mut Nodes,
    common: &Common,
) -> Result<Result<Run, String>, Box<dyn Error>> {
    let leader = nodes.ready().await?.replication.name;
    let follower = nodes.follower(&leader);
    let process = nodes.id(&follower)?;
    let throttle = match Throttle::put(process, &common.data, SLOW_DISK_WRITES_PER_S) {
        Ok(throttle) => throttle,
        Err(error) => return Ok(Err(format!("a control group that slows it is refused: {error}"))),
    };
    let node = nodes.node_by_way_of(&leader);
    let run = Run::measure(&node, &common.load, &common.data).await?;
    drop(throttle);
    Ok(Ok(run))
}
