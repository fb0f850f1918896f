//! The event frame: its bytes, and that no bytes at all make its decoder panic.

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use quorate_core::event::{
    self, ContentType, EventFrame, FrameError, HEADER_BYTES, NewEvent, crc32c, encode, stamp,
};
use quorate_core::id::{EventId, Revision};
use quorate_core::time::Created;

fn event() -> NewEvent<'static> {
    NewEvent {
        id: EventId::from_bytes(*b"0123456789abcdef"),
        event_type: "departed",
        content_type: ContentType::Json,
        data: br#"{"delay":-4}"#,
        metadata: b"{}",
    }
}

fn frame() -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(&mut bytes, "aircraft-N1", &event(), crc32c);
    stamp(&mut bytes, Revision::from_wire(7), Created::from_ticks(0x0102_0304_0506_0708));
    bytes
}

/// Every byte of a frame, as it lies in every log that was ever written.
#[test]
fn a_frame_has_these_bytes() {
    let golden: &[&[u8]] = &[
        &[104, 0, 0, 0],           // length
        &[0x3a, 0xb2, 0xc9, 0x24], // header checksum
        &[7, 0, 0, 0, 0, 0, 0, 0], // revision
        &[8, 7, 6, 5, 4, 3, 2, 1], // created
        &[0xa0, 0x79, 0x11, 0xc6], // content checksum
        &[0, 0, 0, 0],             // reserved
        b"0123456789abcdef",       // id
        &[11, 0],                  // stream name length
        &[8, 0],                   // type length
        &[2, 0, 0, 0],             // metadata length
        &[12, 0, 0, 0],            // data length
        &[1],                      // content type
        &[0, 0, 0],                // reserved
        b"aircraft-N1",
        b"departed",
        b"{}",
        br#"{"delay":-4}"#,
        &[0; 7], // padding
    ];
    assert_eq!(frame(), golden.concat());
}

/// The polynomial is Castagnoli's: the check value of its catalogue entry.
#[test]
fn the_checksum_is_crc_32c() {
    assert_eq!(crc32c(b"123456789"), 0xe306_9283);
}

#[test]
fn what_is_wrong_with_a_frame_is_named() {
    let check = |change: &dyn Fn(&mut Vec<u8>), expected: FrameError| {
        let mut bytes = frame();
        change(&mut bytes);
        assert_eq!(EventFrame::parse(&bytes).map(|_| ()), Err(expected));
    };
    let length = frame().len();
    check(&|bytes| bytes.clear(), FrameError::Truncated { needed: HEADER_BYTES, found: 0 });
    check(
        &|bytes| bytes.truncate(HEADER_BYTES - 1),
        FrameError::Truncated { needed: HEADER_BYTES, found: HEADER_BYTES - 1 },
    );
    check(
        &|bytes| bytes.truncate(length - 1),
        FrameError::Truncated { needed: length, found: length - 1 },
    );
    check(&|bytes| bytes[0] = 96, FrameError::Length { frame_bytes: 96 });
    check(&|bytes| bytes[0] = 103, FrameError::Length { frame_bytes: 103 });
    check(&|bytes| bytes[0] = 56, FrameError::Length { frame_bytes: 56 });
    check(&|bytes| bytes[59] = 0xff, FrameError::Length { frame_bytes: 104 });
    check(&|bytes| bytes[28] = 1, FrameError::Reserved);
    check(&|bytes| bytes[63] = 1, FrameError::Reserved);
    check(&|bytes| bytes[103] = 1, FrameError::Reserved);
    check(&|bytes| bytes[60] = 2, FrameError::ContentType(2));
    check(&|bytes| bytes[64] = 0xff, FrameError::NotUtf8);
    check(&|bytes| bytes[75] = 0xff, FrameError::NotUtf8);
}

#[test]
fn each_half_has_its_own_checksum() {
    let whole = frame();
    for place in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[place] ^= 0x10;
        let Ok(frame) = EventFrame::parse(&bytes) else { continue };
        let header = frame.verify_header() == Err(FrameError::HeaderChecksum);
        let content = frame.verify_content() == Err(FrameError::ContentChecksum);
        assert!(header || content, "byte {place} is covered");
    }
}

prop_compose! {
    fn any_event()(
        id in any::<[u8; 16]>(),
        stream in ".{1,20}",
        event_type in ".{0,20}",
        json in any::<bool>(),
        data in prop::collection::vec(any::<u8>(), 0..100),
        metadata in prop::collection::vec(any::<u8>(), 0..50),
    ) -> (String, String, EventId, ContentType, Vec<u8>, Vec<u8>) {
        let content_type = if json { ContentType::Json } else { ContentType::Octets };
        (stream, event_type, EventId::from_bytes(id), content_type, data, metadata)
    }
}

/// The same cases in each run; `PROPTEST_RNG_SEED` and `PROPTEST_CASES` give others.
fn config() -> ProptestConfig {
    ProptestConfig {
        cases: 512,
        rng_seed: RngSeed::Fixed(2113),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn what_is_encoded_is_read_back(events in prop::collection::vec(any_event(), 0..5)) {
        let mut bytes = Vec::new();
        for (index, (stream, event_type, id, content_type, data, metadata)) in
            events.iter().enumerate()
        {
            let event =
                NewEvent { id: *id, event_type, content_type: *content_type, data, metadata };
            let start = bytes.len();
            encode(&mut bytes, stream, &event, crc32c);
            let length = (bytes.len() - start) as u64;
            prop_assert_eq!(length, event::encoded_bytes(stream, &event));
            let index = index as u64;
            stamp(&mut bytes[start..], Revision::from_wire(index), Created::from_ticks(!index));
        }
        let frames: Vec<_> = event::frames(&bytes).map(|frame| frame.unwrap().1).collect();
        prop_assert_eq!(frames.len(), events.len());
        let accepted: Vec<_> = event::accepted(&bytes).collect();
        prop_assert_eq!(&frames, &accepted);
        for (index, (frame, event)) in frames.iter().zip(&events).enumerate() {
            let (stream, event_type, id, content_type, data, metadata) = event;
            prop_assert_eq!(frame.stream(), stream);
            prop_assert_eq!(frame.event_type(), event_type);
            prop_assert_eq!(frame.id(), *id);
            prop_assert_eq!(frame.content_type(), *content_type);
            prop_assert_eq!(frame.data(), data);
            prop_assert_eq!(frame.metadata(), metadata);
            prop_assert_eq!(frame.revision().get(), index as u64);
            prop_assert_eq!(frame.created().ticks(), !(index as u64));
            prop_assert_eq!(frame.verify_header(), Ok(()));
            prop_assert_eq!(frame.verify_content(), Ok(()));
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        read_all_of(&bytes);
    }

    #[test]
    fn no_damage_makes_it_panic(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        length in any::<prop::sample::Index>(),
    ) {
        let mut bytes = frame();
        bytes.extend(frame());
        for (place, byte) in damage {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        bytes.truncate(length.index(bytes.len() + 1));
        read_all_of(&bytes);
    }
}

/// Reads all that a decoder accepts, which must lie within the bytes.
fn read_all_of(bytes: &[u8]) {
    let mut end = 0;
    for frame in event::frames(bytes) {
        let Ok((offset, frame)) = frame else { return };
        assert_eq!(offset, end);
        end += frame.bytes().len();
        let parts = [
            frame.stream().len(),
            frame.event_type().len(),
            frame.metadata().len(),
            frame.data().len(),
        ];
        let unused = frame.bytes().len() - HEADER_BYTES - parts.iter().sum::<usize>();
        assert!(unused < 8, "a frame is its parts and padding");
        assert!(frame.content().len() + 32 == frame.bytes().len());
        let checksums = (frame.verify_header().is_ok(), frame.verify_content().is_ok());
        assert!(checksums != (true, true) || frame.bytes().len() >= HEADER_BYTES);
        assert!(format!("{frame:?}").starts_with("EventFrame("));
    }
    assert_eq!(end, bytes.len());
}
