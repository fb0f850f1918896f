//! What goes wrong, and when it ends.

use quorate_storage::disk::simulated::{Fault, Survival};

use super::World;
use super::partition::{self, Shape, Way};
use super::schedule::{Event, MICROS, MILLIS, Nanos};
use crate::scenario::fault::RotTarget;

/// Strikes come up to so far apart.
const STRIKE_NANOS_MAX: Nanos = 10 * MILLIS;
/// A process is away up to so long.
const DOWN_NANOS_MAX: Nanos = 300 * MILLIS;
/// A disk stalls, is full, or is slow, and a process is paused, up to so long.
const STALL_NANOS_MAX: Nanos = 600 * MILLIS;
const SLOW_NANOS_MAX: Nanos = 2_000 * MILLIS;
const PAUSE_NANOS_MAX: Nanos = 500 * MILLIS;
/// A link flaps so many times in a row.
const FLAPS_MAX: u64 = 8;

/// The end of a fault.
#[derive(Clone, Debug)]
pub(super) enum Mend {
    /// These directions are whole again.
    Ways(Vec<Way>),
    /// This link breaks or is whole again, so many times more; without a number, for good.
    Flap { pair: Way, times: Option<u64>, period: Nanos, is_cut: bool },
    /// Frames of this direction come as quickly as ever.
    Delay(Way),
    /// There is space on the disk again.
    Space(usize),
    /// The disk is as quick as ever.
    Pace(usize),
    /// The process goes on.
    Resume(usize),
}

impl World {
    /// Once in so many times; never for zero.
    pub(super) fn comes(&mut self, times: u32) -> bool {
        times > 0 && self.faults.one_in(times)
    }

    /// Where there is a leader, it is struck more often than others.
    fn any_node(&mut self) -> usize {
        let any = self.faults.index(self.nodes.len());
        let strikes_leader = self.faults.one_in(3);
        self.leader().filter(|_| strikes_leader).map_or(any, |(leader, _)| leader)
    }

    fn until(&mut self, nanos_max: Nanos) -> Nanos {
        self.now + 1 + self.faults.below(nanos_max)
    }

    /// Draws what goes wrong now.
    pub(super) fn strike(&mut self) {
        if !self.is_chaos {
            return;
        }
        let next = self.until(STRIKE_NANOS_MAX);
        self.queue.push(next, Event::Strike);
        self.strike_network();
        self.strike_processes();
        self.strike_disks();
        self.strike_clocks();
    }

    fn strike_network(&mut self) {
        if self.comes(self.plan.cut) {
            let shape = *self.faults.pick(&Shape::ALL);
            let nodes = self.nodes.len();
            let mut ways = shape.ways(nodes, &mut self.faults);
            if let Some((leader, _)) = self.leader().filter(|_| shape == Shape::Alone) {
                ways =
                    partition::ways(nodes).filter(|it| it.0 == leader || it.1 == leader).collect();
            }
            self.cut(&ways);
            let until = self.until(self.plan.cut_time);
            self.note(format_args!("cut {shape:?} {ways:?} until {until}"));
            self.queue.push(until, Event::Mend(Mend::Ways(ways)));
        }
        if self.comes(self.plan.flap) {
            let ways = Shape::OneLink.ways(self.nodes.len(), &mut self.faults);
            let times = 2 * (1 + self.faults.below(FLAPS_MAX)) - 1;
            let period = 10 * MILLIS + self.faults.below(150 * MILLIS);
            self.flap(ways[0], Some(times), period, false);
        }
        if self.comes(self.plan.reset) {
            let ways = Shape::OneWay.ways(self.nodes.len(), &mut self.faults);
            self.note(format_args!("reset {ways:?}"));
            self.network.reset(self.now, ways[0], &mut self.queue);
        }
        if self.comes(self.plan.delay) {
            let shape = *self.faults.pick(&[Shape::OneWay, Shape::Deaf, Shape::Mute]);
            let delay = 5 * MILLIS + self.faults.below(80 * MILLIS);
            let until = self.until(PAUSE_NANOS_MAX);
            for way in shape.ways(self.nodes.len(), &mut self.faults) {
                self.network.delay(way, delay);
                self.queue.push(until, Event::Mend(Mend::Delay(way)));
            }
            self.note(format_args!("delay {shape:?} by {delay}"));
        }
    }

    pub(super) fn cut(&mut self, ways: &[Way]) {
        self.coverage.hit("cut");
        for way in ways {
            self.network.cut(self.now, *way, &mut self.queue);
        }
    }

    /// Cuts a link, or makes it whole, and sees to it that it changes again.
    ///
    /// - `times`: how often; without a number, for good
    pub(super) fn flap(&mut self, pair: Way, times: Option<u64>, period: Nanos, is_cut: bool) {
        self.note(format_args!("link {pair:?} is cut: {}", !is_cut));
        for way in [pair, (pair.1, pair.0)] {
            if is_cut {
                self.network.mend(self.now, way, &mut self.queue);
            } else {
                self.cut(&[way]);
            }
        }
        if times != Some(0) {
            let times = times.map(|times| times - 1);
            let flap = Mend::Flap { pair, times, period, is_cut: !is_cut };
            self.queue.push(self.now + period, Event::Mend(flap));
        }
    }

    fn strike_processes(&mut self) {
        if self.comes(self.plan.crash) {
            let node = self.any_node();
            self.crash(node, None);
            self.start_later(node);
        }
        if self.comes(self.plan.power_loss) {
            let node = self.any_node();
            self.coverage.hit("power loss");
            let survival = self.any_survival();
            self.crash(node, Some(survival));
            self.start_later(node);
        }
        if self.comes(self.plan.power_loss_of_all) {
            self.coverage.hit("power loss of all");
            for node in 0..self.nodes.len() {
                let survival = self.any_survival();
                self.crash(node, Some(survival));
                self.start_later(node);
            }
        }
        if self.comes(self.plan.pause) {
            let node = self.any_node();
            let until = self.until(PAUSE_NANOS_MAX);
            self.coverage.hit("pause");
            self.note(format_args!("node {node} is paused until {until}"));
            self.nodes[node].paused_until = until;
            if self.faults.coin() {
                // And when it wakes up, what has happened meanwhile has not come in yet.
                let nodes = self.nodes.len();
                let ways: Vec<Way> =
                    partition::ways(nodes).filter(|it| it.0 == node || it.1 == node).collect();
                self.cut(&ways);
                let whole = until + self.faults.below(60 * MILLIS);
                self.queue.push(whole, Event::Mend(Mend::Ways(ways)));
            }
            self.queue.push(until, Event::Mend(Mend::Resume(node)));
        }
    }

    fn any_survival(&mut self) -> Survival {
        let all = [Survival::Nothing, Survival::Everything, Survival::Sectors];
        *self.faults.pick(&all)
    }

    pub(super) fn start_later(&mut self, node: usize) {
        let at = self.until(DOWN_NANOS_MAX);
        self.queue.push(at, Event::Start { node });
    }

    fn strike_disks(&mut self) {
        if self.comes(self.plan.stall) {
            let node = self.any_node();
            let until = self.until(STALL_NANOS_MAX);
            self.note(format_args!("the disk of node {node} stalls until {until}"));
            self.nodes[node].pace.stalled_until = until;
            if self.faults.one_in(3) {
                // And then it is slow for long.
                self.nodes[node].pace.slowness = 1 + self.faults.below(40);
                let until = self.until(SLOW_NANOS_MAX);
                self.queue.push(until, Event::Mend(Mend::Pace(node)));
            }
        }
        if self.comes(self.plan.failed_write) {
            let node = self.any_node();
            self.nodes[node].medium.inject(Fault::FailedWrite);
        }
        if self.comes(self.plan.failed_sync) {
            let node = self.any_node();
            self.nodes[node].medium.inject(Fault::FailedSync);
        }
        if self.comes(self.plan.full_disk) {
            let node = self.any_node();
            let until = self.until(STALL_NANOS_MAX);
            self.note(format_args!("the disk of node {node} is full until {until}"));
            self.nodes[node].medium.set_space(0);
            self.queue.push(until, Event::Mend(Mend::Space(node)));
        }
        if self.comes(self.plan.rot) {
            let node = self.any_node();
            let what = *self.faults.pick(&[RotTarget::Log, RotTarget::LogTail]);
            let sectors = 1 + self.faults.below(2) as u32;
            self.coverage.hit("rot");
            self.rot_for_a_while(node, what, sectors);
        }
    }

    fn strike_clocks(&mut self) {
        if self.comes(self.plan.wall_jump) {
            let node = self.any_node();
            let ticks = self.faults.below(1 << 40) as i64 - (1 << 39);
            self.nodes[node].clock.jump(ticks);
        }
        if self.comes(self.plan.drift) {
            let node = self.any_node();
            let rate = 950_000 + self.faults.below(100_001);
            self.nodes[node].clock.set_rate(self.now, rate);
        }
    }

    /// A fault ends.
    pub(super) fn mend(&mut self, mend: Mend) {
        if !self.is_chaos && !matches!(mend, Mend::Flap { .. }) {
            // Everything was healed, but for what is to stay broken.
            return;
        }
        match mend {
            Mend::Ways(ways) => {
                for way in ways {
                    self.network.mend(self.now, way, &mut self.queue);
                }
            }
            Mend::Flap { pair, times, period, is_cut } => {
                // One of the chaos ends with it, though its node may stay broken in another way.
                let is_broken = |node| self.broken.contains(&node);
                let goes_on = match times {
                    Some(_) => self.is_chaos,
                    None => is_broken(pair.0) || is_broken(pair.1),
                };
                if goes_on {
                    self.flap(pair, times, period, is_cut);
                }
            }
            Mend::Delay(way) => self.network.delay(way, 100 * MICROS),
            Mend::Space(node) => self.nodes[node].medium.set_space(u64::MAX),
            Mend::Pace(node) => self.nodes[node].pace.slowness = 1,
            Mend::Resume(node) => self.wake(node, self.now),
        }
    }
}
