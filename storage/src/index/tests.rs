//! The index against a plain model: a list of positions for each stream.

mod crash;
mod damage;
mod golden;
mod history;

use std::collections::BTreeMap;
use std::task::{Context, Waker};

use quorate_core::event::{self, ContentType, EventFrame, NewEvent};
use quorate_core::id::{ClusterId, EventId, GroupId, Lineage, Position, Revision};
use quorate_core::log::entry::LogId;
use quorate_core::time::{Created, Instant};

use super::{Index, IndexConfig, IndexError, IndexLimits, IndexRecovery, Last, StreamHasher};
use crate::disk::simulated::Medium;
use crate::io::Io;

const LOG: LogId = LogId {
    cluster: ClusterId::from_bytes([1; 16]),
    group: GroupId::from_wire(2),
    lineage: Lineage::from_bytes([3; 16]),
};

fn config(limits: IndexLimits) -> IndexConfig {
    IndexConfig { log: LOG, hasher: StreamHasher::new(&[7; 16]), limits }
}

/// A stamped frame.
fn frame(stream: &str, revision: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    let event = NewEvent {
        id: EventId::from_bytes([9; 16]),
        event_type: "t",
        content_type: ContentType::Octets,
        data: &[],
        metadata: &[],
    };
    event::encode(&mut bytes, stream, &event, event::crc32c);
    event::stamp(&mut bytes, Revision::from_wire(revision), Created::UNIX_EPOCH);
    bytes
}

/// The log as far as the index cares, and what it must answer.
#[derive(Default)]
struct Model {
    log: Vec<(Position, Vec<u8>)>,
    streams: BTreeMap<String, Vec<Position>>,
    end: Position,
}

impl Model {
    /// Adds an event; gives it back as the index takes it.
    fn append(&mut self, stream: &str) -> (Position, Vec<u8>) {
        let positions = self.streams.entry(stream.to_owned()).or_default();
        let bytes = frame(stream, positions.len() as u64);
        // Records leave gaps.
        let position = self.end.plus(if self.log.len().is_multiple_of(3) { 208 } else { 0 });
        positions.push(position);
        self.end = position.plus(bytes.len() as u64);
        self.log.push((position, bytes.clone()));
        (position, bytes)
    }
}

/// One process with an index on a medium.
struct Process {
    io: Io,
    index: Index,
}

impl Process {
    /// Starts on what the medium holds, and replays what the index lacks.
    fn start(medium: &Medium, model: &Model, limits: IndexLimits) -> (Self, IndexRecovery) {
        let (mut process, recovery) = Self::open(medium, model.end, limits).expect("disk works");
        let mut replayed = 0;
        for (position, bytes) in model.log.iter().filter(|(at, _)| *at >= recovery.covered) {
            process.apply(*position, bytes);
            replayed += 1;
            if replayed % 64 == 0 {
                process.io.block_on(process.index.make_room()).expect("disk works");
            }
        }
        (process, recovery)
    }

    fn open(
        medium: &Medium,
        end: Position,
        limits: IndexLimits,
    ) -> Result<(Self, IndexRecovery), IndexError> {
        let io = Io::new(Box::new(medium.disk()));
        let (index, recovery) = io.block_on(Index::open(&io, &config(limits), end))?;
        Ok((Self { io, index }, recovery))
    }

    fn apply(&mut self, position: Position, bytes: &[u8]) {
        self.index.apply(position, EventFrame::parse(bytes).expect("well formed"));
    }

    /// One turn of an engine: background work, then the disk.
    fn turn(&mut self, now: Instant) -> Result<(), IndexError> {
        self.index.poll(&mut Context::from_waker(Waker::noop()), now)?;
        self.io.turn();
        Ok(())
    }

    fn settle(&mut self) -> Result<(), IndexError> {
        let Self { io, index } = self;
        io.block_on(index.settle())
    }

    /// Asks about every stream of the model, and one that is not there.
    fn check(&self, model: &Model) {
        let reader = self.index.reader();
        self.io.block_on(async {
            let absent = reader.key("absent");
            assert_eq!(reader.last(absent, Position::START).await.unwrap(), None);
            assert_eq!(
                reader
                    .positions(absent, Revision::FIRST, 9, Position::START)
                    .await
                    .unwrap()
                    .positions,
                []
            );
            for (stream, positions) in &model.streams {
                let key = reader.key(stream);
                let count = positions.len() as u64;
                let revision = Revision::from_wire(count - 1);
                let last = Last { revision, position: positions[positions.len() - 1] };
                assert_eq!(
                    reader.last(key, Position::START).await.unwrap(),
                    Some(last),
                    "{stream}"
                );
                let (a, b) = (count / 3, count / 2 + 1);
                for (first, end) in [(0, count), (a, b), (b, count + 5), (count, count + 1)] {
                    let found = reader.positions(
                        key,
                        Revision::from_wire(first),
                        end - first,
                        Position::START,
                    );
                    let found = found.await.unwrap();
                    let first = (first as usize).min(positions.len());
                    let expected = &positions[first..(end as usize).min(positions.len())];
                    assert_eq!(found.positions, expected, "{stream} {first}..{end}");
                    if !expected.is_empty() {
                        assert_eq!(found.first.get(), first as u64);
                    }
                }
            }
        });
    }
}
