//! Clients: they send to whom they believe to lead, follow hints, try again with the same ids where
//! they don't know how something ended, sometimes give up, and remember what they were told.

use quorate_core::id::{NodeId, Position, RequestId};
use quorate_core::request::{Consistency, Outcome, Proposal, Rejection, TransferError};

use super::World;
use super::node::Inbound;
use super::schedule::{Event, MICROS, MILLIS, Nanos};
use crate::history::{Attempt, End, Violation, Wish};
use crate::record::Outcome as Told;
use crate::scenario::fault::Trigger;
use crate::world::{change, is_momentary};

/// One client in so many never asks again.
const GIVES_UP: u32 = 12;

/// One client: it has at most one call under way. In a scenario it is one operation of a client,
/// which has as many under way as are due; they share what they believe.
pub(super) struct Client {
    /// Its place among [`World::believed`], and in the record.
    lane: usize,
    /// The operation of a scenario that it is.
    op: Option<Op>,
    /// What it wants to be done, and was not told of yet.
    attempt: Option<usize>,
    call: Option<RequestId>,
    /// Makes events void that were meant for an earlier state.
    token: u64,
}

/// An operation of a scenario.
#[derive(Clone, Copy, Debug)]
pub(super) struct Op {
    /// Its number in the record.
    pub(super) call: u64,
    /// What it reads, if it does.
    pub(super) reads: Option<Consistency>,
    /// It takes a call for lost that is not answered within this.
    pub(super) timeout: Nanos,
    /// So often it was sent.
    pub(super) tries: u32,
    /// Since when it waits.
    pub(super) since: Nanos,
}

/// An operation that has waited for so long is given up: nobody knows how it ended.
const OP_NANOS_MAX: Nanos = 30_000 * MILLIS;
/// An operation that is sent again waits longer each time, up to this.
const BACKOFF_NANOS_MAX: Nanos = 200 * MILLIS;

/// What a client keeps of an attempt.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    /// Where the log ended before the first try, as far as the client knows.
    since: Position,
    /// Whether one of the tries so far may have been carried out.
    maybe: bool,
}

/// A request under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    client: usize,
    pub(super) node: usize,
    pub(super) kind: CallKind,
    /// Its number as a message, in the record.
    message: u64,
}

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub(super) enum CallKind {
    /// A try of this attempt.
    Attempt(usize),
    /// A read, and what had been acknowledged by then.
    Read { consistency: Consistency, known: Position },
    /// Another leader.
    Transfer,
}

impl Client {
    pub(super) fn new(lane: usize) -> Self {
        Self { lane, op: None, attempt: None, call: None, token: 0 }
    }

    /// Whether it has nothing more to ask for.
    pub(super) fn is_idle(&self) -> bool {
        self.attempt.is_none() && self.call.is_none() && self.op.is_none()
    }
}

impl World {
    /// A client does what is next for it within so long.
    pub(super) fn client_waits(&mut self, client: usize, nanos_max: Nanos) {
        let at = self.now + 1 + self.schedule.below(nanos_max);
        self.client_at(client, at);
    }

    fn client_at(&mut self, client: usize, at: Nanos) {
        self.clients[client].token += 1;
        let token = self.clients[client].token;
        self.queue.push(at, Event::Client { client, token });
    }

    /// A client's time has come: an answer is overdue, or it has a wish.
    pub(super) fn client_acts(&mut self, client: usize, token: u64) {
        if self.clients[client].token != token {
            return;
        }
        if let Some(request) = self.clients[client].call.take() {
            let call = self.calls.remove(&request);
            self.note(format_args!("client {client} gets no answer to {request}"));
            self.coverage.hit("no answer");
            if let Some(Call { kind, node, .. }) = call {
                if let CallKind::Attempt(attempt) = kind {
                    self.sent[attempt].maybe = true;
                }
                self.doubt(client, node);
            }
            return self.try_again_within(client, 20 * MILLIS);
        }
        if let Some(op) = self.clients[client].op {
            return self.go_on_with(client, op);
        }
        if let Some(attempt) = self.clients[client].attempt {
            if self.sent[attempt].maybe && self.schedule.one_in(GIVES_UP) {
                self.clients[client].attempt = None;
                return self.client_waits(client, self.plan.think_time);
            }
            return self.call(client, CallKind::Attempt(attempt));
        }
        if self.is_closing {
            return;
        }
        let kind = match self.schedule.below(20) {
            0..=2 => self.read(Consistency::Linearizable),
            3..=4 => self.read(Consistency::Committed),
            _ if self.comes(self.plan.transfer) => CallKind::Transfer,
            _ => self.new_attempt(client),
        };
        self.call(client, kind);
    }

    /// An operation that was not answered is sent again, or given up.
    fn go_on_with(&mut self, client: usize, op: Op) {
        if self.now.saturating_sub(op.since) > OP_NANOS_MAX {
            let is_unsent = |attempt: usize| !self.sent[attempt].maybe;
            let outcome = match self.clients[client].attempt {
                // None of its tries can have been carried out.
                Some(attempt) if is_unsent(attempt) => Told::Refused,
                _ => Told::Unknown,
            };
            return self.end_op(client, outcome, None, || "given up".to_owned());
        }
        match self.clients[client].attempt {
            Some(attempt) => self.call(client, CallKind::Attempt(attempt)),
            None => {
                if let Some(kind) = self.read_again(&op) {
                    self.call(client, kind);
                }
            }
        }
    }

    /// A client that takes this operation on.
    pub(super) fn free_client(&mut self, lane: usize, op: Op) -> usize {
        let client = self.free_clients.pop().unwrap_or_else(|| {
            self.clients.push(Client::new(lane));
            self.clients.len() - 1
        });
        (self.clients[client].lane, self.clients[client].op) = (lane, Some(op));
        client
    }

    /// The operation that a client is has ended, if it is one; gives whether it is.
    fn end_op(
        &mut self,
        client: usize,
        outcome: Told,
        index: Option<u64>,
        details: impl FnOnce() -> String,
    ) {
        let Some(op) = self.clients[client].op.take() else { return };
        self.clients[client].attempt = None;
        self.clients[client].token += 1;
        let lane = self.nodes.len() + self.clients[client].lane;
        self.tell(|record, now| record.answer(now, lane, op.call, outcome, index, details));
        self.free_clients.push(client);
    }

    /// A client does what is next for it, after a while that grows with each try where it is an
    /// operation of a scenario.
    fn try_again_within(&mut self, client: usize, nanos_max: Nanos) {
        let most = match &self.clients[client].op {
            Some(op) => (nanos_max << op.tries.min(8)).min(BACKOFF_NANOS_MAX),
            None => nanos_max,
        };
        self.client_waits(client, most);
    }

    pub(super) fn read(&self, consistency: Consistency) -> CallKind {
        CallKind::Read { consistency, known: self.acknowledged }
    }

    fn new_attempt(&mut self, client: usize) -> CallKind {
        let attempt = self.workload.next(self.moment);
        self.add_attempt(client, attempt)
    }

    /// A client has this wish from now on.
    pub(super) fn add_attempt(&mut self, client: usize, attempt: Attempt) -> CallKind {
        let since = self.acknowledged;
        self.attempts.push(attempt);
        self.sent.push(Sent { since, maybe: false });
        let attempt = self.attempts.len() - 1;
        self.clients[client].attempt = Some(attempt);
        CallKind::Attempt(attempt)
    }

    /// Sends a request to the node that the client believes in.
    pub(super) fn call(&mut self, client: usize, kind: CallKind) {
        self.requests += 1;
        let request = RequestId::from_wire(self.requests);
        let node = match kind {
            CallKind::Read { consistency: Consistency::Committed, .. } => {
                self.schedule.index(self.nodes.len())
            }
            _ => self.believed[self.clients[client].lane],
        };
        self.clients[client].call = Some(request);
        let patience = match &mut self.clients[client].op {
            Some(op) => {
                op.tries += 1;
                op.timeout
            }
            None => self.plan.patience,
        };
        self.client_at(client, self.now + patience);
        let (lane, call) = (self.clients[client].lane, self.clients[client].op.map(|op| op.call));
        let (message, at) = self.send_between(lane, node, true, call);
        self.calls.insert(request, Call { client, node, kind, message });
        if let Some(at) = at {
            self.queue.push(at, Event::Request { request });
        }
        self.note(format_args!("client {client} asks node {node}: {request} {kind:?}"));
    }

    /// A message leaves a client for a node, or the other way round: its number in the record, and
    /// when it arrives, if it does.
    fn send_between(
        &mut self,
        lane: usize,
        node: usize,
        is_request: bool,
        call: Option<u64>,
    ) -> (u64, Option<Nanos>) {
        let Some(takes) = self.client_way(lane, node, is_request) else {
            let message = self.tell_send(lane, node, is_request, call);
            let to = if is_request { node } else { self.nodes.len() + lane };
            self.tell(|record, now| record.lose(now, to, message, "partition"));
            return (message, None);
        };
        (self.tell_send(lane, node, is_request, call), Some(self.now + takes))
    }

    fn tell_send(&self, lane: usize, node: usize, is_request: bool, call: Option<u64>) -> u64 {
        let Some(play) = &self.play else { return 0 };
        let lane = self.nodes.len() + lane;
        let (way, kind) = if is_request { ((lane, node), "call") } else { ((node, lane), "reply") };
        play.record.borrow_mut().send(self.now, way, kind, call, String::new)
    }

    /// A request arrives at its node.
    pub(super) fn request_arrives(&mut self, request: RequestId) {
        let Some(call) = self.calls.get(&request) else { return };
        let (node, message) = (call.node, call.message);
        if self.nodes[node].engine.is_some() {
            self.tell(|record, now| record.receive(now, node, message));
            self.hand(node, Inbound::Request(request));
        } else {
            self.tell(|record, now| record.lose(now, node, message, "crash"));
            let at = self.now + 100 * MICROS;
            self.queue.push(at, Event::Broken { request, was_taken: false });
        }
    }

    /// The node's turn has come to look at a request.
    pub(super) fn take_request(&mut self, node: usize, request: RequestId) {
        let Some(Call { kind, .. }) = self.calls.get(&request) else { return };
        match *kind {
            CallKind::Attempt(index) => {
                let attempt = &self.attempts[index];
                let frames: Vec<u8> = match &attempt.wish {
                    Wish::Append(frames) => frames.concat(),
                    Wish::Delete(_) | Wish::Tombstone(_) => Vec::new(),
                };
                let sent = self.sent[index];
                let retry_since = sent.maybe.then_some(sent.since);
                if sent.maybe {
                    self.coverage.hit("append retried");
                }
                let proposal = Proposal {
                    request,
                    stream: &attempt.stream,
                    expected: attempt.expected,
                    change: change(&attempt.wish, &frames),
                    retry_since,
                };
                self.nodes[node].propose(self.now, proposal);
            }
            CallKind::Read { consistency, .. } => {
                self.nodes[node].read(self.now, request, consistency);
            }
            CallKind::Transfer => {
                let to = self.schedule.index(self.nodes.len() + 1);
                let to = (to > 0).then(|| NodeId::from_wire(to as u64));
                self.nodes[node].transfer(self.now, request, to);
            }
        }
    }

    /// The connection of a call is gone.
    pub(super) fn connection_breaks(&mut self, request: RequestId, was_taken: bool) {
        let Some(Call { client, kind, node, .. }) = self.end_call(request) else { return };
        self.coverage.hit("broken connection");
        if was_taken && let CallKind::Attempt(attempt) = kind {
            self.sent[attempt].maybe = true;
        }
        self.doubt(client, node);
        self.try_again_within(client, 10 * MILLIS);
    }

    /// A node answers a proposal.
    pub(super) fn answer_leaves(&mut self, request: RequestId, outcome: Outcome) {
        if self.comes(self.plan.lost_answer) {
            return;
        }
        let Some(Call { client, node, .. }) = self.calls.get(&request).copied() else {
            // Nobody waits for it any more, so it makes no difference when it arrives.
            return;
        };
        let lane = self.clients[client].lane;
        let call = self.clients[client].op.map(|op| op.call);
        let is_lost = self.loses_answer();
        let (message, at) = self.send_between(lane, node, false, call);
        match at {
            Some(_) if is_lost => {
                let to = self.nodes.len() + lane;
                self.tell(|record, now| record.lose(now, to, message, "loss"));
            }
            Some(at) => self.queue.push(at, Event::Answer { request, outcome, lane, message }),
            None => {}
        }
    }

    /// An answer to a proposal reaches its client, where that still waits for it.
    pub(super) fn answer_arrives(
        &mut self,
        request: RequestId,
        outcome: Outcome,
        (lane, message): (usize, u64),
    ) {
        let lane = self.nodes.len() + lane;
        self.tell(|record, now| record.receive(now, lane, message));
        let Some(Call { client, node, kind, .. }) = self.end_call(request) else { return };
        let CallKind::Attempt(index) = kind else { unreachable!("only attempts are proposed") };
        self.note(format_args!("client {client} hears of {request} #{index}: {outcome:?}"));
        let (at, maybe) = (self.moment, self.sent[index].maybe);
        match outcome {
            Outcome::Appended(appended) => {
                if appended.last.is_some() {
                    self.acknowledged = self.acknowledged.max(appended.position);
                }
                self.attempts[index].end = End::Done { appended, at };
                self.workload.learn(&self.attempts[index]);
                self.coverage.hit("acknowledged");
                self.clients[client].attempt = None;
                let position = appended.position;
                self.end_op(client, Told::Done, None, || format!("at position {position}"));
                self.happened(Trigger::Acknowledged);
            }
            Outcome::Unknown => {
                self.coverage.hit("unknown outcome");
                self.sent[index].maybe = true;
                self.doubt(client, node);
            }
            Outcome::Refused(Rejection::NotLeader { leader }) => self.follow(client, node, leader),
            Outcome::Refused(rejection) if maybe && is_momentary(&rejection) => {
                self.doubt(client, node);
            }
            // The refusal of a retry says nothing of the first try.
            Outcome::Refused(rejection) if maybe => {
                self.clients[client].attempt = None;
                self.end_op(client, Told::Unknown, None, || format!("{rejection:?} to a retry"));
            }
            // Who has an operation to do does not take that for an answer.
            Outcome::Refused(rejection)
                if self.clients[client].op.is_some() && is_momentary(&rejection) =>
            {
                self.doubt(client, node);
            }
            Outcome::Refused(rejection) => {
                self.end_op(client, Told::Refused, None, || format!("{rejection:?}"));
                self.attempts[index].end = End::Refused { rejection, at };
                self.clients[client].attempt = None;
            }
        }
        if self.play.is_some() {
            if self.clients[client].op.is_some() {
                self.try_again_within(client, 5 * MILLIS);
            }
            return;
        }
        let wait = if self.clients[client].attempt.is_some() { 5 * MILLIS } else { 0 };
        self.client_waits(client, wait.max(self.plan.think_time));
    }

    /// A client takes a hint, or tries the next node.
    fn follow(&mut self, client: usize, node: usize, leader: Option<NodeId>) {
        self.coverage.hit("not leader");
        match leader {
            Some(leader) if leader.get() as usize != node + 1 => {
                self.believed[self.clients[client].lane] = leader.get() as usize - 1;
            }
            _ => self.doubt(client, node),
        }
    }

    /// A node was of no use: where it is the one to be asked, another is from now on. A call that was
    /// on its way to a node for long says nothing of the one that is believed in meanwhile.
    fn doubt(&mut self, client: usize, node: usize) {
        let (nodes, believed) = (self.nodes.len(), &mut self.believed[self.clients[client].lane]);
        if *believed == node && nodes > 1 {
            *believed = (node + 1 + self.schedule.index(nodes - 1)) % nodes;
        }
    }

    /// A call has ended, if its client still waits for it.
    fn end_call(&mut self, request: RequestId) -> Option<Call> {
        let call = self.calls.remove(&request)?;
        self.clients[call.client].call = None;
        Some(call)
    }

    /// A read is answered: the client learns up to where it may look.
    pub(super) fn read_answered(
        &mut self,
        request: RequestId,
        answer: Result<Position, Rejection>,
    ) -> Result<(), Violation> {
        let Some(Call { client, node, kind, .. }) = self.end_call(request) else { return Ok(()) };
        self.note(format_args!("read {request} of client {client}: {answer:?}"));
        let CallKind::Read { consistency, known } = kind else {
            unreachable!("only reads are answered so")
        };
        match (consistency, answer) {
            (Consistency::Linearizable, Ok(end)) => {
                self.coverage.hit("linearizable read");
                if known > Position::START && end <= known {
                    let story = format!(
                        "a read at node {node} ends at {end}, and {known} was acknowledged before it"
                    );
                    return Err(Violation { invariant: "linearizable reads", story });
                }
                self.read_done(client, node, end);
                return Ok(());
            }
            (Consistency::Committed, Ok(end)) => {
                self.coverage.hit("committed read");
                self.read_done(client, node, end);
                return Ok(());
            }
            (_, Err(rejection)) => {
                self.coverage.hit("read refused");
                match rejection {
                    Rejection::NotLeader { leader } => self.follow(client, node, leader),
                    _ => self.doubt(client, node),
                }
            }
        }
        if self.clients[client].op.is_some() {
            self.try_again_within(client, 5 * MILLIS);
        } else {
            self.client_waits(client, self.plan.think_time);
        }
        Ok(())
    }

    /// A read is answered. The answer's way is a part of its time, and nothing can happen to it.
    fn read_done(&mut self, client: usize, node: usize, end: Position) {
        let Some(op) = self.clients[client].op else {
            return self.client_waits(client, self.plan.think_time);
        };
        let (lane, call) = (self.clients[client].lane, Some(op.call));
        let (message, at) = self.send_between(lane, node, false, call);
        let Some(at) = at else { return };
        let token = self.clients[client].token;
        self.queue.push(at, Event::ReadAnswer { client, token, message, end });
    }

    /// The answer to a read reaches its client, where that still waits for it.
    pub(super) fn read_answer_arrives(
        &mut self,
        client: usize,
        token: u64,
        message: u64,
        end: Position,
    ) {
        let lane = self.nodes.len() + self.clients[client].lane;
        if self.clients[client].token == token {
            self.tell(|record, now| record.receive(now, lane, message));
            self.end_op(client, Told::Done, None, || format!("up to position {end}"));
        } else {
            self.tell(|record, now| record.lose(now, lane, message, "too late"));
        }
    }

    /// A transfer has ended.
    pub(super) fn transfer_answered(
        &mut self,
        request: RequestId,
        result: Result<NodeId, TransferError>,
    ) {
        let Some(Call { client, .. }) = self.end_call(request) else { return };
        self.note(format_args!("transfer {request} of client {client}: {result:?}"));
        self.coverage.hit(if result.is_ok() { "transferred" } else { "transfer refused" });
        self.client_waits(client, self.plan.think_time);
    }
}
