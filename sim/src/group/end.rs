//! The end of a run: all is healed, the power goes once more, and then all disks must hold the same
//! and what clients were told.

use quorate_storage::disk::simulated::Survival;

use super::World;
use super::node::Node;
use super::schedule::{Event, MILLIS};
use crate::history::{Logged, Violation};
use crate::invariants as oracle;
use crate::reading::{self, Source};

impl World {
    /// Heals everything, and compares everything.
    pub(super) fn heal_and_judge(&mut self) -> Result<(), Violation> {
        self.heal_applied();
        self.heal();
        self.pass_until(self.now + 100 * MILLIS)?;
        self.is_closing = true;
        // Once more from the disks alone: what is only in memory does not count.
        for node in 0..self.nodes.len() {
            self.crash(node, Some(Survival::Nothing));
            self.queue.push(self.now + MILLIS, Event::Start { node });
        }
        self.pass_until(self.now + MILLIS)?;
        let left: Vec<usize> =
            (0..self.nodes.len()).filter(|node| !self.is_halted(*node)).collect();
        if left.len() < self.ghost.quorum {
            // Disks have deceived so many that the group has stopped, which is right.
            self.note(format_args!("only {left:?} are left: there is nothing to compare"));
            return Ok(());
        }
        self.must_become_equal(&left)?;
        let log = self.compare_nodes(&left)?;
        oracle::judge(&self.attempts, &log)?;
        self.judge_subscribers(&log)
    }

    /// All nodes show the same, byte for byte, and it is what the log and its metadata say.
    fn compare_nodes(&mut self, nodes: &[usize]) -> Result<Vec<Logged>, Violation> {
        let clocks = self.nodes[0].clock.at(self.now);
        let mut sources = Vec::new();
        for node in nodes {
            let Node { medium, engine, is_tainted, .. } = &self.nodes[*node];
            medium.release();
            let engine = engine.as_ref().expect("it has just agreed");
            sources.push((*node, Source::of(engine), *is_tainted));
        }
        let streams = self.workload.streams();
        reading::compare_nodes(&sources, &streams, clocks.wall, |node, violation| {
            self.note(format_args!("node {node} is not compared: {violation}"));
            self.tell(|record, now| record.unreadable(now, node, violation));
        })
    }
}
