//! The index against a plain model: a list of positions for each stream.

mod crash;
mod damage;
mod golden;
mod history;

use std::collections::BTreeMap;
use std::task::{Context, Waker};

use quorate_core::event::{self, ContentType, NewEvent};
use quorate_core::id::{
    ChainHash, ClusterId, Epoch, EventId, GroupId, Lineage, LogIndex, Position, Revision,
};
use quorate_core::log::entry::{EntryHeader, EntryKind, LogId};
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
    log: Vec<Entry>,
    streams: BTreeMap<String, Vec<Position>>,
    end: Position,
}

/// An entry with its body.
#[derive(Clone)]
struct Entry {
    header: EntryHeader,
    body: Vec<u8>,
}

impl Model {
    /// Adds an entry with an event for each of these streams; gives it as the index takes it.
    fn append(&mut self, streams: &[&str]) -> Entry {
        let mut body = Vec::new();
        let mut offsets = Vec::new();
        for stream in streams {
            let revision = self.streams.get(*stream).map_or(0, Vec::len)
                + count(streams, stream, offsets.len());
            offsets.push(body.len() as u64);
            body.extend(frame(stream, revision as u64));
        }
        let header = EntryHeader {
            epoch: Epoch::ZERO,
            index: LogIndex::from_wire(self.log.len() as u64 + 1),
            position: self.end,
            kind: EntryKind::Events,
            body_bytes: body.len() as u32,
            event_count: streams.len() as u32,
            events_before: 0,
            previous_chain: ChainHash::GENESIS,
            chain: ChainHash::GENESIS,
        };
        for (stream, offset) in streams.iter().zip(offsets) {
            let position = header.body_position().plus(offset);
            self.streams.entry((*stream).to_owned()).or_default().push(position);
        }
        self.end = header.end();
        let entry = Entry { header, body };
        self.log.push(entry.clone());
        entry
    }
}

/// How often a stream is among the first of `streams`.
fn count(streams: &[&str], stream: &str, before: usize) -> usize {
    streams[..before].iter().filter(|other| **other == stream).count()
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
        for entry in model.log.iter().filter(|entry| entry.header.end() > recovery.covered) {
            process.apply(entry);
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

    fn apply(&mut self, entry: &Entry) {
        self.index.apply(&entry.header, &entry.body).expect("well formed");
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
