//! Links between the nodes of a group: the same socket as for clients, another protocol, and both
//! sides show a certificate that the group's authority has issued and that names a node.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use quinn::crypto::rustls::{HandshakeData, QuicClientConfig};
use quinn::{Connection, ConnectionError, Endpoint, IdleTimeout, TransportErrorCode, VarInt};
use quorate_core::member::Name;
use rustls::AlertDescription;
use rustls::client::Resumption;
use rustls_pki_types::CertificateDer;
use thiserror::Error;

use crate::certificate::Certificate;
use crate::credentials::Credentials;
use crate::endpoint::{self, ConnectError, transport};
use crate::environment::{WallClock, cryptography};
use crate::identity::Identity;
use crate::trust::{Trust, TrustError, Verifier};
use crate::wire::ALPN;

/// The application protocol that TLS negotiates between nodes.
pub const PEER_ALPN: &[u8] = b"quorate-peer/1";

/// Without a sign of life for this long, a link between nodes is lost. An election does not wait
/// for it: that has timers of its own.
pub const PEER_IDLE_TIMEOUT: Duration = Duration::from_secs(5);
/// An idle link shows a sign of life this often: three may be lost.
const PEER_KEEP_ALIVE: Duration = Duration::from_millis(1200);
/// Lanes of one link.
pub const PEER_STREAMS_MAX: u32 = 8;

/// Who a peer is, by its certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerIdentity {
    /// The node's name.
    pub node: Name,
    /// When its certificate is no longer valid.
    pub expires: SystemTime,
}

/// Who has connected to a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    /// A client, which shows no certificate.
    Client,
    /// Another node.
    Peer(PeerIdentity),
}

/// Why a connection can't be a peer's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PeerRefusal {
    /// It speaks another protocol.
    #[error("the connection is a client's, not another node's")]
    NotPeer,
    /// It has shown no certificate.
    #[error(
        "a node showed no certificate: start it with --certs DIR, with files that `quorate cert \
         issue` has made"
    )]
    NoCertificate,
    /// Its certificate names no node.
    #[error(
        "a node showed a certificate that names no node: issue one that does, with `quorate cert \
         issue NODE --ca CA_DIR --host HOST --out DIR`"
    )]
    Unnamed,
}

impl PeerRefusal {
    /// The code to close the connection with.
    pub const CLOSE_CODE: VarInt = VarInt::from_u32(16);
}

/// Who has connected. TLS has checked the certificate of a peer, if there is one; that there is
/// one, and that it names a node, is checked here.
///
/// # Errors
///
/// [`PeerRefusal`]: the connection is to be closed with it as the reason.
pub fn caller(connection: &Connection) -> Result<Caller, PeerRefusal> {
    match protocol(connection).as_deref() {
        Some(ALPN) => Ok(Caller::Client),
        _ => peer_identity(connection).map(Caller::Peer),
    }
}

/// Which node is at the other end of a link between nodes.
///
/// # Errors
///
/// [`PeerRefusal`] where there is none that can prove it.
pub fn peer_identity(connection: &Connection) -> Result<PeerIdentity, PeerRefusal> {
    if protocol(connection).as_deref() != Some(PEER_ALPN) {
        return Err(PeerRefusal::NotPeer);
    }
    let shown = connection.peer_identity().ok_or(PeerRefusal::NoCertificate)?;
    let chain = shown.downcast::<Vec<CertificateDer<'static>>>();
    let chain = chain.map_err(|_| PeerRefusal::NoCertificate)?;
    let certificate = chain.first().ok_or(PeerRefusal::NoCertificate)?;
    let certificate = Certificate::parse(certificate).ok_or(PeerRefusal::Unnamed)?;
    let node = certificate.node().and_then(|node| Name::new(node).ok());
    let node = node.ok_or(PeerRefusal::Unnamed)?;
    Ok(PeerIdentity { node, expires: certificate.expires() })
}

fn protocol(connection: &Connection) -> Option<Vec<u8>> {
    connection.handshake_data()?.downcast::<HandshakeData>().ok()?.protocol
}

/// Connects to other nodes with the identity that the node has at that moment.
#[derive(Clone, Debug)]
pub struct PeerConnector {
    credentials: Credentials,
}

impl PeerConnector {
    /// - `credentials`: the node's own
    #[must_use]
    pub fn new(credentials: impl Into<Credentials>) -> Self {
        Self { credentials: credentials.into() }
    }

    /// Connects; waits for the answer as long as the idle timeout.
    ///
    /// The other side checks this node's certificate last: where it refuses that, the connection
    /// may be made and then end, with an error that [`PeerConnector::lost`] puts into words.
    ///
    /// - `host`: the name or address that the other node's certificate must be for
    ///
    /// # Errors
    ///
    /// [`ConnectError`] with the reason in plain words.
    pub async fn connect(
        &self,
        endpoint: &Endpoint,
        address: SocketAddr,
        host: &str,
    ) -> Result<(Connection, PeerIdentity), ConnectError> {
        let identity = self.credentials.identity();
        if identity.node().is_none() {
            return Err(ConnectError::Trust(TrustError::OwnUnnamed {
                path: identity.files().certificate.clone(),
                hosts: identity.certificate().hosts().to_vec(),
            }));
        }
        let verifier = Trust::of(&identity).verifier(cryptography())?;
        let config = client_config(&identity, &verifier);
        let connecting = endpoint.connect_with(config, address, host)?;
        let connection = connecting.await.map_err(|error| match verifier.take_refusal() {
            Some(refusal) => ConnectError::Trust(of_peer(refusal, host)),
            None => self.lost(host, error),
        })?;
        match peer_identity(&connection) {
            Ok(peer) => Ok((connection, peer)),
            Err(_refusal) => {
                connection.close(PeerRefusal::CLOSE_CODE, b"this certificate names no node");
                Err(ConnectError::Trust(TrustError::PeerUnnamed { host: host.to_owned() }))
            }
        }
    }

    /// Why a link was lost: that the other node refuses this one's certificate in plain words.
    #[must_use]
    pub fn lost(&self, host: &str, error: ConnectionError) -> ConnectError {
        let Some(reason) = refusal_reason(&error) else { return ConnectError::Connection(error) };
        ConnectError::Trust(TrustError::RefusedByPeer {
            host: host.to_owned(),
            path: self.credentials.identity().files().certificate.clone(),
            reason: reason.to_owned(),
        })
    }
}

/// Why a connection failed at the side that was called, for its log. TLS names the certificate's
/// fault by a number, and that is put into words.
#[must_use]
pub fn accept_failure(error: &ConnectionError) -> String {
    let by_peer = match error {
        ConnectionError::TransportError(_) => false,
        ConnectionError::ConnectionClosed(_) => true,
        _ => return error.to_string(),
    };
    let Some(reason) = refusal_reason(error) else { return error.to_string() };
    if by_peer {
        format!(
            "another node or a client refuses this node's certificate, because {reason}: check it \
             with `quorate cert check DIR`"
        )
    } else {
        format!(
            "another node's certificate is refused, because {reason}: check it there with `quorate \
             cert check DIR`"
        )
    }
}

/// What TLS says against a certificate, by either side.
fn refusal_reason(error: &ConnectionError) -> Option<&'static str> {
    let code = match error {
        ConnectionError::TransportError(error) => error.code,
        ConnectionError::ConnectionClosed(closed) => closed.error_code,
        _ => return None,
    };
    // Of the codes for TLS, the low byte is TLS's own alert.
    let alert = u8::try_from(u64::from(code).checked_sub(0x100)?).ok()?;
    debug_assert_eq!(TransportErrorCode::crypto(alert), code);
    Some(match AlertDescription::from(alert) {
        AlertDescription::UnknownCA => "it was issued by another authority",
        AlertDescription::CertificateExpired => "it has expired, or is not valid yet",
        AlertDescription::CertificateRequired => "there is none",
        AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateRevoked
        | AlertDescription::CertificateUnknown
        | AlertDescription::DecryptError => "it does not fit",
        AlertDescription::NoApplicationProtocol => {
            "it speaks another version of the protocol between nodes"
        }
        _ => return None,
    })
}

/// What a client would be told, in words for who runs nodes.
fn of_peer(refusal: TrustError, host: &str) -> TrustError {
    match refusal {
        TrustError::WrongAuthority { path, wanted, found, node, hosts } => {
            TrustError::PeerAuthority { host: host.to_owned(), path, wanted, found, node, hosts }
        }
        other => other,
    }
}

fn client_config(identity: &Identity, verifier: &Arc<Verifier>) -> quinn::ClientConfig {
    let certified = identity.certified();
    let mut tls = rustls::ClientConfig::builder_with_details(cryptography(), Arc::new(WallClock))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("ring has TLS 1.3")
        .dangerous() // It is webpki's verifier; ours only remembers its reasons.
        .with_custom_certificate_verifier(verifier.clone())
        .with_client_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(
            certified.as_ref().clone(),
        )));
    tls.alpn_protocols = vec![PEER_ALPN.to_vec()];
    // Each link begins with both certificates, as they are now.
    tls.resumption = Resumption::disabled();
    let quic = QuicClientConfig::try_from(tls).expect("ring has QUIC's initial cipher");
    let mut config = endpoint::client_config(quic);
    let mut transport = transport();
    let idle = IdleTimeout::try_from(PEER_IDLE_TIMEOUT).expect("seconds fit");
    transport.max_idle_timeout(Some(idle));
    transport.keep_alive_interval(Some(PEER_KEEP_ALIVE));
    transport.max_concurrent_bidi_streams(VarInt::from_u32(PEER_STREAMS_MAX));
    config.transport_config(Arc::new(transport));
    config
}
