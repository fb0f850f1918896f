//! Links between nodes: who is let in, what is said to who is not, and certificates that change
//! while a node runs.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use quinn::{Connection, ConnectionError, Endpoint, EndpointConfig, TokioRuntime};
use quorate_net::authority::Authority;
use quorate_net::authority_folder::AuthorityFolder;
use quorate_net::endpoint::listen_on;
use quorate_net::identity::IdentityError;
use quorate_net::memory::Network;
use quorate_net::peer::{Caller, PeerRefusal, accept_failure, caller};
use quorate_net::{
    ConnectError, Connector, Credentials, Identity, PeerConnector, Reload, Trust, TrustError,
};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// A folder of this test alone, gone with it.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path =
            std::env::temp_dir().join(format!("quorate-peers-{}-{count}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn authority(&self, name: &str) -> AuthorityFolder {
        AuthorityFolder::create(&self.path(name), SystemTime::now()).unwrap()
    }

    /// A node's identity, for localhost.
    fn node(&self, authority: &AuthorityFolder, node: &str) -> Identity {
        issue(authority, node, &self.path(node));
        Identity::from_folder(&self.path(node), SystemTime::now()).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

fn issue(authority: &AuthorityFolder, node: &str, folder: &Path) {
    let hosts = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    authority.issue(node, &hosts, folder, SystemTime::now()).unwrap();
}

/// A node that listens in a network of its own, and an endpoint to connect from.
struct World {
    server: Endpoint,
    address: SocketAddr,
    client: Endpoint,
}

impl World {
    fn new(credentials: impl Into<Credentials>) -> Self {
        let network = Network::new();
        let socket = network.socket();
        let address = socket.address();
        let server = listen_on(socket, Arc::new(TokioRuntime), credentials).unwrap();
        let client = Endpoint::new_with_abstract_socket(
            EndpointConfig::default(),
            None,
            network.socket(),
            Arc::new(TokioRuntime),
        );
        Self { server, address, client: client.unwrap() }
    }

    /// The connection as the node sees it.
    async fn accept(&self) -> Result<Connection, ConnectionError> {
        self.server.accept().await.expect("somebody comes").await
    }

    /// Connects as a node; both sides of it, and what it finds at the other end.
    async fn dial(&self, identity: &Identity) -> (Connection, Connection, String) {
        let connector = PeerConnector::new(identity);
        let dialled = connector.connect(&self.client, self.address, "localhost");
        let (accepted, dialled) = tokio::join!(self.accept(), dialled);
        let (connection, peer) = dialled.unwrap();
        (connection, accepted.unwrap(), peer.node.to_string())
    }

    /// Connects as a node, which must fail at the dialling side; what the two sides say.
    async fn dial_in_vain(&self, identity: &Identity, host: &str) -> (TrustError, String) {
        let connector = PeerConnector::new(identity);
        let dialled = connector.connect(&self.client, self.address, host);
        let (accepted, dialled) = tokio::join!(self.accept(), dialled);
        let refused = match dialled {
            Err(ConnectError::Trust(refused)) => refused,
            Err(other) => panic!("{other:?}"),
            Ok((connection, _)) => match connector.lost(host, connection.closed().await) {
                ConnectError::Trust(refused) => refused,
                other => panic!("{other:?}"),
            },
        };
        let accepted = accepted.expect_err("no side may take it for a link");
        (refused, accept_failure(&accepted))
    }
}

fn name_of(caller: Result<Caller, PeerRefusal>) -> String {
    match caller {
        Ok(Caller::Peer(peer)) => peer.node.to_string(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn nodes_of_one_authority_know_each_other_by_name() {
    let folder = Folder::new();
    let authority = folder.authority("ca");
    let (n1, n2) = (folder.node(&authority, "n1"), folder.node(&authority, "Node-2_b.c"));
    assert_eq!((n1.node(), n2.node()), (Some("n1"), Some("Node-2_b.c")));
    let world = World::new(&n1);
    let (_dialled, accepted, peer) = world.dial(&n2).await;
    assert_eq!(peer, "n1");
    assert_eq!(name_of(caller(&accepted)), "Node-2_b.c");
}

#[tokio::test(start_paused = true)]
async fn a_client_needs_no_certificate_on_the_same_socket() {
    let folder = Folder::new();
    let authority = folder.authority("ca");
    let world = World::new(folder.node(&authority, "n1"));
    let trust = Trust::from_file(&folder.path("ca/ca.pem")).unwrap();
    let connector = Connector::new(&trust).unwrap();
    let dialled = connector.connect(&world.client, world.address, "127.0.0.1");
    let (accepted, dialled) = tokio::join!(world.accept(), dialled);
    dialled.unwrap();
    assert_eq!(caller(&accepted.unwrap()), Ok(Caller::Client));
}

#[tokio::test(start_paused = true)]
async fn a_node_of_another_authority_is_refused_in_plain_words() {
    let folder = Folder::new();
    let (ours, theirs) = (folder.authority("ca"), folder.authority("ca2"));
    let world = World::new(folder.node(&ours, "n1"));
    let stranger = folder.node(&theirs, "n2");
    let (refused, logged) = world.dial_in_vain(&stranger, "localhost").await;
    let text = refused.to_string();
    assert!(matches!(refused, TrustError::PeerAuthority { .. }), "{text}");
    for part in ["localhost", "n2/ca.pem", "one authority", "quorate cert issue n1 --ca CA_DIR"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!(text.matches("CN=Quorate private CA ").count(), 2, "wanted and found: {text}");
    assert!(logged.contains("issued by another authority"), "{logged}");
}

#[tokio::test(start_paused = true)]
async fn a_node_that_trusts_us_but_is_not_trusted_hears_why() {
    let folder = Folder::new();
    let (ours, theirs) = (folder.authority("ca"), folder.authority("ca2"));
    let world = World::new(folder.node(&ours, "n1"));
    folder.node(&theirs, "n2");
    // It has been given both authorities, and the other side only its own.
    let both = [folder.path("ca/ca.pem"), folder.path("ca2/ca.pem")];
    let both = both.map(|path| fs::read_to_string(path).unwrap()).concat();
    fs::write(folder.path("n2/ca.pem"), both).unwrap();
    let stranger = Identity::from_folder(&folder.path("n2"), SystemTime::now()).unwrap();
    let (refused, logged) = world.dial_in_vain(&stranger, "localhost").await;
    let text = refused.to_string();
    assert!(matches!(refused, TrustError::RefusedByPeer { .. }), "{text}");
    for part in ["n2/node.pem", "issued by another authority", "quorate cert check"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(logged.starts_with("another node's certificate is refused"), "{logged}");
}

#[tokio::test(start_paused = true)]
async fn a_peer_is_checked_for_the_host_that_was_dialled() {
    let folder = Folder::new();
    let authority = folder.authority("ca");
    let (n1, n2) = (folder.node(&authority, "n1"), folder.node(&authority, "n2"));
    let (refused, _) = World::new(&n1).dial_in_vain(&n2, "n1.example").await;
    let text = refused.to_string();
    assert!(matches!(refused, TrustError::WrongName { .. }), "{text}");
    let mend = "quorate cert issue n1 --ca CA_DIR --host localhost,127.0.0.1,n1.example";
    assert!(text.contains(mend), "{text}");
}

/// The identity of a node that an authority of the group has certified without a name.
fn unnamed(folder: &Folder) -> Identity {
    let pem = |name: &str| fs::read_to_string(folder.path(name)).unwrap();
    let authority = Authority::from_pem(&pem("ca/ca.pem"), &pem("ca/ca.key")).unwrap();
    let now = SystemTime::now();
    let issued = authority.issue(&["localhost".to_owned()], &(now - DAY..now + DAY)).unwrap();
    fs::create_dir_all(folder.path("lone")).unwrap();
    fs::write(folder.path("lone/ca.pem"), authority.certificate_pem()).unwrap();
    fs::write(folder.path("lone/node.pem"), issued.certificate_pem).unwrap();
    fs::write(folder.path("lone/node.key"), issued.key_pem).unwrap();
    Identity::from_folder(&folder.path("lone"), now).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_certificate_without_a_name_makes_no_peer() {
    let folder = Folder::new();
    let authority = folder.authority("ca");
    let (n1, lone) = (folder.node(&authority, "n1"), unnamed(&folder));
    assert_eq!(lone.node(), None);

    let world = World::new(&lone);
    let connector = PeerConnector::new(&n1);
    let dialled = connector.connect(&world.client, world.address, "localhost");
    let (_accepted, dialled) = tokio::join!(world.accept(), dialled);
    let text = dialled.unwrap_err().to_string();
    assert!(text.contains("names no node") && text.contains("quorate cert issue NODE"), "{text}");

    let connector = PeerConnector::new(&lone);
    let dialled = connector.connect(&world.client, world.address, "localhost");
    let text = dialled.await.unwrap_err().to_string();
    assert!(text.contains("lone/node.pem) names no node") && text.contains("--certs"), "{text}");
}

/// A client of the group's authority that speaks the protocol of peers, with or without somebody's
/// certificate: what no program of ours does.
async fn forge(world: &World, folder: &Folder, shown: Option<&Identity>) -> Connection {
    let mut roots = rustls::RootCertStore::empty();
    let pem = fs::read(folder.path("ca/ca.pem")).unwrap();
    roots.add(CertificateDer::from_pem_slice(&pem).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots);
    let mut tls = match shown {
        Some(lone) => builder.with_client_auth_cert(lone.chain().to_vec(), lone.key()).unwrap(),
        None => builder.with_no_client_auth(),
    };
    tls.alpn_protocols = vec![b"quorate-peer/1".to_vec()];
    let quic = quinn::crypto::rustls::QuicClientConfig::try_from(tls).unwrap();
    let config = quinn::ClientConfig::new(Arc::new(quic));
    let dialled = world.client.connect_with(config, world.address, "localhost").unwrap();
    let (accepted, dialled) = tokio::join!(world.accept(), dialled);
    // Its own end must live until both have been seen.
    dialled.unwrap();
    accepted.unwrap()
}

#[tokio::test(start_paused = true)]
async fn the_protocol_of_peers_needs_a_named_certificate() {
    let folder = Folder::new();
    let authority = folder.authority("ca");
    let world = World::new(folder.node(&authority, "n1"));
    let nobody = forge(&world, &folder, None).await;
    assert_eq!(caller(&nobody), Err(PeerRefusal::NoCertificate));
    let lone = unnamed(&folder);
    let unnamed = forge(&world, &folder, Some(&lone)).await;
    assert_eq!(caller(&unnamed), Err(PeerRefusal::Unnamed));
    for refusal in [PeerRefusal::NoCertificate, PeerRefusal::Unnamed] {
        assert!(refusal.to_string().contains("quorate cert issue"), "{refusal}");
    }
}

fn settle(credentials: &Credentials, now: SystemTime) -> Reload {
    match credentials.reload(now) {
        Reload::Settling => credentials.reload(now),
        other => other,
    }
}

#[tokio::test(start_paused = true)]
async fn a_renewed_certificate_is_shown_without_a_restart() {
    let folder = Folder::new();
    let authority = folder.authority("ca");
    let (n1, n2) = (folder.node(&authority, "n1"), folder.node(&authority, "n2"));
    let credentials = Credentials::new(n1.clone());
    let world = World::new(&credentials);
    let shown = |connection: &Connection| {
        let chain = connection.peer_identity().unwrap();
        chain.downcast::<Vec<CertificateDer<'static>>>().unwrap()[0].clone()
    };
    let now = SystemTime::now();
    assert!(matches!(settle(&credentials, now), Reload::Unchanged));
    assert!(matches!(credentials.reload(now), Reload::Unchanged));
    let (old, _accepted, _) = world.dial(&n2).await;
    assert_eq!(shown(&old), n1.chain()[0]);

    issue(&authority, "n1", &folder.path("n1"));
    assert!(matches!(credentials.reload(now), Reload::Settling), "the writer may not be done");
    assert!(matches!(credentials.reload(now), Reload::Renewed { .. }));
    assert!(matches!(credentials.reload(now), Reload::Unchanged));
    let (new, _accepted, _) = world.dial(&n2).await;
    assert_ne!(shown(&new), n1.chain()[0]);
    assert_eq!(shown(&new), credentials.identity().chain()[0]);
    assert_eq!(old.close_reason(), None, "what is open stays");

    // As a client, too.
    let world = World::new(&n2);
    let dialler = PeerConnector::new(&credentials);
    let dialled = dialler.connect(&world.client, world.address, "localhost");
    let (accepted, dialled) = tokio::join!(world.accept(), dialled);
    let _dialled = dialled.unwrap();
    assert_eq!(shown(&accepted.unwrap()), credentials.identity().chain()[0]);
}

#[tokio::test(start_paused = true)]
async fn a_new_authority_is_trusted_without_a_restart() {
    let folder = Folder::new();
    let (old, new) = (folder.authority("ca"), folder.authority("ca2"));
    let credentials = Credentials::new(folder.node(&old, "n1"));
    let world = World::new(&credentials);
    let both = [folder.path("ca/ca.pem"), folder.path("ca2/ca.pem")];
    let both = both.map(|path| fs::read_to_string(path).unwrap()).concat();
    fs::write(folder.path("n1/ca.pem"), &both).unwrap();
    assert!(matches!(settle(&credentials, SystemTime::now()), Reload::Renewed { .. }));
    folder.node(&new, "n2");
    fs::write(folder.path("n2/ca.pem"), &both).unwrap();
    let n2 = Identity::from_folder(&folder.path("n2"), SystemTime::now()).unwrap();
    let (_dialled, accepted, _) = world.dial(&n2).await;
    assert_eq!(name_of(caller(&accepted)), "n2");
}

#[test]
fn files_that_are_no_good_are_told_once_and_change_nothing() {
    let folder = Folder::new();
    let authority = folder.authority("ca");
    let n1 = folder.node(&authority, "n1");
    let n2 = folder.node(&authority, "n2");
    let credentials = Credentials::new(n1.clone());
    let now = SystemTime::now();
    let refused = |change: &dyn Fn(), expected: &dyn Fn(&IdentityError) -> bool, when| {
        change();
        match settle(&credentials, when) {
            Reload::Refused(error) => assert!(expected(&error), "{error}"),
            other => panic!("{other:?}"),
        }
        assert!(matches!(credentials.reload(when), Reload::Unchanged), "told once");
        assert_eq!(credentials.identity().chain(), n1.chain());
    };
    let copy = |name: &str| {
        fs::copy(folder.path("n2").join(name), folder.path("n1").join(name)).unwrap();
    };
    refused(&|| copy("node.key"), &|e| matches!(e, IdentityError::OtherKey { .. }), now);
    refused(&|| copy("node.pem"), &|e| matches!(e, IdentityError::OtherNode { .. }), now);
    let later = n2.expires() + DAY;
    let expired = || {
        fs::remove_dir_all(folder.path("n1")).unwrap();
        issue(&authority, "n1", &folder.path("n1"));
    };
    refused(&expired, &|e| matches!(e, IdentityError::Expired { .. }), later);
    let gone = || fs::remove_file(folder.path("n1/node.pem")).unwrap();
    refused(&gone, &|e| matches!(e, IdentityError::Read { .. }), now);
    issue(&authority, "n1", &folder.path("n1"));
    assert!(matches!(settle(&credentials, now), Reload::Renewed { .. }));
}
