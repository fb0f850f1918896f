//! QUIC endpoints, tuned: TLS 1.3 only, our protocol name, windows and timers for a local network.
//!
//! The socket and the clock can be given from outside (quinn's `AsyncUdpSocket` and `Runtime`), so
//! that the same code runs over real sockets, over [`crate::memory`] and over a shaped link.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use quinn::congestion::CubicConfig;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::udp::UdpSocketState;
use quinn::{
    AsyncUdpSocket, Connection, ConnectionError, ConnectionId, ConnectionIdGenerator, Endpoint,
    EndpointConfig, IdleTimeout, MtuDiscoveryConfig, Runtime, TokioRuntime, TransportConfig,
    VarInt,
};
use ring::{hkdf, hmac};
use thiserror::Error;

use crate::credentials::Credentials;
use crate::environment::{self, WallClock, cryptography, random};
use crate::identity::Identity;
use crate::peer::PEER_ALPN;
use crate::trust::{Trust, TrustError, Verifier};
use crate::wire::ALPN;

/// The port of a node: UDP for QUIC, TCP for HTTP.
pub const PORT: u16 = 2113;

/// Without a sign of life for this long, a connection is lost.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(10);
/// An idle client shows a sign of life this often: three may be lost.
const KEEP_ALIVE: Duration = Duration::from_secs(3);
/// Until it is measured; quinn's own 333 ms would make the first loss cost a second.
const INITIAL_RTT: Duration = Duration::from_millis(5);
/// The largest UDP payload that is tried: Ethernet's 1500 without IPv6, UDP and some tunnels.
const MTU: u16 = 1452;
const INITIAL_WINDOW_PACKETS: u64 = 64;
/// One stream's bytes under way: the bandwidth-delay product of 10 Gbit/s at 6 ms.
const STREAM_WINDOW_BYTES: u32 = 8 << 20;
/// All streams' bytes under way on one connection, and with it the memory that a peer which does
/// not read can cost.
const CONNECTION_WINDOW_BYTES: u32 = 16 << 20;
/// Reads and subscriptions open at once on one connection.
const STREAMS_MAX: u32 = 1024;

/// What is asked for; commonly the kernel's limit is lower.
const SOCKET_BUFFER_BYTES: usize = 4 << 20;
const UNKNOWN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// Why an endpoint can't be opened.
#[derive(Debug, Error)]
pub enum EndpointError {
    /// The operating system refuses the socket.
    #[error("can't listen on udp {address}: {error}")]
    Bind {
        /// The address that was asked for.
        address: SocketAddr,
        /// Why.
        error: io::Error,
    },
    /// The certificate and the private key don't belong together, or TLS can't use them.
    #[error("the node's certificate or private key can't be used: {0}")]
    Tls(#[from] rustls::Error),
    /// The authority can't be used.
    #[error(transparent)]
    Trust(#[from] TrustError),
}

/// Why a connection was not made.
#[derive(Clone, Debug, Error)]
pub enum ConnectError {
    /// The node's certificate is not trusted.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The host is not a name that a certificate can be for.
    #[error("{0:?} is not a host name or address")]
    Host(String),
    /// The endpoint can't open connections any more.
    #[error("can't open a connection: {0}")]
    Endpoint(quinn::ConnectError),
    /// The node did not answer, or ended the connection.
    #[error("{0}")]
    Connection(#[from] ConnectionError),
}

impl From<quinn::ConnectError> for ConnectError {
    fn from(error: quinn::ConnectError) -> Self {
        match error {
            quinn::ConnectError::InvalidServerName(name) => Self::Host(name),
            other => Self::Endpoint(other),
        }
    }
}

/// Opens a node's endpoint on a socket of the operating system, for clients and for peers
/// ([`crate::peer::caller`] says which of them a connection is).
///
/// - `credentials`: an [`Identity`] that stays, or [`Credentials`] that are renewed
///
/// # Errors
///
/// [`EndpointError`] where the socket or the certificate can't be used.
pub fn listen(
    address: SocketAddr,
    credentials: impl Into<Credentials>,
) -> Result<Endpoint, EndpointError> {
    let credentials = credentials.into();
    let config = server_config(&credentials)?;
    UdpSocket::bind(address)
        .and_then(|socket| {
            enlarge_buffers(&socket)?;
            let endpoint_config = node_endpoint_config(&credentials.identity());
            Endpoint::new(endpoint_config, Some(config), socket, Arc::new(TokioRuntime))
        })
        .map_err(|error| EndpointError::Bind { address, error })
}

/// Opens a node's endpoint on any socket and clock.
///
/// # Errors
///
/// [`EndpointError`] where the socket or the certificate can't be used.
pub fn listen_on(
    socket: Arc<dyn AsyncUdpSocket>,
    runtime: Arc<dyn Runtime>,
    credentials: impl Into<Credentials>,
) -> Result<Endpoint, EndpointError> {
    let credentials = credentials.into();
    let config = server_config(&credentials)?;
    let address = socket.local_addr();
    let endpoint_config = node_endpoint_config(&credentials.identity());
    Endpoint::new_with_abstract_socket(endpoint_config, Some(config), socket, runtime)
        .map_err(|error| EndpointError::Bind { address: address.unwrap_or(UNKNOWN), error })
}

/// TLS for HTTP on the same port's TCP side, with the same certificate.
///
/// # Errors
///
/// [`rustls::Error`] where TLS can't be set up.
pub fn https_config(
    credentials: impl Into<Credentials>,
) -> Result<rustls::ServerConfig, rustls::Error> {
    let mut tls =
        tls_builder()?.with_no_client_auth().with_cert_resolver(Arc::new(credentials.into()));
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(tls)
}

/// A client's side of TLS: connects to nodes that one authority vouches for.
#[derive(Clone)]
pub struct Connector {
    config: quinn::ClientConfig,
    verifier: Arc<Verifier>,
}

impl Connector {
    /// - `trust`: the authority
    ///
    /// # Errors
    ///
    /// [`EndpointError`] where the authority can't be used.
    pub fn new(trust: &Trust) -> Result<Self, EndpointError> {
        let verifier = trust.verifier(cryptography())?;
        let mut tls =
            rustls::ClientConfig::builder_with_details(cryptography(), Arc::new(WallClock))
                .with_protocol_versions(&[&rustls::version::TLS13])?
                .dangerous() // It is webpki's verifier; ours only remembers its reasons.
                .with_custom_certificate_verifier(verifier.clone())
                .with_no_client_auth();
        tls.alpn_protocols = vec![ALPN.to_vec()];
        let quic = QuicClientConfig::try_from(tls).expect("ring has QUIC's initial cipher");
        let mut config = client_config(quic);
        let mut transport = transport();
        transport.keep_alive_interval(Some(KEEP_ALIVE));
        transport.max_concurrent_bidi_streams(VarInt::from_u32(0));
        config.transport_config(Arc::new(transport));
        Ok(Self { config, verifier })
    }

    /// Connects; waits for the answer as long as the idle timeout.
    ///
    /// - `host`: the name or address that the certificate must be for
    ///
    /// # Errors
    ///
    /// [`ConnectError`] with the reason.
    pub async fn connect(
        &self,
        endpoint: &Endpoint,
        address: SocketAddr,
        host: &str,
    ) -> Result<Connection, ConnectError> {
        let connecting = endpoint.connect_with(self.config.clone(), address, host)?;
        connecting.await.map_err(|error| match self.verifier.take_refusal() {
            Some(refusal) => ConnectError::Trust(refusal),
            None => ConnectError::Connection(error),
        })
    }
}

/// Opens a client's endpoint on a free port, for both address families where the machine has both.
///
/// # Errors
///
/// [`EndpointError::Bind`].
pub fn client_endpoint() -> Result<Endpoint, EndpointError> {
    let open = |address: SocketAddr| {
        UdpSocket::bind(address).and_then(|socket| {
            enlarge_buffers(&socket)?;
            Endpoint::new(client_endpoint_config(), None, socket, Arc::new(TokioRuntime))
        })
    };
    // A machine without IPv6 refuses the first.
    open((Ipv6Addr::UNSPECIFIED, 0).into())
        .or_else(|_| open(UNKNOWN))
        .map_err(|error| EndpointError::Bind { address: UNKNOWN, error })
}

/// Opens a client's endpoint on any socket and clock.
///
/// # Errors
///
/// [`EndpointError::Bind`].
pub fn client_endpoint_on(
    socket: Arc<dyn AsyncUdpSocket>,
    runtime: Arc<dyn Runtime>,
) -> Result<Endpoint, EndpointError> {
    let address = socket.local_addr().unwrap_or(UNKNOWN);
    Endpoint::new_with_abstract_socket(client_endpoint_config(), None, socket, runtime)
        .map_err(|error| EndpointError::Bind { address, error })
}

/// Asks for room for a burst of datagrams; the kernel gives what its limits allow.
fn enlarge_buffers(socket: &UdpSocket) -> io::Result<()> {
    let state = UdpSocketState::new(socket.into())?;
    state.set_send_buffer_size(socket.into(), SOCKET_BUFFER_BYTES)?;
    state.set_recv_buffer_size(socket.into(), SOCKET_BUFFER_BYTES)
}

/// A key that outlives the process: a node that comes back after a crash can tell its old clients
/// at once that their connections are gone, where they would otherwise wait for the idle timeout.
fn node_endpoint_config(identity: &Identity) -> EndpointConfig {
    let secret = hmac::Key::new(hmac::HMAC_SHA256, identity.key().secret_der());
    let derived = hmac::sign(&secret, b"quorate quic reset");
    let reset_key = hmac::Key::new(hmac::HMAC_SHA256, derived.as_ref());
    endpoint_config(reset_key)
}

/// Nobody needs to be told by a client that has come back.
fn client_endpoint_config() -> EndpointConfig {
    endpoint_config(hmac::Key::new(hmac::HMAC_SHA256, &random::<64>()))
}

fn endpoint_config(reset_key: hmac::Key) -> EndpointConfig {
    let mut config = EndpointConfig::new(Arc::new(reset_key));
    config.cid_generator(|| Box::new(RandomConnectionIds));
    config.rng_seed(Some(random()));
    config
}

/// A client's side of QUIC, or that of the node that dials.
pub(crate) fn client_config(quic: QuicClientConfig) -> quinn::ClientConfig {
    let mut config = quinn::ClientConfig::new(Arc::new(quic));
    config.initial_dst_cid_provider(Arc::new(|| ConnectionId::new(&random::<20>())));
    config
}

/// Connection ids of 8 random bytes. quinn's default marks its ids with a key of the process, and
/// would not answer a packet for a connection of the process before it.
struct RandomConnectionIds;

impl ConnectionIdGenerator for RandomConnectionIds {
    fn generate_cid(&mut self) -> ConnectionId {
        let mut bytes = [0; 8];
        environment::fill(&mut bytes);
        ConnectionId::new(&bytes)
    }

    fn cid_len(&self) -> usize {
        8
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}

fn server_config(credentials: &Credentials) -> Result<quinn::ServerConfig, EndpointError> {
    let mut tls = tls_builder()?
        .with_client_cert_verifier(credentials.peer_verifier())
        .with_cert_resolver(Arc::new(credentials.clone()));
    tls.alpn_protocols = vec![ALPN.to_vec(), PEER_ALPN.to_vec()];
    let quic = QuicServerConfig::try_from(tls).expect("ring has QUIC's initial cipher");
    let token_key = hkdf::Salt::new(hkdf::HKDF_SHA256, &[]).extract(&random::<64>());
    let mut config = quinn::ServerConfig::new(Arc::new(quic), Arc::new(token_key));
    config.time_source(Arc::new(WallClock));
    config.transport_config(Arc::new(transport()));
    Ok(config)
}

fn tls_builder()
-> Result<rustls::ConfigBuilder<rustls::ServerConfig, rustls::WantsVerifier>, rustls::Error> {
    rustls::ServerConfig::builder_with_details(cryptography(), Arc::new(WallClock))
        .with_protocol_versions(&[&rustls::version::TLS13])
}

/// What all connections have in common.
pub(crate) fn transport() -> TransportConfig {
    let mut congestion = CubicConfig::default();
    congestion.initial_window(INITIAL_WINDOW_PACKETS * u64::from(MTU));
    let mut discovery = MtuDiscoveryConfig::default();
    discovery.upper_bound(MTU);
    let idle = IdleTimeout::try_from(IDLE_TIMEOUT).expect("seconds fit");
    let mut transport = TransportConfig::default();
    transport
        .max_idle_timeout(Some(idle))
        .initial_rtt(INITIAL_RTT)
        .mtu_discovery_config(Some(discovery))
        .congestion_controller_factory(Arc::new(congestion))
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW_BYTES))
        .receive_window(VarInt::from_u32(CONNECTION_WINDOW_BYTES))
        .send_window(u64::from(CONNECTION_WINDOW_BYTES))
        .max_concurrent_bidi_streams(VarInt::from_u32(STREAMS_MAX))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .datagram_receive_buffer_size(None)
        .enable_segmentation_offload(true);
    transport
}
