//! Rows on their way into appends: consecutive rows of one stream go together.

use std::collections::{HashMap, HashSet, VecDeque};

use quorate_core::id::EventId;

use super::rows::Row;

/// Beyond so many bytes of data a batch takes no further row.
const BATCH_BYTES_TARGET: usize = 256 << 10;

/// A row with its event id.
#[derive(Clone, Debug)]
pub(super) struct PreparedRow {
    pub(super) row: Row,
    pub(super) id: EventId,
}

/// Rows that are appended together, all or none.
#[derive(Clone, Debug)]
pub(super) struct Batch {
    pub(super) stream: String,
    /// The rows that are not in the stream yet.
    pub(super) missing: Vec<PreparedRow>,
    /// How many are there already.
    pub(super) duplicates: u64,
    /// Where the first row stands in the file.
    pub(super) line: u64,
    pub(super) bytes: usize,
}

/// Rows that wait, in the order of the file, and what their streams hold already.
pub(super) struct Waiting {
    rows: VecDeque<PreparedRow>,
    bytes: usize,
    /// The ids that a stream had before this import; `None` while they are being read.
    streams: HashMap<String, Option<HashSet<EventId>>>,
    batch_rows_max: usize,
}

impl Waiting {
    /// - `batch_rows_max`: the most rows in one append
    pub(super) fn new(batch_rows_max: usize) -> Self {
        assert!(batch_rows_max > 0, "a batch has a row");
        Self { rows: VecDeque::new(), bytes: 0, streams: HashMap::new(), batch_rows_max }
    }

    /// Adds a row behind the others; gives its stream where its ids must be read first.
    pub(super) fn push(&mut self, row: PreparedRow) -> Option<String> {
        let stream = &row.row.stream;
        let unknown = (!self.streams.contains_key(stream)).then(|| stream.clone());
        if let Some(stream) = &unknown {
            self.streams.insert(stream.clone(), None);
        }
        self.bytes += row.row.data.len();
        self.rows.push_back(row);
        unknown
    }

    /// These ids are in the stream.
    pub(super) fn known(&mut self, stream: &str, ids: HashSet<EventId>) {
        let state = self.streams.get_mut(stream).expect("its first row was pushed");
        assert!(state.is_none(), "a stream is read once");
        *state = Some(ids);
    }

    /// The next batch, as far as rows are there and their stream is known.
    pub(super) fn next_batch(&mut self) -> Option<Batch> {
        let first = &self.rows.front()?.row;
        let ids = self.streams.get_mut(&first.stream).expect("push added it").as_mut()?;
        let mut batch = Batch {
            stream: first.stream.clone(),
            missing: Vec::new(),
            duplicates: 0,
            line: first.line,
            bytes: 0,
        };
        while batch.missing.len() < self.batch_rows_max && batch.bytes < BATCH_BYTES_TARGET {
            let Some(next) = self.rows.pop_front_if(|next| next.row.stream == batch.stream) else {
                break;
            };
            let bytes = next.row.data.len();
            self.bytes -= bytes;
            if ids.remove(&next.id) {
                batch.duplicates += 1;
            } else {
                batch.bytes += bytes;
                batch.missing.push(next);
            }
        }
        Some(batch)
    }

    /// How many rows wait.
    pub(super) fn rows(&self) -> usize {
        self.rows.len()
    }

    /// How many bytes of data they have.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many streams have been met.
    pub(super) fn streams(&self) -> usize {
        self.streams.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(number: u8, stream: &str) -> PreparedRow {
        let row = Row {
            number: u64::from(number),
            line: u64::from(number) + 1,
            stream: stream.to_owned(),
            data: vec![b'x'; 10],
        };
        PreparedRow { row, id: EventId::from_bytes([number; 16]) }
    }

    fn waiting(batch_rows_max: usize, rows: &[(u8, &str)]) -> Waiting {
        let mut waiting = Waiting::new(batch_rows_max);
        for (number, stream) in rows {
            waiting.push(row(*number, stream));
        }
        waiting
    }

    /// Batches as `stream@line: numbers of missing rows + duplicates`.
    fn drain(waiting: &mut Waiting) -> Vec<String> {
        let batches = std::iter::from_fn(|| waiting.next_batch());
        let show = |batch: Batch| {
            let missing: Vec<u64> = batch.missing.iter().map(|row| row.row.number).collect();
            format!("{}@{}: {missing:?} + {}", batch.stream, batch.line, batch.duplicates)
        };
        batches.map(show).collect()
    }

    #[test]
    fn consecutive_rows_of_a_stream_go_together() {
        let rows = [(1, "a"), (2, "a"), (3, "a"), (4, "b"), (5, "a")];
        let mut waiting = waiting(2, &rows);
        waiting.known("a", HashSet::new());
        waiting.known("b", HashSet::new());
        assert_eq!((waiting.rows(), waiting.bytes(), waiting.streams()), (5, 50, 2));
        assert_eq!(
            drain(&mut waiting),
            ["a@2: [1, 2] + 0", "a@4: [3] + 0", "b@5: [4] + 0", "a@6: [5] + 0"]
        );
        assert_eq!((waiting.rows(), waiting.bytes()), (0, 0));
    }

    #[test]
    fn a_row_waits_until_its_stream_is_known_and_holds_back_those_behind_it() {
        let mut waiting = waiting(10, &[(1, "a"), (2, "b")]);
        waiting.known("b", HashSet::new());
        assert!(waiting.next_batch().is_none());
        waiting.known("a", HashSet::new());
        assert_eq!(drain(&mut waiting), ["a@2: [1] + 0", "b@3: [2] + 0"]);
    }

    #[test]
    fn a_stream_is_read_when_its_first_row_comes() {
        let mut waiting = Waiting::new(1);
        assert_eq!(waiting.push(row(1, "a")).as_deref(), Some("a"));
        assert_eq!(waiting.push(row(2, "a")), None);
        assert_eq!(waiting.push(row(3, "b")).as_deref(), Some("b"));
    }

    #[test]
    fn rows_that_are_there_are_left_out_once_each() {
        let mut waiting = waiting(2, &[(1, "a"), (2, "a"), (1, "a"), (3, "a")]);
        let ids = [1, 2].map(|number| EventId::from_bytes([number; 16]));
        waiting.known("a", ids.into_iter().collect());
        assert_eq!(drain(&mut waiting), ["a@2: [1, 3] + 2"]);
    }

    #[test]
    fn large_rows_make_small_batches() {
        let mut waiting = Waiting::new(100);
        for number in 1..=3 {
            let mut large = row(number, "a");
            large.row.data = vec![b'x'; BATCH_BYTES_TARGET / 2];
            waiting.push(large);
        }
        waiting.known("a", HashSet::new());
        assert_eq!(drain(&mut waiting), ["a@2: [1, 2] + 0", "a@4: [3] + 0"]);
    }
}
