//! A world of whole nodes: what there is in it, and how it passes.

use std::cell::RefCell;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use quorate_core::member::Name;
use quorate_core::time::Created;
use quorate_net::authority::{Authority, CERTIFICATE_LIFETIME};
use quorate_net::environment::{self, Simulated as _};
use quorate_net::{Credentials, Identity};
use quorate_node::config::Config;
use quorate_storage::disk::simulated::{Medium, Random, Survival};
use turmoil::Sim;

use super::client::{self, Desk};
use super::disk::Pace;
use super::lab::Lab;
use super::node::Computer;
use super::system::System;
use super::wire::{self, Quality};
use crate::group::clock::{Clock, TRUE_RATE};
use crate::group::disk::Pace as Model;
use crate::group::schedule::{MICROS, MILLIS, Nanos};
use crate::history::{Logged, Violation};
use crate::invariants as oracle;
use crate::reading;
use crate::world::Failure;

/// So long a healed group may take until all nodes are equal.
const SETTLE_NANOS_MAX: Nanos = 30_000 * MILLIS;
const PORT: u16 = 2113;

/// What a world is made of.
#[derive(Clone, Debug)]
pub struct Setup {
    /// In which zone each node stands; they are n1, n2, ….
    pub nodes: Vec<usize>,
    /// In which zone each client stands; they are c1, c2, ….
    pub clients: Vec<usize>,
    /// One way between two zones, in nanoseconds; within a zone it is the first.
    pub oneway: [Nanos; 2],
    /// Calls of all clients together, a second.
    pub rate: u64,
    /// Until when faults strike and clients want things.
    pub lasts: Nanos,
    /// So many of the runtime's nanoseconds pass in one of the world's.
    pub dilation: u32,
    /// What happens.
    pub deeds: Vec<(Nanos, Deed)>,
}

/// Something that is done to the world.
#[derive(Clone, Debug)]
pub enum Deed {
    /// A node's machine loses its power.
    PowerLoss(usize),
    /// A node's process is killed.
    Kill(usize),
    /// Whoever leads loses its power.
    LeaderPowerLoss,
    /// All that do not run start.
    StartAll,
    /// This node is cut off from all other machines.
    CutOff(usize),
    /// All can reach each other.
    Heal,
    /// All ways lose, double and delay datagrams, in parts of a billion each.
    Worsen(u32),
}

/// What a run came to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Of every datagram and every turn.
    pub hash: u64,
    /// How long the run was, in the world's time.
    pub lasted: Nanos,
    /// What happened, in words.
    pub text: String,
}

impl Setup {
    /// Three nodes in three zones, and what commonly goes wrong.
    #[must_use]
    pub fn built_in(seconds: u64, rate: u64, dilation: u32) -> Self {
        let at = |percent: u64| seconds * 1_000 * MILLIS / 100 * percent;
        Self {
            nodes: vec![0, 1, 2],
            clients: vec![0, 1, 2],
            oneway: [100 * MICROS, 500 * MICROS],
            rate,
            lasts: seconds * 1_000 * MILLIS,
            dilation,
            deeds: vec![
                (at(20), Deed::LeaderPowerLoss),
                (at(35), Deed::StartAll),
                (at(50), Deed::CutOff(1)),
                (at(60), Deed::Heal),
                (at(70), Deed::Worsen(20_000_000)),
                (at(80), Deed::Worsen(0)),
                (at(85), Deed::Kill(0)),
                (at(90), Deed::StartAll),
            ],
        }
    }

    /// The same without anything that goes wrong.
    #[must_use]
    pub fn calm(self) -> Self {
        Self { deeds: Vec::new(), ..self }
    }
}

/// Runs a world to its end.
///
/// # Errors
///
/// [`Failure`] with the first promise that was broken.
pub fn run(setup: &Setup, seed: u64) -> Result<Outcome, Failure> {
    let system = System::new(seed, setup.dilation);
    let _simulation = environment::simulate(Rc::clone(&system) as Rc<dyn environment::Simulated>);
    World::new(setup, seed, system).live().map_err(|violation| Failure { seed, violation })
}

struct World<'a> {
    setup: &'a Setup,
    system: Rc<System>,
    lab: Rc<Lab>,
    sim: Sim<'static>,
    computers: Vec<Rc<Computer>>,
    running: Vec<bool>,
    _wire: wire::Laid,
}

fn machine(number: usize) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(192, 168, 1, u8::try_from(number + 1).expect("there are few")))
}

impl<'a> World<'a> {
    fn new(setup: &'a Setup, seed: u64, system: Rc<System>) -> Self {
        let (nodes, clients) = (setup.nodes.len(), setup.clients.len());
        let addresses: Vec<IpAddr> = (0..nodes + clients).map(machine).collect();
        let wire = wire::lay(seed, &addresses);
        let lab = Lab::new(Rc::clone(&system), seed, nodes);
        let mut builder = turmoil::Builder::new();
        builder
            .rng_seed(seed)
            .epoch(system.wall_clock())
            .tick_duration(Duration::from_millis(1))
            .simulation_duration(Duration::MAX)
            .fail_rate(0.0)
            .udp_capacity(4096);
        let mut sim = builder.build();
        let authority = Authority::create(system.wall_clock()).expect("the seed makes keys");
        let computers: Vec<_> =
            (0..nodes).map(|node| Rc::new(computer(setup, seed, node, &authority))).collect();
        for computer in &computers {
            let (computer, lab) = (Rc::clone(computer), Rc::clone(&lab));
            sim.host(addresses[computer.index], move || {
                let (computer, lab) = (Rc::clone(&computer), Rc::clone(&lab));
                async move {
                    computer.run(lab).await;
                    Ok(())
                }
            });
        }
        for client in 0..clients {
            let desk = Rc::new(desk(setup, seed, client, authority.certificate_pem()));
            let lab = Rc::clone(&lab);
            sim.host(addresses[nodes + client], move || {
                let (desk, lab) = (Rc::clone(&desk), Rc::clone(&lab));
                async move {
                    desk.run(lab).await;
                    std::future::pending().await
                }
            });
        }
        let zones: Vec<usize> = setup.nodes.iter().chain(&setup.clients).copied().collect();
        for one in 0..zones.len() {
            for other in one + 1..zones.len() {
                let oneway = setup.oneway[usize::from(zones[one] != zones[other])];
                sim.set_link_latency(machine(one), machine(other), system.stretched(oneway));
            }
        }
        Self { setup, system, lab, sim, computers, running: vec![true; nodes], _wire: wire }
    }

    fn live(&mut self) -> Result<Outcome, Violation> {
        let mut deeds = self.setup.deeds.iter().peekable();
        while self.now() < self.setup.lasts {
            while let Some((_, deed)) = deeds.next_if(|(at, _)| *at <= self.now()) {
                self.carry_out(deed);
            }
            self.step()?;
        }
        self.heal();
        self.lab.change().is_closing = true;
        self.settle()?;
        // Once more from the disks alone: what is only in memory does not count.
        for node in 0..self.computers.len() {
            self.end(node, Some(Survival::Nothing));
        }
        self.start_all();
        self.settle()?;
        let log = self.compare_nodes()?;
        oracle::judge(&self.lab.see().attempts, &log)?;
        Ok(self.outcome(log.len()))
    }

    fn now(&self) -> Nanos {
        self.system.now()
    }

    fn step(&mut self) -> Result<(), Violation> {
        let stepped = self.sim.step();
        self.system.set_between(self.sim.elapsed());
        if let Err(error) = stepped {
            let story = format!("a machine's software ended badly: {error}");
            return Err(Violation { invariant: "no panic", story });
        }
        if let Some(violation) = self.lab.change().violation.take() {
            return Err(violation);
        }
        for node in 0..self.computers.len() {
            let ended = self.lab.see().nodes[node].ended.clone();
            if let Some(ended) = ended {
                let story = format!("node {node} stops: {ended}");
                return Err(Violation { invariant: "no node stops", story });
            }
        }
        Ok(())
    }

    /// Lets time pass until all nodes are equal.
    fn settle(&mut self) -> Result<(), Violation> {
        let until = self.now() + SETTLE_NANOS_MAX;
        // What clients still wait for may change it again.
        let patience = self.now() + 1_500 * MILLIS;
        while self.now() < patience || !self.lab.see().is_settled() {
            self.step()?;
            if self.now() > until {
                let story = format!(
                    "a healed group is not equal after {} ms: {:?}",
                    SETTLE_NANOS_MAX / MILLIS,
                    (0..self.computers.len()).map(|it| self.lab.see().view(it)).collect::<Vec<_>>()
                );
                return Err(Violation { invariant: "recovery in time", story });
            }
        }
        Ok(())
    }

    fn carry_out(&mut self, deed: &Deed) {
        match deed {
            Deed::PowerLoss(node) => self.end(*node, Some(Survival::Sectors)),
            Deed::Kill(node) => self.end(*node, None),
            Deed::LeaderPowerLoss => {
                let leader = self.lab.see().leader();
                if let Some(leader) = leader {
                    self.end(leader, Some(Survival::Sectors));
                }
            }
            Deed::StartAll => self.start_all(),
            Deed::CutOff(node) => {
                for other in (0..self.machines()).filter(|other| other != node) {
                    self.sim.partition(machine(*node), machine(other));
                }
            }
            Deed::Heal => self.heal(),
            Deed::Worsen(share) => self.worsen(*share),
        }
    }

    fn machines(&self) -> usize {
        self.setup.nodes.len() + self.setup.clients.len()
    }

    fn worsen(&self, share: u32) {
        let jitter = if share > 0 { 300 * MICROS } else { 0 };
        let quality = Quality {
            loss: share,
            duplicate: share,
            reorder: share,
            corrupt: share,
            jitter,
            ..Quality::default()
        };
        for from in 0..self.machines() {
            for to in (0..self.machines()).filter(|to| *to != from) {
                wire::set_quality(from, to, quality);
            }
        }
    }

    fn heal(&mut self) {
        for one in 0..self.machines() {
            for other in one + 1..self.machines() {
                self.sim.repair(machine(one), machine(other));
            }
        }
        self.worsen(0);
        self.start_all();
    }

    /// A process ends, with its machine's power or without.
    fn end(&mut self, node: usize, survival: Option<Survival>) {
        if !std::mem::replace(&mut self.running[node], false) {
            return;
        }
        self.sim.crash(machine(node));
        self.lab.change().forget(node);
        let medium = &self.computers[node].medium;
        match survival {
            Some(survival) => medium.power_loss_keeping(survival),
            None => medium.restart(),
        }
    }

    fn start_all(&mut self) {
        for node in 0..self.computers.len() {
            if !std::mem::replace(&mut self.running[node], true) {
                self.sim.bounce(machine(node));
            }
        }
    }

    fn compare_nodes(&self) -> Result<Vec<Logged>, Violation> {
        let state = self.lab.see();
        let sources = state.nodes.iter().map(|seen| seen.source.clone().expect("it runs"));
        let sources: Vec<_> = sources.collect();
        drop(state);
        let wall = self.computers[0].clock.borrow().at(self.now()).wall;
        reading::compare_nodes(&sources, Created::from_ticks(wall.ticks()))
    }

    fn outcome(&self, events: usize) -> Outcome {
        let state = self.lab.see();
        let text = format!("{events} events; {:?}; {:?}", state.counts, wire::counts());
        Outcome { hash: wire::hash(), lasted: self.now(), text }
    }
}

fn computer(setup: &Setup, seed: u64, index: usize, authority: &Authority) -> Computer {
    let name = format!("n{}", index + 1);
    let address = SocketAddr::new(machine(index), PORT);
    let now = environment::wall_clock();
    let validity = now - Duration::from_secs(24 * 3600)..now + CERTIFICATE_LIFETIME;
    let issued = authority.issue_node(&name, &[address.ip().to_string()], &validity);
    let issued = issued.expect("the name is plain");
    let identity = Identity::from_issued(Path::new(&name), authority, &issued, now);
    let config = Config {
        listen: address.to_string(),
        node: Name::new(&name).expect("it is short and plain"),
        zone: Name::new(&format!("z{}", setup.nodes[index] + 1)).expect("it is short and plain"),
        join: (0..setup.nodes.len()).map(|node| format!("{}:{PORT}", machine(node))).collect(),
        segment_bytes: 1 << 20,
        event_bytes_max: 64 << 10,
        append_bytes_max: 256 << 10,
        entry_bytes_target: 64 << 10,
        index_memtable_events_max: 512,
        ..Config::default()
    };
    let model = Model::of(60 * MICROS, 60 * MICROS);
    let takes = Box::new(move |random: &mut Random| Some(model.completion(0, random)));
    let random = Random::stream(seed ^ index as u64, "disk times");
    Computer {
        index,
        address,
        medium: Medium::new(seed ^ ((index as u64 + 1) << 56)),
        pace: Rc::new(RefCell::new(Pace { random, takes })),
        clock: Rc::new(RefCell::new(Clock::new(TRUE_RATE))),
        credentials: Credentials::new(identity.expect("it was just made")),
        config,
        mutant: None,
        name,
    }
}

fn desk(setup: &Setup, seed: u64, index: usize, authority: &str) -> Desk {
    let nodes = setup.nodes.len();
    let uri: Vec<String> = (0..nodes).map(|node| format!("{}:{PORT}", machine(node))).collect();
    Desk {
        index,
        name: format!("c{}", index + 1),
        address: SocketAddr::new(machine(nodes + index), PORT),
        uri: format!("quorate://{}", uri.join(",")),
        trust: client::trust(authority),
        every: 1_000 * MILLIS * setup.clients.len() as u64 / setup.rate.max(1),
        reads: 10,
        timeout: Duration::from_secs(5),
        seed,
    }
}
