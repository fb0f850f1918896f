//! Recorded states and inputs: every bit of them counts, and what is no recording is an error.

#[allow(dead_code, reason = "each test uses a part of the group")]
mod group;
#[allow(dead_code, reason = "each test uses a part of the shell")]
mod shell;
#[allow(dead_code, reason = "each test uses a part of the tape")]
mod tape;

use std::collections::{BTreeMap, BTreeSet};

use group::{Group, node};
use proptest::prelude::*;
use quorate_core::recording::{Recorded as _, Source, TapeReader};
use quorate_core::timing::Timing;
use quorate_core::{Limits, Replica};

/// A leader with appends under way.
fn leader() -> Replica {
    let mut group = Group::started(&[0, 0, 0], Limits::TINY, Timing::TINY);
    while group.leader().is_none() {
        group.calm_tick();
    }
    for request in 0..40 {
        let leader = group.leader().expect("nothing happens to it");
        group.append(leader, request, ["a", "b", "c"][request as usize % 3]);
        if request % 4 != 0 {
            group.calm_tick();
        }
    }
    group.node(group.leader().unwrap_or(node(1))).replica.clone()
}

#[test]
fn a_state_that_is_cut_off_or_too_long_is_refused() {
    let mut bytes = tape::state(&leader());
    for length in 0..bytes.len() {
        assert!(Replica::from_recording(&bytes[..length], None).is_err(), "{length} bytes");
    }
    bytes.push(0);
    assert!(Replica::from_recording(&bytes, None).is_err());
}

#[test]
fn a_state_that_is_read_is_written_as_it_was_read() {
    let bytes = tape::state(&leader());
    let mut taken = 0;
    for place in 0..bytes.len() {
        for bit in 0..8 {
            let mut other = bytes.clone();
            other[place] ^= 1 << bit;
            if let Ok(replica) = Replica::from_recording(&other, None) {
                assert_eq!(tape::state(&replica), other, "bit {bit} of byte {place}");
                taken += 1;
            }
        }
    }
    assert!(taken > 1000, "most numbers may be others: {taken}");
}

proptest! {
    #[test]
    fn any_bytes_are_a_recording_or_an_error(bytes in prop::collection::vec(0_u8..22, 0..300)) {
        if let Ok(replica) = Replica::from_recording(&bytes, None) {
            prop_assert_eq!(tape::state(&replica), bytes.clone());
        }
        let mut reader = TapeReader::new(&bytes);
        while reader.next(|_| ()).is_ok() {}
    }
}

#[track_caller]
fn check_set(bytes: &[u8], expected: Option<&[u64]>) {
    let read = BTreeSet::<u64>::read(&mut Source::new(bytes));
    assert_eq!(read.ok(), expected.map(|values| values.iter().copied().collect()), "{bytes:?}");
}

#[test]
fn a_set_or_a_table_has_one_form() {
    check_set(&[3, 2, 4, 6], Some(&[2, 4, 6]));
    check_set(&[3, 2, 6, 4], None);
    check_set(&[3, 2, 4, 4], None);
    let table = |bytes: &[u8]| BTreeMap::<u64, u64>::read(&mut Source::new(bytes)).ok();
    assert_eq!(table(&[2, 1, 9, 2, 9]), Some([(1, 9), (2, 9)].into()));
    assert_eq!(table(&[2, 1, 9, 1, 9]), None);
}
