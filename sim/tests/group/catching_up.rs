//! A follower that was away while more was appended than a leader has under way to one follower.

use std::rc::Rc;

use quorate_client::{EventData, EventId, Expected};
use quorate_core::limits::Limits;
use quorate_storage::disk::simulated::Random;

use crate::group::{Group, NODES, SMALL, leader, run};
use crate::workload::{Load, append};

const WRITERS: u64 = 8;
/// Of each.
const APPENDS: u64 = 84;
const EVENT_BYTES: usize = 60_000;

#[test]
fn a_follower_that_was_away_for_long_catches_up_from_the_log() {
    let bytes = WRITERS * APPENDS * EVENT_BYTES as u64;
    assert!(bytes > u64::from(Limits::PRODUCTION.follower_bytes_max), "it is long");
    run(async {
        let mut group = Group::new("catching-up", &SMALL);
        let client = group.start_all().await;
        let load = Load::start(&group, 21).await;
        load.history.wait_for(50).await;
        let away = (leader(&client).await + 1) % NODES;
        group.kill(away);
        let mut writers = Vec::new();
        for writer in 0..WRITERS {
            let (client, history) = (group.client().await, Rc::clone(&load.history));
            writers.push(tokio::task::spawn_local(async move {
                let mut random = Random::stream(21, &format!("bulk {writer}"));
                let stream = format!("bulk-{writer}");
                for _ in 0..APPENDS {
                    let mut id = [0; 16];
                    id.copy_from_slice(&random.bytes(16));
                    let event = EventData::octets("bulk", random.bytes(EVENT_BYTES))
                        .with_id(EventId::from_bytes(id));
                    append(&client, &history, &stream, Expected::Any, &[event]).await;
                }
            }));
        }
        for writer in writers {
            writer.await.unwrap();
        }
        // The others go on while it reads what it has missed.
        group.start(away);
        group.caught_up(&client).await;
        load.history.wait_for(50).await;
        let log = load.judge(&mut group).await;
        let bulk = log.iter().filter(|event| event.stream.starts_with("bulk-")).count();
        assert_eq!(bulk as u64, WRITERS * APPENDS, "all of it was written, once");
    });
}
