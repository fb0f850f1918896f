//! Rows from a thread of their own: a slow pipe, unpacking and hashing must not hold the network up.

use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use tokio::sync::Notify;

use super::batch::PreparedRow;
use super::row_id::row_id;
use super::rows::{RowError, RowOptions, Rows};
use super::source;

/// Rows that are read ahead of whoever takes them.
const ROWS_MAX: usize = 4096;
/// Bytes of data in them; the row that exceeds it is still taken in.
const BYTES_MAX: usize = 4 << 20;

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

/// The taking end. Dropping it ends the thread at its next row.
pub(super) struct Feed {
    shared: Arc<Shared>,
}

struct Shared {
    queue: Mutex<Queue>,
    taken: Condvar,
    pushed: Notify,
}

#[derive(Default)]
struct Queue {
    rows: Vec<PreparedRow>,
    bytes: usize,
    /// No row comes behind `rows`: there are none, or the next one is bad.
    end: Option<Result<(), RowError>>,
    is_abandoned: bool,
}

impl Feed {
    /// Starts to read.
    pub(super) fn start(rows: Rows, event_type: String) -> Self {
        let queue = Mutex::new(Queue::default());
        let shared = Arc::new(Shared { queue, taken: Condvar::new(), pushed: Notify::new() });
        let feed = Self { shared: Arc::clone(&shared) };
        thread::spawn(move || shared.fill(rows, &event_type));
        feed
    }

    /// Takes the rows that have been read, and waits for one where there is none.
    ///
    /// Dropping the future loses nothing.
    ///
    /// # Errors
    ///
    /// `Err` with how it ended, once all rows have been taken.
    pub(super) async fn take(&mut self) -> Result<Vec<PreparedRow>, Result<(), RowError>> {
        loop {
            {
                let mut queue = self.shared.lock();
                if !queue.rows.is_empty() {
                    queue.bytes = 0;
                    self.shared.taken.notify_one();
                    return Ok(std::mem::take(&mut queue.rows));
                }
                if let Some(end) = &queue.end {
                    return Err(end.clone());
                }
            }
            self.shared.pushed.notified().await;
        }
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.shared.lock().is_abandoned = true;
        self.shared.taken.notify_one();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        // Nobody panics while the lock is held, so the queue is whole.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Each row is pushed as soon as it is there: the next one of a pipe may take its time.
    fn fill(&self, rows: Rows, event_type: &str) {
        let mut end = Ok(());
        for row in rows {
            match row {
                Ok(row) => {
                    let id = row_id(row.number, &row.stream, event_type, &row.data);
                    if !self.push(PreparedRow { row, id }) {
                        return;
                    }
                }
                Err(error) => end = Err(error), // It is the last.
            }
        }
        self.lock().end = Some(end);
        self.pushed.notify_one();
    }

    /// Adds a row once there is room; tells whether anybody still wants it.
    fn push(&self, row: PreparedRow) -> bool {
        let is_full = |queue: &mut Queue| {
            !queue.is_abandoned && (queue.rows.len() >= ROWS_MAX || queue.bytes >= BYTES_MAX)
        };
        let waited = self.taken.wait_while(self.lock(), is_full);
        let mut queue = waited.unwrap_or_else(PoisonError::into_inner);
        queue.bytes += row.row.data.len();
        queue.rows.push(row);
        self.pushed.notify_one();
        !queue.is_abandoned
    }
}
