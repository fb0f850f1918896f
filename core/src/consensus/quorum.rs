//! How many voters must agree.
//!
//! All numbers are made in one place, so that the one property that everything rests on can be
//! checked there: a quorum that elects and a quorum that commits share a voter.

use crate::recording::recorded;

/// The sizes of quorums among so many voters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Quorum {
    voters: usize,
    /// Votes that elect a leader.
    pub(crate) elect: usize,
    /// Disks that commit an entry.
    pub(crate) commit: usize,
}

recorded!(struct Quorum { voters, elect, commit });

impl Quorum {
    /// A majority for both.
    pub(crate) const fn of(voters: usize) -> Self {
        assert!(voters > 0, "a group has a voter");
        let majority = voters / 2 + 1;
        Self { voters, elect: majority, commit: majority }
    }

    /// The property that everything rests on.
    pub(crate) fn check(self) {
        assert!(self.elect + self.commit > self.voters, "quorums share a voter");
        assert!(self.elect.max(self.commit) <= self.voters, "a quorum can be had");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quorums_of_every_size_meet() {
        for voters in 1..=9 {
            Quorum::of(voters).check();
        }
        let sizes = [1, 2, 3, 4, 5].map(|voters| Quorum::of(voters).commit);
        assert_eq!(sizes, [1, 2, 2, 3, 3]);
    }
}
