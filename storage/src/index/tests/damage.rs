//! Rot in every part of every file: noticed, never believed, rebuilt.

use proptest::prelude::*;
use quorate_core::id::{Position, Revision};

use super::{LOG, Model, Process, config};
use crate::disk::simulated::Medium;
use crate::index::key::StreamKey;
use crate::index::run::{Layout, Owner};
use crate::index::{Flaw, IndexError, IndexLimits, Part, manifest, pointers_into, verify};
use crate::io::Io;

/// A settled index of one run of several blocks in each section but the bloom filter.
fn settled() -> (Medium, Model, IndexLimits) {
    let limits = IndexLimits { memtable_events_max: 1000, frozen_max: 2, cache_bytes_max: 8 << 12 };
    let medium = Medium::new(1);
    let mut model = Model::default();
    let (mut process, _) = Process::start(&medium, &model, limits);
    for number in 0..1000 {
        let entry = model.append(&[&format!("stream-{}", number % 300)]);
        process.apply(&entry);
    }
    process.settle().unwrap();
    medium.restart();
    (medium, model, limits)
}

const RUN: &str = "index/0000000000000000.run";

/// Rots one byte, then starts and reads everything that can be read.
fn check(name: &str, offset: u64, part: Part) {
    let (medium, model, limits) = settled();
    medium.rot(name, offset);

    let io = Io::new(Box::new(medium.disk()));
    let report = io.block_on(verify(&io, &config(limits))).unwrap();
    let found: Vec<_> = report.damage.iter().map(|damage| (damage.part, damage.flaw)).collect();
    assert!(
        matches!(found[..], [(found, Flaw::Checksum | Flaw::Format)] if found == part),
        "{report:?}"
    );

    let (process, recovery) = Process::open(&medium, model.end, limits).unwrap();
    if let Some(damage) = recovery.damage {
        assert_eq!(damage.part, part);
        assert_eq!(recovery.covered, Position::START);
        let (process, recovery) = Process::start(&medium, &model, limits);
        assert_eq!(recovery.damage, None);
        process.check(&model);
        return;
    }
    let reader = process.index.reader();
    let mut damaged = 0;
    for (stream, positions) in &model.streams {
        let found = reader.positions(reader.key(stream), Revision::FIRST, 1000, Position::START);
        match process.io.block_on(found) {
            Ok(found) => assert_eq!(found.positions, *positions),
            Err(IndexError::Damaged(damage)) => {
                assert_eq!((damage.part, damage.flaw), (part, Flaw::Checksum));
                damaged += 1;
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert!(damaged > 0, "some lookup needs that block");
}

#[test]
fn rot_is_noticed() {
    check(manifest::NAME, 70, Part::Manifest);
    check(manifest::NAME, 0, Part::Manifest);
    check(RUN, 20, Part::Header);
    check(RUN, 4096 + 100, Part::Directory);
    check(RUN, 4 * 4096 + 4094, Part::Positions);
    check(RUN, 6 * 4096 + 55, Part::Bloom);
    check(RUN, 7 * 4096, Part::Fences);
}

#[test]
fn a_missing_run_is_rebuilt() {
    let (medium, model, limits) = settled();
    let io = Io::new(Box::new(medium.disk()));
    io.block_on(io.run(crate::disk::Op::Remove { name: RUN.into() })).unwrap();
    drop(io);
    let (process, recovery) = Process::start(&medium, &model, limits);
    assert_eq!(recovery.damage.map(|damage| damage.flaw), Some(Flaw::Missing));
    process.check(&model);
}

#[test]
fn a_block_in_the_wrong_place_is_noticed() {
    let (medium, model, limits) = settled();
    let contents = medium.contents(RUN);
    medium.overwrite(RUN, 4096, &contents[2 * 4096..3 * 4096]);
    let (process, _) = Process::open(&medium, model.end, limits).unwrap();
    let reader = process.index.reader();
    let results = model.streams.keys().map(|stream| {
        let key = reader.key(stream);
        process.io.block_on(reader.last(key, Position::START))
    });
    assert!(results.into_iter().any(|found| matches!(found, Err(IndexError::Damaged(_)))));
}

#[test]
fn a_sound_index_verifies() {
    let (medium, model, limits) = settled();
    let io = Io::new(Box::new(medium.disk()));
    let report = io.block_on(verify(&io, &config(limits))).unwrap();
    assert_eq!((report.runs, report.streams, report.events), (1, 300, 1000));
    assert_eq!(report.covered, model.end);
    assert_eq!(report.damage, []);
}

#[test]
fn streams_of_a_part_of_the_log_are_named() {
    let (medium, model, limits) = settled();
    let io = Io::new(Box::new(medium.disk()));
    let part = model.log[400].header.position..model.log[405].header.position;
    let found = io.block_on(pointers_into(&io, &config(limits), part, 100)).unwrap();
    let mut keys: Vec<StreamKey> = found.pointers.iter().map(|pointer| pointer.key).collect();
    keys.sort();
    let hasher = config(limits).hasher;
    let mut expected: Vec<_> =
        (100..105).map(|number| hasher.key(&format!("stream-{number}"))).collect();
    expected.sort();
    assert_eq!(keys, expected);
    for pointer in &found.pointers {
        assert_eq!((pointer.first, pointer.last), (Revision::from_wire(1), Revision::from_wire(1)));
        let elsewhere = pointer.elsewhere.expect("each stream has other events");
        assert!(model.streams.values().flatten().any(|position| *position == elsewhere));
    }
    let all = Position::START..model.end;
    let found = io.block_on(pointers_into(&io, &config(limits), all, 7)).unwrap();
    assert_eq!((found.pointers.len(), found.is_cut), (7, true));
}

proptest! {
    #[test]
    fn decoders_take_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..9000), count in any::<u32>()) {
        let owner = Owner { log: LOG, hasher: 0 };
        let _ = manifest::decode(&bytes, &owner);
        // Past the magic and the checksum as well.
        let mut bytes = bytes;
        bytes.resize(bytes.len().max(8192), 0);
        bytes[..8].copy_from_slice(&manifest::MAGIC);
        bytes[8..12].copy_from_slice(&manifest::VERSION.to_le_bytes());
        bytes[12..16].copy_from_slice(&(count % 200).to_le_bytes());
        let end = 72 + 40 * (count % 200) as usize;
        let sum = crc32c::crc32c(&bytes[..end]);
        bytes[end..end + 4].copy_from_slice(&sum.to_le_bytes());
        if let Ok(manifest) = manifest::decode(&bytes, &Owner::decode(&mut crate::index::block::Fields::new(&bytes[16..]))) {
            for run in &manifest.runs {
                let _ = Layout::of(run);
            }
        }
    }

    /// Bytes that are sealed again after they were changed: nothing but the numbers can tell.
    #[test]
    fn sealed_nonsense_never_panics(block in 0..8_u64, at in 0..4092_usize, bytes in any::<[u8; 8]>()) {
        let (medium, model, limits) = settled();
        let mut contents = medium.contents(RUN);
        let place = block as usize * 4096;
        let into = &mut contents[place..place + 4096];
        let count = bytes.len().min(4092 - at);
        into[at..at + count].copy_from_slice(&bytes[..count]);
        crate::index::block::seal(into, 0, block);
        medium.overwrite(RUN, place as u64, &contents[place..place + 4096]);

        let io = Io::new(Box::new(medium.disk()));
        let _ = io.block_on(verify(&io, &config(limits))).unwrap();
        let (process, _) = Process::open(&medium, model.end, limits).unwrap();
        let reader = process.index.reader();
        for stream in model.streams.keys() {
            let key = reader.key(stream);
            let _ = process.io.block_on(reader.last(key, Position::START));
            let _ = process.io.block_on(reader.positions(key, Revision::FIRST, 100, Position::START));
        }
    }
}
