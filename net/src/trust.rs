//! Whom a client trusts: the authority that must have issued a node's certificate.
//!
//! A node on this machine publishes its development authority in the user's state folder, under
//! its port, so that clients on the same machine need no option. Elsewhere the authority's file is
//! given. Every refusal says which file was used, what did not fit and which option mends it.

use std::env;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::{CertificateError, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use thiserror::Error;

use crate::certificate::{Certificate, date, issue_command};
use crate::identity::Identity;
use crate::pem::replace_file;

/// Why a node is not trusted.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TrustError {
    /// No authority is known for a host that is not this machine.
    #[error(
        "no certificate authority is known for {host}: give the node's with --ca FILE or \
         QUORATE_CA (it is certs/ca.pem in the node's data folder)"
    )]
    NoAuthority {
        /// The host of the URI.
        host: String,
    },
    /// No node of this machine has published its authority for this port.
    #[error(
        "no node of this user has published its certificate authority for port {port} (looked \
         for {}): start one with `quorate serve`, or give the node's with --ca FILE or \
         QUORATE_CA (it is certs/ca.pem in the node's data folder)",
        path.display()
    )]
    NotPublished {
        /// The port of the URI.
        port: u16,
        /// Where it would be.
        path: PathBuf,
    },
    /// There is no state folder to look in.
    #[error(
        "neither XDG_STATE_HOME nor HOME is set, so published certificate authorities can't be \
         found: give the node's with --ca FILE or QUORATE_CA"
    )]
    NoStateFolder,
    /// The authority's file can't be read.
    #[error("can't read the certificate authority {}: {error}; see --ca and QUORATE_CA", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        error: String,
    },
    /// The authority's file has no certificate in it.
    #[error("{} has no certificate in PEM format; see --ca and QUORATE_CA", path.display())]
    NoCertificate {
        /// Which file.
        path: PathBuf,
    },
    /// The authority can't be published for other programs of this machine.
    #[error("can't publish the certificate authority as {}: {error}", path.display())]
    Unwritable {
        /// Which file.
        path: PathBuf,
        /// Why.
        error: String,
    },
    /// Another authority issued the node's certificate.
    #[error(
        "the node's certificate was not issued by the authority in {} ({wanted}), but by {found}: \
         give the node's own with --ca FILE or QUORATE_CA (it is certs/ca.pem in the node's data \
         folder, or ca.pem where `quorate cert init` made it)",
        path.display()
    )]
    WrongAuthority {
        /// The authority that was trusted.
        path: PathBuf,
        /// Its name.
        wanted: String,
        /// The issuer that the certificate names.
        found: String,
        /// The node that the certificate names.
        node: Option<String>,
        /// What it is for.
        hosts: Vec<String>,
    },
    /// Another authority issued the certificate of a peer.
    #[error(
        "the certificate of the node at {host} was issued by {found}, and this node trusts {wanted} \
         ({}): all nodes of a group need certificates of one authority; issue that node's anew, \
         with `{}`, or put the same ca.pem on both",
        path.display(),
        issue_command(node.as_deref(), hosts, Path::new("DIR"))
    )]
    PeerAuthority {
        /// Where the peer is.
        host: String,
        /// The authority that was trusted.
        path: PathBuf,
        /// Its name.
        wanted: String,
        /// The issuer that the certificate names.
        found: String,
        /// The node that the certificate names.
        node: Option<String>,
        /// What it is for.
        hosts: Vec<String>,
    },
    /// The certificate of a peer names no node.
    #[error(
        "the certificate of the node at {host} names no node: issue one that does, with `{}`",
        issue_command(None, std::slice::from_ref(host), Path::new("DIR"))
    )]
    PeerUnnamed {
        /// Where the peer is.
        host: String,
    },
    /// This node's own certificate names no node, so no peer would take it.
    #[error(
        "this node's certificate ({}) names no node, so no other node takes it: issue one that \
         does, with `{}`, and start the node with --certs DIR",
        path.display(),
        issue_command(None, hosts, Path::new("DIR"))
    )]
    OwnUnnamed {
        /// The certificate's file.
        path: PathBuf,
        /// What it is for.
        hosts: Vec<String>,
    },
    /// A peer does not trust this node's certificate.
    #[error(
        "the node at {host} refuses this node's certificate ({}), because {reason}: all nodes of a \
         group need certificates of one authority; look with `quorate cert check DIR` on both",
        path.display()
    )]
    RefusedByPeer {
        /// Where the peer is.
        host: String,
        /// This node's certificate.
        path: PathBuf,
        /// In plain words.
        reason: String,
    },
    /// The node's certificate is no longer valid.
    #[error(
        "the node's certificate expired on {}, by this machine's clock: a node renews its \
         development certificate when it is started again; else renew it with `{}`",
        date(*since),
        issue_command(node.as_deref(), hosts, Path::new("DIR"))
    )]
    Expired {
        /// When it expired.
        since: SystemTime,
        /// The node that the certificate names.
        node: Option<String>,
        /// What it is for.
        hosts: Vec<String>,
    },
    /// The node's certificate is not valid yet.
    #[error(
        "the node's certificate is valid only from {} on: set the clocks of both machines",
        date(*from)
    )]
    NotYetValid {
        /// When it begins.
        from: SystemTime,
    },
    /// The node's certificate is for other names.
    #[error(
        "the node's certificate is not for {wanted}, only for {}: use one of these, or issue one \
         that is with `{}` (a node that makes its own takes the name in --listen; trusted by {})",
        found.join(", "),
        issue_command(node.as_deref(), &with(found, wanted), Path::new("DIR")),
        path.display()
    )]
    WrongName {
        /// The host that was asked for.
        wanted: String,
        /// What the certificate is for.
        found: Vec<String>,
        /// The node that it names.
        node: Option<String>,
        /// The authority that was trusted.
        path: PathBuf,
    },
    /// Anything else about the certificate.
    #[error("the node's certificate is refused ({error}); trusted by {}", path.display())]
    Certificate {
        /// In TLS's words.
        error: String,
        /// The authority that was trusted.
        path: PathBuf,
    },
}

/// An authority, and the file that it came from.
#[derive(Clone, Debug)]
pub struct Trust {
    path: PathBuf,
    /// Its name, for people.
    subject: String,
    roots: Arc<RootCertStore>,
}

impl Trust {
    /// The authority for a node: the given file, or for this machine the published one.
    ///
    /// # Errors
    ///
    /// [`TrustError`] where there is none, or none that can be read.
    pub fn find(host: &str, port: u16, file: Option<&Path>) -> Result<Self, TrustError> {
        if let Some(file) = file {
            return Self::from_file(file);
        }
        if !is_loopback(host) {
            return Err(TrustError::NoAuthority { host: host.to_owned() });
        }
        let path = published_path(&state_folder()?, port);
        if !path.exists() {
            return Err(TrustError::NotPublished { port, path });
        }
        Self::from_file(&path)
    }

    /// The authority in a file.
    ///
    /// # Errors
    ///
    /// [`TrustError::Unreadable`], [`TrustError::NoCertificate`].
    pub fn from_file(path: &Path) -> Result<Self, TrustError> {
        let pem = std::fs::read(path).map_err(|error| TrustError::Unreadable {
            path: path.to_owned(),
            error: error.to_string(),
        })?;
        Self::from_pem(path, &pem)
    }

    /// An authority that is in no file.
    ///
    /// - `path`: where people are told that it comes from
    ///
    /// # Errors
    ///
    /// [`TrustError::NoCertificate`].
    pub fn from_pem(path: &Path, pem: &[u8]) -> Result<Self, TrustError> {
        let none = || TrustError::NoCertificate { path: path.to_owned() };
        let mut roots = RootCertStore::empty();
        let mut subjects = Vec::new();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|_| none())?;
            subjects.push(subject(&certificate).ok_or_else(none)?);
            roots.add(certificate).map_err(|_| none())?;
        }
        if roots.is_empty() {
            return Err(none());
        }
        Ok(Self { path: path.to_owned(), subject: subjects.join(" or "), roots: Arc::new(roots) })
    }

    /// The authority of a node: whom it trusts as a peer.
    pub(crate) fn of(identity: &Identity) -> Self {
        let path = identity.files().authority.clone();
        let pem = identity.authority_pem().as_bytes();
        let subjects = CertificateDer::pem_slice_iter(pem).filter_map(|certificate| {
            certificate.ok().and_then(|certificate| subject(&certificate))
        });
        let subject = subjects.collect::<Vec<_>>().join(" or ");
        Self { path, subject, roots: Arc::clone(identity.roots()) }
    }

    /// The file that it came from.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A verifier that remembers why it refused.
    pub(crate) fn verifier(
        &self,
        provider: Arc<CryptoProvider>,
    ) -> Result<Arc<Verifier>, TrustError> {
        let webpki = WebPkiServerVerifier::builder_with_provider(self.roots.clone(), provider)
            .build()
            .map_err(|_| TrustError::NoCertificate { path: self.path.clone() })?;
        Ok(Arc::new(Verifier { webpki, trust: self.clone(), refusal: Mutex::new(None) }))
    }
}

fn subject(certificate: &CertificateDer<'_>) -> Option<String> {
    Certificate::parse(certificate).map(|certificate| certificate.subject().to_owned())
}

fn with(hosts: &[String], wanted: &str) -> Vec<String> {
    hosts.iter().cloned().chain([wanted.to_owned()]).collect()
}

/// Whether a host is this machine, seen from itself.
#[must_use]
pub fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Lets clients of this machine and user trust a node: writes its authority's certificate to
/// `$XDG_STATE_HOME/quorate/dev/<port>.pem` (without that variable, to `~/.local/state`).
///
/// # Errors
///
/// [`TrustError::NoStateFolder`], [`TrustError::Unwritable`]. The node works without it.
pub fn publish(port: u16, authority_pem: &str) -> Result<PathBuf, TrustError> {
    publish_in(&state_folder()?, port, authority_pem)
}

fn publish_in(state: &Path, port: u16, authority_pem: &str) -> Result<PathBuf, TrustError> {
    let path = published_path(state, port);
    let folder = path.parent().expect("the path has folders");
    let written =
        std::fs::create_dir_all(folder).and_then(|()| replace_file(&path, 0o644, authority_pem));
    match written {
        Ok(()) => Ok(path),
        Err(error) => Err(TrustError::Unwritable { path, error: error.to_string() }),
    }
}

fn published_path(state: &Path, port: u16) -> PathBuf {
    state.join("quorate").join("dev").join(format!("{port}.pem"))
}

fn state_folder() -> Result<PathBuf, TrustError> {
    let folder = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    folder("XDG_STATE_HOME")
        .or_else(|| folder("HOME").map(|home| home.join(".local").join("state")))
        .ok_or(TrustError::NoStateFolder)
}

/// Checks a node's certificate as webpki does, and keeps the reason of a refusal: QUIC would only
/// hand on its number.
#[derive(Debug)]
pub(crate) struct Verifier {
    webpki: Arc<WebPkiServerVerifier>,
    trust: Trust,
    refusal: Mutex<Option<TrustError>>,
}

impl Verifier {
    /// Why the last certificate was refused, if it was.
    pub(crate) fn take_refusal(&self) -> Option<TrustError> {
        self.refusal.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn refuse(&self, error: &rustls::Error, certificate: &CertificateDer<'_>) {
        let refusal = refusal(error, certificate, &self.trust);
        *self.refusal.lock().unwrap_or_else(PoisonError::into_inner) = Some(refusal);
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.webpki
            .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
            .inspect_err(|error| self.refuse(error, end_entity))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.webpki.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.webpki.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.webpki.supported_verify_schemes()
    }
}

fn refusal(error: &rustls::Error, certificate: &CertificateDer<'_>, trust: &Trust) -> TrustError {
    let path = trust.path.clone();
    let certificate = Certificate::parse(certificate);
    let (rustls::Error::InvalidCertificate(reason), Some(certificate)) = (error, certificate)
    else {
        return TrustError::Certificate { error: error.to_string(), path };
    };
    let (node, found) = (certificate.node().map(str::to_owned), certificate.hosts().to_vec());
    let moment = |time: &UnixTime| UNIX_EPOCH + Duration::from_secs(time.as_secs());
    match reason {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            let (wanted, hosts) = (trust.subject.clone(), found);
            let found = certificate.issuer().to_owned();
            TrustError::WrongAuthority { path, wanted, found, node, hosts }
        }
        CertificateError::ExpiredContext { not_after, .. } => {
            TrustError::Expired { since: moment(not_after), node, hosts: found }
        }
        CertificateError::NotValidYetContext { not_before, .. } => {
            TrustError::NotYetValid { from: moment(not_before) }
        }
        CertificateError::NotValidForNameContext { expected, .. } => {
            TrustError::WrongName { wanted: expected.to_str().into_owned(), found, node, path }
        }
        other => TrustError::Certificate { error: other.to_string(), path },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_published_authority_is_found_under_its_port() {
        let state = env::temp_dir().join(format!("quorate-trust-{}", std::process::id()));
        let pem = crate::authority::Authority::create(
            SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 30),
        )
        .expect("there are random numbers")
        .certificate_pem()
        .to_owned();
        let path = publish_in(&state, 2113, &pem).expect("the folder is ours");
        assert_eq!(path, state.join("quorate/dev/2113.pem"));
        assert_eq!(Trust::from_file(&path).expect("it was just written").path(), path);
        publish_in(&state, 2113, &pem).expect("a restart publishes again");
        std::fs::remove_dir_all(&state).expect("the folder is ours");
    }

    #[test]
    fn loopback_is_this_machine_by_any_of_its_names() {
        for host in ["localhost", "127.0.0.1", "127.1.2.3", "::1", "[::1]"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["", "localhost.example", "10.0.0.1", "::", "0.0.0.0"] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
