//! Three nodes of one group, each a process with a folder of its own.

use std::net::{TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, SystemTime};

use quorate_client::{Client, EventData, Expected, NodeStatus, Options};
use quorate_net::authority_folder::AuthorityFolder;
use rustix::process::Signal;
use tokio::task::LocalSet;
use tokio::time::timeout;

use crate::process::Process;

/// Nothing takes this long; a test that hangs is a test that fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// Nodes of a group, by their places: `n1` has place 0.
pub(crate) const NODES: usize = 3;

/// Small segments, so that kills meet rolls, merges, replays and truncations, too.
pub(crate) const SMALL: [&str; 16] = [
    "--segment-bytes",
    "1048576",
    "--append-bytes-max",
    "65536",
    "--event-bytes-max",
    "65536",
    "--event-metadata-bytes-max",
    "16384",
    "--entry-bytes-target",
    "131072",
    "--index-memtable-events-max",
    "2000",
    "--recent-ids-max",
    "65536",
    "--pending-bytes-max",
    "1048576",
];

/// An empty folder on the disk that the build uses, removed at the end of a test that passes.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        let name = format!("group-{name}-{}", std::process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            std::fs::remove_dir_all(&self.0).unwrap();
        }
    }
}

/// A group.
pub(crate) struct Group {
    ports: [u16; NODES],
    settings: Vec<String>,
    /// Whether the nodes record what happens to them.
    pub(crate) records: bool,
    pub(crate) nodes: [Option<Process>; NODES],
    // Removed last.
    folder: Folder,
}

impl Group {
    /// Makes certificates and finds ports; starts nothing.
    pub(crate) fn new(name: &str, settings: &[&str]) -> Self {
        let group = Self::without_certificates(name, settings);
        let authority = AuthorityFolder::create(&group.path("ca"), SystemTime::now()).unwrap();
        for place in 0..NODES {
            group.issue(&authority, place);
        }
        group
    }

    /// Another group, of the same authority.
    pub(crate) fn beside(name: &str, settings: &[&str], other: &Self) -> Self {
        let group = Self::without_certificates(name, settings);
        std::fs::create_dir_all(group.path("ca")).unwrap();
        for file in ["ca.pem", "ca.key"] {
            std::fs::copy(other.path("ca").join(file), group.path("ca").join(file)).unwrap();
        }
        let authority = AuthorityFolder::open(&group.path("ca"), SystemTime::now()).unwrap();
        for place in 0..NODES {
            group.issue(&authority, place);
        }
        group
    }

    fn without_certificates(name: &str, settings: &[&str]) -> Self {
        Self {
            ports: std::array::from_fn(|_| free_port()),
            settings: settings.iter().map(|word| (*word).to_owned()).collect(),
            records: false,
            nodes: [const { None }; NODES],
            folder: Folder::new(name),
        }
    }

    /// Issues a node's certificate, or renews it.
    pub(crate) fn issue(&self, authority: &AuthorityFolder, place: usize) {
        let hosts = ["127.0.0.1".to_owned(), "localhost".to_owned()];
        let folder = self.path(&format!("certs-{}", name(place)));
        authority.issue(&name(place), &hosts, &folder, SystemTime::now()).unwrap();
    }

    /// A path in the group's folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A node's data folder.
    pub(crate) fn data(&self, place: usize) -> PathBuf {
        self.path(&name(place))
    }

    /// The authority that clients trust.
    pub(crate) fn ca(&self) -> PathBuf {
        self.path("ca").join("ca.pem")
    }

    pub(crate) fn address(&self, place: usize) -> String {
        format!("127.0.0.1:{}", self.ports[place])
    }

    /// The addresses of all nodes, with commas in between.
    pub(crate) fn addresses(&self) -> String {
        [0, 1, 2].map(|place| self.address(place)).join(",")
    }

    pub(crate) fn uri(&self) -> String {
        format!("quorate://{}", self.addresses())
    }

    /// The flags that a node is started with.
    pub(crate) fn arguments(&self, place: usize) -> Vec<String> {
        let path = |path: PathBuf| path.display().to_string();
        let certs = path(self.path(&format!("certs-{}", name(place))));
        let (data, zone) = (path(self.data(place)), format!("z{}", place + 1));
        let (name, address, join) = (name(place), self.address(place), self.addresses());
        let pairs = [
            ("--node", name.as_str()),
            ("--zone", &zone),
            ("--data", &data),
            ("--listen", &address),
            ("--join", &join),
            ("--voters", "3"),
            ("--certs", &certs),
        ];
        let fixed = pairs.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value.to_owned()]);
        let recording = self.recording(place).display().to_string();
        let record = ["--record".to_owned(), format!("{recording}:48M")];
        let record = record.into_iter().filter(|_| self.records);
        fixed.chain(self.settings.iter().cloned()).chain(record).collect()
    }

    /// The folder of a node's recording.
    pub(crate) fn recording(&self, place: usize) -> PathBuf {
        self.path(&format!("{}-recording", name(place)))
    }

    /// Starts a node, and waits for nothing.
    pub(crate) fn start(&mut self, place: usize) {
        let process = self.launch(place, &self.arguments(place));
        assert!(self.nodes[place].replace(process).is_none(), "it does not run yet");
    }

    /// Starts a process in the name of a node, which is not kept.
    pub(crate) fn launch(&self, place: usize, arguments: &[String]) -> Process {
        let log = self.path(&format!("{}.log", name(place)));
        Process::start(arguments, &log, &self.path("state"))
    }

    /// Starts all nodes, and waits until they take appends.
    pub(crate) async fn start_all(&mut self) -> Client {
        (0..NODES).for_each(|place| self.start(place));
        // The first start has no group yet to connect to.
        for place in 0..NODES {
            self.ready(place).await;
        }
        let client = self.client().await;
        leader(&client).await;
        client
    }

    /// Waits until a node leads or follows.
    pub(crate) async fn ready(&self, place: usize) {
        let said = &self.node(place).said;
        if said.find_any(&["leading", "following"], 0).await.is_none() {
            panic!("{} has ended:\n{}", name(place), said.text());
        }
    }

    /// A client of all nodes, with much patience.
    pub(crate) async fn client(&self) -> Client {
        self.client_of(&self.uri(), Options { deadline: PATIENCE, ..Options::default() }).await
    }

    /// A client that trusts this group.
    pub(crate) async fn client_of(&self, uri: &str, options: Options) -> Client {
        let connect_deadline = Duration::from_secs(10);
        let options = Options { ca: Some(self.ca()), connect_deadline, ..options };
        Client::connect(uri, options).await.expect("a node answers")
    }

    pub(crate) fn node(&self, place: usize) -> &Process {
        self.nodes[place].as_ref().expect("it runs")
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self, place: usize) {
        self.nodes[place].take().expect("it runs").kill();
    }

    /// SIGTERM, and waits for the end.
    pub(crate) async fn stop(&mut self, place: usize) -> ExitStatus {
        let mut process = self.nodes[place].take().expect("it runs");
        process.signal(Signal::TERM);
        process.ended().await
    }

    /// Waits until every node knows that all is committed what the leader says now; gives the last
    /// committed entry.
    pub(crate) async fn caught_up(&self, client: &Client) -> u64 {
        leader(client).await;
        let wanted = client.status().await.expect("it has just answered").committed_index;
        for place in 0..NODES {
            let waiting = async {
                while committed(client, &self.address(place)).await < wanted {
                    tokio::task::yield_now().await;
                }
            };
            let waited = timeout(PATIENCE, waiting).await;
            assert!(waited.is_ok(), "{} does not catch up with {wanted}", name(place));
        }
        wanted
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        for place in 0..NODES {
            let log = std::fs::read_to_string(self.path(&format!("{}.log", name(place))));
            let log = log.unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            println!("--- the last that {} said ---", name(place));
            lines[lines.len().saturating_sub(30)..].iter().for_each(|line| println!("{line}"));
        }
        println!("--- all is kept in {} ---", self.folder.path().display());
    }
}

async fn committed(client: &Client, address: &str) -> u64 {
    client.status_of(address).await.map_or(0, |status| status.committed_index)
}

/// A node's name.
pub(crate) fn name(place: usize) -> String {
    format!("n{}", place + 1)
}

/// Waits until a node leads, and gives its place.
pub(crate) async fn leader(client: &Client) -> usize {
    let asking = async {
        loop {
            // Only a leader can answer this, and nothing is written.
            let answered = client.append::<EventData>("nothing", Expected::Any, &[]).await;
            let status = client.status().await;
            if let (Ok(_), Ok(NodeStatus { node, replication, .. })) = (answered, status)
                && replication.leader == Some(node)
            {
                return node as usize - 1;
            }
        }
    };
    timeout(PATIENCE, asking).await.expect("a leader is elected")
}

/// A port on which nobody listens: below those that the system gives out by itself, so that it stays
/// free while its node is down.
fn free_port() -> u16 {
    const FIRST: u16 = 10_000;
    const COUNT: u16 = 20_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    loop {
        // Tests of other processes begin elsewhere.
        let start = (std::process::id() * 61 % u32::from(COUNT)) as u16;
        let port = FIRST + (start + NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT;
        let address = ("127.0.0.1", port);
        if TcpListener::bind(address).is_ok() && UdpSocket::bind(address).is_ok() {
            return port;
        }
    }
}

/// Runs a test on a single-threaded runtime.
pub(crate) fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, test)
}
