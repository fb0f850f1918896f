//! Crashes at each write, damage to each copy, and the bytes themselves.

use quorate_core::id::{Epoch, GroupId, Lineage};
use quorate_core::member::{Member, Name};

use super::*;
use crate::disk::simulated::{CrashPoint, Fault, FaultPlan, Medium, Survival, crash_everywhere};

const fn name(text: &str) -> Name {
    match Name::new(text) {
        Ok(name) => name,
        Err(_) => panic!("it is a name"),
    }
}

const IDENTITY: Identity = Identity {
    members: Members::alone(Member {
        node: NodeId::from_wire(3),
        disk: DiskId::from_bytes([0xd1; 16]),
        name: name("n3"),
        zone: name("zone-east"),
    }),
    log: LogId {
        cluster: ClusterId::from_bytes([0xc1; 16]),
        group: GroupId::from_wire(0x0123_4567_89ab_cdef),
        lineage: Lineage::from_bytes([0x11; 16]),
    },
    node: NodeId::from_wire(3),
    disk: DiskId::from_bytes([0xd1; 16]),
    segment_bytes: 64 << 20,
    stream_key: *b"0123456789abcdef",
};

fn io(medium: &Medium) -> Io {
    Io::new(Box::new(medium.disk()))
}

fn open(medium: &Medium) -> Result<Superblock, SuperblockError> {
    medium.restart();
    let io = io(medium);
    io.block_on(Superblock::open(&io))
}

fn promise(epoch: u64) -> HardState {
    HardState { epoch: Epoch::from_wire(epoch), voted_for: Some(NodeId::from_wire(epoch)) }
}

/// Founds a folder and makes promises until one fails; returns the epoch of the last that was made.
fn make_promises(medium: &Medium, count: u64) -> Option<u64> {
    let io = io(medium);
    let mut superblock = io.block_on(Superblock::found(&io, IDENTITY)).ok()?;
    for epoch in 1..=count {
        if io.block_on(superblock.write_hard_state(promise(epoch))).is_err() {
            return Some(epoch - 1);
        }
    }
    Some(count)
}

/// A folder with so many promises.
fn founded(promises: u64) -> Medium {
    let medium = Medium::new(1);
    assert_eq!(make_promises(&medium, promises), Some(promises));
    medium
}

#[test]
fn a_promise_is_found_again() {
    let medium = founded(3);
    let superblock = open(&medium).unwrap();
    assert_eq!(superblock.identity(), &IDENTITY);
    assert_eq!(superblock.hard_state(), promise(3));
    assert_eq!(superblock.found_copies(), &[CopyLook::Good; COPIES]);
    assert_eq!(&*medium.names(), ["superblock".into()]);
}

#[test]
fn a_crash_at_any_write_leaves_the_old_or_the_new_promise() {
    for plan in [FaultPlan::NONE, FaultPlan::NONE.reordering()] {
        for seed in 0..20 {
            let workload = |medium: &Medium| make_promises(medium, 3);
            crash_everywhere(seed, plan, workload, |medium, promised, _| {
                let superblock = match (open(medium), promised) {
                    (Err(SuperblockError::Missing), None) => return,
                    (opened, _) => opened.unwrap(),
                };
                let epoch = superblock.hard_state().epoch.get();
                let promised = promised.unwrap_or(0);
                assert!((promised..=promised + 1).contains(&epoch), "{promised}, then {epoch}");
                assert_eq!(superblock.identity(), &IDENTITY);
                let again = open(medium).unwrap();
                assert_eq!(again.state, superblock.state);
                assert_eq!(again.found_copies(), &[CopyLook::Good; COPIES], "it was repaired");
            });
        }
    }
}

#[test]
fn a_crash_during_repair_leaves_the_promise() {
    for damaged in [[0, 1], [0, 3], [1, 2], [2, 3]] {
        let workload = |medium: &Medium| {
            let promised = make_promises(medium, 1);
            if !medium.has_crashed() {
                for copy in damaged {
                    medium.rot("superblock", copy * COPY_BYTES as u64 + 77);
                }
                let io = io(medium);
                // It fails where the crash is.
                drop(io.block_on(Superblock::open(&io)));
            }
            promised
        };
        crash_everywhere(7, FaultPlan::NONE, workload, |medium, promised, crash| {
            if promised == Some(1) {
                assert_eq!(open(medium).unwrap().hard_state(), promise(1), "{crash:?}");
            }
        });
    }
}

#[test]
fn two_good_copies_are_enough_and_one_is_not() {
    for damaged in 0_u32..1 << COPIES {
        let medium = founded(2);
        let is_damaged = |copy: usize| damaged & (1 << copy) != 0;
        for copy in (0..COPIES).filter(|copy| is_damaged(*copy)) {
            medium.rot("superblock", (copy * COPY_BYTES + 100 * copy) as u64 + 20);
        }
        let bad = CopyLook::Bad(CopyFault::Checksum);
        let look = |bad_copy, good| if bad_copy { bad } else { good };
        match open(&medium) {
            Ok(superblock) => {
                assert!(damaged.count_ones() <= 2);
                assert_eq!(superblock.hard_state(), promise(2));
                let looks = std::array::from_fn(|copy| look(is_damaged(copy), CopyLook::Good));
                assert_eq!(superblock.found_copies(), &looks);
                let repaired = open(&medium).unwrap();
                assert_eq!(repaired.found_copies(), &[CopyLook::Good; COPIES]);
            }
            Err(SuperblockError::Unreadable { copies }) => {
                assert!(damaged.count_ones() > 2);
                let other = CopyLook::Other { sequence: 3 };
                assert_eq!(copies, std::array::from_fn(|copy| look(is_damaged(copy), other)));
            }
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn a_flipped_bit_anywhere_is_noticed() {
    let good = founded(1).contents("superblock");
    let good: &[u8; COPY_BYTES] = good.as_chunks().0.first().unwrap();
    State::decode(0, good).unwrap();
    for byte in 0..COPY_BYTES {
        let mut bytes = *good;
        bytes[byte] ^= 1 << (byte % 8);
        State::decode(0, &bytes).unwrap_err();
    }
}

/// Seven members with the longest names.
fn full_group() -> Identity {
    let members = (1..=7).map(|number| Member {
        node: NodeId::from_wire(number),
        disk: DiskId::from_bytes([number as u8; 16]),
        name: name(&number.to_string().repeat(32)),
        zone: name(&"z".repeat(32)),
    });
    let members = Members::new(&members.collect::<Vec<_>>()).unwrap();
    let member = members.as_slice()[2];
    Identity { node: member.node, disk: member.disk, members, ..IDENTITY }
}

#[test]
fn a_group_of_seven_fits() {
    let state = State::first(full_group());
    let mut bytes = [0; COPY_BYTES];
    state.encode(0, &mut bytes);
    assert_eq!(State::decode(0, &bytes), Ok(state));
}

#[test]
fn members_that_nobody_writes_are_refused() {
    let mut good = [0; COPY_BYTES];
    State::first(full_group()).encode(0, &mut good);
    // How many, a name's length, a letter, a zone's length, a number, a disk, and a spare byte.
    for (at, byte) in [(168, 0), (168, 6), (168, 8), (200, 0), (200, 33), (208, b'/'), (204, 40)] {
        let mut bytes = good;
        bytes[at] = byte;
        seal(&mut bytes);
        let fault = CopyFault::Field { field: "list of members" };
        assert_eq!(State::decode(0, &bytes), Err(fault), "{at}");
    }
    let mut bytes = good;
    bytes[96] = 4;
    seal(&mut bytes);
    assert_eq!(State::decode(0, &bytes), Err(CopyFault::Field { field: "node" }));
}

fn seal(bytes: &mut [u8; COPY_BYTES]) {
    let checksum = *blake3::hash(&bytes[..4064]).as_bytes();
    bytes[4064..].copy_from_slice(&checksum);
}

#[test]
fn a_folder_is_founded_only_as_the_disk_that_it_said_it_was() {
    let medium = Medium::new(1);
    let io = io(&medium);
    let told = io.block_on(read_or_make_disk_id(&io, [7; 16])).unwrap();
    let error = io.block_on(Superblock::found(&io, IDENTITY)).unwrap_err();
    assert_eq!(error, SuperblockError::OtherDisk { found: told, expected: IDENTITY.disk });
    let identity = Identity {
        node: NodeId::from_wire(1),
        disk: told,
        members: Members::of_one(told),
        ..IDENTITY
    };
    io.block_on(Superblock::found(&io, identity)).unwrap();
    assert_eq!(open(&medium).unwrap().identity(), &identity);
}

#[test]
fn a_misdirected_copy_is_not_taken() {
    let medium = founded(1);
    let first = medium.contents("superblock")[..COPY_BYTES].to_vec();
    medium.overwrite("superblock", 2 * COPY_BYTES as u64, &first);
    let superblock = open(&medium).unwrap();
    let look = CopyLook::Bad(CopyFault::Misdirected { number: 0 });
    assert_eq!(superblock.found_copies()[2], look);
}

#[test]
fn a_sector_that_cannot_be_read_is_repaired() {
    let medium = founded(1);
    medium.inject(Fault::FailedRead);
    let superblock = open(&medium).unwrap();
    assert_eq!(superblock.found_copies()[0], CopyLook::Bad(CopyFault::ReadFailed));
    assert_eq!(superblock.hard_state(), promise(1));
}

#[test]
fn a_failed_write_is_told_and_nothing_is_written_after_it() {
    let medium = founded(1);
    medium.restart();
    let io = io(&medium);
    let mut superblock = io.block_on(Superblock::open(&io)).unwrap();
    medium.inject(Fault::FailedWrite);
    let error = io.block_on(superblock.write_hard_state(promise(2))).unwrap_err();
    assert_eq!(error.kind, DiskErrorKind::Failed);
    let again = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        io.block_on(superblock.write_hard_state(promise(2)))
    }));
    again.expect_err("it refuses");
}

/// Writes failed, and yet what they wrote is read, until the power goes.
#[test]
fn what_a_start_has_read_survives_a_power_loss() {
    let mut newer_reads = 0;
    for seed in 0..300 {
        let medium = Medium::with_faults(seed, FaultPlan::NONE);
        assert_eq!(make_promises(&medium, 1), Some(1));
        let mut superblock = open(&medium).unwrap();
        medium.inject(Fault::FailedWrite);
        let first = superblock.io.0.clone();
        first.block_on(superblock.write_hard_state(promise(2))).unwrap_err();
        // So does the repair that the next start makes, where it makes one.
        medium.inject(Fault::FailedWrite);
        let repaired = open(&medium).is_ok();
        medium.forget_injected();
        let Ok(read) = open(&medium) else { panic!("seed {seed}: repaired {repaired}") };
        newer_reads += u32::from(read.hard_state() == promise(2));
        medium.power_loss();
        assert_eq!(open(&medium).unwrap().hard_state(), read.hard_state(), "seed {seed}");
    }
    assert!(newer_reads > 0, "a failed write is never read");
}

#[test]
fn a_newer_format_is_named() {
    let medium = founded(1);
    for copy in 0..COPIES {
        medium.overwrite("superblock", (copy * COPY_BYTES) as u64 + 8, &[9]);
    }
    let error = open(&medium).unwrap_err();
    assert_eq!(error, SuperblockError::NewerFormat { version: 9 });
    let text = "the data folder is of a newer format (9); this program reads up to 1: start the \
                newer program";
    assert_eq!(error.to_string(), text);
}

#[test]
fn one_copy_of_a_newer_format_is_damage() {
    let medium = founded(1);
    medium.overwrite("superblock", 8, &[9]);
    let superblock = open(&medium).unwrap();
    let look = CopyLook::Bad(CopyFault::NewerFormat { version: 9 });
    assert_eq!(superblock.found_copies()[0], look);
}

#[test]
fn a_folder_is_founded_once() {
    let medium = founded(1);
    medium.restart();
    let io = io(&medium);
    let error = io.block_on(Superblock::found(&io, IDENTITY)).unwrap_err();
    assert_eq!(error, SuperblockError::AlreadyFounded);
}

#[test]
fn a_log_without_a_superblock_is_not_founded_anew() {
    let medium = Medium::new(1);
    let io = io(&medium);
    let name = FileName::from("log/0000000000000000.segment");
    io.block_on(io.run(Op::Create { name: name.clone(), bytes: 0 })).unwrap();
    let lost = SuperblockError::Lost { file: name };
    assert_eq!(io.block_on(Superblock::open(&io)).unwrap_err(), lost);
    assert_eq!(io.block_on(Superblock::found(&io, IDENTITY)).unwrap_err(), lost);
}

#[test]
fn a_shortened_file_is_refused() {
    let medium = Medium::new(1);
    let io = io(&medium);
    io.block_on(io.run(Op::Create { name: "superblock".into(), bytes: 4096 })).unwrap();
    let look = CopyLook::Bad(CopyFault::FileLength { bytes: 4096 });
    let error = io.block_on(Superblock::open(&io)).unwrap_err();
    assert_eq!(error, SuperblockError::Unreadable { copies: [look; COPIES] });
}

#[test]
fn examining_changes_nothing() {
    let medium = founded(1);
    medium.rot("superblock", 50);
    let before = medium.contents("superblock");
    let io = io(&medium);
    let (state, looks) = io.block_on(Superblock::examine(&io)).unwrap();
    assert_eq!(state.hard_state, promise(1));
    assert_eq!(looks[0], CopyLook::Bad(CopyFault::Checksum));
    assert_eq!(medium.contents("superblock"), before);
}

#[test]
fn the_folder_of_others_is_refused() {
    let superblock = open(&founded(0)).unwrap();
    let check = |cluster, node| superblock.check_belongs(cluster, NodeId::from_wire(node));
    let (found, expected) = (IDENTITY.log.cluster, ClusterId::from_bytes([2; 16]));
    assert_eq!(check(None, 3), Ok(()));
    assert_eq!(check(Some(found), 3), Ok(()));
    assert_eq!(check(Some(expected), 3), Err(SuperblockError::OtherCluster { found, expected }));
    let (found, expected) = (NodeId::from_wire(3), NodeId::from_wire(4));
    assert_eq!(check(None, 4), Err(SuperblockError::OtherNode { found, expected }));
}

#[test]
fn two_states_of_one_sequence_are_not_told_apart() {
    let medium = founded(1);
    let other = State { hard_state: promise(9), ..open(&medium).unwrap().state };
    for copy in 2..COPIES {
        let mut bytes = [0; COPY_BYTES];
        other.encode(copy, &mut bytes);
        medium.overwrite("superblock", (copy * COPY_BYTES) as u64, &bytes);
    }
    assert!(matches!(open(&medium), Err(SuperblockError::Unreadable { .. })));
}

/// Power lost between the two halves of a write, in each way.
#[test]
fn the_first_half_of_a_write_decides() {
    for (completed, epoch) in [(0, 1), (1, 2)] {
        let medium = Medium::new(1);
        let changes = {
            make_promises(&medium, 1);
            medium.changes_completed()
        };
        let medium = Medium::new(1);
        medium.crash_at(match completed {
            0 => CrashPoint::Submitted(changes + 1),
            _ => CrashPoint::Completed(changes + 1),
        });
        assert_eq!(make_promises(&medium, 2), Some(1));
        medium.power_loss_keeping(Survival::Nothing);
        let found = open(&medium).unwrap().hard_state().epoch.get();
        if completed == 1 {
            assert_eq!(found, epoch);
        } else {
            assert!((1..=2).contains(&found), "a write in flight may have been done");
        }
    }
}

#[test]
fn the_bytes_are_these() {
    let mut state = State::first(IDENTITY).followed_by(promise(5));
    state.parent = [0xaa; 32];
    let mut bytes = [0; COPY_BYTES];
    state.encode(2, &mut bytes);
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let lines: Vec<String> = bytes[..288].chunks(32).chain([&bytes[4064..]]).map(hex).collect();
    assert_eq!(lines, GOLDEN, "the format has changed: that takes a new version");
    assert!(bytes[288..4064].iter().all(|byte| *byte == 0));
    assert_eq!(State::decode(2, &bytes), Ok(state));
}

/// The first 288 bytes of a copy, 32 to a line, and its checksum.
const GOLDEN: [&str; 10] = [
    "517274537570657201000000020000000200000000000000aaaaaaaaaaaaaaaa",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaac1c1c1c1c1c1c1c1",
    "c1c1c1c1c1c1c1c1efcdab896745230111111111111111111111111111111111",
    "0300000000000000d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d10500000000000000",
    "0100000000000000050000000000000000000004000000003031323334353637",
    "383961626364656601000000000000000300000000000000d1d1d1d1d1d1d1d1",
    "d1d1d1d1d1d1d1d102000000090000006e330000000000000000000000000000",
    "000000000000000000000000000000007a6f6e652d6561737400000000000000",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "6adcf1197c0538e7e49354f6319ebfff095738b4fd5834c37c66ec287ad60185",
];
