//! One event, as it stands in appends, in the log and before readers.

use quorate_core::event::{self, ContentType, EventFrame, NewEvent};
use quorate_core::id::{EventId, Revision};
use quorate_core::time::Created;

use crate::fuzz::Target;

/// The decoder of one frame.
pub(super) const EVENT_FRAME: Target = Target {
    name: "event-frame",
    corpus,
    repair,
    decode: |bytes| {
        let Ok(frame) = EventFrame::parse(bytes) else { return false };
        let good = frame.verify_content().is_ok() && frame.verify_header().is_ok();
        // The accessors must not panic either, whatever the parts are.
        let _parts = (frame.stream(), frame.event_type(), frame.metadata(), frame.data());
        let _header = (frame.id(), frame.revision(), frame.created(), frame.content_type());
        good
    },
};

/// Stamped frames with short, long and empty parts.
fn corpus() -> Vec<Vec<u8>> {
    [
        stamped(ContentType::Octets, "a", "", b"", b""),
        stamped(ContentType::Json, "aircraft-N14228", "departed", br#"{"a":1}"#, br#"{"b":2}"#),
        stamped(ContentType::Json, "$$aircraft", "$metadata", br#"{"$maxCount":3}"#, b""),
        stamped(ContentType::Octets, "überall", "größer", &[0xff; 300], &[0; 9]),
    ]
    .into()
}

fn stamped(
    content_type: ContentType,
    stream: &str,
    event_type: &str,
    data: &[u8],
    metadata: &[u8],
) -> Vec<u8> {
    let id = EventId::from_bytes([stream.len() as u8; 16]);
    let event = NewEvent { id, event_type, content_type, data, metadata };
    let mut bytes = Vec::new();
    event::encode(&mut bytes, stream, &event, event::crc32c);
    event::stamp(&mut bytes, Revision::from_wire(3), Created::from_ticks(17));
    bytes
}

/// A frame of this stream at this revision.
pub(super) fn stamped_at(stream: &str, revision: Revision) -> Vec<u8> {
    let mut bytes = stamped(ContentType::Json, stream, "departed", b"{}", b"");
    event::stamp(&mut bytes, revision, Created::from_ticks(17));
    bytes
}

fn repair(bytes: &mut [u8]) {
    let length = match bytes.first_chunk() {
        Some(length) => u32::from_le_bytes(*length) as usize,
        None => return,
    };
    if length < event::HEADER_BYTES || length > bytes.len() {
        return;
    }
    let content = event::crc32c(&bytes[32..length]);
    bytes[24..28].copy_from_slice(&content.to_le_bytes());
    let header = [&bytes[8..32], &bytes[0..4]].concat();
    bytes[4..8].copy_from_slice(&event::crc32c(&header).to_le_bytes());
}
