//! The other nodes of the group: how this one finds them, comes to be of one group with them, and
//! keeps a link to each.
//!
//! - [`hello`] says what two nodes are to each other, [`refusal`] why they may be nothing.
//! - [`founding`] decides who founds a group; [`roster`] remembers who is there.
//! - [`dial`] dials addresses, [`conversation`] is one connection from its hellos to its end.
//! - [`link`] carries frames on three lanes with an [`outbox`] each; [`Links`] is what the driver
//!   sees of it.

mod conversation;
mod dial;
mod founding;
mod hello;
mod link;
mod links;
mod outbox;
mod refusal;
mod roster;
#[cfg(test)]
mod tests;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use quinn::{Connection, Endpoint};
use quorate_core::id::{ClusterId, DiskId, GroupId, Lineage, NodeId};
use quorate_core::log::entry::LogId;
use quorate_core::member::{Members, Name};
use quorate_net::wire::peer::{Founding, PROTOCOL_VERSION, PeerHello};
use quorate_net::{Frame, PeerConnector, WireError};
use quorate_storage::superblock::SuperblockError;
use tokio::sync::Notify;

use self::founding::Gathering;
use self::roster::{Roster, impossible, too_many};
use crate::admin::{Phase, Shared};
use crate::driver::Driver;
use crate::logger::{Fields, Logger};
use crate::watch;
use quorate_net::environment::random;

pub use self::link::{CLOSE_REFUSED, Inbound};
pub use self::links::Links;
pub use self::refusal::Refusal;

/// What a node tells the others of itself, and where it looks for them.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its name.
    pub node: Name,
    /// Where it stands.
    pub zone: Name,
    /// Its disk.
    pub disk: DiskId,
    /// How many voters the group is to have, or has.
    pub voters: u32,
    /// Where it can be reached, as `host:port`.
    pub address: String,
    /// Where others may be, as `host:port` each; perhaps itself.
    pub join: Vec<String>,
    /// The length of the log's segments, should this node found the group.
    pub segment_bytes: u32,
    /// Log bytes to which entries are gathered for one message.
    pub message_bytes_target: u32,
    /// How long another node may take to say hello.
    pub hello_timeout: Duration,
}

/// Makes a group durable in this node's superblock.
pub type MakeDurable = Box<dyn Fn(&Founding) -> Result<(), SuperblockError>>;

/// Whether the node belongs to a group, or can't any more.
type Standing = Option<Result<Founding, SuperblockError>>;

/// The other nodes.
pub struct Peers {
    settings: Settings,
    endpoint: Endpoint,
    connector: PeerConnector,
    links: Rc<Links>,
    shared: Arc<Shared>,
    logger: Logger,
    make_durable: MakeDurable,
    group: watch::Sender<Standing>,
    inbound: watch::Sender<Option<Weak<dyn Inbound>>>,
    roster: RefCell<Roster>,
    /// Who is spoken with by the one of the two that dials, and on how many connections.
    talking: watch::Sender<BTreeMap<Name, u32>>,
    targets: RefCell<BTreeSet<String>>,
    /// Wakes all that wait to dial again.
    nudge: Notify,
    /// Why this process must not go on as the node that it is.
    doubled: watch::Sender<Option<Refusal>>,
    /// Hellos of this very node that have come to it.
    own_hellos: Cell<u64>,
    conversations: Cell<u64>,
}

impl fmt::Debug for Peers {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Peers").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// What a node needs to speak with others.
pub struct Parts {
    /// Of this node, for clients as well.
    pub endpoint: Endpoint,
    /// With this node's certificate.
    pub connector: PeerConnector,
    /// Where the driver finds the links.
    pub links: Rc<Links>,
    /// Where people see what the node waits for.
    pub shared: Arc<Shared>,
    /// Where log lines go.
    pub logger: Logger,
    /// Called at most once, where the node does not belong to a group yet.
    pub make_durable: MakeDurable,
}

impl Peers {
    /// Takes up a node.
    ///
    /// - `group`: the one that its disk belongs to, if any
    #[must_use]
    pub fn new(settings: Settings, group: Option<Founding>, parts: Parts) -> Rc<Self> {
        let Parts { endpoint, connector, links, shared, logger, make_durable } = parts;
        let peers = Self {
            settings,
            endpoint,
            connector,
            links,
            shared,
            logger,
            make_durable,
            group: watch::Sender::new(group.map(Ok)),
            inbound: watch::Sender::new(None),
            roster: RefCell::default(),
            talking: watch::Sender::default(),
            targets: RefCell::default(),
            nudge: Notify::new(),
            doubled: watch::Sender::default(),
            own_hellos: Cell::new(0),
            conversations: Cell::new(0),
        };
        peers.note_address(&peers.hello());
        Rc::new(peers)
    }

    /// Begins to look for the others. Must run where local tasks can be spawned.
    pub fn start(self: &Rc<Self>) {
        self.consider();
        for address in &self.settings.join {
            self.add_target(address, None);
        }
    }

    /// Waits until the node belongs to a group.
    ///
    /// # Errors
    ///
    /// [`SuperblockError`] where it can't be made durable: the node must stop.
    ///
    /// # Panics
    ///
    /// Never: the node itself holds what is waited for.
    pub async fn founded(&self) -> Result<Founding, SuperblockError> {
        let mut group = self.group.subscribe();
        let known = group.wait_for(Option::is_some).await.expect("this node holds the other side");
        known.clone().expect("it was waited for")
    }

    /// Waits until another process is found that runs with a copy of this node's folder: both would
    /// vote and acknowledge in the name of one node, so this one must stop.
    ///
    /// # Panics
    ///
    /// Never: the node itself holds what is waited for.
    pub async fn doubled(&self) -> Refusal {
        let mut doubled = self.doubled.subscribe();
        let found =
            doubled.wait_for(Option::is_some).await.expect("this node holds the other side");
        found.clone().expect("it was waited for")
    }

    /// Frames go there from now on, and no longer to what was attached before. Links come up, and are
    /// told of if they are up already. It is not kept alive by that.
    pub fn attach(&self, inbound: &Rc<dyn Inbound>) {
        self.inbound.send_replace(Some(Rc::downgrade(inbound)));
        for node in self.links.up() {
            inbound.peer_up(node);
        }
    }

    /// Tells what takes frames now of something.
    fn tell_inbound(&self, tell: impl FnOnce(&dyn Inbound)) {
        // What is gone wants to know of nothing.
        if let Some(inbound) = taker(&self.inbound.borrow()) {
            tell(&*inbound);
        }
    }

    /// Serves a connection that another node has made, to its end.
    ///
    /// - `peer`: its name, by its certificate
    pub async fn accept(self: &Rc<Self>, connection: Connection, peer: Name) {
        // The other node dials again, if it is its turn.
        let _ended = self.converse(connection, peer, None).await;
    }

    /// What this node says of itself.
    fn hello(&self) -> PeerHello {
        let settings = &self.settings;
        let founding = match &*self.group.borrow() {
            Some(Ok(founding)) => Some(founding.clone()),
            Some(Err(_)) | None => None,
        };
        PeerHello {
            protocol: PROTOCOL_VERSION,
            version: env!("CARGO_PKG_VERSION").into(),
            node: settings.node,
            zone: settings.zone,
            disk: settings.disk,
            address: settings.address.clone(),
            voters: settings.voters,
            founding,
        }
    }

    /// Founds the group if it is time, and tells people what the node waits for if not.
    fn consider(&self) {
        if self.group.borrow().is_some() {
            return;
        }
        let own = self.hello();
        let gathered = self.roster.borrow().gather(&own);
        let problem = match &gathered {
            Gathering::Found(members) => return self.found(**members),
            Gathering::TooMany(seen) => Some(too_many(seen, own.voters)),
            Gathering::Impossible(error) => Some(impossible(error)),
            Gathering::Elsewhere | Gathering::Waiting(_) | Gathering::NotFirst(_) => None,
        };
        if let Some(problem) = problem
            && self.roster.borrow_mut().complain("", &problem)
        {
            self.logger.warn("not-founded", &problem, &[]);
        } else {
            self.roster.borrow_mut().praise("");
        }
        self.show(&gathered);
    }

    fn show(&self, gathered: &Gathering) {
        let text = self.roster.borrow().waits_for(gathered, self.settings.voters);
        let phase = Phase::Starting(text);
        if self.shared.health.phase() != phase && self.shared.health.phase() != Phase::Stopping {
            self.shared.health.enter(phase.clone());
            if let Phase::Starting(text) = &phase {
                self.logger.info("waiting", text, &[]);
            }
        }
    }

    /// Something is wrong with a node; whether that is new.
    fn complain(&self, who: &str, text: &str) -> bool {
        let is_new = self.roster.borrow_mut().complain(who, text);
        if is_new {
            self.consider();
        }
        is_new
    }

    /// A node was there that may belong to a group.
    fn see(&self, their: &PeerHello) {
        if their.founding.is_some() {
            self.roster.borrow_mut().see_founded();
            self.consider();
        }
    }

    fn found(&self, members: Members) {
        let log = LogId {
            cluster: ClusterId::from_bytes(random()),
            group: GroupId::from_wire(1),
            lineage: Lineage::from_bytes(random()),
        };
        self.settle(Founding { log, segment_bytes: self.settings.segment_bytes, members });
    }

    /// The node belongs to this group from now on.
    fn settle(&self, founding: Founding) {
        let settled = (self.make_durable)(&founding);
        if settled.is_ok() {
            let nodes = refusal::names(founding.members.iter().map(|member| &member.name));
            let fields: Fields<'_> = &[("cluster", &founding.log.cluster), ("nodes", &nodes)];
            self.logger.info("group-founded", "the node belongs to a group now", fields);
        }
        self.group.send_replace(Some(settled.map(|()| founding)));
        self.note_address(&self.hello());
    }

    /// Notes where a member can be reached.
    fn note_address(&self, hello: &PeerHello) {
        if let Some(Ok(founding)) = &*self.group.borrow()
            && let Some(member) = founding.members.by_name(&hello.node)
        {
            self.links.set_address(member.node, &hello.address);
        }
    }

    /// Notes that a node is spoken with, for as long as the answer lives.
    fn talk(&self, node: Name) -> Talking<'_> {
        self.talking.send_modify(|talking| *talking.entry(node).or_default() += 1);
        Talking { peers: self, node }
    }

    fn is_talking(&self, node: Name) -> bool {
        self.talking.borrow().contains_key(&node)
    }

    /// Waits until a node is not spoken with.
    async fn until_silent(&self, node: Name) {
        let mut talking = self.talking.subscribe();
        let silent = talking.wait_for(|talking| !talking.contains_key(&node)).await;
        drop(silent.expect("this node holds the other side"));
    }
}

/// What takes frames, if it is still there.
fn taker(attached: &Option<Weak<dyn Inbound>>) -> Option<Rc<dyn Inbound>> {
    attached.as_ref()?.upgrade()
}

/// A node is spoken with.
struct Talking<'a> {
    peers: &'a Peers,
    node: Name,
}

impl Drop for Talking<'_> {
    fn drop(&mut self) {
        self.peers.talking.send_modify(|talking| {
            let count = talking.get_mut(&self.node).expect("it was counted");
            *count -= 1;
            if *count == 0 {
                talking.remove(&self.node);
            }
        });
    }
}

impl Inbound for Driver {
    fn receive(&self, from: NodeId, frame: &Frame) -> Result<(), WireError> {
        Self::receive(self, from, frame)
    }

    fn peer_up(&self, node: NodeId) {
        Self::peer_up(self, node);
    }

    fn peer_down(&self, node: NodeId) {
        Self::peer_down(self, node);
    }
}
