//! A machine with a client on it: the client library, and somebody who wants things of it at his own
//! pace, however long the answers take.

use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use quorate_client::{AppendError, Client, ConnectError, Options, ReadOptions};
use quorate_core::event::{EventFrame, NewEvent};
use quorate_core::id::Position;
use quorate_core::request::Rejection;
use quorate_net::clock::{Instant, sleep, sleep_until};
use quorate_net::{Trust, endpoint};
use quorate_storage::disk::simulated::Random;

use super::lab::Lab;
use super::runtime::WorldRuntime;
use super::socket::WorldSocket;
use crate::group::schedule::Nanos;
use crate::history::{Attempt, End, Violation, Wish};

/// How long somebody waits who could not connect.
const AGAIN: Duration = Duration::from_millis(200);

/// What of a client's machine outlives its processes.
pub(super) struct Desk {
    pub(super) index: usize,
    pub(super) name: String,
    pub(super) address: SocketAddr,
    /// Where the nodes are.
    pub(super) uri: String,
    pub(super) trust: Trust,
    /// So long after one call the next is made.
    pub(super) every: Nanos,
    /// One call in so many is a read.
    pub(super) reads: u32,
    pub(super) timeout: Duration,
    pub(super) seed: u64,
}

impl Desk {
    /// Wants things until nobody is to want any more.
    pub(super) async fn run(self: Rc<Self>, lab: Rc<Lab>) {
        let client = loop {
            match self.connect().await {
                Ok(client) => break Rc::new(client),
                Err(_error) => sleep(AGAIN).await,
            }
        };
        let mut random = Random::stream(self.seed ^ self.index as u64, "client");
        let mut next = Instant::now();
        while !lab.see().is_closing {
            let (lab, client) = (Rc::clone(&lab), Rc::clone(&client));
            if self.reads > 0 && random.one_in(self.reads) {
                tokio::task::spawn_local(async move { read(&lab, &client).await });
            } else {
                tokio::task::spawn_local(async move { change(&lab, &client).await });
            }
            next += Duration::from_nanos(self.every);
            sleep_until(next).await;
        }
    }

    async fn connect(&self) -> Result<Client, ConnectError> {
        let own = SocketAddr::new(self.address.ip(), 0);
        let socket = WorldSocket::open(own).expect("the machine has free ports");
        let endpoint = endpoint::client_endpoint_on(socket, Arc::new(WorldRuntime))
            .expect("the socket is good");
        let options = Options {
            trust: Some(self.trust.clone()),
            deadline: self.timeout,
            name: self.name.clone(),
            ..Options::default()
        };
        Client::connect_over(endpoint, &self.uri, options).await
    }
}

/// Wants a change of a stream.
async fn change(lab: &Lab, client: &Client) {
    let now = lab.now();
    let (index, attempt) = {
        let state = &mut *lab.change();
        let attempt = state.workload.next(now);
        state.attempts.push(attempt.clone());
        (state.attempts.len() - 1, attempt)
    };
    let end = attempt_once(lab, client, &attempt).await;
    let state = &mut *lab.change();
    match &end {
        End::Done { appended, .. } => {
            state.counts.done += 1;
            if appended.last.is_some() {
                state.acknowledged = state.acknowledged.max(appended.position);
            }
        }
        End::Refused { .. } => state.counts.refused += 1,
        End::Unknown => state.counts.unknown += 1,
    }
    state.attempts[index].end = end;
    state.workload.learn(&state.attempts[index]);
}

async fn attempt_once(lab: &Lab, client: &Client, attempt: &Attempt) -> End {
    let (stream, expected) = (attempt.stream.as_str(), attempt.expected);
    let pending = match &attempt.wish {
        Wish::Append(frames) => {
            let events: Vec<_> = frames
                .iter()
                .map(|frame| EventFrame::parse(frame).expect("the workload encodes frames"))
                .map(|event| NewEvent {
                    id: event.id(),
                    event_type: event.event_type(),
                    content_type: event.content_type(),
                    data: event.data(),
                    metadata: event.metadata(),
                })
                .collect();
            client.append(stream, expected, &events)
        }
        Wish::Delete(id) => client.delete_as(*id, stream, expected),
        Wish::Tombstone(id) => client.tombstone_as(*id, stream, expected),
    };
    let answer = pending.await;
    let at = lab.now();
    match answer {
        Ok(appended) => End::Done { appended, at },
        Err(AppendError::Rejected(rejection)) => End::Refused { rejection, at },
        // Nothing was written; which is all that it says.
        Err(AppendError::Unreachable(_) | AppendError::Failed { .. }) => {
            End::Refused { rejection: Rejection::NotReady, at }
        }
        Err(AppendError::Unknown(_)) => End::Unknown,
    }
}

/// Reads the newest event, which is not older than what was acknowledged before.
async fn read(lab: &Lab, client: &Client) {
    let known = lab.see().acknowledged;
    let found = client.read_all(ReadOptions::backwards().count(1)).next().await;
    let position = match found {
        Some(Ok(read)) => read.event.position(),
        None => Position::START,
        Some(Err(_failed)) => return,
    };
    lab.change().counts.reads += 1;
    if position < known {
        let story = format!("a read ends with {position}, and {known} was acknowledged before it");
        lab.accuse(Violation { invariant: "linearizable reads", story });
    }
}

/// The authority as clients are given it.
pub(super) fn trust(pem: &str) -> Trust {
    Trust::from_pem(Path::new("ca.pem"), pem.as_bytes()).expect("it was just made")
}
