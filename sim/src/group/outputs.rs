//! What a node's turn gave: frames for others, answers for clients, and what it says has happened.

use quorate_core::notice::{Notice, StepDown};
use quorate_node::engine::Fault;
use quorate_storage::disk::simulated::Survival;

use super::World;
use super::ghost::View;
use super::invariants;
use super::node;
use crate::history::Violation;
use crate::scenario::fault::Trigger;

impl World {
    /// Counts what happened, and looks at what a node says to have done to its log.
    pub(super) fn take_notices(&mut self, node: usize, after: &View) -> Result<(), Violation> {
        for notice in std::mem::take(&mut self.nodes[node].output.notices) {
            self.note(format_args!("node {node}: {notice:?}"));
            self.count(&notice);
            self.tell(|record, now| {
                if record.wants_details() {
                    record.note(now, Some(node), format!("{notice:?}"));
                }
            });
            match notice {
                Notice::Truncating { from, .. } => {
                    invariants::truncated(&mut self.ghost, node, from, after)?;
                    self.tell(|record, now| record.truncate(now, node, from.get() - 1));
                    self.happened(Trigger::Truncation);
                }
                Notice::Leading { .. } => self.happened(Trigger::LeaderElected),
                Notice::Campaigning { .. } => self.happened(Trigger::Election),
                Notice::SteppedDown { .. } => self.happened(Trigger::LeaderLost),
                _ => {}
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
            let said = node::peek(&packet);
            if let Some(message) = &said {
                self.trace.detail(|| format!("{:>13} {node} to {to}: {message:?}", self.now));
                invariants::said(&mut self.ghost, node, to, message)?;
            }
            let number = self.tell_frame(node, to, said.as_ref());
            let (network, queue) = (&mut self.network, &mut self.queue);
            let (way, place) = ((node, to), (lane, number));
            network.send(self.now, way, place, packet, queue, &mut self.coverage);
        }
        self.tell_lost();
        for (request, outcome) in output.replies.drain(..) {
            self.answer_leaves(request, outcome);
        }
        for (request, answer) in output.reads.drain(..) {
            self.read_answered(request, answer)?;
        }
        for (request, result) in output.transfers.drain(..) {
            self.transfer_answered(request, result);
        }
        output.notices.clear();
        output.writes.clear();
        output.commits.clear();
        for (index, from) in node::mended(&output.mended) {
            self.coverage.hit("mended entry");
            self.note(format_args!("node {node} mends entry {index} with node {from}'s"));
            self.tell(|record, now| record.mended(now, node, index, from));
        }
        output.mended.clear();
        output.sound.clear();
        for damage in output.damage.drain(..) {
            self.note(format_args!("node {node} can't read: {damage}"));
            self.tell(|record, now| record.note(now, Some(node), format!("can't read: {damage}")));
        }
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
        let text = fault.to_string();
        self.tell(|record, now| record.note(now, Some(node), format!("it stops: {text}")));
        if node::is_halt(fault) {
            if self.nodes[node].is_tainted {
                self.halt(node);
                return Ok(());
            }
            let story = format!("node {node} stops: {fault}");
            return Err(Violation { invariant: "halt", story });
        }
        self.coverage.hit("failed write or sync");
        self.crash(node, None);
        self.start_later(node);
        Ok(())
    }
}
