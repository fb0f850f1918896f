//! Clients that append, read and subscribe without end, while something happens to the group.

use std::rc::Rc;
use std::time::Duration;

use quorate_client::{
    Client, EventData, EventId, Expected, Options, ReadError, ReadOptions, SubscribeOptions,
    SubscriptionEvent,
};
use quorate_sim::history::Logged;
use quorate_storage::disk::simulated::Random;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::group::{Group, NODES, PATIENCE};
use crate::history::{History, Look};
use crate::logs;

const WRITERS: usize = 6;
const READERS: usize = 2;
/// Few, so that clients get in each other's way.
const STREAMS: u64 = 12;
/// One writer in so many loses its patience soon, and repeats what it does not know.
const HASTY_EVERY: usize = 3;
const HASTE: Duration = Duration::from_millis(400);
/// An append whose outcome is unknown is repeated so often.
const REPEATS_MAX: usize = 40;

/// A workload under way.
pub(crate) struct Load {
    pub(crate) history: Rc<History>,
    tasks: Vec<JoinHandle<()>>,
    subscriber: JoinHandle<()>,
}

impl Load {
    /// Starts writers, readers, and one subscriber to all.
    ///
    /// - `seed`: what they do follows from it; that is printed
    pub(crate) async fn start(group: &Group, seed: u64) -> Self {
        let seed = std::env::var("QUORATE_TEST_SEED").map_or(seed, |text| text.parse().unwrap());
        println!("QUORATE_TEST_SEED={seed}");
        let history = Rc::<History>::default();
        let mut tasks = Vec::new();
        for writer in 0..WRITERS {
            let deadline = if writer % HASTY_EVERY == 0 { HASTE } else { PATIENCE };
            let options = Options { deadline, ..Options::default() };
            let client = group.client_of(&group.uri(), options).await;
            let random = Random::stream(seed, &format!("writer {writer}"));
            tasks.push(tokio::task::spawn_local(write(client, Rc::clone(&history), random)));
        }
        for reader in 0..READERS {
            let client = group.client().await;
            let random = Random::stream(seed, &format!("reader {reader}"));
            tasks.push(tokio::task::spawn_local(read(client, Rc::clone(&history), random)));
        }
        let client = group.client().await;
        let subscriber = tokio::task::spawn_local(subscribe(client, Rc::clone(&history)));
        Self { history, tasks, subscriber }
    }

    /// Ends the workload on a group whose nodes all run; stops them, compares their logs byte for
    /// byte, and judges what clients saw. Gives what is in the logs.
    pub(crate) async fn judge(self, group: &mut Group) -> Vec<Logged> {
        let Self { history, tasks, subscriber } = self;
        history.finish();
        for task in tasks {
            timeout(PATIENCE, task).await.expect("answers come").unwrap();
        }
        let client = group.client().await;
        let committed = group.caught_up(&client).await;
        let events = client.status().await.expect("it has just answered").events;
        history.wait_for_subscribed(events as usize).await;
        subscriber.abort();
        client.close().await;
        for place in 0..NODES {
            let status = group.stop(place).await;
            assert!(status.success(), "a node that is told to stop does so: {status}");
        }
        let log = logs::compare(group, committed);
        assert!(history.subscribed() >= log.len(), "the subscriber was given all events");
        history.judge(&log);
        println!("{}", history.summary());
        log
    }
}

/// Events of random bytes and ids.
pub(crate) fn events(random: &mut Random) -> Vec<EventData> {
    let count = if random.one_in(4) { 1 + random.below(4) } else { 1 };
    let mut event = || {
        let mut id = [0; 16];
        id.copy_from_slice(&random.bytes(16));
        let data_bytes = if random.one_in(16) { 6_000 } else { 400 };
        let data_bytes = random.below(data_bytes) as usize;
        EventData::octets("written", random.bytes(data_bytes)).with_id(EventId::from_bytes(id))
    };
    (0..count).map(|_| event()).collect()
}

/// Appends without end, one after the other.
async fn write(client: Client, history: Rc<History>, mut random: Random) {
    while !history.is_over() {
        let stream = format!("stream-{}", random.below(STREAMS));
        let expected = match random.below(16) {
            0 => Expected::NoStream,
            1 => Expected::StreamExists,
            // Another client may have been faster, and then this is refused.
            2..=5 => history.head(&stream).map_or(Expected::NoStream, Expected::Exact),
            _ => Expected::Any,
        };
        let events = events(&mut random);
        append(&client, &history, &stream, expected, &events).await;
    }
}

/// Appends, and repeats with the same ids what is unknown; gives whether it is known to be there.
pub(crate) async fn append(
    client: &Client,
    history: &History,
    stream: &str,
    expected: Expected,
    events: &[EventData],
) -> bool {
    let number = history.begin(stream, expected, events);
    let result = client.append(stream, expected, events).await;
    if history.end(number, false, &result) {
        repeat(client, history, number, (stream, expected, events)).await
    } else {
        result.is_ok()
    }
}

/// Repeats an append whose outcome is unknown, with the same ids; gives whether it is known to be
/// there.
///
/// - `number`: of the history
/// - `what`: stream, expectation and events
pub(crate) async fn repeat(
    client: &Client,
    history: &History,
    number: usize,
    what: (&str, Expected, &[EventData]),
) -> bool {
    let (stream, expected, events) = what;
    for _ in 0..REPEATS_MAX {
        let result = client.append(stream, expected, events).await;
        if !history.end(number, true, &result) {
            return true;
        }
    }
    false
}

/// Reads the last event of a stream, or of all, without end. Each read must see what was
/// acknowledged before it.
async fn read(client: Client, history: Rc<History>, mut random: Random) {
    while !history.is_over() {
        let stream = (!random.one_in(4)).then(|| format!("stream-{}", random.below(STREAMS)));
        let invoked = history.moment();
        let options = ReadOptions::backwards().count(1);
        let mut read = match &stream {
            Some(stream) => client.read_stream(stream, options),
            None => client.read_all(options),
        };
        let found = match read.next().await {
            Some(Ok(read)) => Some((read.event.position(), read.event.id())),
            None | Some(Err(ReadError::NotFound { .. })) => None,
            Some(Err(ReadError::Unreachable(_) | ReadError::Deadline { .. })) => continue,
            Some(Err(error)) => panic!("a read of {stream:?} failed: {error}"),
        };
        let answered = history.moment();
        history.note_look(Look { stream, invoked, answered, found });
    }
}

/// Follows all events.
pub(crate) async fn subscribe(client: Client, history: Rc<History>) {
    let mut subscription = client.subscribe_all(SubscribeOptions::default());
    loop {
        match subscription.next().await.expect("it ends with an error only") {
            Ok(SubscriptionEvent::Event(read)) => {
                history.note_subscribed(read.event.position(), read.event.id());
            }
            Ok(_) => {}
            // It goes on trying.
            Err(ReadError::Unreachable(_) | ReadError::Deadline { .. }) => {}
            Err(error) => panic!("the subscription has failed: {error}"),
        }
    }
}
