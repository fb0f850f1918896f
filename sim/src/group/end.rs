//! The end of a run: all is healed, the power goes once more, and then all disks must hold the same
//! and what clients were told.

use quorate_storage::disk::simulated::Survival;

use super::World;
use super::schedule::{Event, MILLIS};
use crate::history::{Logged, Violation};
use crate::invariants as oracle;
use crate::reading;

/// All that a node shows: the log, and its streams.
type Shown = (Vec<Logged>, Vec<Option<Vec<Logged>>>);

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
        let streams = self.workload.streams();
        let metadata_streams = streams.iter().map(|stream| format!("$${stream}"));
        let names: Vec<String> = streams.iter().cloned().chain(metadata_streams).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut first: Option<Shown> = None;
        for node in nodes.iter().copied() {
            self.nodes[node].medium.release();
            let engine = self.nodes[node].engine.as_ref().expect("it has just agreed");
            let show = || -> Result<Shown, Violation> {
                let log = reading::log(engine, clocks.wall)?;
                let streams = names.iter().map(|name| reading::stream(engine, clocks.wall, name));
                Ok((log, streams.collect::<Result<_, _>>()?))
            };
            let (log, streams) = match show() {
                Ok(shown) => shown,
                // What has rotted is refused by name, and not shown as something else.
                Err(violation) if self.nodes[node].is_tainted => {
                    self.note(format_args!("node {node} is not compared: {violation}"));
                    continue;
                }
                Err(violation) => return Err(violation),
            };
            match &first {
                None => {
                    reading::compare_streams(&names, &streams, &log)?;
                    first = Some((log, streams));
                }
                Some(first) if *first == (log, streams) => {}
                Some(_) => {
                    let story = format!("node {node} shows other events than others do");
                    return Err(Violation { invariant: "nodes are equal", story });
                }
            }
        }
        let Some((log, _)) = first else {
            let story = "no node can read its log".to_owned();
            return Err(Violation { invariant: "reads", story });
        };
        Ok(log)
    }
}
