//! How a node is, for people and for scripts.

use rkyv::{Archive, Deserialize, Serialize};

/// What a node can do now.
#[derive(Archive, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Serving {
    /// It takes appends and serves reads.
    Everything,
    /// It serves reads; appends are refused because the disk is full.
    ReadsDiskFull,
    /// It is not ready yet: it recovers.
    NotYet,
    /// It is stopping.
    NoMore,
    /// It knows no leader: it takes no appends, and serves what it knows to be committed to those who
    /// ask for no more.
    WithoutLeader,
}

/// One more fact: a stable name for scripts and what stands behind it.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct Detail {
    /// A stable name with its unit, such as `log_bytes`.
    pub name: String,
    /// A number or a word.
    pub value: String,
}

/// What a node is within its group.
#[derive(Archive, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It leads: it takes appends and has them copied.
    Leader,
    /// It copies what the leader sends.
    Follower,
    /// It stands for election.
    Candidate,
    /// It has no vote yet: its disk is new, or it must catch up first.
    Learner,
    /// Nobody knows: it has not been heard of.
    Unknown,
}

impl Role {
    /// A stable word for scripts.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Leader => "leader",
            Self::Follower => "follower",
            Self::Candidate => "candidate",
            Self::Learner => "learner",
            Self::Unknown => "unknown",
        }
    }
}

/// How many the group can lose, one kind or the other, and go on taking appends.
#[derive(Archive, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tolerates {
    /// Nodes.
    pub nodes: u32,
    /// Zones, with all nodes in them.
    pub zones: u32,
}

/// How far a member is.
#[derive(Archive, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemberProgress {
    /// Index of the last entry on its disk.
    pub durable_index: u64,
    /// Index of the last entry that it knows to be committed.
    pub committed_index: u64,
    /// Events that it lacks.
    pub lag_events: u64,
}

/// A member of the group, as the node that tells sees it.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct MemberStatus {
    /// The node within the cluster.
    pub node: u64,
    /// Its name.
    pub name: String,
    /// The zone that it stands in.
    pub zone: String,
    /// Where clients reach it, as `host:port`; empty where that is not known.
    pub address: String,
    /// What it is.
    pub role: Role,
    /// How far it is; the leader alone is told, and only by those that it has heard in its epoch.
    pub progress: Option<MemberProgress>,
    /// The time to it and back.
    pub rtt_us: Option<u64>,
    /// Since it was last heard of.
    pub last_contact_ms: Option<u64>,
    /// Whether it answers.
    pub reachable: bool,
    /// Whether it has what was committed a while ago, and can store more; true where nobody knows.
    pub keeps_up: bool,
    /// How its disk is, in a word or a sentence.
    pub disk: String,
}

/// The group that the node belongs to, and its own part in it.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct GroupStatus {
    /// The node's name.
    pub name: String,
    /// The zone that it stands in.
    pub zone: String,
    /// What it is.
    pub role: Role,
    /// The node that leads in the status' epoch, as far as this one knows.
    pub leader: Option<u64>,
    /// Nodes with a vote.
    pub voters: u32,
    /// What can be lost now.
    pub tolerates: Tolerates,
    /// Of a hundred entries, 99 were committed within this since they were begun to be written.
    pub commit_p99_us: u64,
    /// All members, the node itself among them.
    pub members: Vec<MemberStatus>,
}

/// How a node is.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct NodeStatus {
    /// Version of the program.
    pub version: String,
    /// The cluster's id.
    pub cluster: [u8; 16],
    /// The group within it.
    pub group: u64,
    /// The group's history.
    pub lineage: [u8; 16],
    /// The node within the cluster.
    pub node: u64,
    /// What it can do now.
    pub serving: Serving,
    /// The leader's reign.
    pub epoch: u64,
    /// Index of the last committed entry.
    pub committed_index: u64,
    /// The address behind the last committed entry.
    pub committed_position: u64,
    /// Events in the log.
    pub events: u64,
    /// Since the process started.
    pub uptime_seconds: u64,
    /// The data folder.
    pub data: String,
    /// What writes to the disk, such as `io_uring` or `fallback`.
    pub disk: String,
    /// What a person should know and perhaps mend, as sentences.
    pub warnings: Vec<String>,
    /// Its group.
    pub replication: GroupStatus,
    /// All else, in the order in which it is shown.
    pub details: Vec<Detail>,
}
