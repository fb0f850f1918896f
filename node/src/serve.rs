//! `quorate serve`: how a node starts, and how it stops, each in one function.

mod data;
mod machine;
mod opening;
mod rescue;

use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use quorate_net::identity::{Identity, IdentityError, Renewal, host_name};
use quorate_net::{Credentials, Reload, clock, endpoint, environment, trust};
use quorate_storage::data_folder::{DataFolder, DataFolderError};
use quorate_storage::disk::{DiskError, probe};
use quorate_storage::io::Io;
use tokio::runtime::LocalOptions;
use tokio::signal::unix::{SignalKind, signal};

use crate::admin::{AdminServer, Shared, http};
use crate::config::{Config, host_of};
use crate::engine::{Engine, Fault, OpenError};
use crate::logger::{Fields, Logger, created};
use crate::peers;
use crate::recorder::shelf::ShelfError;
use crate::rfc3339::Rfc3339;

pub use self::data::FolderMismatch;
pub use self::machine::{Machine, run};

/// How often a node looks for renewed certificates.
pub(crate) const RENEWAL_LOOK: Duration = Duration::from_secs(5);

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
    /// The data folder is not the one to start this node with.
    #[error(transparent)]
    Mismatch(#[from] FolderMismatch),
    /// Nothing can be recorded where the settings say.
    #[error(transparent)]
    Recording(#[from] ShelfError),
    /// Another process runs with a copy of the data folder.
    #[error(transparent)]
    Doubled(peers::Refusal),
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
            Self::Folder(_) | Self::Disk(_) | Self::Recording(_) => 20,
            Self::Open(_) | Self::Mismatch(_) | Self::Doubled(_) => 21,
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
    let credentials = Credentials::new(identity(&config, &folder, &logger)?);
    let (tcp, address) = bind(&config)?;
    check_advertised(&config, address, &credentials.identity(), logger);
    // Not a LocalSet: each hand-over between it and its runtime costs a look at the reactor.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default())
        .map_err(ServeError::System)?;
    let quic = {
        let _inside = runtime.enter();
        endpoint::listen(address, &credentials)?
    };
    let admin = start_admin(&config, tcp, &credentials, &shared)?;
    let (disk, report) = probe::open_disk(folder.path(), config.disk).map_err(ServeError::Disk)?;
    let _renewing = runtime.spawn_local(renew(credentials.clone(), logger));
    let machine = Machine {
        data: folder.path().to_owned(),
        io: Io::new(disk),
        report,
        endpoint: quic,
        address,
        announce: announcement(address, folder.path(), &credentials, logger),
        credentials,
        shared,
        logger,
        watch: None,
        clocks: None,
        mutant: None,
    };
    let stop = wait_for_stop(stop_with_stdin, logger);
    let ran = runtime.block_on(run(config, machine, stop));
    // With them go all that hold the driver.
    drop(runtime);
    if let Some(driver) = ran? {
        match Rc::try_unwrap(driver) {
            Ok(driver) => close(driver.into_engine())?,
            Err(_) => unreachable!("nobody is left who could hold the driver"),
        }
    }
    stopped(admin, folder, logger)
}

/// The last steps of a node that stops in good order.
fn stopped(admin: AdminServer, folder: DataFolder, logger: Logger) -> Result<(), ServeError> {
    admin.stop();
    drop(folder);
    logger.info("stopped", "the node has stopped in good order", &[]);
    Ok(())
}

/// Tells people and local clients where the node is.
fn announcement(
    address: SocketAddr,
    data: &Path,
    credentials: &Credentials,
    logger: Logger,
) -> Box<dyn Fn()> {
    let (data, credentials) = (data.to_owned(), credentials.clone());
    Box::new(move || {
        publish(address, &credentials.identity(), &logger);
        let fields: Fields<'_> = &[("address", &address), ("data", &data.display())];
        logger.info("listening", "QUIC on UDP and HTTP on TCP", fields);
    })
}

/// Takes up renewed certificates.
async fn renew(credentials: Credentials, logger: Logger) {
    loop {
        clock::sleep(RENEWAL_LOOK).await;
        match credentials.reload(environment::wall_clock()) {
            Reload::Unchanged | Reload::Settling => {}
            Reload::Renewed { expires } => {
                let sentence = "the node shows a new certificate from now on";
                let expires = Rfc3339(created(expires));
                logger.info("renewed", sentence, &[("expires", &expires)]);
            }
            Reload::Refused(error) => {
                let sentence =
                    "the new certificate can't be used; the node goes on with the old one";
                logger.error("not-renewed", sentence, &[("reason", &error)]);
            }
        }
    }
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
    let now = environment::wall_clock();
    if let Some(certs) = &config.certs {
        let authority = config.peer_ca.clone().unwrap_or_else(|| certs.join("ca.pem"));
        let (certificate, key) = (certs.join("node.pem"), certs.join("node.key"));
        let identity = Identity::load(&certificate, &key, &authority, now)?;
        // A node alone needs no name in it: nobody asks for one.
        if config.voters() > 1 || identity.node().is_some() {
            identity.check_node(config.node.as_str())?;
        }
        return Ok(identity);
    }
    let host = host_of(&config.listen);
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

/// Warns where the node tells others of an address that its certificate is not for. They reach it
/// under other addresses as long as they know of one, and no longer.
fn check_advertised(config: &Config, address: SocketAddr, identity: &Identity, logger: Logger) {
    if config.certs.is_none() || config.voters() == 1 {
        return;
    }
    let advertised = config.advertised(address);
    if let Err(error) = identity.check_host(host_of(&advertised)) {
        let sentence = "others are told of an address that they can't trust: name another with \
                        --advertise, or issue a certificate for it";
        let fields: Fields<'_> = &[("address", &advertised), ("reason", &error)];
        logger.warn("advertised-not-certified", sentence, fields);
    }
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
    credentials: &Credentials,
    shared: &Arc<Shared>,
) -> Result<AdminServer, ServeError> {
    let options = http::Options {
        connections_max: config.http_connections_max as usize,
        header_timeout: Duration::from_millis(config.hello_timeout_ms.into()),
        plain: config.http_plain,
    };
    let tls = Arc::new(endpoint::https_config(credentials)?);
    AdminServer::start(tcp, tls, options, Arc::clone(shared)).map_err(ServeError::System)
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
