//! A scenario with nothing left open: all names are places in lists, all defaults are filled in,
//! all times are nanoseconds. Both tiers run this, and nothing else.

use super::assertion::Assertion;
use super::distribution::Distribution;
use super::fault::{Fault, FaultKind, FaultName};
use quorate_storage::disk::simulated::Survival;

/// Virtual nanoseconds.
pub type Nanos = u64;

/// A share of one, in parts per billion, so that it is compared without rounding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share(pub u32);

impl Share {
    /// Never.
    pub const NONE: Self = Self(0);
    /// Always.
    pub const ALL: Self = Self(1_000_000_000);

    /// Of a number from 0 to 1.
    #[must_use]
    pub fn of(number: f64) -> Option<Self> {
        (0.0..=1.0).contains(&number).then(|| Self((number * 1e9).round() as u32))
    }

    /// As a number from 0 to 1.
    #[must_use]
    pub fn number(self) -> f64 {
        f64::from(self.0) / 1e9
    }
}

/// All there is to a scenario.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    /// Names the run folder, too.
    pub name: String,
    /// What it is about, in a sentence or two.
    pub description: Option<String>,
    /// How long, and under what circumstances.
    pub run: Run,
    /// Availability zones.
    pub zones: Vec<String>,
    /// One for each pair of zones and each zone with itself, `a <= b`, in order.
    pub links: Vec<Link>,
    /// Models of disks.
    pub disks: Vec<DiskModel>,
    /// What the nodes have in common.
    pub group: Group,
    /// The voters, in the order of their names.
    pub nodes: Vec<Node>,
    /// Who sends what.
    pub clients: Vec<Client>,
    /// What goes wrong.
    pub faults: Vec<Fault>,
    /// How a swarm varies it.
    pub swarm: Swarm,
    /// What must hold.
    pub asserts: Vec<Assertion>,
    /// A deliberate mistake in the core, or a leak, by name: to see that it is noticed.
    pub mutant: Option<String>,
}

/// How long a run is, and under what circumstances.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// From the start to the end.
    pub virtual_time: Nanos,
    /// Latencies before this are not counted.
    pub warmup: Nanos,
    /// So long before the end all faults are healed.
    pub settle: Nanos,
    /// The seed, if it is to be always the same.
    pub seed: Option<u64>,
    /// Whether conditional and random faults may take the quorum away.
    pub fault_budget: FaultBudget,
    /// What carries frames between nodes.
    pub network: NetworkModel,
    /// Bounds and timers of the nodes.
    pub sizes: Sizes,
    /// What whole nodes' time is counted in; what the shortest way needs, if not given.
    pub resolution: Option<Nanos>,
}

/// Whether conditional and random faults may take the quorum away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultBudget {
    /// One that would is skipped, and the trace says so.
    KeepQuorum,
    /// They may.
    Any,
}

/// What carries frames between nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetworkModel {
    /// As QUIC does: ordered lanes that lose nothing while their connection lives.
    Streams,
    /// Each frame on its own: lost, doubled, late, or again long after. Worse than any real network.
    Packets,
}

/// Bounds and timers of the nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sizes {
    /// The timers that a node has by default, and bounds large enough for this load.
    Production,
    /// As small as they can be, so that rare things are common.
    Tiny,
}

/// The way between two zones, or between two machines of one.
#[derive(Clone, Debug, PartialEq)]
pub struct Link {
    /// One zone.
    pub a: usize,
    /// The other, or the same.
    pub b: usize,
    /// There and back.
    pub rtt: Distribution,
    /// How many messages are lost.
    pub loss: Loss,
    /// Messages that come twice.
    pub duplicate: Share,
    /// Messages that come much later than those sent after them.
    pub reorder: Share,
    /// Bits a second.
    pub bandwidth: Option<u64>,
}

/// How messages get lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Each with the same chance.
    Even(Share),
    /// In bursts (Gilbert and Elliott).
    Bursts {
        /// Lost in good times.
        good: Share,
        /// Lost in bad times.
        bad: Share,
        /// With each message, good times may end.
        to_bad: Share,
        /// With each message, bad times may end.
        to_good: Share,
    },
}

/// What a disk takes for what.
#[derive(Clone, Debug, PartialEq)]
pub struct DiskModel {
    /// Its name in the scenario.
    pub name: String,
    /// A read or a write.
    pub write: Distribution,
    /// To make it durable, on top.
    pub fsync: Distribution,
    /// Whether a power loss leaves any 4 KiB sectors of what was not durable, or none.
    pub torn_writes: bool,
}

/// What the nodes have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Zones in which a leader is wanted, the most wanted first.
    pub leader_zones: Vec<usize>,
}

/// A voter.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub zone: usize,
    /// What it writes to.
    pub disk: usize,
    /// How far its wall clock is ahead.
    pub clock_offset: i64,
    /// How much too fast its clocks run, in parts per million.
    pub clock_drift_ppm: i64,
}

/// Clients of one kind.
#[derive(Clone, Debug, PartialEq)]
pub struct Client {
    /// With a number behind it where there are several.
    pub name: String,
    /// So many.
    pub count: usize,
    /// Where they are.
    pub zone: usize,
    /// What all of them together want.
    pub loads: Vec<Load>,
}

/// Operations of one kind.
#[derive(Clone, Debug, PartialEq)]
pub struct Load {
    /// Of which kind.
    pub op: Operation,
    /// When the next is due, whatever became of those before.
    pub arrival: Arrival,
    /// From when on.
    pub from: Nanos,
    /// Until when.
    pub until: Option<Nanos>,
    /// A client takes a call for lost that is not answered within this, and tries again.
    pub timeout: Nanos,
}

/// What is wanted.
#[derive(Clone, Debug, PartialEq)]
pub enum Operation {
    /// Append events.
    Append(Append),
    /// All that a stream can be asked for: appends with right and wrong expectations, metadata,
    /// deletes, checks. What the worlds of seeds do.
    Mixed,
    /// A read that sees all that was acknowledged before.
    Read,
    /// A read of what any node has.
    ReadCommitted,
    /// Follow `$all` from its start; the rate says how often it looks.
    Subscribe,
}

/// Appends of one kind.
#[derive(Clone, Debug, PartialEq)]
pub struct Append {
    /// Streams, numbered from 0.
    pub streams: u32,
    /// How much more often the first ones are chosen: zero for all alike (Zipf's exponent).
    pub skew: f64,
    /// Events in an append.
    pub batch: Distribution,
    /// Bytes of an event's data.
    pub payload: Distribution,
    /// What is expected of the stream.
    pub expect: Expect,
}

/// What an append expects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Nothing.
    Any,
    /// The last revision that any client was told of.
    Exact,
    /// That there is no such stream.
    None,
    /// That there is one.
    Exists,
}

/// When operations are due: an open loop, so that a slow server does not get less to do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Arrival {
    /// So many a second, of all clients together.
    pub rate: f64,
    /// At random times, or at equal distances.
    pub is_poisson: bool,
}

/// How a swarm varies a scenario.
#[derive(Clone, Debug, PartialEq)]
pub struct Swarm {
    /// Each run has only some of the kinds of faults.
    pub drops_kinds: bool,
    /// Timed faults move by up to so much.
    pub jitter: Nanos,
    /// Faults beside those of the script, a second.
    pub extra_rate: f64,
    /// Of which kinds.
    pub extra_kinds: Vec<FaultName>,
}

impl Scenario {
    /// How many nodes are a majority.
    #[must_use]
    pub fn quorum(&self) -> usize {
        self.nodes.len() / 2 + 1
    }

    /// The nodes that a fault strikes; its targets are nodes by then.
    pub(crate) fn struck(&self, kind: &FaultKind) -> Vec<usize> {
        match kind {
            FaultKind::ZoneLoss { zone, .. } => {
                (0..self.nodes.len()).filter(|node| self.nodes[*node].zone == *zone).collect()
            }
            _ => kind.targets().iter().map(|target| target.node()).collect(),
        }
    }

    /// What a power loss leaves at a node of what was not durable.
    pub(crate) fn survival(&self, node: usize) -> Survival {
        let is_torn = self.disks[self.nodes[node].disk].torn_writes;
        if is_torn { Survival::Sectors } else { Survival::Nothing }
    }

    /// The way between two zones.
    #[must_use]
    pub fn link(&self, one: usize, other: usize) -> &Link {
        let (a, b) = (one.min(other), one.max(other));
        let found = self.links.iter().find(|link| (link.a, link.b) == (a, b));
        found.expect("there is a link for each pair of zones")
    }

    /// The names of all clients, kind after kind, each with its kind.
    #[must_use]
    pub fn client_names(&self) -> Vec<(String, usize)> {
        let mut names = Vec::new();
        for (kind, client) in self.clients.iter().enumerate() {
            if client.count == 1 {
                names.push((client.name.clone(), kind));
            } else {
                names.extend((1..=client.count).map(|it| (format!("{}{it}", client.name), kind)));
            }
        }
        names
    }

    /// When the last faults end.
    #[must_use]
    pub fn healed_at(&self) -> Nanos {
        self.run.virtual_time - self.run.settle
    }
}
