//! The commit rule: an entry is committed once a quorum has it on stable storage.

use crate::id::LogIndex;
use crate::member::MEMBERS_MAX;

/// The last entry that so many nodes have on stable storage.
///
/// - `durable`: for each voter the last entry that it has, with all before it
/// - `quorum`: how many must have it
pub(crate) fn reached(durable: impl Iterator<Item = LogIndex>, quorum: usize) -> LogIndex {
    let mut sorted = [LogIndex::ZERO; MEMBERS_MAX];
    for (slot, index) in sorted.iter_mut().zip(durable) {
        *slot = index;
    }
    sorted.sort_unstable_by(|a, b| b.cmp(a));
    sorted[quorum - 1]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consensus::quorum::Quorum;

    fn check(durable: &[u64], expected: u64) {
        let quorum = Quorum::of(durable.len()).commit;
        let reached = reached(durable.iter().map(|it| LogIndex::from_wire(*it)), quorum);
        assert_eq!(reached.get(), expected, "{durable:?}");
    }

    #[test]
    fn a_majority_commits() {
        check(&[4], 4);
        check(&[4, 2], 2);
        check(&[4, 9, 2], 4);
        check(&[9, 0, 0], 0);
        check(&[1, 2, 3, 4], 2);
        check(&[5, 4, 3, 2, 1], 3);
    }
}
