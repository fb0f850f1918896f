//! What clients wanted and were told, and what stands in the log at the end: all that the oracle
//! looks at. It knows nothing of how the store works.

use std::fmt;

use quorate_core::id::{EventId, Position, Revision};
use quorate_core::request::{Appended, Expected, Rejection};

/// A point in the order in which things happened.
pub type Moment = u64;

/// One change of a stream that a client wanted, with all its tries.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// Which stream.
    pub stream: String,
    /// What must hold.
    pub expected: Expected,
    /// What is to be done.
    pub wish: Wish,
    /// When it was first sent.
    pub invoked: Moment,
    /// How it ended, as far as the client knows.
    pub end: End,
}

/// What is to be done to a stream.
#[derive(Clone, Debug)]
pub enum Wish {
    /// Add events; unstamped frames, one each.
    Append(Vec<Vec<u8>>),
    /// Hide all events.
    Delete(EventId),
    /// Close it for ever.
    Tombstone(EventId),
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// It is on stable storage.
    Done {
        /// Where.
        appended: Appended,
        /// When the client heard of it.
        at: Moment,
    },
    /// It was not done, nor will it be. The refusal of a second try only says so of that try, and
    /// leaves the attempt unknown.
    Refused {
        /// Why.
        rejection: Rejection,
        /// When the client heard of it.
        at: Moment,
    },
    /// No answer, or none that tells.
    Unknown,
}

/// An event as it stands in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logged {
    /// Where.
    pub position: Position,
    /// Of which stream.
    pub stream: String,
    /// Its place there.
    pub revision: Revision,
    /// Its id.
    pub id: EventId,
    /// Its type.
    pub event_type: String,
    /// Its data.
    pub data: Vec<u8>,
    /// Everything of its frame that the client wrote.
    pub content: Vec<u8>,
}

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which invariant.
    pub invariant: &'static str,
    /// What was found.
    pub story: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.invariant, self.story)
    }
}

impl Attempt {
    /// Ids of the events that it writes, in order.
    #[must_use]
    pub fn ids(&self) -> Vec<EventId> {
        match &self.wish {
            Wish::Append(frames) => frames.iter().map(|frame| id_of(frame)).collect(),
            Wish::Delete(id) | Wish::Tombstone(id) => vec![*id],
        }
    }

    /// The stream that its events are written to.
    #[must_use]
    pub fn written_to(&self) -> String {
        match self.wish {
            Wish::Append(_) | Wish::Tombstone(_) => self.stream.clone(),
            Wish::Delete(_) => format!("$${}", self.stream),
        }
    }
}

fn id_of(frame: &[u8]) -> EventId {
    quorate_core::event::EventFrame::parse(frame).expect("the workload encodes frames").id()
}

/// Everything, as the invariants want it: attempts beside what they left in the log.
pub struct Evidence<'a> {
    /// What was wanted.
    pub attempts: &'a [Attempt],
    /// What is there, in the log's order.
    pub log: &'a [Logged],
    /// For each attempt, where in `log` its events are; in the order of its ids, all that are there.
    pub found: Vec<Vec<usize>>,
    /// For each event of the log, whose it is.
    pub owner: Vec<Option<usize>>,
    /// By the moments of their answers: events of the log that were known to be there by then.
    answered: Vec<(Moment, usize)>,
    /// By the moments at which they were asked for, latest first: the first event of the log of all
    /// that was asked for then or later.
    asked: Vec<(Moment, usize)>,
}

impl<'a> Evidence<'a> {
    /// Matches events with attempts, by their ids and the stream they belong to.
    #[must_use]
    pub fn gather(attempts: &'a [Attempt], log: &'a [Logged]) -> Self {
        let mut owners = std::collections::BTreeMap::new();
        for (index, attempt) in attempts.iter().enumerate() {
            let stream = attempt.written_to();
            owners.extend(attempt.ids().into_iter().map(|id| ((stream.clone(), id), index)));
        }
        let owner: Vec<Option<usize>> = log
            .iter()
            .map(|event| owners.get(&(event.stream.clone(), event.id)).copied())
            .collect();
        let mut found = vec![Vec::new(); attempts.len()];
        for (place, owner) in owner.iter().enumerate() {
            if let Some(owner) = owner {
                found[*owner].push(place);
            }
        }
        let (answered, asked) = (answered(attempts, &found), asked(attempts, &found));
        Self { attempts, log, found, owner, answered, asked }
    }

    /// So many events of the log were there, as some client knew, before this moment.
    #[must_use]
    pub fn known_before(&self, moment: Moment) -> usize {
        let count = self.answered.partition_point(|(at, _)| *at < moment);
        self.answered[..count].last().map_or(0, |(_, known)| *known)
    }

    /// At most so many events of the log were there at this moment: what stands behind them had not
    /// been asked for.
    #[must_use]
    pub fn possible_at(&self, moment: Moment) -> usize {
        let count = self.asked.partition_point(|(at, _)| *at > moment);
        self.asked[..count].last().map_or(self.log.len(), |(_, first)| *first)
    }
}

fn answered(attempts: &[Attempt], found: &[Vec<usize>]) -> Vec<(Moment, usize)> {
    let known = |(attempt, found): (&Attempt, &Vec<usize>)| match &attempt.end {
        End::Done { at, .. } => found.last().map(|last| (*at, last + 1)),
        _ => None,
    };
    let mut answered: Vec<_> = attempts.iter().zip(found).filter_map(known).collect();
    answered.sort_unstable();
    let mut furthest = 0;
    for (_, known) in &mut answered {
        furthest = furthest.max(*known);
        *known = furthest;
    }
    answered
}

fn asked(attempts: &[Attempt], found: &[Vec<usize>]) -> Vec<(Moment, usize)> {
    let first = |(attempt, found): (&Attempt, &Vec<usize>)| {
        found.first().map(|first| (attempt.invoked, *first))
    };
    let mut asked: Vec<_> = attempts.iter().zip(found).filter_map(first).collect();
    asked.sort_unstable_by(|one, other| other.cmp(one));
    let mut earliest = usize::MAX;
    for (_, first) in &mut asked {
        earliest = earliest.min(*first);
        *first = earliest;
    }
    asked
}
