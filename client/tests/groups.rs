//! Groups: calls find the leader, whoever it is and however it is lost.

mod support;

use std::time::Duration;

use quorate_client::{
    AppendError, Client, ConnectError, Expected, Outcome, PendingAppend, UnknownReason,
};
use quorate_core::id::ClusterId;
use support::group::{Answers, Group, Seen};
use support::{DEADLINE, event, log, pass};
use tokio::time::Instant;

fn append(client: &Client, number: u8) -> PendingAppend {
    client.append("s", Expected::Any, &[event(number)])
}

fn numbers(seen: &[Seen]) -> Vec<u8> {
    seen.iter().map(|seen| seen.number).collect()
}

/// Whether these are attempts at the events 1, 2, 3 … with the ids that they were given.
fn check_ids(seen: &[Seen], count: u8) {
    assert_eq!(numbers(seen), (1..=count).collect::<Vec<_>>(), "the order is kept");
    assert!(seen.iter().all(|seen| seen.id == [seen.number; 16]), "{seen:?}");
}

#[tokio::test(start_paused = true)]
async fn calls_go_to_the_leader_and_follow_it_when_another_is_named() {
    let group = Group::start();
    let client = group.client().await;
    append(&client, 1).await.unwrap();
    assert_eq!(numbers(&group.seen(1)), [1]);
    group.elect(2, 2);
    pass(Duration::from_millis(10)).await;
    append(&client, 2).await.unwrap();
    assert_eq!((numbers(&group.seen(1)), numbers(&group.seen(2))), (vec![], vec![2]));
}

#[tokio::test(start_paused = true)]
async fn one_address_is_enough_whichever_it_is() {
    let group = Group::start();
    for node in 1..=3 {
        let client = group.try_client(&format!("quorate://{}", group.address(node))).await.unwrap();
        append(&client, node as u8).await.unwrap();
        assert_eq!(numbers(&group.seen(1)), [node as u8]);
    }
    // Of a list, one that can be reached; the others are waited for only a moment.
    let uri = format!("quorate://127.0.0.1:9001,{},127.0.0.1:9002", group.address(3));
    let start = Instant::now();
    let client = group.try_client(&uri).await.unwrap();
    assert!(start.elapsed() < Duration::from_millis(100), "{:?}", start.elapsed());
    append(&client, 4).await.unwrap();
    assert_eq!(numbers(&group.seen(1)), [4]);
    let error = group.try_client("quorate://127.0.0.1:9001,127.0.0.1:9002").await.err().unwrap();
    assert!(matches!(error, ConnectError::NoNode { .. }), "{error}");
    assert!(error.to_string().contains("127.0.0.1:9002: no answer"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_names_the_leader_is_followed_in_order() {
    let group = Group::start();
    let client = group.client().await;
    // The leader's word comes before anybody has pushed anything.
    group.answer(1, Answers::Refuses(Some(2)));
    group.answer(2, Answers::Writes);
    let pending: Vec<_> = (1..=5).map(|number| append(&client, number)).collect();
    for append in pending {
        append.await.unwrap();
    }
    check_ids(&group.seen(2), 5);
}

#[tokio::test(start_paused = true)]
async fn a_lost_lead_is_not_shown_and_tried_again_where_the_next_leader_is() {
    let group = Group::start();
    let client = group.client().await;
    group.answer(1, Answers::Loses);
    let pending: Vec<_> = (1..=3).map(|number| append(&client, number)).collect();
    pass(Duration::from_millis(1)).await;
    group.tell(1, None);
    pass(Duration::from_millis(200)).await;
    group.seen(1);
    group.elect(3, 2);
    for append in pending {
        append.await.unwrap();
    }
    let seen = group.seen(3);
    check_ids(&seen, 3);
    assert!(seen.iter().all(|seen| seen.retry_since.is_some()), "{seen:?}");
    assert_eq!(group.seen(1), [], "it was not asked again once it had said that it does not lead");
}

#[tokio::test(start_paused = true)]
async fn a_silent_leader_is_left_when_another_is_elected() {
    let group = Group::start();
    let client = group.client().await;
    group.cut_off(1, true);
    let start = Instant::now();
    let pending: Vec<_> = (1..=3).map(|number| append(&client, number)).collect();
    pass(Duration::from_millis(700)).await;
    assert_eq!((group.seen(2), group.seen(3)), (vec![], vec![]), "silence alone moves nothing");
    group.elect(2, 2);
    for append in pending {
        append.await.unwrap();
    }
    let waited = start.elapsed();
    assert!(waited < Duration::from_millis(710), "{waited:?}, and not the idle timeout");
    let seen = group.seen(2);
    check_ids(&seen, 3);
    assert!(seen.iter().all(|seen| seen.retry_since.is_some()), "{seen:?}");
    // The old leader comes back, and still believes in itself for a while.
    group.tell(1, Some((1, 1)));
    group.cut_off(1, false);
    pass(Duration::from_secs(5)).await;
    append(&client, 4).await.unwrap();
    assert_eq!(numbers(&group.seen(2)), [4]);
}

#[tokio::test(start_paused = true)]
async fn word_of_an_older_leader_is_ignored() {
    let group = Group::start();
    let client = group.client().await;
    group.elect(2, 3);
    pass(Duration::from_millis(10)).await;
    group.tell(3, Some((2, 3)));
    group.tell(1, Some((1, 1)));
    pass(Duration::from_millis(10)).await;
    append(&client, 1).await.unwrap();
    assert_eq!(numbers(&group.seen(2)), [1]);
}

#[tokio::test(start_paused = true)]
async fn without_a_leader_the_deadline_ends_a_call_with_what_each_node_said() {
    let group = Group::start();
    let client = group.client().await;
    group.cut_off(1, true);
    for node in 1..=3 {
        group.answer(node, Answers::Refuses(None));
        group.tell(node, None);
    }
    // The idle timeout finds the leader lost.
    let start = Instant::now();
    let error =
        client.with_deadline(Duration::from_secs(30)).append("s", Expected::Any, &[event(1)]);
    let error = error.await.unwrap_err();
    assert!(start.elapsed() < Duration::from_secs(31));
    let AppendError::Unknown(UnknownReason::Deadline { tried }) = error else { panic!("{error}") };
    for (node, said) in [(2, "no leader known"), (3, "no leader known"), (1, "no answer for ")] {
        let said = format!("{} (n{node}): {said}", group.address(node));
        assert!(tried.contains(&said), "{said} in {tried}");
    }
    let start = Instant::now();
    let error = append(&client, 2).await.unwrap_err();
    assert_eq!(error.outcome(), Outcome::NotWritten);
    assert!(error.to_string().contains("no leader known"), "{error}");
    assert!((DEADLINE..DEADLINE + Duration::from_millis(10)).contains(&start.elapsed()));
    // It recovers by itself.
    group.elect(3, 2);
    append(&client, 3).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_can_not_be_reached_from_here_is_named() {
    let group = Group::start();
    let client = group.client().await;
    group.cut_off(3, true);
    group.elect(3, 2);
    // So long it takes to find a connection lost.
    pass(Duration::from_secs(15)).await;
    let error = append(&client, 1).await.unwrap_err().to_string();
    assert!(error.contains("no leader answers"), "{error}");
    for (node, said) in [(1, "it says that n3 leads in epoch 2"), (3, "no answer for ")] {
        let said = format!("{} (n{node}): {said}", group.address(node));
        assert!(error.contains(&said), "{said} in {error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_nobody_pushes_word_of_is_asked_for() {
    let group = Group::start();
    let client = group.client().await;
    group.answer(1, Answers::Refuses(None));
    let pending = append(&client, 1);
    pass(Duration::from_millis(50)).await;
    // It was in doubt for a moment only, and leads on in the same epoch.
    group.answer(1, Answers::Writes);
    let start = Instant::now();
    pending.await.unwrap();
    assert!(start.elapsed() < Duration::from_millis(250), "{:?}", start.elapsed());
    assert!(group.seen(1).len() < 12, "politely");
}

#[tokio::test(start_paused = true)]
async fn nodes_that_point_at_each_other_do_not_keep_the_client_running() {
    let group = Group::start();
    let client = group.client().await;
    group.answer(1, Answers::Refuses(Some(2)));
    group.answer(2, Answers::Refuses(Some(1)));
    let pending = append(&client, 1);
    pass(Duration::from_secs(2)).await;
    let attempts = group.seen(1).len() + group.seen(2).len();
    assert!((2..40).contains(&attempts), "{attempts}");
    group.elect(3, 2);
    pending.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_node_of_another_cluster_in_the_list_is_an_error_that_names_both() {
    let group = Group::start();
    let other = ClusterId::from_bytes([0xD2; 16]);
    group.forget_members();
    group.become_another_store(3, quorate_core::log::entry::LogId { cluster: other, ..log() });
    let error = group.try_client(&group.uri()).await.err().expect("they do not fit");
    assert!(matches!(error, ConnectError::OtherLog { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains(&other.to_string()), "{text}");
    assert!(text.contains(&log().cluster.to_string()), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_founded_anew_is_not_used() {
    let group = Group::start();
    let client = group.client().await;
    let other = ClusterId::from_bytes([0xD2; 16]);
    group.cut_off(2, true);
    pass(Duration::from_secs(15)).await;
    group.become_another_store(2, quorate_core::log::entry::LogId { cluster: other, ..log() });
    group.tell(2, Some((9, 2)));
    group.answer(2, Answers::Writes);
    group.cut_off(2, false);
    pass(Duration::from_secs(5)).await;
    append(&client, 1).await.unwrap();
    assert_eq!((numbers(&group.seen(1)), group.seen(2)), (vec![1], vec![]));
}

#[tokio::test(start_paused = true)]
async fn the_lead_is_given_away_and_each_node_tells_how_it_is() {
    let group = Group::start();
    let client = group.client().await;
    let transferred = client.transfer_leader(Some("n3")).await.unwrap();
    assert_eq!((transferred.from.as_str(), transferred.to.as_str()), ("n1", "n3"));
    assert_eq!(transferred.took, Duration::from_micros(1500));
    assert_eq!(client.status().await.unwrap().node, 1);
    assert_eq!(client.status_of(&group.address(2)).await.unwrap().node, 2);
    assert!(client.status_of("nowhere at all:x").await.is_err());
}
