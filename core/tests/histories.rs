//! Random histories of a replica, restarts included, compared with a plain model.
//!
//! Writes finish in any order, answers about cold streams come late and in any order, and all
//! limits are so tiny that every queue and window overflows. What is demanded:
//!
//! - each answer is what the model says behind some prefix of the log, in the order of its stream;
//! - whatever of its stream that prefix holds is committed when the answer is given;
//! - what was committed is there after a restart, and nothing that nobody asked for;
//! - once all is answered and written, every client has got exactly one answer.

#[allow(dead_code, reason = "each test uses a part of the shell")]
mod shell;
#[allow(dead_code, reason = "each test uses a part of the tape")]
mod tape;

mod model;

use std::collections::{BTreeMap, BTreeSet};

use model::{Kind, Verdict, Wish};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use quorate_core::id::{EventId, LogIndex, Position, RequestId, Revision};
use quorate_core::request::{Appended, Change, Expected, Outcome, Proposal, Rejection};
use quorate_core::store::name;
use quorate_core::{Effect, Input, Limits};
use shell::{Shell, Stored, at_second, encode, event_id, event_number};

const LIMITS: Limits = Limits {
    entry_bytes_target: 300,
    pending_appends_max: 6,
    heads_max: 1,
    heads_metadata_bytes_max: 30,
    recent_ids_max: 4,
    ..Limits::TINY
}
.checked();

#[derive(Clone, Debug)]
enum Action {
    Propose { wish: Wish, since: Option<prop::sample::Index> },
    EndTurn,
    Written(prop::sample::Index),
    Load(prop::sample::Index),
    FailToLoad(prop::sample::Index),
    Restart,
}

fn expected() -> impl Strategy<Value = Expected> {
    prop_oneof![
        3 => Just(Expected::Any),
        2 => Just(Expected::NoStream),
        1 => Just(Expected::StreamExists),
        3 => (0_u64..5).prop_map(|number| Expected::Exact(Revision::from_wire(number))),
    ]
}

fn wish() -> impl Strategy<Value = Wish> {
    let append = (
        prop::sample::select(vec!["a", "a", "b", "c", "$$a", "$$b"]),
        prop::collection::vec(0_u64..8, 0..4),
    );
    let change = prop_oneof![
        12 => append.prop_map(|(stream, ids)| (stream, Kind::Append, ids)),
        2 => (prop::sample::select(vec!["a", "b"]), 0_u64..8)
            .prop_map(|(stream, id)| (stream, Kind::Delete, vec![id])),
        1 => (prop::sample::select(vec!["b", "c"]), 0_u64..4)
            .prop_map(|(stream, id)| (stream, Kind::Tombstone, vec![id])),
    ];
    (change, expected()).prop_map(|((stream, kind, ids), expected)| Wish {
        stream: stream.to_owned(),
        expected,
        kind,
        ids: ids.into_iter().map(event_id).collect(),
        retry_since: None,
    })
}

fn action() -> impl Strategy<Value = Action> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        10 => (wish(), prop::option::of(index()))
            .prop_map(|(wish, since)| Action::Propose { wish, since }),
        5 => Just(Action::EndTurn),
        6 => index().prop_map(Action::Written),
        8 => index().prop_map(Action::Load),
        1 => index().prop_map(Action::FailToLoad),
        1 => Just(Action::Restart),
    ]
}

/// What a client has asked and heard.
#[derive(Debug)]
struct Asked {
    wish: Wish,
    /// Events that were committed then: all of them count.
    from: usize,
    answer: Option<Answered>,
}

#[derive(Debug)]
struct Answered {
    outcome: Outcome,
    /// Events that are committed by now.
    committed: usize,
    /// Where the log ended.
    end: Position,
}

struct History {
    shell: Shell,
    in_flight: Vec<LogIndex>,
    loads: Vec<Effect>,
    asked: Vec<Asked>,
    /// The first that was asked since the last start.
    since_start: usize,
    ends: Vec<Position>,
}

impl History {
    fn new() -> Self {
        let mut shell = Shell::new(LIMITS);
        shell.now = at_second(1);
        shell.restart_until_ready();
        let ends = vec![Position::START, shell.end().position];
        let (in_flight, loads, asked) = (Vec::new(), Vec::new(), Vec::new());
        Self { shell, in_flight, loads, asked, since_start: 0, ends }
    }

    fn act(&mut self, action: &Action) {
        match action {
            Action::Propose { wish, since } => {
                let since = since.as_ref().map(|index| *index.get(&self.ends));
                self.propose(Wish { retry_since: since, ..wish.clone() });
            }
            Action::EndTurn => {
                let effects = self.shell.step(Input::EndTurn);
                self.take(effects);
            }
            Action::Written(index) if !self.in_flight.is_empty() => {
                let place = index.index(self.in_flight.len());
                self.written(place);
            }
            Action::Load(index) if !self.loads.is_empty() => {
                let place = index.index(self.loads.len());
                self.load(place);
            }
            Action::FailToLoad(index) if !self.loads.is_empty() => {
                let effects = match self.loads.remove(index.index(self.loads.len())) {
                    Effect::LoadHead { stream, epoch } => {
                        self.shell.step(Input::HeadUnreadable { stream: &stream, epoch })
                    }
                    Effect::LoadIds { request, .. } => {
                        self.shell.step(Input::IdsUnreadable { request })
                    }
                    other => panic!("{other:?} loads nothing"),
                };
                self.take(effects);
            }
            Action::Written(_) | Action::Load(_) | Action::FailToLoad(_) => {}
            Action::Restart => self.restart(),
        }
    }

    fn propose(&mut self, wish: Wish) {
        let mut frames = Vec::new();
        let change = match wish.kind {
            Kind::Append => {
                for id in &wish.ids {
                    let number = event_number(*id).unwrap();
                    encode(&mut frames, &wish.stream, number, "t", data(&wish.stream, *id));
                }
                Change::Append { frames: &frames, count: wish.ids.len() as u32 }
            }
            Kind::Delete => Change::Delete { id: wish.ids[0] },
            Kind::Tombstone => Change::Tombstone { id: wish.ids[0] },
        };
        let proposal = Proposal {
            request: RequestId::from_wire(self.asked.len() as u64),
            stream: &wish.stream,
            expected: wish.expected,
            change,
            retry_since: wish.retry_since,
        };
        let from = self.shell.events().len();
        self.asked.push(Asked { wish: wish.clone(), from, answer: None });
        let effects = self.shell.step(Input::Propose(proposal));
        self.take(effects);
    }

    fn written(&mut self, place: usize) {
        let index = self.in_flight.remove(place);
        let effects = self.shell.written(index);
        self.take(effects);
        self.ends.push(self.shell.end().position);
    }

    fn load(&mut self, place: usize) {
        let effects = match self.loads.remove(place) {
            Effect::LoadHead { stream, epoch } => {
                assert!(name::metadata_owner(&stream).is_none());
                let head = self.shell.head(&stream);
                self.shell.step(Input::HeadLoaded { stream: &stream, epoch, head: head.lend() })
            }
            Effect::LoadIds { request, stream, first, count } => {
                let (ids, position) = self.shell.ids(&stream, first, count);
                assert_eq!(ids.len() as u32, count, "only what is committed is asked for");
                self.shell.step(Input::IdsLoaded { request, ids: &ids, position })
            }
            other => panic!("{other:?} loads nothing"),
        };
        self.take(effects);
    }

    fn take(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::WriteEntry(index) => self.in_flight.push(index),
                Effect::LoadHead { .. } | Effect::LoadIds { .. } => self.loads.push(effect),
                Effect::Reply { request, outcome } => {
                    let (committed, end) = (self.shell.events().len(), self.shell.end().position);
                    let asked = &mut self.asked[request.get() as usize];
                    assert!(asked.answer.is_none(), "a client is answered once");
                    asked.answer = Some(Answered { outcome, committed, end });
                }
                Effect::Commit { .. } | Effect::Notice(_) => {}
                other => panic!("{other:?} was not asked for"),
            }
        }
    }

    /// Finishes all writes, so that everything decided is in the log and can be looked at.
    fn finish_writes(&mut self) {
        loop {
            let effects = self.shell.step(Input::EndTurn);
            self.take(effects);
            if self.in_flight.is_empty() {
                return;
            }
            self.written(0);
        }
    }

    fn restart(&mut self) {
        let before = self.shell.events();
        let survivors = self.shell.survivors();
        // The old process goes on for a moment, to show what it had gathered. Nobody hears it.
        let heard: Vec<_> = self.asked.iter().map(|asked| asked.answer.is_some()).collect();
        self.finish_writes();
        for (asked, heard) in self.asked.iter_mut().zip(heard) {
            if !heard {
                asked.answer = None;
            }
        }
        self.verify();
        self.shell.forget_all_but(&survivors);
        self.shell.restart_until_ready();
        assert!(self.shell.events().starts_with(&before), "what was committed is still there");
        self.in_flight.clear();
        self.loads.clear();
        self.since_start = self.asked.len();
        self.ends.truncate(1);
        self.ends.push(self.shell.end().position);
    }

    fn finish(&mut self) {
        self.finish_writes();
        while !self.loads.is_empty() {
            self.load(0);
            self.finish_writes();
        }
        for asked in &self.asked[self.since_start..] {
            assert!(asked.answer.is_some(), "everybody is answered: {asked:?}");
        }
        self.verify();
        // The window after a restart is what it was: the same questions get the same answers.
        self.restart();
    }

    /// Compares what was asked since the last start with the model.
    fn verify(&self) {
        let log = self.shell.events();
        let mut reached: BTreeMap<&str, usize> = BTreeMap::new();
        for asked in &self.asked[self.since_start..] {
            let Some(answer) = &asked.answer else { continue };
            // These do not rest on what the log holds.
            let refused = [Rejection::Overloaded, Rejection::Damaged].map(Outcome::Refused);
            if refused.contains(&answer.outcome) {
                continue;
            }
            let owner = model::owner(&asked.wish.stream);
            let from = reached.get(owner).map_or(asked.from, |reached| asked.from.max(*reached));
            let prefix = find_prefix(&log, from, asked, answer);
            reached.insert(owner, prefix);
        }
        verify_streams(&log);
        self.verify_origin(&log);
    }

    /// Every event was asked for, or shows a deleted stream again.
    fn verify_origin(&self, log: &[Stored]) {
        let known: BTreeSet<(&str, EventId)> = self
            .asked
            .iter()
            .flat_map(|asked| asked.wish.ids.iter().map(|id| (asked.wish.stream.as_str(), *id)))
            .collect();
        for event in log {
            let owner = model::owner(&event.stream);
            let own = event.event_type == name::METADATA_TYPE;
            assert!(
                known.contains(&(&event.stream, event.id))
                    || own
                        && (event_number(event.id).is_none() || known.contains(&(owner, event.id)))
            );
        }
    }
}

/// How much of the log the answer rests on: the least that explains it.
fn find_prefix(log: &[Stored], from: usize, asked: &Asked, answer: &Answered) -> usize {
    let (wish, outcome) = (&asked.wish, &answer.outcome);
    let explains = |prefix: &usize| {
        let (before, behind) = log.split_at(*prefix);
        // Nothing of its stream is taken into account that could still be lost.
        let own = |event: &Stored| model::owner(&event.stream) == model::owner(&wish.stream);
        let unsafe_to_tell = before.iter().skip(answer.committed).any(own);
        match model::decide(before, LIMITS.recent_ids_max as usize, wish) {
            Verdict::Write { first, revive } => is_written(behind, wish, first, revive, outcome),
            Verdict::Say(said) => said == *outcome && !unsafe_to_tell,
            Verdict::Holds => match outcome {
                // Where the log ended with what it rests on; more may be committed by now.
                Outcome::Appended(Appended { first: None, last: None, position, .. }) => {
                    *position <= answer.end && !unsafe_to_tell
                }
                Outcome::Appended(_) | Outcome::Refused(_) | Outcome::Unknown => false,
            },
        }
    };
    let found = (from..=log.len()).find(explains);
    found.unwrap_or_else(|| panic!("nothing explains {asked:?} in {from}.. of {log:#?}"))
}

/// Whether these events begin with what was asked for, and the answer says so.
fn is_written(
    behind: &[Stored],
    wish: &Wish,
    first: Revision,
    revive: bool,
    outcome: &Outcome,
) -> bool {
    let behind = &behind[behind.len().min(usize::from(revive))..];
    let count = wish.ids.len();
    if behind.len() < count {
        return false;
    }
    let stream = match wish.kind {
        Kind::Append | Kind::Tombstone => wish.stream.clone(),
        Kind::Delete => name::metadata_stream(&wish.stream),
    };
    let written = &behind[..count];
    let last = &written[count - 1];
    let expected = Outcome::Appended(Appended {
        first: Some(first),
        last: Some(last.revision),
        position: last.position,
        duplicate: false,
    });
    let mut revision = first;
    written.iter().zip(&wish.ids).all(|(event, id)| {
        let here = event.revision == revision && event.id == *id && event.stream == stream;
        revision = revision.next();
        here
    }) && *outcome == expected
}

fn verify_streams(log: &[Stored]) {
    let mut next: BTreeMap<&str, Revision> = BTreeMap::new();
    for event in log {
        let next = next.entry(&event.stream).or_insert(Revision::FIRST);
        assert_eq!(event.revision, *next, "revisions of {} have no gap", event.stream);
        *next = next.next();
    }
    assert!(log.is_sorted_by(|a, b| a.position < b.position), "positions grow");
}

/// What an event of this stream and id holds.
fn data(stream: &str, id: EventId) -> &'static [u8] {
    let number = event_number(id).unwrap();
    match (name::metadata_owner(stream), number % 3) {
        (None, _) => b"",
        (Some(_), 0) => br#"{"$tb":1,"own":[1,2]}"#,
        (Some(_), 1) => br#"{"$tb":9223372036854775807}"#,
        (Some(_), _) => b"{}",
    }
}

/// The same cases in each run; `PROPTEST_RNG_SEED` and `PROPTEST_CASES` give others.
fn config() -> ProptestConfig {
    ProptestConfig {
        cases: 1024,
        rng_seed: RngSeed::Fixed(2113),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn histories_are_what_the_model_allows(actions in prop::collection::vec(action(), 1..80)) {
        let mut history = History::new();
        for action in &actions {
            history.act(action);
        }
        history.finish();
    }
}
