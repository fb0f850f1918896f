//! Subscriptions: history, then live, with no gap and no event twice, however slow the subscriber.

use quorate_client::{
    EventData, Expected, Filter, SubscribeFrom, SubscribeOptions, Subscription, SubscriptionEvent,
};
use quorate_core::item;
use quorate_net::wire::{self, Reply, Request, Subscribe, Target};

use crate::node::{Raw, event, small, with_node};

async fn next(subscription: &mut Subscription) -> SubscriptionEvent {
    subscription.next().await.expect("it goes on").expect("the node is well")
}

/// What happens next, in a word.
async fn told(subscription: &mut Subscription) -> String {
    match next(subscription).await {
        SubscriptionEvent::Confirmed { .. } => "confirmed".into(),
        SubscriptionEvent::Event(read) => {
            String::from_utf8(read.event.data().to_vec()).expect("it is text")
        }
        SubscriptionEvent::Checkpoint { .. } => "checkpoint".into(),
        SubscriptionEvent::CaughtUp => "caught up".into(),
        SubscriptionEvent::FellBehind => "fell behind".into(),
    }
}

async fn check_told(subscription: &mut Subscription, expected: &[&str]) {
    for expected in expected {
        assert_eq!(told(subscription).await, *expected);
    }
}

#[test]
fn history_comes_first_and_what_is_new_behind_it() {
    with_node(small(), async |node| {
        let client = node.client().await;
        client.append("s", Expected::Any, &["0", "1"].map(event)).await.unwrap();
        let mut all = client.subscribe_all(SubscribeOptions::default());
        check_told(&mut all, &["confirmed", "\"0\"", "\"1\"", "caught up"]).await;
        let from = SubscribeFrom::After(0);
        let options = SubscribeOptions { from, ..SubscribeOptions::default() };
        let mut stream = client.subscribe_stream("s", options);
        check_told(&mut stream, &["confirmed", "\"1\"", "caught up"]).await;
        let from = SubscribeFrom::End;
        let options = SubscribeOptions { from, ..SubscribeOptions::default() };
        let mut live = client.subscribe_stream("s", options);
        check_told(&mut live, &["confirmed", "caught up"]).await;
        client.append("other", Expected::Any, &[event("x")]).await.unwrap();
        client.append("s", Expected::Any, &[event("2")]).await.unwrap();
        check_told(&mut all, &["\"x\"", "\"2\""]).await;
        check_told(&mut stream, &["\"2\""]).await;
        check_told(&mut live, &["\"2\""]).await;
    });
}

#[test]
fn a_stream_can_be_followed_before_it_is_there() {
    with_node(small(), async |node| {
        let client = node.client().await;
        let mut stream = client.subscribe_stream("later", SubscribeOptions::default());
        check_told(&mut stream, &["confirmed", "caught up"]).await;
        client.append("later", Expected::NoStream, &[event("0")]).await.unwrap();
        check_told(&mut stream, &["\"0\""]).await;
    });
}

#[test]
fn a_filter_tells_how_far_it_has_looked() {
    with_node(small(), async |node| {
        let client = node.client().await;
        client.append("a-1", Expected::Any, &[event("0")]).await.unwrap();
        client.append("b-1", Expected::Any, &["1", "2", "3"].map(event)).await.unwrap();
        let filter = Filter::StreamPrefixes(vec!["a-".into()]);
        let options = SubscribeOptions { filter, ..SubscribeOptions::default() };
        let mut all = client.subscribe_all(options);
        check_told(&mut all, &["confirmed", "\"0\""]).await;
        let SubscriptionEvent::Checkpoint { after } = next(&mut all).await else {
            panic!("three events were passed over")
        };
        let last = client.append("b-1", Expected::Any, &[event("4")]).await.unwrap().position;
        check_told(&mut all, &["caught up"]).await;
        assert!(after < last.get(), "what was written later was not looked at");
        let SubscriptionEvent::Checkpoint { after } = next(&mut all).await else {
            panic!("one more was passed over")
        };
        assert!(after >= last.get(), "it was looked at");
    });
}

/// What a subscriber that takes its time was told.
#[derive(Default)]
struct Heard {
    events: Vec<u64>,
    fell_behind: usize,
    caught_up: usize,
}

#[test]
fn a_slow_subscriber_falls_behind_and_misses_nothing() {
    const EVENTS: u64 = 220;
    with_node(small(), async |node| {
        let connection = node.connection().await;
        let mut slow = Raw::open(&connection).await;
        slow.say(&Request::Subscribe(Subscribe {
            target: Target::All,
            from: SubscribeFrom::Start,
            filter: wire::Filter::None,
            resolve_links: false,
            checkpoint_events: 100,
        }))
        .await;
        let first = slow.hear().await.expect("it is confirmed");
        assert_eq!(first.kind(), wire::Kind::Confirmed);
        let client = node.client().await;
        let mut fast = client.subscribe_all(SubscribeOptions::default());
        check_told(&mut fast, &["confirmed", "caught up"]).await;
        for _ in 0..EVENTS {
            let data = EventData::octets("large", vec![7; 100 << 10]);
            client.append("s", Expected::Any, &[data]).await.unwrap();
            assert!(matches!(next(&mut fast).await, SubscriptionEvent::Event(_)), "it is live");
        }
        let end = node.shared.metrics.end_position.get();
        let waiting = node.shared.subscriptions.snapshot();
        let lag = waiting.iter().map(|(_, line)| line.lag(end)).max();
        assert!(lag > Some(1 << 20), "the slow one is seen to be slow: {lag:?}");

        let mut heard = Heard::default();
        while heard.events.len() < EVENTS as usize || heard.caught_up < 2 {
            let frame = slow.hear().await.expect("it goes on");
            match Reply::decode(&frame).expect("the node speaks well") {
                Reply::Events { items, .. } => {
                    let events = item::items(items).map(|item| item.expect("it is sound"));
                    heard.events.extend(events.map(|item| item.frame.revision().get()));
                }
                Reply::FellBehind => heard.fell_behind += 1,
                Reply::CaughtUp => heard.caught_up += 1,
                other => panic!("{other:?} has no place there"),
            }
        }
        assert!(heard.events.iter().copied().eq(0..EVENTS), "no gap, no event twice");
        assert_eq!((heard.fell_behind, heard.caught_up), (1, 2));
        assert_eq!(node.shared.metrics.fell_behind.get(), 1, "the fast one never did");
    });
}
