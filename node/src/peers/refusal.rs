//! Why two nodes don't belong together, in words for the person who runs them.
//!
//! Both sides judge by the same two hellos, so each text names nodes instead of "this" and "the
//! other": the same sentence stands in both logs.

use quorate_core::id::{ClusterId, DiskId, Lineage};
use quorate_core::member::Name;

/// Why two nodes don't belong together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// They speak different versions.
    #[error(
        "{node} speaks version {theirs} of the protocol between nodes, and {own} version {ours}: \
         run the same version of quorate on all nodes"
    )]
    OtherProtocol {
        /// The one that refuses.
        own: Name,
        /// Its version.
        ours: u32,
        /// The other one.
        node: Name,
        /// Its version.
        theirs: u32,
    },
    /// It says that it is another node than its certificate is for.
    #[error(
        "a node says that it is {said}, but its certificate is for {certified}: start it with \
         --node {certified}, or give it a certificate of its own with `quorate cert issue {said}`"
    )]
    OtherCertificate {
        /// By its hello.
        said: Name,
        /// By its certificate.
        certified: Name,
    },
    /// Two nodes have one name.
    #[error(
        "two nodes are called {node}: one with disk {ours}, and one with disk {theirs} at \
         {address}. Give each node a name of its own with --node, and never run a copy of a data \
         folder beside the folder itself"
    )]
    TwoOfOneName {
        /// The name.
        node: Name,
        /// The disk of the one that refuses.
        ours: DiskId,
        /// The disk of the other one.
        theirs: DiskId,
        /// Where the other one is.
        address: String,
    },
    /// Two processes are one node.
    #[error(
        "{node} runs twice, with copies of one data folder (disk {disk}): here, and at {address}. \
         Each would vote as if the other had not, so this one stops: keep the folder that the node \
         has used last, and remove the copy"
    )]
    RunsTwice {
        /// Which node.
        node: Name,
        /// The disk of both.
        disk: DiskId,
        /// Where the other process is.
        address: String,
    },
    /// They were founded apart.
    #[error(
        "{own} is of cluster {ours} and {node} of cluster {theirs}: they were founded apart, and \
         neither takes anything from the other. Check --join and --data of both"
    )]
    OtherCluster {
        /// The one that refuses.
        own: Name,
        /// Its cluster.
        ours: ClusterId,
        /// The other one.
        node: Name,
        /// Its cluster.
        theirs: ClusterId,
    },
    /// They have different histories.
    #[error(
        "{own} and {node} are of one cluster, but of different histories of it ({ours} and \
         {theirs}): the log of one of them was forked, and can't go on with the other's"
    )]
    OtherLineage {
        /// The one that refuses.
        own: Name,
        /// Its history.
        ours: Lineage,
        /// The other one.
        node: Name,
        /// Its history.
        theirs: Lineage,
    },
    /// It has not the disk that it was founded with.
    #[error(
        "{node} has lost its data folder or has another node's: its disk is {found}, the group was \
         founded with {expected}. The group is safe and goes on without it; bring the folder back, \
         or replace the node"
    )]
    OtherDisk {
        /// Which node.
        node: Name,
        /// The disk that it has.
        found: DiskId,
        /// The disk that it was founded with.
        expected: DiskId,
    },
    /// It is no member.
    #[error(
        "{node} is no node of the group, which was founded as {members}: start it with the name that it \
         has there, or take the group's addresses out of its --join"
    )]
    NoMember {
        /// Which node.
        node: Name,
        /// Those that are, by name.
        members: String,
    },
    /// They were told different sizes of the group.
    #[error(
        "{node} was told that the group has {theirs} voters, and {own} that it has {ours}: give \
         all nodes the same --voters, or as many addresses in --join"
    )]
    OtherVoters {
        /// The one that refuses.
        own: Name,
        /// How many it was told.
        ours: u32,
        /// The other one.
        node: Name,
        /// How many that was told.
        theirs: u32,
    },
}

/// Names, one after the other.
pub(super) fn names<'a>(names: impl Iterator<Item = &'a Name>) -> String {
    names.map(Name::as_str).collect::<Vec<_>>().join(", ")
}
