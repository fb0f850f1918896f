//! The node's endpoint, as connections come in: clients go to the gateway, other nodes to the peers.
//!
//! It listens before there is anything to serve: a node may wait long for the others of its group,
//! and they must find it meanwhile. A client that comes in that time is told what the node waits
//! for.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use quinn::{Connection, Endpoint, Incoming, VarInt};
use quorate_core::member::MEMBERS_MAX;
use quorate_net::clock::timeout;
use quorate_net::peer::{Caller, PeerRefusal, accept_failure, caller};

use crate::admin::{Phase, Shared};
use crate::config::Config;
use crate::driver::Driver;
use crate::gateway;
use crate::logger::{Fields, Logger};
use crate::peers::{CLOSE_REFUSED, Peers};

/// QUIC's code for a client of a node that does not serve yet.
const CLOSE_NOT_READY: VarInt = VarInt::from_u32(3);
/// QUIC's code for a client too many.
const CLOSE_TOO_MANY: VarInt = VarInt::from_u32(4);
/// Connections beyond those of clients, so that the nodes of a group always reach each other.
const PEER_CONNECTIONS_MAX: u64 = 4 * MEMBERS_MAX as u64;

/// Takes connections.
pub struct Listener {
    shared: Arc<Shared>,
    logger: Logger,
    connections_max: u64,
    hello_timeout: Duration,
    peers: Option<Rc<Peers>>,
    driver: RefCell<Option<Rc<Driver>>>,
    /// What was last said against a certificate, so that it is said once.
    distrust: RefCell<String>,
}

impl Listener {
    /// - `peers`: the other nodes; none for a group of one
    #[must_use]
    pub fn new(
        config: &Config,
        shared: Arc<Shared>,
        logger: Logger,
        peers: Option<Rc<Peers>>,
    ) -> Rc<Self> {
        Rc::new(Self {
            shared,
            logger,
            connections_max: config.connections_max.into(),
            hello_timeout: Duration::from_millis(config.hello_timeout_ms.into()),
            peers,
            driver: RefCell::new(None),
            distrust: RefCell::default(),
        })
    }

    /// Clients are served by this driver from now on.
    pub fn serve_clients(&self, driver: Rc<Driver>) {
        self.driver.replace(Some(driver));
    }

    /// Takes connections until the endpoint is closed. Must run where local tasks can be spawned.
    pub async fn run(self: Rc<Self>, endpoint: Endpoint) {
        let reserved = if self.peers.is_some() { PEER_CONNECTIONS_MAX } else { 0 };
        while let Some(incoming) = endpoint.accept().await {
            let metrics = &self.shared.metrics;
            if metrics.connections.get() >= self.connections_max + reserved {
                metrics.connections_refused.add(1);
                incoming.refuse();
                continue;
            }
            metrics.connections.add(1);
            let listener = Rc::clone(&self);
            tokio::task::spawn_local(async move {
                listener.greet(incoming).await;
                listener.shared.metrics.connections.subtract(1);
            });
        }
    }

    /// Shakes hands, then serves a connection to its end.
    async fn greet(&self, incoming: Incoming) {
        let address = incoming.remote_address();
        let metrics = &self.shared.metrics;
        match timeout(self.hello_timeout, incoming).await {
            Ok(Ok(connection)) => {
                metrics.connections_taken.add(1);
                self.serve(connection, address).await;
            }
            Ok(Err(error)) => {
                metrics.connections_refused.add(1);
                self.handshake_failed(address, &error);
            }
            Err(_elapsed) => metrics.connections_refused.add(1),
        }
    }

    async fn serve(&self, connection: Connection, address: SocketAddr) {
        match caller(&connection) {
            Ok(Caller::Client) => self.serve_client(&connection, address).await,
            Ok(Caller::Peer(peer)) => match &self.peers {
                Some(peers) => peers.accept(connection, peer.node).await,
                None => {
                    let reason = "this node is a group of one: it was started without --join";
                    self.refuse(&connection, address, CLOSE_REFUSED, reason);
                }
            },
            Err(refusal) => {
                let reason = refusal.to_string();
                self.refuse(&connection, address, PeerRefusal::CLOSE_CODE, &reason);
            }
        }
    }

    async fn serve_client(&self, connection: &Connection, address: SocketAddr) {
        if self.shared.metrics.connections.get() > self.connections_max {
            return self.refuse(connection, address, CLOSE_TOO_MANY, "too many connections");
        }
        // Not held while it serves: the node may stop meanwhile.
        let driver = self.driver.borrow().clone();
        let Some(driver) = driver else {
            let reason = match self.shared.health.phase() {
                Phase::Starting(step) => format!("the node does not serve yet: {step}"),
                Phase::Leaderless | Phase::Ready | Phase::Stopping => {
                    "the node does not serve yet".to_owned()
                }
            };
            return self.refuse(connection, address, CLOSE_NOT_READY, &reason);
        };
        self.logger.debug("connected", "a client has connected", &[("peer", &address)]);
        let reason = gateway::serve(&driver, connection, address).await;
        let fields: Fields<'_> = &[("peer", &address), ("reason", &reason)];
        self.logger.debug("disconnected", "a client has gone", fields);
    }

    fn refuse(&self, connection: &Connection, address: SocketAddr, code: VarInt, reason: &str) {
        connection.close(code, reason.as_bytes());
        self.shared.metrics.connections_refused.add(1);
        let fields: Fields<'_> = &[("peer", &address), ("reason", &reason)];
        self.logger.debug("refused", "a connection was refused", fields);
    }

    /// Tells people once where a certificate is at fault: the same node will try again and again.
    fn handshake_failed(&self, address: SocketAddr, error: &quinn::ConnectionError) {
        let text = accept_failure(error);
        let fields: Fields<'_> = &[("peer", &address), ("reason", &text)];
        let told = self.distrust.replace(text.clone());
        if text == error.to_string() || told == text {
            self.logger.debug("handshake-failed", "nobody could connect", fields);
        } else {
            self.logger.warn("not-trusted", "a certificate was refused", fields);
        }
    }
}
