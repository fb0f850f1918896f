//! Whose log it is, on which disk, and the checksum that ties bytes to it.

use quorate_core::id::{ClusterId, DiskId, GroupId, Lineage};
use quorate_core::log::entry::LogId;

/// The log that a file belongs to, and the disk that it was written on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Home {
    /// Cluster, group and lineage.
    pub log: LogId,
    /// The disk. Never sent to clients: it keys the headers' checksums.
    pub disk: DiskId,
}

impl Home {
    /// What every header's checksum starts from.
    ///
    /// Event bytes are chosen by clients and lie in the same files. Because the checksum starts
    /// from an id that they don't know, no event can pass for a record's header; and neither can
    /// what another node wrote.
    pub(super) fn seed(&self) -> u32 {
        crc32c::crc32c(&self.disk.to_bytes())
    }

    /// The checksum of a header whose first 12 bytes are its magic and this checksum.
    pub(super) fn checksum(&self, header: &[u8]) -> u32 {
        crc32c::crc32c_append(self.seed(), &header[12..])
    }

    /// The checksum of a header's fixed part, which stands behind the other one.
    ///
    /// The fixed part lies within the first 512 bytes, which every disk writes at once: it is there
    /// or not, so the length in it can be trusted even where the rest is torn.
    pub(super) fn fixed_checksum(&self, fixed: &[u8]) -> u32 {
        crc32c::crc32c_append(self.seed(), &fixed[16..])
    }

    /// Writes the log's 40 bytes.
    pub(super) fn put_log(&self, out: &mut [u8]) {
        out[..16].copy_from_slice(&self.log.cluster.to_bytes());
        out[16..32].copy_from_slice(&self.log.lineage.to_bytes());
        put_u64(out, 32, self.log.group.get());
    }
}

/// Numbers beyond this are not taken from any file: below it there is room to add to them.
pub(super) const NUMBER_MAX: u64 = 1 << 62;

/// Reads what [`Home::put_log`] wrote.
pub(super) fn log_id_at(bytes: &[u8], at: usize) -> LogId {
    LogId {
        cluster: ClusterId::from_bytes(array_at(bytes, at)),
        lineage: Lineage::from_bytes(array_at(bytes, at + 16)),
        group: GroupId::from_wire(u64_at(bytes, at + 32)),
    }
}

pub(super) fn array_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("the range has this length")
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array_at(bytes, at))
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(array_at(bytes, at))
}

pub(super) fn put_u32(bytes: &mut [u8], at: usize, number: u32) {
    bytes[at..at + 4].copy_from_slice(&number.to_le_bytes());
}

pub(super) fn put_u64(bytes: &mut [u8], at: usize, number: u64) {
    bytes[at..at + 8].copy_from_slice(&number.to_le_bytes());
}

pub(super) fn is_zero(bytes: &[u8]) -> bool {
    let (chunks, rest) = bytes.as_chunks::<64>();
    chunks.iter().all(|chunk| chunk.iter().fold(0, |all, byte| all | byte) == 0)
        && rest.iter().all(|byte| *byte == 0)
}
