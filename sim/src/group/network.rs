//! The network between the nodes, in one of two moods.
//!
//! *Streams* are what QUIC gives: each lane is ordered and loses nothing while its connection
//! lives; what is lost on the way comes later. A connection that hears nothing for long dies, with
//! all that was under way in it, and both ends are told, each in its own time. *Packets* are worse
//! than any real network: each frame is on its own, and may be lost, doubled, late, or come again
//! long after, even to a node that was started anew in between.

use quorate_net::Frame;
use quorate_storage::disk::simulated::Random;

use super::coverage::Coverage;
use super::partition::{Way, ways};
use super::route::{Odds, Route};
use super::schedule::{Event, MICROS, MILLIS, Nanos, Queue};
use crate::scenario::distribution::Distribution;
use crate::scenario::model::{Loss, Share};

/// Lanes of a connection.
pub(super) const LANES: usize = 3;
/// Frames of the past that a network in the mood of packets may bring again.
const REMEMBERED_MAX: usize = 256;
/// A way that is healed is at most so much later than the others.
const DELAY_NANOS_MAX: Nanos = MILLIS;

/// One encoded frame.
#[derive(Clone, Debug)]
pub(super) struct Packet {
    /// As it is taken apart at the other end.
    pub(super) frame: Frame,
    /// How long it is.
    pub(super) bytes: usize,
}

/// A frame under way.
#[derive(Clone, Debug)]
pub(super) struct Delivery {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) lane: usize,
    pub(super) packet: Packet,
    /// Its number in the record of a run; zero where nothing is recorded.
    pub(super) message: u64,
    /// How long the way takes, if nothing holds it up.
    pub(super) transit: Nanos,
    /// Of the connection that it was sent on.
    connection: u64,
}

/// A frame that never arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lost {
    pub(super) to: usize,
    pub(super) message: u64,
    pub(super) why: &'static str,
}

/// Something that happens to the connection of a pair of nodes, at one of its ends or at both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LinkEvent {
    /// It is dialled again.
    Connect { pair: Way },
    /// It has heard nothing for too long, if nothing was mended since.
    Expire { pair: Way, connection: u64 },
    /// One end learns that it is there.
    Up { node: usize, peer: usize, connection: u64 },
    /// One end learns that it is gone.
    Down { node: usize, peer: usize, connection: u64 },
}

/// What a node is told of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// There is a link to `peer`.
    Up { node: usize, peer: usize },
    /// There is none any more.
    Down { node: usize, peer: usize },
}

/// Which of the two networks it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mood {
    /// Ordered and reliable within a connection.
    Streams,
    /// Each frame on its own.
    Packets,
}

/// How good all ways of the network of a seed are; "one in" is zero for never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Quality {
    pub(super) mood: Mood,
    /// One way, at least.
    pub(super) latency: Nanos,
    /// At most so much on top, in most cases.
    pub(super) jitter: Nanos,
    /// One frame in so many is lost (packets) or late (streams).
    pub(super) lost: u32,
    /// One frame in so many comes twice.
    pub(super) doubled: u32,
    /// One frame in so many is much later than those behind it.
    pub(super) reordered: u32,
    /// One frame in so many brings one of the past with it.
    pub(super) replayed: u32,
    /// A connection dies after so long a silence.
    pub(super) idle_timeout: Nanos,
}

impl Quality {
    /// Each direction of a group of so many nodes. Zones are not all equally far from each other.
    pub(super) fn routes(&self, nodes: usize, seed: u64) -> Vec<Route> {
        let mut random = Random::stream(seed, "network");
        let share = |times: u32| match times {
            0 => Share::NONE,
            _ => Share(Share::ALL.0 / times),
        };
        let odds = Odds {
            loss: Loss::Even(share(self.lost)),
            doubled: share(self.doubled),
            reordered: share(self.reordered),
            replayed: share(self.replayed),
        };
        let (min, max) = (self.latency, self.latency + self.jitter);
        let route = |place: usize| {
            let own = Random::stream(seed ^ place as u64, "route");
            let mut route = Route::new(Distribution::Uniform { min, max }, own);
            route.tail = (share(100), 5 * MILLIS);
            route.delay = random.below(1 + self.latency);
            route.odds = odds;
            route
        };
        (0..nodes * nodes).map(route).collect()
    }
}

/// The network.
pub(super) struct Network {
    nodes: usize,
    mood: Mood,
    idle_timeout: Nanos,
    random: Random,
    running: Vec<bool>,
    /// For each direction: how good it is, and how many faults cut it now.
    routes: Vec<Route>,
    cuts: Vec<u32>,
    /// Of each pair, at the place of its smaller direction.
    connections: Vec<Connection>,
    remembered: Vec<Delivery>,
    /// Frames that will not arrive, since it was last looked.
    lost: Vec<Lost>,
}

/// The connection of a pair of nodes; arrays are by end, the smaller node's first.
#[derive(Default)]
struct Connection {
    number: u64,
    is_there: bool,
    /// With which connection an end thinks that it is connected.
    up: [Option<u64>; 2],
    /// Before this, an end is not told of a new one.
    told_at: [Nanos; 2],
    /// When the last frame of each lane arrives, by the end that it arrives at.
    last_arrival: [[Nanos; LANES]; 2],
    /// Sent or arriving while the direction was cut: sent again once it is mended.
    held: Vec<Delivery>,
}

impl Network {
    /// - `routes`: each direction, at the place of `from * nodes + to`
    pub(super) fn new(
        nodes: usize,
        (mood, idle_timeout): (Mood, Nanos),
        routes: Vec<Route>,
        seed: u64,
    ) -> Self {
        let ways = nodes * nodes;
        assert_eq!(routes.len(), ways, "there is one for each direction");
        Self {
            nodes,
            mood,
            idle_timeout,
            random: Random::stream(seed, "connections"),
            running: vec![false; nodes],
            routes,
            cuts: vec![0; ways],
            connections: (0..ways).map(|_| Connection::default()).collect(),
            remembered: Vec::new(),
            lost: Vec::new(),
        }
    }

    /// Frames that will not arrive, since the last call.
    pub(super) fn take_lost(&mut self) -> Vec<Lost> {
        std::mem::take(&mut self.lost)
    }

    fn lose(&mut self, delivery: &Delivery, why: &'static str) {
        if delivery.message > 0 {
            self.lost.push(Lost { to: delivery.to, message: delivery.message, why });
        }
    }

    /// A direction, to make it better or worse.
    pub(super) fn route(&mut self, (from, to): Way) -> &mut Route {
        &mut self.routes[from * self.nodes + to]
    }

    /// Whether nothing gets from here to there.
    pub(super) fn is_cut(&self, (from, to): Way) -> bool {
        self.cuts[from * self.nodes + to] > 0
    }

    /// A node sends a frame.
    pub(super) fn send(
        &mut self,
        now: Nanos,
        (from, to): Way,
        (lane, message): (usize, u64),
        packet: Packet,
        queue: &mut Queue,
        coverage: &mut Coverage,
    ) {
        let (connection, transit) = (0, 0);
        let mut delivery = Delivery { from, to, lane, packet, message, transit, connection };
        match self.mood {
            Mood::Streams => {
                let connection = self.connection((from, to));
                let number = connection.number;
                if !connection.is_there || connection.up[end(from, to)] != Some(number) {
                    self.lose(&delivery, "not connected");
                    return coverage.hit("lost frame");
                }
                delivery.connection = number;
                self.carry(now, delivery, queue);
            }
            Mood::Packets => self.throw(now, delivery, queue, coverage),
        }
    }

    /// In order, and without loss.
    fn carry(&mut self, now: Nanos, mut delivery: Delivery, queue: &mut Queue) {
        let Delivery { from, to, lane, .. } = delivery;
        if self.is_cut((from, to)) {
            self.connection((from, to)).held.push(delivery);
            return;
        }
        let route = self.route((from, to));
        delivery.transit = route.transit(now, delivery.packet.bytes);
        let mut at = now + delivery.transit;
        if route.loses() {
            // It was lost and is sent again, and all behind it waits.
            at += 2 * delivery.transit + route.up_to(10 * MILLIS);
        }
        if route.reorders() {
            // What is behind it is kept until it is there.
            at += route.up_to(1 + delivery.transit);
        }
        let arrives = end(to, from);
        let connection = self.connection((from, to));
        at = at.max(connection.last_arrival[arrives][lane]).max(connection.told_at[arrives]);
        connection.last_arrival[arrives][lane] = at;
        queue.push(at, Event::Frame(Box::new(delivery)));
    }

    /// In any order, not at all, or more than once.
    fn throw(
        &mut self,
        now: Nanos,
        delivery: Delivery,
        queue: &mut Queue,
        coverage: &mut Coverage,
    ) {
        self.remember(&delivery);
        let way = (delivery.from, delivery.to);
        if self.is_cut(way) {
            coverage.hit("lost frame");
            self.lose(&delivery, "partition");
        } else if self.route(way).loses() {
            coverage.hit("lost frame");
            self.lose(&delivery, "loss");
        } else {
            let route = self.route(way);
            let mut times = 1;
            if route.doubles() {
                coverage.hit("doubled frame");
                times = 2;
            }
            for _ in 0..times {
                let late = if route.reorders() { route.up_to(100 * MILLIS) } else { 0 };
                let transit = route.transit(now, delivery.packet.bytes);
                let sent = Delivery { transit, ..delivery.clone() };
                queue.push(now + transit + late, Event::Frame(Box::new(sent)));
            }
        }
        if self.route(way).replays() {
            coverage.hit("replayed frame");
            let old = self.random.pick(&self.remembered).clone();
            queue.push(now + self.random.below(5 * MILLIS), Event::Frame(Box::new(old)));
        }
    }

    fn remember(&mut self, delivery: &Delivery) {
        if !self.routes.iter().any(Route::may_replay) {
            return;
        }
        if self.remembered.len() < REMEMBERED_MAX {
            self.remembered.push(delivery.clone());
        } else if self.random.one_in(8) {
            let place = self.random.index(REMEMBERED_MAX);
            self.remembered[place] = delivery.clone();
        }
    }

    /// A frame reaches the other end; gives it back where somebody is there to take it.
    pub(super) fn arrive(&mut self, delivery: Delivery) -> Option<Delivery> {
        let Delivery { from, to, connection: number, .. } = delivery;
        if !self.running[to] {
            self.lose(&delivery, "crash");
            return None;
        }
        let is_cut = self.is_cut((from, to));
        if self.mood == Mood::Packets {
            if is_cut {
                self.lose(&delivery, "partition");
            }
            return (!is_cut).then_some(delivery);
        }
        let connection = self.connection((from, to));
        if !connection.is_there || connection.number != number {
            self.lose(&delivery, "connection lost");
            return None;
        }
        if is_cut {
            connection.held.push(delivery);
            return None;
        }
        if connection.up[end(to, from)] != Some(number) {
            self.lose(&delivery, "not connected");
            return None;
        }
        Some(delivery)
    }

    /// Something happens to a link; gives what a node is told of it.
    pub(super) fn happen(
        &mut self,
        now: Nanos,
        event: LinkEvent,
        queue: &mut Queue,
    ) -> Option<Heard> {
        match event {
            LinkEvent::Connect { pair } => self.connect(now, pair, queue),
            LinkEvent::Expire { pair, connection } => {
                let is_cut = self.is_cut(pair) || self.is_cut((pair.1, pair.0));
                let state = self.connection(pair);
                if is_cut && state.is_there && state.number == connection {
                    self.die(now, pair, queue);
                }
            }
            LinkEvent::Up { node, peer, connection } => return self.up(node, peer, connection),
            LinkEvent::Down { node, peer, connection } => {
                let running = self.running[node];
                let mood = self.mood;
                let up = &mut self.connection((node, peer)).up[end(node, peer)];
                if running && (mood == Mood::Packets || *up == Some(connection)) {
                    *up = None;
                    return Some(Heard::Down { node, peer });
                }
            }
        }
        None
    }

    fn up(&mut self, node: usize, peer: usize, number: u64) -> Option<Heard> {
        let running = self.running[node];
        let mood = self.mood;
        let connection = self.connection((node, peer));
        let is_there = connection.is_there && connection.number == number;
        if running && (mood == Mood::Packets || is_there) {
            connection.up[end(node, peer)] = Some(number);
            return Some(Heard::Up { node, peer });
        }
        None
    }

    fn connect(&mut self, now: Nanos, pair: Way, queue: &mut Queue) {
        let is_cut = self.is_cut(pair) || self.is_cut((pair.1, pair.0));
        if is_cut || !self.running[pair.0] || !self.running[pair.1] {
            return;
        }
        let handshake = 3 * self.route(pair).transit(now, 0);
        let spread = self.random.below(MILLIS);
        let connection = self.connection(pair);
        if connection.is_there {
            return;
        }
        connection.is_there = true;
        connection.number += 1;
        let number = connection.number;
        for (place, (node, peer)) in [pair, (pair.1, pair.0)].into_iter().enumerate() {
            let at = (now + handshake + spread * place as u64).max(connection.told_at[place] + 1);
            connection.told_at[place] = at;
            queue.push(at, Event::Link(LinkEvent::Up { node, peer, connection: number }));
        }
    }

    /// The connection is gone, and its ends learn of it when they have waited long enough.
    fn die(&mut self, now: Nanos, pair: Way, queue: &mut Queue) {
        let waits = [(); 2].map(|()| self.random.below(1 + self.idle_timeout / 2));
        let redial = self.random.below(50 * MILLIS);
        let connection = self.connection(pair);
        let number = connection.number;
        connection.is_there = false;
        let held = std::mem::take(&mut connection.held);
        for (place, (node, peer)) in [pair, (pair.1, pair.0)].into_iter().enumerate() {
            let at = now + waits[place];
            if connection.up[place] == Some(number) {
                connection.told_at[place] = at;
                queue.push(at, Event::Link(LinkEvent::Down { node, peer, connection: number }));
            }
        }
        held.iter().for_each(|delivery| self.lose(delivery, "partition"));
        queue.push(now + redial, Event::Link(LinkEvent::Connect { pair }));
    }

    /// Cuts a direction, on top of whatever cuts it already.
    pub(super) fn cut(&mut self, now: Nanos, way: Way, queue: &mut Queue) {
        self.cuts[way.0 * self.nodes + way.1] += 1;
        if self.mood == Mood::Streams {
            let pair = (way.0.min(way.1), way.0.max(way.1));
            let connection = self.connection(pair).number;
            let at = now + self.idle_timeout;
            queue.push(at, Event::Link(LinkEvent::Expire { pair, connection }));
        }
    }

    /// Takes one cut of a direction away.
    pub(super) fn mend(&mut self, now: Nanos, way: Way, queue: &mut Queue) {
        let cuts = &mut self.cuts[way.0 * self.nodes + way.1];
        *cuts = cuts.saturating_sub(1);
        if *cuts > 0 || self.mood == Mood::Packets {
            return;
        }
        let pair = (way.0.min(way.1), way.0.max(way.1));
        let redial = self.random.below(50 * MILLIS);
        let held = std::mem::take(&mut self.connection(pair).held);
        let (free, still_held) = held.into_iter().partition(|it| (it.from, it.to) == way);
        self.connection(pair).held = still_held;
        let free: Vec<Delivery> = free;
        for delivery in free {
            self.carry(now, delivery, queue);
        }
        queue.push(now + redial, Event::Link(LinkEvent::Connect { pair }));
    }

    /// Everything that goes this way is later by so much from now on.
    pub(super) fn delay(&mut self, way: Way, delay: Nanos) {
        self.route(way).delay = delay;
    }

    /// A connection breaks though nothing is cut.
    pub(super) fn reset(&mut self, now: Nanos, (one, other): Way, queue: &mut Queue) {
        let pair = (one.min(other), one.max(other));
        match self.mood {
            Mood::Streams => {
                if self.connection(pair).is_there {
                    self.die(now, pair, queue);
                }
            }
            Mood::Packets => {
                let down = LinkEvent::Down { node: one, peer: other, connection: 0 };
                let up = LinkEvent::Up { node: one, peer: other, connection: 0 };
                queue.push(now, Event::Link(down));
                queue.push(now + self.random.below(20 * MILLIS), Event::Link(up));
            }
        }
    }

    /// A node's process is there.
    pub(super) fn start(&mut self, now: Nanos, node: usize, queue: &mut Queue) {
        self.running[node] = true;
        for peer in (0..self.nodes).filter(|peer| *peer != node) {
            match self.mood {
                Mood::Streams => {
                    let pair = (node.min(peer), node.max(peer));
                    let at = now + self.random.below(20 * MILLIS);
                    queue.push(at, Event::Link(LinkEvent::Connect { pair }));
                }
                Mood::Packets => {
                    queue.push(now, Event::Link(LinkEvent::Up { node, peer, connection: 0 }));
                    if self.random.coin() {
                        let up = LinkEvent::Up { node: peer, peer: node, connection: 0 };
                        queue.push(now + self.random.below(MILLIS), Event::Link(up));
                    }
                }
            }
        }
    }

    /// A node's process is gone, and its connections with it.
    pub(super) fn stop(&mut self, now: Nanos, node: usize, queue: &mut Queue) {
        self.running[node] = false;
        for peer in (0..self.nodes).filter(|peer| *peer != node) {
            let is_quick = self.random.coin();
            let wait = if is_quick { 200 * MICROS } else { self.idle_timeout };
            let connection = self.connection((node, peer));
            connection.up[end(node, peer)] = None;
            let number = connection.number;
            let place = end(peer, node);
            if std::mem::take(&mut connection.is_there) && connection.up[place] == Some(number) {
                connection.told_at[place] = now + wait;
                let held = std::mem::take(&mut connection.held);
                let down = LinkEvent::Down { node: peer, peer: node, connection: number };
                queue.push(now + wait, Event::Link(down));
                held.iter().for_each(|delivery| self.lose(delivery, "crash"));
            }
        }
    }

    /// Ends all that is wrong with the network.
    pub(super) fn heal(&mut self, now: Nanos, queue: &mut Queue) {
        for way in ways(self.nodes) {
            let route = self.route(way);
            route.odds = Odds::NONE;
            route.worse.clear();
            // What a fault has added is of another order than how far a zone is.
            route.delay = route.delay.min(DELAY_NANOS_MAX);
            let place = way.0 * self.nodes + way.1;
            self.cuts[place] = self.cuts[place].min(1);
            self.mend(now, way, queue);
        }
    }

    fn connection(&mut self, (one, other): Way) -> &mut Connection {
        &mut self.connections[one.min(other) * self.nodes + one.max(other)]
    }
}

/// Which end of its connection with `peer` a node is.
const fn end(node: usize, peer: usize) -> usize {
    if node < peer { 0 } else { 1 }
}

#[cfg(test)]
mod tests;
