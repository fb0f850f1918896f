//! A whole node but its sockets and its disk.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use quinn::{Connection, Endpoint, EndpointConfig, RecvStream, SendStream, TokioRuntime};
use quorate_client::{Client, ConnectError, EventData, Options};
use quorate_core::id::{ClusterId, DiskId, GroupId, Lineage, NodeId};
use quorate_core::log::entry::LogId;
use quorate_core::member::Members;
use quorate_core::time::{Created, Instant, Now};
use quorate_core::timing::Timing;
use quorate_net::memory::Network;
use quorate_net::wire::{Reply, Request};
use quorate_net::{Connector, Frame, FrameReceiver, Identity, Trust, endpoint};
use quorate_node::admin::Shared;
use quorate_node::config::{Config, LogFormat, LogLevel};
use quorate_node::driver::Driver;
use quorate_node::engine::{Engine, EngineOptions};
use quorate_node::gateway;
use quorate_node::listener::Listener;
use quorate_node::logger::Logger;
use quorate_storage::disk::simulated::Medium;
use quorate_storage::index::IndexLimits;
use quorate_storage::io::Io;
use quorate_storage::read::ReadLimits;
use quorate_storage::superblock;
use tokio::runtime::LocalOptions;
use tokio::task::JoinHandle;

/// Settings under which bounds are met with little data.
pub(crate) fn small() -> Config {
    Config {
        log_level: LogLevel::Error,
        event_bytes_max: 128 << 10,
        append_bytes_max: 256 << 10,
        entry_bytes_target: 64 << 10,
        pending_bytes_max: 1 << 20,
        stream_metadata_bytes_max: 1024,
        segment_bytes: 1 << 20,
        tail_cache_bytes_max: 1 << 20,
        connection_bytes_max: 256 << 10,
        connections_max: 4,
        reads_per_connection_max: 3,
        ..Config::default()
    }
}

/// Runs a test on a node with these settings.
pub(crate) fn with_node(config: Config, test: impl AsyncFnOnce(&Node)) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build_local(LocalOptions::default())
        .expect("a runtime can be made");
    runtime.block_on(async {
        let node = Node::start(config);
        test(&node).await;
        node.stop().await;
    });
}

pub(crate) struct Node {
    pub(crate) driver: Rc<Driver>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) medium: Medium,
    network: Network,
    endpoint: Endpoint,
    folder: PathBuf,
    tasks: Vec<JoinHandle<()>>,
}

impl Node {
    fn start(config: Config) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("quorate-gateway-test-{}-{count}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        let made = Identity::development(&folder, &[], SystemTime::now());
        let (identity, _) = made.expect("certificates can be made");
        let medium = Medium::new(5);
        let io = Io::new(Box::new(medium.disk()));
        let now = Now { monotonic: Instant::START, wall: Created::UNIX_EPOCH };
        let opened = io.block_on(Engine::open(io.clone(), now, options(&config)));
        let (engine, recovered) = opened.expect("the disk is good");
        let shared = Arc::new(Shared::default());
        let logger = Logger::new(config.log_level, LogFormat::Text);
        let listener = Listener::new(&config, Arc::clone(&shared), logger, None);
        let driver = Driver::new(
            engine,
            recovered.identity,
            config,
            Arc::clone(&shared),
            logger,
            Rc::default(),
        );
        let driver = Rc::new(driver);
        listener.serve_clients(Rc::clone(&driver));
        let network = Network::new();
        let socket = network.socket();
        let listening = endpoint::listen_on(socket, Arc::new(TokioRuntime), &identity);
        let endpoint = listening.expect("the network takes it");
        let looping = Rc::clone(&driver);
        let tasks = vec![
            tokio::task::spawn_local(async move {
                let fault = looping.run().await;
                panic!("the disk is good: {fault}");
            }),
            tokio::task::spawn_local(listener.run(endpoint.clone())),
        ];
        Self { driver, shared, medium, network, endpoint, folder, tasks }
    }

    async fn stop(self) {
        self.driver.stop(Duration::from_secs(5)).await;
        self.endpoint.close(gateway::CLOSE_STOPPING, b"");
        for task in self.tasks {
            assert!(!task.is_finished(), "the node was still serving");
            task.abort();
        }
        std::fs::remove_dir_all(&self.folder).expect("the folder is ours");
    }

    fn client_endpoint(&self) -> Endpoint {
        let (config, socket) = (EndpointConfig::default(), self.network.socket());
        Endpoint::new_with_abstract_socket(config, None, socket, Arc::new(TokioRuntime))
            .expect("the network takes it")
    }

    fn address(&self) -> SocketAddr {
        self.endpoint.local_addr().expect("it has one")
    }

    pub(crate) async fn try_client(&self) -> Result<Client, ConnectError> {
        let options = Options {
            ca: Some(self.folder.join("ca.pem")),
            deadline: Duration::from_secs(20),
            ..Options::default()
        };
        let uri = format!("quorate://{}", self.address());
        Client::connect_over(self.client_endpoint(), &uri, options).await
    }

    pub(crate) async fn client(&self) -> Client {
        self.try_client().await.expect("the node answers")
    }

    /// A connection on which the test says what it likes.
    pub(crate) async fn connection(&self) -> Connection {
        let trust = Trust::from_file(&self.folder.join("ca.pem")).expect("it was just made");
        let connector = Connector::new(&trust).expect("it is a good authority");
        let endpoint = self.client_endpoint();
        let connected = connector.connect(&endpoint, self.address(), "127.0.0.1").await;
        connected.expect("the node answers")
    }
}

fn options(config: &Config) -> EngineOptions {
    EngineOptions {
        timing: Timing::PRODUCTION,
        leader_zones: Vec::new(),
        mutant: None,
        limits: config.limits(),
        index: IndexLimits::TINY,
        reads: ReadLimits::PRODUCTION,
        tail_bytes_max: config.tail_cache_bytes_max.into(),
        scrub_bytes_per_s: 1 << 20,
        founding: superblock::Identity {
            log: LogId {
                cluster: ClusterId::from_bytes([1; 16]),
                group: GroupId::from_wire(1),
                lineage: Lineage::from_bytes([2; 16]),
            },
            node: NodeId::from_wire(1),
            disk: DiskId::from_bytes([3; 16]),
            members: Members::of_one(DiskId::from_bytes([3; 16])),
            segment_bytes: config.segment_bytes,
            stream_key: [4; 16],
        },
        seed: [5; 32],
    }
}

/// One stream of a raw connection.
pub(crate) struct Raw {
    pub(crate) send: SendStream,
    receive: FrameReceiver,
}

impl Raw {
    pub(crate) async fn open(connection: &Connection) -> Self {
        let (send, receive) = connection.open_bi().await.expect("the connection stands");
        Self::of(send, receive)
    }

    pub(crate) fn of(send: SendStream, receive: RecvStream) -> Self {
        Self { send, receive: FrameReceiver::new(receive, 1 << 20) }
    }

    pub(crate) async fn say(&mut self, request: &Request<'_>) {
        let mut bytes = Vec::new();
        request.encode(&mut bytes);
        self.send.write_all(&bytes).await.expect("the stream stands");
    }

    /// The next message; `None` where the node has finished.
    pub(crate) async fn hear(&mut self) -> Option<Frame> {
        self.receive.next().await.expect("the node speaks well")
    }

    /// The last message of the stream, which says that it failed.
    pub(crate) async fn farewell(&mut self) -> String {
        let mut last = None;
        while let Some(frame) = self.hear().await {
            last = Some(frame);
        }
        let frame = last.expect("the node says something");
        match Reply::decode(&frame).expect("the node speaks well") {
            Reply::Failed { call: None, message, code } => format!("{code}: {message}"),
            other => panic!("{other:?} is no farewell"),
        }
    }
}

pub(crate) fn event(text: &str) -> EventData {
    EventData::json("happened", format!("\"{text}\""))
}
