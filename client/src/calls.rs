//! The calls under way on a session: one slot each, reused without allocation.
//!
//! A slot owns its request until it is answered, so that the session itself can send it again, in
//! the order of the calls, whether or not anybody polls its future just then.

use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use quorate_core::id::{EventId, Position};
use quorate_core::request::{Appended, Expected, Rejection};
use quorate_net::clock::Instant;
use quorate_net::wire::{self, CallId, ErrorCode, NodeStatus};

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    Append,
    Delete {
        id: EventId,
        tombstone: bool,
    },
    Status,
    /// Its target stands in the place of the stream; empty for any.
    Transfer,
}

/// A call's arguments; the buffers are kept for later calls.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) ask: Ask,
    pub(crate) stream: String,
    pub(crate) expected: Expected,
    /// Event frames of an append.
    pub(crate) frames: Vec<u8>,
}

impl Default for Request {
    fn default() -> Self {
        Self {
            ask: Ask::Status,
            stream: String::new(),
            expected: Expected::Any,
            frames: Vec::new(),
        }
    }
}

impl Request {
    fn encode(&self, out: &mut Vec<u8>, call: CallId, retry_since: Option<Position>) {
        let (stream, expected) = (self.stream.as_str(), self.expected);
        match self.ask {
            Ask::Append => {
                let frames = self.frames.as_slice();
                wire::Append { call, stream, expected, retry_since, frames }.encode(out);
            }
            Ask::Delete { id, tombstone } => {
                wire::Delete { call, stream, expected, tombstone, id, retry_since }.encode(out);
            }
            Ask::Status => wire::Request::Status { call }.encode(out),
            Ask::Transfer => {
                let to = (!stream.is_empty()).then(|| stream.to_owned());
                wire::Request::Transfer { call, to }.encode(out);
            }
        }
    }
}

/// The lead was given away, as was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transferred {
    /// The name of the node that led.
    pub from: String,
    /// The name of the node that leads now.
    pub to: String,
    /// Its reign.
    pub epoch: u64,
    /// How long nobody took appends.
    pub took: Duration,
}

/// How a call ended.
#[derive(Debug)]
pub(crate) enum Answer {
    Appended(Appended),
    /// `sent_before`: an earlier attempt may have been carried out.
    Refused {
        rejection: Rejection,
        sent_before: bool,
    },
    Status(Box<NodeStatus>),
    Transferred(Transferred),
    Failed {
        code: ErrorCode,
        message: String,
        sent_before: bool,
    },
    /// The deadline has passed. `sent`: an attempt may have been carried out.
    Expired {
        sent: bool,
        last_refusal: Option<Rejection>,
        /// The nodes that were tried, and what each said.
        tried: Arc<str>,
    },
    /// The client was closed.
    Closed {
        sent: bool,
    },
}

#[derive(Debug)]
enum Phase {
    Free,
    /// Waits for a session.
    Waiting,
    /// Was refused for now; waits until then.
    Paused(Instant),
    /// Encoded at this place of the session's outgoing bytes.
    InFlight(u64),
    /// Sent on a session that is used no more. It must not be sent twice, so only the answer there,
    /// or the deadline, ends it.
    LeftBehind,
    Done(Answer),
}

struct Slot {
    generation: u32,
    /// Grows from call to call: the order in which they are sent again.
    order: u64,
    phase: Phase,
    request: Request,
    deadline: Instant,
    /// Where the log ended, as far as it was known, before the first attempt.
    known_end: Position,
    /// An attempt may have been carried out.
    sent: bool,
    refusals: u32,
    last_refusal: Option<Rejection>,
    waker: Option<Waker>,
}

/// All calls of one client. Indexed by the lower half of their ids; the upper half tells apart the
/// calls that used the same slot.
#[derive(Default)]
pub(crate) struct Calls {
    slots: Vec<Slot>,
    free: Vec<u32>,
    next_order: u64,
    /// No call has an earlier deadline or pause than this.
    earliest: Option<Instant>,
    /// Calls that wait for a session or pause.
    waiting: usize,
    /// Calls that are sent on the session in use.
    in_flight: usize,
    spare: Vec<Request>,
    woken: Vec<Waker>,
}

/// Requests kept for their buffers.
const SPARE_MAX: usize = 1024;
/// A request with larger buffers is not kept.
const SPARE_BYTES_MAX: usize = 64 << 10;

impl Calls {
    /// A request to fill in, with empty buffers.
    pub(crate) fn spare_request(&mut self) -> Request {
        self.spare.pop().unwrap_or_default()
    }

    /// Takes a request in; it waits.
    pub(crate) fn insert(
        &mut self,
        request: Request,
        deadline: Instant,
        known_end: Position,
    ) -> CallId {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot {
                generation: 0,
                order: 0,
                phase: Phase::Free,
                request: Request::default(),
                deadline,
                known_end,
                sent: false,
                refusals: 0,
                last_refusal: None,
                waker: None,
            });
            u32::try_from(self.slots.len() - 1)
                .expect("calls fit in memory, so they fit in 32 bits")
        });
        let slot = &mut self.slots[index as usize];
        *slot = Slot {
            generation: slot.generation,
            order: self.next_order,
            phase: Phase::Waiting,
            request,
            deadline,
            known_end,
            sent: false,
            refusals: 0,
            last_refusal: None,
            waker: None,
        };
        self.next_order += 1;
        self.waiting += 1;
        self.note_time(deadline);
        CallId::new(u64::from(self.slots[index as usize].generation) << 32 | u64::from(index))
    }

    /// Encodes a waiting call behind `out`.
    ///
    /// - `place`: how many bytes the session has queued before
    pub(crate) fn send(&mut self, id: CallId, out: &mut Vec<u8>, place: u64) {
        let Some(slot) = self.slot(id) else { return };
        if !matches!(slot.phase, Phase::Waiting | Phase::Paused(_)) {
            return;
        }
        slot.phase = Phase::InFlight(place);
        let retry_since = slot.sent.then_some(slot.known_end);
        slot.request.encode(out, id, retry_since);
        self.waiting -= 1;
        self.in_flight += 1;
    }

    /// The calls that wait for a session, in the order in which they were made.
    ///
    /// - `led`: whether that session is the leader's; any other takes only questions for itself
    pub(crate) fn waiting(&self, led: bool) -> Vec<CallId> {
        let mut waiting: Vec<(u64, CallId)> = self
            .slots
            .iter()
            .enumerate()
            .filter(|(_, slot)| matches!(slot.phase, Phase::Waiting))
            .filter(|(_, slot)| led || slot.request.ask == Ask::Status)
            .map(|(index, slot)| (slot.order, id(index, slot.generation)))
            .collect();
        waiting.sort_unstable_by_key(|(order, _)| *order);
        waiting.into_iter().map(|(_, id)| id).collect()
    }

    /// Whether any call waits for a session.
    pub(crate) fn any_waiting(&self) -> bool {
        self.waiting > 0
    }

    /// Whether any call is sent on the session in use.
    pub(crate) fn any_in_flight(&self) -> bool {
        self.in_flight > 0
    }

    /// Whether this call may be sent on the session in use.
    pub(crate) fn may_send(&mut self, id: CallId, led: bool) -> bool {
        led || self.slot(id).is_some_and(|slot| slot.request.ask == Ask::Status)
    }

    /// Takes in that events are written. That is so whoever says it and whichever attempt it
    /// answers; where nobody waits for it any more it is dropped.
    pub(crate) fn written(&mut self, id: CallId, appended: Appended) {
        if let Some(slot) = self.slot(id)
            && !matches!(slot.phase, Phase::Done(_))
        {
            self.finish(id, Answer::Appended(appended));
        }
    }

    /// Takes an answer in; one for a call that nobody waits for any more is dropped.
    ///
    /// - `current`: whether it came on the session in use; another's answer says nothing of a call
    ///   that is under way here
    pub(crate) fn complete(
        &mut self,
        id: CallId,
        current: bool,
        answer: impl FnOnce(bool) -> Answer,
    ) {
        let Some(slot) = self.slot(id) else { return };
        let answers = match slot.phase {
            Phase::InFlight(_) => current,
            Phase::LeftBehind => true,
            Phase::Free | Phase::Waiting | Phase::Paused(_) | Phase::Done(_) => false,
        };
        if answers {
            let answer = answer(slot.sent);
            self.finish(id, answer);
        }
    }

    /// The node does not lead (any more): the call waits for another. Gives how often it was
    /// refused before.
    ///
    /// - `begun`: whether this attempt may have been carried out
    pub(crate) fn turned_away(&mut self, id: CallId, begun: bool) -> Option<u32> {
        let slot = self.slot(id)?;
        if !matches!(slot.phase, Phase::InFlight(_)) {
            return None;
        }
        slot.phase = Phase::Waiting;
        slot.sent |= begun;
        let before = slot.refusals;
        slot.refusals += 1;
        self.waiting += 1;
        self.in_flight -= 1;
        Some(before)
    }

    /// Whether a call asks for the lead to be given away.
    pub(crate) fn is_transfer(&mut self, id: CallId) -> bool {
        self.slot(id).is_some_and(|slot| slot.request.ask == Ask::Transfer)
    }

    /// Takes a refusal in that may be lifted in a moment; gives when to try again.
    pub(crate) fn pause(&mut self, id: CallId, rejection: Rejection, now: Instant) {
        const PAUSE: Duration = Duration::from_millis(10);
        let Some(slot) = self.slot(id) else { return };
        if !matches!(slot.phase, Phase::InFlight(_)) {
            return;
        }
        let until = now + PAUSE * (1 << slot.refusals.min(6));
        slot.refusals += 1;
        slot.last_refusal = Some(rejection);
        slot.phase = Phase::Paused(until);
        self.waiting += 1;
        self.in_flight -= 1;
        self.note_time(until);
    }

    /// The session is used no more: its calls wait for another. What was handed to the link may
    /// have been carried out.
    ///
    /// - `taken`: how many of the session's outgoing bytes were handed to the link
    /// - `gone`: whether no answer can come from there any more
    pub(crate) fn take_back(&mut self, taken: u64, gone: bool) {
        for index in 0..self.slots.len() {
            let slot = &mut self.slots[index];
            match slot.phase {
                Phase::InFlight(place) if slot.request.ask == Ask::Transfer && place < taken => {
                    if gone {
                        let code = ErrorCode::LeadershipLost;
                        let message = "the connection was lost while it was under way".to_owned();
                        let id = id(index, slot.generation);
                        self.finish(id, Answer::Failed { code, message, sent_before: true });
                    } else {
                        slot.phase = Phase::LeftBehind;
                        self.in_flight -= 1;
                    }
                }
                Phase::InFlight(place) => {
                    slot.sent |= place < taken;
                    slot.phase = Phase::Waiting;
                    self.waiting += 1;
                    self.in_flight -= 1;
                }
                // In their order with the others: the next session may have no cause to refuse.
                Phase::Paused(_) => slot.phase = Phase::Waiting,
                Phase::Free | Phase::Waiting | Phase::LeftBehind | Phase::Done(_) => {}
            }
        }
    }

    /// Ends what has passed its deadline; gives the calls whose pause is over.
    ///
    /// - `tried`: the nodes that were tried, and what each said
    pub(crate) fn pass_time(&mut self, now: Instant, tried: impl Fn() -> Arc<str>) -> Vec<CallId> {
        self.earliest = None;
        let mut due = Vec::new();
        for index in 0..self.slots.len() {
            let slot = &mut self.slots[index];
            let in_flight = match slot.phase {
                Phase::Free | Phase::Done(_) => continue,
                Phase::InFlight(_) | Phase::LeftBehind => true,
                Phase::Waiting | Phase::Paused(_) => false,
            };
            let id = id(index, slot.generation);
            if slot.deadline <= now {
                let sent = slot.sent || in_flight;
                let last_refusal = slot.last_refusal.take();
                self.finish(id, Answer::Expired { sent, last_refusal, tried: tried() });
                continue;
            }
            let mut next = slot.deadline;
            if let Phase::Paused(until) = slot.phase {
                if until <= now {
                    slot.phase = Phase::Waiting;
                    due.push(id);
                } else {
                    next = next.min(until);
                }
            }
            self.note_time(next);
        }
        due
    }

    /// When [`Calls::pass_time`] is to be called next.
    pub(crate) fn next_time(&self) -> Option<Instant> {
        self.earliest
    }

    /// Ends all calls, because the client is closed.
    pub(crate) fn close(&mut self) {
        for index in 0..self.slots.len() {
            let slot = &self.slots[index];
            let sent = slot.sent || matches!(slot.phase, Phase::InFlight(_) | Phase::LeftBehind);
            if !matches!(slot.phase, Phase::Free | Phase::Done(_)) {
                self.finish(id(index, slot.generation), Answer::Closed { sent });
            }
        }
    }

    /// Takes the answer out, and with it the slot; until there is one, `waker` is kept.
    pub(crate) fn poll(&mut self, id: CallId, waker: &Waker) -> Option<Answer> {
        let slot = self.slot(id).expect("a call is polled only until it is answered");
        if matches!(slot.phase, Phase::Done(_)) {
            let Phase::Done(answer) = std::mem::replace(&mut slot.phase, Phase::Free) else {
                unreachable!("it was just looked at");
            };
            self.release(id);
            return Some(answer);
        }
        match &mut slot.waker {
            Some(known) => known.clone_from(waker),
            empty @ None => *empty = Some(waker.clone()),
        }
        None
    }

    /// Gives a call up: an answer that comes later is dropped.
    pub(crate) fn abandon(&mut self, id: CallId) {
        let Some(slot) = self.slot(id) else { return };
        match std::mem::replace(&mut slot.phase, Phase::Free) {
            Phase::Waiting | Phase::Paused(_) => self.waiting -= 1,
            Phase::InFlight(_) => self.in_flight -= 1,
            Phase::Free | Phase::LeftBehind | Phase::Done(_) => {}
        }
        self.release(id);
    }

    /// Who is to be woken since the last time; to be woken outside of the lock.
    pub(crate) fn take_woken(&mut self, into: &mut Vec<Waker>) {
        into.append(&mut self.woken);
    }

    fn slot(&mut self, id: CallId) -> Option<&mut Slot> {
        let generation = (id.get() >> 32) as u32;
        let slot = self.slots.get_mut(id.get() as u32 as usize)?;
        (slot.generation == generation && !matches!(slot.phase, Phase::Free)).then_some(slot)
    }

    fn finish(&mut self, id: CallId, answer: Answer) {
        let slot = self.slot(id).expect("it was just looked at");
        let before = std::mem::replace(&mut slot.phase, Phase::Done(answer));
        let waker = slot.waker.take();
        match before {
            Phase::Waiting | Phase::Paused(_) => self.waiting -= 1,
            Phase::InFlight(_) => self.in_flight -= 1,
            Phase::Free | Phase::LeftBehind | Phase::Done(_) => {}
        }
        self.woken.extend(waker);
    }

    fn release(&mut self, id: CallId) {
        let index = id.get() as u32;
        let slot = &mut self.slots[index as usize];
        slot.generation = slot.generation.wrapping_add(1);
        slot.waker = None;
        let mut request = std::mem::take(&mut slot.request);
        self.free.push(index);
        if self.spare.len() < SPARE_MAX && request.frames.capacity() <= SPARE_BYTES_MAX {
            request.stream.clear();
            request.frames.clear();
            self.spare.push(request);
        }
    }

    fn note_time(&mut self, time: Instant) {
        self.earliest = Some(self.earliest.map_or(time, |earliest| earliest.min(time)));
    }
}

fn id(index: usize, generation: u32) -> CallId {
    CallId::new(u64::from(generation) << 32 | index as u64)
}
