//! PEM files: how they are read, and how they are replaced without ever being half there.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustls::RootCertStore;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::certificate::Certificate;
use crate::identity::IdentityError;

/// Everybody may read a certificate.
pub(crate) const PUBLIC_MODE: u32 = 0o644;
/// Nobody else may read a key.
pub(crate) const PRIVATE_MODE: u32 = 0o600;

/// All certificates in a file, at least one.
pub(crate) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
    certificates_in(path, &read(path)?)
}

/// All certificates in a file's text, at least one.
pub(crate) fn certificates_in(
    path: &Path,
    pem: &str,
) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
    let parsed: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    match parsed {
        Ok(chain) if !chain.is_empty() => Ok(chain),
        Ok(_) | Err(_) => Err(malformed(path, "certificate")),
    }
}

/// The first certificate in a file.
pub(crate) fn certificate(path: &Path) -> Result<Certificate, IdentityError> {
    certificate_in(path, &read(path)?)
}

/// The first certificate in a file's text.
pub(crate) fn certificate_in(path: &Path, pem: &str) -> Result<Certificate, IdentityError> {
    Certificate::parse(&certificates_in(path, pem)?[0])
        .ok_or_else(|| malformed(path, "certificate"))
}

/// The private key in a file's text.
pub(crate) fn private_key_in(
    path: &Path,
    pem: &str,
) -> Result<PrivateKeyDer<'static>, IdentityError> {
    PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| malformed(path, "private key"))
}

/// The authorities in a file's text.
pub(crate) fn roots_in(path: &Path, pem: &str) -> Result<RootCertStore, IdentityError> {
    let mut roots = RootCertStore::empty();
    for authority in certificates_in(path, pem)? {
        roots.add(authority).map_err(|_| malformed(path, "certificate"))?;
    }
    Ok(roots)
}

pub(crate) fn malformed(path: &Path, wanted: &'static str) -> IdentityError {
    IdentityError::Malformed { path: path.to_owned(), wanted }
}

pub(crate) fn read(path: &Path) -> Result<String, IdentityError> {
    fs::read_to_string(path).map_err(|error| IdentityError::Read { path: path.to_owned(), error })
}

pub(crate) fn write(path: &Path, mode: u32, text: &str) -> Result<(), IdentityError> {
    replace_file(path, mode, text)
        .map_err(|error| IdentityError::Write { path: path.to_owned(), error })
}

/// Makes a folder and those above it.
pub(crate) fn make_folder(folder: &Path) -> Result<(), IdentityError> {
    fs::create_dir_all(folder)
        .map_err(|error| IdentityError::Write { path: folder.to_owned(), error })
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
