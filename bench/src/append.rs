//! Appends, many at once, and how long each takes.
//!
//! Each of `connections x in_flight` slots is a small task that sends an append, waits for its
//! answer and takes the next ticket. In a closed loop there is always a ticket; in an open loop
//! tickets come at a steady rate, and the time that one waits for a free slot counts as latency.

use std::cell::RefCell;
use std::error::Error;
use std::rc::Rc;
use std::time::{Duration, Instant};

use clap::Args;
use hdrhistogram::Histogram;
use quorate_client::{
    AppendError, Client, ContentType, EventId, Expected, NewEvent, Options, random_id,
};
use tokio::sync::Mutex;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::LocalSet;

use crate::Node;
use crate::floor::Floor;
use crate::pace::Schedule;
use crate::report::{AppendReport, Conditions, Percentiles, histogram};
use crate::steal::{NOISY_PERCENT, Steal};

/// An append that is sent later than this after its time is counted.
const LATE: Duration = Duration::from_millis(1);
const SECONDS: f64 = 10.0;
const EVENT_TYPE: &str = "measured";

/// What load to make.
#[derive(Args, Clone, Debug)]
pub(crate) struct Load {
    /// QUIC connections; 1 where the figure does not ask for others.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1024))]
    connections: Option<u32>,
    /// Appends under way on each connection; 1 where the figure does not ask for others.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=65536))]
    in_flight: Option<u32>,
    /// Bytes of each event's data.
    #[arg(long, visible_alias = "payload", default_value_t = 256)]
    size: usize,
    /// How long, after the warm-up; 10 where the figure does not ask for more.
    #[arg(long)]
    seconds: Option<f64>,
    /// Appends per second, whatever the node does (open loop); without it, each slot sends its next
    /// append when the last is answered (closed loop).
    #[arg(long)]
    rate: Option<f64>,
    /// Streams to append to; by default one for each slot.
    #[arg(long)]
    streams: Option<u64>,
    /// How long to run before anything counts.
    #[arg(long, default_value_t = 1.0)]
    warm_up: f64,
}

impl Load {
    /// Fills in what was not asked for.
    ///
    /// - `seconds`: none where the figure has a duration of its own
    pub(crate) fn or(self, connections: u32, in_flight: u32, seconds: Option<f64>) -> Self {
        Self {
            connections: self.connections.or(Some(connections)),
            in_flight: self.in_flight.or(Some(in_flight)),
            seconds: self.seconds.or(seconds),
            ..self
        }
    }

    /// The same load with other events.
    pub(crate) fn of(&self, size: usize, in_flight: u32) -> Self {
        Self { size, in_flight: Some(in_flight), ..self.clone() }
    }

    /// An open loop, unless one was asked for already.
    pub(crate) fn at_rate(self, rate: f64) -> Self {
        Self { rate: self.rate.or(Some(rate)), ..self }
    }

    pub(crate) fn connections(&self) -> u32 {
        self.connections.unwrap_or(1)
    }

    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight.unwrap_or(1)
    }

    pub(crate) fn size(&self) -> usize {
        self.size
    }

    pub(crate) fn seconds(&self) -> Option<f64> {
        self.seconds
    }

    pub(crate) fn rate(&self) -> Option<f64> {
        self.rate
    }
}

/// Runs the load and measures it.
pub(crate) async fn run(
    node: &Node,
    load: &Load,
    floor: Floor,
) -> Result<AppendReport, Box<dyn Error>> {
    let mut clients = Vec::new();
    for _ in 0..load.connections() {
        clients.push(connect(node).await?);
    }
    let status = clients[0].status().await?;
    let events = Rc::new(Events::new(load));
    let count = run_for(load, &clients, &events, load.warm_up).await.completed();
    eprintln!("warm-up: {count} appends");
    let steal = Steal::start()?;
    let start = Instant::now();
    let totals = run_for(load, &clients, &events, load.seconds.unwrap_or(SECONDS)).await;
    let seconds = start.elapsed().as_secs_f64();
    let steal_percent = steal.percent()?;
    for client in clients {
        client.close().await;
    }
    Ok(AppendReport {
        connections: load.connections() as usize,
        in_flight: load.in_flight() as usize,
        size: load.size,
        seconds,
        rate: load.rate,
        appends_per_s: totals.completed() as f64 / seconds,
        response: Percentiles::of(&totals.response),
        errors: totals.errors,
        steal_percent,
        floor,
        service: Percentiles::of(&totals.service),
        late: totals.late,
        unsent: totals.unsent,
        noisy: steal_percent > NOISY_PERCENT,
        first_error: totals.first_error.map(|error| error.to_string()),
        conditions: Conditions {
            arrival: if load.rate.is_some() { "open" } else { "closed" },
            streams: events.streams.len() as u64,
            expected_revision: "any",
            warm_up_seconds: load.warm_up,
            node: format!("quorate {} on {}", status.version, status.disk),
            same_machine: is_loopback(&node.uri),
            processors: std::thread::available_parallelism()?.get(),
            client_build: if cfg!(debug_assertions) { "debug" } else { "release" },
            clock: "monotonic",
        },
    })
}

pub(crate) async fn connect(node: &Node) -> Result<Client, Box<dyn Error>> {
    let options = Options {
        ca: node.ca.clone(),
        name: concat!("quorate-bench/", env!("CARGO_PKG_VERSION")).to_owned(),
        ..Options::default()
    };
    Ok(Client::connect(&node.uri, options).await?)
}

fn is_loopback(uri: &str) -> bool {
    ["//127.", "//localhost", "//[::1]"].iter().any(|host| uri.contains(host))
}

/// What is appended: the same data again and again, under ids that were never used.
pub(crate) struct Events {
    streams: Vec<String>,
    data: Vec<u8>,
    /// The first half of all ids of this run.
    run: [u8; 8],
    next: RefCell<u64>,
}

impl Events {
    pub(crate) fn new(load: &Load) -> Self {
        let slots = u64::from(load.connections()) * u64::from(load.in_flight());
        let count = load.streams.unwrap_or(slots).max(1);
        let random = random_id().to_bytes();
        let data = (0..load.size).map(|index| b"quorate measures "[index % 17]).collect();
        Self {
            streams: (0..count).map(|number| format!("bench-{number}")).collect(),
            data,
            run: *random.first_chunk().expect("an id has two halves"),
            next: RefCell::new(0),
        }
    }

    /// Sends the next one.
    pub(crate) fn append(
        &self,
        client: &Client,
    ) -> impl Future<Output = Result<quorate_client::Appended, AppendError>> + use<> {
        let number = {
            let mut next = self.next.borrow_mut();
            *next += 1;
            *next
        };
        let mut id = [0; 16];
        id[..8].copy_from_slice(&self.run);
        id[8..].copy_from_slice(&number.to_be_bytes());
        let event = NewEvent {
            id: EventId::from_bytes(id),
            event_type: EVENT_TYPE,
            content_type: ContentType::Octets,
            data: &self.data,
            metadata: &[],
        };
        let stream = &self.streams[(number % self.streams.len() as u64) as usize];
        client.append(stream, Expected::Any, &[event])
    }
}

/// What was measured.
struct Totals {
    response: Histogram<u64>,
    service: Histogram<u64>,
    errors: u64,
    first_error: Option<AppendError>,
    late: u64,
    unsent: u64,
}

impl Totals {
    fn completed(&self) -> u64 {
        self.response.len()
    }

    fn record(&mut self, due: Instant, sent: Instant, result: Result<(), AppendError>) {
        let now = Instant::now();
        self.late += u64::from(sent.saturating_duration_since(due) > LATE);
        match result {
            Ok(()) => {
                let nanos = |since: Instant| (now - since).as_nanos() as u64;
                self.response.saturating_record(nanos(due));
                self.service.saturating_record(nanos(sent));
            }
            Err(error) => {
                self.errors += 1;
                self.first_error.get_or_insert(error);
            }
        }
    }
}

async fn run_for(load: &Load, clients: &[Client], events: &Rc<Events>, seconds: f64) -> Totals {
    let totals = Rc::new(RefCell::new(Totals {
        response: histogram(),
        service: histogram(),
        errors: 0,
        first_error: None,
        late: 0,
        unsent: 0,
    }));
    let tickets = Rc::new(Tickets::new(load.rate, Duration::from_secs_f64(seconds)));
    let slots = LocalSet::new();
    for client in clients {
        for _ in 0..load.in_flight() {
            let (client, events) = (client.clone(), Rc::clone(events));
            let (tickets, totals) = (Rc::clone(&tickets), Rc::clone(&totals));
            slots.spawn_local(async move {
                while let Some(due) = tickets.next().await {
                    let sent = Instant::now();
                    let result = events.append(&client).await.map(drop);
                    totals.borrow_mut().record(due, sent, result);
                }
            });
        }
    }
    slots.await;
    let unsent = Rc::into_inner(tickets).expect("all slots are done").unsent().await;
    let totals = Rc::into_inner(totals).expect("all slots are done").into_inner();
    Totals { unsent, ..totals }
}

/// Permissions to send one append, each with the moment at which it is due.
enum Tickets {
    Closed { end: Instant },
    Open { end: Instant, schedule: Schedule, queue: Mutex<Queue> },
}

/// Tickets that are due, and which of them is next.
struct Queue {
    due: UnboundedReceiver<u64>,
    due_count: u64,
    next: u64,
}

impl Tickets {
    fn new(rate: Option<f64>, time: Duration) -> Self {
        let start = Instant::now();
        let end = start + time;
        match rate {
            None => Self::Closed { end },
            Some(rate) => {
                let schedule = Schedule::new(start, rate, time);
                let queue = Queue { due: schedule.pace(), due_count: 0, next: 0 };
                Self::Open { end, schedule, queue: Mutex::new(queue) }
            }
        }
    }

    /// When the next append is due; `None` once the time is over.
    async fn next(&self) -> Option<Instant> {
        match self {
            Self::Closed { end } => Some(Instant::now()).filter(|now| now < end),
            Self::Open { end, schedule, queue } => {
                let mut queue = queue.lock().await;
                while queue.next == queue.due_count {
                    queue.due_count = queue.due.recv().await?;
                }
                if Instant::now() > *end + LATE {
                    return None;
                }
                let number = queue.next;
                queue.next += 1;
                Some(schedule.due(number))
            }
        }
    }

    /// How many were due and never taken.
    async fn unsent(self) -> u64 {
        match self {
            Self::Closed { .. } => 0,
            Self::Open { schedule, queue, .. } => schedule.count() - queue.into_inner().next,
        }
    }
}
