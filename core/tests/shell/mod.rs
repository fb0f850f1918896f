//! The least shell that a replica can live in: a log in memory whose writes finish when the test
//! says so, and the answers that the committed part of it gives.

use std::collections::BTreeSet;

use quorate_core::event::{self, ContentType, EventFrame, NewEvent};
use quorate_core::id::{DiskId, Epoch, EventId, LogIndex, NodeId, Position, Revision};
use quorate_core::input::{Boot, HardState, LoadedHead, Voter};
use quorate_core::log::entry::{EntryHeader, EntryKind, LogEnd, LogId};
use quorate_core::store::name;
use quorate_core::time::{Created, Now};
use quorate_core::timing::Timing;
use quorate_core::{Effect, Effects, Input, Limits, Replica};

use crate::tape::Twin;

/// A replica, and the world as it has made it.
pub(crate) struct Shell {
    pub(crate) replica: Replica,
    pub(crate) now: Now,
    limits: Limits,
    effects: Effects,
    hard_state: HardState,
    log: Vec<(EntryHeader, Vec<u8>)>,
    durable: BTreeSet<LogIndex>,
    committed: LogIndex,
}

/// An event of the log, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) position: Position,
    pub(crate) id: EventId,
    pub(crate) stream: String,
    pub(crate) revision: Revision,
    pub(crate) event_type: String,
    pub(crate) data: Vec<u8>,
}

/// What the log says of a stream.
#[derive(Clone, Debug, Default)]
pub(crate) struct OwnedHead {
    last: Option<Revision>,
    tombstoned: bool,
    metadata_last: Option<Revision>,
    metadata: Option<Vec<u8>>,
}

impl OwnedHead {
    pub(crate) fn lend(&self) -> LoadedHead<'_> {
        LoadedHead {
            last: self.last,
            tombstoned: self.tombstoned,
            metadata_last: self.metadata_last,
            metadata: self.metadata.as_deref(),
        }
    }
}

impl Shell {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            replica: Replica::new(limits),
            now: Now::default(),
            limits,
            effects: Effects::new(),
            hard_state: HardState::default(),
            log: Vec::new(),
            durable: BTreeSet::new(),
            committed: LogIndex::ZERO,
        }
    }

    /// Steps the replica, checks it, and keeps what it writes and commits.
    pub(crate) fn step(&mut self, input: Input<'_>) -> Vec<Effect> {
        let twin =
            (!matches!(input, Input::Boot(_))).then(|| Twin::step(&self.replica, self.now, &input));
        let before = self.effects.count();
        self.replica.step(self.now, input, &mut self.effects);
        if let Some(twin) = twin {
            twin.check(&self.replica, self.effects.behind(before));
        }
        self.replica.check();
        let effects: Vec<_> = self.effects.drain().collect();
        for effect in &effects {
            match effect {
                Effect::WriteHardState(hard_state) => self.hard_state = *hard_state,
                Effect::WriteEntry(index) => {
                    let (header, body) = self.replica.entry(*index);
                    assert_eq!(self.log.len() as u64 + 1, index.get(), "entries have no gap");
                    self.log.push((*header, body.to_vec()));
                }
                Effect::Commit { index, end } => self.commit(*index, *end),
                Effect::LoadHead { .. }
                | Effect::LoadIds { .. }
                | Effect::Reply { .. }
                | Effect::ServeRead { .. }
                | Effect::RefuseRead { .. }
                | Effect::Notice(_) => {}
                Effect::Send { .. }
                | Effect::SendFromLog { .. }
                | Effect::Truncate { .. }
                | Effect::Transferred { .. }
                | Effect::Halt(_) => panic!("a group of one has no use for {effect:?}"),
            }
        }
        effects
    }

    fn commit(&mut self, index: LogIndex, end: Position) {
        assert!(index > self.committed, "commits grow");
        let before = self.committed;
        self.committed = index;
        assert_eq!(self.end().position, end);
        for (header, body) in self.committed_entries() {
            assert!(self.durable.contains(&header.index), "what is committed is durable");
            if header.index > before {
                assert_eq!(self.replica.entry(header.index), (header, body.as_slice()));
            }
        }
    }

    /// A write finishes.
    pub(crate) fn written(&mut self, index: LogIndex) -> Vec<Effect> {
        self.durable.insert(index);
        let epoch = self.hard_state.epoch;
        self.step(Input::EntryWritten { epoch, index })
    }

    /// The entries that a loss of power would leave now.
    pub(crate) fn survivors(&self) -> BTreeSet<LogIndex> {
        self.durable.clone()
    }

    /// Loses all entries that are not among these, and what lies behind a gap.
    pub(crate) fn forget_all_but(&mut self, survivors: &BTreeSet<LogIndex>) {
        let present = |(header, _): &&(EntryHeader, Vec<u8>)| survivors.contains(&header.index);
        let kept = self.log.iter().take_while(present).count();
        self.log.truncate(kept);
        self.durable = self.log.iter().map(|(header, _)| header.index).collect();
    }

    /// Starts a fresh replica behind what is on stable storage without a gap.
    pub(crate) fn restart(&mut self) -> Vec<Effect> {
        self.forget_all_but(&self.survivors());
        let end = self.log.last().map_or(LogEnd::default(), |(header, _)| LogEnd::after(header));
        self.committed = end.index;
        self.replica = Replica::new(self.limits);
        self.effects = Effects::new();
        for (header, body) in &self.log[self.recovered_from()..] {
            let input = Input::Recovered { entry: header, body, committed: true };
            self.replica.step(self.now, input, &mut self.effects);
        }
        let boot = Boot {
            voters: &[Voter { node: NodeId::from_wire(1), rank: 0 }],
            timing: Timing::TINY,
            committed: end,
            node: NodeId::from_wire(1),
            disk: DiskId::from_bytes([1; 16]),
            log: LogId::default(),
            hard_state: self.hard_state,
            end,
            seed: [7; 32],
        };
        self.step(Input::Boot(&boot))
    }

    /// Starts, and goes on to where appends are taken.
    pub(crate) fn restart_until_ready(&mut self) {
        self.restart();
        for effect in self.hard_state_written() {
            if let Effect::WriteEntry(index) = effect {
                self.written(index);
            }
        }
        self.step(Input::EndTurn);
    }

    pub(crate) fn hard_state_written(&mut self) -> Vec<Effect> {
        self.step(Input::HardStateWritten(self.hard_state))
    }

    /// The newest epoch.
    pub(crate) fn epoch(&self) -> Epoch {
        self.hard_state.epoch
    }

    /// The first entry that the window of recent ids needs.
    fn recovered_from(&self) -> usize {
        let mut events = 0;
        let enough = |(header, _): &(EntryHeader, Vec<u8>)| {
            events += header.event_count;
            events >= self.limits.recent_ids_max
        };
        self.log.iter().rposition(enough).unwrap_or(0)
    }

    fn committed_entries(&self) -> &[(EntryHeader, Vec<u8>)] {
        &self.log[..self.committed.get() as usize]
    }

    /// Behind the last committed entry.
    pub(crate) fn end(&self) -> LogEnd {
        let last = self.committed_entries().last();
        last.map_or(LogEnd::default(), |(header, _)| LogEnd::after(header))
    }

    /// Every committed event, in log order.
    pub(crate) fn events(&self) -> Vec<Stored> {
        let entries = self.committed_entries().iter();
        let entries = entries.filter(|(header, _)| header.kind == EntryKind::Events);
        entries.flat_map(|(header, body)| stored(header, body)).collect()
    }

    pub(crate) fn stream(&self, stream: &str) -> Vec<Stored> {
        self.events().into_iter().filter(|event| event.stream == stream).collect()
    }

    /// The answer to [`Effect::LoadHead`].
    pub(crate) fn head(&self, stream: &str) -> OwnedHead {
        let events = self.stream(stream);
        let metadata = self.stream(&name::metadata_stream(stream));
        OwnedHead {
            last: events.last().map(|event| event.revision),
            tombstoned: events.last().is_some_and(|it| it.event_type == name::TOMBSTONE_TYPE),
            metadata_last: metadata.last().map(|event| event.revision),
            metadata: metadata.last().map(|event| event.data.clone()),
        }
    }

    /// The answer to [`Effect::LoadIds`].
    pub(crate) fn ids(
        &self,
        stream: &str,
        first: Revision,
        count: u32,
    ) -> (Vec<EventId>, Position) {
        let events = self.stream(stream);
        let from = events.iter().filter(|event| event.revision >= first).take(count as usize);
        let found: Vec<_> = from.collect();
        let position = found.last().map_or(Position::START, |event| event.position);
        (found.iter().map(|event| event.id).collect(), position)
    }
}

/// The events of an entry, which must all be whole.
pub(crate) fn stored(header: &EntryHeader, body: &[u8]) -> Vec<Stored> {
    let frames = event::frames(body).map(|frame| frame.expect("an entry holds frames"));
    frames
        .map(|(offset, frame)| {
            assert_eq!(frame.verify_header(), Ok(()));
            assert_eq!(frame.verify_content(), Ok(()));
            Stored {
                position: header.body_position().plus(offset as u64),
                id: frame.id(),
                stream: frame.stream().to_owned(),
                revision: frame.revision(),
                event_type: frame.event_type().to_owned(),
                data: frame.data().to_vec(),
            }
        })
        .collect()
}

/// An event's id from a small number.
pub(crate) fn event_id(number: u64) -> EventId {
    let mut bytes = [0; 16];
    bytes[8..].copy_from_slice(&number.to_be_bytes());
    EventId::from_bytes(bytes)
}

/// The small number; `None` for an id that was made otherwise.
pub(crate) fn event_number(id: EventId) -> Option<u64> {
    let bytes = id.to_bytes();
    let number = u64::from_be_bytes(bytes[8..].try_into().expect("8 bytes"));
    (bytes[..8] == [0; 8]).then_some(number)
}

/// Adds a frame to `out`.
pub(crate) fn encode(out: &mut Vec<u8>, stream: &str, id: u64, event_type: &str, data: &[u8]) {
    let event = NewEvent {
        id: event_id(id),
        event_type,
        content_type: ContentType::Octets,
        data,
        metadata: b"",
    };
    event::encode(out, stream, &event, event::crc32c);
    assert!(EventFrame::parse(out).is_ok());
}

/// A moment of the wall clock.
pub(crate) fn at_second(second: u64) -> Now {
    Now { wall: Created::from_ticks(second * 10_000_000), ..Now::default() }
}
