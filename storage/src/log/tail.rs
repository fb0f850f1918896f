//! The newest records, kept in memory as they were written: most reads are of what is new.

use std::collections::VecDeque;
use std::ops::Range;
use std::rc::Rc;

use quorate_core::id::Position;
use quorate_core::log::entry::EntryHeader;

use crate::buffer::AlignedBuffer;

/// One record in memory, or part of a chunk that was read.
#[derive(Clone, Debug)]
pub(super) struct HeldRecord {
    pub(super) entry: EntryHeader,
    /// Shared with the other records of the chunk, or with the tail.
    pub(super) bytes: Rc<AlignedBuffer>,
    /// Where in `bytes` its body is.
    pub(super) body: Range<usize>,
}

impl HeldRecord {
    pub(super) fn body(&self) -> &[u8] {
        &self.bytes[self.body.clone()]
    }
}

/// Durable records up to the end of the log, in order; those in flight are missing.
pub(super) struct Tail {
    records: VecDeque<HeldRecord>,
    bytes: u64,
    bytes_max: u64,
}

impl Tail {
    pub(super) fn new(bytes_max: u64) -> Self {
        Self { records: VecDeque::new(), bytes: 0, bytes_max }
    }

    /// Takes a record in that is now durable, and lets go of the oldest.
    pub(super) fn insert(&mut self, record: HeldRecord) {
        self.bytes += record.bytes.len() as u64;
        let place =
            self.records.partition_point(|held| held.entry.position < record.entry.position);
        self.records.insert(place, record);
        while self.bytes > self.bytes_max {
            let oldest = self.records.pop_front().expect("what has bytes is not empty");
            self.bytes -= oldest.bytes.len() as u64;
        }
    }

    /// The record that holds this position.
    pub(super) fn holding(&self, position: Position) -> Option<&HeldRecord> {
        let number = self.number(position)?;
        self.records.get(number)
    }

    /// Records without a gap, from the one that holds `from` on: those that start below `upto`, as
    /// many as make up `bytes`.
    pub(super) fn forwards(&self, from: Position, upto: Position, bytes: u64) -> Vec<HeldRecord> {
        let Some(first) = self.number(from) else { return Vec::new() };
        let (mut found, mut next, mut gathered) = (Vec::new(), None, 0);
        for record in self.records.range(first..) {
            let start = record.entry.position;
            if start >= upto || gathered >= bytes || next.is_some_and(|next| next != start) {
                break;
            }
            gathered += record.bytes.len() as u64;
            next = Some(record.entry.end());
            found.push(record.clone());
        }
        found
    }

    /// Records without a gap, in order, up to the one that holds `last`: as many as make up `bytes`.
    pub(super) fn backwards(&self, last: Position, bytes: u64) -> Vec<HeldRecord> {
        let Some(number) = self.number(last) else { return Vec::new() };
        let (mut found, mut next, mut gathered) = (Vec::new(), None, 0);
        for record in self.records.range(..=number).rev() {
            if gathered >= bytes || next.is_some_and(|next| next != record.entry.end()) {
                break;
            }
            gathered += record.bytes.len() as u64;
            next = Some(record.entry.position);
            found.push(record.clone());
        }
        found.reverse();
        found
    }

    fn number(&self, position: Position) -> Option<usize> {
        let behind = self.records.partition_point(|held| held.entry.position <= position);
        let number = behind.checked_sub(1)?;
        (position < self.records[number].entry.end()).then_some(number)
    }
}
