//! A machine with a node on it: the node as it is shipped, on the world's disk, network and clocks.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use quorate_core::mutant::Mutant;
use quorate_core::time::{Instant, Now};
use quorate_net::{Credentials, clock, endpoint};
use quorate_node::admin::Shared;
use quorate_node::config::{Config, LogFormat, LogLevel};
use quorate_node::driver::Clocks;
use quorate_node::logger::Logger;
use quorate_node::serve::{Machine, ServeError, run};
use quorate_storage::disk::DiskKind;
use quorate_storage::disk::probe::DiskReport;
use quorate_storage::disk::simulated::Medium;
use quorate_storage::io::Io;

use super::disk::{SharedPace, TimedDisk};
use super::lab::{Eye, Lab};
use super::runtime::WorldRuntime;
use super::socket::WorldSocket;
use crate::group::clock::Clock;
use crate::group::disk::Ledger;

/// What of a machine outlives its processes.
pub(super) struct Computer {
    pub(super) index: usize,
    pub(super) name: String,
    pub(super) address: SocketAddr,
    pub(super) medium: Medium,
    pub(super) pace: SharedPace,
    pub(super) clock: Rc<RefCell<Clock>>,
    pub(super) credentials: Credentials,
    pub(super) config: Config,
    pub(super) mutant: Option<Mutant>,
}

impl Computer {
    /// One process, from its start to its end.
    pub(super) async fn run(self: Rc<Self>, lab: Rc<Lab>) {
        let ended = match self.serve(&lab).await {
            Ok(()) => "it has stopped".to_owned(),
            Err(error) => error.to_string(),
        };
        lab.change().nodes[self.index].ended = Some(ended);
    }

    async fn serve(&self, lab: &Rc<Lab>) -> Result<(), ServeError> {
        let ledger = {
            let seen = &mut lab.change().nodes[self.index];
            seen.incarnation += 1;
            Ledger::clone(&seen.ledger)
        };
        let disk = TimedDisk::new(&self.medium, ledger, SharedPace::clone(&self.pace));
        let socket = WorldSocket::open(self.address).map_err(ServeError::System)?;
        let quic = endpoint::listen_on(socket, Arc::new(WorldRuntime), &self.credentials)?;
        let eye = Eye { lab: Rc::clone(lab), node: self.index };
        let machine = Machine {
            data: PathBuf::from(&self.name),
            io: Io::new(Box::new(disk)),
            report: DiskReport { kind: DiskKind::Simulated, uring_refusal: None, direct: true },
            endpoint: quic,
            address: self.address,
            credentials: self.credentials.clone(),
            shared: Arc::<Shared>::default(),
            logger: Logger::new(LogLevel::Error, LogFormat::Text),
            announce: Box::new(|| {}),
            watch: Some(Box::new(eye)),
            clocks: Some(Box::new(OwnClocks::start(Rc::clone(&self.clock), Rc::clone(lab)))),
            mutant: self.mutant,
        };
        run(self.config.clone(), machine, std::future::pending()).await.map(drop)
    }
}

/// A process's view of its machine's clocks, which may run fast or slow, and jump.
struct OwnClocks {
    clock: Rc<RefCell<Clock>>,
    lab: Rc<Lab>,
    /// What the monotonic one showed when the process started.
    started: u64,
}

impl OwnClocks {
    fn start(clock: Rc<RefCell<Clock>>, lab: Rc<Lab>) -> Self {
        let started = clock.borrow().at(lab.now()).monotonic.nanos();
        Self { clock, lab, started }
    }
}

impl Clocks for OwnClocks {
    fn now(&self) -> Now {
        let now = self.clock.borrow().at(self.lab.now());
        let monotonic = Instant::from_nanos(now.monotonic.nanos() - self.started);
        Now { monotonic, ..now }
    }

    fn moment(&self, instant: Instant) -> clock::Instant {
        let shown = Instant::from_nanos(instant.nanos().saturating_add(self.started));
        let wait = self.clock.borrow().moment_of(shown).saturating_sub(self.lab.now());
        clock::Instant::now() + std::time::Duration::from_nanos(wait)
    }
}
