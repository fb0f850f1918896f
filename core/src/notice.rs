//! What happened, as one typed stream: logs, metrics, transcripts and the simulator all read it.

use crate::id::{Epoch, LogIndex};

/// Something that happened inside a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Notice {
    /// It asks to lead.
    Campaigning {
        /// In which epoch.
        epoch: Epoch,
    },
    /// It leads: its epoch record is committed, and it takes appends and reads.
    Leading {
        /// In which epoch.
        epoch: Epoch,
        /// Where the epoch record stands.
        index: LogIndex,
    },
    /// An append had been written by an earlier attempt.
    DuplicateAppend,
    /// An append was refused because too much waits for the disk.
    Overloaded,
    /// The disk is full, or has space again.
    DiskSpace {
        /// Whether it is full.
        full: bool,
    },
}
