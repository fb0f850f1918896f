//! The files of the log: mutated ones are refused by name or read as far as they are sound, at the
//! start, by replay, and by reads in both directions.

use std::sync::LazyLock;
use std::task::{Context, Waker};

use quorate_core::event::EventFrame;
use quorate_core::id::{
    ChainHash, ClusterId, DiskId, Epoch, GroupId, Lineage, LogIndex, NodeId, Position, Revision,
};
use quorate_core::limits::Limits;
use quorate_core::log::entry::{
    EntryHeader, EntryKind, LogEnd, LogId, RECORD_FIXED_BYTES, SECTOR_BYTES, body_offset,
    record_sectors,
};
use quorate_core::time::Instant;
use quorate_net::event_frames::checksum;
use quorate_storage::disk::simulated::Medium;
use quorate_storage::io::Io;
use quorate_storage::log::{self, Home, Log, LogFault, Settings};

use super::event_frame::stamped_at;
use super::folder::{self, Files};
use crate::fuzz::Target;

/// The segment that is being written.
pub(super) const SEGMENT: Target = Target {
    name: "log-segment",
    corpus: || vec![contents(segments().1)],
    repair: repair_segment,
    decode: |bytes| serves(segments().1, bytes),
};

/// A segment that is full, with its footer.
pub(super) const SEALED: Target = Target {
    name: "log-sealed",
    corpus: || vec![contents(segments().0)],
    repair: repair_segment,
    decode: |bytes| serves(segments().0, bytes),
};

/// The file that says how far the log is durable.
pub(super) const STAMP: Target = Target {
    name: "log-stamp",
    corpus: || vec![contents(STAMP_NAME), stamp_with_intent()],
    repair: |bytes| bytes.chunks_exact_mut(SECTOR).for_each(seal),
    decode: |bytes| serves(STAMP_NAME, bytes),
};

const STAMP_NAME: &str = "log/stamp";
const SECTOR: usize = SECTOR_BYTES as usize;
const FOOTER_BYTES: usize = 2 * SECTOR;
const START_CHAIN_OFFSET: usize = 96 + 32;
const BODY_BYTES_OFFSET: usize = 104;
const FOOTER_FIXED_BYTES: usize = 96;
const ENTRIES: u64 = 12;

const HOME: Home = Home {
    log: LogId {
        cluster: ClusterId::from_bytes([1; 16]),
        group: GroupId::from_wire(2),
        lineage: Lineage::from_bytes([3; 16]),
    },
    disk: DiskId::from_bytes([4; 16]),
};

const SETTINGS: Settings = Settings {
    home: HOME,
    node: NodeId::from_wire(5),
    segment_bytes: Limits::TINY.segment_bytes,
    tail_bytes_max: 0,
};

/// A log of some segments, as a log writes it.
static SAMPLE: LazyLock<Files> = LazyLock::new(|| {
    let medium = Medium::new(0);
    let io = Io::new(Box::new(medium.disk()));
    write_log(&io).expect("this disk has no faults");
    folder::files(&medium)
});

fn write_log(io: &Io) -> Result<(), LogFault> {
    let (mut log, recovery) = io.block_on(Log::open(io, SETTINGS)).expect("the disk is empty");
    let mut end = recovery.end;
    let mut written = Vec::new();
    let mut nanos = 0;
    for number in 0..ENTRIES {
        let (entry, body) = entry_behind(&end, events_in(number));
        log.append(&entry, &body, end.index);
        end = LogEnd::after(&entry);
        while written.len() as u64 <= number {
            nanos += 1_000_000;
            let mut context = Context::from_waker(Waker::noop());
            log.poll(Instant::from_nanos(nanos), &mut context, &mut written)?;
            io.turn();
        }
    }
    io.block_on(log.close())
}

/// Every third entry has two sectors.
fn events_in(number: u64) -> u32 {
    if number.is_multiple_of(3) { 30 } else { 2 }
}

fn entry_behind(end: &LogEnd, count: u32) -> (EntryHeader, Vec<u8>) {
    let revision = |number: u32| Revision::from_wire(end.events + u64::from(number));
    let body: Vec<u8> = (0..count).flat_map(|number| stamped_at("a", revision(number))).collect();
    let mut entry = EntryHeader {
        epoch: Epoch::from_wire(1),
        index: end.index.next(),
        position: end.position,
        kind: EntryKind::Events,
        body_bytes: body.len() as u32,
        event_count: count,
        events_before: end.events,
        previous_chain: end.chain,
        chain: ChainHash::GENESIS,
    };
    entry.chain = entry.expected_chain(&HOME.log, &body);
    (entry, body)
}

/// Names of a sealed segment and of the active one.
fn segments() -> (&'static str, &'static str) {
    let mut names =
        SAMPLE.iter().map(|(name, _)| name.as_str()).filter(|name| name.ends_with(".segment"));
    let sealed = names.next().expect("the log has segments");
    (sealed, names.next_back().expect("the log has several"))
}

fn contents(name: &str) -> Vec<u8> {
    let found = SAMPLE.iter().find(|(known, _)| known == name);
    found.map(|(_, bytes)| bytes.clone()).expect("the log has this file")
}

/// The stamp of a log that is to be truncated at its end: all of it stays.
fn stamp_with_intent() -> Vec<u8> {
    let mut end = LogEnd::default();
    for number in 0..ENTRIES {
        end = LogEnd::after(&entry_behind(&end, events_in(number)).0);
    }
    let numbers = [1, end.index.get(), end.epoch.get(), end.position.get(), end.events];
    let mut stamp = contents(STAMP_NAME);
    for copy in stamp.chunks_exact_mut(SECTOR).filter(|copy| copy.iter().any(|byte| *byte != 0)) {
        for (place, number) in copy[88..].chunks_exact_mut(8).zip(numbers) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        copy[128..160].copy_from_slice(&end.chain.to_bytes());
        seal(copy);
    }
    stamp
}

/// Uses the log in every way; says whether it is whole.
fn serves(name: &str, bytes: &[u8]) -> bool {
    let io = folder::disk_with(&SAMPLE, name, bytes);
    io.block_on(async {
        let Ok(report) = log::verify(&io, &HOME).await else { return false };
        let Ok((log, recovery)) = Log::open(&io, SETTINGS).await else { return false };
        let mut entries = 0;
        let replayed = log.replay(Position::START, |_, _| entries += 1).await;
        let (reader, end) = (log.reader(), recovery.end.position);
        let mut sound = replayed.is_ok() && entries == ENTRIES;
        sound &= report.damage.is_empty() && report.records == ENTRIES;
        let (mut from, mut upto) = (Position::START, end);
        while from < end {
            let Ok(chunk) = reader.read_forwards(from, end).await else { return false };
            for (entry, body) in chunk.records() {
                sound &= entry.kind == EntryKind::Epoch || EventFrame::parse(body).is_ok();
                sound &= reader.read_event(entry.body_position()).await.is_ok();
            }
            from = chunk.end();
        }
        for index in (1..=recovery.end.index.get()).map(LogIndex::from_wire) {
            sound &= reader.read_entries(index, 0).await.is_ok_and(|chunk| chunk.is_some());
        }
        while upto > Position::START {
            let Ok(chunk) = reader.read_backwards(upto, end).await else { return false };
            upto = chunk.start();
        }
        sound
    })
}

/// Makes header, records, chain and footer right again, as far as their lengths make sense.
fn repair_segment(bytes: &mut [u8]) {
    if bytes.len() < SECTOR + FOOTER_BYTES {
        return;
    }
    seal(&mut bytes[..SECTOR]);
    let mut chain = chain_at(bytes, START_CHAIN_OFFSET);
    let (records, footer) = bytes.split_at_mut(bytes.len() - FOOTER_BYTES);
    let mut records = &mut records[SECTOR..];
    while let Some(record_bytes) = record_bytes(records) {
        let (record, rest) = records.split_at_mut(record_bytes);
        chain = repair_record(record, chain);
        records = rest;
    }
    if footer.iter().any(|byte| *byte != 0) {
        seal_fixed(&mut footer[..FOOTER_FIXED_BYTES]);
        seal(footer);
    }
}

/// The length of the record that starts here, where it begins like one and fits.
fn record_bytes(bytes: &[u8]) -> Option<usize> {
    if bytes.get(..SECTOR)?[..8] != *b"QrtRec01" {
        return None;
    }
    let body_bytes = u32_at(bytes, BODY_BYTES_OFFSET);
    let sectors = usize::try_from(record_sectors(body_bytes)).ok()?;
    Some(sectors * SECTOR).filter(|length| *length <= bytes.len())
}

fn repair_record(record: &mut [u8], previous: ChainHash) -> ChainHash {
    let body_bytes = u32_at(record, BODY_BYTES_OFFSET);
    let start = body_offset(body_bytes) as usize;
    let entry = EntryHeader {
        epoch: Epoch::from_wire(u64_at(record, 56)),
        index: LogIndex::from_wire(u64_at(record, 64)),
        position: Position::from_wire(u64_at(record, 72)),
        kind: EntryKind::from_code(record[100]).unwrap_or(EntryKind::Events),
        body_bytes,
        event_count: u32_at(record, 96),
        events_before: u64_at(record, 88),
        previous_chain: previous,
        chain: ChainHash::GENESIS,
    };
    let chain = entry.expected_chain(&HOME.log, &record[start..start + body_bytes as usize]);
    record[128..160].copy_from_slice(&previous.to_bytes());
    record[160..192].copy_from_slice(&chain.to_bytes());
    for sector in 0..record.len() / SECTOR {
        let covered = (sector * SECTOR).max(start)..(sector + 1) * SECTOR;
        let sum = if covered.is_empty() { 0 } else { checksum(&record[covered]) };
        let at = RECORD_FIXED_BYTES as usize + 4 * sector;
        record[at..at + 4].copy_from_slice(&sum.to_le_bytes());
    }
    seal_fixed(&mut record[..RECORD_FIXED_BYTES as usize]);
    seal(&mut record[..start]);
    chain
}

/// Every part's checksum stands at 8 and covers the disk's id and what is behind it.
fn seal(part: &mut [u8]) {
    let sum = checksum(&[&HOME.disk.to_bytes(), &part[12..]].concat());
    part[8..12].copy_from_slice(&sum.to_le_bytes());
}

/// The checksum of a fixed part stands at 12.
fn seal_fixed(part: &mut [u8]) {
    let sum = checksum(&[&HOME.disk.to_bytes(), &part[16..]].concat());
    part[12..16].copy_from_slice(&sum.to_le_bytes());
}

fn chain_at(bytes: &[u8], at: usize) -> ChainHash {
    ChainHash::from_bytes(bytes[at..at + 32].try_into().expect("32 bytes"))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("4 bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8 bytes"))
}
