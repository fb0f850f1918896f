//! Random numbers that follow from a seed: SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
//!
//! Only for what may be guessed: how long to wait before a campaign.

use crate::recording::{Recorded, RecordingError, Sink, Source};

/// A stream of numbers.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Recorded for Random {
    fn record(&self, out: &mut impl Sink) {
        out.number(self.0);
    }

    fn read(from: &mut Source<'_>) -> Result<Self, RecordingError> {
        from.number().map(Self)
    }
}

impl Random {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which is not zero; all nearly equally likely.
    pub(crate) fn below(&mut self, bound: u32) -> u32 {
        (self.next() % u64::from(bound)) as u32
    }

    /// What the next numbers follow from.
    pub(crate) const fn state(&self) -> u64 {
        self.0
    }
}
