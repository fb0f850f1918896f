//! The bytes of every message, held by files: `UPDATE=1` rewrites them, and a person reads the diff.

mod support;

use std::fmt::Write as _;
use std::path::Path;

use quorate_net::wire::{Kind, Reply, Request};
use quorate_net::{Frame, FrameReader};

/// Sixteen bytes a line, so that the frame's header is the first line.
fn hexadecimal(bytes: &[u8]) -> String {
    let mut text = String::new();
    for line in bytes.chunks(16) {
        let words: Vec<String> = line.iter().map(|byte| format!("{byte:02x}")).collect();
        writeln!(text, "{}", words.join(" ")).unwrap();
    }
    text
}

fn check_golden(name: &str, bytes: &[u8]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/{name}.hex"));
    let found = hexadecimal(bytes);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &found).unwrap();
    }
    let expected = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}; UPDATE=1 writes it", path.display()));
    assert_eq!(found, expected, "{name}: the wire format changed");
}

fn read_one(bytes: &[u8]) -> Frame {
    let mut reader = FrameReader::new(1 << 20);
    reader.buffer().extend_from_slice(bytes);
    let frame = reader.next_frame().unwrap().expect("a whole frame");
    assert!(reader.finish().is_ok(), "nothing follows");
    frame
}

#[test]
fn every_message_has_its_golden_bytes_and_comes_back_as_it_was() {
    let frames = support::event_frame();
    let mut kinds = Vec::new();
    for (name, request) in support::requests(&frames) {
        let mut bytes = Vec::new();
        request.encode(&mut bytes);
        check_golden(name, &bytes);
        let frame = read_one(&bytes);
        assert_eq!(Request::decode(&frame).as_ref(), Ok(&request), "{name}");
        assert!(Reply::decode(&frame).is_err(), "{name} is no reply");
        kinds.push(frame.kind());
    }
    let items = support::items();
    for (name, reply) in support::replies(&items) {
        let mut bytes = Vec::new();
        reply.encode(&mut bytes);
        check_golden(name, &bytes);
        let frame = read_one(&bytes);
        assert_eq!(Reply::decode(&frame).as_ref(), Ok(&reply), "{name}");
        assert!(Request::decode(&frame).is_err(), "{name} is no request");
        kinds.push(frame.kind());
    }
    assert!(Kind::ALL.iter().all(|kind| kinds.contains(kind)), "no kind goes without golden bytes");
}
