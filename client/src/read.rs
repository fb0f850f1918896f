//! A read: the events of a stream or of `$all`, up to an end or a count.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_core::Stream;
use quorate_core::request::Consistency;
use quorate_net::Frame;
use quorate_net::wire::{Read, ReadFrom, Reply, Request, Target};

use crate::client::Handle;
use crate::error::ReadError;
use crate::event::{ReadEvent, parse_batch};
use crate::feed::{Feed, FeedError, passes};
use crate::options::ReadOptions;
use crate::session::Served;

/// The events of a read, in order; `None` once there are no more.
///
/// Use [`ReadStream::next`], or the `Stream` implementation with a crate of combinators. The node
/// sends only as fast as events are taken out. Where the node is lost the read goes on behind the
/// last event, within the deadline and on another node where need be. After an error it is over.
pub struct ReadStream {
    feed: Feed,
    target: Target,
    options: ReadOptions,
    /// Events that were received, and the number of the last of them.
    received: u64,
    last: Option<u64>,
    ready: VecDeque<ReadEvent>,
    over: bool,
}

impl ReadStream {
    pub(crate) fn new(
        handle: Arc<Handle>,
        target: Target,
        options: ReadOptions,
        deadline: Duration,
    ) -> Self {
        let served = match options.consistency {
            Consistency::Linearizable => Served::ByLeader,
            Consistency::Committed => Served::ByAny,
        };
        Self {
            feed: Feed::new(handle, served, deadline),
            target,
            options,
            received: 0,
            last: None,
            ready: VecDeque::new(),
            over: false,
        }
    }

    /// The next event; `None` after the last. Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<Result<ReadEvent, ReadError>> {
        poll_fn(|cx| self.poll_event(cx)).await
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<ReadEvent, ReadError>>> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Poll::Ready(Some(Ok(event)));
            }
            if self.over || self.remaining() == Some(0) {
                return Poll::Ready(None);
            }
            let Self { feed, target, options, received, last, .. } = self;
            let request = || request(target, options, *received, *last);
            let taken_in = match ready!(feed.poll_frame(cx, request)) {
                Ok(frame) => self.take_in(&frame),
                Err(error) => Err(read_error(error, self.feed.deadline())),
            };
            if self.over {
                self.feed.close();
            }
            if let Err(error) = taken_in {
                self.over = true;
                self.feed.close();
                return Poll::Ready(Some(Err(error)));
            }
        }
    }

    fn take_in(&mut self, frame: &Frame) -> Result<(), ReadError> {
        match Reply::decode(frame).map_err(ReadError::Protocol)? {
            Reply::Events { .. } => {
                parse_batch(&frame.payload_bytes(), &mut self.ready)?;
                self.received += self.ready.len() as u64;
                self.last =
                    self.ready.back().map(|event| number(&self.target, event)).or(self.last);
                self.feed.made_progress();
            }
            Reply::End { .. } => self.over = true,
            Reply::NotFound => return Err(ReadError::NotFound { stream: name(&self.target) }),
            Reply::Deleted => return Err(ReadError::Deleted { stream: name(&self.target) }),
            Reply::Failed { code, .. } if passes(code) => self.feed.refused(code),
            Reply::Failed { code, message, .. } => {
                return Err(ReadError::Failed { code, message: message.to_owned() });
            }
            Reply::Welcome(_)
            | Reply::Appended { .. }
            | Reply::Refused { .. }
            | Reply::Status { .. }
            | Reply::Confirmed { .. }
            | Reply::Checkpoint { .. }
            | Reply::CaughtUp
            | Reply::FellBehind
            | Reply::Leader { .. }
            | Reply::Transferred { .. } => return Err(ReadError::Unexpected("read")),
        }
        Ok(())
    }

    fn remaining(&self) -> Option<u64> {
        self.options.count.map(|count| count.saturating_sub(self.received))
    }
}

impl Stream for ReadStream {
    type Item = Result<ReadEvent, ReadError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_event(cx)
    }
}

/// What to ask for, the first time or behind what was received already.
fn request(
    target: &Target,
    options: &ReadOptions,
    received: u64,
    last: Option<u64>,
) -> Request<'static> {
    Request::Read(Read {
        target: target.clone(),
        from: last.map_or(options.from, ReadFrom::After),
        direction: options.direction,
        count: options.count.map(|count| count - received),
        filter: options.filter.clone(),
        resolve_links: options.resolve_links,
        consistency: options.consistency,
    })
}

/// An event's place in what is read: its revision, or its position in `$all`.
pub(crate) fn number(target: &Target, event: &ReadEvent) -> u64 {
    match target {
        Target::All => event.original().position().get(),
        Target::Stream(_) => event.original().revision().get(),
    }
}

pub(crate) fn name(target: &Target) -> String {
    match target {
        Target::All => "$all".to_owned(),
        Target::Stream(stream) => stream.clone(),
    }
}

pub(crate) fn read_error(error: FeedError, within: Duration) -> ReadError {
    match error {
        FeedError::Unreachable(error) => ReadError::Unreachable(error),
        FeedError::Deadline => ReadError::Deadline { within },
        FeedError::Wire(error) => ReadError::Protocol(error),
    }
}
