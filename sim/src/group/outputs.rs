//! What a node's turn gave: frames for others, answers for clients, and what it says has happened.

use quorate_core::notice::{Notice, StepDown};
use quorate_node::engine::Fault;
use quorate_storage::disk::simulated::Survival;

use super::World;
use super::ghost::View;
use super::invariants;
use super::node;
use super::schedule::{Event, MICROS};
use crate::history::Violation;

impl World {
    /// Counts what happened, and looks at what a node says to have done to its log.
    pub(super) fn take_notices(&mut self, node: usize, after: &View) -> Result<(), Violation> {
        for notice in std::mem::take(&mut self.nodes[node].output.notices) {
            self.note(format_args!("node {node}: {notice:?}"));
            self.count(&notice);
            if let Notice::Truncating { from, .. } = notice {
                invariants::truncated(&mut self.ghost, node, from, after)?;
            }
        }
        Ok(())
    }

    fn count(&mut self, notice: &Notice) {
        let what = match notice {
            Notice::Campaigning { .. } => "election",
            Notice::Leading { .. } => "leading",
            Notice::LeaderLost { .. } => "leader lost",
            Notice::SteppedDown { reason: StepDown::LaterEpoch, .. } => "stepped down: later epoch",
            Notice::SteppedDown { reason: StepDown::NoMajority, .. } => "stepped down: no majority",
            Notice::SteppedDown { reason: StepDown::NoProgress, .. } => "stepped down: no progress",
            Notice::SteppedDown { reason: StepDown::DiskFailed, .. } => "stepped down: disk failed",
            Notice::Truncating { .. } => "truncation",
            Notice::Resyncing { .. } => "follower resynced",
            Notice::Transferring { .. } => "transfer begun",
            Notice::TransferFailed { .. } => "transfer failed",
            Notice::DiskStalled { stalled: true } => "disk stalled",
            Notice::CantServe { .. } => "log unreadable for follower",
            Notice::BadMessage { .. } => "bad message",
            Notice::DuplicateAppend => "duplicate append",
            Notice::Overloaded => "overloaded",
            Notice::DiskSpace { full: true } => "disk full",
            _ => return,
        };
        self.coverage.hit(what);
    }

    /// Sends frames and answers on their ways.
    pub(super) fn take_outputs(&mut self, node: usize) -> Result<(), Violation> {
        let mut output = std::mem::take(&mut self.nodes[node].output);
        for outgoing in output.sends.drain(..) {
            let (to, lane, packet) = node::packet(outgoing);
            if let Some(message) = node::peek(&packet) {
                self.trace.detail(|| format!("{:>13} {node} to {to}: {message:?}", self.now));
                invariants::said(&mut self.ghost, node, to, &message)?;
            }
            let (network, queue) = (&mut self.network, &mut self.queue);
            network.send(self.now, (node, to), lane, packet, queue, &mut self.coverage);
        }
        for (request, outcome) in output.replies.drain(..) {
            if self.comes(self.plan.lost_answer) {
                continue;
            }
            let at = self.now + 20 * MICROS + self.schedule.below(300 * MICROS);
            self.queue.push(at, Event::Answer { request, outcome });
        }
        for (request, answer) in output.reads.drain(..) {
            self.read_answered(request, answer)?;
        }
        for (request, result) in output.transfers.drain(..) {
            self.transfer_answered(request, result);
        }
        output.notices.clear();
        output.writes.clear();
        output.damage.clear();
        self.nodes[node].output = output;
        Ok(())
    }

    /// A node stops because its disk has failed; anything else is wrong.
    pub(super) fn stop(&mut self, node: usize, fault: &Fault) -> Result<(), Violation> {
        self.note(format_args!("node {node} stops: {fault}"));
        if self.nodes[node].medium.has_crashed() {
            self.coverage.hit("power loss in recovery");
            self.crash(node, Some(Survival::Sectors));
            self.start_later(node);
            return Ok(());
        }
        if node::is_halt(fault) {
            let story = format!("node {node} stops: {fault}");
            return Err(Violation { invariant: "halt", story });
        } else {
            self.coverage.hit("failed write or sync");
        }
        self.crash(node, None);
        self.start_later(node);
        Ok(())
    }
}
