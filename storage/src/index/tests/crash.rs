//! Crashes at every change of the disk, disks that fail, and a disk that is full for a while.

use quorate_core::id::Position;
use quorate_core::time::Instant;

use super::{Model, Process};
use crate::disk::simulated::{Chance, Fault, FaultPlan, Medium, crash_everywhere};
use crate::disk::{DiskError, DiskErrorKind};
use crate::index::{Flaw, Index, IndexError, IndexLimits, Room, StreamHasher, manifest};
use crate::io::Io;

/// Appends, flushes and merges until all is done or the disk fails; gives what must be found.
fn workload(medium: &Medium) -> Model {
    let mut model = Model::default();
    let Ok((mut process, _)) = Process::open(medium, model.end, IndexLimits::TINY) else {
        return model;
    };
    for number in 0..48 {
        let entry = model.append(&[&format!("stream-{}", number % 5)]);
        process.apply(&entry);
        if process.turn(Instant::START).is_err() {
            return model;
        }
    }
    // A crash ends this as well as being done does.
    let _crashed = process.settle();
    model
}

/// There is no file that is not in use.
fn check_files(medium: &Medium, process: &Process) {
    let tables = process.index.shared.tables.borrow();
    let runs = tables.runs.iter().map(|run| run.info().name());
    let mut names: Vec<_> = runs.chain([manifest::NAME.into()]).collect();
    names.sort();
    assert_eq!(medium.names(), names);
}

#[test]
fn a_crash_at_any_change_loses_nothing() {
    crash_everywhere(1, FaultPlan::NONE.reordering(), workload, |medium, model, crash| {
        let (mut process, recovery) = Process::start(medium, &model, IndexLimits::TINY);
        let damage = recovery.damage.filter(|_| recovery.runs > 0);
        assert_eq!(damage, None, "a crash damages nothing: {crash:?}");
        process.check(&model);
        process.settle().unwrap();
        process.check(&model);
        if !model.log.is_empty() && recovery.covered > Position::START {
            check_files(medium, &process);
        }
    });
}

#[test]
fn a_crash_during_recovery_loses_nothing() {
    let whole = |seed| {
        let medium = Medium::new(seed);
        let model = workload(&medium);
        medium.rot(manifest::NAME, 3);
        medium.restart();
        (medium, model)
    };
    // The rotten manifest makes the start remove every file: crash at each removal.
    let (medium, _) = whole(1);
    let before = medium.changes_completed();
    Process::open(&medium, Position::from_wire(u64::MAX), IndexLimits::TINY).unwrap();
    for change in before + 1..=medium.changes_completed() {
        let (medium, model) = whole(1);
        medium.crash_at(crate::disk::simulated::CrashPoint::Submitted(change));
        assert!(Process::open(&medium, model.end, IndexLimits::TINY).is_err());
        medium.power_loss();
        let (mut process, _) = Process::start(&medium, &model, IndexLimits::TINY);
        process.settle().unwrap();
        process.check(&model);
        check_files(&medium, &process);
    }
}

#[test]
fn a_failed_operation_is_reported_and_a_restart_recovers() {
    for fault in [Fault::FailedWrite, Fault::FailedSync] {
        for seed in 0..20 {
            let plan = FaultPlan::NONE.with(fault, Chance::one_in(15));
            let medium = Medium::with_faults(seed, plan);
            let model = workload(&medium);
            let failed = !medium.strikes().is_empty();
            medium.restart();
            // The same faults may strike again, which is no reason to answer wrongly.
            let started = Process::open(&medium, model.end, IndexLimits::TINY);
            if let Ok((mut process, _)) = started {
                for entry in &model.log {
                    process.apply(entry);
                }
                process.check(&model);
            }
            assert!(failed || seed > 0, "some faults strike");
        }
    }
}

#[test]
fn a_full_disk_is_reported_and_retried() {
    let medium = Medium::new(1);
    let mut model = Model::default();
    let (mut process, _) = Process::start(&medium, &model, IndexLimits::TINY);
    medium.set_space(3 * 4096);
    let mut append = |process: &mut Process, count: u32| {
        for number in 0..count {
            let entry = model.append(&[&format!("stream-{}", number % 5)]);
            process.apply(&entry);
        }
        model.end
    };
    append(&mut process, 20);
    for _ in 0..30 {
        process.turn(Instant::START).unwrap();
    }
    assert_eq!(process.index.room(), Room::Full);
    let retry_at = process.index.retry_at().expect("it tries again");
    let full = process.settle();
    assert!(
        matches!(full, Err(IndexError::Disk(DiskError { kind: DiskErrorKind::Full, .. }))),
        "{full:?}"
    );
    append(&mut process, 10);
    medium.set_space(1 << 30);
    for _ in 0..100 {
        process.turn(retry_at).unwrap();
    }
    assert_eq!(process.index.room(), Room::Free);
    assert_eq!(process.index.retry_at(), None);
    process.check(&model);
    check_files(&medium, &process);
}

#[test]
fn an_index_of_a_longer_log_is_not_believed() {
    let medium = Medium::new(1);
    let mut model = Model::default();
    let (mut process, _) = Process::start(&medium, &model, IndexLimits::TINY);
    let mut ends = Vec::new();
    for number in 0..60 {
        let entry = model.append(&[&format!("stream-{}", number % 5)]);
        process.apply(&entry);
        process.settle().unwrap();
        ends.push(model.end);
    }
    medium.restart();
    let (_, recovery) = Process::open(&medium, ends[40], IndexLimits::TINY).unwrap();
    assert!(recovery.covered <= ends[40]);
    assert!(recovery.removed > 0);
}

#[test]
fn an_index_of_another_folder_is_dropped() {
    let medium = Medium::new(1);
    let mut model = Model::default();
    let (mut process, _) = Process::start(&medium, &model, IndexLimits::TINY);
    for _ in 0..20 {
        let entry = model.append(&["stream"]);
        process.apply(&entry);
    }
    process.settle().unwrap();
    medium.restart();
    let io = Io::new(Box::new(medium.disk()));
    let mut other = super::config(IndexLimits::TINY);
    other.hasher = StreamHasher::new(&[8; 16]);
    let (_, recovery) = io.block_on(Index::open(&io, &other, model.end)).unwrap();
    assert_eq!(recovery.covered, Position::START);
    assert_eq!(recovery.damage.map(|damage| damage.flaw), Some(Flaw::Foreign));
    assert_eq!(medium.names(), []);
}
