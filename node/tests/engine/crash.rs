//! A crash at each change that an engine makes to its disk, with each kind of loss.

use std::collections::BTreeMap;

use quorate_core::id::EventId;
use quorate_core::request::{Change, Expected, Outcome};
use quorate_core::store::filter::Filter;
use quorate_storage::disk::simulated::{FaultPlan, Medium, crash_everywhere};
use quorate_storage::read::Direction;

use crate::model::Event;
use crate::world::{Broken, NewAppend, World};

const STREAMS: [&str; 3] = ["a", "b", "c"];
const ROUNDS: u8 = 8;
/// Appends that are under way at the same time.
const AT_ONCE: u8 = 3;

/// First ids of the appends of which the client knows that they are there, in no order.
type Acknowledged = Vec<[u8; 16]>;

fn append(number: u8) -> NewAppend {
    let event = |place: u8| {
        (
            [number, place].repeat(8).try_into().expect("16"),
            "e".into(),
            vec![number; usize::from(number) * 37 % 500],
        )
    };
    NewAppend {
        stream: STREAMS[usize::from(number) % STREAMS.len()].into(),
        expected: Expected::Any,
        events: (0..1 + number % 2).map(event).collect(),
    }
}

fn run(medium: &Medium, acknowledged: &mut Acknowledged) -> Result<(), Broken> {
    let mut world = World::start(medium, 1)?;
    for round in 0..ROUNDS {
        let mut asked = BTreeMap::new();
        for number in round * AT_ONCE..(round + 1) * AT_ONCE {
            let append = append(number);
            asked.insert(world.propose_append(&append), append.events[0].0);
        }
        if round == 4 {
            let change = Change::Delete { id: EventId::from_bytes([200; 16]) };
            asked.insert(world.propose("a", Expected::Any, change), [200; 16]);
        }
        let settled = world.settle();
        for (request, outcome) in world.replies() {
            match outcome {
                Outcome::Appended(_) => acknowledged.push(asked[&request]),
                // A node whose disk has failed says what it can't tell any more.
                Outcome::Unknown => assert!(settled.is_err(), "nobody else leads"),
                Outcome::Refused(rejection) => panic!("{rejection}"),
            }
        }
        settled?;
    }
    Ok(())
}

/// Each stream is without gaps, and each append there as a whole.
fn check_whole(log: &[Event]) {
    let mut next: BTreeMap<&str, u64> = BTreeMap::new();
    for event in log {
        let next = next.entry(&event.stream).or_default();
        assert_eq!(event.revision, *next, "revisions follow each other: {event:?}");
        *next += 1;
    }
    for number in 0..ROUNDS * AT_ONCE {
        let append = append(number);
        let there = log.iter().filter(|event| event.event_type == "e" && event.id[0] == number);
        let there = there.count();
        assert!(there == 0 || there == append.events.len(), "append {number} is whole");
    }
}

fn check_everywhere(plan: FaultPlan) {
    let workload = |medium: &Medium| {
        let mut acknowledged = Acknowledged::new();
        // Broken or not: what counts is what was acknowledged.
        let ended = run(medium, &mut acknowledged);
        assert!(ended.is_ok() || medium.has_crashed(), "{ended:?}");
        acknowledged
    };
    crash_everywhere(7, plan, workload, |medium, acknowledged, crash| {
        let mut world = World::start(medium, 2)
            .unwrap_or_else(|broken| panic!("it starts after {crash:?}: {broken:?}"));
        let log = world.all(Direction::Forwards, &Filter::All);
        check_whole(&log);
        for id in acknowledged {
            assert!(log.iter().any(|event| event.id == id), "{id:?} was acknowledged");
        }
        let next = append(250);
        let outcome = world.change(|world| world.propose_append(&next)).expect("the disk is good");
        assert!(matches!(outcome, Outcome::Appended(_)), "{outcome:?}");
        assert_eq!(world.all(Direction::Forwards, &Filter::All).len(), log.len() + 1);
    });
}

#[test]
fn nothing_acknowledged_is_lost_wherever_the_machine_stops() {
    check_everywhere(FaultPlan::NONE);
}

#[test]
fn nor_where_the_disk_reorders() {
    check_everywhere(FaultPlan::NONE.reordering());
}
