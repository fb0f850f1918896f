//! Mutated bytes into every decoder, from a seed, on the stable toolchain.
//!
//! A decoder of bytes that come from a wire or a disk gives a value or a named error; it never
//! panics. Checksums make that easy to believe and hard to test: a flipped bit is refused before
//! anything looks at it. So each target can *repair* the checksums of what was mutated, and each
//! target proves itself: a panic planted behind its checks must be found ([`Target::reaches`]).

pub mod mutate;
pub mod targets;

use std::panic::{self, AssertUnwindSafe};
use std::time::{Duration, Instant};

use quorate_storage::disk::simulated::Random;

use mutate::mutate;

/// One decoder and what it is fed with.
pub struct Target {
    /// As it is called on the command line.
    pub name: &'static str,
    /// Good bytes to start from.
    pub corpus: fn() -> Vec<Vec<u8>>,
    /// Makes the checksums of mutated bytes right again, where there is enough of them.
    pub repair: fn(&mut [u8]),
    /// Decodes; says whether the bytes were taken as good ones.
    pub decode: fn(&[u8]) -> bool,
}

/// Bytes that made a decoder panic.
#[derive(Debug)]
pub struct Failure {
    /// Which decoder.
    pub target: &'static str,
    /// With the case, repeats it.
    pub seed: u64,
    /// With the seed, repeats it.
    pub case: u64,
    /// What it was fed with.
    pub bytes: Vec<u8>,
}

impl Target {
    /// The bytes of one case: a good example, mutated once or often, its checksums mostly repaired.
    #[must_use]
    pub fn case(&self, corpus: &[Vec<u8>], seed: u64, case: u64) -> Vec<u8> {
        let mut random = Random::stream(seed ^ case.rotate_left(32), self.name);
        let mut bytes = random.pick(corpus).clone();
        for _ in 0..1 + random.below(4) {
            let other = random.index(corpus.len());
            mutate(&mut bytes, &corpus[other], &mut random);
        }
        if !random.one_in(4) {
            (self.repair)(&mut bytes);
        }
        bytes
    }

    /// Runs cases until the time is over or `decode` panics; says how many.
    ///
    /// # Errors
    ///
    /// [`Failure`] with the bytes that did it.
    pub fn run(&self, seed: u64, time: Duration) -> Result<u64, Failure> {
        let corpus = (self.corpus)();
        let start = Instant::now();
        let mut case = 0;
        while case % 64 != 0 || start.elapsed() < time {
            let bytes = self.case(&corpus, seed, case);
            let decoded = panic::catch_unwind(AssertUnwindSafe(|| (self.decode)(&bytes)));
            if decoded.is_err() {
                return Err(Failure { target: self.name, seed, case, bytes });
            }
            case += 1;
        }
        Ok(case)
    }

    /// In how many cases the mutations come through all checks with bytes that are not in the
    /// corpus, which is where a careless decoder would fail; `None` if in none of `cases`.
    #[must_use]
    pub fn reaches(&self, seed: u64, cases: u64) -> Option<u64> {
        let corpus = (self.corpus)();
        (0..cases).find(|case| {
            let bytes = self.case(&corpus, seed, *case);
            !corpus.contains(&bytes) && (self.decode)(&bytes)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_corpus_is_good_and_stays_so_when_repaired() {
        for target in targets::ALL {
            for mut bytes in (target.corpus)() {
                assert!((target.decode)(&bytes), "{}: the corpus is good", target.name);
                (target.repair)(&mut bytes);
                assert!((target.decode)(&bytes), "{}: repairing changes nothing", target.name);
            }
        }
    }

    #[test]
    fn every_target_gets_behind_its_checks() {
        for target in targets::ALL {
            let reached = target.reaches(1, 20_000);
            assert!(reached.is_some(), "{}: nothing mutated was ever taken", target.name);
        }
    }

    #[test]
    fn a_planted_panic_is_found_and_repeats() {
        fn careless(bytes: &[u8]) -> bool {
            let good = (targets::ALL[0].decode)(bytes);
            assert!(!good || (targets::ALL[0].corpus)().iter().any(|known| known == bytes));
            good
        }
        let target = Target { decode: careless, ..targets::ALL[0] };
        let failure = target.run(7, Duration::from_secs(60)).expect_err("it is planted");
        let again = target.case(&(target.corpus)(), failure.seed, failure.case);
        assert_eq!(again, failure.bytes, "seed and case repeat it");
    }

    #[test]
    fn no_decoder_panics() {
        for target in targets::ALL {
            let corpus = (target.corpus)();
            for case in 0..2_000 {
                (target.decode)(&target.case(&corpus, 3, case));
            }
        }
    }
}
