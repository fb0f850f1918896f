//! Frames from bad bytes: each damage has its name, nothing panics, nothing large is taken early.

mod support;

use proptest::prelude::*;
use quorate_net::frame::{BODY_BYTES_MAX, HEADER_BYTES};
use quorate_net::wire::{Kind, Reply, Request};
use quorate_net::{Frame, FrameReader, WireError};

const PAYLOAD_BYTES_MAX: u32 = 4096;

fn append_bytes() -> Vec<u8> {
    let frames = support::event_frame();
    let mut bytes = Vec::new();
    support::requests(&frames)
        .iter()
        .find(|(name, _)| *name == "append")
        .expect("there is one")
        .1
        .encode(&mut bytes);
    bytes
}

fn read(bytes: &[u8]) -> Result<Option<Frame>, WireError> {
    let mut reader = FrameReader::new(PAYLOAD_BYTES_MAX);
    reader.buffer().extend_from_slice(bytes);
    reader.next_frame()
}

/// Writes the checksum that fits the bytes, so that what lies behind it is reached.
fn seal(bytes: &mut [u8]) {
    let covered = crc32c::crc32c(&bytes[..12]);
    let checksum = crc32c::crc32c_append(covered, &bytes[HEADER_BYTES..]);
    bytes[12..16].copy_from_slice(&checksum.to_le_bytes());
}

/// What the header of an append comes to with other bytes in it.
fn check_header(offset: usize, bytes: &[u8], expected: WireError) {
    let mut frame = append_bytes();
    frame[offset..offset + bytes.len()].copy_from_slice(bytes);
    assert_eq!(read(&frame), Err(expected));
}

#[test]
fn a_wrong_header_is_named() {
    check_header(0, &[2], WireError::Version { found: 2 });
    check_header(1, &[0], WireError::Kind { found: 0 });
    check_header(1, &[63], WireError::Kind { found: 63 });
    check_header(2, &[0, 1], WireError::Reserved);
    check_header(12, &[0, 0, 0, 0], WireError::Checksum);
    check_header(1, &[Kind::Delete.code()], WireError::Checksum);
    let found = BODY_BYTES_MAX + 1;
    let too_long = WireError::BodyTooLong { found, max: BODY_BYTES_MAX };
    check_header(4, &found.to_le_bytes(), too_long);
    let found = PAYLOAD_BYTES_MAX + 1;
    let too_long = WireError::PayloadTooLong { found, max: PAYLOAD_BYTES_MAX };
    check_header(8, &found.to_le_bytes(), too_long);
}

#[test]
fn a_body_that_is_cut_off_or_goes_on_is_refused() {
    let whole = append_bytes();
    let body_bytes = u32::from_le_bytes(whole[4..8].try_into().unwrap()) as usize;
    let body = HEADER_BYTES..HEADER_BYTES + body_bytes;
    let check = |body: &[u8]| {
        let mut bytes = whole[..HEADER_BYTES].to_vec();
        bytes[4..8].copy_from_slice(&(body.len() as u32).to_le_bytes());
        bytes[8..12].fill(0);
        bytes.extend_from_slice(body);
        seal(&mut bytes);
        let frame = read(&bytes).unwrap().expect("the frame itself is whole");
        let expected = Err(WireError::Body { kind: Kind::Append });
        assert_eq!(Request::decode(&frame).map(drop), expected);
    };
    for length in 0..body_bytes {
        check(&whole[body.start..body.start + length]);
        check(&whole[body.start + body_bytes - length..body.end]);
    }
    check(&[&[0], &whole[body.clone()]].concat());
    check(&[&whole[body.clone()], &[0][..]].concat());
}

#[test]
fn a_payload_where_none_belongs_is_refused() {
    let mut bytes = Vec::new();
    Reply::Checkpoint { after: 7 }.encode(&mut bytes);
    bytes[8] = 1;
    bytes.push(0);
    seal(&mut bytes);
    let frame = read(&bytes).unwrap().expect("the frame itself is whole");
    let expected = WireError::UnexpectedPayload { kind: Kind::Checkpoint };
    assert_eq!(Reply::decode(&frame), Err(expected));
    let expected = WireError::UnexpectedKind { kind: Kind::Checkpoint };
    bytes.pop();
    bytes[8] = 0;
    seal(&mut bytes);
    let frame = read(&bytes).unwrap().expect("the frame itself is whole");
    assert_eq!(Request::decode(&frame).map(drop), Err(expected));
}

#[test]
fn text_that_is_not_utf8_is_refused() {
    let mut bytes = append_bytes();
    assert_eq!(&bytes[HEADER_BYTES..HEADER_BYTES + 7], b"flights");
    bytes[HEADER_BYTES] = 0xFF;
    seal(&mut bytes);
    let frame = read(&bytes).unwrap().expect("the frame itself is whole");
    let expected = Err(WireError::Body { kind: Kind::Append });
    assert_eq!(Request::decode(&frame).map(drop), expected);
}

#[test]
fn what_is_only_announced_takes_little_memory() {
    let mut reader = FrameReader::new(u32::MAX);
    let mut header = append_bytes()[..HEADER_BYTES].to_vec();
    header[8..12].copy_from_slice(&u32::MAX.to_le_bytes());
    reader.buffer().extend_from_slice(&header);
    assert_eq!(reader.next_frame(), Ok(None));
    assert!(reader.buffer().capacity() < 2 << 20, "{}", reader.buffer().capacity());
}

#[test]
fn a_stream_that_ends_within_a_frame_is_noticed() {
    let whole = append_bytes();
    for (length, needed) in [(1, HEADER_BYTES), (HEADER_BYTES, whole.len())] {
        let mut reader = FrameReader::new(PAYLOAD_BYTES_MAX);
        reader.buffer().extend_from_slice(&whole[..length]);
        assert_eq!(reader.next_frame(), Ok(None));
        assert_eq!(reader.finish(), Err(WireError::Truncated { needed, found: length }));
    }
}

/// All messages behind one another, and their frames.
fn all_messages() -> (Vec<u8>, Vec<Frame>) {
    let (frames, items) = (support::event_frame(), support::items());
    let mut bytes = Vec::new();
    for (_, request) in support::requests(&frames) {
        request.encode(&mut bytes);
    }
    for (_, reply) in support::replies(&items) {
        reply.encode(&mut bytes);
    }
    let mut reader = FrameReader::new(PAYLOAD_BYTES_MAX);
    reader.buffer().extend_from_slice(&bytes);
    let mut all = Vec::new();
    while let Some(frame) = reader.next_frame().unwrap() {
        all.push(frame);
    }
    (bytes, all)
}

proptest! {
    #[test]
    fn pieces_of_any_size_come_to_the_same_frames(sizes in prop::collection::vec(1..200_usize, 1..50)) {
        let (bytes, expected) = all_messages();
        let mut reader = FrameReader::new(PAYLOAD_BYTES_MAX);
        let mut found = Vec::new();
        let (mut rest, mut sizes) = (bytes.as_slice(), sizes.iter().cycle());
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(rest.len().min(*sizes.next().expect("it cycles")));
            reader.buffer().extend_from_slice(piece);
            rest = after;
            while let Some(frame) = reader.next_frame().unwrap() {
                found.push(frame);
            }
        }
        prop_assert_eq!(reader.finish(), Ok(()));
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn any_bytes_are_a_frame_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut reader = FrameReader::new(PAYLOAD_BYTES_MAX);
        reader.buffer().extend_from_slice(&bytes);
        while let Ok(Some(frame)) = reader.next_frame() {
            let _ = Request::decode(&frame);
            let _ = Reply::decode(&frame);
        }
        let _ = reader.finish();
    }

    /// Any body at all under a right checksum: what a hostile peer can send.
    #[test]
    fn any_body_is_a_message_or_an_error(
        kind in prop::sample::select(Kind::ALL),
        body in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        check_hostile(kind, &body);
    }

    /// Real bodies with a few bytes changed: archives that are almost right.
    #[test]
    fn an_almost_right_body_is_a_message_or_an_error(
        message in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let (_, messages) = all_messages();
        let message = message.get(&messages);
        let mut body = message.body().to_vec();
        for (place, byte) in changes {
            if !body.is_empty() {
                let place = place.index(body.len());
                body[place] = byte;
            }
        }
        check_hostile(message.kind(), &body);
    }
}

/// A message that is taken comes back as the same message when it is written again.
fn check_hostile(kind: Kind, body: &[u8]) {
    let mut bytes = append_bytes()[..HEADER_BYTES].to_vec();
    bytes[1] = kind.code();
    bytes[4..8].copy_from_slice(&(body.len() as u32).to_le_bytes());
    bytes[8..12].fill(0);
    bytes.extend_from_slice(body);
    seal(&mut bytes);
    let frame = read(&bytes).unwrap().expect("the frame itself is whole");
    let mut again = Vec::new();
    if let Ok(request) = Request::decode(&frame) {
        request.encode(&mut again);
        let frame = read(&again).unwrap().expect("a whole frame");
        assert_eq!(Request::decode(&frame), Ok(request));
    }
    if let Ok(reply) = Reply::decode(&frame) {
        reply.encode(&mut again);
        let frame = read(&again).unwrap().expect("a whole frame");
        assert_eq!(Reply::decode(&frame), Ok(reply));
    }
}
