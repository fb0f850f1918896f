//! One election: who gave this node its vote.

use alloc::vec::Vec;

use super::quorum::Quorum;
use crate::id::NodeId;

/// The votes that a candidate has in its epoch.
#[derive(Debug)]
pub(crate) struct Election {
    granted: Vec<NodeId>,
}

impl Election {
    /// No votes yet.
    pub(crate) const fn new() -> Self {
        Self { granted: Vec::new() }
    }

    /// Counts a durable vote; each voter's once, however often it is heard.
    pub(crate) fn grant(&mut self, voter: NodeId) {
        if !self.granted.contains(&voter) {
            self.granted.push(voter);
        }
    }

    /// Whether the votes are enough.
    pub(crate) fn is_won(&self, quorum: Quorum) -> bool {
        self.granted.len() >= quorum.elect
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vote_counts_once() {
        let mut election = Election::new();
        for _ in 0..2 {
            election.grant(NodeId::from_wire(1));
            assert!(election.is_won(Quorum::of(1)));
            assert!(!election.is_won(Quorum::of(3)));
        }
        election.grant(NodeId::from_wire(2));
        assert!(election.is_won(Quorum::of(3)));
    }
}
