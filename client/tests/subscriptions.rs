//! Subscriptions: no gap and no duplicate, whatever happens to the connection.

mod support;

use quorate_client::{
    ReadError, SubscribeFrom, SubscribeOptions, Subscription, SubscriptionEvent, Target,
};
use quorate_net::Frame;
use quorate_net::wire::{ErrorCode, Reply, Request, Subscribe};
use support::{DEADLINE, Node, batch, events, pass};

fn asked(frame: &Frame) -> Subscribe {
    match Request::decode(frame) {
        Ok(Request::Subscribe(subscribe)) => subscribe,
        other => panic!("a subscription is expected, not {other:?}"),
    }
}

/// What happens next, in a few words.
async fn next(subscription: &mut Subscription) -> String {
    match subscription.next().await.expect("it is not over") {
        Ok(SubscriptionEvent::Confirmed { after }) => format!("confirmed {after:?}"),
        Ok(SubscriptionEvent::Event(event)) => format!("event {}", event.event.revision()),
        Ok(SubscriptionEvent::Checkpoint { after }) => format!("checkpoint {after}"),
        Ok(SubscriptionEvent::CaughtUp) => "caught up".to_owned(),
        Ok(SubscriptionEvent::FellBehind) => "fell behind".to_owned(),
        Err(ReadError::Unreachable(_)) => "unreachable".to_owned(),
        Err(ReadError::Deadline { .. }) => "deadline".to_owned(),
        Err(error) => format!("error: {error}"),
    }
}

async fn check_next(subscription: &mut Subscription, expected: &[&str]) {
    for expected in expected {
        assert_eq!(next(subscription).await, *expected);
    }
}

#[tokio::test(start_paused = true)]
async fn history_then_live_and_on_after_a_lost_connection() {
    let node = Node::start();
    let (client, session) = node.connect().await;
    let mut subscription = client.subscribe_stream("s", SubscribeOptions::default());
    let client_side = async {
        let expected = ["confirmed None", "event 0", "event 1", "caught up", "event 2"];
        check_next(&mut subscription, &expected).await;
        check_next(&mut subscription, &["fell behind", "event 3", "caught up", "event 4"]).await;
        assert!(next(&mut subscription).await.contains("tombstone"));
        assert!(subscription.next().await.is_none());
    };
    let node_side = async {
        let (mut stream, frame) = session.opened().await;
        assert_eq!(asked(&frame).target, Target::Stream("s".into()));
        assert_eq!(asked(&frame).from, SubscribeFrom::Start);
        stream.reply(&Reply::Confirmed { after: None }).await;
        stream.reply(&events(&batch(0..2))).await;
        stream.reply(&Reply::CaughtUp).await;
        // Live, and silent for far longer than any deadline.
        pass(20 * DEADLINE).await;
        stream.reply(&events(&batch(2..3))).await;
        session.lose_seen().await;
        let session = node.accept().await;
        let (mut stream, frame) = session.opened().await;
        assert_eq!(asked(&frame).from, SubscribeFrom::After(2));
        stream.reply(&Reply::Confirmed { after: Some(2) }).await;
        stream.reply(&events(&batch(3..4))).await;
        stream.reply(&Reply::CaughtUp).await;
        stream.reply(&events(&batch(4..5))).await;
        stream.reply(&Reply::Deleted).await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = client_side => {}
        () = node_side => unreachable!("it never ends"),
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_written_while_the_connection_is_lost_before_the_first_event_is_not_missed() {
    let node = Node::start();
    let (client, session) = node.connect().await;
    let options = SubscribeOptions { from: SubscribeFrom::End, ..SubscribeOptions::default() };
    let mut subscription = client.subscribe_all(options);
    let node_side = async {
        let (mut stream, frame) = session.opened().await;
        assert_eq!((asked(&frame).target, asked(&frame).from), (Target::All, SubscribeFrom::End));
        stream.reply(&Reply::Confirmed { after: Some(500) }).await;
        stream.reply(&Reply::CaughtUp).await;
        session.lose_seen().await;
        let session = node.accept().await;
        let (mut stream, frame) = session.opened().await;
        assert_eq!(asked(&frame).from, SubscribeFrom::After(500), "not the end of then");
        stream.reply(&Reply::Confirmed { after: Some(500) }).await;
        stream.reply(&events(&batch(6..7))).await;
        (session, stream)
    };
    let expected = ["confirmed Some(500)", "caught up", "fell behind", "event 6"];
    tokio::join!(node_side, check_next(&mut subscription, &expected));
}

#[tokio::test(start_paused = true)]
async fn a_checkpoint_is_a_place_to_go_on_from() {
    let node = Node::start();
    let (client, session) = node.connect().await;
    let mut subscription = client.subscribe_all(SubscribeOptions::default());
    let node_side = async {
        let (mut stream, _) = session.opened().await;
        stream.reply(&Reply::Confirmed { after: None }).await;
        stream.reply(&events(&batch(1..2))).await;
        stream.reply(&Reply::Checkpoint { after: 7000 }).await;
        // The node stops: it says so, and is back a moment later.
        let code = ErrorCode::Stopping;
        stream.reply(&Reply::Failed { call: None, code, message: "it stops" }).await;
        let (mut stream, frame) = session.opened().await;
        assert_eq!(asked(&frame).from, SubscribeFrom::After(7000));
        stream.reply(&Reply::Confirmed { after: Some(7000) }).await;
        stream.reply(&Reply::FellBehind).await;
        stream.reply(&Reply::CaughtUp).await;
        (session, stream)
    };
    let expected = ["confirmed None", "event 1", "checkpoint 7000", "caught up"];
    tokio::join!(node_side, check_next(&mut subscription, &expected));
}

#[tokio::test(start_paused = true)]
async fn a_duplicate_is_an_error_of_the_node() {
    let node = Node::start();
    let (client, session) = node.connect().await;
    let mut subscription = client.subscribe_stream("s", SubscribeOptions::default());
    let node_side = async {
        let (mut stream, _) = session.opened().await;
        stream.reply(&Reply::Confirmed { after: None }).await;
        stream.reply(&events(&batch([0, 1]))).await;
        stream.reply(&events(&batch([1]))).await;
        stream
    };
    let expected =
        ["confirmed None", "event 0", "event 1", "error: the node sent the event 1 out of order"];
    tokio::join!(node_side, check_next(&mut subscription, &expected));
    assert!(subscription.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_away_for_long_is_reported_and_waited_for() {
    let node = Node::start();
    let (client, session) = node.connect().await;
    let mut subscription = client.subscribe_stream("s", SubscribeOptions::default());
    let node_side = async {
        let (mut stream, _) = session.opened().await;
        stream.reply(&Reply::Confirmed { after: None }).await;
        stream.reply(&events(&batch(0..1))).await;
        stream
    };
    let (_stream, ()) =
        tokio::join!(node_side, check_next(&mut subscription, &["confirmed None", "event 0"]));
    node.cut_off(true);
    check_next(&mut subscription, &["unreachable", "unreachable"]).await;
    drop(session);
    node.cut_off(false);
    let node_side = async {
        let session = node.accept().await;
        let (mut stream, frame) = session.opened().await;
        assert_eq!(asked(&frame).from, SubscribeFrom::After(0));
        stream.reply(&Reply::Confirmed { after: Some(0) }).await;
        stream.reply(&events(&batch(1..2))).await;
        (session, stream)
    };
    let go_on = async {
        // It may report once more before the node has accepted it.
        loop {
            match next(&mut subscription).await.as_str() {
                "unreachable" => {}
                other => break assert_eq!(other, "event 1"),
            }
        }
    };
    tokio::join!(node_side, go_on);
}

#[tokio::test(start_paused = true)]
async fn a_subscription_that_is_never_confirmed_is_reported() {
    let node = Node::start();
    let (client, session) = node.connect().await;
    let mut subscription = client.subscribe_stream("s", SubscribeOptions::default());
    let silent = async {
        let opened = session.opened().await;
        std::future::pending::<()>().await;
        opened
    };
    tokio::select! {
        happened = next(&mut subscription) => assert_eq!(happened, "deadline"),
        _ = silent => unreachable!("it never ends"),
    }
}
