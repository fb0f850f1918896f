//! Another voter, as far as every node knows it: the link, and how long a round trip takes.

use crate::id::NodeId;
use crate::recording::recorded;
use crate::time::Instant;

/// One of the other voters.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) node: NodeId,
    /// How little it is wanted as a leader.
    pub(crate) rank: u32,
    /// Whether there is a link.
    pub(crate) up: bool,
    /// When it was last heard.
    pub(crate) heard: Option<Instant>,
    /// Exponentially weighted mean of the round trip, in nanoseconds; zero until measured.
    rtt_nanos: u64,
}

recorded!(struct Peer { node, rank, up, heard, rtt_nanos });

/// A new measurement counts for one in so many.
const RTT_WEIGHT: u64 = 8;

impl Peer {
    pub(crate) const fn new(node: NodeId, rank: u32) -> Self {
        Self { node, rank, up: false, heard: None, rtt_nanos: 0 }
    }

    /// Takes in a round trip.
    pub(crate) const fn measured(&mut self, nanos: u64) {
        self.rtt_nanos = if self.rtt_nanos == 0 {
            nanos
        } else {
            (self.rtt_nanos * (RTT_WEIGHT - 1) + nanos) / RTT_WEIGHT
        };
    }

    /// The round trip in nanoseconds; `None` until it was measured, and without a link.
    pub(crate) fn rtt_nanos(&self) -> Option<u64> {
        (self.up && self.rtt_nanos > 0).then_some(self.rtt_nanos)
    }
}

/// How long a round trip to the nearest peers that make a majority with this node takes, in
/// nanoseconds; zero while that is not known.
///
/// - `others`: how many peers that takes
pub(crate) fn quorum_rtt_nanos(peers: &[Peer], others: usize) -> u64 {
    let Some(place) = others.checked_sub(1) else { return 0 };
    let mut known = [u64::MAX; crate::member::MEMBERS_MAX];
    for (slot, peer) in known.iter_mut().zip(peers) {
        *slot = peer.rtt_nanos().unwrap_or(u64::MAX);
    }
    known.sort_unstable();
    if known[place] == u64::MAX { 0 } else { known[place] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_majority_counts() {
        let peer = |node, rtt| {
            let mut peer = Peer::new(NodeId::from_wire(node), 0);
            peer.up = true;
            peer.measured(rtt);
            peer
        };
        let peers = [peer(2, 900), peer(3, 100)];
        assert_eq!(quorum_rtt_nanos(&peers, 1), 100);
        assert_eq!(quorum_rtt_nanos(&peers, 2), 900);
        assert_eq!(quorum_rtt_nanos(&peers, 0), 0);
        assert_eq!(quorum_rtt_nanos(&[Peer::new(NodeId::from_wire(2), 0)], 1), 0);
    }
}
