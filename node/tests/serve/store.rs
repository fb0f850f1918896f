//! The store through the real client, over restarts and kills, on each kind of disk.

use quorate_client::{
    EventData, Expected, ReadOptions, SubscribeFrom, SubscribeOptions, SubscriptionEvent,
};
use rustix::process::Signal;

use crate::process::{Folder, NodeProcess, block_on};

fn event(number: u32) -> EventData {
    EventData::json("counted", number.to_string())
}

/// All of `$all`, as numbers.
async fn numbers(node: &NodeProcess) -> Vec<u32> {
    let client = node.client().await;
    let mut read = client.read_all(ReadOptions::default());
    let mut numbers = Vec::new();
    while let Some(event) = read.next().await {
        let event = event.expect("the node is well").event;
        let text = std::str::from_utf8(event.data()).expect("it is text");
        numbers.push(text.parse().expect("it is a number"));
    }
    client.close().await;
    numbers
}

/// Appends, stops the node by this signal, starts it again and finds what was appended.
fn check_restart(flags: &[&str], signal: Signal) {
    let folder = Folder::new();
    let node = NodeProcess::start(&folder, flags);
    block_on(async {
        let client = node.client().await;
        let pending: Vec<_> = (0..300)
            .map(|n| client.append(&format!("s{}", n % 5), Expected::Any, &[event(n)]))
            .collect();
        for append in pending {
            append.await.expect("it is taken");
        }
        client.close().await;
    });
    let (status, said) = node.stop(signal);
    if signal == Signal::KILL {
        assert_eq!(status.code(), None);
    } else {
        assert_eq!(status.code(), Some(0), "{said}");
        assert!(said.contains("\"event\":\"stopped\""), "{said}");
    }
    let node = NodeProcess::start(&folder, flags);
    block_on(async {
        let mut numbers = numbers(&node).await;
        numbers.sort_unstable();
        assert!(numbers.into_iter().eq(0..300), "each is there, once");
        let client = node.client().await;
        let from = SubscribeFrom::End;
        let options = SubscribeOptions { from, ..SubscribeOptions::default() };
        let mut live = client.subscribe_stream("s0", options);
        let mut told = Vec::new();
        while told.last() != Some(&SubscriptionEvent::CaughtUp) {
            told.push(live.next().await.expect("it goes on").expect("the node is well"));
        }
        client.append("s0", Expected::StreamExists, &[event(300)]).await.expect("it is taken");
        let next = live.next().await.expect("it goes on").expect("the node is well");
        let SubscriptionEvent::Event(read) = next else { panic!("{next:?} is no event") };
        assert_eq!(read.event.revision().get(), 60);
        client.close().await;
    });
    node.stop(Signal::TERM);
}

#[test]
fn a_node_that_is_stopped_goes_on_where_it_was() {
    check_restart(&[], Signal::TERM);
    check_restart(&[], Signal::INT);
}

#[test]
fn a_node_that_is_killed_has_all_that_it_acknowledged() {
    check_restart(&[], Signal::KILL);
}

#[test]
fn plain_system_calls_do_as_well() {
    check_restart(&["--disk", "fallback"], Signal::TERM);
    check_restart(&["--disk", "fallback"], Signal::KILL);
}

#[test]
fn a_client_goes_on_by_itself_when_the_node_comes_back() {
    let folder = Folder::new();
    let first = NodeProcess::start(&folder, &[]);
    let listen = first.address.to_string();
    block_on(async {
        let client = first.client().await;
        client.append("s", Expected::Any, &[event(0)]).await.expect("it is taken");
        let mut all = client.subscribe_all(SubscribeOptions::default());
        let mut seen = Vec::new();
        while seen.len() < 3 {
            seen.push(all.next().await.expect("it goes on").expect("the node is well"));
        }
        first.stop(Signal::KILL);
        let second = NodeProcess::start(&folder, &["--listen", &listen]);
        client.append("s", Expected::Any, &[event(1)]).await.expect("the client finds it again");
        let next = loop {
            match all.next().await.expect("it goes on").expect("the node is well") {
                SubscriptionEvent::Event(read) => break read.event.revision().get(),
                SubscriptionEvent::FellBehind | SubscriptionEvent::CaughtUp => {}
                other => panic!("{other:?} has no place there"),
            }
        };
        assert_eq!(next, 1, "no gap, no event twice");
        client.close().await;
        second.stop(Signal::TERM);
    });
}
