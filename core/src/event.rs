//! One event as bytes: the *event frame*, made once by the client and kept as it is everywhere.
//!
//! The same bytes travel in the client's append, lie in the log of every replica and come back to
//! readers. The client fills in the content and its checksum; the leader later stamps only the
//! revision, the time, and the checksum of those few header bytes. So a reader can check end to end
//! that it sees what the writer wrote.
//!
//! Layout, little-endian; the length is a multiple of 8:
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 4 | frame length, padding included |
//! | 4 | 4 | header checksum: CRC-32C of bytes 8..32, then of bytes 0..4; zero until stamped |
//! | 8 | 8 | revision in the stream; zero until stamped |
//! | 16 | 8 | created, in 100 ns ticks since 1970; zero until stamped |
//! | 24 | 4 | content checksum: CRC-32C of bytes 32..length |
//! | 28 | 4 | zero |
//! | 32 | 16 | event id |
//! | 48 | 2 | stream name length |
//! | 50 | 2 | type length |
//! | 52 | 4 | metadata length |
//! | 56 | 4 | data length |
//! | 60 | 1 | content type: 0 octets, 1 JSON |
//! | 61 | 3 | zero |
//! | 64 | … | stream name, type, metadata, data, zeros up to a multiple of 8 |

use alloc::vec::Vec;
use core::fmt;

use crate::id::{EventId, Revision};
use crate::time::Created;

/// Bytes before the stream name.
pub const HEADER_BYTES: usize = 64;
/// Frames start and end on multiples of this.
pub const ALIGNMENT: usize = 8;

const CONTENT_START: usize = 32;
const CRC: crc::Crc<u32, crc::Table<16>> = crc::Crc::<u32, crc::Table<16>>::new(&crc::CRC_32_ISCSI);

/// What an event's data is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ContentType {
    /// Any bytes.
    Octets,
    /// UTF-8 JSON.
    Json,
}

/// An event as an application gives it; borrowed, on its way into a frame.
#[derive(Clone, Copy, Debug)]
pub struct NewEvent<'a> {
    /// Chosen by the client, fresh for each event, kept for each retry.
    pub id: EventId,
    /// What kind of thing happened.
    pub event_type: &'a str,
    /// What `data` is.
    pub content_type: ContentType,
    /// The application's bytes.
    pub data: &'a [u8],
    /// Bytes about the event: who, why, correlation.
    pub metadata: &'a [u8],
}

/// Why bytes are not an event frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// Fewer bytes than the frame says it has, or than a header has.
    Truncated {
        /// How many are needed.
        needed: usize,
        /// How many there are.
        found: usize,
    },
    /// The length is not a multiple of 8, or does not fit the lengths of the parts.
    Length {
        /// The frame length that stands in the header.
        frame_bytes: u32,
    },
    /// The content's checksum is not the one in the header.
    ContentChecksum,
    /// The header's checksum is not the one in the header.
    HeaderChecksum,
    /// A stream name or type that is not UTF-8.
    NotUtf8,
    /// A content type that this version does not know.
    ContentType(u8),
    /// A byte that must be zero is not.
    Reserved,
}

impl fmt::Display for FrameError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated { needed, found } => {
                write!(out, "the event frame is cut off: {found} bytes of {needed}")
            }
            Self::Length { frame_bytes } => {
                write!(out, "the event frame's length {frame_bytes} does not fit its parts")
            }
            Self::ContentChecksum => out.write_str("the event's content fails its checksum"),
            Self::HeaderChecksum => out.write_str("the event's header fails its checksum"),
            Self::NotUtf8 => out.write_str("the event's stream name or type is not UTF-8"),
            Self::ContentType(code) => write!(out, "unknown content type {code}"),
            Self::Reserved => out.write_str("a reserved byte of the event frame is not zero"),
        }
    }
}

impl core::error::Error for FrameError {}

/// One whole frame, its lengths checked: the accessors cannot fail.
///
/// [`EventFrame::parse`] checks lengths, UTF-8 and reserved bytes; the checksums are checked on
/// their own ([`EventFrame::verify_content`], [`EventFrame::verify_header`]), because a shell has
/// a faster CRC than `no_std` does.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct EventFrame<'a> {
    bytes: &'a [u8],
}

impl<'a> EventFrame<'a> {
    /// Takes the first frame of `bytes`; what follows it is left alone.
    ///
    /// # Errors
    ///
    /// [`FrameError`] for anything but a well-formed frame, checksums apart.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, FrameError> {
        if bytes.len() < HEADER_BYTES {
            return Err(FrameError::Truncated { needed: HEADER_BYTES, found: bytes.len() });
        }
        let frame_bytes = read_u32(bytes, 0);
        let length = frame_bytes as usize;
        if length < HEADER_BYTES || !length.is_multiple_of(ALIGNMENT) {
            return Err(FrameError::Length { frame_bytes });
        }
        if bytes.len() < length {
            return Err(FrameError::Truncated { needed: length, found: bytes.len() });
        }
        let frame = Self { bytes: &bytes[..length] };
        let parts = frame.parts_end();
        if frame_length(parts) != length as u64 {
            return Err(FrameError::Length { frame_bytes });
        }
        frame.check_content()?;
        Ok(frame)
    }

    /// Takes the first frame of `bytes`, which [`EventFrame::parse`] has accepted before.
    ///
    /// # Panics
    ///
    /// Where it has not, and the length is nonsense.
    #[must_use]
    pub fn accepted(bytes: &'a [u8]) -> Self {
        Self { bytes: &bytes[..read_u32(bytes, 0) as usize] }
    }

    fn check_content(self) -> Result<(), FrameError> {
        let padding = self.parts_end() as usize..self.bytes.len();
        let reserved = self.bytes[28..32].iter().chain(&self.bytes[61..64]);
        if reserved.chain(&self.bytes[padding]).any(|byte| *byte != 0) {
            return Err(FrameError::Reserved);
        }
        if self.bytes[60] > 1 {
            return Err(FrameError::ContentType(self.bytes[60]));
        }
        let (stream, event_type) = (self.stream_range(), self.type_range());
        if str::from_utf8(&self.bytes[stream]).is_err()
            || str::from_utf8(&self.bytes[event_type]).is_err()
        {
            return Err(FrameError::NotUtf8);
        }
        Ok(())
    }

    /// The whole frame.
    #[must_use]
    pub fn bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// The bytes that the content checksum covers.
    #[must_use]
    pub fn content(self) -> &'a [u8] {
        &self.bytes[CONTENT_START..]
    }

    /// The content checksum as it stands in the header.
    #[must_use]
    pub fn content_checksum(self) -> u32 {
        read_u32(self.bytes, 24)
    }

    /// Whether the content is what the client wrote. Slow: a shell compares
    /// [`EventFrame::content_checksum`] with its own CRC-32C of [`EventFrame::content`].
    ///
    /// # Errors
    ///
    /// [`FrameError::ContentChecksum`] where it is not.
    pub fn verify_content(self) -> Result<(), FrameError> {
        let holds = CRC.checksum(self.content()) == self.content_checksum();
        if holds { Ok(()) } else { Err(FrameError::ContentChecksum) }
    }

    /// Whether revision, time and length are what the leader stamped.
    ///
    /// # Errors
    ///
    /// [`FrameError::HeaderChecksum`] where they are not.
    pub fn verify_header(self) -> Result<(), FrameError> {
        let holds = header_checksum(self.bytes) == read_u32(self.bytes, 4);
        if holds { Ok(()) } else { Err(FrameError::HeaderChecksum) }
    }

    /// Its place in its stream; meaningful once stamped.
    #[must_use]
    pub fn revision(self) -> Revision {
        Revision::from_wire(read_u64(self.bytes, 8))
    }

    /// When the leader took it in; meaningful once stamped.
    #[must_use]
    pub fn created(self) -> Created {
        Created::from_ticks(read_u64(self.bytes, 16))
    }

    /// Chosen by the client.
    #[must_use]
    pub fn id(self) -> EventId {
        EventId::from_bytes(self.bytes[32..48].try_into().expect("16 bytes"))
    }

    /// The stream that it belongs to.
    #[must_use]
    pub fn stream(self) -> &'a str {
        str::from_utf8(&self.bytes[self.stream_range()]).expect("parse checked it")
    }

    /// What kind of thing happened.
    #[must_use]
    pub fn event_type(self) -> &'a str {
        str::from_utf8(&self.bytes[self.type_range()]).expect("parse checked it")
    }

    /// Bytes about the event.
    #[must_use]
    pub fn metadata(self) -> &'a [u8] {
        let start = self.type_range().end;
        &self.bytes[start..start + read_u32(self.bytes, 52) as usize]
    }

    /// The application's bytes.
    #[must_use]
    pub fn data(self) -> &'a [u8] {
        let start = self.type_range().end + read_u32(self.bytes, 52) as usize;
        &self.bytes[start..start + read_u32(self.bytes, 56) as usize]
    }

    /// What the data is.
    #[must_use]
    pub fn content_type(self) -> ContentType {
        if self.bytes[60] == 1 { ContentType::Json } else { ContentType::Octets }
    }

    fn stream_range(self) -> core::ops::Range<usize> {
        HEADER_BYTES..HEADER_BYTES + read_u16(self.bytes, 48) as usize
    }

    fn type_range(self) -> core::ops::Range<usize> {
        let start = self.stream_range().end;
        start..start + read_u16(self.bytes, 50) as usize
    }

    /// Where the parts end and the padding starts, by the lengths in the header.
    fn parts_end(self) -> u64 {
        let lengths = u64::from(read_u16(self.bytes, 48)) + u64::from(read_u16(self.bytes, 50));
        HEADER_BYTES as u64
            + lengths
            + u64::from(read_u32(self.bytes, 52))
            + u64::from(read_u32(self.bytes, 56))
    }
}

impl fmt::Debug for EventFrame<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "EventFrame({}@{} {} {})",
            self.revision(),
            self.stream(),
            self.event_type(),
            self.id()
        )
    }
}

/// Walks frames that lie one behind the other.
///
/// Gives each frame with its offset in `bytes`; after an error it ends.
pub fn frames(bytes: &[u8]) -> impl Iterator<Item = Result<(usize, EventFrame<'_>), FrameError>> {
    let mut offset = 0;
    let mut failed = false;
    core::iter::from_fn(move || {
        if failed || offset == bytes.len() {
            return None;
        }
        let parsed = EventFrame::parse(&bytes[offset..]);
        failed = parsed.is_err();
        let start = offset;
        Some(parsed.map(|frame| {
            offset += frame.bytes.len();
            (start, frame)
        }))
    })
}

/// Walks frames that lie one behind the other and that [`frames`] has accepted before.
///
/// # Panics
///
/// Where it has not, and a length is nonsense.
pub fn accepted(bytes: &[u8]) -> impl Iterator<Item = EventFrame<'_>> {
    let mut rest = bytes;
    core::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let frame = EventFrame::accepted(rest);
        rest = &rest[frame.bytes.len()..];
        Some(frame)
    })
}

/// Appends `event` to `out` as an unstamped frame for `stream`.
///
/// `checksum` is CRC-32C (the shell's fast one, or [`crc32c`]).
///
/// # Panics
///
/// Where a part is longer than its length field can say; the caller checks its limits first.
pub fn encode(out: &mut Vec<u8>, stream: &str, event: &NewEvent<'_>, checksum: fn(&[u8]) -> u32) {
    let start = out.len();
    let parts = HEADER_BYTES
        + stream.len()
        + event.event_type.len()
        + event.metadata.len()
        + event.data.len();
    let length = u32::try_from(frame_length(parts as u64)).expect("an event fits its length field");
    out.resize(start + HEADER_BYTES, 0);
    let header = &mut out[start..];
    header[0..4].copy_from_slice(&length.to_le_bytes());
    header[32..48].copy_from_slice(&event.id.to_bytes());
    header[48..50]
        .copy_from_slice(&u16::try_from(stream.len()).expect("a name is short").to_le_bytes());
    header[50..52].copy_from_slice(
        &u16::try_from(event.event_type.len()).expect("a type is short").to_le_bytes(),
    );
    header[52..56].copy_from_slice(&(event.metadata.len() as u32).to_le_bytes());
    header[56..60].copy_from_slice(&(event.data.len() as u32).to_le_bytes());
    header[60] = u8::from(event.content_type == ContentType::Json);
    out.extend_from_slice(stream.as_bytes());
    out.extend_from_slice(event.event_type.as_bytes());
    out.extend_from_slice(event.metadata);
    out.extend_from_slice(event.data);
    out.resize(start + length as usize, 0);
    let content_checksum = checksum(&out[start + CONTENT_START..]);
    out[start + 24..start + 28].copy_from_slice(&content_checksum.to_le_bytes());
}

/// Stamps a parsed frame's revision and time in place: what the leader adds to an event.
///
/// - `frame`: exactly one frame's bytes
pub fn stamp(frame: &mut [u8], revision: Revision, created: Created) {
    assert!(frame.len() == read_u32(frame, 0) as usize, "exactly one frame is stamped");
    frame[8..16].copy_from_slice(&revision.get().to_le_bytes());
    frame[16..24].copy_from_slice(&created.ticks().to_le_bytes());
    let checksum = header_checksum(frame);
    frame[4..8].copy_from_slice(&checksum.to_le_bytes());
}

/// How many bytes a frame with these parts has.
#[must_use]
pub fn encoded_bytes(stream: &str, event: &NewEvent<'_>) -> u64 {
    let parts = stream.len() + event.event_type.len() + event.metadata.len() + event.data.len();
    frame_length((HEADER_BYTES + parts) as u64)
}

/// CRC-32C without the machine's own instruction for it.
#[must_use]
pub fn crc32c(bytes: &[u8]) -> u32 {
    CRC.checksum(bytes)
}

fn header_checksum(frame: &[u8]) -> u32 {
    let mut digest = CRC.digest();
    digest.update(&frame[8..32]);
    digest.update(&frame[0..4]);
    digest.finalize()
}

fn frame_length(parts_end: u64) -> u64 {
    parts_end.next_multiple_of(ALIGNMENT as u64)
}

fn read_u16(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(bytes[at..at + 2].try_into().expect("2 bytes"))
}

fn read_u32(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("4 bytes"))
}

fn read_u64(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8 bytes"))
}
