//! The end of a run: all is healed, the power goes once more, and then all disks must hold the same
//! and what clients were told.

use quorate_storage::disk::simulated::Survival;

use super::World;
use super::schedule::{Event, MILLIS};
use crate::history::{Logged, Violation};
use crate::invariants as oracle;
use crate::reading;
use crate::workload::STREAMS;

/// All that a node shows: the log, and its streams.
type Shown = (Vec<Logged>, Vec<Option<Vec<Logged>>>);

impl World {
    /// Heals everything, and compares everything.
    pub(super) fn heal_and_judge(&mut self) -> Result<(), Violation> {
        self.heal();
        self.pass_until(self.now + 100 * MILLIS)?;
        self.is_closing = true;
        // Once more from the disks alone: what is only in memory does not count.
        for node in 0..self.nodes.len() {
            self.crash(node, Some(Survival::Nothing));
            self.queue.push(self.now + MILLIS, Event::Start { node });
        }
        self.must_become_equal()?;
        let log = self.compare_nodes()?;
        oracle::judge(&self.attempts, &log)?;
        self.judge_subscribers(&log)
    }

    /// All nodes show the same, byte for byte, and it is what the log and its metadata say.
    fn compare_nodes(&mut self) -> Result<Vec<Logged>, Violation> {
        let clocks = self.nodes[0].clock.at(self.now);
        let metadata_streams = STREAMS.map(|stream| format!("$${stream}"));
        let names: Vec<&str> =
            STREAMS.into_iter().chain(metadata_streams.iter().map(String::as_str)).collect();
        let mut first: Option<Shown> = None;
        for node in 0..self.nodes.len() {
            self.nodes[node].medium.release();
            let engine = self.nodes[node].engine.as_ref().expect("it has just agreed");
            let log = reading::log(engine, clocks.wall)?;
            let streams: Vec<_> = names
                .iter()
                .map(|name| reading::stream(engine, clocks.wall, name))
                .collect::<Result<_, _>>()?;
            match &first {
                None => {
                    reading::compare_streams(&names, &streams, &log)?;
                    first = Some((log, streams));
                }
                Some(first) if *first == (log, streams) => {}
                Some(_) => {
                    let story = format!("node {node} shows other events than node 0");
                    return Err(Violation { invariant: "nodes are equal", story });
                }
            }
        }
        Ok(first.expect("a group has nodes").0)
    }
}
