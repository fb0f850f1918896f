//! Development certificates: what a node makes for itself at a first start.

use std::path::Path;
use std::time::SystemTime;

use rcgen::KeyPair;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::{
    AUTHORITY_FILE, AUTHORITY_KEY_FILE, CERTIFICATE_FILE, Identity, IdentityError, KEY_FILE,
    RENEWAL_MARGIN, Renewal,
};
use crate::authority::{Authority, CERTIFICATE_LIFETIME, CLOCK_TOLERANCE};
use crate::certificate::Certificate;
use crate::pem::{self, PRIVATE_MODE, PUBLIC_MODE};

/// Takes up the development certificates in `folder`, making or renewing what is needed.
pub(super) fn open(
    folder: &Path,
    names: &[String],
    now: SystemTime,
) -> Result<(Identity, Renewal), IdentityError> {
    pem::make_folder(folder)?;
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
            pem::write(&folder.join(AUTHORITY_KEY_FILE), PRIVATE_MODE, &authority.key_pem())?;
            pem::write(&folder.join(AUTHORITY_FILE), PUBLIC_MODE, authority.certificate_pem())?;
            authority
        }
    };
    let validity = now - CLOCK_TOLERANCE..now + CERTIFICATE_LIFETIME;
    let issued = authority.issue(&names, &validity).map_err(issue_error)?;
    pem::write(&folder.join(KEY_FILE), PRIVATE_MODE, &issued.key_pem)?;
    pem::write(&folder.join(CERTIFICATE_FILE), PUBLIC_MODE, &issued.certificate_pem)?;
    Ok((Identity::from_folder(folder, now)?, renewal))
}

/// The authority of a data folder, where it is whole and will stay valid for a while.
fn stored_authority(folder: &Path, now: SystemTime) -> Result<Option<Authority>, IdentityError> {
    let (path, key_path) = (folder.join(AUTHORITY_FILE), folder.join(AUTHORITY_KEY_FILE));
    if !path.exists() || !key_path.exists() {
        return Ok(None);
    }
    let certificate = pem::certificate(&path)?;
    if certificate.expires() < now + RENEWAL_MARGIN {
        return Ok(None);
    }
    if !is_pair(&certificate, &key_path)? {
        return Ok(None);
    }
    let (certificate_pem, key_pem) = (pem::read(&path)?, pem::read(&key_path)?);
    let authority = Authority::from_pem(&certificate_pem, &key_pem)
        .map_err(|_| pem::malformed(&key_path, "private key"))?;
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
    let certificate = pem::certificate(&path)?;
    let fresh = certificate.expires() >= now + RENEWAL_MARGIN;
    let covered = names.iter().all(|name| certificate.is_for(name));
    let ours = certificate.issuer() == authority.subject();
    if !fresh || !covered || !ours || !is_pair(&certificate, &key_path)? {
        return Ok(None);
    }
    Identity::from_folder(folder, now).map(Some)
}

/// Whether a key is its certificate's: a crash between the two writes leaves one old and one new.
pub(crate) fn is_pair(certificate: &Certificate, key: &Path) -> Result<bool, IdentityError> {
    let pair =
        KeyPair::from_pem(&pem::read(key)?).map_err(|_| pem::malformed(key, "private key"))?;
    let (_, parsed) = X509Certificate::from_der(certificate.der()).expect("it was parsed before");
    Ok(parsed.public_key().subject_public_key.data.as_ref() == pair.public_key_raw())
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
