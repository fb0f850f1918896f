//! An engine, its simulated disk and a clock that only the test moves.

use quorate_core::event::{self, ContentType, NewEvent};
use quorate_core::id::{ClusterId, DiskId, EventId, GroupId, Lineage, NodeId, Position, RequestId};
use quorate_core::item;
use quorate_core::limits::Limits;
use quorate_core::log::entry::LogId;
use quorate_core::member::Members;
use quorate_core::notice::Notice;
use quorate_core::request::{Change, Consistency, Expected, Outcome, Proposal, Rejection};
use quorate_core::store::filter::Filter;
use quorate_core::time::{Created, Instant, Now};
use quorate_core::timing::Timing;
use quorate_node::engine::{Engine, EngineOptions, Fault, OpenError, Output};
use quorate_storage::disk::simulated::Medium;
use quorate_storage::index::IndexLimits;
use quorate_storage::io::Io;
use quorate_storage::read::{AllQuery, Direction, From, Progress, ReadLimits};
use quorate_storage::superblock::Identity;

use crate::model::Event;

/// Why the engine is no more.
#[derive(Debug)]
pub(crate) enum Broken {
    /// It did not open.
    Open(#[allow(dead_code, reason = "shown where a test fails")] OpenError),
    /// It failed while it ran.
    Fault(#[allow(dead_code, reason = "shown where a test fails")] Fault),
}

/// An append of a test.
#[derive(Clone, Debug)]
pub(crate) struct NewAppend {
    pub(crate) stream: String,
    pub(crate) expected: Expected,
    pub(crate) events: Vec<([u8; 16], String, Vec<u8>)>,
}

/// A running engine.
pub(crate) struct World {
    pub(crate) engine: Engine,
    medium: Medium,
    output: Output,
    nanos: u64,
    requests: u64,
}

fn options(starts: u8) -> EngineOptions {
    EngineOptions {
        timing: Timing::TINY,
        leader_zones: Vec::new(),
        mutant: None,
        limits: Limits::TINY,
        index: IndexLimits::TINY,
        reads: ReadLimits::TINY,
        tail_bytes_max: 3 * 4096,
        scrub_bytes_per_s: 1 << 20,
        founding: Identity {
            log: LogId {
                cluster: ClusterId::from_bytes([1; 16]),
                group: GroupId::from_wire(1),
                lineage: Lineage::from_bytes([2; 16]),
            },
            node: NodeId::from_wire(1),
            disk: DiskId::from_bytes([3; 16]),
            members: Members::of_one(DiskId::from_bytes([3; 16])),
            segment_bytes: Limits::TINY.segment_bytes,
            stream_key: [4; 16],
        },
        seed: [starts; 32],
    }
}

impl World {
    /// Starts an engine on what the medium holds, and waits until it leads.
    pub(crate) fn start(medium: &Medium, starts: u8) -> Result<Self, Broken> {
        let io = Io::new(Box::new(medium.disk()));
        let nanos = u64::from(starts) << 40;
        let opening = Engine::open(io.clone(), now(nanos), options(starts));
        let (engine, _) = io.block_on(opening).map_err(Broken::Open)?;
        let medium = medium.clone();
        let mut world = Self { engine, medium, output: Output::default(), nanos, requests: 0 };
        world.settle()?;
        let leads = world.output.notices.iter().any(|one| matches!(one, Notice::Leading { .. }));
        assert!(leads, "a single voter leads as soon as its disk answers");
        Ok(world)
    }

    /// One turn.
    pub(crate) fn turn(&mut self) -> Result<(), Broken> {
        self.nanos += 1_000_000;
        let turned = self.engine.turn(now(self.nanos), &mut self.output);
        self.engine.start_disk();
        self.engine.check();
        turned.map_err(Broken::Fault)
    }

    /// Turns until nothing is under way.
    pub(crate) fn settle(&mut self) -> Result<(), Broken> {
        loop {
            self.turn()?;
            if self.engine.wants_turn() {
                continue;
            }
            if self.medium.in_flight().is_empty() {
                return Ok(());
            }
            self.engine.io().with_disk(|disk| disk.wait());
        }
    }

    pub(crate) fn propose(
        &mut self,
        stream: &str,
        expected: Expected,
        change: Change<'_>,
    ) -> RequestId {
        self.requests += 1;
        let request = RequestId::from_wire(self.requests);
        let proposal = Proposal { request, stream, expected, change, retry_since: None };
        self.engine.propose(now(self.nanos), proposal);
        request
    }

    pub(crate) fn propose_append(&mut self, append: &NewAppend) -> RequestId {
        let mut frames = Vec::new();
        for (id, event_type, data) in &append.events {
            let event = NewEvent {
                id: EventId::from_bytes(*id),
                event_type,
                content_type: ContentType::Octets,
                data,
                metadata: b"",
            };
            event::encode(&mut frames, &append.stream, &event, event::crc32c);
        }
        let count = append.events.len() as u32;
        let change = Change::Append { frames: &frames, count };
        self.propose(&append.stream, append.expected, change)
    }

    /// The answers that have come since the last call.
    pub(crate) fn replies(&mut self) -> Vec<(RequestId, Outcome)> {
        std::mem::take(&mut self.output.replies)
    }

    /// Proposes, and waits for the answer.
    pub(crate) fn change(
        &mut self,
        propose: impl FnOnce(&mut Self) -> RequestId,
    ) -> Result<Outcome, Broken> {
        let request = propose(self);
        self.settle()?;
        let replies = self.replies();
        assert_eq!(replies.len(), 1, "each proposal is answered once");
        assert_eq!(replies[0].0, request);
        Ok(replies.into_iter().next().expect("just counted").1)
    }

    /// The position below which reads may see.
    pub(crate) fn bound(&mut self) -> Position {
        self.requests += 1;
        let request = RequestId::from_wire(self.requests);
        self.engine.read(now(self.nanos), request, Consistency::Linearizable);
        self.settle().expect("a read breaks nothing");
        let answers = std::mem::take(&mut self.output.reads);
        let bound: Vec<Result<Position, Rejection>> =
            answers.into_iter().map(|(_, bound)| bound).collect();
        bound.into_iter().next().expect("a read is answered").expect("the engine leads")
    }

    /// All of `$all`, from one end to the other.
    pub(crate) fn all(&mut self, direction: Direction, filter: &Filter) -> Vec<Event> {
        let end = self.bound();
        let from = match direction {
            Direction::Forwards => From::Start,
            Direction::Backwards => From::End,
        };
        let filter = filter.compile(&Limits::TINY).expect("the tests' filters are valid");
        let query = AllQuery { from, direction, count: None, filter, resolve_links: false };
        let mut cursor = self.engine.reader().all(query);
        let mut events = Vec::new();
        loop {
            let next = cursor.next(end, now(self.nanos).wall);
            let batch = self.engine.io().block_on(next).expect("the log is sound");
            events.extend(parse(&batch.items));
            match batch.progress {
                Progress::More => {}
                Progress::AtEnd | Progress::AtStart => return events,
                Progress::Counted => unreachable!("all were asked for"),
            }
        }
    }

    pub(crate) fn wall(&self) -> Created {
        now(self.nanos).wall
    }
}

fn now(nanos: u64) -> Now {
    Now { monotonic: Instant::from_nanos(nanos), wall: Created::from_ticks(nanos / 100) }
}

/// The events of a batch.
pub(crate) fn parse(items: &[u8]) -> Vec<Event> {
    let event = |item: Result<item::Item<'_>, item::ItemError>| {
        let frame = item.expect("the store makes sound items").frame;
        frame.verify_header().expect("the leader stamped it");
        frame.verify_content().expect("the client encoded it");
        Event {
            stream: frame.stream().into(),
            revision: frame.revision().get(),
            id: frame.id().to_bytes(),
            event_type: frame.event_type().into(),
            data: frame.data().into(),
        }
    };
    item::items(items).map(event).collect()
}
