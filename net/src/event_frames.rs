//! Checks event frames that came over the wire, with the machine's own CRC-32C instruction.

use quorate_core::event::{self, EventFrame, FrameError};
use thiserror::Error;

/// Why an append's payload can't be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum InvalidEvents {
    /// A frame is malformed, or its content is not what the client's checksum says.
    #[error("event {index}: {error}")]
    Frame {
        /// Which event of the append, from 0.
        index: u32,
        /// What is wrong.
        error: FrameError,
    },
    /// An event names another stream than the append.
    #[error("event {index} belongs to another stream than its append")]
    OtherStream {
        /// Which event of the append, from 0.
        index: u32,
    },
    /// A revision, a time or a header checksum, which only the leader may give.
    #[error("event {index} is already stamped")]
    Stamped {
        /// Which event of the append, from 0.
        index: u32,
    },
}

/// CRC-32C, fast.
#[must_use]
pub fn checksum(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes)
}

/// Checks the events of one append and counts them.
///
/// - `frames`: event frames one behind the other, or nothing
/// - `stream`: the stream that each of them must name
///
/// # Errors
///
/// [`InvalidEvents`] for the first event that can't be taken.
pub fn validate_append(frames: &[u8], stream: &str) -> Result<u32, InvalidEvents> {
    let mut index = 0;
    for parsed in event::frames(frames) {
        let verified = parsed.and_then(|(_, frame)| verify_content(frame).map(|()| frame));
        let frame = verified.map_err(|error| InvalidEvents::Frame { index, error })?;
        if frame.stream() != stream {
            return Err(InvalidEvents::OtherStream { index });
        }
        if frame.bytes()[4..24].iter().any(|byte| *byte != 0) {
            return Err(InvalidEvents::Stamped { index });
        }
        index += 1;
    }
    Ok(index)
}

/// Whether an event is what its writer wrote and what the leader stamped.
///
/// # Errors
///
/// [`FrameError::ContentChecksum`], [`FrameError::HeaderChecksum`].
pub fn verify(frame: EventFrame<'_>) -> Result<(), FrameError> {
    verify_content(frame)?;
    frame.verify_header()
}

fn verify_content(frame: EventFrame<'_>) -> Result<(), FrameError> {
    let holds = checksum(frame.content()) == frame.content_checksum();
    if holds { Ok(()) } else { Err(FrameError::ContentChecksum) }
}

#[cfg(test)]
mod tests {
    use quorate_core::event::{ContentType, NewEvent, encode, stamp};
    use quorate_core::id::{EventId, Revision};
    use quorate_core::time::Created;

    use super::*;

    fn two_events(streams: [&str; 2]) -> Vec<u8> {
        let mut frames = Vec::new();
        for stream in streams {
            let event = NewEvent {
                id: EventId::from_bytes([1; 16]),
                event_type: "departed",
                content_type: ContentType::Json,
                data: b"{\"delay\":2}",
                metadata: b"",
            };
            encode(&mut frames, stream, &event, checksum);
        }
        frames
    }

    #[test]
    fn whole_events_of_the_stream_are_counted() {
        assert_eq!(validate_append(&two_events(["a", "a"]), "a"), Ok(2));
        assert_eq!(validate_append(&[], "a"), Ok(0));
    }

    #[test]
    fn an_event_of_another_stream_is_refused() {
        let refused = validate_append(&two_events(["a", "b"]), "a");
        assert_eq!(refused, Err(InvalidEvents::OtherStream { index: 1 }));
    }

    #[test]
    fn content_is_checked_against_the_writers_checksum() {
        let mut frames = two_events(["a", "a"]);
        let second = frames.len() / 2;
        frames[second + 40] ^= 1;
        let error = FrameError::ContentChecksum;
        assert_eq!(validate_append(&frames, "a"), Err(InvalidEvents::Frame { index: 1, error }));
    }

    #[test]
    fn only_the_leader_stamps() {
        let mut frames = two_events(["a", "a"]);
        let first = frames.len() / 2;
        stamp(&mut frames[..first], Revision::from_wire(3), Created::from_ticks(9));
        assert_eq!(validate_append(&frames, "a"), Err(InvalidEvents::Stamped { index: 0 }));
        let (parsed, _) = (EventFrame::parse(&frames).expect("it is well-formed"), ());
        assert_eq!(verify(parsed), Ok(()));
        frames[8] ^= 1;
        let parsed = EventFrame::parse(&frames).expect("it is well-formed");
        assert_eq!(verify(parsed), Err(FrameError::HeaderChecksum));
    }
}
