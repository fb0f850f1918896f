//! Why a node has no usable certificate, in words that end with what mends it.

use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use quorate_core::member::NameError;
use thiserror::Error;

use crate::certificate::{Certificate, date, issue_command};

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
    #[error(
        "{} is not a {wanted} in PEM format: make it again with `{}`; if it is one of the \
         development certificates, delete the folder {} to have new ones made",
        path.display(),
        issue_command(None, &[], folder(path)),
        folder(path).display()
    )]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// What it should hold.
        wanted: &'static str,
    },
    /// A certificate's time is over.
    #[error(
        "the certificate in {} expired on {}: install a new one, with `{}`",
        path.display(),
        date(*since),
        issue_command(node.as_deref(), hosts, folder(path))
    )]
    Expired {
        /// Which file.
        path: PathBuf,
        /// When.
        since: SystemTime,
        /// The node that it names.
        node: Option<String>,
        /// What it is for.
        hosts: Vec<String>,
    },
    /// A certificate's time has not begun.
    #[error(
        "the certificate in {} is valid only from {} on, and this machine's clock says {}: set \
         the clocks of both machines",
        path.display(),
        date(*from),
        date(*now)
    )]
    NotYetValid {
        /// Which file.
        path: PathBuf,
        /// When it begins.
        from: SystemTime,
        /// By this machine's clock.
        now: SystemTime,
    },
    /// The authority's time is over, and with it that of all that it issued.
    #[error(
        "the certificate authority in {} expired on {}: make a new one with `quorate cert init \
         --ca DIR`, and issue every node's certificate anew",
        path.display(),
        date(*since)
    )]
    AuthorityExpired {
        /// Which file.
        path: PathBuf,
        /// When.
        since: SystemTime,
    },
    /// The key is another certificate's.
    #[error(
        "the private key in {} does not belong to the certificate in {}: make both anew with `{}`",
        key.display(),
        certificate.display(),
        issue_command(node.as_deref(), hosts, folder(certificate))
    )]
    OtherKey {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// The node that the certificate names.
        node: Option<String>,
        /// What it is for.
        hosts: Vec<String>,
    },
    /// Another authority has issued the certificate.
    #[error(
        "the certificate in {} was issued by {found}, not by {wanted} of {}: issue it anew with \
         `{}`, where CA_DIR is the folder of that authority, or put the authority that issued it \
         there",
        certificate.display(),
        authority.display(),
        issue_command(node.as_deref(), hosts, folder(certificate))
    )]
    OtherAuthority {
        /// The certificate's file.
        certificate: PathBuf,
        /// The authority's file.
        authority: PathBuf,
        /// The authority in that file.
        wanted: String,
        /// The authority that the certificate names.
        found: String,
        /// The node that the certificate names.
        node: Option<String>,
        /// What it is for.
        hosts: Vec<String>,
    },
    /// The certificate is not for this host.
    #[error(
        "the certificate in {} is not for the host {wanted}, only for {}: issue one that is, with \
         `{}`",
        path.display(),
        list(found),
        issue_command(node.as_deref(), &with(found, wanted), folder(path))
    )]
    OtherHost {
        /// Which file.
        path: PathBuf,
        /// The host.
        wanted: String,
        /// What the certificate is for.
        found: Vec<String>,
        /// The node that the certificate names.
        node: Option<String>,
    },
    /// The certificate is another node's, or no node's.
    #[error(
        "the certificate in {} is for {}, not for node {wanted}: give the folder of {wanted}'s own, \
         or issue it one with `{}`",
        path.display(),
        found.as_ref().map_or_else(|| "no named node".to_owned(), |found| format!("node {found}")),
        issue_command(Some(wanted), hosts, Path::new(wanted))
    )]
    OtherNode {
        /// Which file.
        path: PathBuf,
        /// The node.
        wanted: String,
        /// The node that the certificate names.
        found: Option<String>,
        /// The hosts that it is for.
        hosts: Vec<String>,
    },
    /// The folder belongs to another node.
    #[error(
        "{} is the certificate of {}, and {wanted} is to be issued: choose another folder with \
         --out, or delete this one first",
        path.display(),
        found.as_ref().map_or_else(|| "no named node".to_owned(), |found| format!("node {found}"))
    )]
    Taken {
        /// Which file.
        path: PathBuf,
        /// The node to be issued.
        wanted: String,
        /// The node that the certificate names.
        found: Option<String>,
    },
    /// There is an authority already.
    #[error(
        "{} is there already, and is left as it is: issue certificates with `quorate cert issue \
         NODE --ca {} --host HOST --out DIR`, or make the new authority in another folder",
        path.display(),
        folder(path).display()
    )]
    AuthorityExists {
        /// Which file.
        path: PathBuf,
    },
    /// There is no authority.
    #[error(
        "there is no {}: make an authority with `quorate cert init --ca {}`, or give the folder \
         of the one that you have",
        path.display(),
        folder(path).display()
    )]
    NoAuthority {
        /// Which file.
        path: PathBuf,
    },
    /// No node can have this name.
    #[error("{name:?} can't be a node's name: {error}")]
    NodeName {
        /// Which one.
        name: String,
        /// Why not.
        error: NameError,
    },
    /// A new certificate needs a host.
    #[error("a new certificate needs the host that the node is reached under: add --host HOST")]
    NoHost,
    /// A certificate could not be made.
    #[error("can't make a certificate for {names:?}: {error}")]
    Issue {
        /// For these names.
        names: Vec<String>,
        /// Why.
        error: rcgen::Error,
    },
    /// TLS can't use the certificate or the key.
    #[error("TLS can't use the certificate in {}: {error}", path.display())]
    Unusable {
        /// Which file.
        path: PathBuf,
        /// Why.
        error: rustls::Error,
    },
}

impl IdentityError {
    pub(super) fn expired(path: &Path, certificate: &Certificate) -> Self {
        Self::Expired {
            path: path.to_owned(),
            since: certificate.expires(),
            node: certificate.node().map(str::to_owned),
            hosts: certificate.hosts().to_vec(),
        }
    }
}

/// The folder of a file, as a command takes it.
fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        Some(_) | None => Path::new("."),
    }
}

fn list(hosts: &[String]) -> String {
    if hosts.is_empty() { "no host at all".to_owned() } else { hosts.join(", ") }
}

fn with(hosts: &[String], wanted: &str) -> Vec<String> {
    hosts.iter().cloned().chain([wanted.to_owned()]).collect()
}
