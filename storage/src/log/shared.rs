//! What the writer of a log and its readers share: which segments there are, and what is in memory.

use std::collections::VecDeque;

use quorate_core::id::{LogIndex, Position};
use quorate_core::log::entry::LogEnd;

use super::files::OpenSegments;
use super::recover::Segment;
use super::segment::Anchors;
use super::tail::{HeldRecord, Tail};

/// Ends of chunks that are remembered as places where a record starts.
const STARTS_MAX: usize = 64;

/// What the writer and its readers share.
pub(super) struct Shared {
    /// By base, in order, without gaps.
    pub(super) segments: Vec<Segment>,
    pub(super) tail: Tail,
    pub(super) files: OpenSegments,
    /// Every entry up to here is on stable storage.
    pub(super) durable: LogIndex,
    /// How often entries were removed: what was read meanwhile may be gone.
    pub(super) truncations: u64,
    /// Where chunks ended, and the entry that starts there: a reader that goes on need not look for
    /// the record's start.
    starts: VecDeque<(Position, LogIndex)>,
}

impl Shared {
    pub(super) fn new(segments: Vec<Segment>, tail_bytes_max: u64, durable: LogIndex) -> Self {
        Self {
            segments,
            durable,
            truncations: 0,
            tail: Tail::new(tail_bytes_max),
            files: OpenSegments::default(),
            starts: VecDeque::new(),
        }
    }

    /// The number of the segment that holds a position.
    pub(super) fn holding(&self, position: Position) -> usize {
        let behind = self.segments.partition_point(|segment| segment.base() <= position);
        behind.checked_sub(1).expect("the log starts at zero")
    }

    /// Forgets all behind this end, which lies in the last segment that is left. Gives the segments
    /// that are gone.
    pub(super) fn truncate(&mut self, end: &LogEnd) -> Vec<Segment> {
        let left = self.segments.partition_point(|segment| segment.start.index <= end.index);
        let gone = self.segments.split_off(left);
        let kept = self.segments.last_mut().expect("the log starts at zero");
        let distance = end.position.since(kept.base());
        // Of a sealed segment the footer has them, as long as that is there.
        let sectors = kept.anchors.as_ref().map(|anchors| anchors.sectors().to_vec());
        kept.anchors = Some(Anchors::cut(kept.bytes, sectors.unwrap_or_default(), distance));
        kept.end = *end;
        for segment in &gone {
            self.files.forget(segment.base());
        }
        self.tail.truncate(end.index);
        self.durable = self.durable.min(end.index);
        self.starts.retain(|(start, _)| *start <= end.position);
        self.truncations += 1;
        gone
    }

    /// The nearest place up to `position` where a chunk is known to have ended.
    pub(super) fn start_before(&self, position: Position) -> Option<Position> {
        self.starts.iter().map(|(start, _)| *start).filter(|start| *start <= position).max()
    }

    /// Where this entry starts, where a chunk is known to have ended there.
    pub(super) fn start_of(&self, index: LogIndex) -> Option<Position> {
        self.starts.iter().find(|(_, starts)| *starts == index).map(|(start, _)| *start)
    }

    pub(super) fn remember(&mut self, records: &[HeldRecord]) {
        let Some(last) = records.last() else { return };
        let start = (last.entry.end(), last.entry.index.next());
        if !self.starts.contains(&start) {
            if self.starts.len() == STARTS_MAX {
                self.starts.pop_front();
            }
            self.starts.push_back(start);
        }
    }

    /// Up to where the disk need be read: what is behind is in memory, and may not be written yet.
    pub(super) fn on_disk(&self, upto: Position) -> Position {
        self.tail.start().map_or(upto, |start| upto.min(start))
    }
}
