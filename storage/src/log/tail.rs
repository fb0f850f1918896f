//! The newest records, kept in memory as they were written: most reads are of what is new.

use std::collections::VecDeque;
use std::ops::Range;

use quorate_core::id::{LogIndex, Position};
use quorate_core::log::entry::EntryHeader;

use crate::buffer::AlignedBuffer;

/// One record in memory, or part of a chunk that was read.
#[derive(Debug)]
pub(super) struct HeldRecord {
    pub(super) entry: EntryHeader,
    /// Shared with the other records of the chunk, or with the tail and the disk.
    pub(super) bytes: AlignedBuffer,
    /// Where in `bytes` its body is.
    pub(super) body: Range<usize>,
}

impl HeldRecord {
    pub(super) fn body(&self) -> &[u8] {
        &self.bytes[self.body.clone()]
    }

    /// How many bytes its record takes.
    pub(super) fn length(&self) -> u64 {
        self.entry.end().since(self.entry.position)
    }
}

impl Clone for HeldRecord {
    fn clone(&self) -> Self {
        Self { entry: self.entry, bytes: self.bytes.share(), body: self.body.clone() }
    }
}

/// Records up to the end of the log, in order and without a gap: the newest, and in any case those
/// that are not on stable storage yet. What comes before them is.
pub(super) struct Tail {
    records: VecDeque<HeldRecord>,
    bytes: u64,
    bytes_max: u64,
}

impl Tail {
    pub(super) fn new(bytes_max: u64) -> Self {
        Self { records: VecDeque::new(), bytes: 0, bytes_max }
    }

    /// Takes in the record that was just appended.
    pub(super) fn push(&mut self, record: HeldRecord) {
        self.bytes += record.bytes.len() as u64;
        self.records.push_back(record);
    }

    /// Lets go of the oldest records, of those that are on stable storage.
    pub(super) fn shrink(&mut self, durable: LogIndex) {
        while self.bytes > self.bytes_max
            && self.records.front().is_some_and(|oldest| oldest.entry.index <= durable)
        {
            let oldest = self.records.pop_front().expect("just seen");
            self.bytes -= oldest.bytes.len() as u64;
        }
    }

    /// Forgets the records behind this entry.
    pub(super) fn truncate(&mut self, last: LogIndex) {
        while self.records.back().is_some_and(|newest| newest.entry.index > last) {
            let newest = self.records.pop_back().expect("just seen");
            self.bytes -= newest.bytes.len() as u64;
        }
    }

    /// Where the first record starts: all before it can be read from the disk.
    pub(super) fn start(&self) -> Option<Position> {
        self.records.front().map(|record| record.entry.position)
    }

    /// Records from this entry on: at least one, and then as many as make up at most `bytes`, and
    /// none behind `last`.
    pub(super) fn entries(&self, from: LogIndex, last: LogIndex, bytes: u64) -> Vec<HeldRecord> {
        let Some(first) = self.records.front() else { return Vec::new() };
        let Some(skipped) = from.get().checked_sub(first.entry.index.get()) else {
            return Vec::new();
        };
        let mut gathered = 0;
        let wanted = self.records.iter().skip(skipped as usize).take_while(|record| {
            gathered += record.bytes.len() as u64;
            let is_first = record.entry.index == from;
            record.entry.index <= last && (is_first || gathered <= bytes)
        });
        wanted.cloned().collect()
    }

    /// The record that holds this position.
    pub(super) fn holding(&self, position: Position) -> Option<&HeldRecord> {
        let number = self.number(position)?;
        self.records.get(number)
    }

    /// Records from the one that holds `from` on: those that start below `upto`, as many as make up
    /// `bytes`.
    pub(super) fn forwards(&self, from: Position, upto: Position, bytes: u64) -> Vec<HeldRecord> {
        let Some(first) = self.number(from) else { return Vec::new() };
        let mut gathered = 0;
        let wanted = self.records.range(first..).take_while(|record| {
            let has_room = gathered < bytes;
            gathered += record.bytes.len() as u64;
            record.entry.position < upto && has_room
        });
        wanted.cloned().collect()
    }

    /// Records in order, up to the one that holds `last`: as many as make up `bytes`.
    pub(super) fn backwards(&self, last: Position, bytes: u64) -> Vec<HeldRecord> {
        let Some(number) = self.number(last) else { return Vec::new() };
        let mut gathered = 0;
        let wanted = self.records.range(..=number).rev().take_while(|record| {
            let has_room = gathered < bytes;
            gathered += record.bytes.len() as u64;
            has_room
        });
        let mut found: Vec<HeldRecord> = wanted.cloned().collect();
        found.reverse();
        found
    }

    fn number(&self, position: Position) -> Option<usize> {
        let behind = self.records.partition_point(|held| held.entry.position <= position);
        let number = behind.checked_sub(1)?;
        (position < self.records[number].entry.end()).then_some(number)
    }
}
