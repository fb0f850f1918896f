//! The protocol, broken on purpose: each break must be noticed within a stated number of seeds.

use std::panic::{self, AssertUnwindSafe};

use quorate_core::mutant::Mutant as CoreMutant;

use super::plan::Plan;
use crate::history::Violation;
use crate::world::Failure;

/// Most are noticed much sooner.
const SEEDS: u64 = 200;

/// One mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupMutant {
    /// One within the core.
    Core(CoreMutant),
}

impl GroupMutant {
    /// All that seeds notice. The core has some more, which its transcripts play.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let known = CoreMutant::ALL.into_iter();
        known.filter(|mutant| !CoreMutant::RARE.contains(mutant)).map(Self::Core).collect()
    }

    /// What the core is to do wrong.
    pub(super) fn of_core(self) -> Option<CoreMutant> {
        match self {
            Self::Core(mutant) => Some(mutant),
        }
    }

    /// Within so many seeds it must be noticed.
    #[must_use]
    pub fn seeds(self) -> u64 {
        SEEDS
    }

    /// The first of its seeds under which it is noticed: by the oracle, by an invariant, or by an
    /// assertion of the node itself.
    #[must_use]
    pub fn first_caught(self) -> Option<Failure> {
        (0..self.seeds()).find_map(|seed| self.is_caught(seed))
    }

    fn is_caught(self, seed: u64) -> Option<Failure> {
        let run = || super::run(seed, Plan::hostile(seed), Some(self), false);
        match panic::catch_unwind(AssertUnwindSafe(run)) {
            Ok(result) => result.err(),
            Err(payload) => {
                let text = payload.downcast_ref::<String>().cloned();
                let story =
                    text.or_else(|| payload.downcast_ref::<&str>().map(|&it| it.to_owned()));
                let story = story.unwrap_or_default();
                let violation = Violation { invariant: "an assertion", story };
                Some(Failure { seed, violation })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Noticed within the first few seeds; `quorate-sim mutants` has the others, which take longer.
    const QUICK: [CoreMutant; 8] = [
        CoreMutant::VotesTwice,
        CoreMutant::ServesBeforeReady,
        CoreMutant::ForgetsVote,
        CoreMutant::AcksBeforeWrite,
        CoreMutant::CommitsOldEpochs,
        CoreMutant::CommitsAlone,
        CoreMutant::SkipsTruncation,
        CoreMutant::AcksWhenDeposed,
    ];

    #[test]
    fn mistakes_are_noticed() {
        for mutant in QUICK.map(GroupMutant::Core) {
            let caught = (0..32).find_map(|seed| mutant.is_caught(seed));
            let failure = caught.unwrap_or_else(|| panic!("{mutant:?} was never noticed"));
            println!("{mutant:?}: {failure}");
        }
    }
}
