//! How much of the log one voter has on stable storage.

use alloc::vec::Vec;

use crate::id::LogIndex;

/// What is durable: everything up to an index, and some behind a gap, since writes may finish in
/// any order.
#[derive(Debug)]
pub(crate) struct Progress {
    durable: LogIndex,
    /// Ascending; no longer than the writes in flight.
    beyond: Vec<LogIndex>,
}

impl Progress {
    /// Everything up to and with `durable` is.
    pub(crate) const fn new(durable: LogIndex) -> Self {
        Self { durable, beyond: Vec::new() }
    }

    /// The last entry of those that are durable without a gap.
    pub(crate) const fn durable(&self) -> LogIndex {
        self.durable
    }

    /// One more entry is durable.
    pub(crate) fn written(&mut self, index: LogIndex) {
        if index <= self.durable {
            return;
        }
        if let Err(place) = self.beyond.binary_search(&index) {
            self.beyond.insert(place, index);
        }
        let reached = self.beyond.iter().take_while(|index| {
            let next = **index == self.durable.next();
            if next {
                self.durable = **index;
            }
            next
        });
        let reached = reached.count();
        self.beyond.drain(..reached);
    }

    /// The invariants between any two inputs.
    pub(crate) fn check(&self) {
        assert!(self.beyond.is_sorted(), "what is beyond the gap is in order");
        if let Some(first) = self.beyond.first() {
            assert!(*first > self.durable.next(), "a gap is a gap");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_may_finish_in_any_order() {
        let mut progress = Progress::new(LogIndex::from_wire(3));
        for (index, durable) in [(5, 3), (7, 3), (5, 3), (4, 5), (2, 5), (6, 7), (8, 8)] {
            progress.written(LogIndex::from_wire(index));
            progress.check();
            assert_eq!(progress.durable().get(), durable, "after {index}");
        }
        assert!(progress.beyond.is_empty());
    }
}
