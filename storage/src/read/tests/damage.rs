//! A damaged event is never given out, and what does not need it is read as before.

use quorate_core::event::EventFrame;
use quorate_core::id::{Position, Revision};
use quorate_core::limits::Limits;
use quorate_core::store::filter::Filter;

use super::{New, Store, config, locate, walk};
use crate::index::{IndexError, verify};
use crate::log;
use crate::read::{
    AllQuery, Direction, From, Progress, ReadError, ReadLimits, StoreReader, StreamQuery,
};

fn damaged_store() -> (Store, Position) {
    let mut store = Store::new();
    for number in 0..40 {
        let stream = if number % 2 == 0 { "even" } else { "odd" };
        store.commit(&[New::event(stream, "plain", format!("number {number} of forty"))]);
    }
    let bytes = {
        let reader = &store.reader;
        let read = reader.log.read_event(store.model.events[10].position);
        store.io.block_on(read).unwrap().to_vec()
    };
    let (file, offset) = locate(&store.medium, EventFrame::parse(&bytes).unwrap());
    store.medium.rot(&file, offset + 70);
    let position = store.model.events[10].position;
    (store, position)
}

/// What a read gives before it meets the damage.
fn read_up_to_error(
    mut next: impl FnMut() -> Result<crate::read::Batch, ReadError>,
) -> (usize, Option<ReadError>) {
    let mut count = 0;
    loop {
        match next() {
            Ok(batch) => {
                count += walk(&batch.items).len();
                if batch.progress != Progress::More {
                    return (count, None);
                }
            }
            Err(error) => return (count, Some(error)),
        }
    }
}

#[test]
fn damage_is_met_again_and_again_but_not_given_out() {
    let (store, _) = damaged_store();
    let (end, now) = (store.end(), store.now());
    // The newest records are in memory; the cursors of this reader must go to the disk.
    let reader = StoreReader::new(store.log.reader(), store.index.reader(), ReadLimits::TINY);
    let stream = |name: &str| {
        let mut cursor = reader.stream(StreamQuery {
            stream: name.into(),
            from: From::Start,
            direction: Direction::Forwards,
            count: None,
            resolve_links: false,
        });
        let first = read_up_to_error(|| store.io.block_on(cursor.next(end, now)));
        let again = read_up_to_error(|| store.io.block_on(cursor.next(end, now)));
        assert_eq!(first.1, again.1);
        first
    };
    assert_eq!(stream("odd"), (20, None));
    let (count, error) = stream("even");
    assert!(count <= 5, "event 10 is the sixth of its stream, and {count} were given");
    assert!(matches!(error, Some(ReadError::Log(log::ReadError::Corrupt(_)))), "{error:?}");

    let mut all = reader.all(AllQuery {
        from: From::Start,
        direction: Direction::Forwards,
        count: None,
        filter: Filter::All.compile(&Limits::TINY).unwrap(),
        resolve_links: false,
    });
    let (count, error) = read_up_to_error(|| store.io.block_on(all.next(end, now)));
    assert!(count <= 10, "{count} were given");
    assert!(matches!(error, Some(ReadError::Log(log::ReadError::Corrupt(_)))), "{error:?}");
}

/// Rots the directory of every run and reads all heads; gives whether all could be read at once.
fn rot_runs(store: &Store) -> bool {
    let names = store.medium.names();
    let runs: Vec<_> = names.iter().filter(|name| name.ends_with(".run")).collect();
    assert!(runs.len() > 1);
    for name in runs {
        store.medium.rot(name, 4096 + 7);
    }
    read_heads(store)
}

fn read_heads(store: &Store) -> bool {
    ["even", "odd"].into_iter().all(|stream| match store.io.block_on(store.reader.head(stream)) {
        Ok(head) => {
            let last = store.model.stream(stream).last().map(|event| event.revision);
            assert_eq!(head.last.map(Revision::get), last);
            true
        }
        Err(ReadError::Index(IndexError::Damaged(_))) => false,
        Err(error) => panic!("{error}"),
    })
}

/// Reads both streams from end to end, so that each run is needed.
fn read_streams(store: &Store) -> bool {
    let (end, now) = (store.end(), store.now());
    ["even", "odd"].into_iter().all(|stream| {
        let mut cursor = store.reader.stream(StreamQuery {
            stream: stream.into(),
            from: From::Start,
            direction: Direction::Forwards,
            count: None,
            resolve_links: false,
        });
        let (count, error) = read_up_to_error(|| store.io.block_on(cursor.next(end, now)));
        match error {
            None => {
                assert_eq!(count, store.model.stream(stream).count());
                true
            }
            Some(ReadError::Index(IndexError::Damaged(_))) => false,
            Some(error) => panic!("{error}"),
        }
    })
}

fn indexed_store() -> Store {
    let mut store = Store::new();
    for number in 0..70 {
        let stream = if number % 2 == 0 { "even" } else { "odd" };
        store.commit(&[New::event(stream, "plain", "data")]);
    }
    assert!(store.io.block_on(store.index.settle()).is_ok());
    store
}

#[test]
fn damaged_runs_are_rebuilt_while_others_are_read() {
    let mut store = indexed_store();
    store.index.rebuild_from(store.log.reader());
    assert!(!(rot_runs(&store) && read_streams(&store)), "the damage is met");
    assert!(store.index.damaged_runs() > 0);
    // Each look finds damage that the one before did not come to.
    for _ in 0..20 {
        store.settle();
        read_streams(&store);
    }
    assert_eq!(store.index.damaged_runs(), 0);
    assert!(read_heads(&store) && read_streams(&store));
    // What was rebuilt is in the manifest.
    assert!(store.io.block_on(store.index.settle()).is_ok());
    let report = store.io.block_on(verify(&store.io, &config())).unwrap();
    assert_eq!(report.damage, []);
}

#[test]
fn a_run_that_the_log_cannot_rebuild_stays_damaged() {
    let mut store = indexed_store();
    store.index.rebuild_from(store.log.reader());
    let logs = store.medium.names();
    for name in logs.iter().filter(|name| name.ends_with(".segment")) {
        store.medium.rot(name, 2 * 4096 + 300);
    }
    assert!(!(rot_runs(&store) && read_streams(&store)), "the damage is met");
    for _ in 0..20 {
        store.settle();
        read_streams(&store);
    }
    assert!(store.index.damaged_runs() > 0);
    let files = store.medium.names().len();
    for _ in 0..5 {
        store.settle();
    }
    assert_eq!(store.medium.names().len(), files, "it is not tried again and again");
}
