//! A leader that stands still for a while, and does not know of it.

use quorate_client::{AppendError, ErrorCode, Expected, Rejection, UnknownReason};
use quorate_storage::disk::simulated::Random;
use rustix::process::Signal;

use crate::group::{Group, NODES, SMALL, leader, run};
use crate::history::{History, Look};
use crate::raw::{Conversation, LastEvent, Wire, append_frame};
use crate::workload::{Load, events};

const PAUSES: u64 = 4;
/// The next leader has taken so many appends before the old one goes on.
const APPENDS_MEANWHILE: u64 = 400;

#[test]
fn a_leader_that_wakes_up_acknowledges_nothing_and_serves_nothing_stale() {
    run(async {
        let mut group = Group::new("pauses", &SMALL);
        let client = group.start_all().await;
        let load = Load::start(&group, 3).await;
        let mut random = Random::stream(3, "raw");
        for _ in 0..PAUSES {
            load.history.wait_for(50).await;
            let paused = leader(&client).await;
            let wire = Wire::connect(&group, paused).await;
            let (mut session, _) = wire.session().await;
            group.node(paused).signal(Signal::STOP);
            load.history.wait_for(APPENDS_MEANWHILE).await;
            // What it finds in its socket when it wakes, and what comes a moment later.
            let first = ask(&wire, &mut session, &load.history, &mut random);
            let (early, ()) = tokio::join!(first, async {
                tokio::task::yield_now().await;
                group.node(paused).signal(Signal::CONT);
            });
            let late = ask(&wire, &mut session, &load.history, &mut random).await;
            println!("{early}, {late}");
        }
        load.history.wait_for(100).await;
        load.judge(&mut group).await;
    });
}

#[test]
fn a_follower_that_wakes_up_catches_up() {
    run(async {
        let mut group = Group::new("paused-follower", &SMALL);
        let client = group.start_all().await;
        let load = Load::start(&group, 14).await;
        for pause in 0..PAUSES as usize {
            load.history.wait_for(50).await;
            let paused = (leader(&client).await + 1 + pause % 2) % NODES;
            group.node(paused).signal(Signal::STOP);
            load.history.wait_for(APPENDS_MEANWHILE).await;
            group.node(paused).signal(Signal::CONT);
            group.caught_up(&client).await;
        }
        load.judge(&mut group).await;
    });
}

/// Asks the node itself to append and to read, and notes what it says; gives that in a few words.
async fn ask(
    wire: &Wire,
    session: &mut Conversation,
    history: &History,
    random: &mut Random,
) -> String {
    let events = events(random);
    let number = history.begin("raw", Expected::Any, &events);
    let invoked = history.moment();
    let mut read = wire.ask_last_event().await;
    let frame = append_frame("raw", &events, None);
    session.send.write_all(&frame).await.expect("the session stands");
    let (found, appended) = tokio::join!(read.last_event(), session.appended());
    history.end(number, false, &appended);
    let answered = history.moment();
    let look = |found| {
        let stream = None;
        history.note_look(Look { stream, invoked, answered, found });
    };
    match found {
        // Whether it saw all is judged at the end.
        LastEvent::Found(position, id) => look(Some((position, id))),
        LastEvent::NoEvent => look(None),
        LastEvent::Failed(
            ErrorCode::NotLeader | ErrorCode::LeadershipLost | ErrorCode::NotReady,
        ) => {}
        LastEvent::Failed(code) => panic!("{code} is no answer of a node that does not lead"),
    }
    match &appended {
        // It was elected again, if so; whether the append is in the log is judged at the end.
        Ok(_)
        | Err(AppendError::Rejected(Rejection::NotLeader { .. } | Rejection::NotReady))
        | Err(AppendError::Unknown(UnknownReason::Failed {
            code: ErrorCode::LeadershipLost | ErrorCode::NotLeader | ErrorCode::NotReady,
            ..
        })) => {}
        Err(error) => panic!("{error} is no answer of a node that does not lead"),
    }
    format!("{found:?} {appended:?}")
}
