//! Who a node is towards its clients: a certificate, its key, and the authority behind them.
//!
//! A first start makes its own development certificates in the data folder, so that nothing is
//! ever unencrypted and nobody has to learn certificates before the first append. Real ones are
//! given as files.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::KeyPair;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use thiserror::Error;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::authority::{Authority, CERTIFICATE_LIFETIME, CLOCK_TOLERANCE};

/// Certificates with less than this left are made anew at a start.
pub const RENEWAL_MARGIN: Duration = Duration::from_secs(90 * 24 * 3600);

const AUTHORITY_FILE: &str = "ca.pem";
const AUTHORITY_KEY_FILE: &str = "ca.key";
const CERTIFICATE_FILE: &str = "node.pem";
const KEY_FILE: &str = "node.key";
const PUBLIC_MODE: u32 = 0o644;
const PRIVATE_MODE: u32 = 0o600;

/// Why a node has no usable certificate.
#[derive(Debug, Error)]
pub enum IdentityError {
    /// A file or folder can't be read.
    #[error("can't read {}: {error}", path.display())]
    Read {
        /// Which one.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A file or folder can't be written.
    #[error("can't write {}: {error}", path.display())]
    Write {
        /// Which one.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A file is not what it should be.
    #[error("{} is not a {wanted} in PEM format; if it is one of the development certificates, delete the folder {} to have new ones made", path.display(), path.parent().unwrap_or(path).display())]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// What it should hold.
        wanted: &'static str,
    },
    /// A certificate's time is over.
    #[error("the certificate in {} expired on {}: install a new one", path.display(), date(*since))]
    Expired {
        /// Which file.
        path: PathBuf,
        /// When.
        since: SystemTime,
    },
    /// A certificate could not be made.
    #[error("can't make a certificate for {names:?}: {error}")]
    Issue {
        /// For these names.
        names: Vec<String>,
        /// Why.
        error: rcgen::Error,
    },
}

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

/// A certificate chain, its private key, and the authority's certificate.
pub struct Identity {
    authority_pem: String,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    expires: SystemTime,
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
        let folder_error = |error| IdentityError::Write { path: folder.to_owned(), error };
        fs::create_dir_all(folder).map_err(folder_error)?;
        let names = with_loopback(names);
        let kept = stored_authority(folder, now)?;
        if let Some(authority) = &kept
            && let Some(identity) = stored_identity(folder, authority, &names, now)?
        {
            return Ok((identity, Renewal::Kept));
        }
        let renewal = if kept.is_some() { Renewal::Certificate } else { Renewal::Authority };
        let issue_error = |error| IdentityError::Issue { names: names.clone(), error };
        let authority = match kept {
            Some(authority) => authority,
            None => {
                let authority = Authority::create(now).map_err(issue_error)?;
                write(&folder.join(AUTHORITY_KEY_FILE), PRIVATE_MODE, &authority.key_pem())?;
                write(&folder.join(AUTHORITY_FILE), PUBLIC_MODE, authority.certificate_pem())?;
                authority
            }
        };
        let validity = now - CLOCK_TOLERANCE..now + CERTIFICATE_LIFETIME;
        let issued = authority.issue(&names, &validity).map_err(issue_error)?;
        write(&folder.join(KEY_FILE), PRIVATE_MODE, &issued.key_pem)?;
        write(&folder.join(CERTIFICATE_FILE), PUBLIC_MODE, &issued.certificate_pem)?;
        let identity = Self::load(
            &folder.join(CERTIFICATE_FILE),
            &folder.join(KEY_FILE),
            &folder.join(AUTHORITY_FILE),
            now,
        )?;
        Ok((identity, renewal))
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
        let authority_pem = read(authority)?;
        let chain = certificates(certificate)?;
        let expires = validity_end(certificate, &chain[0])?;
        if expires <= now {
            return Err(IdentityError::Expired { path: certificate.to_owned(), since: expires });
        }
        let key = PrivateKeyDer::from_pem_slice(read(key)?.as_bytes())
            .map_err(|_| malformed(key, "private key"))?;
        Ok(Self { authority_pem, chain, key, expires })
    }

    /// The authority's certificate: what clients trust.
    #[must_use]
    pub fn authority_pem(&self) -> &str {
        &self.authority_pem
    }

    /// The node's certificate, then any between it and the authority.
    #[must_use]
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.chain
    }

    /// The private key.
    #[must_use]
    pub fn key(&self) -> PrivateKeyDer<'static> {
        self.key.clone_key()
    }

    /// When the node's certificate is no longer valid.
    #[must_use]
    pub fn expires(&self) -> SystemTime {
        self.expires
    }
}

/// This machine's name, for a certificate.
#[must_use]
pub fn host_name() -> Option<String> {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    let name = name.trim();
    (!name.is_empty() && name != "(none)").then(|| name.to_owned())
}

/// The authority of a data folder, where it is whole and will stay valid for a while.
fn stored_authority(folder: &Path, now: SystemTime) -> Result<Option<Authority>, IdentityError> {
    let (path, key_path) = (folder.join(AUTHORITY_FILE), folder.join(AUTHORITY_KEY_FILE));
    if !path.exists() || !key_path.exists() {
        return Ok(None);
    }
    if validity_end(&path, &certificates(&path)?[0])? < now + RENEWAL_MARGIN {
        return Ok(None);
    }
    if !is_pair(&path, &key_path)? {
        return Ok(None);
    }
    let (certificate_pem, key_pem) = (read(&path)?, read(&key_path)?);
    let authority = Authority::from_pem(&certificate_pem, &key_pem)
        .map_err(|_| malformed(&key_path, "private key"))?;
    Ok(Some(authority))
}

/// The identity of a data folder, where it is good for these names and for a while.
fn stored_identity(
    folder: &Path,
    authority: &Authority,
    names: &[String],
    now: SystemTime,
) -> Result<Option<Identity>, IdentityError> {
    let (path, key_path) = (folder.join(CERTIFICATE_FILE), folder.join(KEY_FILE));
    if !path.exists() || !key_path.exists() {
        return Ok(None);
    }
    let chain = certificates(&path)?;
    let (_, certificate) =
        X509Certificate::from_der(&chain[0]).map_err(|_| malformed(&path, "certificate"))?;
    let fresh = validity_end(&path, &chain[0])? >= now + RENEWAL_MARGIN;
    if !fresh
        || !issued_by(&certificate, authority.certificate_pem())
        || !covers(&certificate, names)
        || !is_pair(&path, &key_path)?
    {
        return Ok(None);
    }
    Identity::load(&path, &key_path, &folder.join(AUTHORITY_FILE), now).map(Some)
}

/// Whether a key is its certificate's: a crash between the two writes leaves one old and one new.
fn is_pair(certificate: &Path, key: &Path) -> Result<bool, IdentityError> {
    let chain = certificates(certificate)?;
    let (_, parsed) =
        X509Certificate::from_der(&chain[0]).map_err(|_| malformed(certificate, "certificate"))?;
    let pair = KeyPair::from_pem(&read(key)?).map_err(|_| malformed(key, "private key"))?;
    Ok(parsed.public_key().subject_public_key.data.as_ref() == pair.public_key_raw())
}

fn issued_by(certificate: &X509Certificate<'_>, authority_pem: &str) -> bool {
    let Ok(authority) = CertificateDer::from_pem_slice(authority_pem.as_bytes()) else {
        return false;
    };
    X509Certificate::from_der(&authority)
        .is_ok_and(|(_, authority)| certificate.issuer() == authority.subject())
}

fn covers(certificate: &X509Certificate<'_>, names: &[String]) -> bool {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else { return false };
    names.iter().all(|name| {
        let address = name.parse::<IpAddr>().ok();
        extension.value.general_names.iter().any(|found| match (found, address) {
            (GeneralName::DNSName(found), None) => *found == name.as_str(),
            (GeneralName::IPAddress(found), Some(IpAddr::V4(address))) => {
                *found == address.octets()
            }
            (GeneralName::IPAddress(found), Some(IpAddr::V6(address))) => {
                *found == address.octets()
            }
            _ => false,
        })
    })
}

fn with_loopback(names: &[String]) -> Vec<String> {
    let mut all: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(String::from).into();
    for name in names {
        if !all.contains(name) {
            all.push(name.clone());
        }
    }
    all
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
    let pem = read(path)?;
    let parsed: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    match parsed {
        Ok(chain) if !chain.is_empty() => Ok(chain),
        Ok(_) | Err(_) => Err(malformed(path, "certificate")),
    }
}

fn validity_end(
    path: &Path,
    certificate: &CertificateDer<'_>,
) -> Result<SystemTime, IdentityError> {
    let (_, certificate) =
        X509Certificate::from_der(certificate).map_err(|_| malformed(path, "certificate"))?;
    let seconds = u64::try_from(certificate.validity().not_after.timestamp()).unwrap_or(0);
    Ok(UNIX_EPOCH + Duration::from_secs(seconds))
}

fn malformed(path: &Path, wanted: &'static str) -> IdentityError {
    IdentityError::Malformed { path: path.to_owned(), wanted }
}

fn read(path: &Path) -> Result<String, IdentityError> {
    fs::read_to_string(path).map_err(|error| IdentityError::Read { path: path.to_owned(), error })
}

fn write(path: &Path, mode: u32, text: &str) -> Result<(), IdentityError> {
    replace_file(path, mode, text)
        .map_err(|error| IdentityError::Write { path: path.to_owned(), error })
}

/// Writes a file whole or not at all: a power loss never leaves half a key.
pub(crate) fn replace_file(path: &Path, mode: u32, text: &str) -> io::Result<()> {
    let temporary = path.with_extension("new");
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

/// A moment as a person reads it, in UTC.
pub(crate) fn date(moment: SystemTime) -> String {
    let seconds = moment.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    i64::try_from(seconds)
        .ok()
        .and_then(|seconds| x509_parser::time::ASN1Time::from_timestamp(seconds).ok())
        .map_or_else(|| format!("{seconds} s after 1970"), |time| time.to_string())
}
