//! What the client can ask for, end to end.

use quorate_client::{
    AppendError, EventData, Expected, Filter, ReadError, ReadEvent, ReadFrom, ReadOptions,
    Rejection, Revision, Serving,
};

use crate::node::{event, small, with_node};

fn revision(number: u64) -> Option<Revision> {
    Some(Revision::from_wire(number))
}

fn texts(events: &[ReadEvent]) -> Vec<String> {
    events
        .iter()
        .map(|read| String::from_utf8(read.event.data().to_vec()).expect("it is text"))
        .collect()
}

async fn collect(mut read: quorate_client::ReadStream) -> Result<Vec<ReadEvent>, ReadError> {
    let mut events = Vec::new();
    while let Some(event) = read.next().await {
        events.push(event?);
    }
    Ok(events)
}

#[test]
fn what_is_appended_is_read_in_both_directions() {
    with_node(small(), async |node| {
        let client = node.client().await;
        let three = [event("0"), event("1"), event("2")];
        let appended = client.append("s", Expected::NoStream, &three).await.unwrap();
        assert_eq!((appended.first, appended.last), (revision(0), revision(2)));
        let again = client.append("s", Expected::NoStream, &three).await.unwrap();
        assert!(again.duplicate, "the same ids are the same append");
        assert_eq!(again.position, appended.position);
        client.append("t", Expected::Any, &[event("3")]).await.unwrap();

        let all = collect(client.read_all(ReadOptions::default())).await.unwrap();
        assert_eq!(texts(&all), ["\"0\"", "\"1\"", "\"2\"", "\"3\""]);
        assert_eq!(all[2].event.position(), appended.position);
        let last = client.read_stream("s", ReadOptions::backwards().count(2));
        assert_eq!(texts(&collect(last).await.unwrap()), ["\"2\"", "\"1\""]);
        let from = ReadOptions { from: ReadFrom::At(1), ..ReadOptions::default() };
        let rest = collect(client.read_stream("s", from)).await.unwrap();
        assert_eq!(texts(&rest), ["\"1\"", "\"2\""]);
        let filter = Filter::StreamPrefixes(vec!["t".into()]);
        let filtered = ReadOptions { filter, ..ReadOptions::default() };
        assert_eq!(texts(&collect(client.read_all(filtered)).await.unwrap()), ["\"3\""]);
    });
}

#[test]
fn refusals_say_why() {
    with_node(small(), async |node| {
        let client = node.client().await;
        client.append("s", Expected::Any, &[event("0")]).await.unwrap();
        let refused = client.append("s", Expected::Exact(Revision::from_wire(7)), &[event("1")]);
        let AppendError::Rejected(Rejection::WrongRevision { actual, .. }) =
            refused.await.unwrap_err()
        else {
            panic!("it names the revision")
        };
        assert_eq!(actual, revision(0));
        let missing = collect(client.read_stream("nothing", ReadOptions::default())).await;
        assert!(matches!(missing, Err(ReadError::NotFound { .. })), "{missing:?}");
        client.tombstone("s", Expected::Any).await.unwrap();
        let gone = client.append("s", Expected::Any, &[event("2")]).await.unwrap_err();
        assert!(matches!(gone, AppendError::Rejected(Rejection::StreamDeleted)), "{gone:?}");
        let gone = collect(client.read_stream("s", ReadOptions::default())).await;
        assert!(matches!(gone, Err(ReadError::Deleted { .. })), "{gone:?}");
    });
}

#[test]
fn metadata_hides_and_a_deleted_stream_comes_back() {
    with_node(small(), async |node| {
        let client = node.client().await;
        let events = ["0", "1", "2"].map(event);
        client.append("s", Expected::Any, &events).await.unwrap();
        client.set_metadata("s", Expected::Any, br#"{"$maxCount":1}"#).await.unwrap();
        let shown = collect(client.read_stream("s", ReadOptions::default())).await.unwrap();
        assert_eq!(texts(&shown), ["\"2\""]);
        client.delete("s", Expected::Any).await.unwrap();
        let deleted = collect(client.read_stream("s", ReadOptions::default())).await;
        assert!(matches!(deleted, Err(ReadError::NotFound { .. })), "{deleted:?}");
        let again = client.append("s", Expected::NoStream, &[event("3")]).await.unwrap();
        assert_eq!(again.first, revision(3), "revisions go on");
    });
}

#[test]
fn many_calls_at_once_are_answered_each() {
    with_node(small(), async |node| {
        let client = node.client().await;
        let appends: Vec<_> = (0..2000)
            .map(|number| {
                let stream = format!("s{}", number % 7);
                client.append(&stream, Expected::Any, &[event(&number.to_string())])
            })
            .collect();
        for append in appends {
            append.await.unwrap();
        }
        for stream in 0..7 {
            let name = format!("s{stream}");
            let read = collect(client.read_stream(&name, ReadOptions::default())).await.unwrap();
            let expected: Vec<String> = (0..2000)
                .filter(|number| number % 7 == stream)
                .map(|n| format!("\"{n}\""))
                .collect();
            assert_eq!(texts(&read), expected, "in the order in which they were made");
        }
        let status = client.status().await.unwrap();
        assert_eq!((status.events, status.serving), (2000, Serving::Everything));
        let writes = node.shared.metrics.log_writes.get();
        assert!(writes < 1000, "{writes} writes: many appends share one");
    });
}

#[test]
fn what_is_too_large_is_refused_by_name() {
    with_node(small(), async |node| {
        let client = node.client().await;
        let large = EventData::octets("large", vec![0; 200 << 10]);
        let refused = client.append("s", Expected::Any, &[large]).await.unwrap_err();
        assert!(refused.to_string().contains("event_bytes_max"), "{refused}");
        let filter = Filter::TypePrefixes(vec!["x".repeat(20 << 10)]);
        let options = ReadOptions { filter, ..ReadOptions::default() };
        let refused = collect(client.read_all(options)).await.unwrap_err();
        assert!(refused.to_string().contains("filter_bytes_max"), "{refused}");
        let refused = collect(client.read_stream("", ReadOptions::default())).await.unwrap_err();
        assert!(refused.to_string().contains("must not be empty"), "{refused}");
    });
}

#[test]
fn a_full_disk_refuses_appends_until_there_is_space() {
    with_node(small(), async |node| {
        let client = node.client().await;
        let used = 2 * (1 << 20) + (64 << 10);
        node.medium.set_space(used);
        let mut written = 0;
        let refused = loop {
            let data = EventData::octets("large", vec![0; 100 << 10]);
            let short = client.with_deadline(std::time::Duration::from_secs(1));
            match short.append("s", Expected::Any, &[data]).await {
                Ok(_) => written += 1,
                Err(error) => break error,
            }
            assert!(written < 40, "the disk has no room for so many");
        };
        let reads = collect(client.read_stream("s", ReadOptions::default())).await.unwrap();
        assert!(reads.len() >= written, "reads go on");
        assert_eq!(node.shared.metrics.disk_full.get(), 1, "{refused}");
        node.medium.set_space(64 << 20);
        // It looks for space again each second; the clock is tokio's and costs nothing.
        let mut tries = 0;
        while client.append("s", Expected::Any, &[event("more")]).await.is_err() {
            tries += 1;
            assert!(tries < 20, "it goes on by itself");
            tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        }
        assert_eq!(node.shared.metrics.disk_full.get(), 0);
    });
}
