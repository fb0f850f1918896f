//! Mending: what another node has takes the place of what was damaged, and nothing else does.

use super::damage::scrubbed;
use super::*;
use crate::disk::simulated::{CrashPoint, ENDS};

/// Four records fill the first segment, and three are in the second, which takes more.
const SIZES: [usize; 7] = [100, 4000, 9000, 50, 5000, 60, 8000];
const FIRST: &str = "log/0000000000000000.segment";

/// Where in the first segment's file the record of this entry lies.
fn offset(entry: &Entry) -> u64 {
    4096 + entry.header.position.get()
}

/// Where the log is good up to, before one of these entries.
fn before(all: &[Entry], number: usize) -> LogEnd {
    number.checked_sub(1).map_or(LogEnd::default(), |before| LogEnd::after(&all[before].header))
}

fn mended(io: &Io, log: &Log, before: LogEnd, with: &Entry) -> Result<(), MendError> {
    io.block_on(mend(log.reader(), before, with.header, with.body.clone()))
}

fn check_sound(io: &Io, log: &Log, all: &[Entry]) {
    assert_eq!(replayed(io, log, Position::START).unwrap(), all);
    assert_eq!(scrubbed(io, &mut Scrub::new(log.reader(), 1 << 40)), []);
    assert_eq!(io.block_on(verify(io, &HOME)).unwrap().damage, []);
}

#[test]
fn each_damaged_record_of_a_sealed_segment_is_mended() {
    let all = entries(&SIZES);
    for number in 0..4 {
        for at in (0..record_bytes(all[number].header.body_bytes)).step_by(499) {
            let medium = filled(&all, true);
            medium.rot(FIRST, offset(&all[number]) + at);
            let io = io(&medium);
            let (log, _) = open(&io).unwrap();
            mended(&io, &log, before(&all, number), &all[number]).unwrap();
            check_sound(&io, &log, &all);
            // It is on stable storage.
            drop((log, io));
            medium.power_loss();
            let io = super::io(&medium);
            check_sound(&io, &open(&io).unwrap().0, &all);
        }
    }
}

#[test]
fn a_scrub_that_looks_again_finds_the_next_damage_behind_a_mended_one() {
    let all = entries(&SIZES);
    let medium = filled(&all, true);
    for entry in &all[..4] {
        medium.rot(FIRST, offset(entry) + 7);
    }
    let io = io(&medium);
    let (log, _) = open(&io).unwrap();
    let mut scrub = Scrub::new(log.reader(), 1 << 40);
    let mut context = Context::from_waker(Waker::noop());
    let (mut now, mut found) = (Instant::START, Vec::new());
    while scrub.progress().passes == 0 {
        if let Some(Found::Damaged { before, .. }) = scrub.poll(now, &mut context) {
            let before = before.expect("a record is at fault");
            let number = before.index.get() as usize;
            found.push(number);
            mended(&io, &log, before, &all[number]).unwrap();
            scrub.look_again(before);
        }
        now = scrub.next_timer().unwrap_or(now);
        io.turn();
    }
    assert_eq!(found, [0, 1, 2, 3]);
    check_sound(&io, &log, &all);
}

#[test]
fn a_segment_in_which_somebody_met_damage_is_looked_at_at_once() {
    let all = entries(&SIZES);
    let medium = filled(&all, true);
    let io = io(&medium);
    let (log, _) = open(&io).unwrap();
    let mut scrub = Scrub::new(log.reader(), 1);
    assert_eq!(scrubbed(&io, &mut scrub), []);
    medium.rot(FIRST, offset(&all[2]) + 5000);
    let mut context = Context::from_waker(Waker::noop());
    // In the segment that takes more there is nothing for it to do.
    assert!(!scrub.suspect(all[5].header.position));
    assert!(scrub.next_timer().unwrap() > Instant::START, "a pass has just ended");
    assert!(scrub.suspect(all[3].header.position));
    // No time passes, whatever its rate is.
    assert_eq!(scrub.next_timer(), Some(Instant::START));
    loop {
        if let Some(Found::Damaged { before: found, .. }) = scrub.poll(Instant::START, &mut context)
        {
            assert_eq!(found, Some(before(&all, 2)));
            break;
        }
        io.turn();
    }
}

/// An entry that nobody but its maker believes in.
fn forged(after: &LogEnd, data_bytes: usize) -> Entry {
    entry(after, "forged", &[data_bytes])
}

#[test]
fn what_does_not_fit_the_log_around_the_damage_is_not_written() {
    let all = entries(&SIZES);
    let last = LogEnd::after(&all[2].header);
    let changed = |change: fn(&mut Entry)| {
        let mut entry = all[1].clone();
        change(&mut entry);
        entry
    };
    // With what is damaged, and what is sent instead.
    let cases = [
        (1, all[0].clone(), "another entry"),
        (1, all[2].clone(), "another entry"),
        (1, changed(|it| it.body[200] ^= 1), "a body that is not what its chain says"),
        (1, changed(|it| it.header.epoch = Epoch::from_wire(9)), "a header that is not"),
        (1, forged(&before(&all, 1), 4000), "one of the same length that the next does not follow"),
        (1, forged(&before(&all, 1), 10), "a shorter one"),
        (1, forged(&before(&all, 1), 9500), "a longer one"),
        (1, forged(&before(&all, 1), 20_000), "one that is longer than the segment"),
        (3, forged(&last, 50), "one that the segment's end does not follow"),
    ];
    for (number, with, story) in cases {
        let medium = filled(&all, true);
        medium.rot(FIRST, offset(&all[number]) + 4);
        let damaged = medium.contents(FIRST);
        let io = io(&medium);
        let (log, _) = open(&io).unwrap();
        let result = mended(&io, &log, before(&all, number), &with);
        assert_eq!(result, Err(MendError::Unfit), "{story}");
        assert_eq!(medium.contents(FIRST), damaged, "{story}");
    }
}

#[test]
fn nothing_is_written_where_all_is_good_or_more_may_be_appended() {
    let all = entries(&SIZES);
    let medium = filled(&all, true);
    let io = io(&medium);
    let (log, _) = open(&io).unwrap();
    let writes = medium.changes_completed();
    mended(&io, &log, before(&all, 1), &all[1]).unwrap();
    for number in [4, 6] {
        let result = mended(&io, &log, before(&all, number), &all[number]);
        assert_eq!(result, Err(MendError::NotSealed));
    }
    assert_eq!(medium.changes_completed(), writes);
}

#[test]
fn a_record_between_two_damaged_ones_is_mended_all_the_same() {
    let all = entries(&SIZES);
    let medium = filled(&all, true);
    for number in [1, 2] {
        medium.rot(FIRST, offset(&all[number]) + 4);
    }
    let io = io(&medium);
    let (log, _) = open(&io).unwrap();
    // There must be room for the other one.
    let long = forged(&before(&all, 1), 17_000);
    assert_eq!(mended(&io, &log, before(&all, 1), &long), Err(MendError::Unfit));
    for number in [1, 2] {
        mended(&io, &log, before(&all, number), &all[number]).unwrap();
    }
    check_sound(&io, &log, &all);
}

#[test]
fn a_crash_while_it_is_mended_leaves_damage_or_the_entry() {
    let all = entries(&SIZES);
    for (seed, survival) in (0..40).zip(ENDS.into_iter().cycle()) {
        for point in [CrashPoint::Submitted, CrashPoint::Completed] {
            let medium = Medium::new(seed);
            fill(&medium, &all, true);
            medium.rot(FIRST, offset(&all[2]) + 4096 + 17);
            let io = io(&medium);
            let (log, _) = open(&io).unwrap();
            medium.crash_at(point(medium.changes_completed() + 1));
            mended(&io, &log, before(&all, 2), &all[2]).unwrap_err();
            assert!(medium.has_crashed());
            drop((log, io));
            medium.end(survival);
            let io = super::io(&medium);
            let (log, _) = open(&io).unwrap();
            assert_eq!(log.end(), before(&all, 7), "the log is as long as it was");
            mended(&io, &log, before(&all, 2), &all[2]).unwrap();
            check_sound(&io, &log, &all);
        }
    }
}
