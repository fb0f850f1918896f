//! A quick hash of what a replica does, turn by turn.
//!
//! It finds mistakes, not forgeries: sixty-four bits that are multiplied and folded.

use super::{Recorded, Sink};
use crate::Replica;
use crate::effect::Effect;

/// Adds up all effects of a replica, and now and then its state.
#[derive(Clone, Debug, Default)]
pub struct Witness(Fold);

impl Witness {
    /// Takes in what a step has asked for.
    pub fn saw(&mut self, effects: &[Effect]) {
        effects.iter().for_each(|effect| effect.record(&mut self.0));
    }

    /// A hash of all effects so far and of what the replica is now. Of what it keeps of streams and
    /// recent events only the extent is in it: that is too much to look at in each turn, and what
    /// is decided by it shows in the effects.
    #[must_use]
    pub fn digest(&self, replica: &Replica) -> u64 {
        let mut fold = self.0.clone();
        replica.sketch(&mut fold);
        fold.0
    }
}

/// The hash.
#[derive(Clone, Debug)]
struct Fold(u64);

/// Odd, and as many ones as zeros: from the fractions of pi.
const FACTOR: u64 = 0x243f_6a88_85a3_08d3;
const STEP: u64 = 0x1319_8a2e_0370_7345;

impl Default for Fold {
    fn default() -> Self {
        Self(STEP)
    }
}

impl Sink for Fold {
    fn number(&mut self, number: u64) {
        let wide = u128::from(self.0 ^ number) * u128::from(FACTOR);
        self.0 = (wide as u64 ^ (wide >> 64) as u64).wrapping_add(STEP);
    }

    fn raw(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        words.iter().for_each(|word| self.number(u64::from_le_bytes(*word)));
        if !rest.is_empty() {
            let mut last = [0; 8];
            last[..rest.len()].copy_from_slice(rest);
            self.number(u64::from_le_bytes(last));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bit_and_every_place_counts() {
        let hash = |numbers: &[u64]| {
            let mut fold = Fold::default();
            numbers.iter().for_each(|number| fold.number(*number));
            fold.0
        };
        let mut seen = alloc::collections::BTreeSet::new();
        assert!(seen.insert(hash(&[])));
        for count in 1..20 {
            assert!(seen.insert(hash(&[0; 20][..count])));
        }
        for bit in 0..64 {
            assert!(seen.insert(hash(&[1 << bit, 7])));
            assert!(seen.insert(hash(&[7, 1 << bit])));
        }
    }
}
