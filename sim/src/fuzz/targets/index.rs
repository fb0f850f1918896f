//! The files of the stream index: a mutated one is dropped and rebuilt, or serves lookups; either
//! way nothing panics, neither at the start nor at a lookup nor under `verify`.

use std::sync::LazyLock;

use quorate_core::id::{ChainHash, Epoch, LogIndex, Position, Revision};
use quorate_core::log::entry::{EntryHeader, EntryKind, LogId};
use quorate_storage::disk::simulated::Medium;
use quorate_storage::index::{self, Index, IndexConfig, IndexLimits, StreamHasher};
use quorate_storage::io::Io;

use super::event_frame::stamped_at;
use super::folder::{self, Files};
use crate::fuzz::Target;

/// The list of runs.
pub(super) const MANIFEST: Target = Target {
    name: "index-manifest",
    corpus: || contents(|name| name == MANIFEST_NAME),
    repair: repair_manifest,
    decode: |bytes| serves(MANIFEST_NAME, bytes),
};

/// A sorted file of positions.
pub(super) const RUN: Target = Target {
    name: "index-run",
    corpus: || contents(|name| name == run_name()),
    repair: repair_run,
    decode: |bytes| serves(run_name(), bytes),
};

const MANIFEST_NAME: &str = "index/manifest";
const STREAMS: [&str; 5] = ["a", "b", "aircraft-N14228", "$$a", "none"];
const EVENTS: u64 = 60;
const EVENT_DISTANCE: u64 = 4096;
const BLOCK_BYTES: usize = 4096;
const RUN_NUMBER_OFFSET: usize = 8 + 4 + 4 + 48;

/// An index of some runs, as an index writes it.
static SAMPLE: LazyLock<Files> = LazyLock::new(|| {
    let medium = Medium::new(0);
    let io = Io::new(Box::new(medium.disk()));
    let end = Position::from_wire(EVENTS * EVENT_DISTANCE);
    let written = io.block_on(async {
        let (mut index, _) = Index::open(&io, &config(), end).await?;
        for number in 0..EVENTS {
            let count = STREAMS.len() as u64;
            let stream = STREAMS[(number % count) as usize];
            let bytes = stamped_at(stream, Revision::from_wire(number / count));
            index.apply(&header(number, &bytes), &bytes).expect("it was just encoded");
        }
        index.settle().await
    });
    written.expect("this disk has no faults");
    folder::files(&medium)
});

/// Of an entry with one event.
fn header(number: u64, body: &[u8]) -> EntryHeader {
    EntryHeader {
        epoch: Epoch::ZERO,
        index: LogIndex::from_wire(number + 1),
        position: Position::from_wire(number * EVENT_DISTANCE),
        kind: EntryKind::Events,
        body_bytes: body.len() as u32,
        event_count: 1,
        events_before: number,
        previous_chain: ChainHash::GENESIS,
        chain: ChainHash::GENESIS,
    }
}

fn config() -> IndexConfig {
    IndexConfig {
        log: LogId::default(),
        hasher: StreamHasher::new(&[7; 16]),
        limits: IndexLimits::TINY,
    }
}

fn contents(wanted: impl Fn(&str) -> bool) -> Vec<Vec<u8>> {
    SAMPLE.iter().filter(|(name, _)| wanted(name)).map(|(_, bytes)| bytes.clone()).collect()
}

/// The run with the oldest events, which is the largest.
fn run_name() -> &'static str {
    let runs = SAMPLE.iter().filter(|(name, _)| name != MANIFEST_NAME);
    runs.max_by_key(|(_, bytes)| bytes.len()).map(|(name, _)| name).expect("the index has runs")
}

/// Uses the index in every way; says whether nothing was found to be damaged.
fn serves(name: &str, bytes: &[u8]) -> bool {
    let io = folder::disk_with(&SAMPLE, name, bytes);
    let end = Position::from_wire(EVENTS * EVENT_DISTANCE);
    io.block_on(async {
        let verified = index::verify(&io, &config()).await;
        let (opened, recovery) =
            Index::open(&io, &config(), end).await.expect("damage is no error of the disk");
        let reader = opened.reader();
        let mut sound = recovery.damage.is_none() && recovery.runs > 0;
        for stream in STREAMS {
            let key = reader.key(stream);
            sound &= reader.last(key, Position::START).await.is_ok();
            sound &= reader.positions(key, Revision::FIRST, 100, Position::START).await.is_ok();
        }
        sound && verified.is_ok_and(|report| report.damage.is_empty())
    })
}

/// The checksum stands behind as many runs as the head says there are.
fn repair_manifest(bytes: &mut [u8]) {
    const RUNS_OFFSET: usize = 12;
    const HEAD_BYTES: usize = 8 + 4 + 4 + 48 + 8;
    const RUN_BYTES: usize = 40;
    let Some(count) = bytes.get(RUNS_OFFSET..RUNS_OFFSET + 4) else { return };
    let count = u32::from_le_bytes(count.try_into().expect("4 bytes")) as usize;
    let end = HEAD_BYTES.saturating_add(count.saturating_mul(RUN_BYTES));
    if end.checked_add(4).is_none_or(|needed| needed > bytes.len()) {
        return;
    }
    let checksum = crc32c(&[&bytes[..end]]);
    bytes[end..end + 4].copy_from_slice(&checksum);
}

/// Each block's checksum covers the run's number and the block's place.
fn repair_run(bytes: &mut [u8]) {
    let Some(number) = bytes.get(RUN_NUMBER_OFFSET..RUN_NUMBER_OFFSET + 8) else { return };
    let number = number.to_vec();
    for (place, block) in bytes.chunks_exact_mut(BLOCK_BYTES).enumerate() {
        let (payload, checksum) = block.split_at_mut(BLOCK_BYTES - 4);
        let place = (place as u64).to_le_bytes();
        checksum.copy_from_slice(&crc32c(&[&number, &place, payload]));
    }
}

fn crc32c(parts: &[&[u8]]) -> [u8; 4] {
    quorate_net::event_frames::checksum(&parts.concat()).to_le_bytes()
}
