//! The bytes of every message, held by files: `UPDATE=1` rewrites them, and a person reads the diff.

mod golden_file;
mod support;

use golden_file::{check_golden, read_one};
use quorate_net::wire::{Kind, Reply, Request};

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
