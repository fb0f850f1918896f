//! A node whose every answer is written by the test: real QUIC over a network in memory.
//!
//! Time is tokio's paused clock, so waiting costs nothing and each run is the same.

#![allow(dead_code, reason = "each test program uses a part of it")]

pub(crate) mod group;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use quinn::{Connection, Endpoint, EndpointConfig, SendStream, TokioRuntime};
use quorate_client::{Client, EventData, EventId, Options};
use quorate_core::Limits;
use quorate_core::event::{self, NewEvent};
use quorate_core::id::{ClusterId, GroupId, Lineage, NodeId, Position, Revision};
use quorate_core::item::{self, ItemKind};
use quorate_core::log::entry::LogId;
use quorate_core::request::Appended;
use quorate_core::time::Created;
use quorate_net::endpoint::listen_on;
use quorate_net::event_frames::checksum;
use quorate_net::memory::Network;
use quorate_net::wire::{ClientLimits, Kind, LeaderHint, MemberAddress, Reply, Request, Welcome};
use quorate_net::{Frame, FrameReceiver, Identity};

pub(crate) const DEADLINE: Duration = Duration::from_secs(5);
/// Where the log ends when a client is welcomed.
pub(crate) const COMMITTED: u64 = 4096;

pub(crate) struct Node {
    network: Network,
    endpoint: Endpoint,
    folder: PathBuf,
    /// What it says who it is; a test may change it.
    pub(crate) log: LogId,
}

impl Node {
    pub(crate) fn start() -> Self {
        let folder = folder();
        let (identity, _) = Identity::development(&folder, &[], SystemTime::now()).unwrap();
        let network = Network::new();
        let endpoint = listen_on(network.socket(), Arc::new(TokioRuntime), &identity).unwrap();
        let log = log();
        Self { network, endpoint, folder, log }
    }

    /// From now on nothing passes, or everything again.
    pub(crate) fn cut_off(&self, cut_off: bool) {
        self.network.cut_off(self.endpoint.local_addr().unwrap(), cut_off);
    }

    /// Kills the node, which has no time to say so, and starts it again in the same place.
    pub(crate) fn kill_and_start(&mut self) {
        let address = self.endpoint.local_addr().unwrap();
        let (identity, _) = Identity::development(&self.folder, &[], SystemTime::now()).unwrap();
        let socket = self.network.socket_at(address);
        self.endpoint = listen_on(socket, Arc::new(TokioRuntime), &identity).unwrap();
    }

    /// A client, and its session as the node sees it.
    pub(crate) async fn connect(&self) -> (Client, Session) {
        let endpoint = client_endpoint(&self.network);
        let options = Options {
            ca: Some(self.folder.join("ca.pem")),
            deadline: DEADLINE,
            ..Options::default()
        };
        let uri = format!("quorate://{}", self.endpoint.local_addr().unwrap());
        let client = Client::connect_over(endpoint, &uri, options);
        let (client, session) = tokio::join!(client, self.accept());
        (client.expect("it was welcomed"), session)
    }

    /// The next connection, with its session welcomed.
    pub(crate) async fn accept(&self) -> Session {
        let connection = self.connection().await;
        let mut stream = Stream::accept(&connection).await;
        assert_eq!(stream.frame().await.kind(), Kind::Hello);
        let leader = Some(LeaderHint { epoch: 1, node: 1 });
        stream.reply(&welcome(self.log, 1, leader, Vec::new())).await;
        Session { connection, stream }
    }

    /// The next connection, before a word is said.
    pub(crate) async fn connection(&self) -> Connection {
        loop {
            // An attempt that the client gave up in the meantime fails.
            if let Ok(connection) = self.endpoint.accept().await.expect("it listens").await {
                return connection;
            }
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.folder).unwrap();
    }
}

pub(crate) fn welcome(
    log: LogId,
    node: u64,
    leader: Option<LeaderHint>,
    members: Vec<MemberAddress>,
) -> Reply<'static> {
    Reply::Welcome(Box::new(Welcome {
        log,
        node: NodeId::from_wire(node),
        name: format!("n{node}"),
        version: "0.1.0".into(),
        committed: Position::from_wire(COMMITTED),
        limits: ClientLimits::from(&Limits::TINY),
        leader,
        members,
    }))
}

pub(crate) fn log() -> LogId {
    LogId {
        cluster: ClusterId::from_bytes([0xC1; 16]),
        group: GroupId::from_wire(1),
        lineage: Lineage::from_bytes([0x11; 16]),
    }
}

/// A folder of its own for each test.
pub(crate) fn folder() -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    std::env::temp_dir().join(format!("quorate-client-test-{}-{count}", std::process::id()))
}

/// A client's endpoint on a network.
pub(crate) fn client_endpoint(network: &Network) -> Endpoint {
    let (config, socket) = (EndpointConfig::default(), network.socket());
    Endpoint::new_with_abstract_socket(config, None, socket, Arc::new(TokioRuntime)).unwrap()
}

/// A client's session as the node sees it.
pub(crate) struct Session {
    pub(crate) connection: Connection,
    pub(crate) stream: Stream,
}

impl Session {
    /// Ends the connection, as a node does that stops.
    pub(crate) fn lose(self) {
        self.connection.close(1_u32.into(), b"the test loses it");
    }

    /// Ends the connection once the client has all that was sent, and waits until it has seen that.
    pub(crate) async fn lose_seen(self) {
        pass(Duration::from_secs(1)).await;
        self.lose();
        pass(Duration::from_secs(1)).await;
    }

    /// The next stream that the client opens beside the session, and what it asks for.
    pub(crate) async fn opened(&self) -> (Stream, Frame) {
        let mut stream = Stream::accept(&self.connection).await;
        let frame = stream.frame().await;
        (stream, frame)
    }
}

/// One stream as the node sees it.
pub(crate) struct Stream {
    pub(crate) send: SendStream,
    receiver: FrameReceiver,
}

impl Stream {
    async fn accept(connection: &Connection) -> Self {
        let (send, receive) = connection.accept_bi().await.expect("the client opens a stream");
        Self { send, receiver: FrameReceiver::new(receive, 1 << 20) }
    }

    /// As [`Stream::accept`]; `None` where the connection is over.
    async fn try_accept(connection: &Connection) -> Option<Self> {
        let (send, receive) = connection.accept_bi().await.ok()?;
        Some(Self { send, receiver: FrameReceiver::new(receive, 1 << 20) })
    }

    /// As [`Stream::frame`]; `None` where the stream is over.
    async fn try_frame(&mut self) -> Option<Frame> {
        self.receiver.next().await.ok().flatten()
    }

    /// As [`Stream::reply`]; whether the client reads.
    async fn try_reply(&mut self, reply: &Reply<'_>) -> bool {
        let mut bytes = Vec::new();
        reply.encode(&mut bytes);
        self.send.write_all(&bytes).await.is_ok()
    }

    pub(crate) async fn frame(&mut self) -> Frame {
        self.receiver.next().await.expect("whole frames").expect("the client goes on")
    }

    /// Whether the client sends nothing more for a while.
    pub(crate) async fn is_silent(&mut self) -> bool {
        tokio::time::timeout(Duration::from_secs(1), self.receiver.next()).await.is_err()
    }

    pub(crate) async fn reply(&mut self, reply: &Reply<'_>) {
        let mut bytes = Vec::new();
        reply.encode(&mut bytes);
        self.bytes(&bytes).await;
    }

    pub(crate) async fn bytes(&mut self, bytes: &[u8]) {
        self.send.write_all(bytes).await.expect("the client reads");
    }

    /// The next append, which is answered as written at this revision.
    pub(crate) async fn take_append(&mut self, revision: u64) {
        let frame = self.frame().await;
        let append = append(&frame);
        self.reply(&appended(append.call, revision)).await;
    }
}

/// Lets the paused clock go on; nobody waits.
pub(crate) async fn pass(time: Duration) {
    tokio::time::sleep_until(tokio::time::Instant::now() + time).await;
}

pub(crate) fn append(frame: &Frame) -> quorate_net::wire::Append<'_> {
    match Request::decode(frame) {
        Ok(Request::Append(append)) => append,
        other => panic!("an append is expected, not {other:?}"),
    }
}

pub(crate) fn appended(call: quorate_net::wire::CallId, revision: u64) -> Reply<'static> {
    let revision = Some(Revision::from_wire(revision));
    let position = Position::from_wire(COMMITTED + 100);
    Reply::Appended {
        call,
        appended: Appended { first: revision, last: revision, position, duplicate: false },
    }
}

/// An event whose id and data say which.
pub(crate) fn event(number: u8) -> EventData {
    EventData::octets("happened", vec![number]).with_id(EventId::from_bytes([number; 16]))
}

/// A batch of stamped events of the stream `s`: revision n stands at position 100 n.
pub(crate) fn batch(revisions: impl IntoIterator<Item = u64>) -> Vec<u8> {
    let mut batch = Vec::new();
    for revision in revisions {
        let frame = stamped(revision);
        item::push(&mut batch, Position::from_wire(revision * 100), ItemKind::Event, &frame);
    }
    batch
}

/// A stamped event of the stream `s`.
pub(crate) fn stamped(revision: u64) -> Vec<u8> {
    let event = NewEvent {
        id: EventId::from_bytes([revision as u8; 16]),
        event_type: "happened",
        content_type: event::ContentType::Octets,
        data: &[revision as u8],
        metadata: b"why",
    };
    let mut frame = Vec::new();
    event::encode(&mut frame, "s", &event, checksum);
    event::stamp(&mut frame, Revision::from_wire(revision), Created::from_ticks(7));
    frame
}

pub(crate) fn events(batch: &[u8]) -> Reply<'_> {
    let count = item::items(batch).count();
    Reply::Events { count: count as u32, items: batch }
}
