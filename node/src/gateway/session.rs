//! A session: one client's pipelined appends and deletes on one stream, and their answers.
//!
//! Calls are handed to the engine as they are parsed; answers are gathered while the driver's turn
//! lasts and leave as one write. A client can only have so many bytes under way: beyond that its
//! stream is not read, and QUIC's flow control holds the client back.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use bytes::Bytes;
use quinn::SendStream;
use quorate_core::request::{Change, Outcome, Proposal};
use quorate_net::event_frames;
use quorate_net::frame::Frame;
use quorate_net::receive::FrameReceiver;
use quorate_net::wire::{Append, CallId, Delete, ErrorCode, Reply, Request};
use tokio::sync::Notify;

use super::{Ended, Peer, finish};
use crate::driver::Driver;

/// Answers that a client does not read hold back its calls once they are this long.
const OUTBOX_BYTES_MAX: usize = 256 << 10;
/// Calls of one session under way; even the smallest of them cost some memory.
const CALLS_MAX: usize = 16 << 10;

/// Answers on their way to one client.
pub(crate) struct Outbox {
    bytes: RefCell<Vec<u8>>,
    /// There are bytes, or nothing will come any more.
    filled: Notify,
    /// Calls, or their answers, have made room.
    room: Notify,
    calls: Cell<usize>,
    call_bytes: Cell<usize>,
    /// No more calls will be made; once those under way are answered, the session is over.
    closing: Cell<bool>,
    /// What the client is told last, when all calls are answered.
    farewell: RefCell<Option<(ErrorCode, String)>>,
    /// The client is gone.
    lost: Cell<bool>,
}

impl Outbox {
    fn new() -> Self {
        Self {
            bytes: RefCell::new(Vec::new()),
            filled: Notify::new(),
            room: Notify::new(),
            calls: Cell::new(0),
            call_bytes: Cell::new(0),
            closing: Cell::new(false),
            farewell: RefCell::new(None),
            lost: Cell::new(false),
        }
    }

    /// A call is answered.
    ///
    /// - `bytes`: what it held while it waited
    pub(crate) fn answer(&self, call: CallId, bytes: usize, outcome: Outcome) {
        self.calls.set(self.calls.get() - 1);
        self.call_bytes.set(self.call_bytes.get() - bytes);
        match outcome {
            Outcome::Appended(appended) => self.send(&Reply::Appended { call, appended }),
            Outcome::Refused(rejection) => self.send(&Reply::Refused { call, rejection }),
            Outcome::Unknown => {
                let message = "the node lost the lead meanwhile; the next leader may have it";
                self.fail(Some(call), ErrorCode::LeadershipLost, message);
            }
        }
        self.room.notify_one();
    }

    pub(crate) fn send(&self, reply: &Reply<'_>) {
        if !self.lost.get() {
            reply.encode(&mut self.bytes.borrow_mut());
        }
        self.filled.notify_one();
    }

    pub(crate) fn fail(&self, call: Option<CallId>, code: ErrorCode, message: &str) {
        self.send(&Reply::Failed { call, code, message });
    }

    /// Tells the client this when all else is said.
    fn leave(&self, code: ErrorCode, message: String) {
        self.farewell.replace(Some((code, message)));
    }

    /// Waits until a call of this many bytes may begin.
    async fn make_room(&self, bytes: usize, bytes_max: usize) {
        loop {
            let calls_fit = self.calls.get() < CALLS_MAX;
            let held = self.call_bytes.get();
            let bytes_fit = held == 0 || held + bytes <= bytes_max;
            let answers_fit = self.bytes.borrow().len() < OUTBOX_BYTES_MAX;
            if self.lost.get() || (calls_fit && bytes_fit && answers_fit) {
                return;
            }
            self.room.notified().await;
        }
    }

    /// Sends answers as they come, until there will be none any more.
    async fn drain(&self, send: &mut SendStream) -> Result<(), quinn::WriteError> {
        loop {
            let bytes = self.bytes.take();
            if !bytes.is_empty() {
                self.room.notify_one();
                send.write_chunk(Bytes::from(bytes)).await?;
            } else if !self.closing.get() || self.calls.get() > 0 {
                self.filled.notified().await;
            } else if let Some((code, message)) = self.farewell.take() {
                self.fail(None, code, &message);
            } else {
                return Ok(());
            }
        }
    }
}

/// Serves a session from behind its `Hello` on.
pub(super) async fn serve(
    driver: Rc<Driver>,
    peer: Rc<Peer>,
    mut send: SendStream,
    mut receive: FrameReceiver,
) {
    let outbox = Rc::new(Outbox::new());
    outbox.send(&Reply::Welcome(Box::new(driver.welcome())));
    let answers = Rc::clone(&outbox);
    let writer = tokio::task::spawn_local(async move {
        let written = answers.drain(&mut send).await;
        if written.is_err() {
            answers.lost.set(true);
            answers.room.notify_one();
        } else {
            finish(&mut send).await;
        }
    });
    receive.set_payload_bytes_max(driver.config().append_bytes_max);
    let ended = tokio::select! {
        biased;
        ended = calls(&driver, &outbox, &mut receive) => ended,
        () = driver.stopping() => Ended::Stopping,
        () = tell_leader(&driver, &outbox) => unreachable!("the driver outlives its sessions"),
    };
    if let Some((code, message)) = ended.farewell() {
        if code == ErrorCode::Protocol {
            driver.refused_peer(&peer, &message);
        }
        outbox.leave(code, message);
    }
    outbox.lost.set(outbox.lost.get() || matches!(ended, Ended::Lost));
    outbox.closing.set(true);
    outbox.filled.notify_one();
    // The writer ends by itself: with the last answer, or with the connection.
    writer.await.expect("the writer does not panic");
}

/// Tells the client of each change of who leads.
async fn tell_leader(driver: &Driver, outbox: &Outbox) {
    let mut leaders = driver.leader();
    // The welcome has told what was known then.
    leaders.mark_unchanged();
    while leaders.changed().await.is_ok() {
        let leader = *leaders.borrow_and_update();
        outbox.send(&Reply::Leader { leader, members: driver.members() });
    }
}

async fn calls(driver: &Driver, outbox: &Rc<Outbox>, receive: &mut FrameReceiver) -> Ended {
    loop {
        let frame = match receive.next().await {
            Ok(Some(frame)) => frame,
            Ok(None) => return Ended::Finished,
            Err(error) => return error.into(),
        };
        let bytes_max = driver.config().connection_bytes_max as usize;
        outbox.make_room(frame.payload().len(), bytes_max).await;
        if outbox.lost.get() {
            return Ended::Lost;
        }
        if let Err(error) = call(driver, outbox, &frame) {
            return error;
        }
    }
}

fn call(driver: &Driver, outbox: &Rc<Outbox>, frame: &Frame) -> Result<(), Ended> {
    match Request::decode(frame).map_err(Ended::Malformed)? {
        Request::Append(append) => propose_append(driver, outbox, &append),
        Request::Delete(delete) => propose_delete(driver, outbox, &delete),
        Request::Status { call } => {
            let status = Box::new(driver.status());
            outbox.send(&Reply::Status { call, status });
        }
        Request::Transfer { call, to } => {
            driver.transfer(Rc::clone(outbox), call, to.as_deref());
        }
        Request::Hello { .. } | Request::Read(_) | Request::Subscribe(_) => {
            return Err(Ended::OutOfPlace(frame.kind()));
        }
    }
    Ok(())
}

fn propose_append(driver: &Driver, outbox: &Rc<Outbox>, append: &Append<'_>) {
    let count = match event_frames::validate_append(append.frames, append.stream) {
        Ok(count) => count,
        Err(error) => {
            let message = error.to_string();
            return outbox.fail(Some(append.call), ErrorCode::InvalidRequest, &message);
        }
    };
    let change = Change::Append { frames: append.frames, count };
    let bytes = append.frames.len();
    propose(driver, outbox, append.call, bytes, |request| Proposal {
        request,
        stream: append.stream,
        expected: append.expected,
        change,
        retry_since: append.retry_since,
    });
}

fn propose_delete(driver: &Driver, outbox: &Rc<Outbox>, delete: &Delete<'_>) {
    let change = if delete.tombstone {
        Change::Tombstone { id: delete.id }
    } else {
        Change::Delete { id: delete.id }
    };
    propose(driver, outbox, delete.call, 0, |request| Proposal {
        request,
        stream: delete.stream,
        expected: delete.expected,
        change,
        retry_since: delete.retry_since,
    });
}

fn propose<'a>(
    driver: &Driver,
    outbox: &Rc<Outbox>,
    call: CallId,
    bytes: usize,
    proposal: impl FnOnce(quorate_core::id::RequestId) -> Proposal<'a>,
) {
    if driver.is_stopping() {
        return outbox.fail(Some(call), ErrorCode::Stopping, "the node is stopping");
    }
    outbox.calls.set(outbox.calls.get() + 1);
    outbox.call_bytes.set(outbox.call_bytes.get() + bytes);
    driver.propose(Rc::clone(outbox), call, bytes, proposal);
}
