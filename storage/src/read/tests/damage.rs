//! A damaged event is never given out, and what does not need it is read as before.

use quorate_core::event::EventFrame;
use quorate_core::id::Position;
use quorate_core::limits::Limits;
use quorate_core::store::filter::Filter;

use super::{New, Store, locate, walk};
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
