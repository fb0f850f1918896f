//! A client that loses its connection at any stage of an append, and repeats it with the same ids.

use quinn::VarInt;
use quorate_client::{Client, EventData, Expected, Position};
use quorate_storage::disk::simulated::Random;
use rustix::process::Signal;

use crate::group::{Group, SMALL, leader, run};
use crate::raw::{Wire, append_frame};
use crate::workload::{Load, events, repeat};

const STREAM: &str = "lost";
const SEED: u64 = 6;

/// How far an append comes before its client is gone.
#[derive(Clone, Copy, Debug)]
enum Stage {
    /// A part of the frame's header.
    Header,
    /// Half of the frame.
    Half,
    /// All but the last byte.
    AlmostAll,
    /// Half of the frame, and then the stream is reset.
    Reset,
    /// All of it, and the connection is closed at once.
    Sent,
    /// All of it, and the node has acknowledged the bytes.
    Delivered,
    /// The answer has come, and is not read.
    Answered,
    /// All of it, and the node is killed.
    NodeKilled,
    /// The answer has come and is not read, and the node is killed.
    AnsweredAndKilled,
}

const STAGES: [Stage; 9] = [
    Stage::Header,
    Stage::Half,
    Stage::AlmostAll,
    Stage::Reset,
    Stage::Sent,
    Stage::Delivered,
    Stage::Answered,
    Stage::NodeKilled,
    Stage::AnsweredAndKilled,
];

#[test]
fn an_append_that_is_repeated_is_written_once() {
    run(async {
        let mut group = Group::new("lost-answers", &SMALL);
        let client = group.start_all().await;
        let load = Load::start(&group, SEED).await;
        let mut random = Random::stream(SEED, "raw");
        for round in 0..2 {
            for stage in STAGES {
                let events = events(&mut random);
                let history = &load.history;
                let number = history.begin(STREAM, Expected::Any, &events);
                lose(&mut group, &client, stage, &events).await;
                let what = (STREAM, Expected::Any, events.as_slice());
                let known = repeat(&client, history, number, what).await;
                assert!(known, "{stage:?}, round {round}: the group takes appends");
                check_known(&group, &client, &events).await;
            }
        }
        load.judge(&mut group).await;
    });
}

/// Sends an append to the leader, but only up to this stage.
async fn lose(group: &mut Group, client: &Client, stage: Stage, events: &[EventData]) {
    let leader = leader(client).await;
    let wire = Wire::connect(group, leader).await;
    let (mut session, _) = wire.session().await;
    let frame = append_frame(STREAM, events, None);
    let sent = match stage {
        Stage::Header => 7,
        Stage::Half | Stage::Reset => frame.len() / 2,
        Stage::AlmostAll => frame.len() - 1,
        _ => frame.len(),
    };
    session.send.write_all(&frame[..sent]).await.expect("the session stands");
    match stage {
        Stage::Header | Stage::Half | Stage::AlmostAll | Stage::Sent => {}
        Stage::Reset => session.send.reset(VarInt::from_u32(0)).expect("it is open"),
        Stage::Delivered => {
            session.send.finish().expect("it is open");
            // What is finished and acknowledged has been delivered.
            session.send.stopped().await.expect("the node lives");
        }
        Stage::Answered => session.answered().await,
        Stage::NodeKilled => restart(group, leader),
        Stage::AnsweredAndKilled => {
            session.answered().await;
            restart(group, leader);
        }
    }
    wire.close().await;
}

fn restart(group: &mut Group, place: usize) {
    group.node(place).signal(Signal::KILL);
    group.kill(place);
    group.start(place);
}

/// Whoever leads now knows the append, and does not write it a second time.
async fn check_known(group: &Group, client: &Client, events: &[EventData]) {
    let wire = Wire::connect(group, leader(client).await).await;
    let (mut session, _) = wire.session().await;
    for retry_since in [None, Some(Position::START)] {
        let frame = append_frame(STREAM, events, retry_since);
        session.send.write_all(&frame).await.expect("the session stands");
        // Where another leads meanwhile, it is not this node's to say.
        if let Ok(appended) = session.appended().await {
            assert!(appended.duplicate, "{appended:?} was written a second time");
        }
    }
    wire.close().await;
}
