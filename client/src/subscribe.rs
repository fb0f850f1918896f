//! A subscription: history first, then each event as it is written, without gap or duplicate.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_core::Stream;
use quorate_net::Frame;
use quorate_net::wire::{Reply, Request, Subscribe, SubscribeFrom, Target};

use crate::client::Handle;
use crate::error::ReadError;
use crate::event::{ReadEvent, parse_batch};
use crate::feed::{Feed, passes};
use crate::options::SubscribeOptions;
use crate::read::{name, number, read_error};
use crate::session::Served;

/// What happens in a subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SubscriptionEvent {
    /// It stands. Given once, before all else.
    Confirmed {
        /// The number (revision, or position in `$all`) behind which events follow; `None` for the
        /// start.
        after: Option<u64>,
    },
    /// An event.
    Event(ReadEvent),
    /// Everything up to here was looked at: a place to go on from, as good as an event's.
    Checkpoint {
        /// A position in `$all`, or a revision of the stream.
        after: u64,
    },
    /// The end is reached; what follows is live.
    CaughtUp,
    /// What follows is history again, up to the next [`SubscriptionEvent::CaughtUp`]: events were
    /// taken out too slowly, or the connection was lost for a while.
    FellBehind,
}

/// The events of a subscription, in order.
///
/// Use [`Subscription::next`], or the `Stream` implementation with a crate of combinators. The node
/// sends only as fast as events are taken out. It stays with that node while it is alive and knows of
/// a leader, itself or another. Where it is lost, or has known of none for a second while another node
/// leads, the subscription goes on there behind the last event. Where that takes longer than the
/// deadline, `next` gives [`ReadError::Unreachable`]; called again, it goes on trying. After any other
/// error it is over.
pub struct Subscription {
    feed: Feed,
    target: Target,
    options: SubscribeOptions,
    /// Where it would go on.
    from: SubscribeFrom,
    confirmed: bool,
    caught_up: bool,
    batch: Vec<ReadEvent>,
    ready: VecDeque<SubscriptionEvent>,
    over: bool,
}

impl Subscription {
    pub(crate) fn new(
        handle: Arc<Handle>,
        target: Target,
        options: SubscribeOptions,
        deadline: Duration,
    ) -> Self {
        Self {
            feed: Feed::new(handle, Served::ByAny, deadline),
            target,
            from: options.from,
            options,
            confirmed: false,
            caught_up: false,
            batch: Vec::new(),
            ready: VecDeque::new(),
            over: false,
        }
    }

    /// What happens next; `None` only after an error. Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<Result<SubscriptionEvent, ReadError>> {
        poll_fn(|cx| self.poll_event(cx)).await
    }

    fn poll_event(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<SubscriptionEvent, ReadError>>> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Poll::Ready(Some(Ok(event)));
            }
            if self.over {
                return Poll::Ready(None);
            }
            let Self { feed, target, options, from, .. } = self;
            let request = || request(target, options, *from);
            let taken_in = match ready!(feed.poll_frame(cx, request)) {
                Ok(frame) => self.take_in(&frame),
                Err(error) => Err(read_error(error, self.feed.deadline())),
            };
            if let Err(error) = taken_in {
                self.over =
                    !matches!(error, ReadError::Unreachable(_) | ReadError::Deadline { .. });
                return Poll::Ready(Some(Err(error)));
            }
        }
    }

    fn take_in(&mut self, frame: &Frame) -> Result<(), ReadError> {
        match Reply::decode(frame).map_err(ReadError::Protocol)? {
            Reply::Confirmed { after } => self.take_in_confirmed(after),
            Reply::Events { .. } if self.feed.is_settled() => self.take_in_events(frame)?,
            Reply::Checkpoint { after } if self.feed.is_settled() => {
                self.from = SubscribeFrom::After(after);
                self.ready.push_back(SubscriptionEvent::Checkpoint { after });
            }
            Reply::CaughtUp if self.feed.is_settled() => {
                self.caught_up = true;
                self.ready.push_back(SubscriptionEvent::CaughtUp);
            }
            Reply::FellBehind if self.feed.is_settled() => self.fall_behind(),
            Reply::NotFound => return Err(ReadError::NotFound { stream: name(&self.target) }),
            Reply::Deleted => return Err(ReadError::Deleted { stream: name(&self.target) }),
            Reply::Failed { code, .. } if passes(code) => {
                self.feed.refused(code);
            }
            Reply::Failed { code, message, .. } => {
                return Err(ReadError::Failed { code, message: message.to_owned() });
            }
            Reply::Welcome(_)
            | Reply::Appended { .. }
            | Reply::Refused { .. }
            | Reply::Status { .. }
            | Reply::Events { .. }
            | Reply::Checkpoint { .. }
            | Reply::CaughtUp
            | Reply::FellBehind
            | Reply::End { .. }
            | Reply::Leader { .. }
            | Reply::Transferred { .. } => return Err(ReadError::Unexpected("subscription")),
        }
        Ok(())
    }

    /// The first time, or again after the connection was lost.
    fn take_in_confirmed(&mut self, after: Option<u64>) {
        self.feed.settle();
        self.feed.made_progress();
        self.from = after.map_or(SubscribeFrom::Start, SubscribeFrom::After);
        if self.confirmed {
            self.fall_behind();
        } else {
            self.confirmed = true;
            self.ready.push_back(SubscriptionEvent::Confirmed { after });
        }
    }

    fn take_in_events(&mut self, frame: &Frame) -> Result<(), ReadError> {
        parse_batch(&frame.payload_bytes(), &mut self.batch)?;
        for event in self.batch.drain(..) {
            let number = number(&self.target, &event);
            if matches!(self.from, SubscribeFrom::After(last) if number <= last) {
                return Err(ReadError::OutOfOrder { number });
            }
            self.from = SubscribeFrom::After(number);
            self.ready.push_back(SubscriptionEvent::Event(event));
        }
        Ok(())
    }

    fn fall_behind(&mut self) {
        if self.caught_up {
            self.caught_up = false;
            self.ready.push_back(SubscriptionEvent::FellBehind);
        }
    }
}

impl Stream for Subscription {
    type Item = Result<SubscriptionEvent, ReadError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_event(cx)
    }
}

fn request(target: &Target, options: &SubscribeOptions, from: SubscribeFrom) -> Request<'static> {
    Request::Subscribe(Subscribe {
        target: target.clone(),
        from,
        filter: options.filter.clone(),
        resolve_links: options.resolve_links,
        checkpoint_events: options.checkpoint_events,
    })
}
