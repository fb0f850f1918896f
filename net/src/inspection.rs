//! What a person finds who looks at certificates that may not be in order.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustls::sign::CertifiedKey;

use crate::certificate::Certificate;
use crate::environment;
use crate::identity::{AUTHORITY_FILE, CERTIFICATE_FILE, IdentityError};
use crate::pem;

/// A certificate in a file, and what stands beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// The certificate's file.
    pub path: PathBuf,
    /// What it says.
    pub certificate: Certificate,
    /// The key's file, where there is one, and whether it is this certificate's.
    pub key: Option<(PathBuf, bool)>,
    /// The authority beside it, where that has issued it.
    pub issuer: Option<Certificate>,
}

/// Looks at a certificate's file, or at all certificates of a folder.
///
/// # Errors
///
/// [`IdentityError`] where there is none, or none that can be read.
pub fn inspect(path: &Path, now: SystemTime) -> Result<Vec<Inspection>, IdentityError> {
    if !path.is_dir() {
        return Ok(vec![inspect_file(path, now)?]);
    }
    let found = [CERTIFICATE_FILE, AUTHORITY_FILE].map(|name| path.join(name));
    let there: Vec<_> = found.iter().filter(|path| path.exists()).collect();
    if there.is_empty() {
        // Which says that it is not there.
        return Ok(vec![inspect_file(&found[0], now)?]);
    }
    there.into_iter().map(|path| inspect_file(path, now)).collect()
}

fn inspect_file(path: &Path, now: SystemTime) -> Result<Inspection, IdentityError> {
    let chain = pem::certificates(path)?;
    let malformed = || pem::malformed(path, "certificate");
    let certificate = Certificate::parse(&chain[0]).ok_or_else(malformed)?;
    let authority_path = path.with_file_name(AUTHORITY_FILE);
    let issued = authority_path.exists()
        && pem::read(&authority_path)
            .and_then(|pem| pem::roots_in(&authority_path, &pem))
            .is_ok_and(|roots| certificate.is_issued_by(&roots, &chain[1..], now));
    let issuer = match issued {
        true => pem::certificates(&authority_path)?
            .iter()
            .filter_map(Certificate::parse)
            .find(|authority| authority.subject() == certificate.issuer()),
        false => None,
    };
    let key_path = path.with_extension("key");
    let key = if key_path.exists() {
        let key = pem::private_key_in(&key_path, &pem::read(&key_path)?)?;
        let provider = environment::cryptography();
        let fits = CertifiedKey::from_der(chain, key, &provider).is_ok();
        Some((key_path, fits))
    } else {
        None
    };
    Ok(Inspection { path: path.to_owned(), certificate, key, issuer })
}
