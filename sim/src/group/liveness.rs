//! After the chaos: faults end for a majority, and for the others they never do. Then there must be
//! one leader that stays, and it must serve (32, 33, 36); and at last all is healed.

use quorate_core::id::Epoch;

use super::World;
use super::ghost::{Role, View};
use super::invariants::id_of;
use super::partition::{Way, ways};
use super::schedule::{MILLIS, Nanos};
use crate::history::Violation;

/// Within so long a healthy majority has a leader. An election timeout is up to 220 ms here, with
/// what ranks and slow clocks add; a candidate may fail a few times.
const LEADER_NANOS_MAX: Nanos = 4_000 * MILLIS;
/// Within so long it has caught up, and answers.
const ANSWER_NANOS_MAX: Nanos = 4_000 * MILLIS;
/// So long it must stay the leader.
const STAY_NANOS: Nanos = 500 * MILLIS;
/// So often something that was begun earlier may still take the lead from it.
const DISTURBANCES_MAX: u64 = 2;
/// And so often it may give it away.
const TRANSFERS_MAX: u64 = 3;
/// In a scenario, where timers are longer and there is more to catch up with, so many times as long.
const SCENARIO_TIMES: Nanos = 20;
/// Within so long all nodes have the same log, once all is healed.
const EQUAL_NANOS_MAX: Nanos = 8_000 * MILLIS;

/// How a node stays broken while the others must work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    /// Its process is away.
    Down,
    /// It is alone.
    Alone,
    /// It hears nothing, and is heard.
    Deaf,
    /// It is not heard, and hears.
    Mute,
    /// Nothing completes on its disk.
    Stalled,
    /// Its link with one of the others comes and goes.
    Flapping,
    /// Its link with one of the others is cut, and all others are whole.
    OneLink,
    /// Its disk is very slow.
    Slow,
}

impl Broken {
    const ALL: [Self; 8] = [
        Self::Down,
        Self::Alone,
        Self::Deaf,
        Self::Mute,
        Self::Stalled,
        Self::Flapping,
        Self::OneLink,
        Self::Slow,
    ];
}

impl World {
    /// Ends the faults of a majority. It must get to work, whatever the others do.
    pub(super) fn recover_in_part(&mut self) -> Result<(), Violation> {
        self.heal();
        if self.plan.leader_stays.is_some() {
            // Clients get their answers first, so that nothing is under way when it breaks.
            self.is_closing = true;
            self.pass_until(self.now + STAY_NANOS)?;
        }
        let mut nodes: Vec<usize> = (0..self.nodes.len()).collect();
        let spared = if self.plan.spares_all { nodes.len() } else { self.ghost.quorum };
        let leader = self
            .leader()
            .map(|(leader, _)| leader)
            .filter(|_| self.plan.leader_stays.is_some() || self.faults.coin());
        while nodes.len() > spared {
            let place = leader.and_then(|leader| nodes.iter().position(|node| *node == leader));
            let place = place.unwrap_or_else(|| self.faults.index(nodes.len()));
            self.broken.push(nodes.swap_remove(place));
        }
        nodes.sort_unstable();
        for node in self.broken.clone() {
            let drawn = *self.faults.pick(&Broken::ALL);
            let how = self.plan.leader_stays.unwrap_or(drawn);
            self.note(format_args!("node {node} stays broken: {how:?}"));
            self.break_for_good(node, how, &nodes);
        }
        if self.plan.leader_stays.is_some() {
            self.must_stay(&nodes)?;
        }
        self.must_elect(&nodes)?;
        self.must_answer(&nodes)?;
        self.must_stay(&nodes)?;
        self.must_answer(&nodes)
    }

    /// Ends all that is wrong.
    pub(super) fn heal(&mut self) {
        self.note(format_args!("all is healed"));
        self.broken.clear();
        self.network.heal(self.now, &mut self.queue);
        self.plan.lost_answer = 0;
        self.plan.transfer = 0;
        let halted: Vec<bool> = (0..self.nodes.len()).map(|node| self.is_halted(node)).collect();
        for (node, is_halted) in halted.into_iter().enumerate() {
            self.put_right(node);
            let state = &mut self.nodes[node];
            state.medium.set_space(u64::MAX);
            state.medium.forget_injected();
            (state.pace.slowness, state.pace.stalled_until) = (1, 0);
            (state.paused_until, state.stays_down) = (0, is_halted);
            self.wake(node, self.now);
            self.queue.push(self.now, super::Event::Start { node });
        }
    }

    fn break_for_good(&mut self, node: usize, how: Broken, healthy: &[usize]) {
        let count = self.nodes.len();
        let any = *self.faults.pick(healthy);
        let leader = self.leader().map(|(leader, _)| leader);
        let other = leader.filter(|leader| healthy.contains(leader)).unwrap_or(any);
        let cut = |is_cut: &dyn Fn(Way) -> bool| ways(count).filter(|way| is_cut(*way)).collect();
        let cuts: Vec<Way> = match how {
            Broken::Down => {
                self.nodes[node].stays_down = true;
                self.crash(node, None);
                return;
            }
            Broken::Stalled => {
                self.nodes[node].pace.stalled_until = Nanos::MAX / 2;
                return;
            }
            Broken::Slow => {
                self.nodes[node].pace.slowness = 200;
                return;
            }
            Broken::Flapping => {
                let period = 20 * MILLIS + self.faults.below(150 * MILLIS);
                let pair = (node.min(other), node.max(other));
                return self.flap(pair, None, period, false);
            }
            Broken::Alone => cut(&|(from, to)| from == node || to == node),
            Broken::Deaf => cut(&|(_, to)| to == node),
            Broken::Mute => cut(&|(from, _)| from == node),
            Broken::OneLink => vec![(node, other), (other, node)],
        };
        self.cut(&cuts);
    }

    /// Who leads a majority, where it serves. It may be a node that is broken in a way that lets it.
    pub(super) fn leader(&self) -> Option<(usize, Epoch)> {
        let views = || {
            let nodes = self.ghost.nodes.iter().enumerate();
            nodes.filter_map(|(node, observed)| observed.view.map(|view| (node, view)))
        };
        views().find_map(|(node, leader)| {
            let follows =
                |view: &View| view.epoch == leader.epoch && view.leader == Some(id_of(node));
            let followers = views().filter(|(_, view)| follows(view)).count();
            let leads = leader.role == Role::Leader && leader.is_ready;
            (leads && followers >= self.ghost.quorum).then_some((node, leader.epoch))
        })
    }

    fn must_elect(&mut self, nodes: &[usize]) -> Result<(), Violation> {
        let until = self.now + LEADER_NANOS_MAX;
        if self.pass_while(until, |world| world.leader().is_none())? {
            return Err(self.stuck("no leader", nodes));
        }
        let leader = self.leader();
        self.note(format_args!("there is a leader: {leader:?}"));
        Ok(())
    }

    /// Appends and reads are answered.
    fn must_answer(&mut self, nodes: &[usize]) -> Result<(), Violation> {
        let until = self.now + ANSWER_NANOS_MAX;
        let counts = |world: &Self| {
            ["acknowledged", "linearizable read"].map(|what| world.coverage.count(what))
        };
        let [acknowledged, read] = counts(self);
        let is_waiting = |world: &Self| {
            let [acknowledged_now, read_now] = counts(world);
            acknowledged_now < acknowledged + 3 || read_now == read
        };
        if self.pass_while(until, is_waiting)? {
            return Err(self.stuck("no answers", nodes));
        }
        Ok(())
    }

    /// While a majority is healthy, nobody disturbs its leader. What was begun before it led may
    /// still do so once or twice, and it may itself give the lead to a better one.
    fn must_stay(&mut self, nodes: &[usize]) -> Result<(), Violation> {
        // Where nothing is written, all logs are equally good, and nothing else holds a node back.
        let is_quiet = self.faults.coin() || self.plan.leader_stays.is_some();
        self.is_closing = is_quiet;
        let transfers = self.coverage.count("transfer begun");
        let mut changes = 0;
        loop {
            self.must_elect(nodes)?;
            let leader = self.leader();
            let until = self.now + STAY_NANOS;
            if self.pass_while(until, |world| world.leader() == leader)? {
                break;
            }
            changes += 1;
            self.coverage.hit("leader disturbed");
            self.note(format_args!("{leader:?} did not stay the leader"));
            let transfers = self.coverage.count("transfer begun") - transfers;
            if changes > DISTURBANCES_MAX + transfers.min(TRANSFERS_MAX) {
                return Err(self.stuck("no leader stays", nodes));
            }
        }
        self.no_deaf_leader(nodes)?;
        self.is_closing = false;
        for client in 0..self.clients.len() {
            if self.clients[client].is_idle() {
                self.client_waits(client, self.plan.think_time);
            }
        }
        Ok(())
    }

    /// Nobody leads whom a majority has not answered for long: its followers would wait for ever.
    fn no_deaf_leader(&self, nodes: &[usize]) -> Result<(), Violation> {
        for (node, observed) in self.ghost.nodes.iter().enumerate() {
            let leads = observed.view.is_some_and(|view| view.role == Role::Leader);
            let heard = self.heard[node].iter().filter(|at| **at + STAY_NANOS > self.now).count();
            if leads && heard + 1 < self.ghost.quorum {
                return Err(self.stuck(&format!("node {node} leads and hears nobody"), nodes));
            }
        }
        Ok(())
    }

    /// All nodes have the same log, and know all of it to be committed.
    ///
    /// - `nodes`: those that have not stopped for good
    pub(super) fn must_become_equal(&mut self, nodes: &[usize]) -> Result<(), Violation> {
        let slowly = if self.play.is_some() { SCENARIO_TIMES } else { 1 };
        let until = self.now + slowly * EQUAL_NANOS_MAX;
        let are_equal = |world: &Self| {
            let is_idle = world.clients.iter().all(super::Client::is_idle);
            let mut views = nodes.iter().map(|node| world.ghost.nodes[*node].view);
            let Some(Some(first)) = views.next() else { return false };
            let rest_is_equal = views.all(|view| {
                view.is_some_and(|it| (it.committed, it.end) == (first.committed, first.end))
            });
            is_idle && rest_is_equal && first.committed == first.end && world.leader().is_some()
        };
        if self.pass_while(until, |world| !are_equal(world))? {
            return Err(self.stuck("not all became equal", nodes));
        }
        Ok(())
    }

    /// What there is to say where there is no progress.
    fn stuck(&self, what: &str, nodes: &[usize]) -> Violation {
        let views = self.ghost.nodes.iter().enumerate().map(|(node, observed)| {
            format!(
                "\n  node {node}: running {}, {:?}",
                self.nodes[node].engine.is_some(),
                observed.view
            )
        });
        let story = format!(
            "{what} at {}; nodes {nodes:?} are healthy, {:?} are not; {} calls wait{}",
            self.now,
            self.broken,
            self.calls.len(),
            views.collect::<String>()
        );
        Violation { invariant: "progress", story }
    }
}
