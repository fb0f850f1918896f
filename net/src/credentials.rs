//! What a running node shows of itself, and how a renewed certificate takes the old one's place
//! without a restart.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{DigitallySignedStruct, DistinguishedName, SignatureScheme};
use rustls_pki_types::{CertificateDer, UnixTime};

use crate::environment;
use crate::identity::{Identity, IdentityError};

/// A node's identity as it is now; clones share it, so that endpoints see what
/// [`Credentials::reload`] has taken up.
#[derive(Clone)]
pub struct Credentials(Arc<Mutex<State>>);

struct State {
    identity: Identity,
    /// Checks the certificates of peers by the authority of the identity.
    peers: Arc<dyn ClientCertVerifier>,
    /// The files as they were when they were last read; unknown at the start, so that what was
    /// written just then is not missed.
    read: Option<Stamps>,
    /// The files as they were at the last look, where they had changed.
    seen: Option<Stamps>,
}

/// When the files were last written, as far as can be told without reading them.
type Stamps = [Option<Stamp>; 3];

#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
}

/// What a look at the files came to.
#[derive(Debug)]
pub enum Reload {
    /// They are as they were.
    Unchanged,
    /// They have changed since the last look. They are taken up at the next one, unless they change
    /// again: whoever writes them may not be done.
    Settling,
    /// The new certificate is shown to whoever connects from now on.
    Renewed {
        /// When it is no longer valid.
        expires: SystemTime,
    },
    /// The new files can't be used; the node goes on with what it had. Told once for each change.
    Refused(IdentityError),
}

impl Credentials {
    /// Starts with this identity.
    #[must_use]
    pub fn new(identity: Identity) -> Self {
        let peers = peer_verifier(&identity);
        Self(Arc::new(Mutex::new(State { identity, peers, read: None, seen: None })))
    }

    /// The identity as it is now.
    #[must_use]
    pub fn identity(&self) -> Identity {
        self.lock().identity.clone()
    }

    /// Looks whether the files have changed, and takes them up where they are good: they belong
    /// together, have not expired, and name the same node. To be called every few seconds; it only
    /// asks for the files' times where nothing has changed.
    pub fn reload(&self, now: SystemTime) -> Reload {
        let mut state = self.lock();
        let found = stamps(&state.identity);
        if state.read == Some(found) {
            state.seen = None;
            return Reload::Unchanged;
        }
        if state.seen != Some(found) {
            state.seen = Some(found);
            return Reload::Settling;
        }
        // Before the files are read: what is written meanwhile is another change.
        state.read = Some(found);
        state.seen = None;
        match successor(&state.identity, now) {
            Ok(identity) if is_same(&identity, &state.identity) => Reload::Unchanged,
            Ok(identity) => {
                let expires = identity.expires();
                state.peers = peer_verifier(&identity);
                state.identity = identity;
                Reload::Renewed { expires }
            }
            Err(error) => Reload::Refused(error),
        }
    }

    /// How TLS checks peers, by the authority as it is at each handshake.
    pub(crate) fn peer_verifier(&self) -> Arc<dyn ClientCertVerifier> {
        Arc::new(PeerVerifier { credentials: self.clone(), schemes: self.lock().peers.clone() })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl From<Identity> for Credentials {
    fn from(identity: Identity) -> Self {
        Self::new(identity)
    }
}

/// For a node whose certificates never change: tests, mostly.
impl From<&Identity> for Credentials {
    fn from(identity: &Identity) -> Self {
        Self::new(identity.clone())
    }
}

impl From<&Self> for Credentials {
    fn from(credentials: &Self) -> Self {
        credentials.clone()
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = self.lock();
        out.debug_tuple("Credentials").field(state.identity.certificate()).finish()
    }
}

impl ResolvesServerCert for Credentials {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(self.lock().identity.certified()))
    }
}

/// The identity that the files hold now, where the same node may go on with it.
fn successor(old: &Identity, now: SystemTime) -> Result<Identity, IdentityError> {
    let new = Identity::from_files(old.files(), now)?;
    if let Some(node) = old.node() {
        new.check_node(node)?;
    }
    Ok(new)
}

fn is_same(new: &Identity, old: &Identity) -> bool {
    new.chain() == old.chain() && new.authority_pem() == old.authority_pem()
}

fn stamps(identity: &Identity) -> Stamps {
    let files = identity.files();
    [&files.certificate, &files.key, &files.authority].map(|path| stamp(path).ok())
}

fn stamp(path: &Path) -> io::Result<Stamp> {
    let found = fs::metadata(path)?;
    let modified = (found.mtime(), found.mtime_nsec());
    Ok(Stamp { inode: found.ino(), bytes: found.len(), modified })
}

fn peer_verifier(identity: &Identity) -> Arc<dyn ClientCertVerifier> {
    let provider = environment::cryptography();
    WebPkiClientVerifier::builder_with_provider(Arc::clone(identity.roots()), provider)
        .allow_unauthenticated()
        .clear_root_hint_subjects()
        .build()
        .expect("an identity has an authority")
}

/// Checks whatever certificate the other side of a connection shows; clients show none.
struct PeerVerifier {
    credentials: Credentials,
    /// Signatures are checked in the same way whatever the authority.
    schemes: Arc<dyn ClientCertVerifier>,
}

impl std::fmt::Debug for PeerVerifier {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_tuple("PeerVerifier").field(&self.credentials).finish()
    }
}

impl ClientCertVerifier for PeerVerifier {
    fn client_auth_mandatory(&self) -> bool {
        // TLS does not know yet which protocol it will be; see `peer::caller`.
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let peers = self.credentials.lock().peers.clone();
        peers.verify_client_cert(end_entity, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.schemes.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.schemes.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes.supported_verify_schemes()
    }
}
