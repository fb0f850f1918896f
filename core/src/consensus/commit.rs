//! The commit rule: an entry is committed once a quorum has it on stable storage.

use super::progress::Progress;
use super::quorum::Quorum;
use crate::id::LogIndex;

/// The last entry that a quorum has on stable storage.
pub(crate) fn reached(progress: &[Progress], quorum: Quorum) -> LogIndex {
    // The best of those that at least a quorum has reached. Groups are small: no sorting.
    let held_by = |index: LogIndex| progress.iter().filter(|p| p.durable() >= index).count();
    progress
        .iter()
        .map(Progress::durable)
        .filter(|index| held_by(*index) >= quorum.commit)
        .max()
        .unwrap_or(LogIndex::ZERO)
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    fn check(durable: &[u64], expected: u64) {
        let progress: Vec<_> =
            durable.iter().map(|index| Progress::new(LogIndex::from_wire(*index))).collect();
        let reached = reached(&progress, Quorum::of(progress.len()));
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
