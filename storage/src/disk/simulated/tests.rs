//! What the simulated medium promises to the tests that rely on it.

use std::collections::BTreeSet;

use super::*;
use crate::buffer::AlignedBuffer;
use crate::disk::{Access, DiskError, DiskErrorKind, Done, Durability, FileId};
use crate::io::Io;

const SECTOR: u64 = 4096;

fn io(medium: &Medium) -> Io {
    Io::new(Box::new(medium.disk()))
}

fn create(io: &Io, name: &str, sectors: u64) -> Result<FileId, DiskError> {
    let op = Op::Create { name: name.into(), bytes: sectors * SECTOR };
    opened(io.block_on(io.run(op)))
}

fn open(io: &Io, name: &str) -> Result<FileId, DiskError> {
    opened(io.block_on(io.run(Op::Open { name: name.into(), access: Access::Direct })))
}

fn opened(result: Result<Done, DiskError>) -> Result<FileId, DiskError> {
    result.map(|done| match done {
        Done::Opened { file, .. } => file,
        other => panic!("an open gave {other:?}"),
    })
}

/// A write of whole sectors, each full of its own byte.
fn write_op(file: FileId, sector: u64, fill: &[u8], durability: Durability) -> Op {
    let mut buffer = AlignedBuffer::zeroed(fill.len() * SECTOR as usize);
    for (sector, byte) in buffer.chunks_exact_mut(SECTOR as usize).zip(fill) {
        sector.fill(*byte);
    }
    Op::Write { file, offset: sector * SECTOR, buffer, durability }
}

fn write(
    io: &Io,
    file: FileId,
    sector: u64,
    fill: &[u8],
    durability: Durability,
) -> Result<(), DiskError> {
    io.block_on(io.run(write_op(file, sector, fill, durability))).map(drop)
}

fn sync(io: &Io, file: FileId) -> Result<(), DiskError> {
    io.block_on(io.run(Op::Sync { file })).map(drop)
}

/// The first byte of each sector of the file `f`; `None` where a sector is of mixed bytes.
fn sectors(medium: &Medium) -> Vec<Option<u8>> {
    let contents = medium.contents("f");
    let uniform = |sector: &[u8]| sector.iter().all(|b| *b == sector[0]).then_some(sector[0]);
    contents.chunks_exact(SECTOR as usize).map(uniform).collect()
}

/// A medium with a synced file `f` of so many zero sectors.
fn prepared(seed: u64, sectors: u64) -> (Medium, Io, FileId) {
    let medium = Medium::new(seed);
    let io = io(&medium);
    let file = create(&io, "f", sectors).unwrap();
    sync(&io, file).unwrap();
    (medium, io, file)
}

/// What is left of `f` over many seeds.
fn outcomes(
    sectors_count: u64,
    crash: impl Fn(&Medium),
    act: impl Fn(&Io, FileId),
) -> BTreeSet<Vec<Option<u8>>> {
    let outcome = |seed| {
        let (medium, io, file) = prepared(seed, sectors_count);
        act(&io, file);
        drop(io);
        crash(&medium);
        sectors(&medium)
    };
    (0..200).map(outcome).collect()
}

fn all(bytes: &[&[u8]]) -> BTreeSet<Vec<Option<u8>>> {
    bytes.iter().map(|bytes| bytes.iter().copied().map(Some).collect()).collect()
}

#[test]
fn any_subset_of_unsynced_sectors_survives_a_power_loss() {
    let left = outcomes(2, Medium::power_loss, |io, file| {
        write(io, file, 0, &[1, 2], Durability::None).unwrap();
    });
    assert_eq!(left, all(&[&[0, 0], &[1, 0], &[0, 2], &[1, 2]]));
}

#[test]
fn any_version_of_an_unsynced_sector_survives_a_power_loss() {
    let left = outcomes(1, Medium::power_loss, |io, file| {
        write(io, file, 0, &[1], Durability::None).unwrap();
        write(io, file, 0, &[2], Durability::None).unwrap();
    });
    assert_eq!(left, all(&[&[0], &[1], &[2]]));
}

#[test]
fn small_sectors_tear_within_4096_bytes() {
    let left = outcomes(
        1,
        |medium| medium.power_loss_keeping(Survival::SmallSectors),
        |io, file| write(io, file, 0, &[1], Durability::None).unwrap(),
    );
    assert!(left.contains(&vec![None]), "some sector is of old and new bytes");
}

#[test]
fn what_was_synced_or_written_durably_survives() {
    let left = outcomes(2, Medium::power_loss, |io, file| {
        write(io, file, 0, &[1], Durability::None).unwrap();
        sync(io, file).unwrap();
        write(io, file, 1, &[1], Durability::None).unwrap();
        write(io, file, 1, &[2], Durability::Durable).unwrap();
    });
    assert_eq!(left, all(&[&[1, 2]]));
}

#[test]
fn a_restart_keeps_what_has_completed_and_tears_what_is_in_flight() {
    let left = outcomes(3, Medium::restart, |io, file| {
        write(io, file, 0, &[1], Durability::None).unwrap();
        let running = io.run(write_op(file, 1, &[2, 3], Durability::Durable));
        io.with_disk(|disk| disk.flush());
        drop(running);
    });
    assert_eq!(left, all(&[&[1, 0, 0], &[1, 2, 0], &[1, 0, 3], &[1, 2, 3]]));
}

#[test]
fn what_was_never_flushed_never_happens() {
    let left = outcomes(1, Medium::power_loss, |io, file| {
        drop(io.run(write_op(file, 0, &[1], Durability::Durable)));
    });
    assert_eq!(left, all(&[&[0]]));
}

#[test]
fn an_unsynced_new_file_may_be_gone_or_empty_or_whole() {
    let left: BTreeSet<Option<usize>> = (0..100)
        .map(|seed| {
            let medium = Medium::new(seed);
            create(&io(&medium), "f", 1).unwrap();
            medium.power_loss();
            medium.names().first().map(|name| medium.contents(name).len())
        })
        .collect();
    assert_eq!(left, BTreeSet::from([None, Some(0), Some(4096)]));
}

#[test]
fn a_replaced_file_may_come_back_until_the_new_one_is_synced() {
    let left: BTreeSet<Vec<Option<u8>>> = (0..100)
        .map(|seed| {
            let (medium, io, file) = prepared(seed, 1);
            write(&io, file, 0, &[7], Durability::Durable).unwrap();
            create(&io, "f", 1).unwrap();
            medium.power_loss();
            sectors(&medium)
        })
        .collect();
    let expected = [vec![], vec![Some(0)], vec![Some(7)]];
    assert_eq!(left, BTreeSet::from(expected));
}

#[test]
fn a_rename_is_durable_and_takes_the_contents_along_only_if_synced() {
    for synced in [true, false] {
        let (medium, io, _) = prepared(3, 1);
        let file = create(&io, "g", 1).unwrap();
        write(&io, file, 0, &[9], Durability::None).unwrap();
        if synced {
            sync(&io, file).unwrap();
        }
        io.block_on(io.run(Op::Rename { from: "g".into(), to: "f".into() })).unwrap();
        medium.power_loss_keeping(Survival::Nothing);
        assert_eq!(&*medium.names(), ["f".into()]);
        assert_eq!(sectors(&medium), if synced { vec![Some(9)] } else { vec![] });
    }
}

#[test]
fn a_failed_write_leaves_any_sectors() {
    let (medium, io, file) = prepared(1, 4);
    medium.inject(Fault::FailedWrite);
    let error = write(&io, file, 0, &[1, 2, 3, 4], Durability::Durable).unwrap_err();
    assert_eq!(error.kind, DiskErrorKind::Failed);
    assert_eq!(error.message, "write f at 0: simulated input/output error");
    let strike = Strike { fault: Fault::FailedWrite, file: "f".into(), offset: 0 };
    assert_eq!(medium.strikes(), [strike]);
    write(&io, file, 0, &[1, 2, 3, 4], Durability::Durable).expect("it strikes once");
}

#[test]
fn a_failed_sync_forgets_and_a_lying_one_waits_for_the_power_loss() {
    for fault in [Fault::FailedSync, Fault::LyingFlush] {
        let (medium, io, file) = prepared(1, 1);
        write(&io, file, 0, &[1], Durability::None).unwrap();
        medium.inject(fault);
        assert_eq!(sync(&io, file).is_err(), fault == Fault::FailedSync);
        medium.power_loss_keeping(Survival::Nothing);
        assert_eq!(medium.strikes().len(), 1);
        if fault == Fault::LyingFlush {
            assert_eq!(sectors(&medium), [Some(0)], "the flush was a lie");
        }
    }
}

#[test]
fn a_misdirected_write_lands_elsewhere_and_says_nothing() {
    let (medium, io, file) = prepared(2, 8);
    medium.inject(Fault::MisdirectedWrite);
    write(&io, file, 0, &[5], Durability::Durable).unwrap();
    let strikes = medium.strikes();
    let place = strikes[0].offset / SECTOR;
    assert_eq!(sectors(&medium)[place as usize], Some(5), "{strikes:?}");
    assert_eq!(sectors(&medium).iter().filter(|byte| **byte == Some(5)).count(), 1);
}

#[test]
fn rot_flips_one_bit_for_good() {
    let (medium, io, file) = prepared(2, 4);
    medium.inject(Fault::Rot);
    sync(&io, file).unwrap();
    let strike = &medium.strikes()[0];
    medium.power_loss();
    let contents = medium.contents("f");
    let bits: u32 = contents.iter().map(|byte| byte.count_ones()).sum();
    assert_eq!(bits, 1);
    assert_ne!(contents[strike.offset as usize], 0);
    medium.rot("f", 12);
    assert_eq!(medium.contents("f")[12].count_ones() % 2, 1);
}

#[test]
fn rot_is_undone_where_it_still_is_also_below_what_may_be_lost() {
    for (survival, left) in [(Survival::Nothing, 0), (Survival::Everything, 5)] {
        let (medium, io, file) = prepared(1, 2);
        medium.rot("f", 12);
        let rotten = medium.contents("f")[..512].to_vec();
        // Written over, and perhaps not for good.
        write(&io, file, 0, &[5], Durability::None).unwrap();
        medium.undo_rot("f", 12, &rotten);
        medium.undo_rot("gone", 12, &rotten);
        medium.power_loss_keeping(survival);
        assert_eq!(medium.contents("f")[12], left);
    }
}

#[test]
fn a_full_disk_refuses_files_until_it_has_space_again() {
    let (medium, io, _) = prepared(1, 2);
    medium.set_space(3 * SECTOR);
    assert_eq!(create(&io, "g", 2).unwrap_err().kind, DiskErrorKind::Full);
    create(&io, "f", 3).expect("what it replaces counts no more");
    medium.set_space(5 * SECTOR);
    create(&io, "g", 2).unwrap();
    io.block_on(io.run(Op::Remove { name: "f".into() })).unwrap();
    create(&io, "h", 3).unwrap();
}

#[test]
fn what_is_held_completes_when_it_is_told_to() {
    let (medium, io, file) = prepared(1, 2);
    medium.hold();
    let mut first = Box::pin(io.run(write_op(file, 0, &[1], Durability::Durable)));
    let mut second = Box::pin(io.run(write_op(file, 1, &[2], Durability::Durable)));
    io.turn();
    let in_flight = medium.in_flight();
    assert_eq!(in_flight.len(), 2);
    assert_eq!(sectors(&medium), [Some(0), Some(0)]);
    medium.complete(in_flight[1]);
    io.turn();
    assert_eq!(sectors(&medium), [Some(0), Some(2)]);
    io.block_on(second.as_mut()).unwrap();
    medium.release();
    io.block_on(first.as_mut()).unwrap();
    assert_eq!(sectors(&medium), [Some(1), Some(2)]);
}

#[test]
fn reordering_completes_in_any_order() {
    let orders: BTreeSet<Vec<OpId>> = (0..100)
        .map(|seed| {
            let medium = Medium::with_faults(seed, FaultPlan::NONE.reordering());
            let mut disk = medium.disk();
            for name in ["a", "b", "c"] {
                disk.submit(Op::Create { name: name.into(), bytes: 0 });
            }
            disk.flush();
            let mut completions = Vec::new();
            while completions.len() < 3 {
                disk.wait();
                disk.reap(&mut completions);
            }
            completions.iter().map(|completion| completion.op).collect()
        })
        .collect();
    assert_eq!(orders.len(), 6, "all orders of three");
}

#[test]
fn one_fault_does_not_move_the_others() {
    let rotten = |plan: FaultPlan| {
        let medium = Medium::with_faults(9, plan.with(Fault::Rot, Chance::one_in(4)));
        let io = io(&medium);
        let file = create(&io, "f", 16).unwrap();
        for sector in 0..16 {
            write(&io, file, sector, &[1], Durability::Durable).ok();
        }
        let strikes = medium.strikes();
        let rot = strikes.into_iter().filter(|strike| strike.fault == Fault::Rot);
        rot.collect::<Vec<_>>()
    };
    let alone = rotten(FaultPlan::NONE);
    assert!(!alone.is_empty());
    assert_eq!(alone, rotten(FaultPlan::NONE.with(Fault::FailedWrite, Chance::one_in(3))));
}

#[test]
fn after_a_crash_every_operation_fails_until_the_next_process() {
    let (medium, io, file) = prepared(1, 1);
    medium.crash_at(CrashPoint::Completed(3));
    write(&io, file, 0, &[1], Durability::Durable).expect("the third change completes");
    assert!(medium.has_crashed());
    write(&io, file, 0, &[2], Durability::Durable).unwrap_err();
    open(&io, "f").unwrap_err();
    medium.power_loss();
    assert_eq!(sectors(&medium), [Some(1)]);
    let io = self::io(&medium);
    open(&io, "f").expect("the next process has the disk to itself");
}

/// A counter in one sector, written in place: a single sector is old or new, never gone.
#[test]
fn crash_everywhere_reaches_each_change_in_each_way() {
    let mut crashes = Vec::new();
    let workload = |medium: &Medium| {
        let io = io(medium);
        let mut acknowledged = 0;
        let Ok(file) = create(&io, "f", 1) else { return acknowledged };
        if sync(&io, file).is_err() {
            return acknowledged;
        }
        for count in 1..=3 {
            if write(&io, file, 0, &[count], Durability::Durable).is_err() {
                break;
            }
            acknowledged = count;
        }
        acknowledged
    };
    crash_everywhere(5, FaultPlan::NONE, workload, |medium, acknowledged, crash| {
        crashes.push(crash);
        if acknowledged > 0 {
            let found = if crash.survival == Some(Survival::SmallSectors) {
                medium.contents("f").into_iter().max().unwrap()
            } else {
                sectors(medium)[0].expect("a sector is not torn")
            };
            assert!((acknowledged..=acknowledged + 1).contains(&found));
        }
    });
    assert_eq!(crashes.len(), 5 * 2 * 5, "five changes, before and after, five ways");
}
