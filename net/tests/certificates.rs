//! Certificates: what a node makes by itself, and what a client says of one that does not fit.

use std::ops::Range;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use quinn::{Endpoint, EndpointConfig, TokioRuntime};
use quorate_net::authority::{AUTHORITY_LIFETIME, Authority, CERTIFICATE_LIFETIME};
use quorate_net::endpoint::{https_config, listen_on};
use quorate_net::identity::{RENEWAL_MARGIN, Renewal};
use quorate_net::memory::Network;
use quorate_net::{ConnectError, Connector, Identity, IdentityError, Trust, TrustError};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// A folder of this test alone, gone with it.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("quorate-certificates-{}-{count}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

fn start() -> SystemTime {
    UNIX_EPOCH + 20_000 * DAY
}

fn development(folder: &Folder, names: &[&str], now: SystemTime) -> (Identity, Renewal) {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    Identity::development(&folder.0, &names, now).unwrap()
}

#[test]
fn a_first_start_makes_certificates_and_the_second_keeps_them() {
    let folder = Folder::new();
    let (first, renewal) = development(&folder, &["store.example"], start());
    assert_eq!(renewal, Renewal::Authority);
    assert_eq!(first.expires(), start() + CERTIFICATE_LIFETIME);
    assert!(https_config(&first).is_ok());
    for (name, mode) in [("ca.key", 0o600), ("node.key", 0o600), ("ca.pem", 0o644)] {
        let metadata = std::fs::metadata(folder.0.join(name)).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, mode, "{name}");
    }
    let (second, renewal) = development(&folder, &["store.example"], start() + DAY);
    assert_eq!(renewal, Renewal::Kept);
    assert_eq!(second.chain(), first.chain());
}

/// What becomes of the certificates of a first start when the node starts again.
fn check_renewal(names: &[&str], now: SystemTime, expected: Renewal) {
    let folder = Folder::new();
    let (first, _) = development(&folder, &["store.example"], start());
    let (second, renewal) = development(&folder, names, now);
    assert_eq!(renewal, expected);
    assert_eq!(second.chain() == first.chain(), expected == Renewal::Kept);
    let same_authority = second.authority_pem() == first.authority_pem();
    assert_eq!(same_authority, expected != Renewal::Authority);
    assert_eq!(development(&folder, names, now).1, Renewal::Kept, "once is enough");
}

#[test]
fn certificates_are_renewed_before_they_expire_and_when_names_change() {
    let (certificate_end, authority_end) =
        (start() + CERTIFICATE_LIFETIME, start() + AUTHORITY_LIFETIME);
    check_renewal(&["store.example"], certificate_end - RENEWAL_MARGIN, Renewal::Kept);
    check_renewal(&["store.example"], certificate_end - RENEWAL_MARGIN + DAY, Renewal::Certificate);
    check_renewal(&["store.example"], certificate_end + DAY, Renewal::Certificate);
    check_renewal(&["store.example"], authority_end - RENEWAL_MARGIN + DAY, Renewal::Authority);
    check_renewal(&[], start(), Renewal::Kept);
    check_renewal(&["127.0.0.1", "::1", "localhost"], start(), Renewal::Kept);
    check_renewal(&["other.example"], start(), Renewal::Certificate);
    check_renewal(&["192.0.2.7"], start(), Renewal::Certificate);
    check_renewal(&["2001:db8::7"], start(), Renewal::Certificate);
}

#[test]
fn lost_files_are_made_again() {
    for (lost, expected) in [
        ("ca.pem", Renewal::Authority),
        ("ca.key", Renewal::Authority),
        ("node.pem", Renewal::Certificate),
        ("node.key", Renewal::Certificate),
    ] {
        let folder = Folder::new();
        development(&folder, &[], start());
        std::fs::remove_file(folder.0.join(lost)).unwrap();
        assert_eq!(development(&folder, &[], start()).1, expected, "{lost}");
    }
}

#[test]
fn a_key_of_another_certificate_is_as_good_as_lost() {
    for (key, expected) in [("ca.key", Renewal::Authority), ("node.key", Renewal::Certificate)] {
        let (folder, other) = (Folder::new(), Folder::new());
        development(&folder, &[], start());
        development(&other, &[], start());
        std::fs::copy(other.0.join(key), folder.0.join(key)).unwrap();
        assert_eq!(development(&folder, &[], start()).1, expected, "{key}");
    }
}

#[test]
fn files_that_are_not_certificates_are_named() {
    for (broken, wanted) in
        [("ca.pem", "certificate"), ("node.pem", "certificate"), ("node.key", "private key")]
    {
        let folder = Folder::new();
        development(&folder, &[], start());
        folder.write(broken, "nonsense");
        let error = Identity::development(&folder.0, &[], start()).err().expect("it is refused");
        let text = error.to_string();
        assert!(matches!(error, IdentityError::Malformed { .. }), "{text}");
        assert!(text.contains(broken) && text.contains(wanted), "{text}");
    }
}

#[test]
fn an_expired_certificate_from_files_is_refused_with_its_date() {
    let folder = Folder::new();
    let paths = issue(&folder, &["localhost"], &(start()..start() + DAY), start());
    let refused = load(&paths, start() + 2 * DAY).err().expect("it is refused").to_string();
    assert!(refused.contains("node.pem expired on"), "{refused}");
    assert!(refused.contains("2024"), "{refused}");
}

/// Files of a fresh authority and of a certificate by it.
struct Paths {
    authority: PathBuf,
    certificate: PathBuf,
    key: PathBuf,
}

fn issue(folder: &Folder, names: &[&str], validity: &Range<SystemTime>, now: SystemTime) -> Paths {
    let authority = Authority::create(now).unwrap();
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let issued = authority.issue(&names, validity).unwrap();
    Paths {
        authority: folder.write("ca.pem", authority.certificate_pem()),
        certificate: folder.write("node.pem", &issued.certificate_pem),
        key: folder.write("node.key", &issued.key_pem),
    }
}

fn load(paths: &Paths, now: SystemTime) -> Result<Identity, IdentityError> {
    Identity::load(&paths.certificate, &paths.key, &paths.authority, now)
}

/// Connects over memory to a node with this identity.
async fn connect(identity: &Identity, authority: &Path, host: &str) -> Result<(), ConnectError> {
    let network = Network::new();
    let socket = network.socket();
    let address = socket.address();
    let server = listen_on(socket, Arc::new(TokioRuntime), identity).unwrap();
    let accepting = tokio::spawn(async move {
        let incoming = server.accept().await.expect("a client comes");
        incoming.await.map(drop)
    });
    let client = Endpoint::new_with_abstract_socket(
        EndpointConfig::default(),
        None,
        network.socket(),
        Arc::new(TokioRuntime),
    )
    .unwrap();
    let connector = Connector::new(&Trust::from_file(authority).unwrap()).unwrap();
    let connected = connector.connect(&client, address, host).await.map(drop);
    assert_eq!(accepting.await.unwrap().is_ok(), connected.is_ok());
    connected
}

/// The trust error of a client, which must be there.
async fn refusal(paths: &Paths, authority: &Path, host: &str, loaded: SystemTime) -> TrustError {
    let identity = load(paths, loaded).unwrap();
    match connect(&identity, authority, host).await {
        Err(ConnectError::Trust(refusal)) => refusal,
        other => panic!("{other:?}"),
    }
}

fn around(now: SystemTime) -> Range<SystemTime> {
    now - DAY..now + 100 * DAY
}

#[tokio::test(start_paused = true)]
async fn a_client_with_the_nodes_authority_connects_by_any_of_its_names() {
    let folder = Folder::new();
    let now = SystemTime::now();
    let (identity, _) = development(&folder, &["store.example", "192.0.2.7"], now);
    for host in ["localhost", "127.0.0.1", "::1", "store.example", "192.0.2.7"] {
        connect(&identity, &folder.0.join("ca.pem"), host).await.expect(host);
    }
}

#[tokio::test(start_paused = true)]
async fn another_authority_is_refused_with_the_file_and_the_option() {
    let (folder, other) = (Folder::new(), Folder::new());
    let now = SystemTime::now();
    let paths = issue(&folder, &["localhost"], &around(now), now);
    let wrong = issue(&other, &["localhost"], &around(now), now).authority;
    let refusal = refusal(&paths, &wrong, "localhost", now).await;
    let text = refusal.to_string();
    assert!(matches!(refusal, TrustError::WrongAuthority { .. }), "{text}");
    assert!(text.contains(&wrong.display().to_string()) && text.contains("--ca FILE"), "{text}");
    assert!(text.matches("CN=Quorate private CA ").count() == 2, "wanted and found: {text}");
}

#[tokio::test(start_paused = true)]
async fn a_certificate_out_of_its_time_is_refused_with_the_date() {
    let folder = Folder::new();
    let now = SystemTime::now();
    let paths = issue(&folder, &["localhost"], &(start()..start() + DAY), now);
    let expired = refusal(&paths, &paths.authority, "localhost", start()).await;
    let since = start() + DAY;
    assert!(matches!(&expired, TrustError::Expired { since: found, .. } if *found == since));
    assert!(expired.to_string().contains("expired on"), "{expired}");
    assert!(expired.to_string().contains("2024"), "{expired}");

    let paths = issue(&folder, &["localhost"], &(now + DAY..now + 2 * DAY), now);
    let early = refusal(&paths, &paths.authority, "localhost", now).await;
    assert!(matches!(early, TrustError::NotYetValid { .. }), "{early}");
}

#[tokio::test(start_paused = true)]
async fn a_wrong_name_is_refused_with_the_names_that_fit() {
    let folder = Folder::new();
    let now = SystemTime::now();
    let paths = issue(&folder, &["store.example", "192.0.2.7"], &around(now), now);
    let refusal = refusal(&paths, &paths.authority, "other.example", now).await;
    let text = refusal.to_string();
    assert!(matches!(refusal, TrustError::WrongName { .. }), "{text}");
    for part in ["other.example", "store.example", "192.0.2.7", "ca.pem", "quorate cert issue"] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn an_authority_that_is_not_there_is_named_with_the_option() {
    let folder = Folder::new();
    let missing = folder.0.join("none.pem");
    let text = Trust::find("store.example", 2113, Some(&missing)).unwrap_err().to_string();
    assert!(text.contains("none.pem") && text.contains("--ca"), "{text}");
    let empty = folder.write("empty.pem", "nothing here");
    let text = Trust::find("localhost", 2113, Some(&empty)).unwrap_err().to_string();
    assert!(text.contains("empty.pem") && text.contains("no certificate"), "{text}");
    let text = Trust::find("store.example", 2113, None).unwrap_err().to_string();
    assert!(text.contains("store.example") && text.contains("QUORATE_CA"), "{text}");
}
