//! Crashes at every operation, and random histories against a plain list.

use proptest::prelude::*;

use super::*;
use crate::disk::simulated::{Crash, CrashPoint, Fault, FaultPlan, Survival, crash_everywhere};

/// What a process did before it crashed.
struct Past {
    /// What it appended, whether or not that was written.
    appended: Vec<Entry>,
    /// How many of them were reported written, without a gap.
    acknowledged: usize,
}

/// Opens, appends entries of these sizes on top of `past`, two in flight, and stamps them.
fn work(medium: &Medium, past: &mut Past, sizes: &[usize]) {
    let io = io(medium);
    let Ok((mut log, _)) = open(&io) else { return };
    match replayed(&io, &log, Position::START) {
        Ok(found) => check_found(&found, &log, past),
        Err(OpenError::Disk(_)) => return,
        Err(error) => panic!("{error}"),
    }
    let mut reported = vec![true; past.appended.len()];
    for pair in sizes.chunks(2) {
        for bytes in pair {
            let made = entry(&log.end(), "crash", &[*bytes]);
            log.append(&made.header, &made.body, LogIndex::ZERO);
            past.appended.push(made);
            reported.push(false);
        }
        let written = settle_in_part(&io, &mut log);
        for written in &written {
            reported[written.index.get() as usize - 1] = true;
        }
        past.acknowledged = reported.iter().take_while(|reported| **reported).count();
        if log.failed {
            return;
        }
    }
}

/// Like [`settle`], but gives what was reported before a fault.
fn settle_in_part(io: &Io, log: &mut Log) -> Vec<Written> {
    let mut written = Vec::new();
    let mut context = Context::from_waker(Waker::noop());
    loop {
        // The stamp is due at once.
        let now = Instant::from_nanos(u64::MAX / 2);
        if log.poll(now, &mut context, &mut written).is_err() {
            return written;
        }
        let at_work = log.spare.is_making()
            || log.stamp_write.is_some()
            || !log.closed.is_empty()
            || log.sealing.is_some();
        if log.writes.is_empty() && log.queue.is_empty() && !at_work {
            return written;
        }
        io.with_disk(|disk| {
            disk.flush();
            disk.wait();
        });
        io.turn();
    }
}

fn check_recovered(io: &Io, log: &Log, past: &mut Past) {
    check_found(&replayed(io, log, Position::START).unwrap(), log, past);
}

/// All that was acknowledged is there, and nothing but what was appended; forgets the rest.
fn check_found(found: &[Entry], log: &Log, past: &mut Past) {
    assert!(found.len() >= past.acknowledged, "{} of {}", found.len(), past.acknowledged);
    assert_eq!(found[..], past.appended[..found.len()]);
    assert_eq!(log.end(), found.last().map_or(LogEnd::default(), |e| LogEnd::after(&e.header)));
    past.appended.truncate(found.len());
    past.acknowledged = found.len();
}

fn check_after_crash(medium: &Medium, past: &mut Past) {
    let io = io(medium);
    let (mut log, _) = open(&io).unwrap();
    check_recovered(&io, &log, past);
    // It is usable, and what it now writes is found again.
    let made = entry(&log.end(), "after", &[10, 20]);
    log.append(&made.header, &made.body, LogIndex::ZERO);
    settle(&io, &mut log, 0).unwrap();
    past.appended.push(made);
    past.acknowledged += 1;
    drop((log, io));
    medium.power_loss();
    let io = super::io(medium);
    let (log, report) = open(&io).unwrap();
    assert_eq!(report.torn, None, "what was cut stays cut");
    check_recovered(&io, &log, past);
}

const SIZES: [usize; 9] = [100, 4000, 9000, 50, 5000, 60, 8000, 3000, 10];

#[test]
fn a_crash_at_any_operation_loses_nothing_that_was_acknowledged() {
    let workload = |medium: &Medium| {
        let mut past = Past { appended: Vec::new(), acknowledged: 0 };
        work(medium, &mut past, &SIZES);
        past
    };
    let check = |medium: &Medium, mut past: Past, _: Crash| check_after_crash(medium, &mut past);
    crash_everywhere(1, FaultPlan::NONE, workload, check);
    crash_everywhere(2, FaultPlan::NONE.reordering(), workload, check);
}

#[test]
fn a_crash_during_recovery_loses_nothing_either() {
    let mut cut = 0;
    for seed in 0..24 {
        let (medium, mut past) = torn(seed);
        let changes_before = medium.changes_completed();
        let (_, report) = open(&io(&medium)).unwrap();
        cut += usize::from(report.torn.is_some());
        medium.restart();
        work(&medium, &mut past, &[20, 7000]);
        for change in changes_before + 1..=medium.changes_completed() {
            for point in [CrashPoint::Submitted(change), CrashPoint::Completed(change)] {
                for survival in [Survival::Nothing, Survival::Sectors, Survival::SmallSectors] {
                    println!("seed {seed}: {point:?} {survival:?}");
                    let (medium, mut past) = torn(seed);
                    medium.crash_at(point);
                    work(&medium, &mut past, &[20, 7000]);
                    medium.power_loss_keeping(survival);
                    check_after_crash(&medium, &mut past);
                }
            }
        }
    }
    assert!(cut > 8, "most of them have something to cut");
}

/// A log whose last writes were interrupted.
fn torn(seed: u64) -> (Medium, Past) {
    let medium = Medium::with_faults(seed, FaultPlan::NONE.reordering());
    let io = io(&medium);
    let (mut log, _) = open(&io).unwrap();
    settle(&io, &mut log, 0).unwrap();
    let appended = entries(&[3000, 5000, 9000]);
    for entry in &appended {
        log.append(&entry.header, &entry.body, LogIndex::ZERO);
    }
    io.with_disk(|disk| disk.flush());
    drop((log, io));
    medium.power_loss_keeping(Survival::SmallSectors);
    (medium, Past { appended, acknowledged: 0 })
}

#[test]
fn a_failed_write_is_reported_once_and_ends_the_log() {
    let medium = Medium::new(1);
    let io = io(&medium);
    let (mut log, _) = open(&io).unwrap();
    settle(&io, &mut log, 0).unwrap();
    let all = entries(&[10, 20]);
    medium.inject(Fault::FailedWrite);
    log.append(&all[0].header, &all[0].body, LogIndex::ZERO);
    settle(&io, &mut log, 0).unwrap_err();
    let changes = medium.changes_completed();
    log.append(&all[1].header, &all[1].body, LogIndex::ZERO);
    assert_eq!(settle(&io, &mut log, u64::MAX / 2), Ok(Vec::new()), "it says so once");
    io.turn();
    assert_eq!(medium.changes_completed(), changes, "nothing more is written");
}

#[test]
fn a_full_disk_is_told_and_passes_by_itself() {
    let segment = u64::from(SETTINGS.segment_bytes);
    let medium = Medium::new(1);
    let io = io(&medium);
    let (mut log, _) = open(&io).unwrap();
    settle(&io, &mut log, 0).unwrap();
    // The active segment, the spare and the stamp; not one segment more.
    medium.set_space(2 * segment + 2 * 4096);
    let mut appended = Vec::new();
    let mut append = |log: &mut Log| {
        let made = entry(&log.end(), "full", &[8000]);
        log.append(&made.header, &made.body, LogIndex::ZERO);
        appended.push(made);
    };
    let mut now = 0;
    while log.room() == Room::Ample {
        append(&mut log);
        settle(&io, &mut log, now).unwrap();
    }
    assert_eq!(log.shared.borrow().segments.len(), 2, "the spare was used");
    // What is appended all the same is written while there is room, and then waits.
    while log.queue.is_empty() {
        append(&mut log);
        settle(&io, &mut log, now).unwrap();
    }
    assert!(medium.names().iter().all(|name| &**name != "log/spare.new"), "space is given back");
    medium.set_space(u64::MAX);
    let retry = log.next_timer().expect("it looks for space again");
    assert!(retry.nanos() > now);
    now = retry.nanos();
    let mut written = settle(&io, &mut log, now).unwrap();
    written.extend(settle(&io, &mut log, now).unwrap());
    assert_eq!(written.len(), 1, "the entry that waited");
    assert_eq!(log.room(), Room::Ample);
    drop((log, io));
    medium.power_loss();
    let io = super::io(&medium);
    let (log, _) = open(&io).unwrap();
    assert_eq!(replayed(&io, &log, Position::START).unwrap(), appended);
}

/// One thing that happens to a log.
#[derive(Clone, Debug)]
enum Step {
    Append(Vec<usize>),
    Restart,
    PowerLoss(Survival),
    Close,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => prop::collection::vec(0usize..9000, 1..4).prop_map(Step::Append),
        1 => Just(Step::Restart),
        1 => prop_oneof![
            Just(Survival::Nothing),
            Just(Survival::Everything),
            Just(Survival::Sectors),
            Just(Survival::SmallSectors),
        ].prop_map(Step::PowerLoss),
        1 => Just(Step::Close),
    ]
}

proptest! {
    #[test]
    fn a_log_is_a_list_whatever_happens(
        seed in any::<u64>(),
        steps in prop::collection::vec(step(), 1..40),
    ) {
        let medium = Medium::with_faults(seed, FaultPlan::NONE.reordering());
        let mut past = Past { appended: Vec::new(), acknowledged: 0 };
        let mut process = None;
        for step in steps {
            let (io, mut log) = match process.take() {
                Some(running) => running,
                None => {
                    let io = io(&medium);
                    let (log, _) = open(&io).unwrap();
                    check_recovered(&io, &log, &mut past);
                    (io, log)
                }
            };
            match step {
                Step::Append(sizes) => {
                    for bytes in sizes {
                        let made = entry(&log.end(), "list", &[bytes, bytes / 2]);
                        log.append(&made.header, &made.body, LogIndex::ZERO);
                        past.appended.push(made);
                    }
                    // Some turns, not necessarily until all is written.
                    let mut written = Vec::new();
                    let mut context = Context::from_waker(Waker::noop());
                    for now in 0..past.appended.len() as u64 % 5 {
                        io.turn();
                        let now = Instant::from_nanos(now * 10_000_000);
                        log.poll(now, &mut context, &mut written).unwrap();
                    }
                    past.acknowledged = log.durable.get() as usize;
                    process = Some((io, log));
                }
                Step::Restart => {
                    drop((log, io));
                    medium.restart();
                }
                Step::PowerLoss(survival) => {
                    drop((log, io));
                    medium.power_loss_keeping(survival);
                }
                Step::Close => {
                    io.block_on(log.close()).unwrap();
                    past.acknowledged = past.appended.len();
                    drop(io);
                    medium.power_loss();
                }
            }
        }
    }
}
