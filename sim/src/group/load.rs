//! What the clients of a scenario want, and when: an open loop, so that a slow group does not get
//! less to do.
//!
//! Each operation's wish follows from the seed and its own number, so that leaving some out does
//! not change the others.

use std::rc::Rc;

use quorate_core::request::Consistency;
use quorate_storage::disk::simulated::Random;

use super::World;
use super::clients::{CallKind, Op};
use super::schedule::{Event, Nanos};
use crate::record::Deed;
use crate::scenario::model::{Load as Wanted, Operation, Scenario};
use crate::scenario::number;

const SECOND: f64 = 1e9;

/// All that is wanted.
pub(crate) struct Load {
    streams: Vec<Stream>,
    /// The zone and kind of each client.
    pub(crate) clients: Vec<(usize, usize)>,
    /// Operations so far.
    count: u64,
    seed: u64,
}

/// The arrivals of one kind of operation.
struct Stream {
    /// Clients among all that take turns.
    clients: Vec<usize>,
    load: usize,
    wanted: Rc<Wanted>,
    random: Random,
    turn: usize,
}

impl Load {
    pub(crate) fn new(scenario: &Scenario, seed: u64) -> Self {
        let names = scenario.client_names();
        let clients = names.iter().map(|(_, kind)| (scenario.clients[*kind].zone, *kind));
        let clients: Vec<(usize, usize)> = clients.collect();
        let mut streams = Vec::new();
        for (kind, client) in scenario.clients.iter().enumerate() {
            let members = clients.iter().enumerate().filter(|(_, it)| it.1 == kind);
            let members: Vec<usize> = members.map(|(place, _)| place).collect();
            for (load, wanted) in client.loads.iter().enumerate() {
                if wanted.op == Operation::Subscribe {
                    continue;
                }
                let place = (kind * 64 + load) as u64;
                streams.push(Stream {
                    clients: members.clone(),
                    load,
                    wanted: Rc::new(wanted.clone()),
                    random: Random::stream(seed ^ (place << 40), "arrivals"),
                    turn: 0,
                });
            }
        }
        Self { streams, clients, count: 0, seed }
    }

    /// When the first of each stream is due.
    pub(crate) fn first_dues(&mut self) -> Vec<(usize, Nanos)> {
        let streams = self.streams.iter_mut().enumerate();
        streams.map(|(place, stream)| (place, stream.wanted.from + stream.gap())).collect()
    }

    /// Who wants the one that is due now, and when the next is.
    pub(crate) fn take(&mut self, stream: usize, now: Nanos) -> (usize, usize, u64, Option<Nanos>) {
        let stream = &mut self.streams[stream];
        let client = stream.clients[stream.turn % stream.clients.len()];
        stream.turn += 1;
        self.count += 1;
        let next = now + stream.gap();
        let is_wanted = stream.wanted.until.is_none_or(|until| next < until);
        (client, stream.load, self.count, is_wanted.then_some(next))
    }

    pub(crate) fn wanted(&self, client: usize, load: usize) -> Option<Rc<Wanted>> {
        let mut streams = self.streams.iter();
        let stream = streams.find(|it| it.load == load && it.clients.contains(&client))?;
        Some(Rc::clone(&stream.wanted))
    }

    /// Random numbers for what an operation wants.
    fn wish(&self, number: u64) -> Random {
        wish(self.seed, number)
    }
}

/// Random numbers for what an operation of a run wants, by its own number.
pub(crate) fn wish(seed: u64, number: u64) -> Random {
    Random::stream(seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15), "wish")
}

impl Stream {
    fn gap(&mut self) -> Nanos {
        let arrival = self.wanted.arrival;
        let mean = SECOND / arrival.rate;
        let gap = if arrival.is_poisson {
            -number::ln(number::share(&mut self.random)) * mean
        } else {
            mean
        };
        (gap as Nanos).max(1)
    }
}

impl World {
    /// The next operation of a stream is due.
    pub(super) fn due(&mut self, stream: usize) {
        let now = self.now;
        let Some(play) = &mut self.play else { return };
        if self.is_closing {
            return;
        }
        let (client, load, number, next) = play.load.take(stream, now);
        if let Some(next) = next {
            self.queue.push(next, Event::Due { stream });
        }
        self.arrive(client, load, number);
    }

    /// An operation of a client is due.
    pub(super) fn arrive(&mut self, lane: usize, load: usize, number: u64) {
        let Some(play) = &self.play else { return };
        if self.is_closing {
            return;
        }
        let Some(wanted) = play.load.wanted(lane, load) else { return };
        let random = play.load.wish(number);
        // Some more of an append is written with it: its stream's metadata, and stamps.
        let bytes_max = u64::from(self.plan.setup.limits.append_bytes_max) / 2;
        let (deed, reads) = match &wanted.op {
            Operation::Append(_) | Operation::Mixed => (Deed::Append, None),
            Operation::Read => (Deed::Read, Some(Consistency::Linearizable)),
            Operation::ReadCommitted => (Deed::Read, Some(Consistency::Committed)),
            Operation::Subscribe => return,
        };
        let (attempt, words) = match &wanted.op {
            Operation::Append(append) => {
                let attempt = self.workload.append(append, random, bytes_max, self.moment);
                let words = format!("stream {}, {} events", attempt.stream, attempt.ids().len());
                (Some(attempt), words)
            }
            Operation::Mixed => {
                let attempt = self.workload.next_from(random, self.moment);
                let words = format!("stream {}, {} events", attempt.stream, attempt.ids().len());
                (Some(attempt), words)
            }
            Operation::Read => (None, "all that is acknowledged".to_owned()),
            Operation::ReadCommitted | Operation::Subscribe => (None, "what a node has".to_owned()),
        };
        let play = self.play.as_ref().expect("a scenario is being run");
        let (now, nodes) = (self.now, self.nodes.len());
        let call = {
            let mut record = play.record.borrow_mut();
            record.arrival(now, lane, load, number);
            record.call(now, nodes + lane, deed, now, || words)
        };
        let op = Op { call, reads, timeout: wanted.timeout, tries: 0, since: now };
        let client = self.free_client(lane, op);
        let kind = match (attempt, reads) {
            (Some(attempt), _) => self.add_attempt(client, attempt),
            (None, Some(consistency)) => self.read(consistency),
            (None, None) => unreachable!("an operation changes or reads"),
        };
        self.call(client, kind);
    }

    /// What an operation that has not been answered asks for once more.
    pub(super) fn read_again(&self, op: &Op) -> Option<CallKind> {
        op.reads.map(|consistency| self.read(consistency))
    }
}
