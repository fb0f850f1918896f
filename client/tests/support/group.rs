//! Several nodes in one network, who leads among them and how they answer as the test says.

use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use quinn::{Connection, Endpoint, TokioRuntime};
use quorate_client::{Client, ConnectError, EventFrame, Options};
use quorate_core::id::{NodeId, Position};
use quorate_core::log::entry::LogId;
use quorate_core::request::Rejection;
use quorate_net::endpoint::listen_on;
use quorate_net::memory::Network;
use quorate_net::wire::{
    CallId, ErrorCode, GroupStatus, LeaderHint, MemberAddress, NodeStatus, Reply, Request, Role,
    Serving, Tolerates,
};
use quorate_net::{Frame, Identity};
use tokio::sync::{mpsc, watch};

use super::{DEADLINE, Stream, appended, client_endpoint, folder, log, welcome};

/// What a node does with an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answers {
    /// It writes it.
    Writes,
    /// It does not lead, and says who does.
    Refuses(Option<u64>),
    /// It has lost the lead.
    Loses,
    /// It says nothing.
    Waits,
}

/// What the test has told a node to be.
#[derive(Clone, Debug)]
struct Script {
    hint: Option<LeaderHint>,
    answers: Answers,
    log: LogId,
    members: Vec<MemberAddress>,
}

/// An append as a node saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// The data of its event.
    pub(crate) number: u8,
    pub(crate) id: [u8; 16],
    pub(crate) retry_since: Option<Position>,
}

pub(crate) struct Group {
    network: Network,
    folder: std::path::PathBuf,
    nodes: Vec<Member>,
}

struct Member {
    endpoint: Endpoint,
    script: Arc<watch::Sender<Script>>,
    seen: Arc<Mutex<Vec<Seen>>>,
    streams: mpsc::UnboundedReceiver<(Stream, Frame)>,
}

impl Group {
    /// Three nodes, of which the first leads in epoch 1.
    pub(crate) fn start() -> Self {
        let (network, folder) = (Network::new(), folder());
        let (identity, _) = Identity::development(&folder, &[], SystemTime::now()).unwrap();
        let endpoints: Vec<Endpoint> = (0..3)
            .map(|_| listen_on(network.socket(), Arc::new(TokioRuntime), &identity).unwrap())
            .collect();
        let members: Vec<MemberAddress> = (1..)
            .zip(&endpoints)
            .map(|(node, endpoint)| MemberAddress {
                node,
                name: format!("n{node}"),
                zone: "a".into(),
                address: endpoint.local_addr().unwrap().to_string(),
            })
            .collect();
        let nodes = (1..).zip(endpoints).map(|(node, endpoint)| {
            let script = Script {
                hint: Some(LeaderHint { epoch: 1, node: 1 }),
                answers: if node == 1 { Answers::Writes } else { Answers::Refuses(Some(1)) },
                log: log(),
                members: members.clone(),
            };
            Member::start(node, endpoint, script)
        });
        let nodes = nodes.collect();
        Self { network, folder, nodes }
    }

    pub(crate) fn address(&self, node: u64) -> String {
        self.node(node).endpoint.local_addr().unwrap().to_string()
    }

    /// All addresses, as one URI.
    pub(crate) fn uri(&self) -> String {
        let addresses: Vec<String> = (1..=3).map(|node| self.address(node)).collect();
        format!("quorate://{}", addresses.join(","))
    }

    pub(crate) async fn try_client(&self, uri: &str) -> Result<Client, ConnectError> {
        let options = Options {
            ca: Some(self.folder.join("ca.pem")),
            deadline: DEADLINE,
            ..Options::default()
        };
        Client::connect_over(client_endpoint(&self.network), uri, options).await
    }

    pub(crate) async fn client(&self) -> Client {
        let client = self.try_client(&self.uri()).await.expect("it was welcomed");
        super::pass(std::time::Duration::from_millis(500)).await;
        client
    }

    /// What a node says of who leads; it tells so on all sessions.
    pub(crate) fn tell(&self, node: u64, hint: Option<(u64, u64)>) {
        let hint = hint.map(|(epoch, node)| LeaderHint { epoch, node });
        self.node(node).script.send_modify(|script| script.hint = hint);
    }

    pub(crate) fn answer(&self, node: u64, answers: Answers) {
        self.node(node).script.send_modify(|script| script.answers = answers);
    }

    /// This node leads from now on; each says so, but those that are cut off are not heard.
    pub(crate) fn elect(&self, leader: u64, epoch: u64) {
        for node in 1..=3 {
            let answers =
                if node == leader { Answers::Writes } else { Answers::Refuses(Some(leader)) };
            self.answer(node, answers);
            self.tell(node, Some((epoch, leader)));
        }
    }

    pub(crate) fn become_another_store(&self, node: u64, log: LogId) {
        self.node(node).script.send_modify(|script| script.log = log);
    }

    pub(crate) fn forget_members(&self) {
        for node in &self.nodes {
            node.script.send_modify(|script| script.members.clear());
        }
    }

    pub(crate) fn cut_off(&self, node: u64, cut_off: bool) {
        self.network.cut_off(self.node(node).endpoint.local_addr().unwrap(), cut_off);
    }

    /// The appends that came to a node since this was last asked.
    pub(crate) fn seen(&self, node: u64) -> Vec<Seen> {
        std::mem::take(&mut self.node(node).seen.lock().unwrap())
    }

    /// The next read or subscription that is opened on a node.
    pub(crate) async fn opened(&mut self, node: u64) -> (Stream, Frame) {
        self.nodes[node as usize - 1].streams.recv().await.expect("the node runs")
    }

    fn node(&self, node: u64) -> &Member {
        &self.nodes[node as usize - 1]
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.folder).unwrap();
    }
}

impl Member {
    fn start(node: u64, endpoint: Endpoint, script: Script) -> Self {
        let (script, seen) = (Arc::new(watch::Sender::new(script)), Arc::default());
        let (sender, streams) = mpsc::unbounded_channel();
        let member = Self { endpoint: endpoint.clone(), script, seen, streams };
        let (script, seen) = (member.script.clone(), member.seen.clone());
        tokio::spawn(async move {
            while let Some(incoming) = endpoint.accept().await {
                let Ok(connection) = incoming.await else { continue };
                let served = Served { node, script: script.clone(), seen: Arc::clone(&seen) };
                tokio::spawn(served.connection(connection, sender.clone()));
            }
        });
        member
    }
}

/// What a connection needs of its node.
#[derive(Clone)]
struct Served {
    node: u64,
    script: Arc<watch::Sender<Script>>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Served {
    async fn connection(
        self,
        connection: Connection,
        sender: mpsc::UnboundedSender<(Stream, Frame)>,
    ) {
        while let Some(mut stream) = Stream::try_accept(&connection).await {
            let Some(frame) = stream.try_frame().await else { return };
            if let Ok(Request::Hello { .. }) = Request::decode(&frame) {
                tokio::spawn(self.clone().session(stream));
            } else {
                let _ = sender.send((stream, frame));
            }
        }
    }

    async fn session(self, mut stream: Stream) {
        let mut changes = self.script.subscribe();
        let script = changes.borrow_and_update().clone();
        stream.try_reply(&welcome(script.log, self.node, script.hint, script.members)).await;
        let mut told = script.hint;
        loop {
            let goes_on = tokio::select! {
                biased;
                _ = changes.changed() => {
                    let script = changes.borrow_and_update().clone();
                    let news = script.hint != told;
                    told = script.hint;
                    let push = Reply::Leader { leader: script.hint, members: script.members };
                    !news || stream.try_reply(&push).await
                }
                frame = stream.try_frame() => match frame {
                    Some(frame) => self.call(&mut stream, &frame).await,
                    None => false,
                },
            };
            if !goes_on {
                return;
            }
        }
    }

    async fn call(&self, stream: &mut Stream, frame: &Frame) -> bool {
        let script = self.script.borrow().clone();
        let reply = match Request::decode(frame).expect("a good request") {
            Request::Status { call } => {
                Reply::Status { call, status: Box::new(status(self.node, script.hint)) }
            }
            Request::Append(append) => {
                let event = EventFrame::parse(append.frames).unwrap();
                let seen = Seen {
                    number: event.data()[0],
                    id: event.id().to_bytes(),
                    retry_since: append.retry_since,
                };
                self.seen.lock().unwrap().push(seen);
                match answer(append.call, script.answers) {
                    Some(reply) => reply,
                    None => return true,
                }
            }
            Request::Transfer { call, to } => Reply::Transferred {
                call,
                from: format!("n{}", self.node),
                to: to.unwrap_or_default(),
                epoch: 2,
                took_us: 1500,
            },
            other => panic!("a fake node does not know {other:?}"),
        };
        stream.try_reply(&reply).await
    }
}

fn answer(call: CallId, answers: Answers) -> Option<Reply<'static>> {
    match answers {
        Answers::Writes => Some(appended(call, 0)),
        Answers::Refuses(leader) => {
            let leader = leader.map(NodeId::from_wire);
            Some(Reply::Refused { call, rejection: Rejection::NotLeader { leader } })
        }
        Answers::Loses => {
            let (call, code) = (Some(call), ErrorCode::LeadershipLost);
            Some(Reply::Failed { call, code, message: "it leads no more" })
        }
        Answers::Waits => None,
    }
}

fn status(node: u64, hint: Option<LeaderHint>) -> NodeStatus {
    NodeStatus {
        version: "0.1.0".into(),
        cluster: [0xC1; 16],
        group: 1,
        lineage: [0x11; 16],
        node,
        serving: Serving::Everything,
        epoch: hint.map_or(0, |hint| hint.epoch),
        committed_index: 1,
        committed_position: super::COMMITTED,
        events: 1,
        uptime_seconds: 1,
        data: "/tmp".into(),
        disk: "memory".into(),
        warnings: Vec::new(),
        replication: GroupStatus {
            name: format!("n{node}"),
            zone: "a".into(),
            role: Role::Follower,
            leader: hint.map(|hint| hint.node),
            voters: 3,
            tolerates: Tolerates { nodes: 1, zones: 1 },
            commit_p99_us: 0,
            members: Vec::new(),
        },
        details: Vec::new(),
    }
}
