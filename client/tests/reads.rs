//! Reads: what comes of each answer, and of a connection that is lost in between.

mod support;

use quorate_client::{
    Client, Consistency, Direction, Expected, Filter, ReadError, ReadEvent, ReadFrom, ReadOptions,
    ReadStream, Target,
};
use quorate_core::id::Position;
use quorate_core::item::{self, ItemKind};
use quorate_net::Frame;
use quorate_net::wire::{ErrorCode, Read, Reply, Request};
use support::{DEADLINE, Node, Session, Stream, batch, events, stamped};
use tokio::time::Instant;

fn asked(frame: &Frame) -> Read {
    match Request::decode(frame) {
        Ok(Request::Read(read)) => read,
        other => panic!("a read is expected, not {other:?}"),
    }
}

async fn rest(mut read: ReadStream) -> Result<Vec<ReadEvent>, ReadError> {
    let mut all = Vec::new();
    while let Some(event) = read.next().await {
        all.push(event?);
    }
    Ok(all)
}

/// What a read of the stream `s` comes to that is answered like this.
async fn check(script: impl AsyncFnOnce(&mut Stream)) -> Result<Vec<u64>, ReadError> {
    let node = Node::start();
    let (client, session): (Client, Session) = node.connect().await;
    let read = rest(client.read_stream("s", ReadOptions::default()));
    let answer = async {
        let (mut stream, _) = session.opened().await;
        script(&mut stream).await;
        std::future::pending::<()>().await;
    };
    let all = tokio::select! {
        all = read => all?,
        () = answer => unreachable!("it never ends"),
    };
    Ok(all.iter().map(|event| event.event.revision().get()).collect())
}

#[tokio::test(start_paused = true)]
async fn events_come_in_order_until_the_end() {
    let all = check(async |stream| {
        stream.reply(&events(&batch(0..3))).await;
        stream.reply(&events(&batch(3..4))).await;
        stream.reply(&Reply::End { next: Some(4), at_end: true }).await;
    });
    assert_eq!(all.await.unwrap(), [0, 1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_is_typed() {
    let all = check(async |stream| stream.reply(&Reply::NotFound).await).await;
    assert!(matches!(all, Err(ReadError::NotFound { ref stream }) if stream == "s"), "{all:?}");
    let all = check(async |stream| stream.reply(&Reply::Deleted).await).await;
    assert!(matches!(all, Err(ReadError::Deleted { ref stream }) if stream == "s"), "{all:?}");
    let code = ErrorCode::Corruption;
    let failed = Reply::Failed { call: None, code, message: "record 7" };
    let all = check(async |stream| stream.reply(&failed).await).await;
    assert!(matches!(all, Err(ReadError::Failed { code: found, .. }) if found == code), "{all:?}");
    let all = check(async |stream| stream.reply(&Reply::CaughtUp).await).await;
    assert!(matches!(all, Err(ReadError::Unexpected("read"))), "{all:?}");
}

#[tokio::test(start_paused = true)]
async fn events_are_checked_against_their_writers_checksum() {
    let whole = batch(0..2);
    let second = whole.len() / 2;
    for offset in [second + item::ITEM_HEADER_BYTES + 9, whole.len() - 1 - 5] {
        let mut damaged = whole.clone();
        damaged[offset] ^= 1;
        let all = check(async |stream| stream.reply(&events(&damaged)).await).await;
        assert!(matches!(all, Err(ReadError::Damaged { position: 100, .. })), "{all:?}");
    }
    let cut_off = &whole[..whole.len() - 8];
    let all = check(async |stream| stream.reply(&Reply::Events { count: 2, items: cut_off }).await);
    assert!(matches!(all.await, Err(ReadError::Batch(_))));
    let all = check(async |stream| stream.bytes(&[0xFF; 16]).await).await;
    assert!(matches!(all, Err(ReadError::Protocol(_))), "{all:?}");
}

#[tokio::test(start_paused = true)]
async fn a_silent_node_is_given_up_at_the_deadline() {
    let start = Instant::now();
    let all = check(async |_| {}).await;
    assert!(matches!(all, Err(ReadError::Deadline { within: DEADLINE })), "{all:?}");
    assert!(start.elapsed() >= DEADLINE);
}

#[tokio::test(start_paused = true)]
async fn options_are_sent_as_they_are() {
    let node = Node::start();
    let (client, session) = node.connect().await;
    let options = ReadOptions {
        from: ReadFrom::At(9),
        direction: Direction::Backwards,
        count: Some(3),
        filter: Filter::StreamPrefixes(vec!["air".into()]),
        resolve_links: true,
        consistency: Consistency::Committed,
    };
    let reading = tokio::spawn(rest(client.read_all(options.clone())));
    let (mut stream, frame) = session.opened().await;
    let read = asked(&frame);
    assert_eq!(read.target, Target::All);
    let ReadOptions { from, direction, count, filter, resolve_links, consistency } = options;
    assert_eq!((read.from, read.direction, read.count), (from, direction, count));
    assert_eq!((read.filter, read.resolve_links), (filter, resolve_links));
    assert_eq!(read.consistency, consistency);
    stream.reply(&Reply::End { next: None, at_end: true }).await;
    assert_eq!(reading.await.unwrap().unwrap(), []);
}

#[tokio::test(start_paused = true)]
async fn a_lost_read_goes_on_behind_the_last_event() {
    let node = Node::start();
    let (client, session) = node.connect().await;
    let reading = tokio::spawn(rest(client.read_stream("s", ReadOptions::default().count(5))));
    let (mut stream, frame) = session.opened().await;
    assert_eq!((asked(&frame).from, asked(&frame).count), (ReadFrom::Start, Some(5)));
    stream.reply(&events(&batch(0..2))).await;
    session.lose_seen().await;

    // Another connection, and a node that is not ready at first.
    let session = node.accept().await;
    let (mut stream, frame) = session.opened().await;
    assert_eq!((asked(&frame).from, asked(&frame).count), (ReadFrom::After(1), Some(3)));
    let code = ErrorCode::NotReady;
    stream.reply(&Reply::Failed { call: None, code, message: "it starts" }).await;

    let (mut stream, frame) = session.opened().await;
    assert_eq!(asked(&frame).from, ReadFrom::After(1));
    stream.reply(&events(&batch(2..5))).await;
    let all = reading.await.unwrap().unwrap();
    assert_eq!(all.len(), 5, "the count is reached, so no end is waited for");
}

#[tokio::test(start_paused = true)]
async fn a_resolved_link_comes_with_its_target() {
    let node = Node::start();
    let (client, session) = node.connect().await;
    let mut items = Vec::new();
    let mut put = |position, kind, revision| {
        item::push(&mut items, Position::from_wire(position), kind, &stamped(revision));
    };
    put(900, ItemKind::Link, 4);
    put(100, ItemKind::Target, 1);
    put(950, ItemKind::LinkWithoutTarget, 5);
    let options = ReadOptions { resolve_links: true, ..ReadOptions::default() };
    let reading = tokio::spawn(rest(client.read_stream("s", options)));
    let (mut stream, _) = session.opened().await;
    stream.reply(&events(&items)).await;
    session.lose_seen().await;
    let session = node.accept().await;
    let (mut stream, frame) = session.opened().await;
    assert_eq!(asked(&frame).from, ReadFrom::After(5), "links count, not what they point to");
    stream.reply(&Reply::End { next: None, at_end: true }).await;
    let all = reading.await.unwrap().unwrap();
    let [resolved, unresolved] = all.as_slice() else { panic!("{all:?}") };
    assert_eq!(resolved.event.position().get(), 100);
    assert_eq!(resolved.original().position().get(), 900);
    assert_eq!((unresolved.event.position().get(), unresolved.link.is_none()), (950, true));
    assert_eq!((resolved.event.stream(), resolved.event.event_type()), ("s", "happened"));
    assert_eq!((resolved.event.data(), resolved.event.metadata()), (&[1][..], &b"why"[..]));
    assert_eq!(resolved.event.created().ticks(), 7);
}

#[tokio::test(start_paused = true)]
async fn metadata_is_the_last_event_of_its_stream() {
    let node = Node::start();
    let (client, mut session) = node.connect().await;
    let of_s = client.clone();
    let asking = tokio::spawn(async move { of_s.metadata("s").await });
    let (mut stream, frame) = session.opened().await;
    let read = asked(&frame);
    assert_eq!(read.target, Target::Stream("$$s".into()));
    assert_eq!((read.direction, read.count), (Direction::Backwards, Some(1)));
    stream.reply(&events(&batch([3]))).await;
    stream.reply(&Reply::End { next: None, at_end: false }).await;
    let metadata = asking.await.unwrap().unwrap().expect("it has some");
    assert_eq!((metadata.revision.get(), &metadata.json[..]), (3, &[3][..]));

    let pending = client.set_metadata("s", Expected::Any, b"{\"$maxCount\":1}");
    let frame = session.stream.frame().await;
    let append = support::append(&frame);
    let event = quorate_client::EventFrame::parse(append.frames).unwrap();
    assert_eq!((append.stream, event.event_type()), ("$$s", "$metadata"));
    session.stream.reply(&support::appended(append.call, 4)).await;
    assert!(pending.await.is_ok());
}
