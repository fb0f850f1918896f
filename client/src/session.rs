//! The session: all calls of a client, on whichever node's QUIC stream is in use.
//!
//! Calls are encoded into one buffer when they are made. A single writer hands whatever has
//! gathered to QUIC, a single reader takes answers in and wakes whom they are for; no call has a
//! task or a timer of its own. When the connection is lost, or another node leads, the calls that
//! are not answered are sent again there, in the order in which they were made, with the same event
//! ids and with word of where the log ended before their first attempt, so that the node can tell a
//! repetition from an append.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use quinn::{Connection, VarInt};
use quorate_core::id::Position;
use quorate_core::log::entry::LogId;
use quorate_core::request::Rejection;
use quorate_net::Frame;
use quorate_net::clock::Instant;
use quorate_net::wire::{CallId, ClientLimits, ErrorCode, LeaderHint, Reply};

use crate::calls::{Answer, Ask, Calls, Request, Transferred};
use crate::connect::{Dialer, Established, ended};
use crate::error::ConnectError;
use crate::keep;
use crate::links::{Links, PROBE};
use crate::watch::{self, PROBE_PAUSE_MIN};

/// The code with which a client that is done closes its connection.
pub(crate) const DONE: VarInt = VarInt::from_u32(0);

/// What the tasks of a client and its calls share.
pub(crate) struct Session {
    state: Mutex<State>,
    log: LogId,
    pub(crate) dialer: Arc<Dialer>,
}

pub(crate) struct State {
    pub(crate) calls: Calls,
    pub(crate) links: Links,
    limits: ClientLimits,
    /// Where the log ends, as far as is known.
    known_end: Position,
    pub(crate) closed: bool,
    pub(crate) timer: Option<Waker>,
    /// The watcher of the group, while nothing is under way; and while there is no group.
    pub(crate) watcher: Option<Waker>,
    pub(crate) idle_watcher: Option<Waker>,
    /// While nobody leads: when nodes are asked again, and how long later the time after that.
    pub(crate) next_probe: Instant,
    pub(crate) probe_pause: Duration,
    /// Since when the node in use owes an answer, as far as the watcher has seen.
    pub(crate) owing_since: Option<Instant>,
    /// Reads that wait for their node.
    pub(crate) reads: usize,
    /// Who waits for a connection to open a stream of its own.
    pub(crate) readers: Vec<Waker>,
    /// Who is to be woken once the lock is released.
    pub(crate) woken: Vec<Waker>,
}

/// Which node serves a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Served {
    ByLeader,
    ByAny,
}

/// A node to open a stream on.
pub(crate) struct Server {
    pub(crate) connection: Connection,
    /// Its link.
    pub(crate) link: usize,
    pub(crate) limits: ClientLimits,
}

impl Session {
    /// Takes welcomed sessions up, one at least, and keeps them up until [`Session::close`].
    ///
    /// - `established`: each with the place of its address
    pub(crate) fn start(
        dialer: Arc<Dialer>,
        log: LogId,
        limits: ClientLimits,
        established: Vec<(usize, Established)>,
    ) -> Arc<Self> {
        let now = Instant::now();
        let links = Links::new(dialer.addresses());
        let session = Arc::new(Self {
            log,
            dialer,
            state: Mutex::new(State {
                calls: Calls::default(),
                links,
                limits,
                known_end: Position::START,
                closed: false,
                timer: None,
                watcher: None,
                idle_watcher: None,
                next_probe: now,
                probe_pause: PROBE_PAUSE_MIN,
                owing_since: None,
                reads: 0,
                readers: Vec::new(),
                woken: Vec::new(),
            }),
        });
        for (link, established) in established {
            session.lock().links.all[link].started = true;
            // A session that is of no use is closed by its task.
            let opened = session.opened(link, &established);
            let first = Some((established, opened));
            tokio::spawn(keep::keep(session.clone(), link, first));
        }
        session.start_links();
        tokio::spawn(watch::watch_time(session.clone()));
        tokio::spawn(watch::watch_group(session.clone()));
        session
    }

    /// Starts the tasks of links that have none yet.
    pub(crate) fn start_links(self: &Arc<Self>) {
        let mut state = self.lock();
        if state.closed {
            return;
        }
        for (place, link) in state.links.all.iter_mut().enumerate() {
            if !std::mem::replace(&mut link.started, true) {
                tokio::spawn(keep::keep(self.clone(), place, None));
            }
        }
        // With a second node there is a group to watch.
        state.wake_watchers();
        self.release(state);
    }

    /// The log that the nodes keep.
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
        let may_send = !state.links.held || request.ask == Ask::Status;
        let call = state.calls.insert(request, deadline, known_end);
        let mut wake = [None, None, None];
        if state.closed {
            state.calls.close();
        } else if may_send && state.links.primary.is_some() {
            state.send(call);
            wake[0] = state.links.in_use().and_then(|link| link.writer.take());
            wake[2] = state.watcher.take();
        } else {
            state.want_links();
            state.wake_watchers();
        }
        if state.calls.next_time() != earliest {
            wake[1] = state.timer.take();
        }
        self.release(state);
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

    /// A node, for a stream beside its session.
    pub(crate) fn poll_server(
        &self,
        served: Served,
        cx: &Context<'_>,
    ) -> Poll<Result<Server, ConnectError>> {
        let mut state = self.lock();
        if state.closed {
            return Poll::Ready(Err(ConnectError::Closed));
        }
        if served == Served::ByAny || state.links.is_led() {
            let limits = state.limits;
            let primary = state.links.primary;
            let connection = state.links.in_use().and_then(|link| link.connection.clone());
            if let (Some(link), Some(connection)) = (primary, connection) {
                return Poll::Ready(Ok(Server { connection, link, limits }));
            }
        }
        if !state.readers.iter().any(|reader| reader.will_wake(cx.waker())) {
            state.readers.push(cx.waker().clone());
        }
        state.want_links();
        state.wake_watchers();
        self.release(state);
        Poll::Pending
    }

    /// A read waits for its node.
    pub(crate) fn read_begins(&self) {
        let mut state = self.lock();
        state.reads += 1;
        let watcher = state.watcher.take();
        state.woken.extend(watcher);
        self.release(state);
    }

    /// A read waits no more.
    pub(crate) fn read_ends(&self) {
        self.lock().reads -= 1;
    }

    /// A link serves a subscription.
    pub(crate) fn subscription_begins(&self, link: usize) {
        let mut state = self.lock();
        state.links.all[link].subscriptions += 1;
        state.wake_watchers();
        self.release(state);
    }

    /// A link serves one subscription less.
    pub(crate) fn subscription_ends(&self, link: usize) {
        self.lock().links.all[link].subscriptions -= 1;
    }

    /// A node that was thought to lead has refused a read that only the leader can serve.
    pub(crate) fn denied(&self, link: usize) {
        let mut state = self.lock();
        if state.links.primary == Some(link) {
            state.denied(link);
        }
        self.release(state);
    }

    /// Why no node serves; `None` where the only one there is has never been lost.
    pub(crate) fn last_error(&self) -> Option<Arc<ConnectError>> {
        let state = self.lock();
        if state.closed {
            return Some(Arc::new(ConnectError::Closed));
        }
        match state.links.all.as_slice() {
            [only] if only.connection.is_none() => only.last_error.clone(),
            [only] if !state.links.held => only.last_error.clone(),
            _ => Some(Arc::new(ConnectError::NoLeader { tried: state.links.told(Instant::now()) })),
        }
    }

    /// Ends all calls and the connections.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.calls.close();
        let State { links, woken, readers, calls, .. } = &mut *state;
        woken.append(readers);
        calls.take_woken(woken);
        let mut connections = Vec::new();
        for link in &mut links.all {
            woken.extend(link.supervisor.take());
            woken.extend(link.writer.take());
            connections.extend(link.connection.take());
        }
        links.primary = None;
        let timer = state.timer.take();
        state.woken.extend(timer);
        state.wake_watchers();
        for connection in connections {
            connection.close(DONE, b"done");
        }
        self.release(state);
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the lock back, and wakes whom it was said to.
    #[allow(clippy::unused_self, reason = "it belongs with `lock`")]
    pub(crate) fn release(&self, mut state: MutexGuard<'_, State>) {
        let woken = std::mem::take(&mut state.woken);
        drop(state);
        woken.into_iter().for_each(Waker::wake);
    }

    /// A session is open.
    ///
    /// # Errors
    ///
    /// Why it is of no use: another store answers there.
    pub(crate) fn opened(&self, place: usize, established: &Established) -> Result<(), Refused> {
        let welcome = &established.welcome;
        let mut state = self.lock();
        if welcome.log != self.log {
            let address = state.links.all[place].address.to_string();
            return Err(Refused::OtherLog(ConnectError::OtherLog {
                address,
                expected: Box::new(self.log),
                found: Box::new(welcome.log),
            }));
        }
        let node = welcome.node.get();
        if state.closed || !state.make_way(place, node) {
            return Err(Refused::Superfluous);
        }
        let link = &mut state.links.all[place];
        link.connection = Some(established.connection.clone());
        link.node = Some(node);
        link.out.clear();
        (link.queued, link.taken) = (0, 0);
        (link.heard, link.asked) = (Instant::now(), None);
        (link.hint, link.alone) = (None, None);
        state.links.learn(place, &welcome.name, &welcome.members);
        state.limits = welcome.limits;
        state.known_end = state.known_end.max(welcome.committed);
        state.follow(place, welcome.leader);
        state.route();
        self.release(state);
        Ok(())
    }

    /// A session is lost: its calls wait for another.
    pub(crate) fn lost(&self, place: usize, error: ConnectError) {
        let mut state = self.lock();
        let link = &mut state.links.all[place];
        let was_open = link.connection.take().is_some();
        let silent = link.asked.is_some();
        let taken = link.drop_unsent();
        link.asked = None;
        (link.hint, link.alone) = (None, None);
        let error = if was_open && silent {
            let (tried, within) = (link.address.to_string(), link.heard.elapsed());
            ConnectError::NoAnswer { tried, within }
        } else {
            error
        };
        if was_open && !silent {
            link.heard = Instant::now();
        }
        link.last_error = Some(Arc::new(error));
        if was_open && state.links.primary == Some(place) {
            state.links.primary = None;
            state.calls.take_back(taken, true);
            state.route();
        }
        self.release(state);
    }

    /// Ready once a connection is wanted; false once the client or the link is done.
    pub(crate) fn poll_wanted(&self, place: usize, cx: &Context<'_>) -> Poll<bool> {
        let mut state = self.lock();
        if state.closed || state.links.all[place].retired {
            return Poll::Ready(false);
        }
        if state.calls.any_waiting() || !state.readers.is_empty() || state.links.is_group() {
            return Poll::Ready(true);
        }
        state.links.all[place].supervisor = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Exchanges what has gathered for an empty buffer; false once the session is over.
    pub(crate) fn poll_take(
        &self,
        place: usize,
        cx: &Context<'_>,
        buffer: &mut Vec<u8>,
    ) -> Poll<bool> {
        let mut state = self.lock();
        if state.closed {
            return Poll::Ready(false);
        }
        let link = &mut state.links.all[place];
        if link.out.is_empty() {
            link.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        std::mem::swap(&mut link.out, buffer);
        link.taken = link.queued;
        Poll::Ready(true)
    }
}

/// Why an opened session is not used.
pub(crate) enum Refused {
    OtherLog(ConnectError),
    /// The client is closed, or has a session with that node already.
    Superfluous,
}

impl State {
    pub(crate) fn wake_watchers(&mut self) {
        self.woken.extend(self.watcher.take());
        self.woken.extend(self.idle_watcher.take());
    }

    /// Sees to it that one link alone leads to a node; whether that is this one.
    fn make_way(&mut self, place: usize, node: u64) -> bool {
        let same = |(other, link): (usize, &crate::links::Link)| {
            other != place && !link.retired && link.node == Some(node)
        };
        let Some(other) = self.links.all.iter().enumerate().position(same) else { return true };
        let link = &mut self.links.all[other];
        match &link.connection {
            // It is asked something and silent: the new one is better.
            Some(connection) if link.asked.is_some() => {
                connection.close(DONE, b"replaced");
                link.retired = true;
            }
            Some(_) => {
                self.links.all[place].retired = true;
                return false;
            }
            None => {
                link.retired = true;
                self.woken.extend(link.supervisor.take());
            }
        }
        true
    }

    /// Takes a frame of a session in.
    pub(crate) fn take_in(&mut self, place: usize, frame: &Frame) -> Result<(), ConnectError> {
        let current = self.links.primary == Some(place);
        match Reply::decode(frame)? {
            Reply::Appended { call, appended } => {
                self.known_end = self.known_end.max(appended.position);
                self.calls.written(call, appended);
                self.is_served();
            }
            Reply::Refused { call, rejection } => {
                if current {
                    self.refused(call, rejection);
                }
            }
            Reply::Status { call, status } => {
                let node = status.replication.leader;
                let hint = node.map(|node| LeaderHint { epoch: status.epoch, node });
                if call != PROBE {
                    self.calls.complete(call, current, |_| Answer::Status(status));
                }
                self.follow(place, hint);
            }
            Reply::Leader { leader, members } => {
                self.links.learn(place, "", &members);
                self.follow(place, leader);
            }
            Reply::Transferred { call, from, to, epoch, took_us } => {
                let took = Duration::from_micros(took_us);
                let transferred = Transferred { from, to, epoch, took };
                self.calls.complete(call, current, |_| Answer::Transferred(transferred));
            }
            Reply::Failed { call: Some(call), code, message } => {
                self.failed(call, current, code, message);
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

    fn refused(&mut self, call: CallId, rejection: Rejection) {
        match rejection {
            Rejection::NotLeader { leader } => self.turned_away(call, leader, false),
            Rejection::NotReady | Rejection::Overloaded => {
                self.calls.pause(call, rejection, Instant::now());
            }
            rejection => self
                .calls
                .complete(call, true, |sent_before| Answer::Refused { rejection, sent_before }),
        }
    }

    fn failed(&mut self, call: CallId, current: bool, code: ErrorCode, message: &str) {
        let transfer = self.calls.is_transfer(call);
        match code {
            ErrorCode::NotLeader if current => self.turned_away(call, None, false),
            ErrorCode::LeadershipLost | ErrorCode::Stopping if current && !transfer => {
                self.turned_away(call, None, true);
            }
            ErrorCode::NotReady if current => {
                self.calls.pause(call, Rejection::NotReady, Instant::now());
            }
            ErrorCode::Overloaded if current => {
                self.calls.pause(call, Rejection::Overloaded, Instant::now());
            }
            ErrorCode::Protocol
            | ErrorCode::InvalidRequest
            | ErrorCode::NotReady
            | ErrorCode::Stopping
            | ErrorCode::Overloaded
            | ErrorCode::Corruption
            | ErrorCode::Internal
            | ErrorCode::LeadershipLost
            | ErrorCode::NotLeader => {
                let message = message.to_owned();
                self.calls.complete(call, current, |sent_before| Answer::Failed {
                    code,
                    message,
                    sent_before,
                });
            }
        }
    }
}

/// Whether a failure says that nothing was done.
pub(crate) fn is_refusal(code: ErrorCode) -> bool {
    match code {
        ErrorCode::Protocol
        | ErrorCode::InvalidRequest
        | ErrorCode::NotReady
        | ErrorCode::NotLeader
        | ErrorCode::Overloaded => true,
        ErrorCode::Stopping
        | ErrorCode::LeadershipLost
        | ErrorCode::Corruption
        | ErrorCode::Internal => false,
    }
}
