//! A group of nodes, each on a simulated disk, in a simulated network: all that can happen to it,
//! from one seed, or by a scenario.
//!
//! The nodes are the real ones without their sockets: the same engine, core, log and index. One
//! loop takes one event after the other from a queue in virtual nanoseconds; there is no other
//! time and no thread. After each turn of a node, everything that must hold is looked at
//! ([`invariants`]); what clients were told is compared with the log at the end, by the same oracle
//! as for a single node.

mod applied;
mod clients;
pub(crate) mod clock;
pub mod coverage;
pub(crate) mod disk;
mod end;
mod faults;
pub(crate) mod ghost;
pub(crate) mod invariants;
mod liveness;
pub(crate) mod load;
pub mod mutant;
mod network;
pub(crate) mod node;
mod outputs;
mod partition;
pub mod plan;
pub mod play;
pub(crate) mod rot;
mod route;
pub(crate) mod schedule;
mod setup;
mod subscriber;
pub mod telling;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::AddAssign;

use quorate_core::id::{Position, RequestId};
use quorate_storage::disk::simulated::{CrashPoint, Random, Survival};

use self::clients::{Call, Client};
use self::coverage::Coverage;
use self::disk::OpKind;
use self::ghost::Ghost;
use self::invariants::Turned;
use self::mutant::GroupMutant;
use self::network::{Heard, Network};
use self::node::{Inbound, Node};
use self::plan::Plan;
use self::play::Play;
use self::schedule::{Event, MILLIS, Nanos, Queue};
use self::subscriber::Subscriber;
use crate::history::{Attempt, Moment, Violation};
use crate::scenario::fault::{FaultName, Trigger};
use crate::trace::Trace;
use crate::workload::Workload;
use crate::world::Failure;

/// More events than any run has: beyond it, something goes in circles.
const EVENTS_MAX: u64 = 2_000_000;
/// In a scenario there are more; it says itself how long it is.
const EVENTS_OF_SCENARIO_MAX: u64 = 2_000_000_000;
/// More clients than a scenario has.
const LANES_MAX: usize = 16_384;
/// A start changes a handful of things; a power loss within it is set on one of them.
const RECOVERY_CHANGES_MAX: u64 = 12;

/// What a run came to, where nothing was wrong with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Of the trace: two runs of a seed have the same.
    pub hash: u64,
    /// Events of the world.
    pub events: u64,
    /// Turns that nodes took.
    pub turns: u64,
    /// What happened, and how often.
    pub coverage: Coverage,
}

impl AddAssign<&Self> for Summary {
    /// Sums all but the hash, which is that of one run.
    fn add_assign(&mut self, other: &Self) {
        self.events += other.events;
        self.turns += other.turns;
        self.coverage.merge(&other.coverage);
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} events, {} turns; {}", self.events, self.turns, self.coverage)
    }
}

/// Runs a seed to its end.
///
/// - `mutant`: a mistake to put in
/// - `prints`: whether to show the trace
///
/// # Errors
///
/// [`Failure`] with the first promise that was broken.
pub fn run(
    seed: u64,
    plan: Plan,
    mutant: Option<GroupMutant>,
    prints: bool,
) -> Result<Summary, Failure> {
    let mut world = World::new(seed, plan, mutant, prints);
    world.live().map_err(|violation| Failure { seed, violation })
}

struct World {
    plan: Plan,
    mutant: Option<GroupMutant>,
    nodes: Vec<Node>,
    network: Network,
    queue: Queue,
    now: Nanos,
    events: u64,
    turns: u64,
    /// When each node last heard each other.
    heard: Vec<Vec<Nanos>>,
    /// Grows with each event: the order in which things happened.
    moment: Moment,
    schedule: Random,
    faults: Random,
    /// Faults strike.
    is_chaos: bool,
    /// Nodes that stay broken while the others must work.
    broken: Vec<usize>,
    ghost: Ghost,
    workload: Workload,
    clients: Vec<Client>,
    /// Of them, those that have nothing to do in a scenario.
    free_clients: Vec<usize>,
    /// The node that each client believes to lead; in a scenario many operations share one.
    believed: Vec<usize>,
    /// Clients have no new wishes.
    is_closing: bool,
    attempts: Vec<Attempt>,
    sent: Vec<clients::Sent>,
    calls: BTreeMap<RequestId, Call>,
    requests: u64,
    /// The furthest acknowledged position.
    acknowledged: Position,
    subscribers: Vec<Subscriber>,
    coverage: Coverage,
    trace: Trace,
    /// The scenario that is being run, if it is not a seed's own plan.
    play: Option<Play>,
}

impl World {
    fn new(seed: u64, plan: Plan, mutant: Option<GroupMutant>, prints: bool) -> Self {
        let count = plan.nodes;
        Self {
            nodes: (0..count).map(|index| Node::new(index, &plan, seed)).collect(),
            network: Network::new(
                count,
                (plan.quality.mood, plan.quality.idle_timeout),
                plan.routes.clone().unwrap_or_else(|| plan.quality.routes(count, seed)),
                seed,
            ),
            queue: Queue::default(),
            now: 0,
            events: 0,
            turns: 0,
            heard: vec![vec![0; count]; count],
            moment: 0,
            schedule: Random::stream(seed, "schedule"),
            faults: Random::stream(seed, "faults"),
            is_chaos: true,
            broken: Vec::new(),
            ghost: Ghost::new(count),
            workload: Workload::new(seed),
            clients: (0..plan.clients).map(Client::new).collect(),
            free_clients: Vec::new(),
            believed: (0..plan.clients.max(LANES_MAX)).map(|index| index % count).collect(),
            is_closing: false,
            attempts: Vec::new(),
            sent: Vec::new(),
            calls: BTreeMap::new(),
            requests: 0,
            acknowledged: Position::START,
            subscribers: Subscriber::all(count),
            coverage: Coverage::default(),
            trace: Trace::new(prints),
            play: None,
            mutant,
            plan,
        }
    }

    fn live(&mut self) -> Result<Summary, Violation> {
        if self.nodes.len() == 5 {
            self.coverage.hit("five nodes");
        }
        for node in 0..self.nodes.len() {
            let at = self.schedule.below(20 * MILLIS);
            self.queue.push(at, Event::Start { node });
        }
        for client in 0..self.clients.len() {
            self.client_waits(client, 30 * MILLIS);
        }
        for subscriber in 0..self.subscribers.len() {
            self.queue.push(0, Event::Subscriber { subscriber });
        }
        self.queue.push(0, Event::Strike);
        let chaos = self.plan.chaos;
        self.pass_until(chaos)?;
        self.is_chaos = false;
        self.recover_in_part()?;
        self.heal_and_judge()?;
        Ok(Summary {
            hash: self.trace.hash(),
            events: self.events,
            turns: self.turns,
            coverage: std::mem::take(&mut self.coverage),
        })
    }

    /// Lets everything happen up to a moment.
    fn pass_until(&mut self, until: Nanos) -> Result<(), Violation> {
        self.pass_while(until, |_| true).map(drop)
    }

    /// Lets things happen up to a moment, or until the condition does not hold any more; gives
    /// whether it held all the time. It is looked at after each event.
    fn pass_while(
        &mut self,
        until: Nanos,
        mut holds: impl FnMut(&Self) -> bool,
    ) -> Result<bool, Violation> {
        while self.queue.next_at().is_some_and(|at| at <= until) {
            let (at, event) = self.queue.pop().expect("there is a next one");
            self.now = at;
            self.moment += 1;
            self.events += 1;
            let events_max = if self.play.is_some() { EVENTS_OF_SCENARIO_MAX } else { EVENTS_MAX };
            if self.events > events_max {
                let story = format!("{events_max} events happened by {}", self.now);
                return Err(Violation { invariant: "progress", story });
            }
            self.happen(event)?;
            if !holds(self) {
                return Ok(false);
            }
        }
        self.now = until;
        Ok(true)
    }

    fn happen(&mut self, event: Event) -> Result<(), Violation> {
        match event {
            Event::Start { node } => self.start(node),
            Event::Turn { node } => self.turn(node),
            Event::Disk { node, incarnation, op } => {
                self.complete(node, incarnation, op);
                Ok(())
            }
            Event::Frame(delivery) => {
                let arrived = self.network.arrive(*delivery);
                self.tell_lost();
                if let Some(delivery) = arrived {
                    self.tell_arrival(&delivery);
                    let network::Delivery { from, to, packet, .. } = delivery;
                    self.heard[to][from] = self.now;
                    self.trace.mix(&[self.now, from as u64, to as u64, packet.bytes as u64]);
                    self.hand(to, Inbound::Frame { from, packet });
                }
                Ok(())
            }
            Event::Link(event) => {
                if let Some(heard) = self.network.happen(self.now, event, &mut self.queue) {
                    let (Heard::Up { node, .. } | Heard::Down { node, .. }) = heard;
                    if matches!(heard, Heard::Down { .. }) {
                        self.coverage.hit("peer down");
                    }
                    self.note(format_args!("{heard:?}"));
                    self.hand(node, Inbound::Link(heard));
                }
                Ok(())
            }
            Event::Request { request } => {
                self.request_arrives(request);
                Ok(())
            }
            Event::Answer { request, outcome, lane, message } => {
                self.answer_arrives(request, outcome, (lane, message));
                Ok(())
            }
            Event::ReadAnswer { client, token, message, end } => {
                self.read_answer_arrives(client, token, message, end);
                Ok(())
            }
            Event::Broken { request, was_taken } => {
                self.connection_breaks(request, was_taken);
                Ok(())
            }
            Event::Client { client, token } => {
                self.client_acts(client, token);
                Ok(())
            }
            Event::Subscriber { subscriber } => self.subscriber_acts(subscriber),
            Event::Strike => {
                self.strike();
                Ok(())
            }
            Event::Mend(mend) => {
                self.mend(mend);
                Ok(())
            }
            scripted => {
                self.happen_by_script(scripted);
                Ok(())
            }
        }
    }

    fn happen_by_script(&mut self, event: Event) {
        match event {
            Event::Fault { fault } => self.scripted(fault),
            Event::Heal { number } => self.heal_one(number),
            Event::Flap { number } => self.flap_applied(number),
            Event::Torn { node } => self.tear(node),
            Event::Due { stream } => self.due(stream),
            Event::Arrival { client, load, number } => self.arrive(client, load, number),
            _ => unreachable!("all others have had their turn"),
        }
    }

    /// Writes a line of the trace.
    fn note(&mut self, what: fmt::Arguments<'_>) {
        self.trace.line(format_args!("{:>13} {what}", self.now));
    }

    /// Gives a node something for its next turn.
    fn hand(&mut self, node: usize, inbound: Inbound) {
        if self.nodes[node].engine.is_none() {
            return;
        }
        self.nodes[node].inbox.push(inbound);
        let delay = 1 + self.schedule.below(self.plan.loop_delay);
        self.wake(node, self.now + delay);
    }

    /// Sees to it that a node takes a turn at this moment or before.
    fn wake(&mut self, node: usize, at: Nanos) {
        if self.nodes[node].engine.is_none() {
            return;
        }
        let known = &mut self.nodes[node].turn_at;
        if known.is_none_or(|known| at < known) {
            *known = Some(at);
            self.queue.push(at, Event::Turn { node });
        }
    }

    /// Starts a node where it is not running.
    fn start(&mut self, node: usize) -> Result<(), Violation> {
        if self.nodes[node].engine.is_some() || self.nodes[node].stays_down {
            return Ok(());
        }
        // Space and time come back with whoever starts the node again.
        self.nodes[node].medium.set_space(u64::MAX);
        self.nodes[node].medium.restart();
        let loses_power = self.is_chaos && self.comes(self.plan.loss_in_recovery);
        if loses_power {
            let change = self.nodes[node].medium.changes_completed();
            let change = change + 1 + self.faults.below(RECOVERY_CHANGES_MAX);
            self.nodes[node].medium.crash_at(CrashPoint::Submitted(change));
        }
        let _before = self.nodes[node].medium.strikes();
        if self.is_under(node, FaultName::DiskFull) {
            self.nodes[node].medium.set_space(0);
        }
        let now = self.now;
        let opened = self.nodes[node].open(now, self.mutant.and_then(GroupMutant::of_core));
        if loses_power && (opened.is_err() || self.nodes[node].medium.has_crashed()) {
            self.coverage.hit("power loss in recovery");
            self.note(format_args!("node {node} loses power in recovery"));
            self.nodes[node].end();
            self.nodes[node].ledger.borrow_mut().clear();
            self.nodes[node].medium.power_loss();
            self.start_later(node);
            return Ok(());
        }
        match opened {
            Ok(recovered) => {
                self.note(format_args!("node {node} starts: {recovered}"));
                self.take_ledger(node)?;
                let view = self.nodes[node].view().expect("it has just started");
                let is_honest = !self.nodes[node].is_tainted;
                invariants::started(&mut self.ghost, node, &view, is_honest)?;
                self.happened(Trigger::NodeStarted);
                self.tell_of(node);
                self.network.start(self.now, node, &mut self.queue);
                self.wake(node, self.now + 1);
                Ok(())
            }
            // A failed write or sync hit the start itself: whoever runs the node tries again.
            Err(error) if !self.nodes[node].medium.strikes().is_empty() => {
                self.note(format_args!("node {node} does not start: {error}"));
                self.nodes[node].ledger.borrow_mut().clear();
                self.start_later(node);
                Ok(())
            }
            Err(error) if self.nodes[node].is_tainted => {
                self.tell(|record, now| {
                    record.note(now, Some(node), format!("it does not start: {error}"));
                });
                self.halt(node);
                Ok(())
            }
            Err(error) => Err(Violation {
                invariant: "recovery",
                story: format!(
                    "node {node} does not start on what an honest disk has kept: {error}"
                ),
            }),
        }
    }

    /// A process ends, with its machine's power or without.
    fn crash(&mut self, node: usize, survival: Option<Survival>) {
        self.note(format_args!("node {node} ends, power loss leaving {survival:?}"));
        self.end_process(node);
        self.nodes[node].medium.end(survival);
        self.tell_of(node);
    }

    /// A process is gone: who waits for it learns so, sooner or later.
    fn end_process(&mut self, node: usize) {
        // What it was told last is on the disk all the same.
        self.nodes[node].ledger.borrow_mut().clear();
        // Reads under way belong to the process, too.
        self.subscribers.iter_mut().for_each(|subscriber| subscriber.end_process(node));
        if !self.nodes[node].end() {
            return;
        }
        self.coverage.hit("crash");
        let led = self.ghost.nodes[node].view.is_some_and(|view| view.is_ready);
        self.happened(Trigger::NodeDown);
        if led {
            self.happened(Trigger::LeaderLost);
        }
        self.ghost.nodes[node].view = None;
        self.network.stop(self.now, node, &mut self.queue);
        let calls = self.calls.iter().filter(|(_, call)| call.node == node);
        let requests: Vec<RequestId> = calls.map(|(request, _)| *request).collect();
        for request in requests {
            let at = self.now + 1 + self.schedule.below(20 * MILLIS);
            self.queue.push(at, Event::Broken { request, was_taken: true });
        }
    }

    /// An operation of a disk completes.
    fn complete(&mut self, node: usize, incarnation: u64, op: quorate_storage::disk::OpId) {
        if self.nodes[node].incarnation != incarnation {
            return;
        }
        if self.nodes[node].medium.has_crashed() {
            // It was set on a change of the start, which was quicker than that.
            self.coverage.hit("power loss in recovery");
            self.crash(node, Some(Survival::Sectors));
            self.start_later(node);
            return;
        }
        if let Some(until) = self.nodes[node].pace.stalls_until(self.now) {
            self.queue.push(until, Event::Disk { node, incarnation, op });
            return;
        }
        self.nodes[node].medium.complete(op);
        let delay = 1 + self.schedule.below(self.plan.loop_delay);
        self.wake(node, self.now + delay);
    }

    /// A node takes in what has come, does what it can, and is looked at.
    fn turn(&mut self, node: usize) -> Result<(), Violation> {
        let state = &mut self.nodes[node];
        // A turn that was put off or brought forward.
        if state.turn_at != Some(self.now) || state.engine.is_none() {
            return Ok(());
        }
        state.turn_at = None;
        if state.paused_until > self.now {
            return Ok(());
        }
        self.turns += 1;
        for inbound in std::mem::take(&mut self.nodes[node].inbox) {
            match inbound {
                Inbound::Request(request) => self.take_request(node, request),
                other => self.nodes[node].take_in(self.now, &other),
            }
        }
        let turned = self.nodes[node].turn(self.now);
        let before = self.ghost.nodes[node].view;
        let after = self.nodes[node].view().expect("it is running");
        self.take_notices(node, &after)?;
        self.take_ledger(node)?;
        let stops = turned.is_err();
        invariants::turned(&mut self.ghost, &Turned { node, before, after, stops })?;
        self.trace.mix(&[self.now, node as u64, after.epoch.get(), after.end.index.get()]);
        self.tell_of(node);
        self.take_outputs(node)?;
        if let Err(fault) = turned {
            return self.stop(node, &fault);
        }
        for (op, kind) in self.nodes[node].new_operations() {
            let at = self.nodes[node].pace.completion(self.now, kind, &mut self.schedule);
            if kind == OpKind::DurableWrite && self.nodes[node].is_to_be_torn {
                self.queue.push(self.now + 1, Event::Torn { node });
            }
            let incarnation = self.nodes[node].incarnation;
            self.queue.push(at, Event::Disk { node, incarnation, op });
        }
        if let Some(at) = self.nodes[node].wants_turn_at(self.now) {
            self.wake(node, at);
        }
        Ok(())
    }

    /// Takes in what a disk was given and has made durable.
    fn take_ledger(&mut self, node: usize) -> Result<(), Violation> {
        let news = std::mem::take(&mut *self.nodes[node].ledger.borrow_mut());
        for news in news {
            invariants::disk(&mut self.ghost, node, &news)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
