//! Linearizable reads: a leader serves them once a majority has shown that it still leads.
//!
//! One round of heartbeats serves all reads that waited when it was sent (read-index, Raft thesis
//! §6.4). Rounds are never used twice: an answer to an earlier one proves nothing of now.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::id::{RequestId, Round};

/// Reads that wait.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reads {
    /// For the next round.
    waiting: Vec<RequestId>,
    /// For answers to a round.
    asked: VecDeque<(Round, RequestId)>,
}

impl Reads {
    /// How many wait.
    pub(crate) fn count(&self) -> usize {
        self.waiting.len() + self.asked.len()
    }

    /// One more.
    pub(crate) fn push(&mut self, request: RequestId) {
        self.waiting.push(request);
    }

    /// Whether a round is wanted: some wait, and none is under way that others wait for.
    pub(crate) fn wants_round(&self) -> bool {
        !self.waiting.is_empty() && self.asked.is_empty()
    }

    /// A round begins.
    pub(crate) fn ask(&mut self, round: Round) {
        self.asked.extend(self.waiting.drain(..).map(|request| (round, request)));
    }

    /// A majority has answered this round. Gives the next read that can be served.
    pub(crate) fn answered(&mut self, round: Round) -> Option<RequestId> {
        let (asked, request) = *self.asked.front()?;
        if asked > round {
            return None;
        }
        self.asked.pop_front();
        Some(request)
    }

    /// Gives all of them up.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = RequestId> {
        let asked = core::mem::take(&mut self.asked);
        let waiting = core::mem::take(&mut self.waiting);
        asked.into_iter().map(|(_, request)| request).chain(waiting)
    }
}

/// The newest round that so many of the others have answered.
pub(crate) fn reached(rounds: impl Iterator<Item = Round>, others: usize, own: Round) -> Round {
    let Some(place) = others.checked_sub(1) else { return own };
    let mut sorted = [Round::ZERO; crate::member::MEMBERS_MAX];
    for (slot, round) in sorted.iter_mut().zip(rounds) {
        *slot = round;
    }
    sorted.sort_unstable_by(|a, b| b.cmp(a));
    sorted[place]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rounds(numbers: &[u64], others: usize) -> u64 {
        reached(numbers.iter().map(|it| Round::from_wire(*it)), others, Round::from_wire(9)).get()
    }

    #[test]
    fn a_majority_has_answered() {
        assert_eq!(rounds(&[], 0), 9);
        assert_eq!(rounds(&[3, 5], 1), 5);
        assert_eq!(rounds(&[3, 5, 1, 4], 2), 4);
    }

    #[test]
    fn reads_wait_for_their_own_round() {
        let (first, second) = (RequestId::from_wire(1), RequestId::from_wire(2));
        let mut reads = Reads::default();
        reads.push(first);
        assert!(reads.wants_round());
        reads.ask(Round::from_wire(7));
        reads.push(second);
        assert!(!reads.wants_round(), "one round at a time");
        assert_eq!(reads.answered(Round::from_wire(6)), None);
        assert_eq!(reads.answered(Round::from_wire(7)), Some(first));
        assert_eq!(reads.answered(Round::from_wire(7)), None);
        assert!(reads.wants_round());
        assert_eq!(reads.drain().collect::<Vec<_>>(), [second]);
    }
}
