//! Faults of a scenario as they strike and end in this world.

use quorate_core::id::{NodeId, RequestId};
use quorate_storage::disk::simulated::{Fault as DiskFault, Survival};

use super::World;
use super::partition::{Way, ways};
use super::route::Worse;
use super::schedule::{Event, MICROS, MILLIS, Nanos};
use crate::scenario::check;
use crate::scenario::fault::{
    DiskOperation, End, Fault, FaultKind, FaultName, Side, Symmetry, Trigger, ZoneLoss,
};
use crate::scenario::model::Share;

/// A fault that has struck.
#[derive(Clone, Debug)]
pub(super) struct Applied {
    fault: Fault,
    is_over: bool,
    /// Directions between nodes that it cuts, and whether it cuts them now.
    ways: Vec<Way>,
    is_cut: bool,
    /// Clients and nodes that don't reach each other: from, to, and whether that way is the request's.
    clients: Vec<(usize, usize, bool)>,
}

/// A node that is not asked for by a client: requests of faults count from here.
const REQUESTS_OF_FAULTS: u64 = 1 << 60;

impl World {
    /// A fault of the script is to strike now.
    pub(super) fn scripted(&mut self, fault: usize) {
        let Some(play) = &self.play else { return };
        let leader = self.leading();
        let running = play.applied.iter().filter(|it| !it.is_over).map(|it| &it.fault);
        let running: Vec<&Fault> = running.collect();
        match play.script.aim(fault, self.now, leader, &running) {
            Some(Ok(fault)) => self.strike_with(fault),
            Some(Err(story)) => self.tell(|record, now| record.note(now, None, story)),
            None => {}
        }
    }

    /// Who leads, or led last.
    fn leading(&self) -> usize {
        let last = self.play.as_ref().map_or(0, |play| play.last_leader);
        self.leader().map_or(last, |(leader, _)| leader)
    }

    fn strike_with(&mut self, fault: Fault) {
        let until = fault.lasts.map(|lasts| self.now + lasts);
        let play = self.play.as_mut().expect("a scenario is being run");
        let number = play.record.borrow_mut().fault(self.now, &fault, until);
        let mut applied = Applied {
            fault: fault.clone(),
            is_over: fault.kind.name().is_momentary(),
            ways: Vec::new(),
            is_cut: false,
            clients: Vec::new(),
        };
        self.cuts_of(&mut applied);
        let play = self.play.as_mut().expect("a scenario is being run");
        play.applied.push(applied);
        self.cut_again(number);
        if let FaultKind::Partition { flap: Some(period), .. } = fault.kind {
            self.queue.push(self.now + period, Event::Flap { number });
        }
        if let Some(until) = until {
            self.queue.push(until, Event::Heal { number });
        }
        self.change(number, &fault.kind);
        self.tell_of_all();
        if fault.kind.name().is_momentary() {
            self.tell(|record, now| record.heal(now, number));
        }
    }

    /// What a fault cuts.
    fn cuts_of(&self, applied: &mut Applied) {
        let play = self.play.as_ref().expect("a scenario is being run");
        let nodes = &play.scenario.nodes;
        match &applied.fault.kind {
            FaultKind::Partition { sides, symmetry, .. } => {
                let groups = sides.iter().map(|side| side.nodes.as_slice());
                applied.ways = check::cuts(groups, *symmetry);
                applied.clients = cut_clients(sides, *symmetry);
            }
            FaultKind::ZoneLoss { zone, mode } => {
                let is_inside = |node: usize| nodes[node].zone == *zone;
                if *mode == ZoneLoss::Network {
                    let crosses = |way: &Way| is_inside(way.0) != is_inside(way.1);
                    applied.ways = ways(nodes.len()).filter(crosses).collect();
                }
                for (client, (own, _)) in play.load.clients.iter().enumerate() {
                    let cut = (0..nodes.len()).filter(|node| (own == zone) != is_inside(*node));
                    let both = cut.flat_map(|node| [(client, node, true), (client, node, false)]);
                    applied.clients.extend(both);
                }
            }
            // A machine that stands still answers nothing, and what was under way is lost with its
            // connections if it stands for long.
            FaultKind::Pause { .. } => {
                let struck = self.struck(&applied.fault.kind);
                let touches = |way: &Way| struck.contains(&way.0) || struck.contains(&way.1);
                applied.ways = ways(nodes.len()).filter(touches).collect();
            }
            _ => {}
        }
    }

    fn struck(&self, kind: &FaultKind) -> Vec<usize> {
        let play = self.play.as_ref().expect("a scenario is being run");
        play.scenario.struck(kind)
    }

    /// What a fault does beside its cuts.
    fn change(&mut self, number: usize, kind: &FaultKind) {
        let struck = self.struck(kind);
        match kind {
            FaultKind::Partition { .. } | FaultKind::LoseAnswers { .. } => {}
            FaultKind::Link { .. } => self.worsen(number, kind),
            FaultKind::ZoneLoss { mode: ZoneLoss::Network, .. } => {}
            FaultKind::ZoneLoss { mode: ZoneLoss::Power, .. } | FaultKind::PowerLoss { .. } => {
                for node in struck {
                    self.coverage.hit("power loss");
                    let survival = self.survival_of(node);
                    self.take_down(node, Some(survival));
                }
            }
            FaultKind::Crash { .. } => struck.into_iter().for_each(|it| self.take_down(it, None)),
            FaultKind::Restart { .. } => {
                for node in struck {
                    self.crash(node, None);
                    self.nodes[node].stays_down = false;
                    self.queue.push(self.now + MILLIS, Event::Start { node });
                }
            }
            FaultKind::Pause { .. } => {
                self.coverage.hit("pause");
                struck.into_iter().for_each(|it| self.nodes[it].paused_until = Nanos::MAX);
            }
            FaultKind::SlowDisk { write, fsync, .. } => {
                for node in struck {
                    let slow = (number, write.clone(), fsync.clone());
                    self.nodes[node].pace.slow.push(slow);
                }
            }
            FaultKind::StallDisk { .. } => {
                struck.into_iter().for_each(|it| self.nodes[it].pace.stalls.push(number));
            }
            FaultKind::DiskFull { .. } => {
                struck.into_iter().for_each(|it| self.nodes[it].medium.set_space(0));
            }
            FaultKind::DiskError { operation, .. } => {
                for node in struck {
                    self.nodes[node].is_tainted |= *operation == DiskOperation::Read;
                    self.nodes[node].medium.inject(operation.fault());
                }
            }
            FaultKind::Corrupt { what, sectors, .. } => {
                for node in struck {
                    let _places = self.rot(node, *what, *sectors);
                }
            }
            FaultKind::TornWrite { .. } => {
                struck.into_iter().for_each(|it| self.nodes[it].is_to_be_torn = true);
            }
            FaultKind::LyingFlush { count, .. } => {
                for node in struck {
                    self.nodes[node].is_tainted = true;
                    (0..*count).for_each(|_| self.nodes[node].medium.inject(DiskFault::LyingFlush));
                }
            }
            FaultKind::ClockStep { by, .. } => {
                struck.into_iter().for_each(|it| self.nodes[it].clock.jump(by / 100));
            }
            FaultKind::ClockDrift { ppm, .. } => {
                for node in struck {
                    let rate = 1_000_000_u64.saturating_add_signed(*ppm);
                    self.nodes[node].clock.set_rate(self.now, rate);
                    self.wake(node, self.now + 1);
                }
            }
            FaultKind::TransferLeader { to } => {
                let leader = self.leading();
                let request = RequestId::from_wire(REQUESTS_OF_FAULTS + number as u64);
                let to = to.as_ref().map(|to| NodeId::from_wire(to.node() as u64 + 1));
                self.nodes[leader].transfer(self.now, request, to);
                self.wake(leader, self.now + 1);
            }
        }
    }

    fn take_down(&mut self, node: usize, survival: Option<Survival>) {
        self.nodes[node].stays_down = true;
        self.crash(node, survival);
    }

    /// What a power loss leaves of what was not durable.
    fn survival_of(&self, node: usize) -> Survival {
        self.play.as_ref().expect("a scenario is being run").scenario.survival(node)
    }

    /// The power goes in the middle of a write.
    pub(super) fn tear(&mut self, node: usize) {
        if std::mem::take(&mut self.nodes[node].is_to_be_torn) {
            self.coverage.hit("power loss");
            self.take_down(node, Some(Survival::SmallSectors));
            self.tell_of_all();
            // Its fault may have ended while it waited for a write.
            let is_held = self.is_held_down(node);
            self.nodes[node].stays_down = is_held;
            if !is_held {
                self.start_later(node);
            }
        }
    }

    fn worsen(&mut self, number: usize, kind: &FaultKind) {
        let FaultKind::Link { from, to, add_rtt, .. } = kind else { return };
        let worse = worse_of(kind, add_rtt / 2);
        let ends = (from.clone(), to.clone());
        for way in ways(self.nodes.len()) {
            if self.is_between(&ends, way) {
                self.network.route(way).worse.push((number, worse));
            }
        }
    }

    fn is_between(&self, (from, to): &(End, End), way: Way) -> bool {
        let play = self.play.as_ref().expect("a scenario is being run");
        let is_of = |end: &End, node: usize| match end {
            End::Any => true,
            End::Zone(zone) => play.scenario.nodes[node].zone == *zone,
            End::Node(target) => target.node() == node,
        };
        (is_of(from, way.0) && is_of(to, way.1)) || (is_of(from, way.1) && is_of(to, way.0))
    }

    /// Cuts, or cuts once more, what a fault cuts.
    fn cut_again(&mut self, number: usize) {
        let play = self.play.as_mut().expect("a scenario is being run");
        let applied = &mut play.applied[number];
        applied.is_cut = true;
        let ways = applied.ways.clone();
        if !ways.is_empty() {
            self.cut(&ways);
        }
    }

    fn mend_ways(&mut self, number: usize) {
        let play = self.play.as_mut().expect("a scenario is being run");
        let applied = &mut play.applied[number];
        if std::mem::take(&mut applied.is_cut) {
            for way in applied.ways.clone() {
                self.network.mend(self.now, way, &mut self.queue);
            }
        }
    }

    /// A cut that comes and goes, does.
    pub(super) fn flap_applied(&mut self, number: usize) {
        let Some(play) = &self.play else { return };
        let applied = &play.applied[number];
        let FaultKind::Partition { flap: Some(period), .. } = applied.fault.kind else { return };
        if applied.is_over {
            return;
        }
        if applied.is_cut {
            self.mend_ways(number)
        } else {
            self.cut_again(number)
        }
        self.queue.push(self.now + period, Event::Flap { number });
    }

    /// A fault ends.
    pub(super) fn heal_one(&mut self, number: usize) {
        let Some(play) = &mut self.play else { return };
        if std::mem::replace(&mut play.applied[number].is_over, true) {
            return;
        }
        let kind = play.applied[number].fault.kind.clone();
        play.record.borrow_mut().heal(self.now, number);
        self.mend_ways(number);
        for node in self.struck(&kind) {
            self.end_of(number, &kind, node);
        }
        if let FaultKind::Link { .. } = kind {
            for way in ways(self.nodes.len()) {
                self.network.route(way).worse.retain(|(own, _)| *own != number);
            }
        }
        self.tell_of_all();
        self.happened(Trigger::Healed);
    }

    /// What a fault did to a node is undone.
    fn end_of(&mut self, number: usize, kind: &FaultKind, node: usize) {
        match kind.name() {
            FaultName::Crash
            | FaultName::PowerLoss
            | FaultName::TornWrite
            | FaultName::ZoneLoss
                if self.nodes[node].stays_down && !self.is_held_down(node) =>
            {
                self.nodes[node].stays_down = false;
                self.queue.push(self.now + 1, Event::Start { node });
            }
            FaultName::Pause if !self.is_under(node, FaultName::Pause) => {
                self.nodes[node].paused_until = 0;
                self.wake(node, self.now + 1);
            }
            FaultName::SlowDisk => self.nodes[node].pace.slow.retain(|it| it.0 != number),
            FaultName::StallDisk => self.nodes[node].pace.stalls.retain(|it| *it != number),
            FaultName::DiskFull if !self.is_under(node, FaultName::DiskFull) => {
                self.nodes[node].medium.set_space(u64::MAX);
            }
            FaultName::ClockDrift => {
                let rate = self.plan.clocks[node].rate();
                self.nodes[node].clock.set_rate(self.now, rate);
                self.wake(node, self.now + 1);
            }
            _ => {}
        }
    }

    /// Whether a fault of this kind strikes this node now.
    pub(super) fn is_under(&self, node: usize, name: FaultName) -> bool {
        let Some(play) = &self.play else { return false };
        let mut running = play.applied.iter().filter(|it| !it.is_over);
        running
            .any(|it| it.fault.kind.name() == name && self.struck(&it.fault.kind).contains(&node))
    }

    /// Whether some fault keeps this node from running.
    fn is_held_down(&self, node: usize) -> bool {
        let Some(play) = &self.play else { return false };
        let mut running = play.applied.iter().filter(|it| !it.is_over);
        running.any(|it| {
            let downs = match &it.fault.kind {
                FaultKind::Crash { .. }
                | FaultKind::PowerLoss { .. }
                | FaultKind::TornWrite { .. } => true,
                FaultKind::ZoneLoss { mode, .. } => *mode == ZoneLoss::Power,
                _ => false,
            };
            downs && self.struck(&it.fault.kind).contains(&node)
        }) || self.is_halted(node)
    }

    /// Whether a node has stopped for good.
    pub(super) fn is_halted(&self, node: usize) -> bool {
        self.play.as_ref().is_some_and(|play| play.record.borrow().is_halted(node))
    }

    /// A node whose disk has deceived it has noticed that, and stays away.
    pub(super) fn halt(&mut self, node: usize) {
        self.note(format_args!("node {node} halts"));
        self.nodes[node].stays_down = true;
        self.crash(node, None);
        self.tell(|record, now| record.halt(now, node));
    }

    /// Ends all faults that last.
    pub(super) fn heal_applied(&mut self) {
        let Some(play) = &mut self.play else { return };
        play.script.end();
        let count = play.applied.len();
        for number in 0..count {
            self.heal_one(number);
        }
        for node in 0..self.nodes.len() {
            // A disk that is healed is healed, whatever was still to come.
            self.nodes[node].medium.forget_injected();
            self.nodes[node].is_to_be_torn = false;
        }
    }

    fn tell_of_all(&mut self) {
        (0..self.nodes.len()).for_each(|node| self.tell_of(node));
    }

    /// How long a message takes between a client and a node; `None` where it does not arrive.
    pub(super) fn client_way(
        &mut self,
        lane: usize,
        node: usize,
        is_request: bool,
    ) -> Option<Nanos> {
        let Some(play) = &self.play else {
            return Some(20 * MICROS + self.schedule.below(300 * MICROS));
        };
        let zone = play.load.clients[lane].0;
        let running = || play.applied.iter().filter(|it| !it.is_over);
        // The last look at everything is through a network without faults.
        let is_struck = !self.is_closing;
        let is_cut = |it: &Applied| it.is_cut && it.clients.contains(&(lane, node, is_request));
        if is_struck && running().any(is_cut) {
            return None;
        }
        let link = play.scenario.link(zone, play.scenario.nodes[node].zone);
        let mut added = 0;
        for it in running() {
            if let FaultKind::Link { from, to, add_rtt, .. } = &it.fault.kind {
                let is_client = |end: &End| match end {
                    End::Any => true,
                    End::Zone(own) => *own == zone,
                    End::Node(_) => false,
                };
                let is_node = |end: &End| match end {
                    End::Any => true,
                    End::Zone(own) => *own == play.scenario.nodes[node].zone,
                    End::Node(target) => target.node() == node,
                };
                if (is_client(from) && is_node(to)) || (is_client(to) && is_node(from)) {
                    added += add_rtt / 2;
                }
            }
        }
        Some(link.rtt.draw(&mut self.schedule) / 2 + added + 1)
    }

    /// Whether an answer that a node gives now is lost.
    pub(super) fn loses_answer(&mut self) -> bool {
        let Some(play) = &self.play else { return false };
        let shares = play.applied.iter().filter(|it| !it.is_over).filter_map(|it| {
            let FaultKind::LoseAnswers { share } = it.fault.kind else { return None };
            Some(share)
        });
        let share = shares.max().unwrap_or(Share::NONE);
        share > Share::NONE && self.faults.below(u64::from(Share::ALL.0)) < u64::from(share.0)
    }
}

/// Clients on one side don't reach nodes on another.
fn cut_clients(sides: &[Side], symmetry: Symmetry) -> Vec<(usize, usize, bool)> {
    let mut cut = Vec::new();
    for (place, one) in sides.iter().enumerate() {
        for (other_place, other) in sides.iter().enumerate().filter(|(it, _)| *it != place) {
            for client in &one.clients {
                for node in other.nodes.iter().map(|it| it.node()) {
                    // Seen from the first of the two sides.
                    let client_is_first = place < other_place;
                    let leaves_first = |is_request: bool| is_request == client_is_first;
                    for is_request in [true, false] {
                        let is_cut = match symmetry {
                            Symmetry::Symmetric => true,
                            Symmetry::Outbound => leaves_first(is_request),
                            Symmetry::Inbound => !leaves_first(is_request),
                        };
                        if is_cut {
                            cut.push((*client, node, is_request));
                        }
                    }
                }
            }
        }
    }
    cut
}

fn worse_of(kind: &FaultKind, delay: Nanos) -> Worse {
    let FaultKind::Link { loss, duplicate, reorder, replay, bandwidth, .. } = kind else {
        unreachable!("only links get worse")
    };
    Worse {
        delay,
        lost: *loss,
        doubled: *duplicate,
        reordered: *reorder,
        replayed: *replay,
        bandwidth: *bandwidth,
    }
}
