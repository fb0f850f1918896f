//! A world of whole nodes: what there is in it, and how it passes.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use quorate_net::authority::Authority;
use quorate_net::environment::{self, Simulated as _};
use quorate_node::engine::Fault as NodeFault;
use quorate_node::serve::ServeError;
use quorate_storage::disk::simulated::{Random, Survival};
use turmoil::Sim;

use super::client::{self, Desk};
use super::faults::Applied;
use super::lab::{Errand, Lab};
use super::node::{Computer, PORT};
use super::system::System;
use super::wire;
use crate::group::load::Load;
use crate::group::play::START_SPREAD;
use crate::group::schedule::{MILLIS, Nanos};
use crate::history::{Logged, Violation};
use crate::invariants as oracle;
use crate::reading;
use crate::record::Shared;
use crate::record::plan::Planned;
use crate::runner;
use crate::scenario::fault::Trigger;
use crate::scenario::model::Scenario;
use crate::scenario::script::{Cue, Script};

/// So long a healed group may take until all nodes are equal.
const SETTLE_NANOS_MAX: Nanos = 60_000 * MILLIS;
/// What nodes and clients still have to tell each other when all is equal.
const QUIET_NANOS: Nanos = 100 * MILLIS;
/// Whoever runs a node whose disk has failed starts it again after this.
const START_AGAIN: Nanos = 500 * MILLIS;
/// Datagrams that wait at a machine.
const DATAGRAMS_MAX: usize = 4096;

/// What is to happen at some moment.
#[derive(Clone, Debug)]
pub(super) enum Event {
    Start { node: usize },
    Fault { fault: usize },
    Heal { number: usize },
    Flap { number: usize },
    Due { stream: usize },
    Arrival { client: usize, load: usize, number: u64 },
}

impl From<Cue> for Event {
    fn from(cue: Cue) -> Self {
        match cue {
            Cue::Fault(fault) => Self::Fault { fault },
            Cue::Arrival { client, load, number } => Self::Arrival { client, load, number },
        }
    }
}

/// Runs a scenario with whole nodes to its end, and tells the record what happens.
///
/// - `planned`: the faults and arrivals of a run that is to be repeated
///
/// # Errors
///
/// [`Violation`]: the first promise that was broken. The record knows of it, too.
pub fn play(
    scenario: &Scenario,
    seed: u64,
    planned: Option<&[Planned]>,
    record: &Shared,
) -> Result<(), Violation> {
    let system = System::new(seed, super::resolution(scenario));
    let _simulation = environment::simulate(Rc::clone(&system) as Rc<dyn environment::Simulated>);
    let mut world = World::new(scenario, seed, planned, system, record);
    let ended = world.perform(planned);
    if let Err(violation) = &ended {
        record.borrow_mut().violation(world.now(), violation);
    }
    ended
}

pub(super) struct World {
    pub(super) scenario: Rc<Scenario>,
    pub(super) system: Rc<System>,
    pub(super) lab: Rc<Lab>,
    pub(super) sim: Sim<'static>,
    pub(super) computers: Vec<Rc<Computer>>,
    /// Where each machine is: the nodes, and behind them the clients.
    pub(super) zones: Vec<usize>,
    /// The process of a node was started and has not been ended.
    running: Vec<bool>,
    queue: BTreeMap<(Nanos, u64), Event>,
    events: u64,
    load: Load,
    pub(super) script: Script,
    pub(super) applied: Vec<Applied>,
    /// Directions between machines that turmoil cuts now.
    pub(super) cut: Vec<(usize, usize)>,
    /// The power goes at these nodes as soon as something is being written.
    pub(super) to_be_torn: Vec<usize>,
    pub(super) faults: Random,
    _wire: wire::Laid,
}

/// The address of a machine: the nodes, and behind them the clients.
pub(super) fn machine(number: usize) -> IpAddr {
    let number = u16::try_from(number + 1).expect("there are few");
    IpAddr::V4(Ipv4Addr::new(192, 168, (number >> 8) as u8 + 1, (number & 0xff) as u8))
}

impl World {
    pub(super) fn new(
        scenario: &Scenario,
        seed: u64,
        planned: Option<&[Planned]>,
        system: Rc<System>,
        record: &Shared,
    ) -> Self {
        let scenario = Rc::new(scenario.clone());
        let clients = scenario.client_names();
        let nodes = scenario.nodes.len();
        let machines: Vec<IpAddr> = (0..nodes + clients.len()).map(machine).collect();
        let wire = wire::lay(seed, &machines, &system);
        let lab = Lab::new(Rc::clone(&system), &scenario, record, seed);
        let authority = Authority::create(system.wall_clock()).expect("the seed makes keys");
        let computers: Vec<_> = (0..nodes)
            .map(|node| Computer::new(&scenario, seed, node, &machines[..nodes], &authority))
            .map(Rc::new)
            .collect();
        let of_nodes = scenario.nodes.iter().map(|node| node.zone);
        let of_clients = clients.iter().map(|(_, kind)| scenario.clients[*kind].zone);
        let mut world = Self {
            zones: of_nodes.chain(of_clients).collect(),
            sim: network(seed, &system),
            running: vec![false; nodes],
            queue: BTreeMap::new(),
            events: 0,
            load: Load::new(&scenario, seed),
            script: Script::new(Rc::clone(&scenario), planned),
            applied: Vec::new(),
            cut: Vec::new(),
            to_be_torn: Vec::new(),
            faults: Random::stream(seed, "faults"),
            scenario,
            system,
            lab,
            computers,
            _wire: wire,
        };
        world.set_up(&clients, authority.certificate_pem());
        world
    }

    /// Puts the machines up, and the ways between them.
    fn set_up(&mut self, clients: &[(String, usize)], authority: &str) {
        for (node, computer) in self.computers.iter().enumerate() {
            let (computer, lab) = (Rc::clone(computer), Rc::clone(&self.lab));
            self.sim.host(machine(node), move || {
                let (computer, lab) = (Rc::clone(&computer), Rc::clone(&lab));
                async move {
                    computer.run(lab).await;
                    Ok(())
                }
            });
        }
        let nodes = self.computers.len();
        let uri: Vec<String> = (0..nodes).map(|it| format!("{}:{PORT}", machine(it))).collect();
        for (client, (name, kind)) in clients.iter().enumerate() {
            let desk = Rc::new(Desk {
                client,
                lane: nodes + client,
                name: name.clone(),
                address: SocketAddr::new(machine(nodes + client), PORT),
                uri: format!("quorate://{}", uri.join(",")),
                trust: client::trust(authority),
                loads: self.scenario.clients[*kind].loads.clone(),
            });
            let lab = Rc::clone(&self.lab);
            self.sim.host(machine(nodes + client), move || {
                let (desk, lab) = (Rc::clone(&desk), Rc::clone(&lab));
                async move {
                    desk.run(lab).await;
                    Ok(())
                }
            });
        }
        self.set_qualities();
    }

    /// Lets a scenario happen, and then compares everything.
    pub(super) fn perform(&mut self, planned: Option<&[Planned]>) -> Result<(), Violation> {
        // turmoil starts all at once; the first moment is none that a node may have.
        for node in 0..self.computers.len() {
            self.sim.crash(machine(node));
            let at = self.faults.below(START_SPREAD);
            self.at(at, Event::Start { node });
        }
        for (at, cue) in self.script.cues(planned) {
            self.at(at, cue.into());
        }
        if planned.is_none() {
            for (stream, at) in self.load.first_dues() {
                self.at(at, Event::Due { stream });
            }
        }
        let (healed_at, end) = (self.scenario.healed_at(), self.scenario.run.virtual_time);
        self.pass_until(healed_at)?;
        self.heal_all();
        self.pass_until(end)?;
        let text = format!("datagrams: {} {:?}", wire::hash(), wire::counts());
        self.lab.record.borrow_mut().digest(self.now(), wire::hash().as_bytes(), text);
        self.lab.record.borrow_mut().over();
        self.judge()
    }

    /// Compares everything: once as it is, and once more from the disks alone.
    fn judge(&mut self) -> Result<(), Violation> {
        self.lab.change().is_closing = true;
        self.settle()?;
        let left = self.lab.see().left();
        for node in left {
            self.end(node, Some(Survival::Nothing));
        }
        (0..self.computers.len()).for_each(|node| self.start(node));
        self.settle()?;
        let left = self.lab.see().left();
        if left.len() < self.scenario.quorum() {
            // Disks have deceived so many that the group has stopped, which is right.
            return Ok(());
        }
        let log = self.compare_nodes(&left)?;
        oracle::judge(&self.lab.see().attempts, &log)?;
        self.judge_followers(&log)
    }

    pub(super) fn now(&self) -> Nanos {
        self.system.now()
    }

    /// Something is to happen then.
    pub(super) fn at(&mut self, at: Nanos, event: Event) {
        self.events += 1;
        self.queue.insert((at, self.events), event);
    }

    fn pass_until(&mut self, until: Nanos) -> Result<(), Violation> {
        while self.now() < until {
            self.step(until)?;
        }
        Ok(())
    }

    /// When something happens next.
    fn next_moment(&self) -> Option<Nanos> {
        let event = self.queue.first_key_value().map(|((at, _), _)| self.system.not_before(*at));
        [event, self.system.next_timer(), wire::next_due()].into_iter().flatten().min()
    }

    /// Goes on to when something happens next, and lets all machines do what there is to do then.
    ///
    /// - `until`: if nothing happens before it, nothing does now
    fn step(&mut self, until: Nanos) -> Result<(), Violation> {
        let now = self.next_moment().map_or(until, |next| next.min(until)).max(self.now());
        self.system.pass(now);
        while let Some(first) = self.queue.first_entry()
            && first.key().0 <= now
        {
            let ((at, _), event) = first.remove_entry();
            self.happen(at, event);
        }
        wire::deliver(&self.sim, now);
        let stepped = self.sim.step();
        if let Some(story) = runner::take_panic() {
            return Err(Violation { invariant: "an assertion", story });
        }
        if let Err(error) = stepped {
            let story = format!("a machine's software ended badly: {error}");
            return Err(Violation { invariant: "no panic", story });
        }
        if let Some(violation) = self.lab.change().violation.take() {
            return Err(violation);
        }
        let happened = std::mem::take(&mut self.lab.change().happened);
        for trigger in happened {
            self.happened(trigger);
        }
        for node in 0..self.computers.len() {
            let ended = self.lab.change().nodes[node].ended.take();
            if let Some(error) = ended {
                self.stopped(node, &error)?;
            }
        }
        self.tear();
        Ok(())
    }

    fn happen(&mut self, at: Nanos, event: Event) {
        match event {
            Event::Start { node } => self.start(node),
            Event::Fault { fault } => self.scripted(fault),
            Event::Heal { number } => self.heal_one(number),
            Event::Flap { number } => self.flap(number),
            Event::Due { stream } => {
                if self.lab.see().is_closing {
                    return;
                }
                let (client, load, number, next) = self.load.take(stream, at);
                if let Some(next) = next {
                    self.at(next, Event::Due { stream });
                }
                self.arrive(at, client, load, number);
            }
            Event::Arrival { client, load, number } => self.arrive(at, client, load, number),
        }
    }

    /// An operation of a client is due.
    fn arrive(&mut self, due: Nanos, client: usize, load: usize, number: u64) {
        self.lab.record.borrow_mut().arrival(due, client, load, number);
        self.lab.change().under_way += 1;
        self.send_on(client, Errand::Load { load, number, due });
    }

    /// A client is to do something.
    pub(super) fn send_on(&self, client: usize, errand: Errand) {
        self.lab.change().errands[client].push_back(errand);
        self.lab.calls[client].notify_one();
    }

    /// Something has happened that a fault may wait for.
    pub(super) fn happened(&mut self, trigger: Trigger) {
        for (fault, after) in self.script.happened(trigger) {
            self.at(self.now() + after, Event::Fault { fault });
        }
    }

    /// Lets time pass until all nodes are equal and everybody has his answers.
    fn settle(&mut self) -> Result<(), Violation> {
        let (until, quiet) = (self.now() + SETTLE_NANOS_MAX, self.now() + QUIET_NANOS);
        while self.now() < quiet || !self.lab.see().is_settled() {
            if self.lab.see().left().len() < self.scenario.quorum() {
                return Ok(());
            }
            self.step(self.now() + MILLIS)?;
            if self.now() > until {
                let state = self.lab.see();
                let views: Vec<_> = (0..self.computers.len()).map(|it| state.view(it)).collect();
                let story = format!(
                    "a healed group is not equal after {} s, {} operations wait: {views:?}",
                    SETTLE_NANOS_MAX / (1_000 * MILLIS),
                    state.under_way
                );
                return Err(Violation { invariant: "recovery in time", story });
            }
        }
        Ok(())
    }

    /// A node's process has ended by itself.
    fn stopped(&mut self, node: usize, error: &ServeError) -> Result<(), Violation> {
        let (is_tainted, struck) = {
            let medium = &self.computers[node].medium;
            (self.lab.see().nodes[node].is_tainted, !medium.strikes().is_empty())
        };
        self.lab.note(Some(node), format!("it stops: {error}"));
        self.end(node, None);
        let is_halt = matches!(error, ServeError::Fault(NodeFault::Halted(_)));
        let is_refusal = !matches!(error, ServeError::Fault(_));
        if is_tainted && (is_halt || is_refusal) {
            self.lab.change().nodes[node].is_halted = true;
            self.lab.record.borrow_mut().halt(self.now(), node);
            return Ok(());
        }
        if is_halt || (is_refusal && !struck) {
            let story = format!("node {node} stops: {error}");
            return Err(Violation { invariant: "halt", story });
        }
        self.at(self.now() + START_AGAIN, Event::Start { node });
        Ok(())
    }

    /// Starts a node where it is not running and nothing keeps it down.
    pub(super) fn start(&mut self, node: usize) {
        if self.is_held_down(node) || std::mem::replace(&mut self.running[node], true) {
            return;
        }
        self.computers[node].medium.set_space(u64::MAX);
        self.sim.bounce(machine(node));
    }

    /// A process ends, with its machine's power or without.
    pub(super) fn end(&mut self, node: usize, survival: Option<Survival>) {
        if std::mem::replace(&mut self.running[node], false) {
            // A process that has ended by itself leaves tasks behind, which a crash would not end.
            if self.sim.is_host_running(machine(node)) {
                self.sim.crash(machine(node));
            } else {
                self.sim.bounce(machine(node));
                self.sim.crash(machine(node));
            }
            let (state, now) = (&mut *self.lab.change(), self.now());
            state.forget(node);
            state.talk.ends(&mut self.lab.record.borrow_mut(), now, node);
            state.happened.push(Trigger::NodeDown);
        }
        self.computers[node].medium.end(survival);
        self.lab.tell_of(node);
    }

    fn compare_nodes(&self, nodes: &[usize]) -> Result<Vec<Logged>, Violation> {
        let mut sources = Vec::new();
        let state = self.lab.see();
        for node in nodes {
            let seen = &state.nodes[*node];
            let source = seen.source.clone().expect("it has just agreed");
            sources.push((*node, source, seen.is_tainted));
        }
        let streams = state.workload.streams();
        drop(state);
        let wall = self.computers[0].clock.borrow().at(self.now()).wall;
        reading::compare_nodes(&sources, &streams, wall, |node, violation| {
            self.lab.record.borrow_mut().unreadable(self.now(), node, violation);
        })
    }

    /// Whoever has followed the log has seen it without gap or repetition.
    fn judge_followers(&self, log: &[Logged]) -> Result<(), Violation> {
        for follower in &self.lab.see().followers {
            let seen = follower.seen.iter();
            let differs = seen.zip(log).position(|(seen, it)| *seen != (it.position, it.id));
            let count = follower.seen.len();
            if let Some(place) = differs.or((count > log.len()).then_some(log.len())) {
                let story = format!(
                    "a subscriber saw {:?} as event {place} of the log",
                    follower.seen[place]
                );
                return Err(Violation { invariant: "subscriptions", story });
            }
        }
        Ok(())
    }
}

fn network(seed: u64, system: &System) -> Sim<'static> {
    let mut builder = turmoil::Builder::new();
    builder
        .rng_seed(seed)
        .epoch(system.wall_clock())
        .tick_duration(Duration::from_millis(1))
        .simulation_duration(Duration::MAX)
        .min_message_latency(wire::LINK_LATENCY)
        .max_message_latency(wire::LINK_LATENCY)
        .fail_rate(0.0)
        .udp_capacity(DATAGRAMS_MAX);
    builder.build()
}
