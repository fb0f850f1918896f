//! Rows from a thread of their own: a slow pipe, unpacking and hashing must not hold the network up.

use std::path::Path;
use std::thread;

use tokio::sync::mpsc::{self, Receiver};

use super::batch::PreparedRow;
use super::row_id::row_id;
use super::rows::{RowError, RowOptions, Rows};
use super::source;

/// Rows are handed over in chunks of about so many bytes of data …
const CHUNK_BYTES: usize = 256 << 10;
/// … or of so many rows.
const CHUNK_ROWS: usize = 512;
/// Chunks on their way at once.
const CHUNKS: usize = 4;

/// Some rows, or why there are no more of them.
pub(super) type Chunk = Result<Vec<PreparedRow>, RowError>;

/// Opens the rows and reads the header.
///
/// # Errors
///
/// What the system says, or a header that does not fit.
pub(super) fn open(path: &Path, options: &RowOptions) -> Result<Rows, RowError> {
    let source = source::open(path).map_err(RowError::unreadable)?;
    Rows::new(source, options.clone())
}

/// Reads all rows and counts them.
///
/// # Errors
///
/// The first bad row.
pub(super) fn count(path: &Path, options: &RowOptions) -> Result<u64, RowError> {
    open(path, options)?.try_fold(0, |count, row| row.map(|_| count + 1))
}

/// Starts to read; an error is the last chunk.
pub(super) fn start(rows: Rows, event_type: String) -> Receiver<Chunk> {
    let (sender, receiver) = mpsc::channel(CHUNKS);
    thread::spawn(move || {
        for chunk in (Chunks { rows, event_type }) {
            if sender.blocking_send(chunk).is_err() {
                return; // The import has given up and does not listen any more.
            }
        }
    });
    receiver
}

struct Chunks {
    rows: Rows,
    event_type: String,
}

impl Iterator for Chunks {
    type Item = Chunk;

    fn next(&mut self) -> Option<Chunk> {
        let mut chunk = Vec::new();
        let mut bytes = 0;
        while bytes < CHUNK_BYTES && chunk.len() < CHUNK_ROWS {
            match self.rows.next() {
                Some(Ok(row)) => {
                    bytes += row.data.len();
                    let id = row_id(row.number, &row.stream, &self.event_type, &row.data);
                    chunk.push(PreparedRow { row, id });
                }
                Some(Err(error)) if chunk.is_empty() => return Some(Err(error)),
                Some(Err(error)) => {
                    self.rows.fail_with(error);
                    break;
                }
                None => break,
            }
        }
        (!chunk.is_empty()).then_some(Ok(chunk))
    }
}
