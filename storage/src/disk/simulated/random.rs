//! Random numbers from a seed: the same on every machine and in every year.
//!
//! Each kind of fault draws from a stream of its own, so that turning one kind off leaves the
//! others where they were. The generator is xoshiro256++ (Blackman and Vigna), seeded by
//! `SplitMix64`, both written out here because a dependency may change its stream.

/// One stream of random numbers.
#[derive(Clone, Debug)]
pub struct Random([u64; 4]);

impl Random {
    /// The stream called `name` of this seed.
    #[must_use]
    pub fn stream(seed: u64, name: &str) -> Self {
        // FNV-1a, so that streams are told apart by their names.
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        let mut mixer = seed ^ hash;
        Self(std::array::from_fn(|_| split_mix(&mut mixer)))
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        let Self([a, b, c, d]) = self;
        let result = a.wrapping_add(*d).rotate_left(23).wrapping_add(*a);
        let shifted = *b << 17;
        *c ^= *a;
        *d ^= *b;
        *b ^= *c;
        *a ^= *d;
        *c ^= shifted;
        *d = d.rotate_left(45);
        result
    }

    /// A number below `bound`, which is not zero.
    pub fn below(&mut self, bound: u64) -> u64 {
        assert!(bound > 0, "nothing is below zero");
        // The high half of the product; its bias is below 2^-32 for every bound used here.
        ((u128::from(self.number()) * u128::from(bound)) >> 64) as u64
    }

    /// An index of a list of this length, which is not empty.
    pub fn index(&mut self, count: usize) -> usize {
        self.below(count as u64) as usize
    }

    /// One of the list, which is not empty.
    pub fn pick<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.index(list.len())]
    }

    /// This many bytes.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.number() as u8).collect()
    }

    /// True once in so many times.
    pub fn one_in(&mut self, times: u32) -> bool {
        self.happens(Chance::one_in(times))
    }

    /// A fair coin.
    pub fn coin(&mut self) -> bool {
        self.number() >> 63 == 1
    }

    /// Whether a thing of this chance happens now.
    pub fn happens(&mut self, chance: Chance) -> bool {
        chance.0 > 0 && self.below(u64::from(chance.0)) == 0
    }
}

fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// How likely something is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Chance(u32);

impl Chance {
    /// It does not happen.
    pub const NEVER: Self = Self(0);
    /// It happens each time.
    pub const ALWAYS: Self = Self(1);

    /// It happens once in so many times.
    #[must_use]
    pub const fn one_in(times: u32) -> Self {
        assert!(times > 0, "what never happens is Chance::NEVER");
        Self(times)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_the_same_for_ever() {
        let mut random = Random::stream(7, "writes");
        let numbers: [u64; 3] = std::array::from_fn(|_| random.number());
        // As another implementation of the three published algorithms has it.
        let golden = [0x809a_4cfe_d14c_c896, 0x414e_22f1_36e4_8483, 0x2186_ef69_41be_356d];
        assert_eq!(numbers, golden);
        assert_ne!(numbers[0], Random::stream(7, "syncs").number(), "streams differ by name");
        assert_ne!(numbers[0], Random::stream(8, "writes").number(), "streams differ by seed");
    }

    #[test]
    fn a_chance_is_about_what_it_says() {
        let mut random = Random::stream(1, "chance");
        let count = (0..10_000).filter(|_| random.happens(Chance::one_in(10))).count();
        assert!((900..1100).contains(&count), "{count} of 10000 at one in ten");
        assert!(!random.happens(Chance::NEVER));
        assert!(random.happens(Chance::ALWAYS));
    }
}
