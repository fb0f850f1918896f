//! Reads: a cursor over what was committed when the read came, sent as fast as the client takes it.

use std::time::Duration;

use bytes::Bytes;
use quinn::{SendStream, WriteError};
use quorate_core::id::{Position, Revision};
use quorate_core::limits::Limits;
use quorate_core::store::filter::{self, Matcher};
use quorate_net::clock::Instant;
use quorate_net::wire::{
    Direction, ErrorCode, Filter, Read, ReadFrom, Reply, Target, encode_events_head,
};
use quorate_storage::read::{
    self, AllCursor, AllQuery, Batch, Progress, ReadError, StreamCursor, StreamQuery,
};

use super::{code_of, fail, finish, reply};
use crate::driver::Driver;
use crate::logger::wall_clock;

/// How long a read waits for what it has found damaged. To look through a segment, ask another node
/// and write takes a fraction of it.
const MEND_PATIENCE: Duration = Duration::from_secs(3);

/// Either kind of cursor.
pub(super) enum Cursor {
    All(Box<AllCursor>),
    Stream(Box<StreamCursor>),
}

/// What a reader asks for, in either kind of numbers.
pub(super) struct Query {
    pub(super) target: Target,
    pub(super) from: ReadFrom,
    pub(super) direction: Direction,
    pub(super) count: Option<u64>,
    pub(super) filter: Filter,
    pub(super) resolve_links: bool,
}

impl Cursor {
    /// Opens a cursor.
    ///
    /// # Errors
    ///
    /// What is wrong with the request, in words.
    pub(super) fn open(driver: &Driver, query: Query) -> Result<Self, String> {
        let limits = driver.config().limits();
        let filter = compile(&query.filter, &limits)?;
        let direction = match query.direction {
            Direction::Forwards => read::Direction::Forwards,
            Direction::Backwards => read::Direction::Backwards,
        };
        let Query { target, from, count, resolve_links, .. } = query;
        match target {
            Target::All => {
                let from = start(from, Position::from_wire);
                let query = AllQuery { from, direction, count, filter, resolve_links };
                Ok(Self::All(Box::new(driver.reader().all(query))))
            }
            Target::Stream(stream) => {
                check_name(&stream, &limits)?;
                if query.filter != Filter::None {
                    return Err("a filter is for $all alone".into());
                }
                let from = start(from, Revision::from_wire);
                let query = StreamQuery { stream, from, direction, count, resolve_links };
                Ok(Self::Stream(Box::new(driver.reader().stream(query))))
            }
        }
    }

    /// The next events below `end`. Where they are damaged on this node's disk, it waits a while for
    /// another node's copy.
    pub(super) async fn next(
        &mut self,
        driver: &Driver,
        end: Position,
    ) -> Result<Batch, ReadError> {
        let deadline = Instant::now() + MEND_PATIENCE;
        loop {
            let error = match driver.drive(self.step(end)).await {
                Ok(batch) => return Ok(batch),
                Err(error) => error,
            };
            if Instant::now() >= deadline || !driver.is_mended(&error, deadline).await {
                return Err(error);
            }
        }
    }

    async fn step(&mut self, end: Position) -> Result<Batch, ReadError> {
        match self {
            Self::All(cursor) => cursor.next(end, wall_clock()).await,
            Self::Stream(cursor) => cursor.next(end, wall_clock()).await,
        }
    }
}

/// Serves a read on its stream.
pub(super) async fn serve(driver: &Driver, send: &mut SendStream, read: Read) {
    driver.shared().metrics.reads.add(1);
    // A client that goes away, or has enough, is no error.
    let _gone = answer(driver, send, read).await;
}

async fn answer(driver: &Driver, send: &mut SendStream, read: Read) -> Result<(), WriteError> {
    let end = match driver.read_bound(read.consistency).await {
        Ok(end) => end,
        Err(rejection) => {
            fail(send, code_of(&rejection), &rejection.to_string()).await;
            return Ok(());
        }
    };
    let Read { target, from, direction, count, filter, resolve_links, .. } = read;
    let query = Query { target, from, direction, count, filter, resolve_links };
    let mut cursor = match Cursor::open(driver, query) {
        Ok(cursor) => cursor,
        Err(message) => {
            fail(send, ErrorCode::InvalidRequest, &message).await;
            return Ok(());
        }
    };
    loop {
        if driver.is_stopping() {
            fail(send, ErrorCode::Stopping, "the node is stopping").await;
            return Ok(());
        }
        match cursor.next(driver, end).await {
            Ok(batch) => {
                let (next, progress) = (batch.next, batch.progress);
                send_events(driver, send, batch).await?;
                if progress != Progress::More {
                    let at_end = progress != Progress::Counted;
                    reply(send, &Reply::End { next, at_end }).await?;
                    finish(send).await;
                    return Ok(());
                }
            }
            Err(error) => return end_with(driver, send, error).await,
        }
    }
}

/// Sends the events of a batch, where there are any.
pub(super) async fn send_events(
    driver: &Driver,
    send: &mut SendStream,
    batch: Batch,
) -> Result<(), WriteError> {
    if batch.item_count == 0 {
        return Ok(());
    }
    let metrics = &driver.shared().metrics;
    metrics.read_events.add(batch.event_count);
    metrics.read_bytes.add(batch.items.len() as u64);
    let mut head = Vec::with_capacity(64);
    encode_events_head(&mut head, batch.item_count, &batch.items);
    send.write_all_chunks(&mut [Bytes::from(head), Bytes::from(batch.items)]).await
}

/// Ends a stream that can't be read any further.
pub(super) async fn end_with(
    driver: &Driver,
    send: &mut SendStream,
    error: ReadError,
) -> Result<(), WriteError> {
    match error {
        ReadError::NotFound => reply(send, &Reply::NotFound).await?,
        ReadError::StreamDeleted => reply(send, &Reply::Deleted).await?,
        error => {
            let code = driver.read_failed(&error);
            fail(send, code, &error.to_string()).await;
            return Ok(());
        }
    }
    finish(send).await;
    Ok(())
}

fn start<T>(from: ReadFrom, number: impl Fn(u64) -> T) -> read::From<T> {
    match from {
        ReadFrom::Start => read::From::Start,
        ReadFrom::End => read::From::End,
        ReadFrom::At(at) => read::From::At(number(at)),
        ReadFrom::After(after) => read::From::After(number(after)),
    }
}

fn check_name(stream: &str, limits: &Limits) -> Result<(), String> {
    let max = limits.stream_name_bytes_max as usize;
    if stream.is_empty() {
        Err("a stream's name must not be empty".into())
    } else if stream.len() > max {
        Err(format!("stream_name_bytes_max is {max} bytes, and this has {}", stream.len()))
    } else {
        Ok(())
    }
}

fn compile(filter: &Filter, limits: &Limits) -> Result<Matcher, String> {
    let filter = match filter {
        Filter::None => filter::Filter::All,
        Filter::StreamPrefixes(prefixes) => filter::Filter::StreamPrefixes(prefixes.clone()),
        Filter::TypePrefixes(prefixes) => filter::Filter::TypePrefixes(prefixes.clone()),
        Filter::StreamExpression(text) => filter::Filter::StreamRegex(text.clone()),
        Filter::TypeExpression(text) => filter::Filter::TypeRegex(text.clone()),
    };
    filter.compile(limits).map_err(|error| error.to_string())
}
