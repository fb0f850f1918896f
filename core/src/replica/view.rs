//! What a replica is and knows, for people, metrics and checkers to look at.

use crate::consensus::{Consensus, PeerProgress, Role};
use crate::id::{Epoch, NodeId};
use crate::log::entry::LogEnd;
use crate::log::tail::Tail;
use crate::message::Tip;
use crate::time::Instant;

/// What a node is in its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RoleView {
    /// It takes what a leader sends, or waits for one.
    Follower,
    /// It asks whether it would be elected.
    PreCandidate,
    /// It asks to be elected.
    Candidate,
    /// It was elected, and its epoch record is not committed yet.
    Elected,
    /// It leads.
    Leader,
}

impl RoleView {
    /// Whether it was elected.
    #[must_use]
    pub const fn leads(self) -> bool {
        matches!(self, Self::Elected | Self::Leader)
    }

    /// In one word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Follower => "follower",
            Self::PreCandidate | Self::Candidate => "candidate",
            Self::Elected | Self::Leader => "leader",
        }
    }
}

/// What a replica is and knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    /// What it is.
    pub role: RoleView,
    /// The newest epoch that it has promised to, perhaps not on disk yet.
    pub epoch: Epoch,
    /// Who has its vote in that epoch.
    pub voted_for: Option<NodeId>,
    /// Who leads, as far as it knows.
    pub leader: Option<NodeId>,
    /// Behind the last entry that it knows to be committed and shows to readers.
    pub committed: LogEnd,
    /// Behind the last entry in its log, on disk or not.
    pub end: LogEnd,
    /// The last entry on its disk, with all before it.
    pub durable: Tip,
}

impl View {
    pub(super) fn of(consensus: &Consensus, tail: &Tail) -> Self {
        let role = match consensus.role() {
            Role::Follower => RoleView::Follower,
            Role::PreCandidate(_) => RoleView::PreCandidate,
            Role::Candidate(_) => RoleView::Candidate,
            Role::Leader(_) if consensus.is_ready() => RoleView::Leader,
            Role::Leader(_) => RoleView::Elected,
        };
        Self {
            role,
            epoch: consensus.epoch(),
            voted_for: consensus.voted_for(),
            leader: consensus.leader(),
            committed: *tail.committed(),
            end: *tail.end(),
            durable: consensus.disk.durable(),
        }
    }
}

/// Another voter, as one node sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerView {
    /// Which node.
    pub node: NodeId,
    /// Whether there is a link to it.
    pub up: bool,
    /// When it last said anything.
    pub heard: Option<Instant>,
    /// How long a round trip takes, in nanoseconds, where that was measured.
    pub rtt_nanos: Option<u64>,
    /// Where this node leads: how far that one is, as far as it has said.
    pub progress: Option<PeerProgress>,
}

impl PeerView {
    pub(super) fn all(consensus: &Consensus) -> impl Iterator<Item = Self> + '_ {
        consensus.peers().iter().map(|peer| Self {
            node: peer.node,
            up: peer.up,
            heard: peer.heard,
            rtt_nanos: peer.rtt_nanos(),
            progress: consensus.progress_of(peer.node),
        })
    }
}
