//! Reads and subscriptions of a group: another node goes on where the lost one stopped.

mod support;

use std::time::Duration;

use quorate_client::{
    Client, Consistency, ReadFrom, ReadOptions, SubscribeFrom, SubscribeOptions, SubscriptionEvent,
};
use quorate_net::Frame;
use quorate_net::wire::{ErrorCode, Read, Reply, Request};
use support::group::Group;
use support::{Stream, batch, events, pass};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

fn asked(frame: &Frame) -> Read {
    match Request::decode(frame) {
        Ok(Request::Read(read)) => read,
        other => panic!("a read is expected, not {other:?}"),
    }
}

fn subscribed(frame: &Frame) -> SubscribeFrom {
    match Request::decode(frame) {
        Ok(Request::Subscribe(subscribe)) => subscribe.from,
        other => panic!("a subscription is expected, not {other:?}"),
    }
}

/// Reads the stream `s` to its end; gives the revisions.
fn read(client: &Client, options: ReadOptions) -> JoinHandle<Vec<u64>> {
    let mut read = client.read_stream("s", options);
    tokio::spawn(async move {
        let mut revisions = Vec::new();
        while let Some(event) = read.next().await {
            revisions.push(event.expect("it goes on").event.revision().get());
        }
        revisions
    })
}

/// Follows the stream `s`; gives what happens in a few words.
fn subscribe(client: &Client) -> mpsc::UnboundedReceiver<String> {
    let mut subscription = client.subscribe_stream("s", SubscribeOptions::default());
    let (sender, happened) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Some(next) = subscription.next().await {
            let words = match next {
                Ok(SubscriptionEvent::Event(event)) => format!("{}", event.event.revision()),
                Ok(other) => format!("{other:?}"),
                Err(error) => panic!("{error}"),
            };
            if sender.send(words).is_err() {
                return;
            }
        }
    });
    happened
}

/// A subscription that the first node serves, and that has given one event.
async fn standing(group: &mut Group, client: &Client) -> (Stream, mpsc::UnboundedReceiver<String>) {
    let mut happened = subscribe(client);
    let (mut stream, _) = group.opened(1).await;
    stream.reply(&Reply::Confirmed { after: None }).await;
    stream.reply(&events(&batch(0..1))).await;
    for expected in ["Confirmed { after: None }", "0"] {
        assert_eq!(happened.recv().await.unwrap(), expected);
    }
    (stream, happened)
}

#[tokio::test(start_paused = true)]
async fn a_read_goes_on_at_the_next_leader_behind_the_last_event() {
    let mut group = Group::start();
    let client = group.client().await;
    let reading = read(&client, ReadOptions::default());
    let (mut stream, frame) = group.opened(1).await;
    assert_eq!(asked(&frame).consistency, Consistency::Linearizable);
    stream.reply(&events(&batch(0..2))).await;
    pass(Duration::from_millis(10)).await;
    group.cut_off(1, true);
    group.elect(2, 2);
    let start = tokio::time::Instant::now();
    let (mut stream, frame) = group.opened(2).await;
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    assert_eq!(asked(&frame).from, ReadFrom::After(1));
    stream.reply(&events(&batch(2..4))).await;
    stream.reply(&Reply::End { next: Some(4), at_end: true }).await;
    assert_eq!(reading.await.unwrap(), [0, 1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_read_that_the_node_does_not_lead_for_is_taken_to_the_leader() {
    let mut group = Group::start();
    let client = group.client().await;
    let reading = read(&client, ReadOptions::default());
    let (mut stream, _) = group.opened(1).await;
    let (code, message) = (ErrorCode::NotLeader, "it leads no more");
    group.tell(1, None);
    stream.reply(&Reply::Failed { call: None, code, message }).await;
    pass(Duration::from_millis(100)).await;
    group.elect(3, 2);
    let (mut stream, frame) = group.opened(3).await;
    assert_eq!(asked(&frame).from, ReadFrom::Start);
    stream.reply(&events(&batch(0..1))).await;
    stream.reply(&Reply::End { next: Some(1), at_end: true }).await;
    assert_eq!(reading.await.unwrap(), [0]);
}

#[tokio::test(start_paused = true)]
async fn what_is_committed_can_be_read_while_nobody_leads() {
    let mut group = Group::start();
    let client = group.client().await;
    for node in 1..=3 {
        group.tell(node, None);
    }
    pass(Duration::from_millis(10)).await;
    let reading = read(&client, ReadOptions::default().committed());
    let (mut stream, frame) = group.opened(1).await;
    assert_eq!(asked(&frame).consistency, Consistency::Committed);
    stream.reply(&events(&batch(0..1))).await;
    stream.reply(&Reply::End { next: Some(1), at_end: true }).await;
    assert_eq!(reading.await.unwrap(), [0]);
}

#[tokio::test(start_paused = true)]
async fn a_subscription_stays_with_a_node_that_is_alive_and_leaves_one_that_is_not() {
    let mut group = Group::start();
    let client = group.client().await;
    let mut happened = subscribe(&client);
    let (mut first, frame) = group.opened(1).await;
    assert_eq!(subscribed(&frame), SubscribeFrom::Start);
    first.reply(&Reply::Confirmed { after: None }).await;
    first.reply(&events(&batch(0..2))).await;
    first.reply(&Reply::CaughtUp).await;
    for expected in ["Confirmed { after: None }", "0", "1", "CaughtUp"] {
        assert_eq!(happened.recv().await.unwrap(), expected);
    }
    // Another leads, and the node that did is a follower as good as any.
    group.elect(2, 2);
    pass(Duration::from_secs(5)).await;
    first.reply(&events(&batch(2..3))).await;
    assert_eq!(happened.recv().await.unwrap(), "2");

    // Now it is gone without a word; the next leader is told of by the others.
    group.cut_off(1, true);
    pass(Duration::from_secs(15)).await;
    let (mut second, frame) = group.opened(2).await;
    assert_eq!(subscribed(&frame), SubscribeFrom::After(2));
    second.reply(&Reply::Confirmed { after: Some(2) }).await;
    second.reply(&events(&batch(3..4))).await;
    second.reply(&Reply::CaughtUp).await;
    for expected in ["FellBehind", "3", "CaughtUp"] {
        assert_eq!(happened.recv().await.unwrap(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_subscription_leaves_a_node_that_the_group_goes_on_without() {
    let mut group = Group::start();
    let client = group.client().await;
    let (mut first, mut happened) = standing(&mut group, &client).await;
    // While nobody leads no node is better than another, nor for a moment after an election.
    for node in 1..=3 {
        group.tell(node, None);
    }
    pass(Duration::from_secs(30)).await;
    group.elect(2, 2);
    pass(Duration::from_secs(30)).await;
    group.tell(1, None);
    pass(Duration::from_millis(900)).await;
    group.tell(1, Some((2, 2)));
    pass(Duration::from_secs(30)).await;
    first.reply(&events(&batch(1..2))).await;
    assert_eq!(happened.recv().await.unwrap(), "1");

    // It is alive, and a client reaches it, but other nodes don't.
    group.tell(1, None);
    let start = tokio::time::Instant::now();
    let (mut second, frame) = group.opened(2).await;
    assert!(start.elapsed() < Duration::from_millis(1200), "{:?}", start.elapsed());
    assert_eq!(subscribed(&frame), SubscribeFrom::After(1));
    second.reply(&Reply::Confirmed { after: Some(1) }).await;
    second.reply(&events(&batch(2..3))).await;
    assert_eq!(happened.recv().await.unwrap(), "2");
}

#[tokio::test(start_paused = true)]
async fn a_subscription_on_a_killed_leader_is_moved_as_soon_as_another_is_elected() {
    let mut group = Group::start();
    let client = group.client().await;
    let (_first, mut happened) = standing(&mut group, &client).await;
    pass(Duration::from_secs(60)).await;
    group.cut_off(1, true);
    group.elect(3, 2);
    let start = tokio::time::Instant::now();
    let (mut second, frame) = group.opened(3).await;
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    assert_eq!(subscribed(&frame), SubscribeFrom::After(0));
    // It has not caught up yet, and confirms from where the client goes on.
    second.reply(&Reply::Confirmed { after: Some(0) }).await;
    pass(Duration::from_secs(60)).await;
    second.reply(&events(&batch(1..2))).await;
    assert_eq!(happened.recv().await.unwrap(), "1");
}
