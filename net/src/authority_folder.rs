//! The folder of a private certificate authority, from which the nodes of a cluster get theirs.
//!
//! It is made once, on a machine that one trusts, and holds `ca.pem`, which every client and node
//! needs, and `ca.key`, which none of them may have.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use quorate_core::member::Name;

use crate::authority::{Authority, CERTIFICATE_LIFETIME, CLOCK_TOLERANCE};
use crate::certificate::Certificate;
use crate::identity::{
    AUTHORITY_FILE, AUTHORITY_KEY_FILE, CERTIFICATE_FILE, IdentityError, IdentityFiles, KEY_FILE,
    is_pair,
};
use crate::pem::{self, PRIVATE_MODE, PUBLIC_MODE};

/// An authority and its folder.
pub struct AuthorityFolder {
    authority: Authority,
    certificate: Certificate,
    path: PathBuf,
}

/// What was issued into a node's folder.
#[derive(Clone, Debug)]
pub struct IssuedFolder {
    /// The new certificate.
    pub certificate: Certificate,
    /// The certificate that it replaces.
    pub replaced: Option<Certificate>,
    /// Whether `ca.pem` of the folder was another authority's before.
    pub authority_changed: bool,
}

impl AuthorityFolder {
    /// Makes an authority in a folder that has none.
    ///
    /// # Errors
    ///
    /// [`IdentityError::AuthorityExists`], and what can go wrong with files.
    pub fn create(folder: &Path, now: SystemTime) -> Result<Self, IdentityError> {
        pem::make_folder(folder)?;
        let (path, key_path) = (folder.join(AUTHORITY_FILE), folder.join(AUTHORITY_KEY_FILE));
        for path in [&path, &key_path] {
            if path.exists() {
                return Err(IdentityError::AuthorityExists { path: path.clone() });
            }
        }
        let authority = Authority::create(now)
            .map_err(|error| IdentityError::Issue { names: Vec::new(), error })?;
        pem::write(&key_path, PRIVATE_MODE, &authority.key_pem())?;
        pem::write(&path, PUBLIC_MODE, authority.certificate_pem())?;
        Self::open(folder, now)
    }

    /// Takes up the authority of a folder.
    ///
    /// # Errors
    ///
    /// [`IdentityError`] with the file it is about.
    pub fn open(folder: &Path, now: SystemTime) -> Result<Self, IdentityError> {
        let (path, key_path) = (folder.join(AUTHORITY_FILE), folder.join(AUTHORITY_KEY_FILE));
        for path in [&path, &key_path] {
            if !path.exists() {
                return Err(IdentityError::NoAuthority { path: path.clone() });
            }
        }
        let certificate = pem::certificate(&path)?;
        if certificate.expires() <= now {
            return Err(IdentityError::AuthorityExpired { path, since: certificate.expires() });
        }
        if !is_pair(&certificate, &key_path)? {
            let (node, hosts) = (None, Vec::new());
            return Err(IdentityError::OtherKey { certificate: path, key: key_path, node, hosts });
        }
        let authority = Authority::from_pem(&pem::read(&path)?, &pem::read(&key_path)?)
            .map_err(|_| pem::malformed(&key_path, "private key"))?;
        Ok(Self { authority, certificate, path: folder.to_owned() })
    }

    /// The authority's own certificate.
    #[must_use]
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Issues a node's certificate into a folder, or renews the one that is there: each file is
    /// replaced as a whole, the key before its certificate.
    ///
    /// - `hosts`: names and addresses of the node; none of them keeps those of the certificate
    ///   that is renewed
    ///
    /// # Errors
    ///
    /// [`IdentityError`]: a bad name, a folder of another node, and what can go wrong with files.
    pub fn issue(
        &self,
        node: &str,
        hosts: &[String],
        folder: &Path,
        now: SystemTime,
    ) -> Result<IssuedFolder, IdentityError> {
        let name = |error| IdentityError::NodeName { name: node.to_owned(), error };
        Name::new(node).map_err(name)?;
        let files = IdentityFiles::in_folder(folder);
        let replaced = replaced(&files, node)?;
        let hosts = match &replaced {
            Some(replaced) if hosts.is_empty() => replaced.hosts().to_vec(),
            Some(_) | None => hosts.to_vec(),
        };
        if hosts.is_empty() {
            return Err(IdentityError::NoHost);
        }
        // One that outlives its authority would promise what nobody would believe.
        let end = (now + CERTIFICATE_LIFETIME).min(self.certificate.expires());
        let issued = self
            .authority
            .issue_node(node, &hosts, &(now - CLOCK_TOLERANCE..end))
            .map_err(|error| IdentityError::Issue { names: hosts.clone(), error })?;
        pem::make_folder(folder)?;
        let authority_changed = self.hand_out(&files.authority)?;
        pem::write(&folder.join(KEY_FILE), PRIVATE_MODE, &issued.key_pem)?;
        pem::write(&folder.join(CERTIFICATE_FILE), PUBLIC_MODE, &issued.certificate_pem)?;
        let certificate = pem::certificate(&files.certificate)?;
        Ok(IssuedFolder { certificate, replaced, authority_changed })
    }

    /// Puts the authority's certificate into a node's folder, unless it is there, perhaps among
    /// others; says whether another one was replaced.
    fn hand_out(&self, path: &Path) -> Result<bool, IdentityError> {
        let there = path.exists();
        if there && pem::certificates(path).is_ok_and(|all| all.contains(self.certificate.der())) {
            return Ok(false);
        }
        pem::write(path, PUBLIC_MODE, self.authority.certificate_pem())?;
        Ok(there)
    }
}

/// The certificate that is renewed, which must be the same node's. One that is unreadable is
/// replaced.
fn replaced(files: &IdentityFiles, node: &str) -> Result<Option<Certificate>, IdentityError> {
    if !files.certificate.exists() {
        return Ok(None);
    }
    let Ok(found) = pem::certificate(&files.certificate) else { return Ok(None) };
    if found.node() == Some(node) {
        return Ok(Some(found));
    }
    Err(IdentityError::Taken {
        path: files.certificate.clone(),
        wanted: node.to_owned(),
        found: found.node().map(str::to_owned),
    })
}
