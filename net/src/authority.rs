//! A private certificate authority: the root that a cluster's clients and nodes trust.
//!
//! Ed25519 throughout: the keys are short, and nothing in the cluster needs to talk to software
//! that knows only older ones.

use std::ops::Range;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ED25519, SanType,
};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};

use crate::certificate::{Certificate, node_uri};
use crate::environment;

/// How long a new authority is valid.
pub const AUTHORITY_LIFETIME: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
/// How long a new node's certificate is valid.
pub const CERTIFICATE_LIFETIME: Duration = Duration::from_secs(2 * 365 * 24 * 3600);
/// Certificates are valid from this long before they are made, for clocks that are behind.
pub const CLOCK_TOLERANCE: Duration = Duration::from_secs(24 * 3600);

/// An authority that can issue certificates.
pub struct Authority {
    certificate_pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its private key, as the text of PEM files.
#[derive(Clone)]
pub struct Issued {
    /// The certificate.
    pub certificate_pem: String,
    /// The private key, PKCS #8.
    pub key_pem: String,
}

impl Authority {
    /// Makes a new authority.
    ///
    /// # Errors
    ///
    /// [`rcgen::Error`] where the machine has no random numbers.
    pub fn create(now: SystemTime) -> Result<Self, rcgen::Error> {
        let key = new_key()?;
        let validity = now - CLOCK_TOLERANCE..now + AUTHORITY_LIFETIME;
        let mut params = params(Vec::new(), &validity)?;
        // Two authorities must not share a name: a verifier looks its roots up by it.
        let tag: String =
            key.public_key_raw().iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        params.distinguished_name.push(DnType::CommonName, format!("Quorate private CA {tag}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate_pem = params.self_signed(&key)?.pem();
        Ok(Self { certificate_pem, issuer: Issuer::new(params, key) })
    }

    /// Takes up an authority from its files.
    ///
    /// # Errors
    ///
    /// [`rcgen::Error`] where the texts are not a certificate and a private key.
    pub fn from_pem(certificate_pem: &str, key_pem: &str) -> Result<Self, rcgen::Error> {
        let key = KeyPair::from_pem(key_pem)?;
        let issuer = Issuer::from_ca_cert_pem(certificate_pem, key)?;
        Ok(Self { certificate_pem: certificate_pem.to_owned(), issuer })
    }

    /// Its own certificate: what clients trust.
    #[must_use]
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// Its private key.
    #[must_use]
    pub fn key_pem(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    /// Its own certificate's subject, in X.509's words.
    ///
    /// # Panics
    ///
    /// Never: the certificate was parsed when the authority was taken up.
    pub(crate) fn subject(&self) -> String {
        let der = CertificateDer::from_pem_slice(self.certificate_pem.as_bytes());
        let certificate = der.ok().and_then(|der| Certificate::parse(&der));
        certificate.expect("it was parsed before").subject().to_owned()
    }

    /// Makes the certificate of a lone node, which needs no name.
    ///
    /// - `names`: host names and addresses under which the node is reached
    ///
    /// # Errors
    ///
    /// [`rcgen::Error`] for a name that can't stand in a certificate.
    pub fn issue(
        &self,
        names: &[String],
        validity: &Range<SystemTime>,
    ) -> Result<Issued, rcgen::Error> {
        self.sign("Quorate node", params(names.to_vec(), validity)?)
    }

    /// Makes the certificate of a node that has peers.
    ///
    /// - `node`: its name, which is a [`quorate_core::member::Name`]
    /// - `names`: host names and addresses under which the node is reached
    ///
    /// # Errors
    ///
    /// [`rcgen::Error`] for a name that can't stand in a certificate.
    pub fn issue_node(
        &self,
        node: &str,
        names: &[String],
        validity: &Range<SystemTime>,
    ) -> Result<Issued, rcgen::Error> {
        let mut params = params(names.to_vec(), validity)?;
        params.subject_alt_names.push(SanType::URI(node_uri(node).try_into()?));
        self.sign(&format!("Quorate node {node}"), params)
    }

    fn sign(&self, name: &str, mut params: CertificateParams) -> Result<Issued, rcgen::Error> {
        let key = new_key()?;
        params.distinguished_name.push(DnType::CommonName, name);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        let certificate_pem = params.signed_by(&key, &self.issuer)?.pem();
        Ok(Issued { certificate_pem, key_pem: key.serialize_pem() })
    }
}

/// A new private key.
fn new_key() -> Result<KeyPair, rcgen::Error> {
    if !environment::is_simulated() {
        return KeyPair::generate_for(&PKCS_ED25519);
    }
    // What draws random numbers there can't be given others; so here is what it would make of them:
    // RFC 8410's frame around a key.
    let mut der = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20".to_vec();
    der.extend(environment::random::<32>());
    KeyPair::from_pkcs8_der_and_sign_algo(&PrivatePkcs8KeyDer::from(der), &PKCS_ED25519)
}

fn params(
    names: Vec<String>,
    validity: &Range<SystemTime>,
) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.not_before = validity.start.into();
    params.not_after = validity.end.into();
    Ok(params)
}
