//! What clients will be told once an entry is committed.
//!
//! Everything that rests on an entry waits for it: what it writes, but also a refusal or the answer
//! to a retry whose reason lies in it. So no client ever hears of an event that is not on stable
//! storage.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::id::{LogIndex, RequestId, Revision};
use crate::log::entry::EntryHeader;
use crate::recording::{Recorded, Sink, recorded};
use crate::request::{Appended, Outcome};

/// What one client will be told.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    /// Its events are in this entry.
    Written {
        /// Of the first event.
        first: Revision,
        /// Of the last event.
        last: Revision,
        /// Where in the entry's body the last event starts.
        offset: usize,
        /// Whether an earlier attempt had put them there.
        duplicate: bool,
    },
    /// Without events, what it expected holds.
    Holds,
    /// What was found out.
    Settled(Outcome),
}

recorded!(enum Answer {
    0 => Written { first, last, offset, duplicate }, 1 => Holds, 2 => Settled(outcome),
});

impl Answer {
    /// As if all were well: a deliberate mistake.
    pub(super) fn outcome_now(self) -> Outcome {
        let (first, last, duplicate) = match self {
            Self::Settled(outcome) => return outcome,
            Self::Holds => (None, None, false),
            Self::Written { first, last, duplicate, .. } => (Some(first), Some(last), duplicate),
        };
        let position = crate::id::Position::START;
        Outcome::Appended(Appended { first, last, position, duplicate })
    }

    fn outcome(self, entry: &EntryHeader) -> Outcome {
        match self {
            Self::Written { first, last, offset, duplicate } => Outcome::Appended(Appended {
                first: Some(first),
                last: Some(last),
                position: entry.body_position().plus(offset as u64),
                duplicate,
            }),
            Self::Holds => Outcome::Appended(Appended {
                first: None,
                last: None,
                position: entry.end(),
                duplicate: false,
            }),
            Self::Settled(outcome) => outcome,
        }
    }
}

/// The answers, for each entry that is not committed.
#[derive(Clone, Debug, Default)]
pub(super) struct Answers {
    /// The last committed entry; the first list is that of the next one.
    committed: LogIndex,
    lists: VecDeque<Vec<(RequestId, Answer)>>,
    count: usize,
    /// Emptied lists, so that the steady state takes no memory from the allocator.
    spare: Vec<Vec<(RequestId, Answer)>>,
}

recorded!(struct Answers { committed, lists, count; spare });

/// As many as there are entries in memory, most of the time.
const SPARE_MAX: usize = 8;

impl Answers {
    /// Behind a recovered log that ends with this entry.
    pub(super) fn new(end: LogIndex) -> Self {
        Self { committed: end, ..Self::default() }
    }

    /// How many clients wait.
    pub(super) const fn count(&self) -> usize {
        self.count
    }

    /// Keeps an answer until this entry is committed.
    pub(super) fn keep(&mut self, entry: LogIndex, request: RequestId, answer: Answer) {
        assert!(entry > self.committed, "what rests on nothing pending is said at once");
        let place = (entry.get() - self.committed.get() - 1) as usize;
        while self.lists.len() <= place {
            self.lists.push_back(self.spare.pop().unwrap_or_default());
        }
        self.lists[place].push((request, answer));
        self.count += 1;
    }

    /// Gives out what waits for this entry, the next to be committed.
    pub(super) fn commit(&mut self, entry: &EntryHeader, mut tell: impl FnMut(RequestId, Outcome)) {
        assert!(entry.index == self.committed.next(), "entries are committed in order");
        self.committed = entry.index;
        let Some(mut list) = self.lists.pop_front() else { return };
        self.count -= list.len();
        for (request, answer) in list.drain(..) {
            tell(request, answer.outcome(entry));
        }
        if self.spare.len() < SPARE_MAX {
            self.spare.push(list);
        }
    }

    /// Gives out all that wait, since what they wait for may never be.
    pub(super) fn give_up(&mut self, mut tell: impl FnMut(RequestId, Answer)) {
        for mut list in self.lists.drain(..) {
            for (request, answer) in list.drain(..) {
                tell(request, answer);
            }
        }
        self.count = 0;
    }

    /// Adds how much it holds.
    pub(super) fn sketch(&self, out: &mut impl Sink) {
        self.committed.record(out);
        [self.lists.len(), self.count].iter().for_each(|count| count.record(out));
    }

    /// The invariants between any two inputs.
    pub(super) fn check(&self, committed: LogIndex, next: LogIndex) {
        assert!(self.committed == committed, "both count the same commits");
        assert!(self.count == self.lists.iter().map(Vec::len).sum::<usize>(), "answers add up");
        let lists = self.lists.len() as u64;
        assert!(committed.get() + lists <= next.get(), "all wait for an entry that will be");
    }
}
