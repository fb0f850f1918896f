//! The protocol, broken on purpose: each break must be noticed within a stated number of seeds.

use quorate_core::mutant::Mutant as CoreMutant;

use super::plan::Plan;
use crate::world::Failure;

/// One mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupMutant {
    /// One within the core.
    Core(CoreMutant),
}

impl GroupMutant {
    /// All of them.
    #[must_use]
    pub fn all() -> Vec<Self> {
        CoreMutant::ALL.into_iter().map(Self::Core).collect()
    }

    /// What the core is to do wrong.
    pub(super) fn of_core(self) -> Option<CoreMutant> {
        match self {
            Self::Core(mutant) => Some(mutant),
        }
    }

    /// The first of so many seeds under which it is noticed.
    #[must_use]
    pub fn first_caught(self, seeds: u64) -> Option<Failure> {
        (0..seeds).find_map(|seed| super::run(seed, Plan::of(seed), Some(self), false).err())
    }
}
