//! The unit in which index files are checked: 4 KiB that end with a checksum.
//!
//! The checksum covers the block's place as well, so a block that a disk wrote to or read from the
//! wrong place is noticed like a rotten one.

/// One block.
pub(super) const BLOCK_BYTES: usize = 4096;
/// What a block holds before its checksum.
pub(super) const PAYLOAD_BYTES: usize = BLOCK_BYTES - 4;

/// Puts the checksum at the end.
///
/// - `run`: the number of the run it belongs to
/// - `place`: which block of the file it is
pub(super) fn seal(block: &mut [u8], run: u64, place: u64) {
    let sum = checksum(block, run, place);
    block[PAYLOAD_BYTES..].copy_from_slice(&sum.to_le_bytes());
}

/// Whether the block is what was sealed, for this place.
pub(super) fn is_sealed(block: &[u8], run: u64, place: u64) -> bool {
    block[PAYLOAD_BYTES..] == checksum(block, run, place).to_le_bytes()
}

fn checksum(block: &[u8], run: u64, place: u64) -> u32 {
    assert!(block.len() == BLOCK_BYTES, "blocks are checked one by one");
    let sum = crc32c::crc32c(&run.to_le_bytes());
    let sum = crc32c::crc32c_append(sum, &place.to_le_bytes());
    crc32c::crc32c_append(sum, &block[..PAYLOAD_BYTES])
}

/// Takes numbers out of bytes from one end to the other.
///
/// # Panics
///
/// Past the end: only fixed layouts within a block are read with it.
pub(super) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let (field, rest) = self.0.split_first_chunk().expect("a layout fits its block");
        self.0 = rest;
        *field
    }

    pub(super) fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.bytes())
    }

    pub(super) fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.bytes())
    }
}
