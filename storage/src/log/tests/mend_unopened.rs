//! Mending a log that can't be opened, or not read again, because of the damage.

use super::super::stamp::{Stamp, StampFile};
use super::*;
use crate::disk::simulated::{CrashPoint, ENDS};

/// Four records fill the first segment, and three are in the second, which takes more.
const SIZES: [usize; 7] = [100, 4000, 9000, 50, 5000, 60, 8000];
/// The last one of them.
const LAST: usize = SIZES.len() - 1;

/// The file that holds this entry, and where its record lies there.
fn place(all: &[Entry], number: usize) -> (String, u64) {
    let base = if number < 4 { Position::START } else { all[4].header.position };
    (segment::file_name(base).into(), 4096 + all[number].header.position.since(base))
}

/// Where the log is good up to, before one of these entries.
fn before(all: &[Entry], number: usize) -> LogEnd {
    number.checked_sub(1).map_or(LogEnd::default(), |before| LogEnd::after(&all[before].header))
}

/// What a start meets: an entry that can't be read.
fn start(io: &Io) -> Result<Log, Corruption> {
    let opened = open(io).and_then(|(log, _)| replayed(io, &log, Position::START).map(|_| log));
    opened.map_err(|error| match error {
        OpenError::Corrupt(corruption) => *corruption,
        other => panic!("{other}"),
    })
}

/// Where the log is good up to, of one that can't be started from.
fn found(io: &Io) -> LogEnd {
    let corruption = start(io).err().expect("it is damaged");
    io.block_on(good_before(io, &HOME, &corruption)).unwrap().expect("it is a record")
}

fn mended(io: &Io, before: LogEnd, with: &Entry) -> Result<(), MendError> {
    io.block_on(mend_unopened(io, &HOME, before, with.header, with.body.clone()))
}

fn check_sound(io: &Io, all: &[Entry]) {
    let (log, _) = open(io).unwrap();
    assert_eq!(replayed(io, &log, Position::START).unwrap(), all);
    assert_eq!(io.block_on(verify(io, &HOME)).unwrap().damage, []);
}

#[test]
fn each_damaged_record_is_mended_wherever_it_is() {
    let all = entries(&SIZES);
    for closed in [true, false] {
        for (number, entry) in all.iter().enumerate() {
            for at in (0..record_bytes(entry.header.body_bytes)).step_by(499) {
                let medium = filled(&all, closed);
                let (file, offset) = place(&all, number);
                medium.rot(&file, offset + at);
                let io = io(&medium);
                assert_eq!(found(&io), before(&all, number));
                mended(&io, before(&all, number), entry).unwrap();
                check_sound(&io, &all);
                drop(io);
                medium.power_loss();
                check_sound(&super::io(&medium), &all);
            }
        }
    }
}

#[test]
fn several_damaged_records_are_mended_one_behind_the_other() {
    let all = entries(&SIZES);
    let medium = filled(&all, true);
    for number in [1, 2, 4, 6] {
        let (file, offset) = place(&all, number);
        medium.rot(&file, offset + 9);
    }
    let io = io(&medium);
    let mut numbers = Vec::new();
    while let Err(corruption) = start(&io) {
        let before = io.block_on(good_before(&io, &HOME, &corruption)).unwrap().unwrap();
        let number = before.index.get() as usize;
        mended(&io, before, &all[number]).unwrap();
        numbers.push(number);
    }
    assert_eq!(numbers, [4, 6, 1, 2], "those without which nothing can be opened come first");
    check_sound(&io, &all);
}

#[test]
fn another_leader_s_entry_takes_the_place_of_one_that_was_never_committed() {
    let all = entries(&SIZES);
    let epoch = Epoch::from_wire(2);
    for (bytes, fits) in [(8000, true), (10, false)] {
        let medium = filled(&all, true);
        let (file, offset) = place(&all, LAST);
        medium.rot(&file, offset + 5);
        let io = io(&medium);
        let with = entry_in(epoch, &before(&all, LAST), "other", &[bytes]);
        mended(&io, before(&all, LAST), &with).unwrap();
        let mut expected = all[..LAST].to_vec();
        expected.push(with);
        if !fits {
            // What is left of the longer one can't be told from what was acknowledged.
            let end = LogEnd::after(&expected[LAST].header);
            assert_eq!(found(&io), end);
            expected.push(entry_in(epoch, &end, "other", &[8000]));
            mended(&io, end, &expected[LAST + 1]).unwrap();
        }
        check_sound(&io, &expected);
    }
}

#[test]
fn what_does_not_continue_the_log_changes_nothing() {
    let all = entries(&SIZES);
    let mut body = all[4].body.clone();
    body[200] ^= 1;
    let cases = [
        (6, all[5].clone(), "another entry"),
        (6, entry(&before(&all, 3), "forged", &[8000]), "one that continues another log"),
        (6, entry(&before(&all, 6), "forged", &[40_000]), "one that is longer than the segment"),
        (1, entry(&before(&all, 1), "forged", &[4000]), "one that the next does not follow"),
        (4, Entry { body, ..all[4].clone() }, "a body that is not what its chain says"),
    ];
    for (number, with, story) in cases {
        let medium = filled(&all, true);
        let (file, offset) = place(&all, number);
        medium.rot(&file, offset + 4);
        let io = io(&medium);
        let writes = medium.changes_completed();
        let result = mended(&io, before(&all, number), &with);
        assert_eq!(result, Err(MendError::Unfit), "{story}");
        assert_eq!(medium.changes_completed(), writes, "{story}");
    }
}

/// The entry of this number is damaged and mended with another, and the process ends at each change
/// of the disk in turn; how often it did.
fn crashes(seed: u64, all: &[Entry], closed: bool, number: usize, with: &Entry) -> usize {
    let mut expected = all.to_vec();
    expected[number] = with.clone();
    let survival = ENDS[seed as usize % ENDS.len()];
    let mut crashes = 0;
    for point in [CrashPoint::Submitted, CrashPoint::Completed] {
        for change in 1.. {
            let medium = Medium::new(seed);
            fill(&medium, all, closed);
            let (file, offset) = place(all, number);
            medium.rot(&file, offset + 17);
            let io = io(&medium);
            medium.crash_at(point(medium.changes_completed() + change));
            let result = mended(&io, before(all, number), with);
            if !medium.has_crashed() {
                result.unwrap();
                break;
            }
            crashes += 1;
            drop(io);
            medium.end(survival);
            let io = super::io(&medium);
            if start(&io).is_err() {
                assert_eq!(found(&io), before(all, number));
                mended(&io, before(all, number), with).unwrap();
            }
            check_sound(&io, &expected);
        }
    }
    crashes
}

#[test]
fn a_crash_at_any_moment_leaves_damage_or_the_entry() {
    let all = entries(&SIZES);
    // Half of it, with zeros behind, would look as if its write had not been finished.
    let short = &all[..LAST];
    let longer = entry_in(Epoch::from_wire(2), &before(&all, LAST - 1), "other", &[8000]);
    let count = |seed| {
        crashes(seed, &all, true, LAST, &all[LAST])
            + crashes(seed, &all, false, LAST, &all[LAST])
            + crashes(seed, &all, false, 4, &all[4])
            + crashes(seed, short, false, LAST - 1, &longer)
    };
    let crashes: usize = (0..60).map(count).sum();
    assert!(crashes > 800, "{crashes}");
}

#[test]
fn a_truncation_under_way_is_not_mixed_with_it() {
    let all = entries(&SIZES);
    let medium = filled(&all, true);
    let io = io(&medium);
    let intend = async {
        let stamp = StampFile::open(&io, &HOME, Stamp { sequence: 9, ..Stamp::default() }).await?;
        stamp.intend(before(&all, LAST), LogIndex::ZERO).await?;
        stamp.close().await
    };
    io.block_on(intend).unwrap();
    let (file, offset) = place(&all, 4);
    medium.rot(&file, offset + 4);
    assert_eq!(found(&io), before(&all, 4));
    assert_eq!(mended(&io, before(&all, 4), &all[4]), Err(MendError::Truncating));
}

#[test]
fn what_is_no_record_is_not_looked_for() {
    let all = entries(&SIZES);
    let medium = filled(&all, true);
    medium.rot(&place(&all, 0).0, 100);
    let io = io(&medium);
    let corruption = start(&io).err().expect("a header is damaged");
    assert_eq!(corruption.part, Part::SegmentHeader);
    assert_eq!(io.block_on(good_before(&io, &HOME, &corruption)), Ok(None));
}
