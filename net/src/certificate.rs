//! What a certificate says: which node it is for, under which hosts it is reached, and until when.
//!
//! A node's name stands in its certificate as a URI, `quorate://node/NAME`, beside the host names
//! and addresses: a verifier of hosts leaves URIs alone, and no host can be mistaken for a node.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::environment;
use quorate_core::member::Name;
use ring::digest;
use rustls::RootCertStore;
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::server::ParsedCertificate;
use rustls_pki_types::{CertificateDer, UnixTime};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// What stands before a node's name in its certificate.
const NODE_URI: &str = "quorate://node/";

/// The URI by which a certificate names a node.
#[must_use]
pub(crate) fn node_uri(node: &str) -> String {
    format!("{NODE_URI}{node}")
}

/// A certificate, read once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    der: CertificateDer<'static>,
    subject: String,
    issuer: String,
    node: Option<String>,
    hosts: Vec<String>,
    starts: SystemTime,
    expires: SystemTime,
}

impl Certificate {
    /// Reads it; `None` where the bytes are no certificate.
    #[must_use]
    pub fn parse(der: &CertificateDer<'_>) -> Option<Self> {
        let (_, parsed) = X509Certificate::from_der(der).ok()?;
        let names = parsed.subject_alternative_name().ok()?;
        let names = names.map_or(&[][..], |extension| &extension.value.general_names);
        let validity = parsed.validity();
        Some(Self {
            der: der.clone().into_owned(),
            subject: parsed.subject().to_string(),
            issuer: parsed.issuer().to_string(),
            node: names.iter().find_map(node_of),
            hosts: names.iter().filter_map(host_of).collect(),
            starts: moment(validity.not_before.timestamp()),
            expires: moment(validity.not_after.timestamp()),
        })
    }

    /// Its bytes.
    #[must_use]
    pub fn der(&self) -> &CertificateDer<'static> {
        &self.der
    }

    /// Whom it is about, in X.509's words.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// Who issued it, in X.509's words.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The node that it is for; `None` where it names none.
    #[must_use]
    pub fn node(&self) -> Option<&str> {
        self.node.as_deref()
    }

    /// The host names and addresses that it is for.
    #[must_use]
    pub fn hosts(&self) -> &[String] {
        &self.hosts
    }

    /// When it begins to be valid.
    #[must_use]
    pub fn starts(&self) -> SystemTime {
        self.starts
    }

    /// When it is no longer valid.
    #[must_use]
    pub fn expires(&self) -> SystemTime {
        self.expires
    }

    /// SHA-256 of its bytes, as hexadecimal digits: the fingerprint that other tools show, too.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let digest = digest::digest(&digest::SHA256, &self.der);
        digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Whether it is for this host name or address.
    #[must_use]
    pub fn is_for(&self, host: &str) -> bool {
        let address = host.parse::<IpAddr>().ok();
        self.hosts.iter().any(|found| match address {
            Some(address) => found.parse() == Ok(address),
            None => matches_name(found, host),
        })
    }

    /// Whether one of these authorities has issued it, directly or by way of others.
    ///
    /// Its time is not looked at; who asks says by dates what is wrong with those.
    pub(crate) fn is_issued_by(
        &self,
        roots: &RootCertStore,
        between: &[CertificateDer<'_>],
        now: SystemTime,
    ) -> bool {
        let within = now.clamp(self.starts, self.expires.max(self.starts));
        let within = within.duration_since(UNIX_EPOCH).unwrap_or_default();
        let algorithms = environment::cryptography().signature_verification_algorithms;
        ParsedCertificate::try_from(&self.der).is_ok_and(|parsed| {
            verify_server_cert_signed_by_trust_anchor(
                &parsed,
                roots,
                between,
                UnixTime::since_unix_epoch(within),
                algorithms.all,
            )
            .is_ok()
        })
    }
}

/// The command that makes a certificate like the one that is wanted.
///
/// - `folder`: where the node's files are
pub(crate) fn issue_command(node: Option<&str>, hosts: &[String], folder: &Path) -> String {
    let hosts = if hosts.is_empty() { "HOST".to_owned() } else { hosts.join(",") };
    let node = node.unwrap_or("NODE");
    format!("quorate cert issue {node} --ca CA_DIR --host {hosts} --out {}", folder.display())
}

fn node_of(name: &GeneralName<'_>) -> Option<String> {
    let GeneralName::URI(uri) = name else { return None };
    let node = uri.strip_prefix(NODE_URI)?;
    Name::new(node).is_ok().then(|| node.to_owned())
}

fn host_of(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => address(bytes).map(|address| address.to_string()),
        _ => None,
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(bytes) = <[u8; 4]>::try_from(bytes) {
        return Some(Ipv4Addr::from(bytes).into());
    }
    <[u8; 16]>::try_from(bytes).ok().map(|bytes| Ipv6Addr::from(bytes).into())
}

/// `*.example` stands for one label before it, as in every verifier of hosts.
fn matches_name(found: &str, host: &str) -> bool {
    let rest = |host: &str| host.split_once('.').map(|(_, rest)| rest.to_owned());
    match found.strip_prefix("*.") {
        Some(domain) => rest(host).is_some_and(|rest| rest.eq_ignore_ascii_case(domain)),
        None => found.eq_ignore_ascii_case(host),
    }
}

fn moment(seconds: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
}

/// A moment as a person reads it, in UTC.
pub(crate) fn date(moment: SystemTime) -> String {
    let seconds = moment.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    i64::try_from(seconds)
        .ok()
        .and_then(|seconds| x509_parser::time::ASN1Time::from_timestamp(seconds).ok())
        .map_or_else(|| format!("{seconds} s after 1970"), |time| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_one_label() {
        assert!(matches_name("Store.example", "store.Example"));
        assert!(matches_name("*.example", "store.example"));
        assert!(!matches_name("*.example", "a.store.example"));
        assert!(!matches_name("*.example", "example"));
    }
}
