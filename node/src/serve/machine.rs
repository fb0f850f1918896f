//! A node from the moment at which its machine stands ready: its disk is open and its endpoint
//! listens. What comes before that is the program's, and is another in a simulator.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use quinn::Endpoint;
use quorate_core::mutant::Mutant;
use quorate_net::{Credentials, PeerConnector, clock};
use quorate_storage::disk::probe::DiskReport;
use quorate_storage::io::Io;
use quorate_storage::superblock;

use super::ServeError;
use super::data::{self, Data, Standing};
use super::opening::{open_engine, record};
use super::rescue::Rescue;
use crate::admin::Shared;
use crate::config::Config;
use crate::driver::{Clocks, Driver, Watch};
use crate::engine::OpenError;
use crate::gateway;
use crate::listener::Listener;
use crate::logger::Logger;
use crate::peers::{self, Inbound, Links, Peers};
use crate::recorder::RecordingFolder;

/// All that a node is given.
pub struct Machine {
    /// The data folder's path, for people.
    pub data: PathBuf,
    /// The data folder.
    pub io: Io,
    /// What was found out about its disk.
    pub report: DiskReport,
    /// Where clients and other nodes come in.
    pub endpoint: Endpoint,
    /// The endpoint's address.
    pub address: SocketAddr,
    /// What the node shows of itself.
    pub credentials: Credentials,
    /// What others see of it.
    pub shared: Arc<Shared>,
    /// Where log lines go.
    pub logger: Logger,
    /// Called once, when it can be found.
    pub announce: Box<dyn Fn()>,
    /// Sees each turn.
    pub watch: Option<Box<dyn Watch>>,
    /// Clocks that may be wrong.
    pub clocks: Option<Box<dyn Clocks>>,
    /// A mistake to make on purpose.
    pub mutant: Option<Mutant>,
}

/// Runs a node until `stop` is ready. Must run where local tasks can be spawned.
///
/// Gives the driver back where there is one by then: once the tasks are gone that were spawned
/// meanwhile, its engine can be closed in good order.
///
/// # Errors
///
/// [`ServeError`].
pub async fn run(
    config: Config,
    machine: Machine,
    stop: impl Future<Output = Result<(), ServeError>>,
) -> Result<Option<Rc<Driver>>, ServeError> {
    let Machine { io, report, address, shared, logger, endpoint, .. } = machine;
    let recording = config.record.as_ref().map(RecordingFolder::open).transpose()?;
    let data = Data::open(&config, &machine.data, io, report, &logger)?;
    let (links, peers) =
        other_nodes(&config, &data, address, &endpoint, &machine.credentials, &shared, logger);
    let listener = Listener::new(&config, Arc::clone(&shared), logger, peers.clone());
    let _accepting = tokio::task::spawn_local(Rc::clone(&listener).run(endpoint.clone()));
    let mut stop = std::pin::pin!(stop);

    let identity = match (&data.standing, &peers) {
        (Standing::Founded(identity), _) => Some(**identity),
        (Standing::New(_), None) => Some(data.alone()),
        (Standing::New(_), Some(peers)) => {
            (machine.announce)();
            wait_for_group(peers, &data, stop.as_mut()).await?
        }
    };
    let Some(identity) = identity else {
        farewell(&endpoint).await;
        return Ok(None);
    };
    let opened = {
        let (io, links, shared) = (&data.io, &links, &shared);
        let rescue =
            Rescue { io, identity: &identity, links, shared, logger, watch: &machine.watch };
        let open = || open_engine(&config, &data, identity, machine.mutant, shared, &logger);
        tokio::select! {
            biased;
            stopped = stop.as_mut() => stopped.map(|()| None),
            opened = rescue.open(open, peers.as_ref()) => opened.map(Some),
        }
    };
    let Some((mut engine, recovered)) = opened? else {
        farewell(&endpoint).await;
        return Ok(None);
    };
    if let Some(folder) = recording {
        record(&mut engine, folder, &recovered.identity, logger)?;
    }
    if let Some(watch) = &machine.watch {
        watch.opened(&engine);
    }
    if matches!(data.standing, Standing::Founded(_)) || peers.is_none() {
        (machine.announce)();
    }
    let patience = Duration::from_millis(config.shutdown_timeout_ms.into());
    let driver = Driver::new(engine, recovered.identity, config, shared, logger, links);
    let driver = Rc::new(driver.watched_by(machine.watch).timed_by(machine.clocks));
    listener.serve_clients(Rc::clone(&driver));
    serve(&driver, peers.as_ref(), endpoint, stop, patience).await?;
    Ok(Some(driver))
}

/// The other nodes, where there are any, and the links to them.
fn other_nodes(
    config: &Config,
    data: &Data,
    address: SocketAddr,
    quic: &Endpoint,
    credentials: &Credentials,
    shared: &Arc<Shared>,
    logger: Logger,
) -> (Rc<Links>, Option<Rc<Peers>>) {
    let links = Rc::<Links>::default();
    let advertised = config.advertised(address);
    if config.voters() == 1 {
        links.set_address(data::ALONE, &advertised);
        return (links, None);
    }
    let settings = peers::Settings {
        node: config.node,
        zone: config.zone,
        disk: data.disk(),
        voters: config.voters(),
        address: advertised,
        join: config.join.clone(),
        segment_bytes: config.segment_bytes,
        message_bytes_target: config.limits().message_bytes_target,
        hello_timeout: Duration::from_millis(config.hello_timeout_ms.into()),
    };
    let parts = peers::Parts {
        endpoint: quic.clone(),
        connector: PeerConnector::new(credentials),
        links: Rc::clone(&links),
        shared: Arc::clone(shared),
        logger,
        make_durable: data.make_durable(),
    };
    (links, Some(Peers::new(settings, data.group(), parts)))
}

/// Looks for the other nodes until the node is one of a group; `None` where it is told to stop.
async fn wait_for_group(
    peers: &Rc<Peers>,
    data: &Data,
    stop: impl Future<Output = Result<(), ServeError>>,
) -> Result<Option<superblock::Identity>, ServeError> {
    peers.start();
    tokio::select! {
        biased;
        stopped = stop => stopped.map(|()| None),
        refusal = peers.doubled() => Err(ServeError::Doubled(refusal)),
        founding = peers.founded() => {
            founding.map_err(OpenError::Superblock)?;
            Ok(Some(data.identity()?))
        }
    }
}

/// Serves until it is told to stop; then no more calls are taken, those under way are answered, and
/// the clients are told.
async fn serve(
    driver: &Rc<Driver>,
    peers: Option<&Rc<Peers>>,
    quic: Endpoint,
    stop: impl Future<Output = Result<(), ServeError>>,
    patience: Duration,
) -> Result<(), ServeError> {
    let looping = Rc::clone(driver);
    let looping = tokio::task::spawn_local(async move { looping.run().await });
    if let Some(peers) = peers {
        let inbound: Rc<dyn Inbound> = Rc::clone(driver) as Rc<dyn Inbound>;
        peers.attach(&inbound);
        peers.start();
    }
    let doubled = async {
        match peers {
            Some(peers) => peers.doubled().await,
            None => std::future::pending().await,
        }
    };
    let serving = async {
        stop.await?;
        driver.stop(patience).await;
        Ok(())
    };
    let ended = tokio::select! {
        biased;
        fault = looping => Err(fault.expect("the loop does not panic").into()),
        refusal = doubled => Err(ServeError::Doubled(refusal)),
        ended = serving => ended,
    };
    farewell(&quic).await;
    ended
}

/// Tells everybody that the node is gone.
async fn farewell(quic: &Endpoint) {
    quic.close(gateway::CLOSE_STOPPING, b"the node is stopping");
    // Whoever does not answer the farewell is gone.
    let _idle = clock::timeout(Duration::from_millis(500), quic.wait_idle()).await;
}
