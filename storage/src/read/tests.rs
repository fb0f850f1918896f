//! Reads against a plain model: the list of all events.

mod damage;
mod history;
mod model;

use std::task::{Context, Waker};

use quorate_core::event::{self, ContentType, EventFrame, NewEvent};
use quorate_core::id::{
    ClusterId, DiskId, Epoch, EventId, GroupId, Lineage, NodeId, Position, Revision,
};
use quorate_core::limits::Limits;
use quorate_core::log::entry::{EntryHeader, EntryKind, LogId};
use quorate_core::time::{Created, Instant};

use self::model::{Model, ModelEvent};
use super::{ReadLimits, StoreReader};
use crate::disk::simulated::Medium;
use crate::index::{Index, IndexConfig, IndexLimits, StreamHasher};
use crate::io::Io;
use crate::log::{Home, Log, Settings};

const HOME: Home = Home {
    log: LogId {
        cluster: ClusterId::from_bytes([1; 16]),
        group: GroupId::from_wire(2),
        lineage: Lineage::from_bytes([3; 16]),
    },
    disk: DiskId::from_bytes([4; 16]),
};

/// What a test appends.
#[derive(Clone, Debug)]
struct New {
    stream: String,
    event_type: &'static str,
    data: Vec<u8>,
}

impl New {
    fn event(stream: &str, event_type: &'static str, data: impl Into<Vec<u8>>) -> Self {
        Self { stream: stream.to_owned(), event_type, data: data.into() }
    }
}

fn config() -> IndexConfig {
    IndexConfig { log: HOME.log, hasher: StreamHasher::new(&[7; 16]), limits: IndexLimits::TINY }
}

/// A log and an index on one simulated disk, and what they should hold.
struct Store {
    medium: Medium,
    io: Io,
    log: Log,
    index: Index,
    reader: StoreReader,
    model: Model,
}

impl Store {
    fn new() -> Self {
        let medium = Medium::new(1);
        let io = Io::new(Box::new(medium.disk()));
        let settings = Settings {
            home: HOME,
            node: NodeId::from_wire(5),
            segment_bytes: Limits::TINY.segment_bytes,
            tail_bytes_max: 3 * 4096,
        };
        let (log, _) = io.block_on(Log::open(&io, settings)).unwrap();
        let config = config();
        let end = log.end().position;
        let (index, _) = io.block_on(Index::open(&io, &config, end)).unwrap();
        let reader = StoreReader::new(log.reader(), index.reader(), ReadLimits::TINY);
        Self { medium, io, log, index, reader, model: Model::default() }
    }

    /// What is committed.
    fn end(&self) -> Position {
        self.log.end().position
    }

    /// When the next event is created; also what the time is.
    fn now(&self) -> Created {
        Created::from_ticks(self.model.events.len() as u64 * 10_000_000)
    }

    /// Commits one entry with these events.
    fn commit(&mut self, events: &[New]) {
        let end = self.log.end();
        let mut body = Vec::new();
        for new in events {
            let start = body.len();
            let number = self.model.events.len();
            let event = NewEvent {
                id: EventId::from_bytes((number as u128).to_le_bytes()),
                event_type: new.event_type,
                content_type: ContentType::Octets,
                data: &new.data,
                metadata: &[],
            };
            event::encode(&mut body, &new.stream, &event, event::crc32c);
            let revision = self.model.stream(&new.stream).count() as u64;
            event::stamp(&mut body[start..], Revision::from_wire(revision), self.now());
            self.model.events.push(ModelEvent {
                position: Position::START, // Known when the body is whole.
                stream: new.stream.clone(),
                revision,
                event_type: new.event_type,
                data: new.data.clone(),
                created: Created::from_ticks(number as u64 * 10_000_000),
            });
        }
        let mut header = EntryHeader {
            epoch: Epoch::from_wire(1),
            index: end.index.next(),
            position: end.position,
            kind: EntryKind::Events,
            body_bytes: body.len() as u32,
            event_count: events.len() as u32,
            events_before: end.events,
            previous_chain: end.chain,
            chain: end.chain,
        };
        header.chain = header.expected_chain(&HOME.log, &body);
        self.log.append(&header, &body, header.index.previous());
        self.settle();
        let first = self.model.events.len() - events.len();
        for (parsed, event) in event::frames(&body).zip(&mut self.model.events[first..]) {
            let (offset, frame) = parsed.unwrap();
            event.position = header.body_position().plus(offset as u64);
            assert_eq!(frame.stream(), event.stream);
        }
        self.index.apply(&header, &body).unwrap();
        self.settle();
    }

    /// Lets disk and background work go on until the last entry is durable.
    fn settle(&mut self) {
        let mut context = Context::from_waker(Waker::noop());
        let mut written = Vec::new();
        for _ in 0..40 {
            self.log.poll(Instant::START, &mut context, &mut written).unwrap();
            self.index.poll(&mut context, Instant::START).unwrap();
            self.io.turn();
        }
    }
}

/// Where the items of a batch are, and what they are.
fn walk(items: &[u8]) -> Vec<(quorate_core::item::ItemKind, Position)> {
    quorate_core::item::items(items)
        .map(|item| {
            let item = item.unwrap();
            item.frame.verify_content().unwrap();
            item.frame.verify_header().unwrap();
            (item.kind, item.position)
        })
        .collect()
}

/// Where the frame of an event lies on the disk.
fn locate(medium: &Medium, frame: EventFrame<'_>) -> (String, u64) {
    for name in medium.names() {
        let contents = medium.contents(&name);
        let found = contents.windows(frame.bytes().len()).position(|part| part == frame.bytes());
        if let Some(offset) = found {
            return (name.into(), offset as u64);
        }
    }
    panic!("the event is on the disk");
}
