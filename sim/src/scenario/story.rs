//! A fault in plain words, for people who read a run.

use super::fault::{DiskOperation, End, FaultKind, RotTarget, Side, Symmetry, Target, ZoneLoss};
use super::model::{Scenario, Share};
use super::names::Names;
use super::units::show_exactly;

/// What a fault does.
#[must_use]
pub fn fault(scenario: &Scenario, kind: &FaultKind) -> String {
    let names = Names::of(scenario);
    let who = || {
        let all: Vec<_> = kind.targets().iter().map(|it| names.show(*it)).collect();
        all.join(", ")
    };
    match kind {
        FaultKind::Partition { sides, symmetry, flap } => {
            let story = partition(&names, sides, *symmetry);
            match flap {
                Some(period) => format!("{story}, on and off every {}", show_exactly(*period)),
                None => story,
            }
        }
        FaultKind::Link { from, to, add_rtt, loss, duplicate, reorder, replay, bandwidth } => {
            let mut parts = Vec::new();
            if *add_rtt > 0 {
                parts.push(format!("{} more round trip", show_exactly(*add_rtt)));
            }
            let shares =
                [(loss, "lost"), (duplicate, "doubled"), (reorder, "late"), (replay, "replayed")];
            for (share, what) in shares.into_iter().filter(|(share, _)| **share > Share::NONE) {
                parts.push(format!("{} % {what}", share.number() * 100.0));
            }
            if let Some(bandwidth) = bandwidth {
                parts.push(format!("at most {} kbit/s", bandwidth / 1_000));
            }
            let [from, to] = [from, to].map(|end| match end {
                End::Any => "all others".to_owned(),
                End::Zone(zone) => names.zones[*zone].clone(),
                End::Node(target) => names.show(*target),
            });
            format!("between {from} and {to}: {}", parts.join(", "))
        }
        FaultKind::ZoneLoss { zone, mode: ZoneLoss::Power } => {
            format!("zone {} loses its power", names.zones[*zone])
        }
        FaultKind::ZoneLoss { zone, mode: ZoneLoss::Network } => {
            format!("zone {} is cut off", names.zones[*zone])
        }
        FaultKind::Crash { .. } => format!("the process of {} ends", who()),
        FaultKind::PowerLoss { .. } => format!("{} loses its power", who()),
        FaultKind::Restart { .. } => format!("{} is started", who()),
        FaultKind::Pause { .. } => format!("{} stands still", who()),
        FaultKind::SlowDisk { .. } => format!("the disk of {} is slow", who()),
        FaultKind::StallDisk { .. } => format!("nothing completes on the disk of {}", who()),
        FaultKind::DiskFull { .. } => format!("the disk of {} is full", who()),
        FaultKind::DiskError { operation, .. } => {
            let operation = match operation {
                DiskOperation::Write => "write",
                DiskOperation::Sync => "flush",
                DiskOperation::Read => "read",
            };
            format!("the next {operation} on the disk of {} fails", who())
        }
        FaultKind::Corrupt { what, sectors, .. } => {
            let what = match what {
                RotTarget::Log => "log",
                RotTarget::LogTail => "newest entries",
                RotTarget::Index => "index",
                RotTarget::Superblock => "superblock",
            };
            format!("{sectors} sectors of the {what} of {} rot", who())
        }
        FaultKind::TornWrite { .. } => {
            format!("{} loses its power in the middle of a write", who())
        }
        FaultKind::LyingFlush { count, .. } => {
            format!("the next {count} flushes of the disk of {} are lies", who())
        }
        FaultKind::ClockStep { by, .. } => {
            let direction = if *by < 0 { "back" } else { "forward" };
            format!(
                "the clock of {} jumps {direction} by {}",
                who(),
                show_exactly(by.unsigned_abs())
            )
        }
        FaultKind::ClockDrift { ppm, .. } => {
            let direction = if *ppm < 0 { "slow" } else { "fast" };
            format!("the clock of {} runs {} ppm {direction}", who(), ppm.unsigned_abs())
        }
        FaultKind::TransferLeader { to: Some(to) } => {
            format!("the lead is to go to {}", names.show(*to))
        }
        FaultKind::TransferLeader { to: None } => "the lead is to go to another".to_owned(),
        FaultKind::LoseAnswers { share } => {
            format!("{} % of the answers to clients are lost", share.number() * 100.0)
        }
    }
}

fn partition(names: &Names, sides: &[Side], symmetry: Symmetry) -> String {
    let side = |side: &Side| {
        let nodes = side.nodes.iter().map(|it| names.show(*it));
        let clients = side.clients.iter().map(|it| names.clients[*it].0.clone());
        nodes.chain(clients).collect::<Vec<_>>().join(", ")
    };
    let is_all =
        |side: &Side| (0..names.nodes.len()).all(|node| side.nodes.contains(&Target::Node(node)));
    let first = sides.first().map(side).unwrap_or_default();
    let others = match sides {
        [_, others] if is_all(others) => "all others".to_owned(),
        _ => sides.iter().skip(1).map(side).collect::<Vec<_>>().join(" | "),
    };
    match symmetry {
        Symmetry::Symmetric if sides.len() > 2 => format!("{first} | {others} are apart"),
        Symmetry::Symmetric => format!("{first} and {others} don't reach each other"),
        Symmetry::Inbound => format!("{first} hears nothing of {others}, and is heard"),
        Symmetry::Outbound => format!("{first} is not heard by {others}, and hears"),
    }
}
