//! What comes when: one queue in virtual nanoseconds.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use quorate_core::id::{Position, RequestId};
use quorate_core::request::Outcome;
use quorate_storage::disk::OpId;

use super::faults::Mend;
use super::network::{Delivery, LinkEvent};
use crate::scenario::script::Cue;

/// A moment of the world, in nanoseconds since its start; no node sees it.
pub(crate) type Nanos = u64;

/// So many nanoseconds are a microsecond.
pub(crate) const MICROS: Nanos = 1_000;
/// So many nanoseconds are a millisecond.
pub(crate) const MILLIS: Nanos = 1_000_000;

/// One thing that happens.
pub(super) enum Event {
    /// A node starts, where it is not running.
    Start { node: usize },
    /// A node takes a turn.
    Turn { node: usize },
    /// An operation of a node's disk completes.
    Disk { node: usize, incarnation: u64, op: OpId },
    /// A frame arrives at a node.
    Frame(Box<Delivery>),
    /// Something happens to a link.
    Link(LinkEvent),
    /// A client's request arrives at a node.
    Request { request: RequestId },
    /// A node's answer to a proposal arrives at its client; with its number in the record.
    Answer { request: RequestId, outcome: Outcome, lane: usize, message: u64 },
    /// The answer to a read of a scenario's client arrives.
    ReadAnswer { client: usize, token: u64, message: u64, end: Position },
    /// The connection with which a request was sent is gone.
    Broken { request: RequestId, was_taken: bool },
    /// A client does what is next for it, unless something came in between.
    Client { client: usize, token: u64 },
    /// A subscriber looks for more.
    Subscriber { subscriber: usize },
    /// New faults may strike.
    Strike,
    /// A fault ends.
    Mend(Mend),
    /// A fault of a scenario strikes.
    Fault { fault: usize },
    /// A fault of a scenario ends, by its number in the record.
    Heal { number: usize },
    /// A fault of a scenario that comes and goes, does.
    Flap { number: usize },
    /// The power goes in the middle of a write.
    Torn { node: usize },
    /// The next operation of this stream of arrivals is due.
    Due { stream: usize },
    /// An operation of a client is due, as it was in the run that is repeated.
    Arrival { client: usize, load: usize, number: u64 },
}

impl From<Cue> for Event {
    fn from(cue: Cue) -> Self {
        match cue {
            Cue::Fault(fault) => Self::Fault { fault },
            Cue::Arrival { client, load, number } => Self::Arrival { client, load, number },
        }
    }
}

impl Event {
    /// What comes first of what comes at the same moment. A run is repeated from a list of faults
    /// and arrivals, which are in the queue then long before the rest is.
    const fn rank(&self) -> u8 {
        match self {
            Self::Heal { .. } | Self::Flap { .. } => 0,
            Self::Fault { .. } => 1,
            Self::Due { .. } | Self::Arrival { .. } => 2,
            _ => 3,
        }
    }
}

/// The events to come, earliest first; those of one moment in the order in which they were added.
#[derive(Default)]
pub(super) struct Queue {
    heap: BinaryHeap<Entry>,
    sequence: u64,
}

struct Entry {
    at: Nanos,
    sequence: u64,
    event: Event,
}

impl Queue {
    /// Adds an event.
    pub(super) fn push(&mut self, at: Nanos, event: Event) {
        self.sequence += 1;
        self.heap.push(Entry { at, sequence: self.sequence, event });
    }

    /// Takes the next event out.
    pub(super) fn pop(&mut self) -> Option<(Nanos, Event)> {
        self.heap.pop().map(|entry| (entry.at, entry.event))
    }

    /// When the next event comes.
    pub(super) fn next_at(&self) -> Option<Nanos> {
        self.heap.peek().map(|entry| entry.at)
    }
}

impl Entry {
    fn key(&self) -> (Nanos, u8, u64) {
        (self.at, self.event.rank(), self.sequence)
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    /// The heap gives the greatest first, and that is the earliest.
    fn cmp(&self, other: &Self) -> Ordering {
        other.key().cmp(&self.key())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_comes_first_and_ties_keep_their_order() {
        let mut queue = Queue::default();
        for (at, node) in [(5, 0), (3, 1), (5, 2), (1, 3), (3, 4)] {
            queue.push(at, Event::Turn { node });
        }
        assert_eq!(queue.next_at(), Some(1));
        let mut order = Vec::new();
        while let Some((at, Event::Turn { node })) = queue.pop() {
            order.push((at, node));
        }
        assert_eq!(order, [(1, 3), (3, 1), (3, 4), (5, 0), (5, 2)]);
    }
}
