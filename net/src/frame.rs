//! Frames: how messages lie one behind the other on a QUIC stream.
//!
//! QUIC already encrypts and authenticates. The frame's own checksum catches what happens to bytes
//! before they are encrypted and after they are decrypted, and keeps the format safe on any other
//! carrier. Lengths are checked against limits before a buffer is taken for them.
//!
//! Layout, little-endian:
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 1 | frame version: 1 |
//! | 1 | 1 | kind of message ([`Kind`]) |
//! | 2 | 2 | zero |
//! | 4 | 4 | body length |
//! | 8 | 4 | payload length |
//! | 12 | 4 | checksum: CRC-32C of bytes 0..12, the body, and the payload |
//! | 16 | … | body: an rkyv archive ([`crate::wire`]) |
//! | … | … | payload: event frames or read items as they are, so that nothing re-encodes them |

use bytes::{Buf, Bytes, BytesMut};
use thiserror::Error;

use crate::wire::Kind;

/// Bytes before the body.
pub const HEADER_BYTES: usize = 16;
/// The version that this code writes, and the only one that it reads.
pub const VERSION: u8 = 1;
/// The longest body of any message; only payloads are larger.
pub const BODY_BYTES_MAX: u32 = 256 << 10;

/// The most that is set aside for bytes that have been announced but not received.
const RESERVE_BYTES_MAX: usize = 512 << 10;
const CHECKSUM_OFFSET: usize = 12;

/// Why bytes are not a message. The stream that carried them can't be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum WireError {
    /// Another version of the frame.
    #[error("the frame has version {found}, and this program knows version {VERSION}")]
    Version {
        /// What the frame says.
        found: u8,
    },
    /// A byte that must be zero is not.
    #[error("a reserved byte of the frame is not zero")]
    Reserved,
    /// A kind that this version does not know.
    #[error("unknown kind {found} of frame")]
    Kind {
        /// Its code.
        found: u8,
    },
    /// The body is longer than any message's.
    #[error("the frame's body has {found} bytes, more than {max}")]
    BodyTooLong {
        /// What the frame announces.
        found: u32,
        /// The limit.
        max: u32,
    },
    /// The payload is longer than this side takes.
    #[error("the frame's payload has {found} bytes, more than {max}")]
    PayloadTooLong {
        /// What the frame announces.
        found: u32,
        /// The limit.
        max: u32,
    },
    /// The bytes are not the ones that were sent.
    #[error("the frame fails its checksum")]
    Checksum,
    /// The stream ended within a frame.
    #[error("the stream ended within a frame: {found} bytes of {needed}")]
    Truncated {
        /// How many the frame needs, as far as that is known.
        needed: usize,
        /// How many came.
        found: usize,
    },
    /// The body is not an archive of this kind of message, or has bytes that belong to nothing.
    #[error("the body of the {kind} frame is malformed")]
    Body {
        /// Which kind.
        kind: Kind,
    },
    /// An entry of a log that can't be one.
    #[error("an entry in the payload of the {kind} frame is malformed")]
    Entry {
        /// Which kind.
        kind: Kind,
    },
    /// A payload where this kind has none.
    #[error("the {kind} frame has a payload where none belongs")]
    UnexpectedPayload {
        /// Which kind.
        kind: Kind,
    },
    /// A kind that has no place here: a reply to the node, a request to the client.
    #[error("a {kind} frame has no place on this stream")]
    UnexpectedKind {
        /// Which kind.
        kind: Kind,
    },
}

/// One frame, whole and with a right checksum; its body is not looked at yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    kind: Kind,
    body_bytes: usize,
    /// Body and payload.
    content: Bytes,
}

impl Frame {
    /// What its body is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The archive.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.content[..self.body_bytes]
    }

    /// The raw bytes behind the archive.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.content[self.body_bytes..]
    }

    /// The raw bytes behind the archive, shared with the buffer that they were received in.
    #[must_use]
    pub fn payload_bytes(&self) -> Bytes {
        self.content.slice(self.body_bytes..)
    }
}

/// Puts frames together from whatever pieces a stream delivers.
///
/// Fill [`FrameReader::buffer`], then take frames until there is none, then fill again: so it
/// never holds more than one frame and what came with it.
#[derive(Debug)]
pub struct FrameReader {
    buffer: BytesMut,
    payload_bytes_max: u32,
}

struct Header {
    kind: Kind,
    body_bytes: usize,
    payload_bytes: usize,
    checksum: u32,
}

impl FrameReader {
    /// - `payload_bytes_max`: the longest payload that is taken
    #[must_use]
    pub fn new(payload_bytes_max: u32) -> Self {
        Self { buffer: BytesMut::new(), payload_bytes_max }
    }

    /// Takes longer (or only shorter) payloads from the next frame on.
    pub fn set_payload_bytes_max(&mut self, payload_bytes_max: u32) {
        self.payload_bytes_max = payload_bytes_max;
    }

    /// Where received bytes are appended.
    pub fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// The next frame, or `None` where more bytes are needed for it.
    ///
    /// # Errors
    ///
    /// [`WireError`] for the header and the checksum. The stream can't be read on after one.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, WireError> {
        let Some(header) = self.header()? else { return Ok(None) };
        let content_bytes = header.body_bytes + header.payload_bytes;
        let missing = (HEADER_BYTES + content_bytes).saturating_sub(self.buffer.len());
        if missing > 0 {
            self.buffer.reserve(missing.min(RESERVE_BYTES_MAX));
            return Ok(None);
        }
        let covered = crc32c::crc32c(&self.buffer[..CHECKSUM_OFFSET]);
        let content = &self.buffer[HEADER_BYTES..HEADER_BYTES + content_bytes];
        if crc32c::crc32c_append(covered, content) != header.checksum {
            return Err(WireError::Checksum);
        }
        self.buffer.advance(HEADER_BYTES);
        let content = self.buffer.split_to(content_bytes).freeze();
        Ok(Some(Frame { kind: header.kind, body_bytes: header.body_bytes, content }))
    }

    /// Checks that the stream did not end within a frame.
    ///
    /// # Errors
    ///
    /// [`WireError::Truncated`] where it did.
    pub fn finish(&self) -> Result<(), WireError> {
        let found = self.buffer.len();
        let needed = match self.header()? {
            _ if found == 0 => return Ok(()),
            None => HEADER_BYTES,
            Some(header) => HEADER_BYTES + header.body_bytes + header.payload_bytes,
        };
        Err(WireError::Truncated { needed, found })
    }

    fn header(&self) -> Result<Option<Header>, WireError> {
        let Some(bytes) = self.buffer.first_chunk::<HEADER_BYTES>() else { return Ok(None) };
        if bytes[0] != VERSION {
            return Err(WireError::Version { found: bytes[0] });
        }
        let kind = Kind::from_code(bytes[1]).ok_or(WireError::Kind { found: bytes[1] })?;
        if bytes[2..4] != [0, 0] {
            return Err(WireError::Reserved);
        }
        let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("4 bytes"));
        let (body_bytes, payload_bytes) = (word(4), word(8));
        if body_bytes > BODY_BYTES_MAX {
            return Err(WireError::BodyTooLong { found: body_bytes, max: BODY_BYTES_MAX });
        }
        if payload_bytes > self.payload_bytes_max {
            let max = self.payload_bytes_max;
            return Err(WireError::PayloadTooLong { found: payload_bytes, max });
        }
        Ok(Some(Header {
            kind,
            body_bytes: body_bytes as usize,
            payload_bytes: payload_bytes as usize,
            checksum: word(CHECKSUM_OFFSET),
        }))
    }
}

/// Appends a frame to `out`, all but its payload, which the caller sends behind it.
///
/// - `write_body` appends the body to what it is given
///
/// # Panics
///
/// Where the body or the payload is longer than any frame's; the caller checks its limits first.
pub(crate) fn encode_head(
    out: &mut Vec<u8>,
    kind: Kind,
    payload: &[u8],
    write_body: impl FnOnce(&mut Vec<u8>),
) {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER_BYTES]);
    write_body(out);
    let body_bytes = out.len() - start - HEADER_BYTES;
    fill_header(&mut out[start..], kind, body_bytes, payload.len(), payload);
}

/// Appends a whole frame to `out` whose payload is written piece by piece.
///
/// - `write_body`, `write_payload` append to what they are given
///
/// # Panics
///
/// As [`encode_head`].
pub(crate) fn encode_parts(
    out: &mut Vec<u8>,
    kind: Kind,
    write_body: impl FnOnce(&mut Vec<u8>),
    write_payload: impl FnOnce(&mut Vec<u8>),
) {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER_BYTES]);
    write_body(out);
    let body_bytes = out.len() - start - HEADER_BYTES;
    write_payload(out);
    let payload_bytes = out.len() - start - HEADER_BYTES - body_bytes;
    fill_header(&mut out[start..], kind, body_bytes, payload_bytes, &[]);
}

/// Fills in the header of a frame.
///
/// - `frame`: header, body, and as much of the payload as follows them
/// - `behind`: the rest of the payload
fn fill_header(
    frame: &mut [u8],
    kind: Kind,
    body_bytes: usize,
    payload_bytes: usize,
    behind: &[u8],
) {
    assert!(body_bytes <= BODY_BYTES_MAX as usize, "a {kind} body fits its limit");
    let payload_bytes = u32::try_from(payload_bytes).expect("a payload fits its length field");
    let (header, content) = frame.split_at_mut(HEADER_BYTES);
    header[0] = VERSION;
    header[1] = kind.code();
    header[4..8].copy_from_slice(&(body_bytes as u32).to_le_bytes());
    header[8..12].copy_from_slice(&payload_bytes.to_le_bytes());
    let covered = crc32c::crc32c_append(crc32c::crc32c(&header[..CHECKSUM_OFFSET]), content);
    let checksum = crc32c::crc32c_append(covered, behind);
    header[CHECKSUM_OFFSET..].copy_from_slice(&checksum.to_le_bytes());
}
