//! Clients that say what they must not, or nothing at all: they are told, and others are served.

use std::time::Duration;

use quorate_client::{ErrorCode, Expected};
use quorate_core::event::{self, ContentType, NewEvent};
use quorate_core::id::EventId;
use quorate_core::request::Consistency;
use quorate_net::event_frames::checksum;
use quorate_net::wire::{
    self, Append, CallId, Direction, Kind, Read, ReadFrom, Reply, Request, Subscribe,
    SubscribeFrom, Target,
};

use crate::node::{Node, Raw, event, small, with_node};

fn hello() -> Vec<u8> {
    encoded(&Request::Hello { client: "test" })
}

fn encoded(request: &Request<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    request.encode(&mut bytes);
    bytes
}

fn frames(stream: &str, data: &[u8]) -> Vec<u8> {
    let event = NewEvent {
        id: EventId::from_bytes([9; 16]),
        event_type: "happened",
        content_type: ContentType::Octets,
        data,
        metadata: b"",
    };
    let mut frames = Vec::new();
    event::encode(&mut frames, stream, &event, checksum);
    frames
}

fn append<'a>(stream: &'a str, frames: &'a [u8]) -> Request<'a> {
    let (call, expected, retry_since) = (CallId::new(1), Expected::Any, None);
    Request::Append(Append { call, stream, expected, retry_since, frames })
}

/// The same frame with its checksum made right again, so that only what was changed is wrong.
fn resealed(mut frame: Vec<u8>) -> Vec<u8> {
    let (header, rest) = frame.split_at(16);
    let sum = checksum(&[&header[..12], rest].concat());
    frame[12..16].copy_from_slice(&sum.to_le_bytes());
    frame
}

fn changed(mut frame: Vec<u8>, at: usize, byte: u8) -> Vec<u8> {
    frame[at] = byte;
    frame
}

/// The node still serves whoever behaves.
async fn check_serves(node: &Node) {
    let client = node.client().await;
    client.append("good", Expected::Any, &[event("x")]).await.expect("others are served");
    client.close().await;
}

/// A client that says this on a stream of its own hears this before the stream ends.
fn check_refused(bytes: &[u8], expected: &str) {
    with_node(small(), async |node| {
        let connection = node.connection().await;
        let mut stream = Raw::open(&connection).await;
        stream.send.write_all(bytes).await.expect("the stream stands");
        stream.send.finish().expect("it was not finished");
        let farewell = stream.farewell().await;
        assert!(farewell.contains(expected), "{farewell:?} does not say {expected:?}");
        assert_eq!(node.shared.metrics.connections_refused.get(), 1);
        // The connection's other streams go on, too.
        let mut other = Raw::open(&connection).await;
        other.say(&Request::Hello { client: "again" }).await;
        assert_eq!(other.hear().await.expect("it is welcomed").kind(), Kind::Welcome);
        check_serves(node).await;
    });
}

#[test]
fn bytes_that_are_no_frame_are_named() {
    check_refused(&changed(hello(), 0, 9), "the frame has version 9");
    check_refused(&changed(hello(), 12, 0), "fails its checksum");
    check_refused(&resealed(changed(hello(), 1, 200)), "unknown kind 200");
    check_refused(&resealed(changed(hello(), 2, 1)), "reserved byte");
    check_refused(&resealed(changed(hello(), 7, 255)), "body has 42781");
    check_refused(&resealed(changed(hello(), 11, 255)), "payload has 42781");
    check_refused(&hello()[..10], "ended within a frame");
    check_refused(&hello()[..18], "ended within a frame");
    check_refused(&[7; 300], "the frame has version 7");
}

#[test]
fn bodies_that_are_no_message_are_named() {
    let mut longer = hello();
    longer.extend([0; 8]);
    let body_bytes = longer[4] + 8;
    check_refused(&resealed(changed(longer, 4, body_bytes)), "body of the Hello frame");
    let mut not_utf8 = hello();
    not_utf8[16] = 0xff;
    check_refused(&resealed(not_utf8), "body of the Hello frame is malformed");
    let mut with_payload = hello();
    with_payload.push(0);
    check_refused(&resealed(changed(with_payload, 8, 1)), "payload has 1 bytes, more than 0");
}

#[test]
fn messages_out_of_place_are_named() {
    check_refused(&encoded(&Request::Status { call: CallId::new(1) }), "no place on this stream");
    let mut reply = Vec::new();
    Reply::CaughtUp.encode(&mut reply);
    check_refused(&reply, "a CaughtUp frame has no place");
    check_refused(&[hello(), hello()].concat(), "a Hello frame has no place");
    let longest = 256 << 10;
    let bytes = [hello(), encoded(&append("s", &vec![0; longest + 1]))].concat();
    check_refused(&bytes, "payload has 262145 bytes, more than 262144");
}

#[test]
fn an_append_whose_events_are_wrong_fails_alone() {
    with_node(small(), async |node| {
        let connection = node.connection().await;
        let mut stream = Raw::open(&connection).await;
        stream.say(&Request::Hello { client: "test" }).await;
        assert_eq!(stream.hear().await.expect("it is welcomed").kind(), Kind::Welcome);
        let good = frames("s", b"data");
        let damaged = changed(good.clone(), 40, 0);
        for (name, bytes, expected) in [
            ("s", &damaged, "event 0: the event's content fails its checksum"),
            ("t", &good, "event 0 belongs to another stream"),
            ("s", &good[..32].to_vec(), "event 0: the event frame is cut off"),
        ] {
            stream.say(&append(name, bytes)).await;
            let frame = stream.hear().await.expect("the session stands");
            match Reply::decode(&frame).expect("the node speaks well") {
                Reply::Failed { call: Some(_), code: ErrorCode::InvalidRequest, message } => {
                    assert!(message.contains(expected), "{message:?} does not say {expected:?}");
                }
                other => panic!("{other:?} where {expected:?} was expected"),
            }
        }
        stream.say(&append("s", &good)).await;
        let frame = stream.hear().await.expect("the session stands");
        assert_eq!(frame.kind(), Kind::Appended, "the session goes on");
        stream.say(&append("", &frames("", b""))).await;
        let frame = stream.hear().await.expect("the session stands");
        assert_eq!(frame.kind(), Kind::Refused, "a stream must have a name");
    });
}

#[test]
fn whoever_says_nothing_is_let_go() {
    with_node(small(), async |node| {
        let silent = node.connection().await;
        let closed = silent.closed().await.to_string();
        assert!(closed.contains("no stream was opened"), "{closed}");
        let connection = node.connection().await;
        let mut half = Raw::open(&connection).await;
        half.send.write_all(&hello()[..5]).await.expect("the stream stands");
        assert!(half.farewell().await.contains("opened in silence"));
        check_serves(node).await;
    });
}

#[test]
fn whoever_reads_no_answers_is_not_listened_to() {
    with_node(small(), async |node| {
        let connection = node.connection().await;
        let mut stream = Raw::open(&connection).await;
        stream.say(&Request::Hello { client: "deaf" }).await;
        let status = encoded(&Request::Status { call: CallId::new(1) });
        let many = status.repeat(1000);
        let mut taken = 0_u64;
        loop {
            let writing = stream.send.write_all(&many);
            match tokio::time::timeout(Duration::from_secs(30), writing).await {
                Ok(written) => written.expect("the stream stands"),
                Err(_stuck) => break,
            }
            taken += 1000;
            assert!(taken < 2_000_000, "the node takes calls without end");
        }
        check_serves(node).await;
    });
}

#[test]
fn connections_and_reads_are_counted() {
    with_node(small(), async |node| {
        let connection = node.connection().await;
        let mut subscriptions = Vec::new();
        for _ in 0..small().reads_per_connection_max {
            let mut stream = Raw::open(&connection).await;
            stream.say(&subscribe()).await;
            assert_eq!(stream.hear().await.expect("there is room").kind(), Kind::Confirmed);
            subscriptions.push(stream);
        }
        let mut one_more = Raw::open(&connection).await;
        one_more.say(&read()).await;
        assert!(one_more.farewell().await.contains("reads_per_connection_max is 3"));
        let mut connections = vec![connection];
        while connections.len() < small().connections_max as usize {
            connections.push(node.connection().await);
        }
        assert!(node.try_client().await.is_err(), "one more is refused");
        connections.pop().expect("there are some").close(0_u32.into(), b"");
        tokio::time::sleep(Duration::from_secs(1)).await;
        check_serves(node).await;
    });
}

#[test]
fn a_stopping_node_says_so() {
    with_node(small(), async |node| {
        let connection = node.connection().await;
        let mut session = Raw::open(&connection).await;
        session.say(&Request::Hello { client: "test" }).await;
        assert_eq!(session.hear().await.expect("it is welcomed").kind(), Kind::Welcome);
        let mut subscription = Raw::open(&connection).await;
        subscription.say(&subscribe()).await;
        assert_eq!(subscription.hear().await.expect("it stands").kind(), Kind::Confirmed);
        assert_eq!(subscription.hear().await.expect("it stands").kind(), Kind::CaughtUp);
        let stopping = node.driver.stop(Duration::from_secs(5));
        let farewells = async {
            assert!(session.farewell().await.contains("stopping"));
            assert!(subscription.farewell().await.contains("stopping"));
        };
        tokio::join!(stopping, farewells);
    });
}

fn subscribe() -> Request<'static> {
    Request::Subscribe(Subscribe {
        target: Target::All,
        from: SubscribeFrom::Start,
        filter: wire::Filter::None,
        resolve_links: false,
        checkpoint_events: 100,
    })
}

fn read() -> Request<'static> {
    Request::Read(Read {
        target: Target::All,
        from: ReadFrom::Start,
        direction: Direction::Forwards,
        count: None,
        filter: wire::Filter::None,
        resolve_links: false,
        consistency: Consistency::Linearizable,
    })
}
