//! Crashes between any two turns, and a disk that is full for a while.

use quorate_core::time::Instant;

use super::{Model, Process};
use crate::disk::simulated::{Medium, Survival};
use crate::index::{IndexError, IndexLimits};

/// Appends, flushes and merges, and crashes after some turns; whether it was still busy then.
fn crash_after(turns: u32, survival: Option<Survival>) -> bool {
    let medium = Medium::new(u64::from(turns));
    let mut model = Model::default();
    let (mut process, _) = Process::start(&medium, &model, IndexLimits::TINY);
    let mut turns_left = turns;
    for number in 0..150 {
        let (position, bytes) = model.append(&format!("stream-{}", number % 5));
        process.apply(position, &bytes);
        if turns_left > 0 {
            process.turn(Instant::START).unwrap();
            turns_left -= 1;
        }
    }
    while turns_left > 0 && !process.index.background.is_idle() {
        process.turn(Instant::START).unwrap();
        turns_left -= 1;
    }
    let was_busy = turns_left == 0;
    // What is submitted now happens in part.
    process
        .index
        .poll(&mut std::task::Context::from_waker(std::task::Waker::noop()), Instant::START)
        .unwrap();
    process.io.with_disk(|disk| disk.flush());
    match survival {
        Some(survival) => medium.power_loss_keeping(survival),
        None => medium.restart(),
    }
    let (mut process, recovery) = Process::start(&medium, &model, IndexLimits::TINY);
    let damage = recovery.damage.filter(|_| recovery.runs > 0);
    assert_eq!(damage, None, "a crash damages nothing: turns {turns}, {survival:?}");
    process.check(&model);
    process.settle().unwrap();
    process.check(&model);
    check_files(&medium, &process);
    was_busy
}

/// There is no file that is not in use.
fn check_files(medium: &Medium, process: &Process) {
    let mut names: Vec<_> = process
        .index
        .shared
        .tables
        .borrow()
        .runs
        .iter()
        .map(|run| run.info().name())
        .chain([crate::index::manifest::NAME.into()])
        .collect();
    names.sort();
    assert_eq!(medium.names(), names);
}

#[test]
fn a_crash_at_any_turn_loses_nothing() {
    let survivals = [
        None,
        Some(Survival::Nothing),
        Some(Survival::Everything),
        Some(Survival::Sectors),
        Some(Survival::SmallSectors),
    ];
    for survival in survivals {
        let mut turns = 0;
        while crash_after(turns, survival) {
            turns += 1;
        }
        assert!(turns > 100, "there were {turns} turns to crash at");
    }
}

#[test]
fn an_index_of_a_longer_log_is_not_believed() {
    let medium = Medium::new(1);
    let mut model = Model::default();
    let (mut process, _) = Process::start(&medium, &model, IndexLimits::TINY);
    let mut ends = Vec::new();
    for number in 0..60 {
        let (position, bytes) = model.append(&format!("stream-{}", number % 5));
        process.apply(position, &bytes);
        process.settle().unwrap();
        ends.push(model.end);
    }
    medium.restart();
    let (process, recovery) = Process::open(&medium, ends[40], IndexLimits::TINY).unwrap();
    assert!(recovery.covered <= ends[40]);
    assert!(recovery.removed > 0);
    drop(process);
}

#[test]
fn an_index_of_another_folder_is_dropped() -> Result<(), IndexError> {
    let medium = Medium::new(1);
    let mut model = Model::default();
    let (mut process, _) = Process::start(&medium, &model, IndexLimits::TINY);
    for _ in 0..20 {
        let (position, bytes) = model.append("stream");
        process.apply(position, &bytes);
    }
    process.settle()?;
    medium.restart();
    let io = crate::io::Io::new(Box::new(medium.disk()));
    let mut other = super::config(IndexLimits::TINY);
    other.hasher = crate::index::StreamHasher::new(&[8; 16]);
    let (_, recovery) = io.block_on(crate::index::Index::open(&io, &other, model.end))?;
    assert_eq!(recovery.covered, quorate_core::id::Position::START);
    assert_eq!(recovery.damage.map(|damage| damage.flaw), Some(crate::index::Flaw::Foreign));
    assert_eq!(medium.names(), []);
    Ok(())
}
