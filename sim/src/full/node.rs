//! A machine with a node on it: the node as it is shipped, on the world's disk, network and clocks.

use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use quorate_core::limits::Limits;
use quorate_core::member::Name;
use quorate_core::mutant::Mutant;
use quorate_core::time::{Instant, Now};
use quorate_net::authority::{Authority, CERTIFICATE_LIFETIME, CLOCK_TOLERANCE};
use quorate_net::{Credentials, Identity, clock, endpoint, environment};
use quorate_node::admin::Shared;
use quorate_node::config::{Config, LogFormat, LogLevel};
use quorate_node::driver::Clocks;
use quorate_node::logger::Logger;
use quorate_node::serve::{Machine, ServeError, run};
use quorate_storage::disk::DiskKind;
use quorate_storage::disk::probe::DiskReport;
use quorate_storage::disk::simulated::{Medium, Random};
use quorate_storage::io::Io;

use super::disk::{Drive, TimedDisk};
use super::gate::Gate;
use super::lab::{Eye, Lab};
use super::runtime::WorldRuntime;
use super::socket::WorldSocket;
use super::system::System;
use crate::group::clock::Clock;
use crate::group::disk::{Ledger, OpKinds};
use crate::group::play;
use crate::scenario::model::{Scenario, Sizes};

/// Where nodes listen.
pub(super) const PORT: u16 = 2113;

/// What of a machine outlives its processes.
pub(super) struct Computer {
    index: usize,
    address: SocketAddr,
    pub(super) medium: Medium,
    pub(super) drive: Rc<RefCell<Drive>>,
    pub(super) clock: Rc<RefCell<Clock>>,
    pub(super) gate: Gate,
    credentials: Credentials,
    config: Config,
    mutant: Option<Mutant>,
}

impl Computer {
    /// - `machines`: the addresses of all nodes
    pub(super) fn new(
        scenario: &Scenario,
        seed: u64,
        index: usize,
        machines: &[IpAddr],
        authority: &Authority,
    ) -> Self {
        let node = &scenario.nodes[index];
        let pace = play::pace(scenario, node.disk);
        let random = Random::stream(seed ^ index as u64, "disk times");
        Self {
            index,
            address: SocketAddr::new(machines[index], PORT),
            medium: Medium::new(seed ^ ((index as u64 + 1) << 56)),
            drive: Rc::new(RefCell::new(Drive { pace, random })),
            clock: Rc::new(RefCell::new(play::clock(scenario, node))),
            gate: Gate::default(),
            credentials: credentials(&node.name, machines[index], authority),
            config: config(scenario, index, machines),
            mutant: scenario.mutant.as_deref().and_then(play::mutant_of),
        }
    }

    /// One process, from its start to its end.
    pub(super) async fn run(self: Rc<Self>, lab: Rc<Lab>) {
        self.gate.pass(self.live(lab)).await;
    }

    async fn live(&self, lab: Rc<Lab>) {
        lab.change().nodes[self.index].is_up = true;
        lab.tell_of(self.index);
        match self.serve(&lab).await {
            Ok(()) => unreachable!("nobody tells it to stop"),
            Err(error) => lab.change().nodes[self.index].ended = Some(error),
        }
    }

    async fn serve(&self, lab: &Rc<Lab>) -> Result<(), ServeError> {
        let (ledger, kinds) = {
            let seen = &lab.see().nodes[self.index];
            (Ledger::clone(&seen.ledger), OpKinds::clone(&seen.kinds))
        };
        let disk = TimedDisk::new(&self.medium, ledger, kinds, Rc::clone(&self.drive));
        let runtime = WorldRuntime::start_within_set();
        let socket = WorldSocket::open(self.address).map_err(ServeError::System)?;
        let quic = endpoint::listen_on(socket, runtime, &self.credentials)?;
        let eye = Eye { lab: Rc::clone(lab), node: self.index };
        let machine = Machine {
            data: PathBuf::from(self.config.node.as_str()),
            io: Io::new(Box::new(disk)),
            report: DiskReport { kind: DiskKind::Simulated, uring_refusal: None, direct: true },
            endpoint: quic,
            address: self.address,
            credentials: self.credentials.clone(),
            shared: Arc::<Shared>::default(),
            logger: Logger::new(LogLevel::Error, LogFormat::Text).into_sink(&|_line| {}),
            announce: Box::new(|| {}),
            watch: Some(Box::new(eye)),
            clocks: Some(Box::new(OwnClocks::start(&self.clock, &lab.system))),
            mutant: self.mutant,
        };
        run(self.config.clone(), machine, std::future::pending()).await.map(drop)
    }
}

fn credentials(name: &str, address: IpAddr, authority: &Authority) -> Credentials {
    let now = environment::wall_clock();
    let validity = now - CLOCK_TOLERANCE..now + CERTIFICATE_LIFETIME;
    let issued = authority.issue_node(name, &[address.to_string()], &validity);
    let issued = issued.expect("the name is plain");
    let identity = Identity::from_issued(Path::new(name), authority, &issued, now);
    Credentials::new(identity.expect("it was just issued"))
}

fn config(scenario: &Scenario, index: usize, machines: &[IpAddr]) -> Config {
    let node = &scenario.nodes[index];
    let name = |text: &str| Name::new(text).expect("the loader has looked at it");
    let zone = |zone: usize| name(&scenario.zones[zone]);
    let common = Config {
        listen: format!("{}:{PORT}", machines[index]),
        node: name(&node.name),
        zone: zone(node.zone),
        join: machines.iter().map(|machine| format!("{machine}:{PORT}")).collect(),
        leader_zones: scenario.group.leader_zones.iter().map(|it| zone(*it)).collect(),
        ..Config::default()
    };
    match scenario.run.sizes {
        // Smaller than a node's where all that they cost is memory of the simulator.
        Sizes::Production => Config {
            event_bytes_max: 1 << 20,
            append_bytes_max: 2 << 20,
            entry_bytes_target: 512 << 10,
            segment_bytes: 4 << 20,
            tail_cache_bytes_max: 8 << 20,
            ..common
        },
        Sizes::Tiny => Config {
            event_bytes_max: Limits::TINY.event_bytes_max,
            append_bytes_max: Limits::TINY.append_bytes_max,
            entry_bytes_target: Limits::TINY.entry_bytes_target,
            segment_bytes: Limits::TINY.segment_bytes,
            stream_name_bytes_max: Limits::TINY.stream_name_bytes_max,
            event_type_bytes_max: Limits::TINY.event_type_bytes_max,
            event_metadata_bytes_max: Limits::TINY.event_metadata_bytes_max,
            stream_metadata_bytes_max: Limits::TINY.stream_metadata_bytes_max,
            filter_bytes_max: Limits::TINY.filter_bytes_max,
            log_writes_in_flight_max: Limits::TINY.log_writes_in_flight_max,
            pending_bytes_max: Limits::TINY.pending_bytes_max,
            pending_appends_max: Limits::TINY.pending_appends_max,
            heads_max: Limits::TINY.heads_max,
            heads_metadata_bytes_max: Limits::TINY.heads_metadata_bytes_max,
            recent_ids_max: Limits::TINY.recent_ids_max,
            tail_cache_bytes_max: 3 * 4096,
            index_memtable_events_max: 64,
            ..common
        },
    }
}

/// A process's view of its machine's clocks, which may run fast or slow, and jump.
struct OwnClocks {
    clock: Rc<RefCell<Clock>>,
    system: Rc<System>,
    /// What the monotonic one showed when the process started.
    started: u64,
}

impl OwnClocks {
    fn start(clock: &Rc<RefCell<Clock>>, system: &Rc<System>) -> Self {
        let started = clock.borrow().at(system.now()).monotonic.nanos();
        Self { clock: Rc::clone(clock), system: Rc::clone(system), started }
    }
}

impl Clocks for OwnClocks {
    fn now(&self) -> Now {
        let now = self.clock.borrow().at(self.system.now());
        let monotonic = Instant::from_nanos(now.monotonic.nanos() - self.started);
        Now { monotonic, ..now }
    }

    fn moment(&self, instant: Instant) -> clock::Instant {
        let shown = Instant::from_nanos(instant.nanos().saturating_add(self.started));
        let wait = self.clock.borrow().moment_of(shown).saturating_sub(self.system.now());
        clock::Instant::now() + Duration::from_nanos(wait)
    }
}
