//! Which followers keep up with their leader.
//!
//! One that answers and yet stores nothing, or is still far behind, does not stand in for another
//! that is lost: appends would have to wait for it. Some entries that are under way are no sign of
//! that, so what counts is what was committed a while before.

use quorate_core::PeerView;
use quorate_core::id::{LogIndex, NodeId};

/// What a leader saw when it last looked.
#[derive(Debug, Default)]
pub(super) struct Keeping {
    /// Committed then.
    committed: LogIndex,
    /// Followers that lacked some of what was committed the time before.
    behind: Vec<NodeId>,
}

impl Keeping {
    /// Looks again; once in a while.
    ///
    /// - `committed`: how far; `None` where the node does not lead
    pub(super) fn look(
        &mut self,
        committed: Option<LogIndex>,
        peers: impl Iterator<Item = PeerView>,
    ) {
        let before = std::mem::replace(&mut self.committed, committed.unwrap_or(LogIndex::ZERO));
        let lacks = |peer: &PeerView| peer.progress.is_some_and(|it| it.durable < before);
        self.behind.clear();
        self.behind.extend(peers.filter(lacks).map(|peer| peer.node));
    }

    /// Whether a follower has what was committed some time ago, and can store more.
    pub(super) fn keeps_up(&self, peer: &PeerView) -> bool {
        peer.progress.is_none_or(|it| it.fit) && !self.behind.contains(&peer.node)
    }
}

#[cfg(test)]
mod tests {
    use quorate_core::PeerProgress;

    use super::*;

    fn peer(durable: u64, fit: bool) -> PeerView {
        let (durable, committed) = (LogIndex::from_wire(durable), LogIndex::ZERO);
        let progress = Some(PeerProgress { durable, committed, fit });
        PeerView { node: NodeId::from_wire(2), up: true, heard: None, rtt_nanos: None, progress }
    }

    fn look(keeping: &mut Keeping, committed: u64, peer: PeerView) -> bool {
        keeping.look(Some(LogIndex::from_wire(committed)), [peer].into_iter());
        keeping.keeps_up(&peer)
    }

    #[test]
    fn a_follower_is_behind_that_lacks_what_was_committed_long_ago() {
        let mut keeping = Keeping::default();
        assert!(look(&mut keeping, 100, peer(1, true)), "it may be under way");
        assert!(!look(&mut keeping, 200, peer(99, true)));
        assert!(look(&mut keeping, 300, peer(200, true)), "it has caught up");
        assert!(look(&mut keeping, 300, peer(300, true)));
        assert!(look(&mut keeping, 300, peer(300, true)), "nothing is written");
    }

    #[test]
    fn a_follower_whose_disk_takes_no_more_does_not_keep_up() {
        let mut keeping = Keeping::default();
        assert!(!look(&mut keeping, 100, peer(100, false)));
        assert!(look(&mut keeping, 100, peer(100, true)));
    }

    #[test]
    fn who_does_not_lead_knows_of_nobody_who_is_behind() {
        let mut keeping = Keeping::default();
        look(&mut keeping, 100, peer(1, true));
        assert!(!look(&mut keeping, 100, peer(1, true)));
        let unknown = PeerView { progress: None, ..peer(0, true) };
        keeping.look(None, [unknown].into_iter());
        assert!(keeping.keeps_up(&unknown));
        assert!(look(&mut keeping, 100, peer(1, true)), "another reign begins");
    }
}
