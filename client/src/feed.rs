//! A stream of frames from a node that is opened again, there or elsewhere, when it is lost.
//!
//! Reads and subscriptions differ in what they ask for and in what they make of the frames; both
//! go on, after a lost connection, behind the last event that they gave.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use quorate_net::clock::{Instant, Sleep, sleep_until};
use quorate_net::wire::{ErrorCode, Request, events_payload_bytes_max};
use quorate_net::{Frame, FrameReceiver, ReceiveError, WireError};

use crate::client::Handle;
use crate::error::ConnectError;
use crate::session::Served;

const BACKOFF_MIN: Duration = Duration::from_millis(10);
const BACKOFF_MAX: Duration = Duration::from_secs(1);

/// Why no frame comes.
pub(crate) enum FeedError {
    /// Too long without a frame, and without a connection.
    Unreachable(Arc<ConnectError>),
    /// Too long without a frame.
    Deadline,
    /// The bytes are not a frame.
    Wire(WireError),
}

type Opening = Pin<Box<dyn Future<Output = Result<(usize, FrameReceiver), ConnectError>> + Send>>;

enum Phase {
    Closed,
    /// Waits until then before it is opened again.
    Paused(Instant),
    Opening(Opening),
    Open(FrameReceiver),
}

/// Counts a read that waits for its node, so that the node is looked after meanwhile.
struct Awaiting(Arc<Handle>);

impl Awaiting {
    fn new(handle: Arc<Handle>) -> Self {
        handle.session.read_begins();
        Self(handle)
    }
}

impl Drop for Awaiting {
    fn drop(&mut self) {
        self.0.session.read_ends();
    }
}

/// Counts a subscription on the link that serves it, so that it does not stay where nothing comes.
struct Subscribed {
    handle: Arc<Handle>,
    link: usize,
}

impl Subscribed {
    fn new(handle: Arc<Handle>, link: usize) -> Self {
        handle.session.subscription_begins(link);
        Self { handle, link }
    }
}

impl Drop for Subscribed {
    fn drop(&mut self) {
        self.handle.session.subscription_ends(self.link);
    }
}

/// What an open stream waits for, and what is watched over meanwhile.
enum Waiting {
    /// A frame that is due.
    Answer { _counted: Awaiting },
    /// Whatever happens next: the stream may be silent for as long as it likes.
    News { _counted: Subscribed },
}

/// The frames of one read or subscription.
pub(crate) struct Feed {
    handle: Arc<Handle>,
    served: Served,
    phase: Phase,
    /// The link of the node that it was last opened on.
    link: Option<usize>,
    waiting: Option<Waiting>,
    backoff: Duration,
    deadline: Duration,
    /// When to give up, while something is awaited.
    give_up: Option<Instant>,
    timer: Pin<Box<Sleep>>,
}

impl Feed {
    pub(crate) fn new(handle: Arc<Handle>, served: Served, deadline: Duration) -> Self {
        let timer = Box::pin(sleep_until(Instant::now()));
        Self {
            handle,
            served,
            phase: Phase::Closed,
            link: None,
            waiting: None,
            backoff: BACKOFF_MIN,
            deadline,
            give_up: None,
            timer,
        }
    }

    /// How long the next frame may take.
    pub(crate) fn deadline(&self) -> Duration {
        self.deadline
    }

    /// The next frame.
    ///
    /// - `request`: what to open the stream with, where it must be opened (again)
    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
        request: impl Fn() -> Request<'static>,
    ) -> Poll<Result<Frame, FeedError>> {
        loop {
            match &mut self.phase {
                Phase::Closed => self.open(&request()),
                Phase::Paused(until) => {
                    let until = *until;
                    if until >= self.give_up() {
                        return self.poll_deadline(cx);
                    }
                    ready!(self.poll_until(cx, until));
                    self.phase = Phase::Closed;
                }
                Phase::Opening(opening) => match opening.as_mut().poll(cx) {
                    Poll::Ready(Ok((link, receiver))) => {
                        self.link = Some(link);
                        let counted = Awaiting::new(self.handle.clone());
                        self.waiting = Some(Waiting::Answer { _counted: counted });
                        self.phase = Phase::Open(receiver);
                    }
                    Poll::Ready(Err(_)) => self.pause(),
                    Poll::Pending => return self.poll_deadline(cx),
                },
                Phase::Open(receiver) => match receiver.poll_next(cx) {
                    Poll::Ready(Ok(Some(frame))) => {
                        self.give_up = None;
                        return Poll::Ready(Ok(frame));
                    }
                    Poll::Ready(Ok(None) | Err(ReceiveError::Stream(_))) => self.pause(),
                    Poll::Ready(Err(ReceiveError::Wire(error))) => {
                        return Poll::Ready(Err(FeedError::Wire(error)));
                    }
                    Poll::Pending if self.is_settled() => return Poll::Pending,
                    Poll::Pending => return self.poll_deadline(cx),
                },
            }
        }
    }

    /// Opens the stream again in a moment: it was lost, or the node could not serve it.
    fn pause(&mut self) {
        self.waiting = None;
        self.phase = Phase::Paused(Instant::now() + self.backoff);
        self.backoff = (self.backoff * 2).min(BACKOFF_MAX);
    }

    /// The node could not serve it.
    pub(crate) fn refused(&mut self, code: ErrorCode) {
        if matches!(code, ErrorCode::NotLeader | ErrorCode::LeadershipLost)
            && let Some(link) = self.link
        {
            self.handle.session.denied(link);
        }
        self.pause();
    }

    /// The stream is over; nothing more is awaited.
    pub(crate) fn close(&mut self) {
        self.phase = Phase::Closed;
        self.waiting = None;
    }

    /// The stream does what it should: a later loss is not the continuation of an earlier one.
    pub(crate) fn made_progress(&mut self) {
        self.backoff = BACKOFF_MIN;
    }

    /// From now on, and until it is opened again, the stream may be silent.
    pub(crate) fn settle(&mut self) {
        let link = self.link.expect("the stream is open");
        let counted = Subscribed::new(self.handle.clone(), link);
        self.waiting = Some(Waiting::News { _counted: counted });
    }

    /// Whether it was settled since it was last opened.
    pub(crate) fn is_settled(&self) -> bool {
        matches!(self.waiting, Some(Waiting::News { .. }))
    }

    fn open(&mut self, request: &Request<'_>) {
        let mut bytes = Vec::new();
        request.encode(&mut bytes);
        let (handle, served) = (self.handle.clone(), self.served);
        self.phase = Phase::Opening(Box::pin(async move {
            let server = poll_fn(|cx| handle.session.poll_server(served, cx)).await?;
            let lost = |error| ConnectError::from(quorate_net::ConnectError::from(error));
            let (mut send, receive) = server.connection.open_bi().await.map_err(lost)?;
            if send.write_all(&bytes).await.is_err() || send.finish().is_err() {
                return Err(crate::connect::ended("it stopped the stream"));
            }
            let payload_bytes_max = events_payload_bytes_max(server.limits.event_bytes_max);
            Ok((server.link, FrameReceiver::new(receive, payload_bytes_max)))
        }));
    }

    fn give_up(&mut self) -> Instant {
        *self.give_up.get_or_insert_with(|| Instant::now() + self.deadline)
    }

    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<Result<Frame, FeedError>> {
        let give_up = self.give_up();
        ready!(self.poll_until(cx, give_up));
        self.give_up = None;
        self.waiting = None;
        let phase = std::mem::replace(&mut self.phase, Phase::Closed);
        Poll::Ready(Err(match (phase, self.handle.session.last_error()) {
            (Phase::Closed | Phase::Paused(_) | Phase::Opening(_), Some(error)) => {
                FeedError::Unreachable(error)
            }
            (Phase::Open(_), _) | (_, None) => FeedError::Deadline,
        }))
    }

    fn poll_until(&mut self, cx: &mut Context<'_>, until: Instant) -> Poll<()> {
        if self.timer.deadline() != until {
            self.timer.as_mut().reset(until);
        }
        self.timer.as_mut().poll(cx)
    }
}

/// Whether a failure is worth another attempt.
pub(crate) fn passes(code: ErrorCode) -> bool {
    match code {
        ErrorCode::NotReady
        | ErrorCode::Stopping
        | ErrorCode::Overloaded
        | ErrorCode::LeadershipLost
        | ErrorCode::NotLeader => true,
        ErrorCode::Protocol
        | ErrorCode::InvalidRequest
        | ErrorCode::Corruption
        | ErrorCode::Internal => false,
    }
}
