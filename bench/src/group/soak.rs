//! Full load for long: the group must keep its leader.

use std::error::Error;

use quorate_client::{MemberStatus, NodeStatus};
use serde::Serialize;

use super::report::{Mark, Report};
use super::runs::Run;
use super::{Common, Group};
use crate::Node;
use crate::append::connect;
use crate::machine::Machine;

const SECONDS: f64 = 600.0;

#[derive(Debug, Serialize)]
struct Soak {
    epoch_before: u64,
    epoch_after: u64,
    leader_before: String,
    leader_after: String,
    run: Run,
}

/// Loads the group and compares epochs: each election makes a new one.
pub(super) async fn run(mut common: Common, machine: Machine) -> Result<(), Box<dyn Error>> {
    common.load = common.load.or(16, 16, Some(SECONDS));
    let mut group = Group::find(&common)?;
    if let Ok(nodes) = group.own() {
        nodes.ready().await?;
    }
    let node = group.node();
    let before = status(&node).await?;
    let run = Run::measure(&node, &common.load, &common.data).await?;
    let after = status(&node).await?;
    group.end()?;
    let found = Soak {
        epoch_before: before.epoch,
        epoch_after: after.epoch,
        leader_before: leader(&before),
        leader_after: leader(&after),
        run,
    };
    // Epochs only grow.
    let elections = after.epoch.saturating_sub(before.epoch) as f64;
    let errors = found.run.load.errors as f64;
    let mut report = Report::new("soak", &common, machine, found);
    report.marks = vec![
        Mark::at_most("elections", 0.0, Some(elections)),
        Mark::at_most("appends that failed", 0.0, Some(errors)),
    ];
    Ok(report.print(&common, |soak| {
        println!("run     {}", soak.run.line());
        println!("latency {} us", soak.run.load.response.line());
        println!(
            "leader  {} in epoch {} before, {} in epoch {} after",
            soak.leader_before, soak.epoch_before, soak.leader_after, soak.epoch_after
        );
    })?)
}

/// The leader's name; nothing where there is none.
fn leader(status: &NodeStatus) -> String {
    let group = &status.replication;
    let leads = |member: &&MemberStatus| Some(member.node) == group.leader;
    group.members.iter().find(leads).map(|member| member.name.clone()).unwrap_or_default()
}

async fn status(node: &Node) -> Result<NodeStatus, Box<dyn Error>> {
    let client = connect(node).await?;
    let status = client.status().await?;
    client.close().await;
    Ok(status)
}
