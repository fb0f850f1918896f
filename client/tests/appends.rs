//! Appends: pipelining, and what becomes of them when things go wrong.

mod support;

use std::time::Duration;

use quorate_client::{
    AppendError, ConnectError, Expected, Outcome, Position, Rejection, Revision, UnknownReason,
};
use quorate_core::id::Lineage;
use quorate_net::wire::{ErrorCode, Reply, Request};
use support::{COMMITTED, DEADLINE, Node, append, appended, event};
use tokio::time::Instant;

fn revision(number: u64) -> Option<Revision> {
    Some(Revision::from_wire(number))
}

#[tokio::test(start_paused = true)]
async fn many_appends_are_under_way_at_once_and_answered_in_any_order() {
    let node = Node::start();
    let (client, mut session) = node.connect().await;
    let pending: Vec<_> =
        (0..100).map(|number| client.append("s", Expected::Any, &[event(number)])).collect();
    // Nothing was polled yet, and all of them are on their way.
    let mut calls = Vec::new();
    for number in 0..100 {
        let frame = session.stream.frame().await;
        let append = append(&frame);
        assert_eq!(
            (append.stream, append.expected, append.retry_since),
            ("s", Expected::Any, None)
        );
        let event = quorate_client::EventFrame::parse(append.frames).unwrap();
        assert_eq!(event.data(), [number]);
        calls.push(append.call);
    }
    for (number, call) in calls.iter().enumerate().rev() {
        session.stream.reply(&appended(*call, number as u64)).await;
    }
    for (number, append) in pending.into_iter().enumerate() {
        assert_eq!(append.await.unwrap().last, revision(number as u64));
    }
}

#[tokio::test(start_paused = true)]
async fn an_unanswered_append_is_repeated_with_its_ids_and_where_the_log_ended() {
    let node = Node::start();
    let (client, mut session) = node.connect().await;
    let pending: Vec<_> =
        (1..=3).map(|number| client.append("s", Expected::Any, &[event(number)])).collect();
    let mut first_attempt = Vec::new();
    for _ in 0..3 {
        first_attempt.push(session.stream.frame().await);
    }
    session.lose();
    let mut session = node.accept().await;
    for (number, before) in first_attempt.iter().enumerate() {
        let frame = session.stream.frame().await;
        let again = append(&frame);
        assert_eq!(again.frames, append(before).frames, "the order is kept");
        assert_eq!(again.retry_since, Some(Position::from_wire(COMMITTED)));
        session.stream.reply(&appended(again.call, number as u64)).await;
    }
    for (number, append) in pending.into_iter().enumerate() {
        assert_eq!(append.await.unwrap().last, revision(number as u64));
    }
}

#[tokio::test(start_paused = true)]
async fn an_append_that_was_never_sent_is_no_retry() {
    let node = Node::start();
    let (client, session) = node.connect().await;
    session.lose_seen().await;
    let pending = client.append("s", Expected::NoStream, &[event(1)]);
    let mut session = node.accept().await;
    let frame = session.stream.frame().await;
    assert_eq!(append(&frame).retry_since, None);
    session.stream.reply(&appended(append(&frame).call, 0)).await;
    assert_eq!(pending.await.unwrap().first, revision(0));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_was_killed_is_found_again_at_once() {
    let mut node = Node::start();
    let (client, mut session) = node.connect().await;
    let pending = client.append("s", Expected::Any, &[event(1)]);
    session.stream.frame().await;
    node.kill_and_start();
    let start = Instant::now();
    let mut session = node.accept().await;
    session.stream.take_append(0).await;
    assert!(pending.await.is_ok());
    let waited = start.elapsed();
    assert!(waited < Duration::from_millis(500), "{waited:?}, and not the idle timeout");
}

#[tokio::test(start_paused = true)]
async fn a_silent_node_leaves_the_outcome_unknown_at_the_deadline() {
    let node = Node::start();
    let (client, _session) = node.connect().await;
    let start = Instant::now();
    let error = client.append("s", Expected::Any, &[event(1)]).await.unwrap_err();
    assert!(matches!(error, AppendError::Unknown(UnknownReason::Deadline { .. })), "{error}");
    assert_eq!(error.outcome(), Outcome::Unknown);
    assert!((DEADLINE..DEADLINE + Duration::from_millis(2)).contains(&start.elapsed()));
    let sooner = client.with_deadline(Duration::from_millis(20));
    let start = Instant::now();
    assert!(sooner.append("s", Expected::Any, &[event(2)]).await.is_err());
    assert!(start.elapsed() < Duration::from_millis(30));
}

#[tokio::test(start_paused = true)]
async fn without_a_connection_nothing_was_written() {
    let node = Node::start();
    let (client, session) = node.connect().await;
    node.cut_off(true);
    let patient = client.with_deadline(Duration::from_secs(30));
    let sent = patient.append("s", Expected::Any, &[event(1)]);
    // The idle timeout finds the connection lost; then connecting again fails.
    let error = sent.await.unwrap_err();
    assert!(matches!(error, AppendError::Unknown(UnknownReason::Deadline { .. })), "{error}");
    let error = client.append("s", Expected::Any, &[event(2)]).await.unwrap_err();
    assert_eq!(error.outcome(), Outcome::NotWritten);
    let AppendError::Unreachable(why) = error else { panic!("{error}") };
    assert!(matches!(*why, ConnectError::NoAnswer { .. }), "{why}");
    assert!(why.to_string().contains("udp 127.0.0.1:1"), "{why}");
    drop(session);
    node.cut_off(false);
    let pending = client.append("s", Expected::Any, &[event(3)]);
    let mut session = node.accept().await;
    session.stream.take_append(0).await;
    assert!(pending.await.is_ok(), "it recovers by itself");
}

/// What an append comes to that is answered like this.
async fn check_refusal(reply: impl Fn(quorate_net::wire::CallId) -> Reply<'static>) -> AppendError {
    let node = Node::start();
    let (client, mut session) = node.connect().await;
    let pending = client.append("s", Expected::Any, &[event(1)]);
    let frame = session.stream.frame().await;
    session.stream.reply(&reply(append(&frame).call)).await;
    pending.await.unwrap_err()
}

#[tokio::test(start_paused = true)]
async fn refusals_are_typed_and_certain() {
    let rejection = Rejection::WrongRevision { expected: Expected::NoStream, actual: revision(3) };
    let refused = rejection.clone();
    let error = check_refusal(|call| Reply::Refused { call, rejection: refused.clone() }).await;
    assert!(matches!(&error, AppendError::Rejected(found) if *found == rejection), "{error}");
    assert_eq!(error.outcome(), Outcome::NotWritten);

    let failed = |code| {
        check_refusal(move |call| Reply::Failed { call: Some(call), code, message: "particulars" })
    };
    let error = failed(ErrorCode::InvalidRequest).await;
    assert_eq!(error.outcome(), Outcome::NotWritten);
    assert!(error.to_string().contains("particulars"), "{error}");
    assert_eq!(failed(ErrorCode::Internal).await.outcome(), Outcome::Unknown);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_for_now_is_waited_out() {
    let node = Node::start();
    let (client, mut session) = node.connect().await;
    let pending = client.append("s", Expected::Any, &[event(1)]);
    for rejection in [Rejection::NotReady, Rejection::Overloaded] {
        let frame = session.stream.frame().await;
        let call = append(&frame).call;
        assert_eq!(append(&frame).retry_since, None, "nothing was written by a refused attempt");
        session.stream.reply(&Reply::Refused { call, rejection }).await;
    }
    session.stream.take_append(5).await;
    assert_eq!(pending.await.unwrap().last, revision(5));

    let pending = client.append("s", Expected::Any, &[event(2)]);
    let refuse = async {
        loop {
            let frame = session.stream.frame().await;
            let (call, rejection) = (append(&frame).call, Rejection::Overloaded);
            session.stream.reply(&Reply::Refused { call, rejection }).await;
        }
    };
    let error = tokio::select! {
        ended = pending => ended.unwrap_err(),
        () = refuse => unreachable!("it never ends"),
    };
    assert!(matches!(error, AppendError::Rejected(Rejection::Overloaded)), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_refused_repetition_does_not_say_that_the_first_attempt_failed() {
    for (rejection, outcome) in [
        (Rejection::RetryExpired, Outcome::Unknown),
        (Rejection::StreamDeleted, Outcome::Unknown),
        (Rejection::DiskFull, Outcome::Unknown),
        (Rejection::CorruptedIdempotency { actual: None }, Outcome::NotWritten),
    ] {
        let node = Node::start();
        let (client, mut session) = node.connect().await;
        let pending = client.append("s", Expected::Any, &[event(1)]);
        session.stream.frame().await;
        session.lose();
        let mut session = node.accept().await;
        let frame = session.stream.frame().await;
        let call = append(&frame).call;
        session.stream.reply(&Reply::Refused { call, rejection: rejection.clone() }).await;
        assert_eq!(pending.await.unwrap_err().outcome(), outcome, "{rejection}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_that_speaks_nonsense_is_replaced() {
    let mut welcome = Vec::new();
    Reply::NotFound.encode(&mut welcome);
    for nonsense in [b"not a frame at all".to_vec(), welcome] {
        let node = Node::start();
        let (client, mut session) = node.connect().await;
        let pending = client.append("s", Expected::Any, &[event(1)]);
        session.stream.frame().await;
        session.stream.bytes(&nonsense).await;
        let mut session = node.accept().await;
        session.stream.take_append(2).await;
        assert_eq!(pending.await.unwrap().last, revision(2));
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_too_large_is_not_even_sent() {
    let node = Node::start();
    let (client, mut session) = node.connect().await;
    let limits = client.limits();
    let long = "n".repeat(limits.stream_name_bytes_max as usize + 1);
    let error = client.append(&long, Expected::Any, &[event(1)]).await.unwrap_err();
    let AppendError::Rejected(Rejection::TooLarge { bound, max, found }) = error else {
        panic!("{error}")
    };
    assert_eq!((bound.name(), max, found), ("stream_name_bytes_max", 32, 33));
    let large = quorate_client::EventData::octets("t", vec![0; limits.event_bytes_max as usize]);
    assert!(client.append("s", Expected::Any, &[large]).await.is_err());
    let many = vec![quorate_client::EventData::octets("t", vec![0; 900]); 5];
    assert!(client.append("s", Expected::Any, &many).await.is_err());
    assert!(client.delete(&long, Expected::Any).await.is_err());
    assert!(session.stream.is_silent().await);
}

#[tokio::test(start_paused = true)]
async fn giving_up_one_answer_leaves_the_others_alone() {
    let node = Node::start();
    let (client, mut session) = node.connect().await;
    let given_up = client.append("s", Expected::Any, &[event(1)]);
    let first = session.stream.frame().await;
    drop(given_up);
    // The next call takes the same slot; the late answer must not become its own.
    let pending = client.append("s", Expected::Any, &[event(2)]);
    let second = session.stream.frame().await;
    session.stream.reply(&appended(append(&first).call, 7)).await;
    session.stream.reply(&appended(append(&second).call, 8)).await;
    assert_eq!(pending.await.unwrap().last, revision(8));
}

#[tokio::test(start_paused = true)]
async fn another_store_at_the_same_address_is_not_written_to() {
    let mut node = Node::start();
    let (client, session) = node.connect().await;
    session.lose_seen().await;
    node.log.lineage = Lineage::from_bytes([0x22; 16]);
    let pending = client.append("s", Expected::Any, &[event(1)]);
    let accept = async {
        let mut sessions = Vec::new();
        loop {
            sessions.push(node.accept().await);
        }
    };
    let error = tokio::select! {
        ended = pending => ended.unwrap_err(),
        () = accept => unreachable!("it never ends"),
    };
    let AppendError::Unreachable(why) = error else { panic!("{error}") };
    assert!(matches!(*why, ConnectError::OtherLog { .. }), "{why}");
}

#[tokio::test(start_paused = true)]
async fn deletes_and_status_go_through_the_same_session() {
    let node = Node::start();
    let (client, mut session) = node.connect().await;
    let pending =
        [client.delete("s", Expected::Any), client.tombstone("s", Expected::StreamExists)];
    for (pending, for_ever) in pending.into_iter().zip([false, true]) {
        let frame = session.stream.frame().await;
        let Ok(Request::Delete(delete)) = Request::decode(&frame) else { panic!("{frame:?}") };
        assert_eq!((delete.stream, delete.tombstone), ("s", for_ever));
        session.stream.reply(&appended(delete.call, 1)).await;
        assert!(pending.await.is_ok());
    }
    let silent = client.status().await.unwrap_err();
    assert!(matches!(silent, quorate_client::StatusError::Deadline), "{silent}");
}

#[tokio::test(start_paused = true)]
async fn closing_the_client_ends_its_calls_and_its_connection() {
    let node = Node::start();
    let (client, mut session) = node.connect().await;
    let pending = client.append("s", Expected::Any, &[event(1)]);
    session.stream.frame().await;
    let connection = session.connection.clone();
    client.close().await;
    let error = pending.await.unwrap_err();
    assert!(matches!(error, AppendError::Unknown(UnknownReason::Closed)), "{error}");
    connection.closed().await;
}
