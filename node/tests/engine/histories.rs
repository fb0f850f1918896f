//! Random histories: what the engine says and shows is what the model says, through restarts and
//! power losses.

use proptest::prelude::*;
use quorate_core::id::{EventId, Position, Revision};
use quorate_core::limits::Limits;
use quorate_core::request::{Appended, Change, Expected, Outcome, Rejection};
use quorate_core::store::filter::Filter;
use quorate_storage::disk::simulated::{FaultPlan, Medium};
use quorate_storage::read::{AllQuery, Direction, From, Progress, ReadError, StreamQuery};

use crate::model::{Event, Expectation, Model, assert_same, exact};
use crate::world::{NewAppend, World, parse};

const STREAMS: [&str; 6] = ["a", "b", "c", "orders-1", "orders-2", "ü"];

/// Where an id comes from.
#[derive(Clone, Debug)]
enum Ids {
    Fresh,
    /// The ids of an earlier append, counted from the last.
    Of(usize),
}

#[derive(Clone, Debug)]
enum Step {
    Append { stream: usize, expected: Wish, count: usize, bytes: usize, ids: Ids },
    Metadata { stream: usize, field: &'static str, value: u64 },
    Delete { stream: usize, expected: Wish, tombstone: bool, again: bool },
    ReadStream { stream: usize, from: Option<u64>, count: u64, backwards: bool },
    ReadAll { backwards: bool, prefix: bool },
    Follow,
    Burst { appends: Vec<(usize, usize)>, turns: usize, power: bool },
    Restart,
}

/// An expected revision, as far as it can be said without knowing the stream.
#[derive(Clone, Copy, Debug)]
enum Wish {
    Any,
    None,
    Exists,
    /// So many before the stream's last.
    Behind(u64),
    Far,
}

fn wish() -> impl Strategy<Value = Wish> {
    prop_oneof![
        4 => Just(Wish::Any),
        1 => Just(Wish::None),
        1 => Just(Wish::Exists),
        3 => (0_u64..5).prop_map(Wish::Behind),
        1 => Just(Wish::Far),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let stream = 0..STREAMS.len();
    let ids = prop_oneof![3 => Just(Ids::Fresh), 2 => (0_usize..12).prop_map(Ids::Of)];
    prop_oneof![
        12 => (stream.clone(), wish(), 0_usize..4, 0_usize..300, ids).prop_map(
            |(stream, expected, count, bytes, ids)| Step::Append {
                stream, expected, count, bytes, ids
            }
        ),
        2 => (stream.clone(), prop_oneof![Just("$maxCount"), Just("$tb")], 1_u64..6).prop_map(
            |(stream, field, value)| Step::Metadata { stream, field, value }
        ),
        2 => (stream.clone(), wish(), prop::bool::weighted(0.2), any::<bool>()).prop_map(
            |(stream, expected, tombstone, again)| Step::Delete {
                stream, expected, tombstone, again
            }
        ),
        4 => (stream.clone(), prop::option::of(0_u64..12), 0_u64..9, any::<bool>()).prop_map(
            |(stream, from, count, backwards)| Step::ReadStream { stream, from, count, backwards }
        ),
        2 => (any::<bool>(), any::<bool>())
            .prop_map(|(backwards, prefix)| Step::ReadAll { backwards, prefix }),
        2 => Just(Step::Follow),
        1 => (prop::collection::vec((stream, 1_usize..3), 1..8), 0_usize..4, any::<bool>())
            .prop_map(|(appends, turns, power)| Step::Burst { appends, turns, power }),
        1 => Just(Step::Restart),
    ]
}

/// A history under way.
struct History {
    medium: Medium,
    world: Option<World>,
    model: Model,
    starts: u8,
    next_id: u64,
    appends: Vec<Vec<[u8; 16]>>,
    deletes: Vec<[u8; 16]>,
    /// What a subscriber to `$all` has seen, and the position of the last of it.
    followed: Vec<Event>,
    followed_to: Option<u64>,
}

impl History {
    fn new(seed: u64) -> Self {
        let medium = Medium::with_faults(seed, FaultPlan::NONE.reordering());
        let mut history = Self {
            medium,
            world: None,
            model: Model::default(),
            starts: 0,
            next_id: 0,
            appends: Vec::new(),
            deletes: Vec::new(),
            followed: Vec::new(),
            followed_to: None,
        };
        history.start();
        history
    }

    fn start(&mut self) {
        self.starts += 1;
        self.world = Some(World::start(&self.medium, self.starts).expect("it starts"));
    }

    fn world(&mut self) -> &mut World {
        self.world.as_mut().expect("it runs between steps")
    }

    fn fresh_id(&mut self) -> [u8; 16] {
        self.next_id += 1;
        let mut id = [0; 16];
        id[8..].copy_from_slice(&self.next_id.to_be_bytes());
        id
    }

    fn expected(&self, stream: &str, wish: Wish) -> Expected {
        let last = self.model.stream(stream).last().map_or(0, |event| event.revision);
        match wish {
            Wish::Any => Expected::Any,
            Wish::None => Expected::NoStream,
            Wish::Exists => Expected::StreamExists,
            Wish::Behind(behind) => exact(last.saturating_sub(behind)),
            Wish::Far => exact(last + 2),
        }
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Append { stream, expected, count, bytes, ids } => {
                self.append(STREAMS[*stream], *expected, *count, *bytes, ids);
            }
            Step::Metadata { stream, field, value } => {
                let stream = format!("$${}", STREAMS[*stream]);
                let data = format!("{{\"{field}\":{value}}}").into_bytes();
                let events = vec![(self.fresh_id(), "$metadata".into(), data)];
                self.check_append(&NewAppend { stream, expected: Expected::Any, events });
            }
            Step::Delete { stream, expected, tombstone, again } => {
                self.delete(STREAMS[*stream], *expected, *tombstone, *again);
            }
            Step::ReadStream { stream, from, count, backwards } => {
                self.read_stream(STREAMS[*stream], *from, *count, *backwards);
            }
            Step::ReadAll { backwards, prefix } => self.read_all(*backwards, *prefix),
            Step::Follow => self.follow(),
            Step::Burst { appends, turns, power } => self.burst(appends, *turns, *power),
            Step::Restart => {
                let world = self.world.take().expect("it runs between steps");
                let io = world.engine.io().clone();
                io.block_on(world.engine.close()).expect("it ends in good order");
                drop(io);
                self.medium.restart();
                self.start();
            }
        }
    }

    fn append(&mut self, stream: &str, wish: Wish, count: usize, bytes: usize, ids: &Ids) {
        let ids = match ids {
            Ids::Of(back) if *back < self.appends.len() => {
                let mut ids = self.appends[self.appends.len() - 1 - back].clone();
                ids.truncate(count);
                while ids.len() < count {
                    ids.push(self.fresh_id());
                }
                ids
            }
            Ids::Fresh | Ids::Of(_) => (0..count).map(|_| self.fresh_id()).collect(),
        };
        self.appends.push(ids.clone());
        let event = |id: [u8; 16]| (id, "happened".to_owned(), vec![id[15]; bytes]);
        let events = ids.into_iter().map(event).collect();
        let expected = self.expected(stream, wish);
        self.check_append(&NewAppend { stream: stream.into(), expected, events });
    }

    fn check_append(&mut self, append: &NewAppend) {
        let expectation = self.model.append(append);
        let outcome = self.world().change(|world| world.propose_append(append));
        check_outcome(&outcome.expect("the disk is good"), &expectation);
    }

    fn delete(&mut self, stream: &str, wish: Wish, tombstone: bool, again: bool) {
        let id = match self.deletes.last() {
            Some(id) if again => *id,
            _ => self.fresh_id(),
        };
        self.deletes.push(id);
        let expected = self.expected(stream, wish);
        let (expectation, change) = if tombstone {
            let change = Change::Tombstone { id: EventId::from_bytes(id) };
            (self.model.tombstone(stream, expected, id), change)
        } else {
            let change = Change::Delete { id: EventId::from_bytes(id) };
            (self.model.delete(stream, expected, id), change)
        };
        let outcome = self.world().change(|world| world.propose(stream, expected, change));
        check_outcome(&outcome.expect("the disk is good"), &expectation);
    }

    fn read_stream(&mut self, stream: &str, from: Option<u64>, count: u64, backwards: bool) {
        let end = self.world().bound();
        let direction = if backwards { Direction::Backwards } else { Direction::Forwards };
        let start = match (from, backwards) {
            (Some(revision), _) => From::At(Revision::from_wire(revision)),
            (None, false) => From::Start,
            (None, true) => From::End,
        };
        let query = StreamQuery {
            stream: stream.into(),
            from: start,
            direction,
            count: Some(count),
            resolve_links: false,
        };
        let world = self.world();
        let (wall, io) = (world.wall(), world.engine.io().clone());
        let mut cursor = world.engine.reader().stream(query);
        let mut events = Vec::new();
        let read = loop {
            match io.block_on(cursor.next(end, wall)) {
                Ok(batch) => {
                    events.extend(parse(&batch.items));
                    if batch.progress != Progress::More {
                        break Ok(events);
                    }
                }
                Err(error) => break Err(error),
            }
        };
        if self.model.is_tombstoned(stream) {
            assert_eq!(read, Err(ReadError::StreamDeleted));
            return;
        }
        let Some(mut visible) = self.model.visible(stream) else {
            assert_eq!(read, Err(ReadError::NotFound));
            return;
        };
        if backwards {
            visible.reverse();
            visible.retain(|event| from.is_none_or(|from| event.revision <= from));
        } else {
            visible.retain(|event| from.is_none_or(|from| event.revision >= from));
        }
        visible.truncate(usize::try_from(count).expect("it is small"));
        assert_same(&read.expect("the stream is there"), &visible);
    }

    fn read_all(&mut self, backwards: bool, prefix: bool) {
        let direction = if backwards { Direction::Backwards } else { Direction::Forwards };
        let filter =
            if prefix { Filter::StreamPrefixes(vec!["orders-".into()]) } else { Filter::All };
        let events = self.world().all(direction, &filter);
        let mut expected = self.model.log.clone();
        expected.retain(|event| !prefix || event.stream.starts_with("orders-"));
        if backwards {
            expected.reverse();
        }
        assert_same(&events, &expected);
    }

    /// A subscriber comes back where it was, takes one batch, and leaves again.
    fn follow(&mut self) {
        let end = self.world().bound();
        let after = |position: u64| From::After(Position::from_wire(position));
        let from = self.followed_to.map_or(From::Start, after);
        let filter = Filter::All.compile(&Limits::TINY).expect("no filter is valid");
        let direction = Direction::Forwards;
        let query = AllQuery { from, direction, count: None, filter, resolve_links: false };
        let world = self.world();
        let mut cursor = world.engine.reader().all(query);
        let next = cursor.next(end, world.wall());
        let batch = world.engine.io().block_on(next).expect("the log is sound");
        self.followed.extend(parse(&batch.items));
        self.followed_to = batch.next.and_then(|next| next.checked_sub(1)).or(self.followed_to);
        assert_same(&self.followed, &self.model.log[..self.followed.len()]);
    }

    /// Many appends at once, and a crash before most are answered: those that were answered are
    /// there, and each of the others is there as a whole or not at all.
    fn burst(&mut self, appends: &[(usize, usize)], turns: usize, power: bool) {
        let mut pending = Vec::new();
        for (stream, count) in appends {
            let stream = STREAMS[*stream];
            let ids: Vec<[u8; 16]> = (0..*count).map(|_| self.fresh_id()).collect();
            let event = |id: &[u8; 16]| (*id, "burst".to_owned(), vec![1; 40]);
            let events = ids.iter().map(event).collect();
            let append = NewAppend { stream: stream.into(), expected: Expected::Any, events };
            let request = self.world().propose_append(&append);
            pending.push((request, append));
        }
        for _ in 0..turns {
            self.world().turn().expect("the disk is good");
            self.world().engine.io().with_disk(|disk| disk.wait());
        }
        let replies = self.world().replies();
        self.world = None;
        if power {
            self.medium.power_loss();
        } else {
            self.medium.restart();
        }
        self.start();
        let log = self.world().all(Direction::Forwards, &Filter::All);
        let known = self.model.log.len();
        assert!(log.len() >= known, "nothing that was acknowledged is lost");
        assert_same(&log[..known], &self.model.log);
        while self.model.log.len() < log.len() {
            // What revives a deleted stream begins with an event of the node's own.
            let rest = &log[self.model.log.len()..];
            let first = rest.iter().find(|event| event.event_type == "burst");
            let id = first.expect("the node's own event does not stand alone").id;
            let place = pending.iter().position(|(_, append)| append.events[0].0 == id);
            let (_, append) = pending.remove(place.expect("an append is there as a whole"));
            let expectation = self.model.append(&append);
            assert!(matches!(expectation, Expectation::Appended { duplicate: false, .. }));
        }
        assert_same(&log, &self.model.log);
        for (request, outcome) in replies {
            let lost = pending.iter().any(|(pending, _)| *pending == request);
            let refused = matches!(outcome, Outcome::Refused(_));
            assert!(!lost || refused, "what was acknowledged is there: {outcome:?}");
        }
    }
}

fn check_outcome(outcome: &Outcome, expectation: &Expectation) {
    let revision = |number: u64| Some(Revision::from_wire(number));
    let same = match (outcome, expectation) {
        (
            Outcome::Appended(Appended { first, last, duplicate, .. }),
            Expectation::Appended { first: from, last: to, duplicate: again },
        ) => (*first, *last, *duplicate) == (revision(*from), revision(*to), *again),
        (Outcome::Appended(Appended { first, last, .. }), Expectation::Holds) => {
            (*first, *last) == (None, None)
        }
        (Outcome::Refused(rejection), expectation) => matches!(
            (rejection, expectation),
            (Rejection::WrongRevision { .. }, Expectation::WrongRevision)
                | (Rejection::CorruptedIdempotency { .. }, Expectation::Corrupted)
                | (Rejection::StreamDeleted, Expectation::Deleted)
        ),
        (Outcome::Appended(_) | Outcome::Unknown, _) => false,
    };
    assert!(same, "{outcome:?} where the model has {expectation:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn the_engine_is_what_the_model_is(
        seed in any::<u64>(),
        steps in prop::collection::vec(step(), 1..80),
    ) {
        let mut history = History::new(seed);
        for step in &steps {
            history.take(step);
        }
        history.read_all(false, false);
        while history.followed.len() < history.model.log.len() {
            history.follow();
        }
    }
}
