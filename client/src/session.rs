//! The session: every call of a client on one QUIC stream, kept up for as long as the client lives.
//!
//! Calls are encoded into one buffer when they are made. A single writer hands whatever has
//! gathered to QUIC, a single reader takes answers in and wakes whom they are for; no call has a
//! task or a timer of its own. When the connection is lost, the calls that are not answered are
//! sent again, in the order in which they were made, with the same event ids and with word of where
//! the log ended before their first attempt, so that the node can tell a repetition from an append.

use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use quinn::{Connection, SendStream, VarInt};
use quorate_core::id::Position;
use quorate_core::log::entry::LogId;
use quorate_core::request::Rejection;
use quorate_net::wire::{CallId, ClientLimits, ErrorCode, Reply};
use quorate_net::{Frame, FrameReceiver};
use tokio::time::{Instant, sleep, sleep_until};

use crate::calls::{Answer, Calls, Request};
use crate::connect::{Dialer, Established, ended};
use crate::error::ConnectError;

const BACKOFF_MIN: Duration = Duration::from_millis(10);
const BACKOFF_MAX: Duration = Duration::from_secs(1);
/// An outgoing buffer that has grown beyond this is not kept.
const OUT_BYTES_KEPT: usize = 1 << 20;
/// The code with which a client that is done closes its connection.
pub(crate) const DONE: VarInt = VarInt::from_u32(0);

/// What the tasks of a client and its calls share.
pub(crate) struct Session {
    state: Mutex<State>,
    log: LogId,
}

struct State {
    calls: Calls,
    /// The connection, while the session is open.
    connection: Option<Connection>,
    /// Encoded requests that the writer has not taken yet.
    out: Vec<u8>,
    /// Bytes that were ever put into `out`, and taken out of it, in this session.
    queued: u64,
    taken: u64,
    limits: ClientLimits,
    /// Where the log ends, as far as is known.
    known_end: Position,
    last_error: Option<Arc<ConnectError>>,
    closed: bool,
    writer: Option<Waker>,
    timer: Option<Waker>,
    supervisor: Option<Waker>,
    /// Who waits for a connection to open a stream of its own.
    readers: Vec<Waker>,
}

impl Session {
    /// Takes a welcomed session up and keeps it up until [`Session::close`].
    pub(crate) fn start(dialer: Dialer, established: Established) -> Arc<Self> {
        let session = Arc::new(Self {
            log: established.log,
            state: Mutex::new(State {
                calls: Calls::default(),
                connection: None,
                out: Vec::new(),
                queued: 0,
                taken: 0,
                limits: established.limits,
                known_end: Position::START,
                last_error: None,
                closed: false,
                writer: None,
                timer: None,
                supervisor: None,
                readers: Vec::new(),
            }),
        });
        session.opened(&established);
        tokio::spawn(supervise(session.clone(), dialer, established));
        tokio::spawn(watch_time(session.clone()));
        session
    }

    /// The log that the node keeps.
    pub(crate) fn log(&self) -> LogId {
        self.log
    }

    /// The node's bounds.
    pub(crate) fn limits(&self) -> ClientLimits {
        self.lock().limits
    }

    /// A request to fill in, with empty buffers.
    pub(crate) fn spare_request(&self) -> Request {
        self.lock().calls.spare_request()
    }

    /// Queues a call; with an open session it is sent at once.
    pub(crate) fn submit(&self, request: Request, deadline: Instant) -> CallId {
        let mut state = self.lock();
        let known_end = state.known_end;
        let earliest = state.calls.next_time();
        let call = state.calls.insert(request, deadline, known_end);
        let mut wake = [None, None];
        if state.closed {
            state.calls.close();
        } else if state.connection.is_some() {
            state.send(call);
            wake[0] = state.writer.take();
        } else {
            wake[0] = state.supervisor.take();
        }
        if state.calls.next_time() != earliest {
            wake[1] = state.timer.take();
        }
        drop(state);
        wake.into_iter().flatten().for_each(Waker::wake);
        call
    }

    /// The answer to a call, with which the call is forgotten.
    pub(crate) fn poll_answer(&self, call: CallId, cx: &Context<'_>) -> Poll<Answer> {
        match self.lock().calls.poll(call, cx.waker()) {
            Some(answer) => Poll::Ready(answer),
            None => Poll::Pending,
        }
    }

    /// Gives a call up.
    pub(crate) fn abandon(&self, call: CallId) {
        self.lock().calls.abandon(call);
    }

    /// The open connection, for a stream beside the session.
    pub(crate) fn poll_connection(
        &self,
        cx: &Context<'_>,
    ) -> Poll<Result<Connection, ConnectError>> {
        let mut state = self.lock();
        if state.closed {
            return Poll::Ready(Err(ConnectError::Closed));
        }
        if let Some(connection) = &state.connection {
            return Poll::Ready(Ok(connection.clone()));
        }
        if !state.readers.iter().any(|reader| reader.will_wake(cx.waker())) {
            state.readers.push(cx.waker().clone());
        }
        let supervisor = state.supervisor.take();
        drop(state);
        supervisor.into_iter().for_each(Waker::wake);
        Poll::Pending
    }

    /// Why there is no connection; `None` where the first one still stands.
    pub(crate) fn last_error(&self) -> Option<Arc<ConnectError>> {
        self.lock().last_error.clone()
    }

    /// Ends all calls and the connection.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.calls.close();
        let mut woken = std::mem::take(&mut state.readers);
        state.calls.take_woken(&mut woken);
        woken.extend(state.supervisor.take());
        woken.extend(state.timer.take());
        woken.extend(state.writer.take());
        let connection = state.connection.take();
        drop(state);
        if let Some(connection) = connection {
            connection.close(DONE, b"done");
        }
        woken.into_iter().for_each(Waker::wake);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A session is open: everything that waited is sent.
    fn opened(&self, established: &Established) {
        let mut state = self.lock();
        state.connection = Some(established.connection.clone());
        state.limits = established.limits;
        state.known_end = state.known_end.max(established.committed);
        state.out.clear();
        (state.queued, state.taken) = (0, 0);
        for call in state.calls.waiting() {
            state.send(call);
        }
        let readers = std::mem::take(&mut state.readers);
        drop(state);
        readers.into_iter().for_each(Waker::wake);
    }

    /// The session is lost: its calls wait for the next one.
    fn lost(&self, error: ConnectError) {
        let mut state = self.lock();
        state.connection = None;
        let taken = state.taken;
        state.calls.session_lost(taken);
        state.last_error = Some(Arc::new(error));
    }

    /// Ready once a connection is wanted; false once the client is closed.
    fn poll_wanted(&self, cx: &Context<'_>) -> Poll<bool> {
        let mut state = self.lock();
        if state.closed {
            return Poll::Ready(false);
        }
        if state.calls.any_waiting() || !state.readers.is_empty() {
            return Poll::Ready(true);
        }
        state.supervisor = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Exchanges what has gathered for an empty buffer; false once the client is closed.
    fn poll_take(&self, cx: &Context<'_>, buffer: &mut Vec<u8>) -> Poll<bool> {
        let mut state = self.lock();
        if state.closed {
            return Poll::Ready(false);
        }
        if state.out.is_empty() {
            state.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        std::mem::swap(&mut state.out, buffer);
        state.taken = state.queued;
        Poll::Ready(true)
    }
}

impl State {
    fn send(&mut self, call: CallId) {
        let before = self.out.len();
        self.calls.send(call, &mut self.out, self.queued);
        self.queued += (self.out.len() - before) as u64;
    }

    fn take_in(&mut self, frame: &Frame) -> Result<(), ConnectError> {
        match Reply::decode(frame)? {
            Reply::Appended { call, appended } => {
                self.known_end = self.known_end.max(appended.position);
                self.calls.complete(call, |_| Answer::Appended(appended));
            }
            Reply::Refused { call, rejection } => match rejection {
                Rejection::NotReady | Rejection::Overloaded => {
                    self.calls.pause(call, rejection, Instant::now());
                }
                rejection => self
                    .calls
                    .complete(call, |sent_before| Answer::Refused { rejection, sent_before }),
            },
            Reply::Status { call, status } => {
                self.calls.complete(call, |_| Answer::Status(status));
            }
            Reply::Failed { call: Some(call), code, message } => {
                let message = message.to_owned();
                self.calls.complete(call, |sent_before| Answer::Failed {
                    code,
                    message,
                    sent_before,
                });
            }
            Reply::Failed { call: None, code, message } => {
                return Err(ConnectError::Ended { code, message: message.to_owned() });
            }
            Reply::Welcome(_)
            | Reply::Confirmed { .. }
            | Reply::Events { .. }
            | Reply::Checkpoint { .. }
            | Reply::CaughtUp
            | Reply::FellBehind
            | Reply::End { .. }
            | Reply::NotFound
            | Reply::Deleted => return Err(ended("a frame came that has no place in a session")),
        }
        Ok(())
    }
}

/// Keeps the session up: runs it, and when it is lost and wanted again, dials.
async fn supervise(session: Arc<Session>, dialer: Dialer, first: Established) {
    let mut established = Some(first);
    let mut backoff = BACKOFF_MIN;
    loop {
        if let Some(established) = established.take() {
            let connection = established.connection.clone();
            let error = run(&session, established).await;
            // Whatever the session died of, streams beside it must not outlive it.
            connection.close(DONE, b"session ended");
            session.lost(error);
            backoff = BACKOFF_MIN;
        }
        if !poll_fn(|cx| session.poll_wanted(cx)).await {
            dialer.endpoint().wait_idle().await;
            return;
        }
        match dialer.dial().await {
            Ok(opened) if opened.log == session.log => {
                session.opened(&opened);
                established = Some(opened);
            }
            Ok(opened) => {
                opened.connection.close(DONE, b"another log");
                session.lost(ConnectError::OtherLog {
                    expected: Box::new(session.log),
                    found: Box::new(opened.log),
                });
            }
            Err(error) => session.lost(error),
        }
        if established.is_none() {
            sleep(backoff).await;
            backoff = (backoff * 2).min(BACKOFF_MAX);
        }
    }
}

/// Runs one session until it is lost.
async fn run(session: &Session, established: Established) -> ConnectError {
    let Established { send, receiver, connection, .. } = established;
    tokio::select! {
        biased;
        error = read(session, receiver) => error,
        () = write(session, send) => match connection.close_reason() {
            Some(reason) => quorate_net::ConnectError::from(reason).into(),
            None => ended("it stopped the stream"),
        },
    }
}

/// Hands requests to QUIC, as many at once as have gathered.
async fn write(session: &Session, mut send: SendStream) {
    let mut buffer = Vec::new();
    while poll_fn(|cx| session.poll_take(cx, &mut buffer)).await {
        if send.write_all(&buffer).await.is_err() {
            return; // The connection says why.
        }
        buffer.clear();
        buffer.shrink_to(OUT_BYTES_KEPT);
    }
}

/// Takes answers in, as many at once as have come.
async fn read(session: &Session, mut receiver: FrameReceiver) -> ConnectError {
    let mut woken = Vec::new();
    loop {
        let mut next = match receiver.next().await {
            Ok(Some(frame)) => Some(frame),
            Ok(None) => return ended("it finished the stream"),
            Err(error) => return error.into(),
        };
        let mut state = session.lock();
        let earliest = state.calls.next_time();
        let mut outcome = Ok(());
        while let (Ok(()), Some(frame)) = (&outcome, next.take()) {
            outcome = state.take_in(&frame).and_then(|()| {
                next = receiver.ready()?;
                Ok(())
            });
        }
        state.calls.take_woken(&mut woken);
        if state.calls.next_time() != earliest {
            woken.extend(state.timer.take());
        }
        drop(state);
        woken.drain(..).for_each(Waker::wake);
        if let Err(error) = outcome {
            return error;
        }
    }
}

/// Ends calls at their deadlines, and sends those again whose pause is over.
async fn watch_time(session: Arc<Session>) {
    let mut woken = Vec::new();
    let mut timer = pin!(sleep_until(Instant::now()));
    poll_fn(|cx| {
        loop {
            let mut state = session.lock();
            if state.closed {
                return Poll::Ready(());
            }
            state.timer = Some(cx.waker().clone());
            let Some(next) = state.calls.next_time() else { return Poll::Pending };
            drop(state);
            timer.as_mut().reset(next);
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            let mut state = session.lock();
            for call in state.calls.pass_time(Instant::now()) {
                if state.connection.is_some() {
                    state.send(call);
                }
            }
            woken.extend(state.writer.take());
            state.calls.take_woken(&mut woken);
            drop(state);
            woken.drain(..).for_each(Waker::wake);
        }
    })
    .await;
}

/// Whether a failure says that nothing was done.
pub(crate) fn is_refusal(code: ErrorCode) -> bool {
    match code {
        ErrorCode::Protocol
        | ErrorCode::InvalidRequest
        | ErrorCode::NotReady
        | ErrorCode::Overloaded => true,
        ErrorCode::Stopping | ErrorCode::Corruption | ErrorCode::Internal => false,
    }
}
