//! The log against the simulated disk.

mod crash;
mod damage;
mod format;
mod hints;
mod mend;
mod mend_unopened;
mod reading;
mod truncation;
mod truncation_history;

use std::task::Waker;

use quorate_core::event::{self, ContentType, NewEvent};
use quorate_core::id::{ClusterId, DiskId, EventId, GroupId, Lineage, Revision};
use quorate_core::limits::Limits;
use quorate_core::log::entry::{EntryKind, LogId};
use quorate_core::time::Created;

use super::*;
use crate::disk::simulated::Medium;

pub(super) const HOME: Home = Home {
    log: LogId {
        cluster: ClusterId::from_bytes([1; 16]),
        group: GroupId::from_wire(2),
        lineage: Lineage::from_bytes([3; 16]),
    },
    disk: DiskId::from_bytes([4; 16]),
};

pub(super) const SETTINGS: Settings = Settings {
    home: HOME,
    node: NodeId::from_wire(5),
    segment_bytes: Limits::TINY.segment_bytes,
    tail_bytes_max: 3 * 4096,
};

/// Stamps that prove nothing.
pub(super) const UNPROVEN: Stamps = Stamps { durable: LogIndex::ZERO, committed: LogIndex::ZERO };

/// An entry with its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) header: EntryHeader,
    pub(super) body: Vec<u8>,
}

/// Makes the entry that follows this end: some events of `stream`, with this much data each.
pub(super) fn entry(after: &LogEnd, stream: &str, data_bytes: &[usize]) -> Entry {
    entry_in(Epoch::from_wire(1), after, stream, data_bytes)
}

/// The same, in this epoch.
pub(super) fn entry_in(epoch: Epoch, after: &LogEnd, stream: &str, data_bytes: &[usize]) -> Entry {
    let mut body = Vec::new();
    for (number, bytes) in data_bytes.iter().enumerate() {
        let start = body.len();
        let unique = after.index.get() as u8;
        let data: Vec<u8> = (0..*bytes).map(|at| (at as u8) | 1).collect();
        let new = NewEvent {
            id: EventId::from_bytes([unique; 16]),
            event_type: "tested",
            content_type: ContentType::Octets,
            data: &data,
            metadata: &[],
        };
        event::encode(&mut body, stream, &new, crc32c::crc32c);
        let revision = Revision::from_wire(number as u64);
        event::stamp(&mut body[start..], revision, Created::from_ticks(after.index.get()));
    }
    let mut header = EntryHeader {
        epoch,
        index: after.index.next(),
        position: after.position,
        kind: EntryKind::Events,
        body_bytes: body.len() as u32,
        event_count: data_bytes.len() as u32,
        events_before: after.events,
        previous_chain: after.chain,
        chain: after.chain,
    };
    header.chain = header.expected_chain(&HOME.log, &body);
    Entry { header, body }
}

/// Entries that follow each other from the start of a log: one of these sizes each.
pub(super) fn entries(sizes: &[usize]) -> Vec<Entry> {
    let mut end = LogEnd::default();
    let make = |bytes: &usize| {
        let made = entry(&end, &format!("s{}", end.index), &[*bytes]);
        end = LogEnd::after(&made.header);
        made
    };
    sizes.iter().map(make).collect()
}

/// Polls until nothing is under way, or a fault; gives what was reported written.
pub(super) fn settle(io: &Io, log: &mut Log, now: u64) -> Result<Vec<Written>, LogFault> {
    let mut written = Vec::new();
    let mut context = Context::from_waker(Waker::noop());
    loop {
        log.poll(Instant::from_nanos(now), &mut context, &mut written)?;
        let idle = log.writes.is_empty()
            && log.queue.is_empty()
            && log.closed.is_empty()
            && log.sealing.is_none();
        let waits = idle || log.spare.is_wanting() && log.writes.is_empty();
        let at_work =
            log.spare.is_making() || log.stamp_write.is_some() || log.truncations.are_under_way();
        if log.failed || (waits && !at_work) {
            return Ok(written);
        }
        io.with_disk(|disk| {
            disk.flush();
            disk.wait();
        });
        io.turn();
    }
}

pub(super) fn io(medium: &Medium) -> Io {
    Io::new(Box::new(medium.disk()))
}

pub(super) fn open(io: &Io) -> Result<(Log, Recovery), OpenError> {
    io.block_on(Log::open(io, SETTINGS))
}

/// All entries from `from` on.
pub(super) fn replayed(io: &Io, log: &Log, from: Position) -> Result<Vec<Entry>, OpenError> {
    let mut found = Vec::new();
    let visit = |header: &EntryHeader, body: &[u8]| {
        found.push(Entry { header: *header, body: body.to_vec() });
    };
    io.block_on(log.replay(from, visit)).map(|()| found)
}

/// A log on a new medium that holds these entries; closed in good order where asked for.
pub(super) fn filled(entries: &[Entry], closed: bool) -> Medium {
    let medium = Medium::new(1);
    fill(&medium, entries, closed);
    medium
}

pub(super) fn fill(medium: &Medium, entries: &[Entry], closed: bool) {
    let io = io(medium);
    let (mut log, _) = open(&io).unwrap();
    for entry in entries {
        log.append(&entry.header, &entry.body, LogIndex::ZERO);
        settle(&io, &mut log, 0).unwrap();
    }
    if closed {
        io.block_on(log.close()).unwrap();
    }
    medium.restart();
}
