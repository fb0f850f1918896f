//! What can be wrong with the index's files, and with the disk below them.

use std::fmt;

use crate::disk::{DiskError, DiskErrorKind, FileName};

/// Why the index could not answer or go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IndexError {
    /// The disk failed, or is full.
    #[error("the stream index: {0}")]
    Disk(#[from] DiskError),
    /// A file is not what was written. It can be rebuilt from the log.
    #[error(transparent)]
    Damaged(#[from] Damage),
}

impl IndexError {
    /// Whether it goes away once there is space on the disk.
    pub(super) fn is_full(&self) -> bool {
        matches!(self, Self::Disk(DiskError { kind: DiskErrorKind::Full, .. }))
    }
}

/// Where a file of the index is not what was written, and how that shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The file.
    pub file: FileName,
    /// The part of it.
    pub part: Part,
    /// The 4 KiB block, counted from the file's start.
    pub block: u64,
    /// How it shows.
    pub flaw: Flaw,
}

impl fmt::Display for Damage {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, part, block, flaw } = self;
        write!(out, "the stream index is damaged: {file}, {part}, block {block}: {flaw}")
    }
}

impl std::error::Error for Damage {}

/// A part of the index's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// The list of runs.
    Manifest,
    /// A run's first block.
    Header,
    /// A run's streams.
    Directory,
    /// A run's event positions.
    Positions,
    /// A run's filter of streams that it does not hold.
    Bloom,
    /// A run's first keys of directory blocks.
    Fences,
}

impl fmt::Display for Part {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Manifest => "manifest",
            Self::Header => "header",
            Self::Directory => "directory",
            Self::Positions => "positions",
            Self::Bloom => "bloom filter",
            Self::Fences => "fences",
        })
    }
}

/// How damage shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Flaw {
    /// There is no such file.
    Missing,
    /// The file is not as long as it must be.
    Length,
    /// A block fails its checksum, or lies where another block should.
    Checksum,
    /// It is of another kind or of another version.
    Format,
    /// It belongs to another log, another data folder, or another place.
    Foreign,
    /// Its numbers contradict each other.
    Contradiction,
    /// It should be rebuilt, but the log is damaged or says something else.
    Unrecoverable,
}

impl fmt::Display for Flaw {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Missing => "the file is missing",
            Self::Length => "the file has another length",
            Self::Checksum => "the checksum does not hold",
            Self::Format => "not of this kind and version",
            Self::Foreign => "it belongs to another log or place",
            Self::Contradiction => "its numbers contradict each other",
            Self::Unrecoverable => "and the log does not say what it held",
        })
    }
}
