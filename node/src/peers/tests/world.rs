//! A network in memory, an authority, and nodes that are all but their engines.

use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use quinn::{Connection, Endpoint, TokioRuntime};
use quorate_core::id::{GroupId, LogIndex, NodeId, Session};
use quorate_core::message::{Message, Tip};
use quorate_net::authority_folder::AuthorityFolder;
use quorate_net::memory::Network;
use quorate_net::wire::peer::{Founding, Lane, PeerMessage};
use quorate_net::{Frame, FrameReceiver, Identity, PeerConnector, WireError, endpoint};
use tokio::runtime::LocalOptions;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::samples::{self, founding, name};
use crate::admin::Shared;
use crate::config::{Config, LogFormat, LogLevel};
use crate::engine::Outgoing;
use crate::listener::Listener;
use crate::logger::Logger;
use crate::peers::link::widen;
use crate::peers::{Inbound, Links, Parts, Peers, Settings};

/// Longer than anything takes; the clock is paused, so that nobody waits for it.
const PATIENCE: Duration = Duration::from_secs(300);

/// A network, and the authority of all its nodes.
pub(super) struct World {
    network: Network,
    authority: AuthorityFolder,
    folder: PathBuf,
}

/// Runs a test in a world of its own.
pub(super) fn with_world(test: impl AsyncFnOnce(World)) {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let folder = format!("quorate-peers-test-{}-{count}", std::process::id());
    let folder = std::env::temp_dir().join(folder);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build_local(LocalOptions::default())
        .unwrap();
    let authority = AuthorityFolder::create(&folder.join("ca"), SystemTime::now()).unwrap();
    let world = World { network: Network::new(), authority, folder: folder.clone() };
    runtime.block_on(test(world));
    drop(runtime);
    std::fs::remove_dir_all(folder).unwrap();
}

/// How a node is started.
pub(super) struct Start {
    pub(super) node: String,
    pub(super) disk: u8,
    pub(super) voters: u32,
    pub(super) group: Option<Founding>,
}

impl Start {
    /// A node with the disk of its number, that belongs to no group.
    pub(super) fn new(node: &str) -> Self {
        Self { node: node.into(), disk: samples::number(node), voters: 3, group: None }
    }
}

/// A node without an engine.
pub(super) struct Node {
    pub(super) peers: Rc<Peers>,
    pub(super) links: Rc<Links>,
    pub(super) shared: Arc<Shared>,
    pub(super) heard: Rc<Heard>,
    /// What its superblock would hold.
    pub(super) durable: Rc<RefCell<Option<Founding>>>,
    inbound: Rc<dyn Inbound>,
    network: Network,
    endpoint: Endpoint,
    accepting: JoinHandle<()>,
}

impl World {
    pub(super) fn address(number: u8) -> String {
        format!("127.0.0.1:{}", 1000 + u16::from(number))
    }

    fn identity(&self, node: &str) -> Identity {
        let out = self.folder.join(node);
        let hosts = ["127.0.0.1".to_owned()];
        self.authority.issue(node, &hosts, &out, SystemTime::now()).unwrap();
        Identity::from_folder(&out, SystemTime::now()).unwrap()
    }

    fn endpoint(&self, node: &str, identity: &Identity) -> Endpoint {
        let address = Self::address(samples::number(node));
        let socket = self.network.socket_at(address.parse().unwrap());
        endpoint::listen_on(socket, Arc::new(TokioRuntime), identity).unwrap()
    }

    pub(super) fn start(&self, start: Start) -> Node {
        let Start { node, disk, voters, group } = start;
        let identity = self.identity(&node);
        let endpoint = self.endpoint(&node, &identity);
        let (links, shared) = (Rc::<Links>::default(), Arc::<Shared>::default());
        let logger = Logger::new(LogLevel::Error, LogFormat::Text);
        let durable = Rc::new(RefCell::new(group.clone()));
        let superblock = Rc::clone(&durable);
        let settings = Settings {
            node: name(&node),
            zone: name(&format!("z{}", samples::number(&node))),
            disk: samples::disk(disk),
            voters,
            address: Self::address(samples::number(&node)),
            join: [1, 2, 3].map(Self::address).into(),
            segment_bytes: 1 << 20,
            message_bytes_target: 1 << 20,
            hello_timeout: Duration::from_secs(5),
        };
        let parts = Parts {
            endpoint: endpoint.clone(),
            connector: PeerConnector::new(&identity),
            links: Rc::clone(&links),
            shared: Arc::clone(&shared),
            logger,
            make_durable: Box::new(move |founding| {
                assert_eq!(superblock.replace(Some(founding.clone())), None, "founded once");
                Ok(())
            }),
        };
        let peers = Peers::new(settings, group, parts);
        let config = Config::default();
        let listener = Listener::new(&config, Arc::clone(&shared), logger, Some(Rc::clone(&peers)));
        let accepting = tokio::task::spawn_local(listener.run(endpoint.clone()));
        peers.start();
        let heard = Rc::new(Heard(watch::Sender::default()));
        let inbound: Rc<dyn Inbound> = heard.clone();
        let network = self.network.clone();
        Node { peers, links, shared, heard, durable, inbound, network, endpoint, accepting }
    }

    pub(super) async fn a_minute(&self) {
        sleep(Duration::from_secs(60)).await;
    }

    pub(super) async fn a_moment(&self) {
        sleep(Duration::from_millis(20)).await;
    }
}

impl Node {
    /// From now on it takes frames, as a node whose engine is open.
    pub(super) fn attach(&self) {
        self.peers.attach(&self.inbound);
    }

    /// The group that it comes to belong to.
    pub(super) async fn founded(&self) -> Founding {
        soon(self.peers.founded()).await.unwrap()
    }

    /// Sends something with a payload of so many bytes.
    pub(super) fn send(&self, to: u64, lane: Lane, bytes: usize) {
        let payload = Bytes::from(vec![0; bytes]);
        let mut head = Vec::new();
        let message = PeerMessage::LaneHello { lane: Lane::Control };
        if bytes == 0 {
            message.encode(&mut head);
        } else {
            let (group, session) = (GroupId::from_wire(1), Session::default());
            let previous = Tip::default();
            let message = Message::Append {
                epoch: quorate_core::id::Epoch::default(),
                session,
                previous,
                last: LogIndex::ZERO,
                committed: LogIndex::ZERO,
            };
            quorate_net::wire::peer::encode_append_head(&mut head, group, &message, 0, &payload);
        }
        self.send_bytes(to, lane, head.into(), payload);
    }

    pub(super) fn send_bytes(&self, to: u64, lane: Lane, head: Bytes, payload: Bytes) {
        self.links.send(Outgoing { to: samples::node(to), lane, head, payload });
    }

    pub(super) async fn wait_until(&self, holds: impl Fn(&Self) -> bool) {
        let waiting = async {
            while !holds(self) {
                sleep(Duration::from_millis(10)).await;
            }
        };
        let health = &self.shared.health;
        timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("{:?}", health.phase()));
    }

    /// As if its process was killed: nobody hears a word more of it.
    pub(super) fn kill(self) {
        self.accepting.abort();
        // Another socket at its address; nothing passes the old one any more.
        drop(self.network.socket_at(self.endpoint.local_addr().unwrap()));
    }
}

/// Waits, but not for ever.
pub(super) async fn soon<T>(what: impl Future<Output = T>) -> T {
    timeout(PATIENCE, what).await.expect("it comes soon")
}

/// What a node's driver would hear.
pub(super) struct Heard(watch::Sender<Vec<String>>);

impl Heard {
    pub(super) async fn wait_for(&self, what: &str) {
        let mut heard = self.0.subscribe();
        let waiting = heard.wait_for(|all| all.iter().any(|one| one == what));
        let waited = timeout(PATIENCE, waiting).await;
        assert!(waited.is_ok(), "{what} is not among {:?}", self.all());
    }

    pub(super) fn all(&self) -> Vec<String> {
        self.0.borrow().clone()
    }

    pub(super) fn forget(&self) {
        self.0.send_modify(Vec::clear);
    }
}

impl Inbound for Heard {
    fn receive(&self, from: NodeId, frame: &Frame) -> Result<(), WireError> {
        let bytes = frame.payload().len();
        self.0.send_modify(|all| all.push(format!("frame of {bytes} from {from}")));
        Ok(())
    }

    fn peer_up(&self, node: NodeId) {
        self.0.send_modify(|all| all.push(format!("up {node}")));
    }

    fn peer_down(&self, node: NodeId) {
        self.0.send_modify(|all| all.push(format!("down {node}")));
    }
}

/// The lanes of a node that reads only where the test does.
pub(super) struct Lanes {
    pub(super) control: FrameReceiver,
    _open: Vec<(quinn::SendStream, Option<FrameReceiver>)>,
    _endpoint: Endpoint,
}

/// A node that has been linked and then does nothing by itself.
pub(super) async fn silent_node(world: &World, node: &str) -> (Connection, Lanes) {
    let identity = world.identity(node);
    let endpoint = world.endpoint(node, &identity);
    let connection = endpoint.accept().await.unwrap().await.unwrap();
    widen(&connection);
    let say = async |send: &mut quinn::SendStream, message: PeerMessage<'_>| {
        let mut bytes = Vec::new();
        message.encode(&mut bytes);
        send.write_all(&bytes).await.unwrap();
    };
    let mut control = None;
    let mut open = Vec::new();
    for lane in Lane::ALL {
        let (mut send, receive) = connection.accept_bi().await.unwrap();
        let mut receive = FrameReceiver::new(receive, 0);
        receive.next().await.unwrap().unwrap();
        if lane == Lane::Control {
            let hello = samples::hello(node, Some(founding(1, 1)));
            say(&mut send, PeerMessage::Hello(Box::new(hello))).await;
            control = Some(receive);
            open.push((send, None));
        } else {
            say(&mut send, PeerMessage::LaneHello { lane }).await;
            open.push((send, Some(receive)));
        }
    }
    let lanes = Lanes { control: control.unwrap(), _open: open, _endpoint: endpoint };
    (connection, lanes)
}
