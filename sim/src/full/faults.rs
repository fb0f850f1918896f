//! Faults of a scenario as they strike and end in a world of whole nodes.

use std::collections::BTreeSet;

use quorate_storage::disk::simulated::{Fault as DiskFault, Survival};

use super::lab::Errand;
use super::wire::{self, Quality};
use super::world::{Event, World, machine};
use crate::group::rot;
use crate::scenario::check;
use crate::scenario::fault::{
    DiskOperation, End, Fault, FaultKind, FaultName, Side, Trigger, ZoneLoss,
};
use crate::scenario::model::Share;

/// A fault that has struck.
pub(super) struct Applied {
    fault: Fault,
    is_over: bool,
    /// Directions between machines that it cuts, and whether it does so now.
    ways: Vec<(usize, usize)>,
    is_cut: bool,
}

impl World {
    /// A fault of the script is to strike now.
    pub(super) fn scripted(&mut self, fault: usize) {
        let running = self.applied.iter().filter(|it| !it.is_over).map(|it| &it.fault);
        let running: Vec<&Fault> = running.collect();
        match self.script.aim(fault, self.now(), self.leading(), &running) {
            Some(Ok(fault)) => self.strike(fault),
            Some(Err(story)) => self.lab.note(None, story),
            None => {}
        }
    }

    /// Who leads, or led last.
    fn leading(&self) -> usize {
        let state = self.lab.see();
        state.leader().unwrap_or(state.last_leader)
    }

    fn strike(&mut self, fault: Fault) {
        let until = fault.lasts.map(|lasts| self.now() + lasts);
        let number = self.lab.record.borrow_mut().fault(self.now(), &fault, until);
        let is_over = fault.kind.name().is_momentary();
        let ways = self.cut_by(&fault.kind);
        self.applied.push(Applied { fault: fault.clone(), is_over, ways, is_cut: true });
        self.set_cuts();
        if let FaultKind::Partition { flap: Some(period), .. } = fault.kind {
            self.at(self.now() + period, Event::Flap { number });
        }
        if let Some(until) = until {
            self.at(until, Event::Heal { number });
        }
        self.carry_out(number, &fault.kind);
        if is_over {
            self.lab.record.borrow_mut().heal(self.now(), number);
        }
    }

    /// The directions between machines that a fault cuts.
    fn cut_by(&self, kind: &FaultKind) -> Vec<(usize, usize)> {
        let all = 0..self.zones.len();
        match kind {
            FaultKind::Partition { sides, symmetry, .. } => {
                let count = self.computers.len();
                let members = |side: &Side| -> Vec<usize> {
                    let nodes = side.nodes.iter().map(|it| it.node());
                    nodes.chain(side.clients.iter().map(|client| count + client)).collect()
                };
                let sides: Vec<Vec<usize>> = sides.iter().map(members).collect();
                check::between(&sides, *symmetry)
            }
            FaultKind::ZoneLoss { zone, mode: ZoneLoss::Network } => {
                let is_inside = |it: usize| self.zones[it] == *zone;
                let pairs = all.clone().flat_map(|from| all.clone().map(move |to| (from, to)));
                pairs.filter(|(from, to)| is_inside(*from) != is_inside(*to)).collect()
            }
            // The clients of the zone are as dead as its nodes, but come back with what they know.
            FaultKind::ZoneLoss { zone, mode: ZoneLoss::Power } => {
                let count = self.computers.len();
                let clients = all.clone().filter(|it| *it >= count && self.zones[*it] == *zone);
                clients
                    .flat_map(|client| {
                        let others = all.clone().filter(move |it| *it != client);
                        others.flat_map(move |other| [(client, other), (other, client)])
                    })
                    .collect()
            }
            _ => Vec::new(),
        }
    }

    /// What a fault does beside its cuts.
    fn carry_out(&mut self, number: usize, kind: &FaultKind) {
        let struck = self.scenario.struck(kind);
        match kind {
            FaultKind::Partition { .. } | FaultKind::ZoneLoss { mode: ZoneLoss::Network, .. } => {}
            FaultKind::Link { .. } => self.set_qualities(),
            FaultKind::ZoneLoss { mode: ZoneLoss::Power, .. } | FaultKind::PowerLoss { .. } => {
                for node in struck {
                    self.end(node, Some(self.scenario.survival(node)));
                }
            }
            FaultKind::Crash { .. } => struck.into_iter().for_each(|node| self.end(node, None)),
            FaultKind::Restart { .. } => {
                for node in struck {
                    self.end(node, None);
                    self.at(self.now() + 1, Event::Start { node });
                }
            }
            FaultKind::SlowDisk { write, fsync, .. } => {
                for node in struck {
                    let slow = (number, write.clone(), fsync.clone());
                    self.computers[node].drive.borrow_mut().pace.slow.push(slow);
                }
            }
            FaultKind::StallDisk { .. } => {
                for node in struck {
                    self.computers[node].drive.borrow_mut().pace.stalls.push(number);
                }
            }
            FaultKind::DiskFull { .. } => {
                struck.into_iter().for_each(|it| self.computers[it].medium.set_space(0));
            }
            FaultKind::DiskError { operation, .. } => {
                for node in struck {
                    self.lab.change().nodes[node].is_tainted |= *operation == DiskOperation::Read;
                    self.computers[node].medium.inject(operation.fault());
                }
            }
            FaultKind::Corrupt { what, sectors, .. } => {
                for node in struck {
                    self.lab.change().nodes[node].is_tainted = true;
                    let medium = self.computers[node].medium.clone();
                    for (name, offset) in rot::places(&medium, *what, *sectors, &mut self.faults) {
                        medium.rot(&name, offset);
                        self.lab.note(Some(node), format!("a bit of {name} at {offset} flips"));
                    }
                }
            }
            FaultKind::TornWrite { .. } => self.to_be_torn.extend(struck),
            FaultKind::LyingFlush { count, .. } => {
                for node in struck {
                    self.lab.change().nodes[node].is_tainted = true;
                    let medium = &self.computers[node].medium;
                    (0..*count).for_each(|_| medium.inject(DiskFault::LyingFlush));
                }
            }
            FaultKind::ClockStep { by, .. } => {
                for node in struck {
                    self.computers[node].clock.borrow_mut().jump(by / 100);
                }
            }
            FaultKind::ClockDrift { ppm, .. } => {
                let rate = 1_000_000_u64.saturating_add_signed(*ppm);
                for node in struck {
                    self.computers[node].clock.borrow_mut().set_rate(self.now(), rate);
                }
            }
            FaultKind::TransferLeader { to } => {
                let to = to.as_ref().map(|to| self.scenario.nodes[to.node()].name.clone());
                if !self.lab.calls.is_empty() {
                    self.send_on(0, Errand::Transfer { to });
                }
            }
            FaultKind::Pause { .. } => struck.into_iter().for_each(|it| self.pause(number, it)),
            FaultKind::LoseAnswers { .. } => {
                unreachable!("the loader refuses what this tier can't do")
            }
        }
    }

    /// A node's machine stands still, until it is to go on.
    fn pause(&self, number: usize, node: usize) {
        self.computers[node].gate.close(number);
        self.tell_of_pause(node);
    }

    fn go_on(&self, number: usize, node: usize) {
        self.computers[node].gate.open(number);
        self.tell_of_pause(node);
    }

    fn tell_of_pause(&self, node: usize) {
        self.lab.change().nodes[node].is_paused = self.computers[node].gate.is_closed();
        self.lab.tell_of(node);
    }

    /// The power goes in the middle of a write, where it is to.
    pub(super) fn tear(&mut self) {
        let to_be_torn = std::mem::take(&mut self.to_be_torn);
        for node in to_be_torn {
            if self.computers[node].medium.in_flight().is_empty() {
                self.to_be_torn.push(node);
                continue;
            }
            self.end(node, Some(Survival::SmallSectors));
            // Its fault may have ended while it waited for a write.
            self.at(self.now() + 1, Event::Start { node });
        }
    }

    /// Brings turmoil's partitions to where the faults that last want them.
    fn set_cuts(&mut self) {
        let cutting = self.applied.iter().filter(|it| !it.is_over && it.is_cut);
        let wanted: BTreeSet<(usize, usize)> =
            cutting.flat_map(|it| it.ways.iter().copied()).collect();
        let known: BTreeSet<(usize, usize)> = self.cut.iter().copied().collect();
        for one in 0..self.zones.len() {
            for other in one + 1..self.zones.len() {
                let ways = [(one, other), (other, one)];
                let [there, back] = ways.map(|way| wanted.contains(&way));
                if [there, back] == ways.map(|way| known.contains(&way)) {
                    continue;
                }
                let (a, b) = (machine(one), machine(other));
                self.sim.repair(a, b);
                match (there, back) {
                    (true, true) => self.sim.partition(a, b),
                    (true, false) => self.sim.partition_oneway(a, b),
                    (false, true) => self.sim.partition_oneway(b, a),
                    (false, false) => {}
                }
            }
        }
        self.cut = wanted.into_iter().collect();
    }

    /// Brings the ways to where links and the faults that last want them.
    pub(super) fn set_qualities(&self) {
        for from in 0..self.zones.len() {
            for to in (0..self.zones.len()).filter(|to| *to != from) {
                wire::set_quality(from, to, self.quality(from, to));
            }
        }
    }

    fn quality(&self, from: usize, to: usize) -> Quality {
        let link = self.scenario.link(self.zones[from], self.zones[to]);
        let mut quality = Quality {
            loss: link.loss,
            duplicate: link.duplicate,
            reorder: link.reorder,
            bandwidth: link.bandwidth,
            rtt: link.rtt.clone(),
            ..Quality::PERFECT
        };
        for it in self.applied.iter().filter(|it| !it.is_over) {
            let FaultKind::Link {
                from: one,
                to: other,
                add_rtt,
                loss,
                duplicate,
                reorder,
                replay,
                bandwidth,
            } = &it.fault.kind
            else {
                continue;
            };
            let is_of = |end: &End, it: usize| match end {
                End::Any => true,
                End::Zone(zone) => self.zones[it] == *zone,
                End::Node(target) => target.node() == it,
            };
            if !(is_of(one, from) && is_of(other, to) || is_of(one, to) && is_of(other, from)) {
                continue;
            }
            quality.delay += add_rtt / 2;
            quality.worse = quality.worse.max(*loss);
            quality.duplicate = quality.duplicate.max(*duplicate);
            quality.reorder = quality.reorder.max(*reorder);
            quality.replay = quality.replay.max(*replay);
            let narrower = |known: Option<u64>, new: u64| known.map_or(new, |known| known.min(new));
            quality.bandwidth =
                bandwidth.map(|bits| narrower(quality.bandwidth, bits)).or(quality.bandwidth);
        }
        // What is damaged on its way is lost to QUIC, as it is to UDP's own checksum; where a link
        // loses datagrams, some of them are lost in that way.
        quality.corrupt = Share(quality.worse.0 / 8);
        quality
    }

    /// A cut that comes and goes, does.
    pub(super) fn flap(&mut self, number: usize) {
        let applied = &mut self.applied[number];
        let FaultKind::Partition { flap: Some(period), .. } = applied.fault.kind else { return };
        if applied.is_over {
            return;
        }
        applied.is_cut = !applied.is_cut;
        self.set_cuts();
        self.at(self.now() + period, Event::Flap { number });
    }

    /// A fault ends.
    pub(super) fn heal_one(&mut self, number: usize) {
        if std::mem::replace(&mut self.applied[number].is_over, true) {
            return;
        }
        let kind = self.applied[number].fault.kind.clone();
        self.lab.record.borrow_mut().heal(self.now(), number);
        self.set_cuts();
        self.set_qualities();
        for node in self.scenario.struck(&kind) {
            self.end_of(number, &kind, node);
        }
        self.lab.change().happened.push(Trigger::Healed);
    }

    /// What a fault did to a node is undone.
    fn end_of(&mut self, number: usize, kind: &FaultKind, node: usize) {
        match kind.name() {
            FaultName::Crash
            | FaultName::PowerLoss
            | FaultName::TornWrite
            | FaultName::ZoneLoss => self.start(node),
            FaultName::Pause => self.go_on(number, node),
            FaultName::SlowDisk => {
                self.computers[node].drive.borrow_mut().pace.slow.retain(|it| it.0 != number);
            }
            FaultName::StallDisk => {
                self.computers[node].drive.borrow_mut().pace.stalls.retain(|it| *it != number);
            }
            FaultName::DiskFull => self.computers[node].medium.set_space(u64::MAX),
            FaultName::ClockDrift => {
                let ppm = self.scenario.nodes[node].clock_drift_ppm;
                let rate = 1_000_000_u64.saturating_add_signed(ppm);
                self.computers[node].clock.borrow_mut().set_rate(self.now(), rate);
            }
            _ => {}
        }
    }

    /// Ends all faults that last.
    pub(super) fn heal_all(&mut self) {
        self.script.end();
        for number in 0..self.applied.len() {
            self.heal_one(number);
        }
        for node in 0..self.computers.len() {
            // A disk that is healed is healed, whatever was still to come.
            self.computers[node].medium.forget_injected();
            self.start(node);
        }
        self.to_be_torn.clear();
    }

    /// Whether some fault keeps this node from running.
    pub(super) fn is_held_down(&self, node: usize) -> bool {
        let mut running = self.applied.iter().filter(|it| !it.is_over);
        running.any(|it| {
            let downs = match &it.fault.kind {
                FaultKind::Crash { .. } | FaultKind::PowerLoss { .. } => true,
                FaultKind::TornWrite { .. } => !self.to_be_torn.contains(&node),
                FaultKind::ZoneLoss { mode, .. } => *mode == ZoneLoss::Power,
                _ => false,
            };
            downs && self.scenario.struck(&it.fault.kind).contains(&node)
        }) || self.lab.see().nodes[node].is_halted
    }
}

/// What this tier can't do of a fault, if anything.
#[must_use]
pub fn unsupported(kind: &FaultKind) -> Option<&'static str> {
    match kind {
        FaultKind::LoseAnswers { .. } => Some(
            "an answer is within QUIC, which loses none: cut a client off, or make a link lossy",
        ),
        _ => None,
    }
}
