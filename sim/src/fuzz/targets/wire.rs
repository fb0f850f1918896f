//! What comes over a QUIC stream: frames, the messages in them, and the events that those carry.

use std::path::Path;

use quorate_core::item;
use quorate_net::event_frames;
use quorate_net::frame::HEADER_BYTES;
use quorate_net::wire::peer::PeerMessage;
use quorate_net::wire::{Reply, Request};
use quorate_net::{Frame, FrameReader};

use crate::fuzz::Target;

const PAYLOAD_BYTES_MAX: u32 = 1 << 15;

/// What a client can send to a node.
pub(super) const REQUEST: Target =
    Target { name: "wire-request", corpus: requests, repair, decode: takes_request };

/// What a node can send to a client.
pub(super) const REPLY: Target =
    Target { name: "wire-reply", corpus: replies, repair, decode: takes_reply };

/// What a node can send to another node.
pub(super) const PEER: Target =
    Target { name: "wire-peer", corpus: peer_messages, repair, decode: takes_peer_message };

/// Whether this is one whole request, with nothing behind it.
fn takes_request(bytes: &[u8]) -> bool {
    let Some(frame) = one_frame(bytes) else { return false };
    match Request::decode(&frame) {
        Ok(Request::Append(append)) => {
            event_frames::validate_append(append.frames, append.stream).is_ok()
        }
        decoded => decoded.is_ok(),
    }
}

/// Whether this is one whole reply, with nothing behind it.
fn takes_reply(bytes: &[u8]) -> bool {
    let Some(frame) = one_frame(bytes) else { return false };
    match Reply::decode(&frame) {
        Ok(Reply::Events { items, .. }) => item::items(items)
            .all(|item| item.is_ok_and(|item| event_frames::verify(item.frame).is_ok())),
        decoded => decoded.is_ok(),
    }
}

/// Whether this is one whole message between nodes, with nothing behind it. An entry's numbers must
/// leave room for the next one's.
fn takes_peer_message(bytes: &[u8]) -> bool {
    let Some(frame) = one_frame(bytes) else { return false };
    let Ok(message) = PeerMessage::decode(&frame) else { return false };
    if let PeerMessage::Consensus { entries, .. } = &message {
        for (header, body) in entries {
            assert_eq!(header.body_bytes as usize, body.len(), "a body is as long as it says");
            assert!(header.end() > header.body_position(), "a record has an end");
            assert!(header.index.next() > header.index, "there is a next index");
        }
    }
    true
}

/// Feeds the reader in two pieces, as a network would.
fn one_frame(bytes: &[u8]) -> Option<Frame> {
    let mut reader = FrameReader::new(PAYLOAD_BYTES_MAX);
    let (start, rest) = bytes.split_at(bytes.len() / 2);
    reader.buffer().extend_from_slice(start);
    let mut first = reader.next_frame().ok()?;
    reader.buffer().extend_from_slice(rest);
    if first.is_none() {
        first = reader.next_frame().ok()?;
    }
    reader.finish().ok()?;
    first
}

fn requests() -> Vec<Vec<u8>> {
    golden().into_iter().filter(|bytes| takes_request(bytes)).collect()
}

fn replies() -> Vec<Vec<u8>> {
    golden().into_iter().filter(|bytes| takes_reply(bytes)).collect()
}

fn peer_messages() -> Vec<Vec<u8>> {
    golden().into_iter().filter(|bytes| takes_peer_message(bytes)).collect()
}

/// The frames by which the wire crate holds its format.
fn golden() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../net/tests/golden");
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .expect("the wire crate has golden files")
        .map(|entry| entry.expect("the folder can be read").path())
        .collect();
    paths.sort();
    let bytes = |path: &std::path::PathBuf| {
        let text = std::fs::read_to_string(path).expect("a golden file is text");
        text.split_whitespace()
            .map(|word| u8::from_str_radix(word, 16).expect("a golden file is hexadecimal"))
            .collect()
    };
    paths.iter().map(bytes).collect()
}

/// Fits the lengths to what is there, where they are off by a mutation, and the checksum to both.
fn repair(bytes: &mut [u8]) {
    if bytes.len() < HEADER_BYTES {
        return;
    }
    let content_bytes = (bytes.len() - HEADER_BYTES) as u32;
    let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("4 bytes"));
    let (body, payload) = (word(4), word(8));
    if body.checked_add(payload) != Some(content_bytes) {
        let body = body.min(content_bytes);
        bytes[4..8].copy_from_slice(&body.to_le_bytes());
        bytes[8..12].copy_from_slice(&(content_bytes - body).to_le_bytes());
    }
    let covered = [&bytes[..12], &bytes[HEADER_BYTES..]].concat();
    let checksum = event_frames::checksum(&covered);
    bytes[12..HEADER_BYTES].copy_from_slice(&checksum.to_le_bytes());
}
