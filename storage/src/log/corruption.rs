//! What is wrong with a log, said exactly: which file and byte, which record, which streams.

use std::fmt;

use quorate_core::id::{LogIndex, Position};

use crate::disk::FileName;

/// Bytes of the log that are not what was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Corruption {
    /// In which file.
    pub file: FileName,
    /// From which byte of it on.
    pub offset: u64,
    /// Which part of the file that is.
    pub part: Part,
    /// How it is wrong.
    pub damage: Damage,
    /// Streams that have an event in the damaged part, as far as it can be read.
    pub streams: Vec<String>,
}

/// Part of the log's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// A record.
    Record {
        /// The entry that should be there, where that is known.
        index: Option<LogIndex>,
        /// Where the record starts.
        position: Position,
    },
    /// What lies behind the last record of a sealed segment, which should be zero.
    Unused,
    /// A segment's header.
    SegmentHeader,
    /// A segment's footer.
    SegmentFooter,
    /// A whole segment.
    Segment,
    /// The stamp.
    Stamp,
}

/// How bytes are wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// They were on stable storage once, and now they, or some of them, read as never written.
    Lost,
    /// They fail their checksum.
    Rotten,
    /// Whole, but written for another place.
    Misplaced {
        /// The entry that it is.
        index: LogIndex,
        /// Where it should be.
        position: Position,
    },
    /// Whole, but it does not continue what comes before it.
    Chain,
    /// Whole, but its events are not what its header says, or not what their writers sent.
    Events,
    /// It is not there.
    Missing,
}

impl fmt::Display for Corruption {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, offset, part, damage, streams } = self;
        match part {
            Part::Record { index: Some(index), position } => {
                write!(out, "record {index} (position {position})")?;
            }
            Part::Record { index: None, position } => {
                write!(out, "the record at position {position}")?;
            }
            Part::Unused => out.write_str("the part behind the last record")?,
            Part::SegmentHeader => out.write_str("the segment's header")?,
            Part::SegmentFooter => out.write_str("the segment's footer")?,
            Part::Segment => out.write_str("the segment")?,
            Part::Stamp => out.write_str("the stamp")?,
        }
        match damage {
            Damage::Lost => out.write_str(" was on stable storage and is lost")?,
            Damage::Rotten => out.write_str(" fails its checksum")?,
            Damage::Misplaced { index, position } => {
                write!(out, " holds what belongs to entry {index} at position {position}")?;
            }
            Damage::Chain => out.write_str(" does not continue what comes before it")?,
            Damage::Events => out.write_str(" does not hold the events that it should")?,
            Damage::Missing => out.write_str(" is missing")?,
        }
        write!(out, ": {file}, byte {offset}")?;
        if !streams.is_empty() {
            write!(out, "; streams touched: {}", streams.join(", "))?;
        }
        Ok(())
    }
}

impl std::error::Error for Corruption {}
