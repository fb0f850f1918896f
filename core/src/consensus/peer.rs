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
    rtt: LeastRtt,
}

recorded!(struct Peer { node, rank, up, heard, rtt });

/// So many round trips are a window: some seconds, by the interval of pings.
const RTT_WINDOW: u32 = 16;

/// The least of the last round trips, in nanoseconds; zeros until measured.
///
/// What is asked for is how far away a node is, for a leader's place depends on that. How busy both
/// ends are is in most round trips, and a leader is always the busiest: by their mean its place would
/// look the worst of all under load. The least one has next to nothing of it (RFC 9002 takes `min_rtt`
/// for the same reason). It is that of two windows, so that a longer way is noticed, too.
#[derive(Clone, Copy, Debug, Default)]
struct LeastRtt {
    /// Of the window that is over.
    before: u64,
    /// Of the one that goes on.
    now: u64,
    /// So many are in it.
    count: u32,
}

recorded!(struct LeastRtt { before, now, count });

impl LeastRtt {
    const NONE: Self = Self { before: 0, now: 0, count: 0 };

    const fn add(&mut self, nanos: u64) {
        if self.count == RTT_WINDOW {
            *self = Self { before: self.now, ..Self::NONE };
        }
        self.now = Self::lesser(self.now, nanos);
        self.count += 1;
    }

    const fn get(&self) -> u64 {
        Self::lesser(self.before, self.now)
    }

    /// The lesser of two, of which a zero is none.
    const fn lesser(one: u64, other: u64) -> u64 {
        if one == 0 || (other > 0 && other < one) { other } else { one }
    }
}

impl Peer {
    pub(crate) const fn new(node: NodeId, rank: u32) -> Self {
        Self { node, rank, up: false, heard: None, rtt: LeastRtt::NONE }
    }

    /// Takes in a round trip.
    pub(crate) const fn measured(&mut self, nanos: u64) {
        self.rtt.add(nanos);
    }

    /// The round trip in nanoseconds; `None` until it was measured, and without a link.
    pub(crate) fn rtt_nanos(&self) -> Option<u64> {
        let nanos = self.rtt.get();
        (self.up && nanos > 0).then_some(nanos)
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

    #[test]
    fn how_busy_a_node_is_does_not_make_it_farther() {
        let mut peer = Peer::new(NodeId::from_wire(2), 0);
        peer.up = true;
        assert_eq!(peer.rtt_nanos(), None);
        for place in 0..10 * u64::from(RTT_WINDOW) {
            peer.measured(if place % 10 == 0 { 300 } else { 3000 + place });
            assert_eq!(peer.rtt_nanos(), Some(300));
        }
        // A longer way is known once two windows are past.
        for _ in 0..2 * RTT_WINDOW {
            peer.measured(900);
        }
        assert_eq!(peer.rtt_nanos(), Some(900));
    }
}
