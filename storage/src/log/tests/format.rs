//! The files' bytes, held fast: a change here is a new version of the format. And any bytes at all,
//! which no decoder may trip over.

use proptest::prelude::*;
use quorate_core::log::entry::SECTOR_BYTES;

use super::*;
use crate::log::image::{Verdict, examine};
use crate::log::segment::{FOOTER_BYTES, PartError, SegmentFooter, SegmentHeader};
use crate::log::stamp::Stamp;
use crate::test_golden;

#[test]
fn the_files_bytes_are_what_they_were() {
    let medium = Medium::new(1);
    let io = io(&medium);
    let (mut log, _) = open(&io).unwrap();
    for entry in entries(&[3, 4000, 3, 3, 3, 3, 40]) {
        log.append(&entry.header, &entry.body, entry.header.index.previous());
        settle(&io, &mut log, 0).unwrap();
    }
    io.block_on(log.close()).unwrap();
    let sealed = medium.contents("log/0000000000000000.segment");
    let active = medium.contents("log/0000000000007000.segment");
    test_golden::check("log-sealed.hex", &sealed);
    test_golden::check("log-active.hex", &active);
    test_golden::check("log-stamp.hex", &medium.contents("log/stamp"));
    let end = LogEnd::after(&entries(&[3, 4000])[1].header);
    let stamp = Stamp {
        sequence: 9,
        durable: LogIndex::from_wire(7),
        committed: LogIndex::from_wire(1),
        truncations: 3,
        intent: Some(end),
    };
    test_golden::check("log-stamp-intent.hex", &stamp.encode(&HOME));
    assert_eq!(Stamp::decode(&stamp.encode(&HOME), &HOME), Some(stamp));
}

/// Whole sectors: noise, behind the beginnings that make a decoder look further.
fn sectors(count: usize) -> impl Strategy<Value = Vec<u8>> {
    let magics = [*b"QrtRec01", *b"QrtSegmt", *b"QrtSegEn", *b"QrtStamp", [0; 8]];
    let bytes = count * SECTOR_BYTES as usize;
    (prop::sample::select(magics.to_vec()), any::<u64>(), any::<[u8; 192]>()).prop_map(
        move |(magic, seed, header)| {
            let noise = |at: u64| (seed.wrapping_mul(at | 1) >> 56) as u8;
            let mut bytes: Vec<u8> = (0..bytes as u64).map(noise).collect();
            bytes[..192].copy_from_slice(&header);
            bytes[..8].copy_from_slice(&magic);
            bytes
        },
    )
}

proptest! {
    #[test]
    fn no_bytes_are_taken_for_what_was_not_written(bytes in sectors(3)) {
        let sector = &bytes[..SECTOR_BYTES as usize];
        prop_assert!(record::decode_header(&bytes, &HOME).is_err());
        prop_assert!(matches!(examine(&bytes, &HOME, &LogEnd::default()), Verdict::Bad(_)));
        prop_assert_eq!(SegmentHeader::decode(sector), Err(PartError::Damaged));
        let footer = &bytes[..FOOTER_BYTES as usize];
        let decoded = SegmentFooter::decode(footer, &HOME, Position::START, 40960);
        prop_assert_eq!(decoded, Err(PartError::Damaged));
        prop_assert_eq!(Stamp::decode(sector, &HOME), None);
    }

    #[test]
    fn a_record_is_read_as_it_was_written(
        body in prop::collection::vec(any::<u8>(), 0..20_000),
        numbers in any::<[u32; 5]>(),
        chains in any::<[[u8; 32]; 2]>(),
    ) {
        let [epoch, index, position, events_before, event_count] = numbers;
        let header = EntryHeader {
            epoch: Epoch::from_wire(epoch.into()),
            index: LogIndex::from_wire(u64::from(index) + 1),
            position: Position::from_wire(u64::from(position) * SECTOR_BYTES),
            kind: EntryKind::Epoch,
            body_bytes: body.len() as u32,
            event_count,
            events_before: events_before.into(),
            previous_chain: quorate_core::id::ChainHash::from_bytes(chains[0]),
            chain: quorate_core::id::ChainHash::from_bytes(chains[1]),
        };
        let stamps = Stamps {
            durable: LogIndex::from_wire(index.into()),
            committed: LogIndex::from_wire(epoch.into()),
        };
        let record = record::encode(&HOME, &header, stamps, &body);
        let decoded = record::decode_header(&record, &HOME).unwrap();
        prop_assert_eq!(decoded.entry, header);
        prop_assert_eq!((decoded.durable, decoded.committed), (stamps.durable, stamps.committed));
        prop_assert_eq!(decoded.log, HOME.log);
        prop_assert_eq!(&record[decoded.body()], &body[..]);
        prop_assert_eq!(record::bad_sectors(&record, &decoded).count(), 0);
        let other = Home { disk: DiskId::from_bytes([9; 16]), ..HOME };
        prop_assert!(record::decode_header(&record, &other).is_err(), "another disk's record");
    }
}
