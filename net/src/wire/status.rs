//! How a node is, for people and for scripts.

use rkyv::{Archive, Deserialize, Serialize};

/// What a node can do now.
#[derive(Archive, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Serving {
    /// It takes appends and serves reads.
    Everything,
    /// It serves reads; appends are refused because the disk is full.
    ReadsDiskFull,
    /// It is not ready yet: it recovers, or has no leader.
    NotYet,
    /// It is stopping.
    NoMore,
}

/// One more fact: a stable name for scripts and what stands behind it.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct Detail {
    /// A stable name with its unit, such as `log_bytes`.
    pub name: String,
    /// A number or a word.
    pub value: String,
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
    /// All else, in the order in which it is shown.
    pub details: Vec<Detail>,
}
