//! From a URI to an open session: addresses, certificates, the first two frames.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use quinn::{Connection, Endpoint, SendStream};
use quorate_core::id::Position;
use quorate_core::log::entry::LogId;
use quorate_net::endpoint::client_endpoint;
use quorate_net::wire::{ClientLimits, Reply, Request};
use quorate_net::{Connector, FrameReceiver, Trust};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::error::ConnectError;
use crate::options::Options;
use crate::uri::Uri;

/// Where a host has several addresses, the next is tried this long after the one before (RFC 8305).
const NEXT_ADDRESS_DELAY: Duration = Duration::from_millis(250);

/// Connects to one node, again and again.
pub(crate) struct Dialer {
    uri: Uri,
    ca: Option<PathBuf>,
    name: String,
    within: Duration,
    endpoint: Endpoint,
    /// Set where the node is reached through something else than the machine's own network.
    address: Option<SocketAddr>,
}

/// A session that the node has welcomed.
pub(crate) struct Established {
    pub(crate) connection: Connection,
    pub(crate) send: SendStream,
    pub(crate) receiver: FrameReceiver,
    pub(crate) log: LogId,
    pub(crate) committed: Position,
    pub(crate) limits: ClientLimits,
}

impl Dialer {
    pub(crate) fn new(uri: Uri, options: &Options) -> Result<Self, ConnectError> {
        Ok(Self::over(client_endpoint()?, None, uri, options))
    }

    pub(crate) fn over(
        endpoint: Endpoint,
        address: Option<SocketAddr>,
        uri: Uri,
        options: &Options,
    ) -> Self {
        Self {
            uri,
            ca: options.ca.clone(),
            name: options.name.clone(),
            within: options.connect_deadline,
            endpoint,
            address,
        }
    }

    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Opens a session.
    pub(crate) async fn dial(&self) -> Result<Established, ConnectError> {
        // Read anew each time: a node that was founded again has published another authority.
        let trust = Trust::find(self.uri.host(), self.uri.port(), self.ca.as_deref())?;
        let connector = Connector::new(&trust)?;
        let addresses = self.addresses().await?;
        let session = async {
            let connection = self.connect_any(&connector, &addresses).await?;
            self.open(connection).await
        };
        timeout(self.within, session).await.unwrap_or_else(|_| {
            let tried: Vec<String> =
                addresses.iter().map(|address| format!("udp {address}")).collect();
            Err(ConnectError::NoAnswer { tried: tried.join(" and "), within: self.within })
        })
    }

    async fn addresses(&self) -> Result<Vec<SocketAddr>, ConnectError> {
        if let Some(address) = self.address {
            return Ok(vec![address]);
        }
        let host = self.uri.host();
        let failed =
            |error| ConnectError::Resolve { host: host.to_owned(), error: Arc::new(error) };
        let found = tokio::net::lookup_host((host, self.uri.port())).await.map_err(failed)?;
        let mut addresses: Vec<SocketAddr> = found.collect();
        addresses.dedup();
        if addresses.is_empty() {
            return Err(failed(std::io::ErrorKind::NotFound.into()));
        }
        Ok(addresses)
    }

    /// Tries the addresses one after the other, without waiting long for one that is silent.
    async fn connect_any(
        &self,
        connector: &Connector,
        addresses: &[SocketAddr],
    ) -> Result<Connection, ConnectError> {
        if let [address] = addresses {
            let connected = connector.connect(&self.endpoint, *address, self.uri.host());
            return Ok(connected.await?);
        }
        let mut attempts = JoinSet::new();
        for (place, address) in (0..).zip(addresses.iter().copied()) {
            let (connector, endpoint) = (connector.clone(), self.endpoint.clone());
            let host = self.uri.host().to_owned();
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
            Reply::Welcome(welcome) => Ok(Established {
                log: welcome.log,
                committed: welcome.committed,
                limits: welcome.limits,
                connection,
                send,
                receiver,
            }),
            Reply::Failed { code, message, .. } => {
                Err(ConnectError::Ended { code, message: message.to_owned() })
            }
            _ => Err(ended("its first frame was no welcome")),
        }
    }
}

/// A node that does not keep to the protocol.
pub(crate) fn ended(message: &str) -> ConnectError {
    let code = quorate_net::wire::ErrorCode::Protocol;
    ConnectError::Ended { code, message: message.to_owned() }
}
