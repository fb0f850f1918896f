//! A machine with a client on it: the client library, and somebody who does with it what the
//! scenario's load asks for when it is due, however long the answers take.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use quorate_client::{
    AppendError, Client, ConnectError, Options, ReadOptions, SubscribeOptions, SubscriptionEvent,
};
use quorate_core::event::{EventFrame, NewEvent};
use quorate_core::id::Position;
use quorate_core::request::Rejection;
use quorate_net::clock::sleep;
use quorate_net::{Trust, endpoint};
use tokio::sync::Notify;

use super::lab::{Errand, Follower, Lab};
use super::runtime::WorldRuntime;
use super::socket::WorldSocket;
use crate::group::load;
use crate::group::schedule::Nanos;
use crate::history::{Attempt, End, Violation, Wish};
use crate::record::{Deed, Outcome};
use crate::scenario::fault::Trigger;
use crate::scenario::model::{Load, Operation};

/// How long somebody waits who could not connect, or lost what he followed.
const AGAIN: Duration = Duration::from_millis(200);
/// An operation that has waited for so long is given up: nobody knows how it ended.
const PATIENCE: Duration = Duration::from_secs(10);
/// Some more of an append is written with it: its stream's metadata, and stamps.
const APPEND_BYTES_MAX: u64 = 1 << 20;

/// What of a client's machine outlives its processes.
pub(super) struct Desk {
    /// Its place among all clients.
    pub(super) client: usize,
    /// In the record.
    pub(super) lane: usize,
    pub(super) name: String,
    pub(super) address: SocketAddr,
    /// Where the nodes are.
    pub(super) uri: String,
    pub(super) trust: Trust,
    pub(super) loads: Vec<Load>,
}

/// The client, once there is one.
#[derive(Default)]
struct Connected {
    client: RefCell<Option<Client>>,
    made: Notify,
}

impl Connected {
    async fn client(&self) -> Client {
        loop {
            let made = self.made.notified();
            if let Some(client) = &*self.client.borrow() {
                return client.clone();
            }
            made.await;
        }
    }
}

impl Desk {
    /// Does what it is asked for, for ever.
    pub(super) async fn run(self: Rc<Self>, lab: Rc<Lab>) {
        let connected = Rc::<Connected>::default();
        let (desk, found) = (Rc::clone(&self), Rc::clone(&connected));
        tokio::task::spawn_local(async move { desk.connect(&found).await });
        for load in self.loads.iter().filter(|load| load.op == Operation::Subscribe) {
            let place = lab.change().followers.len();
            lab.change().followers.push(Follower::default());
            let (lab, from) = (Rc::clone(&lab), Duration::from_nanos(load.from));
            let connected = Rc::clone(&connected);
            tokio::task::spawn_local(async move {
                sleep(from).await;
                follow(&lab, &connected.client().await, place).await;
            });
        }
        loop {
            let called = lab.calls[self.client].notified();
            let errand = lab.change().errands[self.client].pop_front();
            let Some(errand) = errand else {
                called.await;
                continue;
            };
            let (desk, lab, connected) = (Rc::clone(&self), Rc::clone(&lab), Rc::clone(&connected));
            let deed = async move { desk.carry_out(&lab, &connected, errand).await };
            tokio::task::spawn_local(deed);
        }
    }

    async fn connect(&self, connected: &Connected) {
        while connected.client.borrow().is_none() {
            match self.try_to_connect().await {
                Ok(client) => drop(connected.client.replace(Some(client))),
                Err(_error) => sleep(AGAIN).await,
            }
        }
        connected.made.notify_waiters();
    }

    async fn try_to_connect(&self) -> Result<Client, ConnectError> {
        let own = SocketAddr::new(self.address.ip(), 0);
        let socket = WorldSocket::open(own).expect("the machine has free ports");
        let endpoint = endpoint::client_endpoint_on(socket, WorldRuntime::start())
            .expect("the socket is good");
        let (trust, name) = (Some(self.trust.clone()), self.name.clone());
        let options = Options { trust, deadline: PATIENCE, name, ..Options::default() };
        Client::connect_over(endpoint, &self.uri, options).await
    }

    async fn carry_out(&self, lab: &Lab, connected: &Connected, errand: Errand) {
        match errand {
            Errand::Load { load, number, due } => {
                let random = load::wish(lab.seed, number);
                match &self.loads[load].op {
                    Operation::Append(append) => {
                        let wish = |lab: &Lab, now| {
                            let workload = &mut lab.change().workload;
                            workload.append(append, random, APPEND_BYTES_MAX, now)
                        };
                        self.change(lab, connected, due, wish).await;
                    }
                    Operation::Mixed => {
                        let wish = |lab: &Lab, now| lab.change().workload.next_from(random, now);
                        self.change(lab, connected, due, wish).await;
                    }
                    Operation::Read => {
                        self.read(lab, connected, due, ReadOptions::backwards()).await;
                    }
                    Operation::ReadCommitted => {
                        let options = ReadOptions::backwards().committed();
                        self.read(lab, connected, due, options).await;
                    }
                    Operation::Subscribe => unreachable!("it is never due"),
                }
                lab.change().under_way -= 1;
            }
            Errand::Transfer { to } => {
                let client = connected.client().await;
                let asked = client.transfer_leader(to.as_deref()).await;
                let text = asked.map_or_else(
                    |error| format!("the lead was not given away: {error}"),
                    |done| format!("the lead was given to {}", done.to),
                );
                lab.note(Some(self.lane), text);
            }
        }
    }

    /// Wants a change of a stream.
    async fn change(
        &self,
        lab: &Lab,
        connected: &Connected,
        due: Nanos,
        wish: impl FnOnce(&Lab, Nanos) -> Attempt,
    ) {
        let now = lab.now();
        let attempt = wish(lab, now);
        let words = || format!("stream {}, {} events", attempt.stream, attempt.ids().len());
        let call = lab.record.borrow_mut().call(now, self.lane, Deed::Append, due, words);
        let index = {
            let state = &mut *lab.change();
            state.attempts.push(attempt.clone());
            state.attempts.len() - 1
        };
        let end = attempt_once(lab, &connected.client().await, &attempt).await;
        let (outcome, words) = match &end {
            End::Done { appended, .. } => (Outcome::Done, format!("at {}", appended.position)),
            End::Refused { rejection, .. } => (Outcome::Refused, rejection.to_string()),
            End::Unknown => (Outcome::Unknown, String::new()),
        };
        lab.record.borrow_mut().answer(lab.now(), self.lane, call, outcome, None, || words);
        let state = &mut *lab.change();
        if let End::Done { appended, .. } = &end {
            state.happened.push(Trigger::Acknowledged);
            if appended.last.is_some() {
                state.acknowledged = state.acknowledged.max(appended.position);
            }
        }
        state.attempts[index].end = end;
        state.workload.learn(&state.attempts[index]);
    }

    /// Reads the newest event; of a leader, it is not older than what was acknowledged before.
    async fn read(&self, lab: &Lab, connected: &Connected, due: Nanos, options: ReadOptions) {
        let (now, known) = (lab.now(), lab.see().acknowledged);
        let consistency = options.consistency;
        let words = || format!("the newest event, {consistency:?}");
        let call = lab.record.borrow_mut().call(now, self.lane, Deed::Read, due, words);
        let client = connected.client().await;
        let found = client.read_all(options.count(1)).next().await;
        let (outcome, position, words) = match found {
            Some(Ok(read)) => (Outcome::Done, read.event.position(), String::new()),
            None => (Outcome::Done, Position::START, "nothing".to_owned()),
            // A read that has failed says nothing, and has changed nothing.
            Some(Err(error)) => (Outcome::Refused, known, error.to_string()),
        };
        lab.record.borrow_mut().answer(lab.now(), self.lane, call, outcome, None, || words);
        if consistency == quorate_client::Consistency::Linearizable && position < known {
            let story =
                format!("a read ends with {position}, and {known} was acknowledged before it");
            lab.accuse(Violation { invariant: "linearizable reads", story });
        }
    }
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

/// Follows `$all` from its start; the library goes on elsewhere where it must.
async fn follow(lab: &Lab, client: &Client, place: usize) {
    loop {
        let last = lab.see().followers[place].seen.last().map(|(position, _)| *position);
        let options = last.map_or_else(SubscribeOptions::default, SubscribeOptions::after);
        let mut subscription = client.subscribe_all(options);
        while let Some(Ok(event)) = subscription.next().await {
            if let SubscriptionEvent::Event(read) = event {
                let event = read.original();
                let seen = (event.position(), event.id());
                lab.change().followers[place].seen.push(seen);
            }
        }
        sleep(AGAIN).await;
    }
}

/// The authority as clients are given it.
pub(super) fn trust(pem: &str) -> Trust {
    Trust::from_pem(Path::new("ca.pem"), pem.as_bytes()).expect("it was just made")
}
