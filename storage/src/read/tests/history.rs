//! Random histories, and every way to read them.

use proptest::prelude::*;
use quorate_core::id::{Position, Revision};
use quorate_core::item::ItemKind;
use quorate_core::limits::Limits;
use quorate_core::store::filter::{Filter, Matcher};
use quorate_core::time::Created;

use super::{New, Store, walk};
use crate::read::{
    AllCursor, AllQuery, Batch, Direction, From, Progress, ReadError, ReadLimits, StreamCursor,
    StreamQuery,
};

type Items = Vec<(ItemKind, Position)>;

const STREAMS: [&str; 4] = ["a", "b", "c", "links"];

fn new_event() -> impl Strategy<Value = New> {
    let metadata = prop_oneof![
        (0..9_u64).prop_map(|before| format!("{{\"$tb\":{before}}}")),
        (1..5_u64).prop_map(|count| format!("{{\"$maxCount\":{count}}}")),
        (1..20_u64).prop_map(|age| format!("{{\"$maxAge\":{age}}}")),
        Just("{\"$tb\":9223372036854775807}".to_owned()),
        Just("{}".to_owned()),
    ];
    prop_oneof![
        12 => (0..3_usize, 0..250_usize)
            .prop_map(|(stream, bytes)| New::event(STREAMS[stream], "plain", vec![1; bytes])),
        4 => (0..4_usize, 0..9_u64).prop_map(|(target, revision)| {
            New::event("links", "$>", format!("{revision}@{}", STREAMS[target]))
        }),
        1 => Just(New::event("links", "$>", "not a link")),
        2 => (0..3_usize, metadata).prop_map(|(stream, json)| {
            New::event(&format!("$${}", STREAMS[stream]), "$metadata", json)
        }),
    ]
}

fn entries() -> impl Strategy<Value = Vec<Vec<New>>> {
    proptest::collection::vec(proptest::collection::vec(new_event(), 1..7), 1..14)
}

/// A cursor of either kind.
enum Cursor {
    Stream(Box<StreamCursor>),
    All(Box<AllCursor>),
}

impl Cursor {
    fn stream(store: &Store, query: StreamQuery) -> Self {
        Self::Stream(Box::new(store.reader.stream(query)))
    }

    fn all(store: &Store, query: AllQuery) -> Self {
        Self::All(Box::new(store.reader.all(query)))
    }

    fn next(&mut self, store: &Store, now: Created) -> Result<Batch, ReadError> {
        let end = store.end();
        match self {
            Self::Stream(cursor) => store.io.block_on(cursor.next(end, now)),
            Self::All(cursor) => store.io.block_on(cursor.next(end, now)),
        }
    }

    /// Reads to the end of what is there; also gives where the read could go on after its first
    /// batch, and how much had been given until then.
    fn drain(
        &mut self,
        store: &Store,
        now: Created,
    ) -> Result<(Items, Option<(u64, usize)>), ReadError> {
        let mut items = Vec::new();
        let mut resumption = None;
        loop {
            let batch = self.next(store, now)?;
            let found = walk(&batch.items);
            assert_eq!(found.len(), batch.item_count as usize);
            let targets = found.iter().filter(|(kind, _)| *kind == ItemKind::Target).count();
            assert_eq!((found.len() - targets) as u64, batch.event_count);
            let fits = batch.items.len() <= ReadLimits::TINY.batch_bytes_max;
            assert!(fits || batch.event_count == 1, "{} bytes", batch.items.len());
            assert!(batch.looked_at <= ReadLimits::TINY.scan_events_max);
            items.extend(found);
            if resumption.is_none() {
                resumption = batch.next.map(|next| (next, items.len()));
            }
            if batch.progress != Progress::More {
                return Ok((items, resumption));
            }
        }
    }
}

fn check_stream(store: &Store, query: &StreamQuery) {
    let now = store.now();
    let expected = store.model.read_stream(query, now);
    let mut cursor = Cursor::stream(store, query.clone());
    match (cursor.drain(store, now), expected) {
        (Ok((items, resumption)), Ok(expected)) => {
            assert_eq!(items, expected, "{query:?}");
            let Some((next, given)) = resumption.filter(|_| query.count.is_none()) else { return };
            let from = From::At(Revision::from_wire(next));
            let rest = StreamQuery { from, ..query.clone() };
            let mut cursor = Cursor::stream(store, rest);
            let (rest, _) = cursor.drain(store, now).unwrap();
            assert_eq!(rest, expected[given..], "{query:?} from {next}");
        }
        (found, expected) => assert_eq!(found.map(|(items, _)| items), expected, "{query:?}"),
    }
}

fn check_all(store: &Store, query: &AllQuery) {
    let now = store.now();
    let expected = store.model.read_all(query, now);
    let mut cursor = Cursor::all(store, query.clone());
    let (items, resumption) = cursor.drain(store, now).unwrap();
    assert_eq!(items, expected, "{query:?}");
    let Some((next, given)) = resumption.filter(|_| query.count.is_none()) else { return };
    let rest = AllQuery { from: From::At(Position::from_wire(next)), ..query.clone() };
    let (rest, _) = Cursor::all(store, rest).drain(store, now).unwrap();
    assert_eq!(rest, expected[given..], "{query:?} from {next}");
}

fn matcher(filter: &Filter) -> Matcher {
    filter.compile(&Limits::TINY).unwrap()
}

/// Every start point, both directions, with and without a count and links.
fn queries<T: Copy>(numbers: &[T]) -> Vec<(From<T>, Direction, Option<u64>, bool)> {
    let points = numbers.iter().flat_map(|number| [From::At(*number), From::After(*number)]);
    let points: Vec<From<T>> = [From::Start, From::End].into_iter().chain(points).collect();
    let mut queries = Vec::new();
    for direction in [Direction::Forwards, Direction::Backwards] {
        for from in &points {
            for count in [None, Some(3)] {
                for resolve_links in [false, true] {
                    queries.push((*from, direction, count, resolve_links));
                }
            }
        }
    }
    queries
}

fn check_streams(store: &Store) {
    for stream in ["a", "b", "links", "$$a", "absent"] {
        let count = store.model.stream(stream).count() as u64;
        let revisions: Vec<_> = (0..count + 2).step_by(3).map(Revision::from_wire).collect();
        for (from, direction, count, resolve_links) in queries(&revisions) {
            let stream = stream.to_owned();
            check_stream(store, &StreamQuery { stream, from, direction, count, resolve_links });
        }
    }
}

fn check_alls(store: &Store) {
    let events = store.model.events.iter().step_by(5);
    let mut positions: Vec<_> =
        events.flat_map(|event| [event.position, event.position.plus(9)]).collect();
    positions.push(store.end());
    let filters = [
        Filter::All,
        Filter::StreamPrefixes(vec!["b".into(), "link".into()]),
        Filter::TypeRegex("^[^p]".into()),
        Filter::StreamPrefixes(vec!["nothing".into()]),
    ];
    for filter in filters {
        let filter = matcher(&filter);
        for (from, direction, count, resolve_links) in queries(&positions) {
            let filter = filter.clone();
            check_all(store, &AllQuery { from, direction, count, filter, resolve_links });
        }
    }
}

/// Heads and ids, as the core asks for them.
fn check_heads(store: &Store) {
    for stream in ["a", "b", "c", "links", "absent"] {
        let head = store.io.block_on(store.reader.head(stream)).unwrap();
        let last = store.model.stream(stream).last();
        assert_eq!(head.last.map(Revision::get), last.map(|event| event.revision));
        assert_eq!(head.tombstoned, store.model.is_tombstoned(stream));
        let metadata = format!("$${stream}");
        let metadata = store.model.stream(&metadata).last();
        assert_eq!(head.metadata_last.map(Revision::get), metadata.map(|event| event.revision));
        assert_eq!(head.metadata, metadata.map(|event| event.data.clone()));
        let numbered = store.model.events.iter().enumerate();
        let events: Vec<_> = numbered.filter(|(_, event)| event.stream == stream).collect();
        for first in [0, 2, events.len()] {
            let found = store.reader.ids(stream, Revision::from_wire(first as u64), 5);
            let (ids, position) = store.io.block_on(found).unwrap();
            let expected: Vec<_> = events.iter().skip(first).take(5).collect();
            let numbers = expected.iter().map(|(number, _)| (*number as u128).to_le_bytes());
            assert!(ids.iter().map(|id| id.to_bytes()).eq(numbers), "{stream} {first}");
            let last = expected.last().map_or(Position::START, |(_, event)| event.position);
            assert_eq!(position, last);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn a_model_gives_the_same_reads(entries in entries(), tombstoned in 0..6_usize) {
        let mut store = Store::new();
        for entry in entries {
            store.commit(&entry);
        }
        if let Some(stream) = STREAMS[..3].get(tombstoned) {
            store.commit(&[New::event(stream, "$streamDeleted", "")]);
        }
        check_heads(&store);
        check_streams(&store);
        check_alls(&store);
    }

    /// Cursors that wait at the end give each event once, as it is committed.
    #[test]
    fn cursors_follow_what_is_written(entries in entries()) {
        let mut store = Store::new();
        let mut all = Cursor::all(&store, AllQuery {
            from: From::Start,
            direction: Direction::Forwards,
            count: None,
            filter: matcher(&Filter::All),
            resolve_links: false,
        });
        let mut links = Cursor::stream(&store, StreamQuery {
            stream: "links".into(),
            from: From::End,
            direction: Direction::Forwards,
            count: None,
            resolve_links: false,
        });
        let (mut seen, mut seen_links) = (Vec::new(), Vec::new());
        let mut follow = |store: &Store| {
            let now = store.now();
            seen.extend(all.drain(store, now).unwrap().0);
            match links.drain(store, now) {
                Ok((items, _)) => seen_links.extend(items),
                Err(error) => assert_eq!(error, ReadError::NotFound),
            }
        };
        follow(&store);
        for entry in entries {
            store.commit(&entry);
            follow(&store);
        }
        let events = store.model.events.iter();
        let expected: Items = events.map(|event| (ItemKind::Event, event.position)).collect();
        let links = store.model.stream("links").map(|event| (ItemKind::Event, event.position));
        let expected_links: Items = links.collect();
        prop_assert_eq!(seen, expected);
        prop_assert_eq!(seen_links, expected_links);
    }
}
