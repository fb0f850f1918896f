//! `quorate serve`: how a node starts, and how it stops, each in one function.

use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use quinn::Endpoint;
use quorate_core::id::{ClusterId, DiskId, GroupId, Lineage, NodeId};
use quorate_core::log::entry::LogId;
use quorate_core::member::Members;
use quorate_core::time::{self, Now};
use quorate_net::endpoint;
use quorate_net::identity::{Identity, IdentityError, Renewal, host_name};
use quorate_net::trust;
use quorate_storage::data_folder::{DataFolder, DataFolderError};
use quorate_storage::disk::DiskError;
use quorate_storage::disk::probe::{self, DiskReport};
use quorate_storage::index::IndexLimits;
use quorate_storage::io::Io;
use quorate_storage::read::ReadLimits;
use quorate_storage::superblock;
use tokio::runtime::LocalOptions;
use tokio::signal::unix::{SignalKind, signal};

use crate::admin::{AdminServer, Facts, Phase, Shared, http};
use crate::config::Config;
use crate::driver::{Driver, disk_name};
use crate::engine::{Engine, EngineOptions, Fault, OpenError, Recovered};
use crate::gateway;
use crate::logger::{Fields, Logger, wall_clock};

/// Why a node did not start, or did not go on.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The data folder can't be used at all.
    #[error(transparent)]
    Folder(#[from] DataFolderError),
    /// The disk can't be used.
    #[error(transparent)]
    Disk(DiskError),
    /// What is in the data folder is not what a node may serve.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The certificates can't be used.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// TLS can't be set up with them.
    #[error("the certificates can't be used: {0}")]
    Tls(#[from] rustls::Error),
    /// QUIC's port can't be opened.
    #[error(transparent)]
    Endpoint(#[from] endpoint::EndpointError),
    /// The address can't be listened on.
    #[error("can't listen on {listen}: {error}")]
    Listen {
        /// As configured.
        listen: String,
        /// Why.
        error: std::io::Error,
    },
    /// The system refuses a thread, a signal handler or the like.
    #[error("the system refuses what a node needs: {0}")]
    System(std::io::Error),
    /// The disk failed while the node ran.
    #[error("{0}; the node stops, because nobody knows what is on the disk now")]
    Fault(#[from] Fault),
}

impl ServeError {
    /// The process's exit code.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::System(_) => 1,
            Self::Folder(_) | Self::Disk(_) => 20,
            Self::Open(_) => 21,
            Self::Identity(_) | Self::Tls(_) | Self::Endpoint(_) | Self::Listen { .. } => 22,
            Self::Fault(_) => 23,
        }
    }
}

/// Runs a node until it is told to stop: by SIGTERM, SIGINT, or where `stop_with_stdin` says so, by
/// the end of standard input.
///
/// # Errors
///
/// [`ServeError`].
pub fn serve(config: Config, stop_with_stdin: bool) -> Result<(), ServeError> {
    let logger = Logger::new(config.log_level, config.log_format);
    let shared = Arc::new(Shared::default());
    // The folder first: whoever holds it may write to it.
    let folder = DataFolder::open_or_create(&config.data)?;
    let identity = identity(&config, &folder, &logger)?;
    let (tcp, address) = bind(&config)?;
    // Not a LocalSet: each hand-over between it and its runtime costs a look at the reactor.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default())
        .map_err(ServeError::System)?;
    let quic = {
        let _inside = runtime.enter();
        endpoint::listen(address, &identity)?
    };
    let admin = start_admin(&config, tcp, &identity, &shared)?;
    let (engine, recovered) = open_engine(&config, &folder, &shared, &logger)?;
    publish(address, &identity, &logger);
    let fields: Fields<'_> = &[("address", &address), ("data", &folder.path().display())];
    logger.info("listening", "QUIC on UDP and HTTP on TCP", fields);

    let patience = Duration::from_millis(config.shutdown_timeout_ms.into());
    let driver =
        Rc::new(Driver::new(engine, recovered.identity, config, Arc::clone(&shared), logger));
    let stop = wait_for_stop(stop_with_stdin, logger);
    let ran = runtime.block_on(run(&driver, quic, stop, patience));
    // With it go the tasks that hold the driver.
    drop(runtime);
    let closed = match (ran, Rc::try_unwrap(driver)) {
        (Err(fault), _) => Err(fault),
        (Ok(()), Ok(driver)) => close(driver.into_engine()),
        (Ok(()), Err(_)) => unreachable!("no task is left that could hold the driver"),
    };
    admin.stop();
    drop(folder);
    closed?;
    logger.info("stopped", "the node has stopped in good order", &[]);
    Ok(())
}

/// Serves until it is told to stop; then no more calls are taken, those under way are answered, and
/// the clients are told.
async fn run(
    driver: &Rc<Driver>,
    quic: Endpoint,
    stop: impl Future<Output = Result<(), ServeError>>,
    patience: Duration,
) -> Result<(), ServeError> {
    let accepting = tokio::task::spawn_local(gateway::accept(Rc::clone(driver), quic.clone()));
    let looping = Rc::clone(driver);
    let looping = tokio::task::spawn_local(async move { looping.run().await });
    let serving = async {
        stop.await?;
        driver.stop(patience).await;
        Ok(())
    };
    let ended = tokio::select! {
        biased;
        fault = looping => Err(fault.expect("the loop does not panic").into()),
        ended = serving => ended,
    };
    accepting.abort();
    quic.close(gateway::CLOSE_STOPPING, b"the node is stopping");
    // Whoever does not answer the farewell is gone.
    let _idle = tokio::time::timeout(Duration::from_millis(500), quic.wait_idle()).await;
    ended
}

fn close(engine: Engine) -> Result<(), ServeError> {
    let io = engine.io().clone();
    Ok(io.block_on(engine.close())?)
}

async fn wait_for_stop(with_stdin: bool, logger: Logger) -> Result<(), ServeError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(ServeError::System)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(ServeError::System)?;
    let reason = tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
        () = stdin_ends(), if with_stdin => "the end of standard input",
    };
    logger.info("stopping", "the node was told to stop", &[("by", &reason)]);
    Ok(())
}

/// Reads standard input to its end, on a thread: it may be a file or a pipe.
async fn stdin_ends() {
    let (ended, wait) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        // An error ends it as well as its end does.
        let _end = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        // Where the node has stopped meanwhile nobody listens.
        let _stopped = ended.send(());
    });
    // The sender is never dropped unsent.
    let _told = wait.await;
}

fn identity(config: &Config, folder: &DataFolder, logger: &Logger) -> Result<Identity, ServeError> {
    let now = SystemTime::now();
    if let Some(certs) = &config.certs {
        let authority = config.ca.clone().unwrap_or_else(|| certs.join("ca.pem"));
        let (certificate, key) = (certs.join("node.pem"), certs.join("node.key"));
        return Ok(Identity::load(&certificate, &key, &authority, now)?);
    }
    let host = config.listen.rsplit_once(':').map_or("", |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let specific = !matches!(host, "" | "0.0.0.0" | "::");
    let names: Vec<String> =
        specific.then(|| host.to_owned()).into_iter().chain(host_name()).collect();
    let certs = folder.path().join("certs");
    let (identity, renewal) = Identity::development(&certs, &names, now)?;
    let made = match renewal {
        Renewal::Kept => return Ok(identity),
        Renewal::Certificate => "the node has a new development certificate of the same authority",
        Renewal::Authority => "there is a new development authority: clients elsewhere need ca.pem",
    };
    logger.info("certificates", made, &[("folder", &certs.display())]);
    Ok(identity)
}

/// Opens the TCP port; a port of 0 is replaced by a free one, for both protocols.
fn bind(config: &Config) -> Result<(TcpListener, SocketAddr), ServeError> {
    let failed = |error| ServeError::Listen { listen: config.listen.clone(), error };
    let address = config.listen.to_socket_addrs().map_err(failed)?.next();
    let none = || std::io::Error::new(std::io::ErrorKind::NotFound, "no such address");
    let address = address.ok_or_else(none).map_err(failed)?;
    let tcp = TcpListener::bind(address).map_err(failed)?;
    let address = tcp.local_addr().map_err(failed)?;
    Ok((tcp, address))
}

fn start_admin(
    config: &Config,
    tcp: TcpListener,
    identity: &Identity,
    shared: &Arc<Shared>,
) -> Result<AdminServer, ServeError> {
    let options = http::Options {
        connections_max: config.http_connections_max as usize,
        header_timeout: Duration::from_millis(config.hello_timeout_ms.into()),
        plain: config.http_plain,
    };
    let tls = Arc::new(endpoint::https_config(identity)?);
    AdminServer::start(tcp, tls, options, Arc::clone(shared)).map_err(ServeError::System)
}

fn open_engine(
    config: &Config,
    folder: &DataFolder,
    shared: &Arc<Shared>,
    logger: &Logger,
) -> Result<(Engine, Recovered), ServeError> {
    let (disk, report) = probe::open_disk(folder.path(), config.disk).map_err(ServeError::Disk)?;
    for warning in report.warnings() {
        logger.warn("disk", &warning, &[]);
    }
    shared.health.enter(Phase::Starting("reading the end of the log".into()));
    let started = Instant::now();
    let io = Io::new(disk);
    let options = EngineOptions {
        limits: config.limits(),
        index: IndexLimits {
            memtable_events_max: config.index_memtable_events_max.into(),
            cache_bytes_max: config.index_cache_bytes_max as usize,
            ..IndexLimits::PRODUCTION
        },
        reads: ReadLimits::PRODUCTION,
        tail_bytes_max: config.tail_cache_bytes_max.into(),
        scrub_bytes_per_s: config.scrub_bytes_per_s.into(),
        founding: founding(config),
        seed: random(),
    };
    let now = Now { monotonic: time::Instant::START, wall: wall_clock() };
    let (engine, recovered) = io.block_on(Engine::open(io.clone(), now, options))?;
    tell(&recovered, &report, folder, shared, logger, started.elapsed());
    Ok((engine, recovered))
}

/// Tells people and metrics what the start found.
fn tell(
    recovered: &Recovered,
    report: &DiskReport,
    folder: &DataFolder,
    shared: &Shared,
    logger: &Logger,
    took: Duration,
) {
    let Recovered { identity, founded, log, index, events_replayed } = recovered;
    let metrics = &shared.metrics;
    metrics.recovery_ms.set(u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
    metrics.recovery_bytes.set(log.scanned_bytes);
    metrics.torn_tails.set(log.torn.is_some().into());
    metrics.events.set(log.end.events);
    metrics.end_position.set(log.end.position.get());
    let facts = Facts {
        cluster: identity.log.cluster.to_string(),
        group: identity.log.group.get(),
        node: identity.node.get(),
        lineage: identity.log.lineage.to_string(),
        data: folder.path().display().to_string(),
        disk: disk_name(report.kind).into(),
        disk_warning: report.warnings().join(" "),
    };
    shared.facts.set(facts).expect("a node opens its data once");
    if *founded {
        let fields: Fields<'_> = &[("cluster", &identity.log.cluster)];
        logger.info("founded", "a new cluster was founded in the data folder", fields);
    }
    if let Some(torn) = &log.torn {
        let sentence = "an unfinished write at the end of the log was cut off; none of it had been \
                        acknowledged";
        let fields: Fields<'_> =
            &[("index", &torn.index), ("position", &torn.position), ("bytes", &torn.bytes)];
        logger.info("torn-tail", sentence, fields);
    }
    for repaired in &log.repaired {
        metrics.corruptions.add(1);
        logger.warn("repaired", "damage was made good", &[("damage", repaired)]);
    }
    if let Some(damage) = &index.damage {
        let sentence = "a file of the index was damaged; the index was made again from the log";
        logger.warn("index-rebuilt", sentence, &[("damage", damage)]);
    }
    let took = took.as_millis();
    let fields: Fields<'_> = &[
        ("events", &log.end.events),
        ("segments", &log.segments),
        ("scanned_bytes", &log.scanned_bytes),
        ("events_replayed", events_replayed),
        ("took_ms", &took),
    ];
    logger.info("recovered", "the log is open", fields);
}

/// Lets clients of this machine trust the node without being told how.
fn publish(address: SocketAddr, identity: &Identity, logger: &Logger) {
    match trust::publish(address.port(), identity.authority_pem()) {
        Ok(path) => {
            let sentence = "clients of this machine and user trust the node by this file";
            logger.debug("published", sentence, &[("path", &path.display())]);
        }
        Err(error) => {
            let sentence = "local clients need --ca, because the authority can't be published";
            logger.warn("not-published", sentence, &[("reason", &error)]);
        }
    }
}

/// Who the node is, should its folder be new.
fn founding(config: &Config) -> superblock::Identity {
    let disk = DiskId::from_bytes(random());
    superblock::Identity {
        log: LogId {
            cluster: ClusterId::from_bytes(random()),
            group: GroupId::from_wire(1),
            lineage: Lineage::from_bytes(random()),
        },
        node: NodeId::from_wire(1),
        disk,
        segment_bytes: config.segment_bytes,
        stream_key: random(),
        members: Members::of_one(disk),
    }
}

/// Random bytes from the operating system.
fn random<const BYTES: usize>() -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    let source = rustls::crypto::ring::default_provider().secure_random;
    source.fill(&mut bytes).expect("the operating system has random numbers");
    bytes
}
