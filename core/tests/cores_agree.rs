//! Groups in bad weather: messages come late, twice, in any order or never; writes end in any
//! order; nodes crash and start. An observer checks each step, and when the weather is good again
//! the group has one leader, and goes on.

#[allow(dead_code, reason = "each test uses a part of the group")]
mod group;
#[allow(dead_code, reason = "each test uses a part of the shell")]
mod shell;
#[allow(dead_code, reason = "each test uses a part of the tape")]
mod tape;

use std::collections::BTreeMap;

use group::{Group, Node, node};
use quorate_core::id::{NodeId, RequestId};
use quorate_core::request::Outcome;
use quorate_core::timing::Timing;
use quorate_core::{Input, Limits};

/// Worlds, and steps of each.
const SEEDS: u64 = 250;
const STEPS: u64 = 600;
/// A group that nothing happens to has agreed by then.
const CALM_TICKS: u32 = 400;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn percent(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

/// How bad the weather of a world is, in percent.
struct Weather {
    lost: usize,
    doubled: usize,
    reordered: usize,
    crashes: usize,
    flaps: usize,
    time: usize,
}

struct World {
    random: Random,
    weather: Weather,
    group: Group,
    requests: u64,
    /// Nodes that a cut separates from the others.
    island: Vec<NodeId>,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let ranks: &[u32] = match random.below(6) {
            0 => &[0, 0],
            1 => &[0, 0, 0, 0, 0],
            2 => &[0, 1, 2],
            _ => &[0, 0, 0],
        };
        let mut any = |choices: &[usize]| choices[random.below(choices.len())];
        let weather = Weather {
            lost: any(&[0, 2, 10, 30]),
            doubled: any(&[0, 5, 20]),
            reordered: any(&[0, 10, 80]),
            crashes: any(&[0, 1, 3]),
            flaps: any(&[0, 2]),
            time: any(&[4, 10, 25]),
        };
        let mut group = Group::started(ranks, Limits::TINY, Timing::TINY);
        group.taped = seed.is_multiple_of(10);
        Self { random, weather, group, requests: 0, island: Vec::new() }
    }

    fn any_node(&mut self) -> NodeId {
        node(1 + self.random.below(self.group.nodes.len()) as u64)
    }

    fn step(&mut self) {
        let id = self.any_node();
        if !self.group.node(id).running {
            if self.random.percent(20) {
                // What is known to be committed is not written at once, and perhaps never.
                let committed = self.group.node(id).committed;
                if self.random.percent(50) {
                    let it = self.group.node_mut(id);
                    it.hint = it.hint.max(committed.min(it.disk.end().index));
                }
                self.group.boot(id);
            }
            return;
        }
        let Weather { crashes, flaps, time, .. } = self.weather;
        match self.random.below(100) {
            0..45 => self.deliver(),
            45..70 => self.finish(id),
            70..78 => self.propose(id),
            78..80 => self.read(id),
            80 if self.random.percent(30) => {
                let request = self.request();
                let to = self.any_node();
                self.group.step(id, Input::Transfer { request, to: Some(to) });
            }
            81 if self.random.percent(crashes * 30) => {
                let random = &mut self.random;
                self.group.crash(id, |_| random.percent(50));
                return;
            }
            82 if self.random.percent(flaps * 20) => {
                let to = self.any_node();
                self.group.step(id, Input::PeerDown { node: to });
                self.group.step(id, Input::PeerUp { node: to });
            }
            83 if self.random.percent(flaps * 20) => {
                self.island = self.group.ids();
                let random = &mut self.random;
                self.island.retain(|_| random.percent(50));
            }
            84 if self.random.percent(crashes) => {
                self.group.step(id, Input::DiskFailed);
                self.group.crash(id, |_| false);
                return;
            }
            85..100 if self.random.percent(time * 4) => {
                for _ in 0..=self.random.below(6) {
                    self.group.tick(id);
                }
            }
            _ => {}
        }
        if self.group.node(id).running && self.random.percent(60) {
            self.group.step(id, Input::EndTurn);
        }
    }

    fn deliver(&mut self) {
        if self.group.net.is_empty() {
            return;
        }
        let place = if self.random.percent(self.weather.reordered) {
            self.random.below(self.group.net.len())
        } else {
            0
        };
        let envelope = self.group.net.remove(place);
        let is_cut = self.island.contains(&envelope.from) != self.island.contains(&envelope.to);
        if is_cut || self.random.percent(self.weather.lost) {
            return;
        }
        if self.random.percent(self.weather.doubled) {
            self.group.net.push(envelope.clone());
        }
        self.group.deliver(&envelope);
        if self.group.node(envelope.to).running && self.random.percent(60) {
            self.group.step(envelope.to, Input::EndTurn);
        }
    }

    /// Something that the disk or the shell has under way ends.
    fn finish(&mut self, id: NodeId) {
        let Node { disk, jobs, .. } = self.group.node(id);
        let (jobs, writes) = (jobs.len(), disk.under_way());
        match self.random.below(4) {
            0 if disk.hard_state_under_way.is_some() => {
                self.group.finish_hard_state(id);
            }
            1 if disk.truncation.is_some() => {
                self.group.finish_truncation(id);
            }
            2 if jobs > 0 => {
                let place = self.random.below(jobs);
                self.group.finish_job(id, place);
            }
            3 if !writes.is_empty() => {
                let index = writes[self.random.below(writes.len())];
                self.group.finish_write(id, index);
            }
            _ => {}
        }
    }

    fn request(&mut self) -> RequestId {
        self.requests += 1;
        RequestId::from_wire(self.requests)
    }

    fn propose(&mut self, id: NodeId) {
        let id = self.group.leader().filter(|_| self.random.percent(80)).unwrap_or(id);
        let request = self.request().get();
        let stream = ["a", "b"][self.random.below(2)];
        self.group.append(id, request, stream);
    }

    fn read(&mut self, id: NodeId) {
        let request = self.request();
        self.group.read(id, request);
    }

    /// The weather is good, though a minority may be gone for ever: the group finds a leader and
    /// goes on. Gives how many ticks that took.
    fn calm_down(&mut self) -> u32 {
        let gone = if self.random.percent(50) { (self.group.nodes.len() - 1) / 2 } else { 0 };
        for id in self.group.ids().into_iter().take(gone) {
            if self.group.node(id).running {
                self.group.crash(id, |_| false);
            }
        }
        let rest: Vec<_> = self.group.ids().into_iter().skip(gone).collect();
        for id in &rest {
            if !self.group.node(*id).running {
                self.group.boot(*id);
            }
        }
        for from in &rest {
            for to in self.group.ids().into_iter().filter(|to| to != from) {
                self.group.step(*from, Input::PeerUp { node: to });
            }
        }
        let mut ticks = 0;
        while !self.agrees(&rest) {
            self.group.calm_tick();
            ticks += 1;
            assert!(ticks < CALM_TICKS, "one leader, and all is committed");
        }
        // A transfer that was under way comes to its end.
        for _ in 0..CALM_TICKS {
            self.group.calm_tick();
        }
        let leader = self.group.leader().expect("there is one");
        let epoch = self.group.node(leader).replica.view().epoch;
        let request = self.request();
        self.group.append(leader, request.get(), "a");
        for _ in 0..40 {
            self.group.calm_tick();
        }
        let outcome = self.group.ghost.outcomes.get(&request);
        assert!(matches!(outcome, Some(Outcome::Appended(_))), "{outcome:?}");
        assert!(self.agrees(&rest), "what was agreed stays so");
        let ranked = self.group.ranks_differ();
        let now = self.group.leader().expect("there is one");
        let same = now == leader && self.group.node(now).replica.view().epoch == epoch;
        assert!(same || ranked, "a healthy leader stays");
        ticks
    }

    /// Whether these nodes have one leader, and have committed and written all they have.
    fn agrees(&self, rest: &[NodeId]) -> bool {
        let nodes = || rest.iter().map(|id| self.group.node(*id));
        nodes().filter(|node| node.replica.view().role.leads()).count() == 1
            && nodes().all(|node| {
                let view = node.replica.view();
                view.committed == view.end
                    && view.committed.index == self.group.ghost.committed()
                    && node.disk.under_way().is_empty()
            })
    }
}

#[test]
fn cores_agree() {
    let (first, count) = match std::env::var("SEED") {
        Ok(seed) => (seed.parse().expect("a number"), 1),
        Err(_) => (0, std::env::var("SEEDS").map_or(SEEDS, |it| it.parse().expect("a number"))),
    };
    let mut seen = BTreeMap::new();
    let mut slowest = 0;
    for seed in first..first + count {
        println!("SEED={seed}");
        let mut world = World::new(seed);
        world.group.trace = std::env::var_os("TRACE").is_some();
        for _ in 0..STEPS {
            world.step();
        }
        slowest = slowest.max(world.calm_down());
        for (what, times) in world.group.ghost.seen {
            *seen.entry(what).or_insert(0) += times;
        }
    }
    println!("slowest: {slowest} ticks; {seen:#?}");
    let rare = ["truncated", "resync", "timeout now", "sent from the log", "unknown"];
    for what in rare.into_iter().filter(|_| count > 1) {
        assert!(seen.contains_key(what), "never seen: {what}");
    }
}
