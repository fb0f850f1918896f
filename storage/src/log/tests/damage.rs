//! Each row of the table in `recover.rs`, and damage to every part of every file: what a start, a
//! replay, a reader, the scrub and the offline check say of it.

use super::*;
use crate::disk::simulated::Fault;
use crate::disk::{Done, FileName};

/// Four records fill the first segment, and three are in the second.
const SIZES: [usize; 7] = [100, 4000, 9000, 50, 5000, 60, 8000];
const FIRST: &str = "log/0000000000000000.segment";
const SECOND: &str = "log/0000000000007000.segment";

/// Where the record of this entry lies.
fn place(entry: &Entry) -> (&'static str, u64, u64) {
    let (name, base) =
        if entry.header.position.get() < 0x7000 { (FIRST, 0) } else { (SECOND, 0x7000) };
    let bytes = record_bytes(entry.header.body_bytes);
    (name, 4096 + entry.header.position.get() - base, bytes)
}

fn zero(medium: &Medium, entry: &Entry, range: std::ops::Range<u64>) {
    let (name, offset, bytes) = place(entry);
    assert!(range.end <= bytes);
    medium.overwrite(name, offset + range.start, &vec![0; (range.end - range.start) as usize]);
}

/// What a start says, in words; the offline check must say the same.
fn refusal(medium: &Medium) -> String {
    let io = io(medium);
    let error = open(&io).err().expect("the start is refused");
    let words = error.to_string();
    if let OpenError::Corrupt(corruption) = error {
        let report = io.block_on(verify(&io, &HOME)).unwrap();
        assert!(report.damage.contains(&corruption), "{words}: {:#?}", report.damage);
        assert_eq!(report.torn, None);
    }
    medium.restart();
    words
}

/// Expects that a start cuts the log behind so many entries, and that it can go on there.
fn check_cut(medium: &Medium, all: &[Entry], left: usize) {
    let io = io(medium);
    let report = io.block_on(verify(&io, &HOME)).unwrap();
    assert_eq!(report.damage, []);
    let (mut log, recovery) = open(&io).unwrap();
    let torn = recovery.torn.expect("a torn append is told of");
    assert_eq!((report.torn.unwrap().index, report.records), (torn.index, left as u64));
    assert_eq!((torn.index, torn.position), (all[left].header.index, all[left].header.position));
    assert_eq!(replayed(&io, &log, Position::START).unwrap(), all[..left]);
    let next = entry(&log.end(), "next", &[5]);
    log.append(&next.header, &next.body, LogIndex::ZERO);
    settle(&io, &mut log, 0).unwrap();
    drop((log, io));
    medium.power_loss();
    let io = super::io(medium);
    let (log, recovery) = open(&io).unwrap();
    assert_eq!(recovery.torn, None);
    assert_eq!(log.end(), LogEnd::after(&next.header));
}

#[test]
fn an_append_of_which_only_parts_are_there_is_cut() {
    let all = entries(&SIZES);
    let last = &all[6];
    let ranges = [0..4096, 4096..8192, 8192..12288, 0..512, 512..1024, 7680..8192];
    assert_eq!(place(last).2, 12288);
    for range in ranges {
        let medium = filled(&all, false);
        zero(&medium, last, range);
        check_cut(&medium, &all, 6);
    }
}

#[test]
fn a_whole_record_behind_a_torn_one_proves_nothing() {
    let all = entries(&SIZES);
    for first_bad in [4, 5, 6] {
        // The last three records are in flight at once, so none of them stamps another.
        let medium = filled(&all[..4], false);
        let io = io(&medium);
        let (mut log, _) = open(&io).unwrap();
        for entry in &all[4..] {
            log.append(&entry.header, &entry.body, LogIndex::ZERO);
        }
        settle(&io, &mut log, 0).unwrap();
        drop((log, io));
        medium.restart();
        zero(&medium, &all[first_bad], 0..4096);
        check_cut(&medium, &all, first_bad);
    }
}

#[test]
fn a_torn_append_is_cut_with_the_segments_behind_it() {
    let all = entries(&SIZES);
    // As if all of them had been in flight at once.
    let unproven = |torn: usize| {
        let medium = filled(&all, false);
        for entry in &all {
            let (name, offset, _) = place(entry);
            let record = record::encode(&HOME, &entry.header, UNPROVEN, &entry.body);
            medium.overwrite(name, offset, &record);
        }
        let header = header_of_next(&SETTINGS, LogEnd::after(&all[3].header), UNPROVEN);
        medium.overwrite(SECOND, 0, &header.encode());
        medium.overwrite(FIRST, u64::from(SETTINGS.segment_bytes) - 8192, &[0; 8192]);
        zero(&medium, &all[torn], 0..4096);
        medium
    };
    for torn in 0..all.len() {
        let medium = unproven(torn);
        check_cut(&medium, &all, torn);
        let second_is_left = medium.names().iter().any(|name| **name == *SECOND);
        // Behind the third there is room for the next entry in the first segment.
        assert_eq!(second_is_left, torn > 3, "{torn}");
    }
    let proving = |last: usize| Stamps { durable: all[last].header.index, ..UNPROVEN };
    // One stamp anywhere behind is enough to know better.
    for stamp in [4, 6] {
        let medium = unproven(2);
        let (name, offset, _) = place(&all[stamp]);
        let (header, body) = (&all[stamp].header, &all[stamp].body);
        medium.overwrite(name, offset, &record::encode(&HOME, header, proving(2), body));
        assert!(refusal(&medium).contains("record 3 (position 12288) was on stable storage"));
    }
    let medium = unproven(2);
    let header = header_of_next(&SETTINGS, LogEnd::after(&all[3].header), proving(2));
    medium.overwrite(SECOND, 0, &header.encode());
    assert!(refusal(&medium).contains("record 3 (position 12288) was on stable storage"));
}

#[test]
fn a_record_that_was_durable_once_is_lost_not_torn() {
    let all = entries(&SIZES);
    // The stamp file proves the last, later records the ones before it, a footer those of the first
    // segment: that one is trusted by a start, and checked by a replay.
    let medium = filled(&all, true);
    zero(&medium, &all[6], 0..12288);
    assert_eq!(
        refusal(&medium),
        "the log is damaged: record 7 (position 40960) was on stable storage and is lost: \
         log/0000000000007000.segment, byte 16384"
    );
    let medium = filled(&all, true);
    zero(&medium, &all[6], 4096..8192);
    assert!(refusal(&medium).contains("record 7 (position 40960) was on stable storage"));
    for proven in [4, 5] {
        let medium = filled(&all, false);
        let bytes = place(&all[proven]).2;
        zero(&medium, &all[proven], 0..bytes);
        let words = refusal(&medium);
        let name = format!("record {} ", proven + 1);
        assert!(words.contains(&name) && words.contains("lost"), "{words}");
    }
}

#[test]
fn rot_is_found_in_every_byte_of_a_record() {
    let all = entries(&SIZES);
    for closed in [false, true] {
        for (number, step) in [(4, 61), (6, 127)] {
            let (name, offset, bytes) = place(&all[number]);
            for at in (0..260).chain((260..bytes).step_by(step)).chain([bytes - 1]) {
                let medium = filled_once(&all, closed);
                medium.rot(name, offset + at);
                let words = refusal(&medium);
                let record = format!("record {} ", number + 1);
                assert!(words.contains(&record) && words.contains("fails its"), "{at}: {words}");
                if at > 1000 {
                    let sector = offset + at / 4096 * 4096;
                    assert!(words.contains(&format!("byte {sector}")), "{at}: {words}");
                }
            }
        }
    }
}

/// Names and contents.
type Files = Vec<(FileName, Vec<u8>)>;

/// A copy of [`filled`], whose making takes most of the time.
fn filled_once(all: &[Entry], closed: bool) -> Medium {
    thread_local! {
        static FILES: RefCell<[Option<Files>; 2]> = RefCell::default();
    }
    FILES.with_borrow_mut(|files| {
        let files = files[usize::from(closed)].get_or_insert_with(|| {
            let medium = filled(all, closed);
            let names = medium.names();
            names.into_iter().map(|name| (name.clone(), medium.contents(&name))).collect()
        });
        let medium = Medium::new(1);
        let io = io(&medium);
        for (name, contents) in files {
            let create = Op::Create { name: name.clone(), bytes: contents.len() as u64 };
            let Done::Opened { file, .. } = io.block_on(io.run(create)).unwrap() else { panic!() };
            let mut buffer = AlignedBuffer::zeroed(contents.len());
            buffer.copy_from_slice(contents);
            let durability = Durability::Durable;
            io.block_on(io.run(Op::Write { file, offset: 0, buffer, durability })).unwrap();
            io.block_on(io.run(Op::Sync { file })).unwrap();
        }
        drop(io);
        medium.restart();
        medium
    })
}

#[test]
fn rot_names_the_streams_that_it_touches() {
    let mut end = LogEnd::default();
    let mut made = entry(&end, "first", &[3000]);
    let other = entry(&end, "second", &[3000]);
    made.body.extend_from_slice(&other.body);
    made.header.body_bytes = made.body.len() as u32;
    made.header.event_count = 2;
    made.header.chain = made.header.expected_chain(&HOME.log, &made.body);
    end = LogEnd::after(&made.header);
    let behind = entry(&end, "third", &[10]);
    for (at, streams) in [(600, "first, second"), (5000, "second")] {
        let medium = filled(&[made.clone(), behind.clone()], true);
        medium.rot(FIRST, 4096 + at);
        let words = refusal(&medium);
        assert!(words.ends_with(&format!("; streams touched: {streams}")), "{words}");
    }
}

#[test]
fn a_record_in_another_place_is_misplaced() {
    let all = entries(&SIZES);
    for closed in [false, true] {
        let medium = filled(&all, closed);
        let (name, from, bytes) = place(&all[5]);
        let record = medium.contents(name)[from as usize..][..bytes as usize].to_vec();
        let (name, to, _) = place(&all[6]);
        medium.overwrite(name, to, &record);
        let words = refusal(&medium);
        let expected = "record 7 (position 40960) holds what belongs to entry 6 at position 36864";
        assert!(words.contains(expected), "{words}");
    }
}

#[test]
fn a_misdirected_write_is_never_taken_for_the_log() {
    let all = entries(&SIZES);
    for seed in 0..40 {
        let medium = Medium::new(seed);
        let io = io(&medium);
        let (mut log, _) = open(&io).unwrap();
        settle(&io, &mut log, 0).unwrap();
        for (number, entry) in all.iter().enumerate() {
            if number as u64 == 1 + seed % 6 {
                medium.inject(Fault::MisdirectedWrite);
            }
            log.append(&entry.header, &entry.body, LogIndex::ZERO);
            settle(&io, &mut log, 0).unwrap();
        }
        io.block_on(log.close()).unwrap();
        assert_eq!(medium.strikes().len(), 1);
        drop(io);
        medium.restart();
        let io = super::io(&medium);
        let found = open(&io).and_then(|(log, _)| replayed(&io, &log, Position::START));
        match found {
            // It fell on what nobody needs, such as the spare, or was written again.
            Ok(found) => assert_eq!(found, all, "seed {seed}"),
            Err(error) => {
                assert!(matches!(error, OpenError::Corrupt(_)), "seed {seed}: {error}");
                let report = io.block_on(verify(&io, &HOME)).unwrap();
                assert!(!report.damage.is_empty(), "seed {seed}");
            }
        }
    }
}

#[test]
fn a_record_that_does_not_continue_the_chain_is_not_taken() {
    let all = entries(&SIZES);
    let changes: [fn(&mut Entry); 4] = [
        |entry| entry.header.previous_chain = Default::default(),
        |entry| entry.header.chain = Default::default(),
        |entry| entry.header.events_before += 1,
        |entry| entry.header.epoch = Epoch::ZERO,
    ];
    for change in changes {
        let medium = filled(&all, true);
        let mut forged = all[6].clone();
        change(&mut forged);
        let (name, offset, _) = place(&forged);
        let stamps = Stamps { durable: LogIndex::from_wire(6), ..UNPROVEN };
        let record = record::encode(&HOME, &forged.header, stamps, &forged.body);
        medium.overwrite(name, offset, &record);
        let words = refusal(&medium);
        assert!(words.contains("record 7 (position 40960) does not continue"), "{words}");
        assert!(words.ends_with("streams touched: s6"), "{words}");
    }
}

#[test]
fn rot_in_a_segment_header_is_named() {
    let all = entries(&SIZES);
    for name in [FIRST, SECOND] {
        for at in (0..170).chain((170..4096).step_by(97)) {
            let medium = filled_once(&all, true);
            medium.rot(name, at);
            let expected = format!(
                "the log is damaged: the segment's header fails its checksum: {name}, byte 0"
            );
            assert_eq!(refusal(&medium), expected, "{at}");
        }
    }
}

#[test]
fn a_log_of_a_newer_format_or_another_owner_is_refused() {
    let all = entries(&SIZES);
    let medium = filled(&all, true);
    let start = LogEnd::default();
    let good = header_of_next(&SETTINGS, start, UNPROVEN);
    let mut newer = good.encode();
    newer[88] = 2;
    let checksum = HOME.checksum(&newer);
    newer[8..12].copy_from_slice(&checksum.to_le_bytes());
    medium.overwrite(FIRST, 0, &newer);
    assert_eq!(
        refusal(&medium),
        format!("{FIRST} is of version 2 of the log's format, and this program knows 1")
    );
    let mut foreign = good;
    foreign.home.log.cluster = ClusterId::from_bytes([9; 16]);
    medium.overwrite(FIRST, 0, &foreign.encode());
    let words = refusal(&medium);
    assert!(words.contains("belongs to cluster 09090909"), "{words}");
    let mut disk = good;
    disk.home.disk = DiskId::from_bytes([7; 16]);
    medium.overwrite(FIRST, 0, &disk.encode());
    assert!(refusal(&medium).contains("disk 07070707"));
}

#[test]
fn rot_in_a_footer_is_repaired() {
    let all = entries(&SIZES);
    let length = u64::from(SETTINGS.segment_bytes);
    for at in (0..110).chain((110..8192).step_by(331)) {
        let medium = filled_once(&all, true);
        let good = medium.contents(FIRST);
        medium.rot(FIRST, length - 8192 + at);
        let io = io(&medium);
        let report = io.block_on(verify(&io, &HOME)).unwrap();
        let (mut log, recovery) = open(&io).unwrap();
        assert_eq!(recovery.repaired, report.damage, "{at}");
        assert_eq!(recovery.repaired.len(), 1, "{at}");
        assert_eq!(recovery.repaired[0].part, Part::SegmentFooter);
        assert_eq!(replayed(&io, &log, Position::START).unwrap(), all);
        settle(&io, &mut log, 0).unwrap();
        assert!(medium.contents(FIRST) == good, "{at}: written again, byte for byte");
    }
}

#[test]
fn a_stamp_has_two_copies() {
    let all = entries(&SIZES);
    let medium = filled(&all, true);
    medium.rot("log/stamp", 100);
    medium.rot("log/stamp", 4096 + 100);
    let io = io(&medium);
    let report = io.block_on(verify(&io, &HOME)).unwrap();
    let (log, recovery) = open(&io).unwrap();
    assert_eq!(recovery.repaired[0].to_string(), "the stamp fails its checksum: log/stamp, byte 0");
    assert_eq!(recovery.repaired, report.damage);
    assert_eq!(log.end(), LogEnd::after(&all[6].header));
    drop((log, io));
    medium.restart();
    let io = super::io(&medium);
    assert_eq!(open(&io).unwrap().1.repaired, [], "made anew");
}

#[test]
fn a_missing_segment_is_named() {
    let all = entries(&[9000, 9000, 9000, 9000, 9000, 9000]);
    let remove = |medium: &Medium, name: &str| {
        let io = io(medium);
        io.block_on(io.run(Op::Remove { name: name.into() })).unwrap();
        drop(io);
        medium.restart();
    };
    for number in 0..3 {
        let medium = filled(&all, true);
        let name = segment::file_name(all[number * 2].header.position);
        remove(&medium, &name);
        let expected = format!("the log is damaged: the segment is missing: {name}, byte 0");
        assert_eq!(refusal(&medium), expected);
    }
    let medium = filled(&all[..1], true);
    remove(&medium, FIRST);
    assert!(refusal(&medium).contains("the segment is missing"), "the stamp knows of it");
}

#[test]
fn rot_in_a_sealed_segment_is_found_by_all_who_read_it() {
    let all = entries(&SIZES);
    let (name, offset, bytes) = place(&all[1]);
    for at in (0..bytes).step_by(301) {
        let medium = filled_once(&all, true);
        medium.rot(name, offset + at);
        let io = io(&medium);
        let (log, recovery) = open(&io).unwrap();
        assert_eq!(recovery.scanned_bytes, u64::from(SETTINGS.segment_bytes), "{at}: one segment");
        let replay = replayed(&io, &log, Position::START).unwrap_err().to_string();
        assert!(replay.contains("record 2 (position 4096) fails its checksum"), "{replay}");
        assert_eq!(replayed(&io, &log, all[4].header.position).unwrap(), all[4..]);

        let reader = log.reader();
        let end = log.end().position;
        let read = reader.read_forwards(all[1].header.position, end);
        assert_eq!(io.block_on(read).unwrap_err().to_string(), replay);
        let read = io.block_on(reader.read_event(all[1].header.body_position()));
        if at >= body_start(&all[1]) + 8 {
            // Rot in the padding or the record's header harms no event by itself.
            let in_event = at < body_start(&all[1]) + all[1].body.len() as u64;
            assert_eq!(read.err().map(|error| error.to_string()), in_event.then_some(replay));
        }

        let mut scrub = Scrub::new(reader, 1);
        let found = scrubbed(&io, &mut scrub);
        let report = io.block_on(verify(&io, &HOME)).unwrap();
        let [Found::Damaged { error: ReadError::Corrupt(corruption), before }] = &found[..] else {
            panic!("{found:?}")
        };
        assert_eq!(report.damage, [(**corruption).clone()], "{at}");
        assert_eq!(*before, Some(LogEnd::after(&all[0].header)), "{at}");
        assert_eq!(report.records, 6, "all others");
        assert_eq!(report.end, log.end());
    }
}

fn body_start(entry: &Entry) -> u64 {
    entry.header.body_position().since(entry.header.position)
}

/// The damage that a whole pass finds.
pub(super) fn scrubbed(io: &Io, scrub: &mut Scrub) -> Vec<Found> {
    let mut found = Vec::new();
    let mut context = Context::from_waker(Waker::noop());
    let mut now = Instant::START;
    while scrub.progress().passes == 0 {
        let is_damage = |found: &Found| matches!(found, Found::Damaged { .. });
        found.extend(scrub.poll(now, &mut context).filter(is_damage));
        now = scrub.next_timer().unwrap_or(now);
        io.turn();
    }
    found
}

#[test]
fn a_scrub_goes_over_all_sealed_segments_below_its_rate() {
    let all = entries(&[9000; 9]);
    let medium = filled(&all, true);
    let io = io(&medium);
    let (log, report) = open(&io).unwrap();
    assert_eq!(report.segments, 5);
    let mut scrub = Scrub::new(log.reader(), 1 << 20);
    assert_eq!(scrub.progress().total, all[8].header.position);
    assert_eq!(scrubbed(&io, &mut scrub), []);
    let mut context = Context::from_waker(Waker::noop());
    let mut now = scrub.next_timer().unwrap();
    let start = now.nanos();
    let mut upto = Position::START;
    while scrub.progress().checked < scrub.progress().total {
        if let Some(found) = scrub.poll(now, &mut context) {
            let Found::Sound(range) = found else { panic!("{found:?}") };
            assert_eq!(range.start, upto);
            upto = range.end;
        }
        io.turn();
        now = scrub.next_timer().unwrap_or(now);
    }
    assert_eq!(upto, scrub.progress().total);
    let nanos = now.nanos() - start;
    let bytes = scrub.progress().total.get();
    assert!(nanos >= bytes * 900, "{bytes} bytes in {nanos} ns is more than 1 MiB/s");
    let report = io.block_on(verify(&io, &HOME)).unwrap();
    assert_eq!((report.records, report.events, report.segments), (9, 9, 5));
    assert_eq!((report.end, report.torn, report.damage), (log.end(), None, vec![]));
}
