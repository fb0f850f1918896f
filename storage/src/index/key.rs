//! How the index names a stream: by 128 bits of a keyed hash, so that every name takes the same
//! room and names chosen by a client cannot be made to collide.

use std::fmt;

use siphasher::sip128::SipHasher24;

/// A stream's name in the index.
///
/// Two names share one with a probability of about 2⁻¹²⁸ for each pair; a reader still compares
/// the name in the event that it reads.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamKey(u128);

impl StreamKey {
    pub(super) const fn from_bits(bits: u128) -> Self {
        Self(bits)
    }

    pub(super) const fn to_bits(self) -> u128 {
        self.0
    }

    /// The upper half: orders keys but for the rarest ties, and is uniform.
    pub(super) const fn high(self) -> u64 {
        (self.0 >> 64) as u64
    }

    /// The lower half: independent of the order.
    pub(super) const fn low(self) -> u64 {
        self.0 as u64
    }
}

impl fmt::Debug for StreamKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "StreamKey({:032x})", self.0)
    }
}

/// Makes keys of names: SipHash-2-4 with 128 bits, under a secret of the data folder.
#[derive(Clone)]
pub struct StreamHasher {
    hasher: SipHasher24,
}

impl StreamHasher {
    /// - `secret`: drawn at random when the data folder was made; kept in its superblock
    #[must_use]
    pub fn new(secret: &[u8; 16]) -> Self {
        Self { hasher: SipHasher24::new_with_key(secret) }
    }

    /// The key of a stream.
    #[must_use]
    pub fn key(&self, stream: &str) -> StreamKey {
        StreamKey(self.hasher.hash(stream.as_bytes()).as_u128())
    }

    /// Tells hashers of different secrets apart without giving the secret away.
    pub(super) fn fingerprint(&self) -> u64 {
        self.key("").low()
    }
}
