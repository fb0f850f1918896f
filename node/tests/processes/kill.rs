//! `kill -9` again and again under load: every acknowledged event is there afterwards, with the
//! same bytes, and every other at most once.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use quorate_client::{
    AppendError, Client, EventData, EventId, Expected, Options, Outcome, Position, ReadOptions,
    random_id,
};
use tokio::sync::Notify;
use tokio::task::LocalSet;

use crate::process::{Folder, Node};

const KILLS: u32 = 50;
/// One kill in so many comes while the node is still starting.
const EARLY_KILL_EVERY: u32 = 5;
const WRITERS: usize = 8;
/// Appends that each writer has under way.
const IN_FLIGHT: usize = 8;
/// Nothing takes this long; a test that hangs is a test that fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// Small segments, so that kills meet rolls, merges and replays, too.
const SETTINGS: [&str; 16] = [
    "--segment-bytes",
    "1048576",
    "--append-bytes-max",
    "65536",
    "--event-bytes-max",
    "65536",
    "--event-metadata-bytes-max",
    "16384",
    "--entry-bytes-target",
    "131072",
    "--index-memtable-events-max",
    "2000",
    "--recent-ids-max",
    "4096",
    "--pending-bytes-max",
    "1048576",
];

/// What a client knows of one append.
#[derive(Clone, Debug)]
struct Attempt {
    stream: String,
    data: Vec<u8>,
    /// Where the event is, once that was acknowledged.
    acknowledged: Option<Position>,
    /// Whether the client was told that it was certainly not written.
    refused: bool,
}

/// What all writers share.
#[derive(Default)]
struct Journal {
    attempts: RefCell<BTreeMap<[u8; 16], Attempt>>,
    acknowledged: Cell<u64>,
    progress: Notify,
    over: Cell<bool>,
}

impl Journal {
    fn begin(&self, id: EventId, stream: &str, data: &[u8]) {
        let attempt = Attempt {
            stream: stream.to_owned(),
            data: data.to_vec(),
            acknowledged: None,
            refused: false,
        };
        self.attempts.borrow_mut().insert(id.to_bytes(), attempt);
    }

    fn end(&self, id: EventId, result: Result<Position, AppendError>) {
        let mut attempts = self.attempts.borrow_mut();
        let attempt = attempts.get_mut(&id.to_bytes()).expect("it was begun");
        match result {
            Ok(position) => {
                attempt.acknowledged = Some(position);
                self.acknowledged.set(self.acknowledged.get() + 1);
                self.progress.notify_waiters();
            }
            Err(error) => attempt.refused = error.outcome() == Outcome::NotWritten,
        }
    }

    /// Waits for so many more acknowledgements.
    async fn wait_for(&self, more: u64) {
        let wanted = self.acknowledged.get() + more;
        let waiting = async {
            while self.acknowledged.get() < wanted {
                self.progress.notified().await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, waiting).await;
        assert!(waited.is_ok(), "no acknowledgements any more, {} so far", self.acknowledged.get());
    }
}

/// One slot of a writer: appends without end, one at a time.
async fn write(client: Client, journal: Rc<Journal>, stream: String, slot: usize) {
    let mut number = 0_u64;
    while !journal.over.get() {
        number += 1;
        let id = random_id();
        let length = (number as usize * 37 + slot * 101) % 700;
        let data: Vec<u8> = id.to_bytes().into_iter().cycle().take(length).collect();
        journal.begin(id, &stream, &data);
        let event = EventData::octets("written", data).with_id(id);
        let result = client.append(&stream, Expected::Any, &[event]).await;
        journal.end(id, result.map(|appended| appended.position));
    }
}

#[test]
fn every_acknowledged_event_survives_kills() {
    let folder = Folder::new("kill");
    let data = folder.path().join("data");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let local = LocalSet::new();
    let journal = Rc::new(Journal::default());
    local.block_on(&runtime, async {
        let mut node = Node::start(&data, "127.0.0.1:0", &SETTINGS).expect("a new folder");
        let address = node.address.clone();
        let options = Options { deadline: PATIENCE, ..Options::default() };
        let mut slots = Vec::new();
        for writer in 0..WRITERS {
            let client = node.client(options.clone()).await;
            for slot in 0..IN_FLIGHT {
                let (client, journal) = (client.clone(), Rc::clone(&journal));
                let stream = format!("writer-{writer}");
                slots.push(tokio::task::spawn_local(write(client, journal, stream, slot)));
            }
        }
        for kill in 0..KILLS {
            journal.wait_for(u64::from(20 + kill * 7919 % 400)).await;
            node.kill();
            if kill % EARLY_KILL_EVERY == 0 {
                let mut starting = Node::spawn(&data, &address, &SETTINGS);
                // The first line comes before, within or behind recovery, as it happens.
                starting.wait_for("recovered");
                starting.kill();
            }
            node = Node::start(&data, &address, &SETTINGS).expect("an honest disk");
        }
        journal.wait_for(100).await;
        journal.over.set(true);
        for slot in slots {
            tokio::time::timeout(PATIENCE, slot).await.expect("answers come").unwrap();
        }
        node.kill();
        let node = Node::start(&data, "127.0.0.1:0", &SETTINGS).expect("an honest disk");
        let client = node.client(Options::default()).await;
        check(&client, &journal.attempts.take()).await;
    });
    println!("{KILLS} kills, {} events acknowledged", journal.acknowledged.get());
}

/// Compares all of `$all` with what the writers know.
async fn check(client: &Client, attempts: &BTreeMap<[u8; 16], Attempt>) {
    let mut found = BTreeMap::new();
    let mut revisions: BTreeMap<String, u64> = BTreeMap::new();
    let mut read = client.read_all(ReadOptions::default());
    while let Some(event) = read.next().await {
        let event = event.expect("the log is sound").event;
        let attempt = attempts.get(&event.id().to_bytes()).expect("somebody wrote it");
        assert!(!attempt.refused, "{} was refused, and is there", event.id());
        assert_eq!(event.stream(), attempt.stream);
        assert_eq!(event.data(), attempt.data, "the bytes of {}", event.id());
        let next = revisions.entry(attempt.stream.clone()).or_default();
        assert_eq!(event.revision().get(), *next, "{} has no gap", attempt.stream);
        *next += 1;
        let twice = found.insert(event.id().to_bytes(), event.position());
        assert_eq!(twice, None, "{} is there twice", event.id());
    }
    for (id, attempt) in attempts {
        if let Some(position) = attempt.acknowledged {
            assert_eq!(found.get(id), Some(&position), "{attempt:?} was acknowledged");
        }
    }
    for (stream, count) in revisions {
        let mut read = client.read_stream(&stream, ReadOptions::default());
        let mut next = 0;
        while let Some(event) = read.next().await {
            assert_eq!(event.expect("the index is sound").event.revision().get(), next);
            next += 1;
        }
        assert_eq!(next, count, "{stream} by its index and by the log");
    }
}
