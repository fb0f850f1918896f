//! A steady load on healthy nodes: how fast one append is, and how many there can be.

use std::error::Error;

use super::report::{Mark, Report, print_runs};
use super::runs::Runs;
use super::{Common, Group};
use crate::machine::Machine;

const BY_FLOOR_MAX: f64 = 1.8;
const P99_BY_P50_MAX: f64 = 3.0;
const RATE_MIN: f64 = 80_000.0;
const SECONDS: f64 = 8.0;

/// One append at a time.
pub(super) async fn latency(mut common: Common, machine: Machine) -> Result<(), Box<dyn Error>> {
    common.load = common.load.or(1, 1, Some(SECONDS));
    let runs = measure(&common).await?;
    let by_floor = runs.median(super::runs::Run::by_floor);
    let tail = runs.median(|run| run.load.response.p99 / run.load.response.p50);
    let mut report = Report::new("latency", &common, machine, runs);
    report.marks = vec![
        Mark::at_most("p50 by floor", BY_FLOOR_MAX, by_floor),
        Mark::at_most("p99 by p50", P99_BY_P50_MAX, tail),
    ];
    Ok(report.print(&common, print_runs)?)
}

/// As many as there can be.
pub(super) async fn throughput(mut common: Common, machine: Machine) -> Result<(), Box<dyn Error>> {
    common.load = common.load.or(16, 16, Some(SECONDS));
    let runs = measure(&common).await?;
    let rate = runs.median(|run| run.load.appends_per_s);
    let mut report = Report::new("throughput", &common, machine, runs);
    report.marks = vec![Mark::at_least("durable appends/s", RATE_MIN, rate)];
    Ok(report.print(&common, print_runs)?)
}

async fn measure(common: &Common) -> Result<Runs, Box<dyn Error>> {
    let mut group = Group::find(common)?;
    if let Ok(nodes) = group.own() {
        nodes.ready().await?;
    }
    let runs = Runs::measure(&group.node(), &common.load, &common.data, common.runs).await?;
    group.end()?;
    Ok(runs)
}
