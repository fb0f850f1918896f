//! Linearizable reads, and answers that tell of the state of a stream: a leader gives them once a
//! majority has shown that it still leads.
//!
//! A refusal such as "the stream is at 7" is a read, too: a leader that was deposed without knowing
//! it would tell of a state that is long gone. One round of heartbeats serves all reads that waited when it was sent (read-index, Raft thesis
//! §6.4). Rounds are never used twice: an answer to an earlier one proves nothing of now.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::id::{RequestId, Round};
use crate::recording::recorded;
use crate::request::Outcome;

/// What waits for a round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// A read.
    Read(RequestId),
    /// What a client will be told of its append.
    Answer(RequestId, Outcome),
}

recorded!(enum Asked { 0 => Read(request), 1 => Answer(request, outcome) });

/// All that waits.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reads {
    /// For the next round.
    waiting: Vec<Asked>,
    /// For answers to a round.
    asked: VecDeque<(Round, Asked)>,
    answers: usize,
}

recorded!(struct Reads { waiting, asked, answers });

impl Reads {
    /// How many reads wait.
    pub(crate) fn count(&self) -> usize {
        self.waiting.len() + self.asked.len() - self.answers
    }

    /// How many answers wait.
    pub(crate) const fn answers(&self) -> usize {
        self.answers
    }

    /// One more.
    pub(crate) fn push(&mut self, asked: Asked) {
        self.answers += usize::from(matches!(asked, Asked::Answer(..)));
        self.waiting.push(asked);
    }

    /// Whether a round is wanted: some wait, and none is under way that others wait for.
    pub(crate) fn wants_round(&self) -> bool {
        !self.waiting.is_empty() && self.asked.is_empty()
    }

    /// A round begins.
    pub(crate) fn ask(&mut self, round: Round) {
        self.asked.extend(self.waiting.drain(..).map(|asked| (round, asked)));
    }

    /// A majority has answered this round. Gives the next that waited for it.
    pub(crate) fn answered(&mut self, round: Round) -> Option<Asked> {
        if self.asked.front()?.0 > round {
            return None;
        }
        let (_, asked) = self.asked.pop_front()?;
        self.answers -= usize::from(matches!(asked, Asked::Answer(..)));
        Some(asked)
    }

    /// Gives all of them up.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = Asked> {
        let Self { waiting, asked, .. } = core::mem::take(self);
        asked.into_iter().map(|(_, asked)| asked).chain(waiting)
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
    fn one_round_serves_all_that_waited_when_it_was_sent() {
        let ids = [1, 2, 3].map(RequestId::from_wire);
        let mut reads = Reads::default();
        reads.push(Asked::Read(ids[0]));
        reads.push(Asked::Read(ids[1]));
        reads.ask(Round::from_wire(1));
        reads.push(Asked::Read(ids[2]));
        // The answer to a later round is one to all before it.
        let later = Round::from_wire(5);
        assert_eq!(reads.answered(later), Some(Asked::Read(ids[0])));
        assert_eq!(reads.answered(later), Some(Asked::Read(ids[1])));
        assert_eq!(reads.answered(later), None, "it came when that was under way already");
        reads.ask(Round::from_wire(6));
        assert_eq!(reads.answered(later), None);
        assert_eq!(reads.count(), 1);
    }

    #[test]
    fn reads_wait_for_their_own_round() {
        let (first, second) = (RequestId::from_wire(1), RequestId::from_wire(2));
        let mut reads = Reads::default();
        reads.push(Asked::Read(first));
        assert!(reads.wants_round());
        reads.ask(Round::from_wire(7));
        let refused = Outcome::Refused(crate::request::Rejection::StreamDeleted);
        reads.push(Asked::Answer(second, refused.clone()));
        assert_eq!((reads.count(), reads.answers()), (1, 1));
        assert!(!reads.wants_round(), "one round at a time");
        assert_eq!(reads.answered(Round::from_wire(6)), None);
        assert_eq!(reads.answered(Round::from_wire(7)), Some(Asked::Read(first)));
        assert_eq!(reads.answered(Round::from_wire(7)), None);
        assert!(reads.wants_round());
        assert_eq!(reads.drain().collect::<Vec<_>>(), [Asked::Answer(second, refused)]);
        assert_eq!((reads.count(), reads.answers()), (0, 0));
    }
}
