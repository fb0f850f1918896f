//! The body of a leader's first entry: who leads, and which log it found.
//!
//! Nothing of earlier epochs counts as committed before this is. It also makes two leaders of one
//! epoch recognisable, which must never be: they draw different ids.
//!
//! Layout, little-endian:
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 16 | id, drawn at random |
//! | 16 | 16 | lineage |
//! | 32 | 8 | epoch |
//! | 40 | 8 | the leader's node |
//! | 48 | 16 | the leader's disk |
//! | 64 | 8 | epoch of the entry before it |
//! | 72 | 8 | index of the entry before it |
//! | 80 | 32 | chain up to the entry before it |
//! | 112 | 8 | created, in 100 ns ticks since 1970 |

use core::fmt;

use crate::id::{ChainHash, DiskId, Epoch, Lineage, LogIndex, NodeId};
use crate::log::entry::LogEnd;
use crate::time::Created;

/// How long it is.
pub const EPOCH_RECORD_BYTES: usize = 120;

/// A leader's first words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochRecord {
    /// Drawn at random by the leader.
    pub id: [u8; 16],
    /// The group's history.
    pub lineage: Lineage,
    /// The reign that begins.
    pub epoch: Epoch,
    /// Who leads.
    pub node: NodeId,
    /// On which disk.
    pub disk: DiskId,
    /// Epoch of the entry before it; zero for an empty log.
    pub previous_epoch: Epoch,
    /// Index of the entry before it.
    pub previous_index: LogIndex,
    /// The chain up to the entry before it.
    pub previous_chain: ChainHash,
    /// When it was made.
    pub created: Created,
}

/// Bytes that are no epoch record: their number is not [`EPOCH_RECORD_BYTES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochRecordError {
    /// How many there are.
    pub found: usize,
}

impl fmt::Display for EpochRecordError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "an epoch record has {EPOCH_RECORD_BYTES} bytes, and this has {}", self.found)
    }
}

impl core::error::Error for EpochRecordError {}

impl EpochRecord {
    /// As it lies in an entry's body.
    #[must_use]
    pub fn encode(&self) -> [u8; EPOCH_RECORD_BYTES] {
        let mut bytes = [0; EPOCH_RECORD_BYTES];
        bytes[0..16].copy_from_slice(&self.id);
        bytes[16..32].copy_from_slice(&self.lineage.to_bytes());
        bytes[32..40].copy_from_slice(&self.epoch.get().to_le_bytes());
        bytes[40..48].copy_from_slice(&self.node.get().to_le_bytes());
        bytes[48..64].copy_from_slice(&self.disk.to_bytes());
        bytes[64..72].copy_from_slice(&self.previous_epoch.get().to_le_bytes());
        bytes[72..80].copy_from_slice(&self.previous_index.get().to_le_bytes());
        bytes[80..112].copy_from_slice(&self.previous_chain.to_bytes());
        bytes[112..120].copy_from_slice(&self.created.ticks().to_le_bytes());
        bytes
    }

    /// Reads an entry's body.
    ///
    /// # Errors
    ///
    /// [`EpochRecordError`] where it has another length.
    pub fn decode(body: &[u8]) -> Result<Self, EpochRecordError> {
        let bytes: &[u8; EPOCH_RECORD_BYTES] =
            body.try_into().map_err(|_| EpochRecordError { found: body.len() })?;
        Ok(Self {
            id: array(bytes, 0),
            lineage: Lineage::from_bytes(array(bytes, 16)),
            epoch: Epoch::from_wire(u64::from_le_bytes(array(bytes, 32))),
            node: NodeId::from_wire(u64::from_le_bytes(array(bytes, 40))),
            disk: DiskId::from_bytes(array(bytes, 48)),
            previous_epoch: Epoch::from_wire(u64::from_le_bytes(array(bytes, 64))),
            previous_index: LogIndex::from_wire(u64::from_le_bytes(array(bytes, 72))),
            previous_chain: ChainHash::from_bytes(array(bytes, 80)),
            created: Created::from_ticks(u64::from_le_bytes(array(bytes, 112))),
        })
    }

    /// Whether it follows on this end of a log.
    #[must_use]
    pub fn follows(&self, end: &LogEnd) -> bool {
        self.previous_epoch == end.epoch
            && self.previous_index == end.index
            && self.previous_chain == end.chain
    }
}

fn array<const N: usize>(bytes: &[u8; EPOCH_RECORD_BYTES], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("every field lies within the record")
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: EpochRecord = EpochRecord {
        id: [1; 16],
        lineage: Lineage::from_bytes([2; 16]),
        epoch: Epoch::from_wire(3),
        node: NodeId::from_wire(4),
        disk: DiskId::from_bytes([5; 16]),
        previous_epoch: Epoch::from_wire(6),
        previous_index: LogIndex::from_wire(7),
        previous_chain: ChainHash::from_bytes([8; 32]),
        created: Created::from_ticks(9),
    };

    #[test]
    fn fields_lie_where_the_table_says() {
        let bytes = RECORD.encode();
        for (range, value) in [(0..16, 1), (16..32, 2), (48..64, 5), (80..112, 8)] {
            assert!(bytes[range].iter().all(|byte| *byte == value));
        }
        for (at, value) in [(32, 3), (40, 4), (64, 6), (72, 7), (112, 9)] {
            assert_eq!(bytes[at..at + 8], u64::to_le_bytes(value));
        }
        assert_eq!(EpochRecord::decode(&bytes), Ok(RECORD));
    }

    #[test]
    fn another_length_is_refused() {
        for length in [0, EPOCH_RECORD_BYTES - 1, EPOCH_RECORD_BYTES + 1] {
            let decoded = EpochRecord::decode(&[0; EPOCH_RECORD_BYTES + 1][..length]);
            assert_eq!(decoded, Err(EpochRecordError { found: length }));
        }
    }
}
