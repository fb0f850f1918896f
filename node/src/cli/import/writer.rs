//! The loop of an import: rows come in, appends go out, and a bounded number of each is under way.

use std::collections::{HashSet, VecDeque};
use std::time::Instant;

use quorate_client::{AppendError, Client, PendingAppend};
use quorate_core::event::{ContentType, NewEvent};
use quorate_core::id::EventId;
use quorate_core::request::{Appended, Expected};
use tokio::task::JoinSet;

use super::batch::{Batch, PreparedRow, Waiting};
use super::feed::Feed;
use super::progress::Progress;
use super::rows::RowError;
use crate::cli::connection;
use crate::cli::failure::{Exit, Failure};
use crate::cli::interrupt::Interrupt;

/// Appends under way at once.
const APPENDS_MAX: usize = 2048;
/// Bytes of data in them.
const APPEND_BYTES_MAX: usize = 8 << 20;
/// Streams whose ids are being read at once.
const READS_MAX: usize = 64;
/// Rows that wait for their turn, so that the ids of their streams are read ahead of it.
const WAITING_ROWS_MAX: usize = 8192;
/// Bytes of data in them.
const WAITING_BYTES_MAX: usize = 16 << 20;

/// What an import has done.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Summary {
    /// Events written.
    pub(crate) events: u64,
    /// Streams met.
    pub(crate) streams: u64,
    /// Events that were there already.
    pub(crate) duplicates: u64,
    /// How long it took.
    pub(crate) seconds: f64,
}

impl Summary {
    /// Rows dealt with in a second.
    pub(crate) fn rows_per_s(&self) -> u64 {
        ((self.events + self.duplicates) as f64 / self.seconds.max(f64::EPSILON)) as u64
    }
}

/// Carries out one import.
pub(super) struct Writer {
    client: Client,
    event_type: String,
    waiting: Waiting,
    /// Streams whose ids are to be read, and the line of the row that needs them.
    unread: VecDeque<(String, u64)>,
    reads: JoinSet<IdsRead>,
    appends: VecDeque<Pending>,
    append_bytes: usize,
    summary: Summary,
    /// No more rows come: there are none, or the next one is bad.
    rows_ended: Option<Result<(), Failure>>,
    /// Why no further append is begun.
    stopped: Option<Failure>,
}

/// The ids that a stream holds.
struct IdsRead {
    stream: String,
    line: u64,
    ids: Result<HashSet<EventId>, Failure>,
}

/// An append under way.
struct Pending {
    reply: PendingAppend,
    events: u64,
    bytes: usize,
    line: u64,
}

impl Writer {
    /// - `batch_rows_max`: the most rows in one append
    pub(super) fn new(client: Client, event_type: String, batch_rows_max: usize) -> Self {
        Self {
            client,
            event_type,
            waiting: Waiting::new(batch_rows_max),
            unread: VecDeque::new(),
            reads: JoinSet::new(),
            appends: VecDeque::new(),
            append_bytes: 0,
            summary: Summary::default(),
            rows_ended: None,
            stopped: None,
        }
    }

    /// Writes all rows; gives what was done, and why it ended early where it did.
    ///
    /// - `total`: rows to come, where they have been counted
    pub(super) async fn run(
        mut self,
        mut feed: Feed,
        total: Option<u64>,
        interrupt: &mut Interrupt,
    ) -> (Summary, Result<(), Failure>) {
        let started = Instant::now();
        let mut progress = Progress::new(total);
        while !self.is_done() {
            let (is_running, wants_rows) = (self.stopped.is_none(), self.wants_rows());
            tokio::select! {
                biased;
                reply = first_reply(&mut self.appends) => self.replied(reply),
                Some(read) = self.reads.join_next() => {
                    self.ids_read(read.expect("reading ids does not panic"));
                }
                rows = feed.take(), if wants_rows => self.received(rows),
                () = interrupt.requested(), if is_running => {
                    self.stop(Failure::new(Exit::Interrupted, "interrupted"));
                }
            }
            self.start_reads();
            self.start_appends();
            progress.update(self.summary.events + self.summary.duplicates);
        }
        progress.finish();
        self.summary.streams = self.waiting.streams() as u64;
        self.summary.seconds = started.elapsed().as_secs_f64();
        let ended = self.stopped.map_or_else(|| self.rows_ended.unwrap_or(Ok(())), Err);
        (self.summary, ended)
    }

    /// Appends under way are waited for, whatever else happened.
    fn is_done(&self) -> bool {
        let no_rows = self.rows_ended.is_some() && self.waiting.rows() == 0;
        self.appends.is_empty() && (no_rows || self.stopped.is_some())
    }

    /// Rows are taken only as far ahead as memory allows.
    fn wants_rows(&self) -> bool {
        self.rows_ended.is_none()
            && self.stopped.is_none()
            && self.waiting.rows() < WAITING_ROWS_MAX
            && self.waiting.bytes() < WAITING_BYTES_MAX
    }

    /// The first trouble is what the user hears of.
    fn stop(&mut self, failure: Failure) {
        self.stopped.get_or_insert(failure);
    }

    fn received(&mut self, rows: Result<Vec<PreparedRow>, Result<(), RowError>>) {
        match rows {
            Ok(rows) => {
                for row in rows {
                    let line = row.row.line;
                    let unknown = self.waiting.push(row);
                    self.unread.extend(unknown.map(|stream| (stream, line)));
                }
            }
            Err(end) => self.rows_ended = Some(end.map_err(Failure::failed)),
        }
    }

    fn start_reads(&mut self) {
        while self.stopped.is_none() && self.reads.len() < READS_MAX {
            let Some((stream, line)) = self.unread.pop_front() else { return };
            let client = self.client.clone();
            self.reads.spawn(async move {
                let ids = connection::event_ids(&client, &stream).await;
                IdsRead { stream, line, ids }
            });
        }
    }

    fn ids_read(&mut self, read: IdsRead) {
        match read.ids {
            Ok(ids) => self.waiting.known(&read.stream, ids),
            Err(failure) => self.stop(failure.at_line(read.line)),
        }
    }

    fn start_appends(&mut self) {
        while self.stopped.is_none()
            && self.appends.len() < APPENDS_MAX
            && self.append_bytes < APPEND_BYTES_MAX
        {
            let Some(batch) = self.waiting.next_batch() else { return };
            self.summary.duplicates += batch.duplicates;
            if !batch.missing.is_empty() {
                self.append(batch);
            }
        }
    }

    fn append(&mut self, batch: Batch) {
        let Batch { stream, missing, line, bytes, .. } = batch;
        let events: Vec<NewEvent<'_>> = missing
            .iter()
            .map(|row| NewEvent {
                id: row.id,
                event_type: &self.event_type,
                content_type: ContentType::Json,
                data: &row.row.data,
                metadata: &[],
            })
            .collect();
        let reply = self.client.append(&stream, Expected::Any, &events);
        self.append_bytes += bytes;
        self.appends.push_back(Pending { reply, events: events.len() as u64, bytes, line });
    }

    fn replied(&mut self, (pending, reply): (Pending, Result<Appended, AppendError>)) {
        self.append_bytes -= pending.bytes;
        match reply {
            Ok(appended) if appended.duplicate => self.summary.duplicates += pending.events,
            Ok(_) => self.summary.events += pending.events,
            Err(error) => self.stop(connection::append_failure(error).at_line(pending.line)),
        }
    }
}

/// The reply to the oldest append; waits for ever where none is under way.
///
/// Replies come nearly in the order of the appends, so that waiting for the oldest holds nothing up.
async fn first_reply(appends: &mut VecDeque<Pending>) -> (Pending, Result<Appended, AppendError>) {
    let Some(oldest) = appends.front_mut() else { return std::future::pending().await };
    let reply = (&mut oldest.reply).await;
    (appends.pop_front().expect("it is still the oldest"), reply)
}
