//! A hash of a state, with its timers or without them.

/// What a state adds itself to.
pub(crate) struct Digest {
    hasher: blake3::Hasher,
    with_timers: bool,
}

impl Digest {
    /// Of nothing yet.
    ///
    /// - `with_timers`: whether states that differ in nothing but timers are different
    pub(crate) fn new(with_timers: bool) -> Self {
        Self { hasher: blake3::Hasher::new(), with_timers }
    }

    /// Adds numbers, whose count is the same each time.
    pub(crate) fn numbers(&mut self, numbers: &[u64]) {
        for number in numbers {
            self.hasher.update(&number.to_le_bytes());
        }
    }

    /// Adds what only says how long something takes.
    pub(crate) fn timers(&mut self, numbers: &[u64]) {
        if self.with_timers {
            self.numbers(numbers);
        }
    }

    /// For parts that have no timers.
    pub(crate) const fn hasher(&mut self) -> &mut blake3::Hasher {
        &mut self.hasher
    }

    /// The hash.
    pub(crate) fn finish(&self) -> u64 {
        let bytes = self.hasher.finalize().as_bytes()[..8].try_into().expect("8 of 32 bytes");
        u64::from_le_bytes(bytes)
    }
}
