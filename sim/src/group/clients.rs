//! Clients: they send to whom they believe to lead, follow hints, try again with the same ids where
//! they don't know how something ended, sometimes give up, and remember what they were told.

use quorate_core::id::{NodeId, Position, RequestId};
use quorate_core::request::{Consistency, Outcome, Proposal, Rejection, TransferError};

use super::World;
use super::node::Inbound;
use super::schedule::{Event, MICROS, MILLIS, Nanos};
use crate::history::{End, Violation, Wish};
use crate::world::{change, is_momentary};

/// One client in so many never asks again.
const GIVES_UP: u32 = 12;

/// One client: it has at most one call under way.
pub(super) struct Client {
    /// The node that it believes to lead.
    believed: usize,
    /// What it wants to be done, and was not told of yet.
    attempt: Option<usize>,
    call: Option<RequestId>,
    /// Makes events void that were meant for an earlier state.
    token: u64,
}

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
    pub(super) fn all(count: usize, nodes: usize) -> Vec<Self> {
        let client =
            |index: usize| Self { believed: index % nodes, attempt: None, call: None, token: 0 };
        (0..count).map(client).collect()
    }

    /// Whether it has nothing more to ask for.
    pub(super) fn is_idle(&self) -> bool {
        self.attempt.is_none() && self.call.is_none()
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
            if let Some(Call { kind: CallKind::Attempt(attempt), .. }) = call {
                self.sent[attempt].maybe = true;
            }
            self.coverage.hit("no answer");
            self.believe_another(client);
            return self.client_waits(client, 20 * MILLIS);
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

    fn read(&self, consistency: Consistency) -> CallKind {
        CallKind::Read { consistency, known: self.acknowledged }
    }

    fn new_attempt(&mut self, client: usize) -> CallKind {
        let attempt = self.workload.next(self.moment);
        let since = self.acknowledged;
        self.attempts.push(attempt);
        self.sent.push(Sent { since, maybe: false });
        let attempt = self.attempts.len() - 1;
        self.clients[client].attempt = Some(attempt);
        CallKind::Attempt(attempt)
    }

    /// Sends a request to the node that the client believes in.
    fn call(&mut self, client: usize, kind: CallKind) {
        self.requests += 1;
        let request = RequestId::from_wire(self.requests);
        let node = match kind {
            CallKind::Read { consistency: Consistency::Committed, .. } => {
                self.schedule.index(self.nodes.len())
            }
            _ => self.clients[client].believed,
        };
        self.calls.insert(request, Call { client, node, kind });
        self.clients[client].call = Some(request);
        self.client_at(client, self.now + self.plan.patience);
        let at = self.now + 20 * MICROS + self.schedule.below(300 * MICROS);
        self.queue.push(at, Event::Request { request });
        self.note(format_args!("client {client} asks node {node}: {request} {kind:?}"));
    }

    /// A request arrives at its node.
    pub(super) fn request_arrives(&mut self, request: RequestId) {
        let Some(call) = self.calls.get(&request) else { return };
        let node = call.node;
        if self.nodes[node].engine.is_some() {
            self.hand(node, Inbound::Request(request));
        } else {
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
        let Some(Call { client, kind, .. }) = self.end_call(request) else { return };
        self.coverage.hit("broken connection");
        if was_taken && let CallKind::Attempt(attempt) = kind {
            self.sent[attempt].maybe = true;
        }
        self.believe_another(client);
        self.client_waits(client, 10 * MILLIS);
    }

    /// An answer to a proposal reaches its client, where that still waits for it.
    pub(super) fn answer_arrives(&mut self, request: RequestId, outcome: Outcome) {
        let Some(Call { client, node, kind }) = self.end_call(request) else { return };
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
            }
            Outcome::Unknown => {
                self.coverage.hit("unknown outcome");
                self.sent[index].maybe = true;
                self.believe_another(client);
            }
            Outcome::Refused(Rejection::NotLeader { leader }) => self.follow(client, node, leader),
            Outcome::Refused(rejection) if maybe && is_momentary(&rejection) => {
                self.believe_another(client);
            }
            // The refusal of a retry says nothing of the first try.
            Outcome::Refused(_) if maybe => self.clients[client].attempt = None,
            Outcome::Refused(rejection) => {
                self.attempts[index].end = End::Refused { rejection, at };
                self.clients[client].attempt = None;
            }
        }
        let wait = if self.clients[client].attempt.is_some() { 5 * MILLIS } else { 0 };
        self.client_waits(client, wait.max(self.plan.think_time));
    }

    /// A client takes a hint, or tries the next node.
    fn follow(&mut self, client: usize, node: usize, leader: Option<NodeId>) {
        self.coverage.hit("not leader");
        match leader {
            Some(leader) if leader.get() as usize != node + 1 => {
                self.clients[client].believed = leader.get() as usize - 1;
            }
            _ => self.believe_another(client),
        }
    }

    fn believe_another(&mut self, client: usize) {
        self.clients[client].believed = self.schedule.index(self.nodes.len());
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
        let Some(Call { client, node, kind }) = self.end_call(request) else { return Ok(()) };
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
            }
            (Consistency::Committed, Ok(_)) => self.coverage.hit("committed read"),
            (_, Err(rejection)) => {
                self.coverage.hit("read refused");
                match rejection {
                    Rejection::NotLeader { leader } => self.follow(client, node, leader),
                    _ => self.believe_another(client),
                }
            }
        }
        self.client_waits(client, self.plan.think_time);
        Ok(())
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
