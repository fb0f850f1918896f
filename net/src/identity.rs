//! Who a node is towards its clients and its peers: a certificate, its key, and the authority
//! behind them.
//!
//! A first start makes its own development certificates in the data folder, so that nothing is
//! ever unencrypted and nobody has to learn certificates before the first append. Real ones are
//! given as files, which [`crate::authority_folder`] makes; only those name the node.

mod development;
mod error;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::RootCertStore;
use rustls::sign::CertifiedKey;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::authority::{Authority, Issued};
use crate::certificate::Certificate;
use crate::environment;
use crate::pem;

pub(crate) use development::is_pair;
pub use error::IdentityError;

/// Certificates with less than this left are made anew at a start.
pub const RENEWAL_MARGIN: Duration = Duration::from_secs(90 * 24 * 3600);

/// The authority's certificate, in a node's folder and in the authority's own.
pub const AUTHORITY_FILE: &str = "ca.pem";
/// The authority's key, in its own folder.
pub const AUTHORITY_KEY_FILE: &str = "ca.key";
/// A node's certificate, in its folder.
pub const CERTIFICATE_FILE: &str = "node.pem";
/// A node's key, in its folder.
pub const KEY_FILE: &str = "node.key";

/// What became of a node's development certificates at a start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewal {
    /// They were good.
    Kept,
    /// The node got a new certificate from the same authority.
    Certificate,
    /// There is a new authority: clients elsewhere need its certificate.
    Authority,
}

/// Where an identity comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityFiles {
    /// The node's certificate, then any between it and the authority.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
    /// The authority's certificate, or several while one takes over from another.
    pub authority: PathBuf,
}

impl IdentityFiles {
    /// The files of a folder that `quorate cert issue` has made.
    #[must_use]
    pub fn in_folder(folder: &Path) -> Self {
        Self {
            certificate: folder.join(CERTIFICATE_FILE),
            key: folder.join(KEY_FILE),
            authority: folder.join(AUTHORITY_FILE),
        }
    }
}

/// A certificate chain, its private key, and the authority's certificate, which belong together.
#[derive(Clone)]
pub struct Identity {
    files: IdentityFiles,
    authority_pem: String,
    roots: Arc<RootCertStore>,
    certificate: Certificate,
    certified: Arc<CertifiedKey>,
    key: Arc<PrivateKeyDer<'static>>,
}

impl Identity {
    /// Takes up the development certificates in `folder`, making or renewing what is needed.
    ///
    /// - `names`: host names and addresses of the node, beside `localhost` and the loopback ones
    ///
    /// # Errors
    ///
    /// [`IdentityError`] with the file it is about.
    pub fn development(
        folder: &Path,
        names: &[String],
        now: SystemTime,
    ) -> Result<(Self, Renewal), IdentityError> {
        development::open(folder, names, now)
    }

    /// Takes up certificates from files.
    ///
    /// - `certificate`: the node's own, then any between it and the authority
    ///
    /// # Errors
    ///
    /// [`IdentityError`] with the file it is about.
    pub fn load(
        certificate: &Path,
        key: &Path,
        authority: &Path,
        now: SystemTime,
    ) -> Result<Self, IdentityError> {
        let (certificate, key) = (certificate.to_owned(), key.to_owned());
        let authority = authority.to_owned();
        Self::from_files(&IdentityFiles { certificate, key, authority }, now)
    }

    /// Takes up the certificates of a folder that `quorate cert issue` has made.
    ///
    /// # Errors
    ///
    /// [`IdentityError`] with the file it is about.
    pub fn from_folder(folder: &Path, now: SystemTime) -> Result<Self, IdentityError> {
        Self::from_files(&IdentityFiles::in_folder(folder), now)
    }

    /// Takes up certificates from files: they must belong together, and not have expired.
    ///
    /// A certificate that is not valid yet is taken: the clocks of the others may be ahead.
    ///
    /// # Errors
    ///
    /// [`IdentityError`] with the file it is about.
    pub fn from_files(files: &IdentityFiles, now: SystemTime) -> Result<Self, IdentityError> {
        let authority_pem = pem::read(&files.authority)?;
        let certificate_pem = pem::read(&files.certificate)?;
        let issued = Issued { certificate_pem, key_pem: pem::read(&files.key)? };
        Self::from_texts(files, authority_pem, &issued, now)
    }

    /// Takes up certificates that are in no files: they must belong together, and not have expired.
    ///
    /// - `folder`: where people are told that they come from
    ///
    /// # Errors
    ///
    /// [`IdentityError`] with the file that it would be about.
    pub fn from_issued(
        folder: &Path,
        authority: &Authority,
        issued: &Issued,
        now: SystemTime,
    ) -> Result<Self, IdentityError> {
        let authority_pem = authority.certificate_pem().to_owned();
        Self::from_texts(&IdentityFiles::in_folder(folder), authority_pem, issued, now)
    }

    fn from_texts(
        files: &IdentityFiles,
        authority_pem: String,
        issued: &Issued,
        now: SystemTime,
    ) -> Result<Self, IdentityError> {
        let roots = Arc::new(pem::roots_in(&files.authority, &authority_pem)?);
        let chain = pem::certificates_in(&files.certificate, &issued.certificate_pem)?;
        let malformed = || pem::malformed(&files.certificate, "certificate");
        let certificate = Certificate::parse(&chain[0]).ok_or_else(malformed)?;
        if certificate.expires() <= now {
            return Err(IdentityError::expired(&files.certificate, &certificate));
        }
        let key = pem::private_key_in(&files.key, &issued.key_pem)?;
        let certified = certify(files, &certificate, chain, &key)?;
        let identity = Self {
            files: files.clone(),
            authority_pem,
            roots,
            certificate,
            certified: Arc::new(certified),
            key: Arc::new(key),
        };
        identity.check_authority(now)?;
        Ok(identity)
    }

    /// Where it comes from.
    #[must_use]
    pub fn files(&self) -> &IdentityFiles {
        &self.files
    }

    /// The authority's certificate: what clients trust.
    #[must_use]
    pub fn authority_pem(&self) -> &str {
        &self.authority_pem
    }

    /// The authority's certificate as a verifier takes it.
    pub(crate) fn roots(&self) -> &Arc<RootCertStore> {
        &self.roots
    }

    /// The node's certificate, then any between it and the authority.
    #[must_use]
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.certified.cert
    }

    /// What the node's certificate says.
    #[must_use]
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// The node's name; `None` where the certificate has none, as that of a lone node.
    #[must_use]
    pub fn node(&self) -> Option<&str> {
        self.certificate.node()
    }

    /// The private key.
    #[must_use]
    pub fn key(&self) -> PrivateKeyDer<'static> {
        self.key.clone_key()
    }

    /// Chain and key as TLS takes them.
    pub(crate) fn certified(&self) -> &Arc<CertifiedKey> {
        &self.certified
    }

    /// When the node's certificate is no longer valid.
    #[must_use]
    pub fn expires(&self) -> SystemTime {
        self.certificate.expires()
    }

    /// Checks that the certificate has begun to be valid.
    ///
    /// # Errors
    ///
    /// [`IdentityError::NotYetValid`].
    pub fn check_started(&self, now: SystemTime) -> Result<(), IdentityError> {
        let (from, path) = (self.certificate.starts(), self.files.certificate.clone());
        if from <= now { Ok(()) } else { Err(IdentityError::NotYetValid { path, from, now }) }
    }

    /// Checks that the certificate is for this host.
    ///
    /// # Errors
    ///
    /// [`IdentityError::OtherHost`].
    pub fn check_host(&self, host: &str) -> Result<(), IdentityError> {
        if self.certificate.is_for(host) {
            return Ok(());
        }
        Err(IdentityError::OtherHost {
            path: self.files.certificate.clone(),
            wanted: host.to_owned(),
            found: self.certificate.hosts().to_vec(),
            node: self.node().map(str::to_owned),
        })
    }

    /// Checks that the certificate is this node's.
    ///
    /// # Errors
    ///
    /// [`IdentityError::OtherNode`].
    pub fn check_node(&self, node: &str) -> Result<(), IdentityError> {
        if self.node() == Some(node) {
            return Ok(());
        }
        Err(IdentityError::OtherNode {
            path: self.files.certificate.clone(),
            wanted: node.to_owned(),
            found: self.node().map(str::to_owned),
            hosts: self.certificate.hosts().to_vec(),
        })
    }

    /// Checks that the authority has issued the certificate, and can still vouch for it.
    fn check_authority(&self, now: SystemTime) -> Result<(), IdentityError> {
        if self.certificate.is_issued_by(&self.roots, &self.chain()[1..], now) {
            return Ok(());
        }
        let authority = pem::certificate_in(&self.files.authority, &self.authority_pem)?;
        if authority.expires() <= now {
            let (path, since) = (self.files.authority.clone(), authority.expires());
            return Err(IdentityError::AuthorityExpired { path, since });
        }
        Err(IdentityError::OtherAuthority {
            certificate: self.files.certificate.clone(),
            authority: self.files.authority.clone(),
            wanted: authority.subject().to_owned(),
            found: self.certificate.issuer().to_owned(),
            node: self.node().map(str::to_owned),
            hosts: self.certificate.hosts().to_vec(),
        })
    }
}

/// Puts chain and key together for TLS.
fn certify(
    files: &IdentityFiles,
    certificate: &Certificate,
    chain: Vec<CertificateDer<'static>>,
    key: &PrivateKeyDer<'static>,
) -> Result<CertifiedKey, IdentityError> {
    let provider = environment::cryptography();
    CertifiedKey::from_der(chain, key.clone_key(), &provider).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => IdentityError::OtherKey {
            certificate: files.certificate.clone(),
            key: files.key.clone(),
            node: certificate.node().map(str::to_owned),
            hosts: certificate.hosts().to_vec(),
        },
        error => IdentityError::Unusable { path: files.certificate.clone(), error },
    })
}

/// This machine's name, for a certificate.
#[must_use]
pub fn host_name() -> Option<String> {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    let name = name.trim();
    (!name.is_empty() && name != "(none)").then(|| name.to_owned())
}
