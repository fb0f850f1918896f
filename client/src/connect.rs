//! From a URI to an open session: addresses, certificates, the first two frames.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use quinn::{Connection, Endpoint, SendStream};
use quorate_net::clock::{Instant, sleep, timeout, timeout_at};
use quorate_net::endpoint::client_endpoint;
use quorate_net::environment;
use quorate_net::wire::{CallId, NodeStatus, Reply, Request, Welcome};
use quorate_net::{Connector, FrameReceiver, Trust};
use tokio::task::JoinSet;

use crate::error::ConnectError;
use crate::options::Options;
use crate::uri::{Address, Uri};

/// Where a host has several addresses, the next is tried this long after the one before (RFC 8305).
const NEXT_ADDRESS_DELAY: Duration = Duration::from_millis(250);

/// Once one node has answered, the others that the URI names are waited for no longer than this.
/// They are wanted anyway, and one that keeps another store is found out while somebody looks.
const OTHERS_DELAY: Duration = Duration::from_millis(50);

/// Connects to the nodes of a group, again and again.
pub(crate) struct Dialer {
    uri: Uri,
    ca: Option<PathBuf>,
    trust: Option<Trust>,
    name: String,
    within: Duration,
    endpoint: Endpoint,
}

/// A session that the node has welcomed.
pub(crate) struct Established {
    pub(crate) connection: Connection,
    pub(crate) send: SendStream,
    pub(crate) receiver: FrameReceiver,
    pub(crate) welcome: Box<Welcome>,
}

impl Dialer {
    pub(crate) fn new(uri: Uri, options: &Options) -> Result<Self, ConnectError> {
        Ok(Self::over(client_endpoint()?, uri, options))
    }

    pub(crate) fn over(endpoint: Endpoint, uri: Uri, options: &Options) -> Self {
        Self {
            uri,
            ca: options.ca.clone(),
            trust: options.trust.clone(),
            name: options.name.clone(),
            within: options.connect_deadline,
            endpoint,
        }
    }

    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The addresses of the URI.
    pub(crate) fn addresses(&self) -> &[Address] {
        self.uri.addresses()
    }

    /// Opens sessions with whichever nodes of the URI answer first; each comes with the place of
    /// its address. All of them keep the same store.
    pub(crate) async fn dial_any(
        self: &Arc<Self>,
    ) -> Result<Vec<(usize, Established)>, ConnectError> {
        let addresses = self.addresses();
        if let [only] = addresses {
            return Ok(vec![(0, self.dial(only, false).await?)]);
        }
        let mut attempts = JoinSet::new();
        for (place, address) in addresses.iter().cloned().enumerate() {
            let dialer = self.clone();
            attempts.spawn(async move { (place, dialer.dial(&address, false).await) });
        }
        let mut established: Vec<(usize, Established)> = Vec::new();
        let mut failed = vec![None; addresses.len()];
        let mut enough = None;
        loop {
            let attempt = match enough {
                None => attempts.join_next().await,
                Some(enough) => timeout_at(enough, attempts.join_next()).await.unwrap_or(None),
            };
            let Some(attempt) = attempt else { break };
            match attempt.expect("an attempt to connect does not panic") {
                (place, Ok(opened)) => {
                    enough.get_or_insert_with(|| Instant::now() + OTHERS_DELAY);
                    if let Some((_, first)) = established.first()
                        && first.welcome.log != opened.welcome.log
                    {
                        return Err(ConnectError::OtherLog {
                            address: addresses[place].to_string(),
                            expected: Box::new(first.welcome.log),
                            found: Box::new(opened.welcome.log),
                        });
                    }
                    established.push((place, opened));
                }
                (place, Err(error)) => failed[place] = Some(error),
            }
        }
        if established.is_empty() {
            let tried = addresses.iter().zip(failed).map(|(address, error)| match error {
                Some(error) => format!("{address}: {error}"),
                None => format!("{address}: no answer"),
            });
            let tried: Vec<String> = tried.collect();
            return Err(ConnectError::NoNode { tried: tried.join("; ").into() });
        }
        Ok(established)
    }

    /// Opens a session with one node.
    ///
    /// - `learned`: whether another node told of it. It is trusted by that node's authority where
    ///   there is none of its own.
    pub(crate) async fn dial(
        &self,
        address: &Address,
        learned: bool,
    ) -> Result<Established, ConnectError> {
        // Read anew each time: a node that was founded again has published another authority.
        let find =
            |address: &Address| Trust::find(address.host(), address.port(), self.ca.as_deref());
        let trust = match (&self.trust, find(address)) {
            (Some(trust), _) => Ok(trust.clone()),
            (None, Err(error)) if learned => find(&self.addresses()[0]).map_err(|_| error),
            (None, found) => found,
        }?;
        let connector = Connector::new(&trust)?;
        let mut tried = address.to_string();
        let session = async {
            let addresses = resolve(address).await?;
            let texts: Vec<String> =
                addresses.iter().map(|address| format!("udp {address}")).collect();
            tried = texts.join(" and ");
            let connection = self.connect_any(&connector, &addresses, address.host()).await?;
            self.open(connection).await
        };
        match timeout(self.within, session).await {
            Ok(opened) => opened,
            Err(_elapsed) => Err(ConnectError::NoAnswer { tried, within: self.within }),
        }
    }

    /// Tries the addresses one after the other, without waiting long for one that is silent.
    async fn connect_any(
        &self,
        connector: &Connector,
        addresses: &[SocketAddr],
        host: &str,
    ) -> Result<Connection, ConnectError> {
        if let [address] = addresses {
            let connected = connector.connect(&self.endpoint, *address, host);
            return Ok(connected.await?);
        }
        let mut attempts = JoinSet::new();
        for (place, address) in (0..).zip(addresses.iter().copied()) {
            let (connector, endpoint) = (connector.clone(), self.endpoint.clone());
            let host = host.to_owned();
            attempts.spawn(async move {
                sleep(NEXT_ADDRESS_DELAY * place).await;
                connector.connect(&endpoint, address, &host).await
            });
        }
        let mut last = None;
        while let Some(attempt) = attempts.join_next().await {
            match attempt.expect("a connection attempt does not panic") {
                Ok(connection) => return Ok(connection),
                Err(error) => last = Some(error),
            }
        }
        Err(last.expect("there is at least one address").into())
    }

    async fn open(&self, connection: Connection) -> Result<Established, ConnectError> {
        let lost = quorate_net::ConnectError::from;
        let (mut send, receive) = connection.open_bi().await.map_err(lost)?;
        let mut hello = Vec::new();
        Request::Hello { client: &self.name }.encode(&mut hello);
        send.write_all(&hello).await.map_err(|_| {
            ConnectError::Connection(
                connection
                    .close_reason()
                    .map_or(quinn::ConnectionError::LocallyClosed.into(), lost),
            )
        })?;
        // Replies on a session have no payload.
        let mut receiver = FrameReceiver::new(receive, 0);
        let frame = receiver.next().await?.ok_or_else(|| ended("it finished the stream"))?;
        match Reply::decode(&frame)? {
            Reply::Welcome(welcome) => Ok(Established { connection, send, receiver, welcome }),
            Reply::Failed { code, message, .. } => {
                Err(ConnectError::Ended { code, message: message.to_owned() })
            }
            _ => Err(ended("its first frame was no welcome")),
        }
    }
}

async fn resolve(address: &Address) -> Result<Vec<SocketAddr>, ConnectError> {
    let host = address.host();
    let failed = |error| ConnectError::Resolve { host: host.to_owned(), error: Arc::new(error) };
    let mut addresses = environment::resolve(host, address.port()).await.map_err(failed)?;
    addresses.dedup();
    if addresses.is_empty() {
        return Err(failed(std::io::ErrorKind::NotFound.into()));
    }
    Ok(addresses)
}

impl Established {
    /// Asks the node how it is; nothing else is under way on this session.
    pub(crate) async fn status(&mut self) -> Result<NodeStatus, ConnectError> {
        let mut request = Vec::new();
        Request::Status { call: CallId::new(0) }.encode(&mut request);
        let written = self.send.write_all(&request).await;
        written.map_err(|_| ended("it stopped the stream"))?;
        loop {
            let frame =
                self.receiver.next().await?.ok_or_else(|| ended("it finished the stream"))?;
            match Reply::decode(&frame)? {
                Reply::Status { status, .. } => return Ok(*status),
                Reply::Leader { .. } => {}
                Reply::Failed { code, message, .. } => {
                    return Err(ConnectError::Ended { code, message: message.to_owned() });
                }
                _ => return Err(ended("its answer was no status")),
            }
        }
    }
}

/// A node that does not keep to the protocol.
pub(crate) fn ended(message: &str) -> ConnectError {
    let code = quorate_net::wire::ErrorCode::Protocol;
    ConnectError::Ended { code, message: message.to_owned() }
}
