//! Entries taken back: at any place, whatever is under way, and with a crash at every moment.

use super::*;
use crate::disk::FileName;
use crate::disk::simulated::{Crash, CrashPoint, Fault, FaultPlan, Survival, crash_everywhere};

/// Fill three segments and a part of the fourth.
const SIZES: [usize; 9] = [100, 4000, 9000, 50, 5000, 60, 8000, 9000, 10];

pub(super) fn end_of(all: &[Entry], count: usize) -> LogEnd {
    count.checked_sub(1).map_or(LogEnd::default(), |last| LogEnd::after(&all[last].header))
}

/// Entries of the next epoch behind the first `count`.
fn replacing(all: &[Entry], count: usize, sizes: &[usize]) -> Vec<Entry> {
    let mut end = end_of(all, count);
    let make = |bytes: &usize| {
        let made = entry_in(Epoch::from_wire(2), &end, "other", &[*bytes]);
        end = LogEnd::after(&made.header);
        made
    };
    sizes.iter().map(make).collect()
}

fn append(log: &mut Log, entries: &[Entry]) {
    for entry in entries {
        log.append(&entry.header, &entry.body, LogIndex::ZERO);
    }
}

fn truncated(log: &mut Log) -> Vec<u64> {
    std::iter::from_fn(|| log.take_truncated()).map(LogIndex::get).collect()
}

/// What a start finds after the power has gone.
fn found_after_power_loss(medium: &Medium) -> (Vec<Entry>, Recovery) {
    medium.power_loss();
    let io = io(medium);
    let report = io.block_on(verify(&io, &HOME)).unwrap();
    assert_eq!(report.damage, []);
    let (log, recovery) = open(&io).unwrap();
    (replayed(&io, &log, Position::START).unwrap(), recovery)
}

#[test]
fn a_log_is_cut_at_any_entry_and_goes_on_there() {
    let all = entries(&SIZES);
    for closed in [false, true] {
        for count in 0..=all.len() {
            let medium = filled(&all, closed);
            let io = io(&medium);
            let (mut log, _) = open(&io).unwrap();
            settle(&io, &mut log, 0).unwrap();
            log.truncate(end_of(&all, count));
            assert_eq!(log.end(), end_of(&all, count), "at once");
            let others = replacing(&all, count, &[7, 9000, 30, 8000, 5000]);
            append(&mut log, &others);
            let written = settle(&io, &mut log, 0).unwrap();
            assert_eq!(truncated(&mut log), [count as u64]);
            assert_eq!(written.len(), others.len());
            assert!(written.iter().all(|written| written.epoch.get() == 2));
            let expected = [&all[..count], &others[..]].concat();
            drop((log, io));
            let (found, recovery) = found_after_power_loss(&medium);
            assert_eq!(found, expected);
            assert_eq!((recovery.torn, recovery.truncated), (None, None));
            assert_eq!(recovery.repaired, []);
        }
    }
}

#[test]
fn what_was_never_written_is_forgotten_at_once() {
    let all = entries(&SIZES);
    let medium = filled(&all[..2], false);
    let io = io(&medium);
    let (mut log, _) = open(&io).unwrap();
    settle(&io, &mut log, 0).unwrap();
    medium.hold();
    append(&mut log, &all[2..]);
    let waiting = log.queue.front().expect("some wait for a segment").entry.index;
    let changes = medium.changes_completed();
    let count = waiting.get() as usize;
    log.truncate(end_of(&all, count));
    assert_eq!(truncated(&mut log), [count as u64]);
    log.truncate(end_of(&all, count));
    assert_eq!(truncated(&mut log), [count as u64], "nothing to do");
    assert_eq!(medium.changes_completed(), changes);
    medium.release();
    assert_eq!(settle(&io, &mut log, 0).unwrap().len(), count - 2);
}

#[test]
fn a_segment_that_was_begun_for_a_removed_entry_is_used() {
    let all = entries(&[9000, 9000, 9000]);
    let medium = filled(&all[..1], false);
    let io = io(&medium);
    let (mut log, _) = open(&io).unwrap();
    settle(&io, &mut log, 0).unwrap();
    append(&mut log, &all[1..]);
    assert!(log.activation.is_some(), "the third has no room");
    log.truncate(end_of(&all, 2));
    let others = replacing(&all, 2, &[10]);
    append(&mut log, &others);
    settle(&io, &mut log, 0).unwrap();
    let expected = [&all[..2], &others[..]].concat();
    assert_eq!(replayed(&io, &log, Position::START).unwrap(), expected);
    drop((log, io));
    assert_eq!(found_after_power_loss(&medium).0, expected);
}

#[test]
fn nothing_removed_is_reported_written() {
    let all = entries(&SIZES);
    for count in 1..all.len() {
        for turns in 0..12 {
            let medium = Medium::with_faults(turns, FaultPlan::NONE.reordering());
            let io = io(&medium);
            let (mut log, _) = open(&io).unwrap();
            settle(&io, &mut log, 0).unwrap();
            append(&mut log, &all);
            let mut context = Context::from_waker(Waker::noop());
            let mut before = Vec::new();
            for _ in 0..turns {
                log.poll(Instant::START, &mut context, &mut before).unwrap();
                io.turn();
            }
            // The last one to be asked for has the last word.
            let first = (count + turns as usize % 3).min(all.len());
            log.truncate(end_of(&all, first));
            let mut after = Vec::new();
            for _ in 0..turns % 4 {
                log.poll(Instant::START, &mut context, &mut after).unwrap();
                io.turn();
            }
            assert!(after.iter().all(|written| written.index.get() <= first as u64));
            log.truncate(end_of(&all, count));
            let others = replacing(&all, count, &[10, 9000, 20]);
            append(&mut log, &others);
            let written = settle(&io, &mut log, 0).unwrap();
            let removed =
                |written: &Written| written.index.get() > count as u64 && written.epoch.get() == 1;
            assert!(!written.iter().any(removed));
            assert_eq!(truncated(&mut log), [first as u64, count as u64]);
            assert_eq!(log.durable, log.end.index);
            let expected = [&all[..count], &others[..]].concat();
            assert_eq!(replayed(&io, &log, Position::START).unwrap(), expected);
            drop((log, io));
            assert_eq!(found_after_power_loss(&medium).0, expected, "{count} {turns}");
        }
    }
}

#[test]
#[should_panic(expected = "what is committed is never removed")]
fn what_is_committed_is_never_removed() {
    let all = entries(&SIZES);
    let medium = filled(&all, false);
    let io = io(&medium);
    let (mut log, _) = open(&io).unwrap();
    log.note_committed(LogIndex::from_wire(5));
    log.truncate(end_of(&all, 4));
}

#[test]
fn removed_bytes_are_kept_for_a_while() {
    let all = entries(&SIZES);
    let medium = filled(&all, true);
    let io = io(&medium);
    let (mut log, _) = open(&io).unwrap();
    let mut expected = all.clone();
    for number in 1..=6 {
        let count = 3;
        log.truncate(end_of(&expected, count));
        let others = replacing(&expected, count, &[number * 100]);
        append(&mut log, &others);
        settle(&io, &mut log, 0).unwrap();
        let name = format!("log/quarantine-{}", number % 4);
        let kept = medium.contents(&name);
        let removed = &expected[count];
        let start = body_offset(removed.header.body_bytes) as usize;
        assert_eq!(kept[4096 + start..][..removed.body.len()], removed.body);
        expected.truncate(count);
        expected.extend(others);
    }
    let is_kept = |name: &&FileName| name.starts_with("log/quarantine");
    assert_eq!(medium.names().iter().filter(is_kept).count(), 4);
    // A full disk keeps nothing, and truncates all the same.
    medium.set_space(0);
    log.truncate(end_of(&expected, 2));
    settle(&io, &mut log, 0).unwrap();
    assert_eq!(truncated(&mut log).last(), Some(&2));
}

#[test]
fn a_torn_append_behind_a_truncation_is_torn_and_not_lost() {
    let all = entries(&SIZES);
    for count in [1, 4, 5, 7] {
        for closed in [false, true] {
            let medium = filled(&all, closed);
            let io = io(&medium);
            let (mut log, _) = open(&io).unwrap();
            settle(&io, &mut log, u64::MAX / 2).unwrap();
            log.truncate(end_of(&all, count));
            settle(&io, &mut log, 0).unwrap();
            medium.hold();
            append(&mut log, &replacing(&all, count, &[9000]));
            io.with_disk(|disk| disk.flush());
            drop((log, io));
            medium.power_loss_keeping(Survival::SmallSectors);
            let io = super::io(&medium);
            let (log, _) = open(&io).unwrap();
            let found = replayed(&io, &log, Position::START).unwrap();
            assert_eq!(found[..count], all[..count]);
        }
    }
}

#[test]
fn either_copy_of_the_stamp_may_rot_after_a_truncation() {
    let all = entries(&SIZES);
    for copy in [0, 4096] {
        let medium = filled(&all, true);
        let io = io(&medium);
        let (mut log, _) = open(&io).unwrap();
        log.truncate(end_of(&all, 3));
        let others = replacing(&all, 3, &[10, 20]);
        append(&mut log, &others);
        settle(&io, &mut log, 0).unwrap();
        drop((log, io));
        medium.restart();
        medium.rot("log/stamp", copy + 70);
        assert_eq!(found_after_power_loss(&medium).0, [&all[..3], &others[..]].concat());
    }
}

#[test]
fn an_intent_that_does_not_fit_the_log_removes_nothing() {
    let all = entries(&SIZES);
    let good = end_of(&all, 5);
    let wrong = [
        LogEnd { chain: Default::default(), ..good },
        LogEnd { index: good.index.next(), ..good },
        LogEnd { position: good.position.plus(4096), ..good },
        LogEnd { position: Position::from_wire(1 << 40), ..good },
    ];
    for end in wrong {
        let medium = filled(&all, true);
        let stamp = stamp::Stamp { sequence: 100, intent: Some(end), ..Default::default() };
        medium.overwrite("log/stamp", 0, &stamp.encode(&HOME));
        let names = medium.names();
        let io = io(&medium);
        let report = io.block_on(verify(&io, &HOME)).unwrap();
        assert!(!report.damage.is_empty());
        assert!(matches!(open(&io), Err(OpenError::Corrupt(_))), "{end:?}");
        assert_eq!(medium.names(), names);
    }
}

#[test]
fn a_failed_write_during_a_truncation_ends_the_log() {
    let all = entries(&SIZES);
    let medium = filled(&all, true);
    let io = io(&medium);
    let (mut log, _) = open(&io).unwrap();
    settle(&io, &mut log, 0).unwrap();
    log.truncate(end_of(&all, 3));
    medium.inject(Fault::FailedWrite);
    settle(&io, &mut log, 0).unwrap_err();
    assert_eq!(truncated(&mut log), [0; 0]);
}

/// The write failed, and yet what it wrote is read, until the power goes.
#[test]
fn an_intent_that_a_power_loss_may_take_away_is_made_durable_before_it_is_carried_out() {
    let all = entries(&SIZES);
    let mut truncated_starts = 0;
    for seed in 0..8 {
        for change in 1..24 {
            let medium = Medium::with_faults(seed, FaultPlan::NONE);
            fill(&medium, &all, true);
            let first = io(&medium);
            let (mut log, _) = open(&first).unwrap();
            settle(&first, &mut log, 0).unwrap();
            log.truncate(end_of(&all, 3));
            medium.inject(Fault::FailedWrite);
            settle(&first, &mut log, 0).unwrap_err();
            drop((log, first));
            medium.restart();
            medium.crash_at(CrashPoint::Submitted(medium.changes_completed() + change));
            let second = io(&medium);
            let was_truncated = open(&second).is_ok_and(|(_, found)| found.truncated.is_some());
            truncated_starts += u32::from(was_truncated);
            drop(second);
            let (found, _) = found_after_power_loss(&medium);
            assert!(found == all || found == all[..3], "seed {seed}, change {change}");
        }
    }
    assert!(truncated_starts > 0, "a failed write is never read");
}

#[test]
fn a_scrub_sees_nothing_wrong_in_what_was_removed() {
    let all = entries(&[9000; 9]);
    for turns in 0..20 {
        let medium = filled(&all, true);
        let io = io(&medium);
        let (mut log, _) = open(&io).unwrap();
        let mut scrub = Scrub::new(log.reader(), 1 << 40);
        let mut context = Context::from_waker(Waker::noop());
        let mut scrub_on = |scrub: &mut Scrub| {
            let now = scrub.next_timer().unwrap_or(Instant::START);
            let found = scrub.poll(now, &mut context);
            assert!(!matches!(found, Some(Found::Damaged { .. })), "{turns}: {found:?}");
        };
        for turn in 0..60 {
            if turn == turns {
                log.truncate(end_of(&all, 3));
            }
            scrub_on(&mut scrub);
            io.turn();
            let mut context = Context::from_waker(Waker::noop());
            log.poll(Instant::START, &mut context, &mut Vec::new()).unwrap();
        }
        assert_eq!(truncated(&mut log), [3]);
        assert!(scrub.progress().checked <= scrub.progress().total);
    }
}

#[test]
fn entries_are_read_by_their_index() {
    let all = entries(&SIZES);
    for closed in [false, true] {
        let medium = filled(&all, closed);
        let io = io(&medium);
        let (mut log, _) = open(&io).unwrap();
        let reader = log.reader();
        let read = |from: u64, bytes: u64| {
            let from = LogIndex::from_wire(from);
            let chunk = io.block_on(reader.read_entries(from, bytes)).unwrap()?;
            let found = chunk.records().map(|(h, b)| Entry { header: *h, body: b.to_vec() });
            Some(found.collect::<Vec<Entry>>())
        };
        for bytes in [0, 4096, 20_000, 1 << 20] {
            for from in 0..all.len() {
                let found = read(from as u64 + 1, bytes).unwrap();
                assert!(!found.is_empty());
                assert_eq!(found[..], all[from..from + found.len()]);
                let length = |e: &Entry| record_bytes(e.header.body_bytes);
                let total: u64 = found.iter().map(length).sum();
                assert!(total <= bytes || found.len() == 1);
            }
        }
        assert_eq!(read(all.len() as u64 + 1, 1), None);
        log.truncate(end_of(&all, 4));
        assert_eq!(read(5, 1), None);
        assert_eq!(read(4, 1), Some(vec![all[3].clone()]));
        settle(&io, &mut log, 0).unwrap();
        let others = replacing(&all, 4, &[10]);
        append(&mut log, &others);
        settle(&io, &mut log, 0).unwrap();
        assert_eq!(read(5, 1), Some(others));
    }
}

#[test]
fn a_read_that_a_truncation_overtakes_gives_nothing() {
    let all = entries(&SIZES);
    let medium = filled(&all, true);
    let io = io(&medium);
    let (mut log, _) = open(&io).unwrap();
    let reader = log.reader();
    let mut read = Box::pin(reader.read_entries(LogIndex::from_wire(6), 1 << 20));
    assert!(read.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    log.truncate(end_of(&all, 3));
    settle(&io, &mut log, 0).unwrap();
    assert!(io.block_on(read).unwrap().is_none());
}

/// Fills a log, takes entries back, and appends others; says how far it came.
fn take_back(medium: &Medium, all: &[Entry], count: usize, others: &[Entry]) -> Stage {
    let io = io(medium);
    let Ok((mut log, _)) = open(&io) else { return Stage::Filling };
    append(&mut log, all);
    if settle(&io, &mut log, u64::MAX / 2).is_err() {
        return Stage::Filling;
    }
    log.truncate(end_of(all, count));
    append(&mut log, others);
    match settle(&io, &mut log, u64::MAX / 2) {
        Ok(_) => Stage::Done,
        Err(_) if truncated(&mut log).is_empty() => Stage::Removing,
        Err(_) => Stage::Appending,
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Filling,
    Removing,
    Appending,
    Done,
}

/// What may be there after a crash in this stage; gives how much of the others.
fn check_left(found: &[Entry], stage: Stage, all: &[Entry], count: usize, others: &[Entry]) {
    let is_old = || found.len() <= all.len() && *found == all[..found.len()];
    let is_new = || {
        found.len() >= count
            && found.len() - count <= others.len()
            && found[..count] == all[..count]
            && found[count..] == others[..found.len() - count]
    };
    match stage {
        Stage::Filling => assert!(is_old()),
        Stage::Removing => {
            assert!(*found == *all || *found == all[..count], "{} entries", found.len());
        }
        Stage::Appending => assert!(is_new()),
        Stage::Done => assert_eq!(*found, [&all[..count], others].concat()),
    }
}

#[test]
fn a_crash_leaves_all_of_the_removed_entries_or_none() {
    let all = entries(&[100, 9000, 9000, 9000, 10]);
    for (seed, count) in [(1, 1), (2, 2), (3, 3), (4, 4), (5, 0)] {
        let others = replacing(&all, count, &[7, 9000]);
        let workload = |medium: &Medium| take_back(medium, &all, count, &others);
        let check = |medium: &Medium, stage: Stage, _: Crash| {
            let io = io(medium);
            let report = io.block_on(verify(&io, &HOME)).unwrap();
            assert_eq!(report.damage, []);
            let (log, recovery) = open(&io).unwrap();
            let found = replayed(&io, &log, Position::START).unwrap();
            check_left(&found, stage, &all, count, &others);
            assert_eq!(report.truncating, recovery.truncated);
            assert_eq!(report.end, log.end());
            // It is usable, and what it now writes is found again.
            let mut log = log;
            let next = entry_in(Epoch::from_wire(3), &log.end(), "next", &[5000]);
            append(&mut log, std::slice::from_ref(&next));
            settle(&io, &mut log, 0).unwrap();
            drop((log, io));
            let (again, recovery) = found_after_power_loss(medium);
            assert_eq!((recovery.torn, recovery.truncated), (None, None));
            assert_eq!(again, [found, vec![next]].concat());
        };
        let plan = FaultPlan::NONE;
        let plan = if count % 2 == 0 { plan.reordering() } else { plan };
        crash_everywhere(seed, plan, workload, check);
    }
}

#[test]
fn a_crash_while_a_start_finishes_a_truncation_does_no_harm() {
    let all = entries(&[100, 9000, 9000, 9000, 10]);
    for count in [1, 2, 3] {
        // Stopped with the first sector of the tail zeroed.
        let interrupted = || {
            let medium = filled(&all, true);
            let io = io(&medium);
            let (mut log, _) = open(&io).unwrap();
            settle(&io, &mut log, 0).unwrap();
            medium.crash_at(CrashPoint::Completed(medium.changes_completed() + 6));
            log.truncate(end_of(&all, count));
            settle(&io, &mut log, 0).unwrap_err();
            drop((log, io));
            medium.power_loss();
            medium
        };
        let medium = interrupted();
        let changes = medium.changes_completed();
        assert!(open(&io(&medium)).unwrap().1.truncated.is_some());
        for change in changes + 1..=medium.changes_completed() {
            for point in [CrashPoint::Submitted(change), CrashPoint::Completed(change)] {
                for survival in [Survival::Nothing, Survival::Sectors, Survival::SmallSectors] {
                    println!("{count}: {point:?} {survival:?}");
                    let medium = interrupted();
                    medium.crash_at(point);
                    assert!(open(&io(&medium)).is_err());
                    medium.power_loss_keeping(survival);
                    assert_eq!(found_after_power_loss(&medium).0, all[..count]);
                }
            }
        }
    }
}
