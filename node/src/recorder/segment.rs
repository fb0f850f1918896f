//! One file of a recording: where it begins, and the tape from there on.
//!
//! | bytes | what |
//! |---|---|
//! | 8 | `QTRECRD1` |
//! | 4 | the salt: another one in each file |
//! | a block | the [`Head`], whose last part is the core's state |
//! | blocks | the tape: its bytes, cut anywhere |
//! | 8 | zeros |
//!
//! A block is its length and the CRC-32C of the salt and its bytes, four bytes each, little-endian,
//! and then its bytes. What lies behind the zeros is left of an older file, which has another salt.
//! A process that dies leaves a block that is cut off, or a tape that ends in the middle of an input:
//! all before that counts. `docs/decisions` has the reasons, `core/src/recording.rs` the
//! form of states and inputs.

use std::fs;
use std::io;
use std::path::Path;

use quorate_core::id::NodeId;
use quorate_core::log::entry::LogId;
use quorate_core::recording::{Recorded, RecordingError, Sink, Source};
use quorate_core::time::Now;

/// What a file begins with.
pub const MAGIC: &[u8; 8] = b"QTRECRD1";
/// Before a block's bytes.
pub const BLOCK_HEAD_BYTES: usize = 8;
/// Behind the last block.
pub const TERMINATOR: [u8; BLOCK_HEAD_BYTES] = [0; BLOCK_HEAD_BYTES];
const SALT_BYTES: usize = 4;

/// Whose recording it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The version of the program: no other understands the state.
    pub version: Box<str>,
    /// Drawn at random at the node's start.
    pub run: [u8; 16],
    /// Which node.
    pub node: NodeId,
    /// Which group.
    pub log: LogId,
    /// All of the group, by number, name and zone.
    pub members: Vec<Member>,
}

/// A node of the group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its number.
    pub node: NodeId,
    /// Its name.
    pub name: Box<str>,
    /// Its zone.
    pub zone: Box<str>,
}

/// Where a file begins.
#[derive(Clone, Debug)]
pub struct Head {
    /// Whose recording it is.
    pub origin: Origin,
    /// The node's turns before it.
    pub turns: u64,
    /// Whether a part of the story is missing before it.
    pub gap: bool,
    /// When it was begun.
    pub now: Now,
    /// The core's state.
    pub state: Vec<u8>,
}

impl Recorded for Member {
    fn record(&self, out: &mut impl Sink) {
        let Self { node, name, zone } = self;
        node.record(out);
        name.record(out);
        zone.record(out);
    }

    fn read(from: &mut Source<'_>) -> Result<Self, RecordingError> {
        let (node, name) = (Recorded::read(from)?, Recorded::read(from)?);
        Ok(Self { node, name, zone: Recorded::read(from)? })
    }
}

impl Recorded for Origin {
    fn record(&self, out: &mut impl Sink) {
        let Self { version, run, node, log, members } = self;
        version.record(out);
        run.record(out);
        node.record(out);
        log.record(out);
        members.record(out);
    }

    fn read(from: &mut Source<'_>) -> Result<Self, RecordingError> {
        let (version, run) = (Recorded::read(from)?, Recorded::read(from)?);
        let (node, log) = (Recorded::read(from)?, Recorded::read(from)?);
        Ok(Self { version, run, node, log, members: Recorded::read(from)? })
    }
}

impl Recorded for Head {
    fn record(&self, out: &mut impl Sink) {
        let Self { origin, turns, gap, now, state } = self;
        origin.record(out);
        turns.record(out);
        gap.record(out);
        now.record(out);
        state.record(out);
    }

    fn read(from: &mut Source<'_>) -> Result<Self, RecordingError> {
        let (origin, turns) = (Recorded::read(from)?, Recorded::read(from)?);
        let (gap, now) = (Recorded::read(from)?, Recorded::read(from)?);
        Ok(Self { origin, turns, gap, now, state: Recorded::read(from)? })
    }
}

/// Why a file is none of a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SegmentError {
    /// It begins with other bytes.
    #[error("it is not a file of a recording")]
    NoRecording,
    /// Its process ended while it was begun.
    #[error("its first block is cut off")]
    NoHead,
    /// Its beginning is no beginning.
    #[error(transparent)]
    Head(#[from] RecordingError),
}

/// What is behind the tape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Nothing.
    Whole,
    /// A block that was not written to its end, or is not what was written.
    Broken,
}

/// One file.
#[derive(Clone, Debug)]
pub struct Segment {
    /// Where it begins.
    pub head: Head,
    /// What was stepped since.
    pub tape: Vec<u8>,
    /// What is behind that.
    pub end: End,
}

impl Segment {
    /// Reads a file's bytes.
    ///
    /// # Errors
    ///
    /// [`SegmentError`] where nothing can be told of them.
    pub fn parse(bytes: &[u8]) -> Result<Self, SegmentError> {
        let rest = bytes.strip_prefix(MAGIC).ok_or(SegmentError::NoRecording)?;
        let (salt, rest) = rest.split_at_checked(SALT_BYTES).ok_or(SegmentError::NoHead)?;
        let salt = u32::from_le_bytes(salt.try_into().expect("four"));
        let mut blocks = Blocks { rest, salt };
        let head = blocks.next().and_then(Result::ok).ok_or(SegmentError::NoHead)?;
        let mut source = Source::new(head);
        let head = Head::read(&mut source)?;
        if source.left() > 0 {
            return Err(RecordingError::Malformed { what: "beginning" }.into());
        }
        let mut tape = Vec::new();
        let mut end = End::Whole;
        for block in blocks {
            match block {
                Ok(bytes) => tape.extend_from_slice(bytes),
                Err(other) => end = other,
            }
        }
        Ok(Self { head, tape, end })
    }

    /// Reads a file.
    ///
    /// # Errors
    ///
    /// Where the system refuses it, or it is none of a recording.
    pub fn read(path: &Path) -> io::Result<Result<Self, SegmentError>> {
        Ok(Self::parse(&fs::read(path)?))
    }

    /// As it would have been written at once.
    #[must_use]
    pub fn to_bytes(&self, salt: u32) -> Vec<u8> {
        let mut bytes = self.head.to_bytes(salt);
        let mut block = vec![0; BLOCK_HEAD_BYTES];
        block.extend_from_slice(&self.tape);
        seal(&mut block, salt);
        bytes.extend(block);
        bytes.extend(TERMINATOR);
        bytes
    }
}

impl Head {
    /// All of a file before its tape.
    #[must_use]
    pub fn to_bytes(&self, salt: u32) -> Vec<u8> {
        let mut block = Vec::with_capacity(self.state.len() + 4096);
        block.extend(TERMINATOR);
        self.record(&mut block);
        seal(&mut block, salt);
        [&MAGIC[..], &salt.to_le_bytes(), &block].concat()
    }
}

/// Fills the room before a block's bytes.
///
/// # Panics
///
/// Where there is none, or the block is longer than 4 GiB.
pub fn seal(block: &mut [u8], salt: u32) {
    let (head, bytes) = block.split_at_mut(BLOCK_HEAD_BYTES);
    let length = u32::try_from(bytes.len()).expect("what is queued is bounded");
    head[..4].copy_from_slice(&length.to_le_bytes());
    head[4..].copy_from_slice(&checksum(bytes, salt).to_le_bytes());
}

fn checksum(bytes: &[u8], salt: u32) -> u32 {
    crc32c::crc32c_append(salt, bytes)
}

/// The blocks of a file, up to the first that is not whole.
struct Blocks<'a> {
    rest: &'a [u8],
    salt: u32,
}

impl<'a> Iterator for Blocks<'a> {
    type Item = Result<&'a [u8], End>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = std::mem::take(&mut self.rest);
        if rest.is_empty() || rest.starts_with(&TERMINATOR) {
            return None;
        }
        let Some((head, rest)) = rest.split_at_checked(BLOCK_HEAD_BYTES) else {
            return Some(Err(End::Broken));
        };
        let number = |at: usize| u32::from_le_bytes(head[at..at + 4].try_into().expect("four"));
        let Some((bytes, rest)) = rest.split_at_checked(number(0) as usize) else {
            return Some(Err(End::Broken));
        };
        if checksum(bytes, self.salt) != number(4) {
            return Some(Err(End::Broken));
        }
        self.rest = rest;
        Some(Ok(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment() -> Segment {
        let member = |number: u64, name: &str| Member {
            node: NodeId::from_wire(number),
            name: name.into(),
            zone: "z".into(),
        };
        let origin = Origin {
            version: "1.2.3".into(),
            run: [7; 16],
            node: NodeId::from_wire(2),
            log: LogId::default(),
            members: vec![member(1, "n1"), member(2, "n2")],
        };
        let head = Head { origin, turns: 9, gap: true, now: Now::default(), state: vec![1, 2, 3] };
        Segment { head, tape: vec![4, 5, 6, 7], end: End::Whole }
    }

    #[test]
    fn what_is_cut_off_or_altered_is_seen() {
        let mut bytes = segment().to_bytes(77);
        let same = Segment::parse(&bytes).unwrap();
        assert_eq!((same.head.origin, same.tape), (segment().head.origin, vec![4, 5, 6, 7]));
        for length in 0..bytes.len() - TERMINATOR.len() {
            match Segment::parse(&bytes[..length]) {
                Ok(part) => assert!(part.tape.is_empty()),
                Err(error) => assert_ne!(error, SegmentError::Head(RecordingError::CutOff)),
            }
        }
        for place in 0..bytes.len() {
            let mut other = bytes.clone();
            other[place] ^= 1;
            let parsed = Segment::parse(&other);
            assert!(parsed.is_err() || parsed.is_ok_and(|it| it.end != End::Whole), "byte {place}");
        }
        // What is left of an older file is no part of this one, with or without the zeros.
        let older = segment().to_bytes(78);
        let length = bytes.len();
        for keep in [length, length - TERMINATOR.len()] {
            bytes.truncate(keep);
            bytes.extend_from_slice(&older[older.len() - 20..]);
            assert_eq!(Segment::parse(&bytes).unwrap().tape, [4, 5, 6, 7]);
        }
    }
}
