//! Memory that the kernel can write to and from directly: it starts on a 4 KiB boundary.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

/// `O_DIRECT` asks for addresses, offsets and lengths that are multiples of this.
pub const ALIGNMENT: usize = 4096;

/// Zeroed bytes on a 4 KiB boundary, owned, so that they can be lent to a disk and come back.
pub struct AlignedBuffer {
    /// Has room for the alignment; moving the vector does not move what it points to.
    memory: Arc<Vec<u8>>,
    start: usize,
    bytes: usize,
}

impl AlignedBuffer {
    /// Zeros.
    ///
    /// - `bytes`: a multiple of 4096
    #[must_use]
    pub fn zeroed(bytes: usize) -> Self {
        assert!(bytes.is_multiple_of(ALIGNMENT), "direct I/O is done in whole sectors");
        let memory = vec![0; bytes + ALIGNMENT];
        let start = memory.as_ptr().align_offset(ALIGNMENT);
        assert!(start < ALIGNMENT, "there is room for the alignment");
        Self { memory: Arc::new(memory), start, bytes }
    }

    /// The same bytes once more, not copied: to look at while a disk has them.
    ///
    /// They can't be changed as long as more than one has them.
    #[must_use]
    pub fn share(&self) -> Self {
        Self { memory: self.memory.clone(), start: self.start, bytes: self.bytes }
    }
}

impl Deref for AlignedBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.memory[self.start..self.start + self.bytes]
    }
}

impl DerefMut for AlignedBuffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        let memory = Arc::get_mut(&mut self.memory).expect("shared bytes are only looked at");
        &mut memory[self.start..self.start + self.bytes]
    }
}

impl std::fmt::Debug for AlignedBuffer {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "AlignedBuffer({} bytes)", self.bytes)
    }
}
