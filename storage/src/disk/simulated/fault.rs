//! What can go wrong on a simulated medium, and when it does: by a plan with a seed, or at once
//! because a test asks for it.

use super::random::{Chance, Random};
use crate::disk::FileName;

/// One kind of trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A write fails; any of its sectors may have been written.
    FailedWrite,
    /// A flush fails, and what it should have made durable is forgotten in part, as Linux does.
    FailedSync,
    /// A create, rename or remove fails; it may have happened all the same.
    FailedName,
    /// A read fails.
    FailedRead,
    /// A flush or a durable write says that it is done, and is not: a power loss shows it.
    LyingFlush,
    /// A write lands in another place, maybe in another file, and says that it is done.
    MisdirectedWrite,
    /// A bit flips for good, somewhere.
    Rot,
    /// An operation does not complete until [`super::Medium::release`].
    Stall,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::FailedWrite,
        Self::FailedSync,
        Self::FailedName,
        Self::FailedRead,
        Self::LyingFlush,
        Self::MisdirectedWrite,
        Self::Rot,
        Self::Stall,
    ];

    /// The name of its stream of random numbers.
    const fn stream(self) -> &'static str {
        match self {
            Self::FailedWrite => "failed write",
            Self::FailedSync => "failed sync",
            Self::FailedName => "failed name",
            Self::FailedRead => "failed read",
            Self::LyingFlush => "lying flush",
            Self::MisdirectedWrite => "misdirected write",
            Self::Rot => "rot",
            Self::Stall => "stall",
        }
    }
}

/// How likely each fault is, and whether operations keep their order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FaultPlan {
    chances: [Chance; Fault::ALL.len()],
    reorders: bool,
}

impl FaultPlan {
    /// Nothing goes wrong, and operations complete in order.
    pub const NONE: Self = Self { chances: [Chance::NEVER; Fault::ALL.len()], reorders: false };

    /// The same plan with this fault, once in so many operations that it can strike.
    #[must_use]
    pub const fn with(mut self, fault: Fault, chance: Chance) -> Self {
        self.chances[fault as usize] = chance;
        self
    }

    /// The same plan, with operations in flight at the same time completing in any order.
    #[must_use]
    pub const fn reordering(mut self) -> Self {
        self.reorders = true;
        self
    }
}

/// A fault that has struck.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Strike {
    /// What happened.
    pub fault: Fault,
    /// To which file.
    pub file: FileName,
    /// From which byte on, where there is one.
    pub offset: u64,
}

/// Decides when a fault strikes, and keeps account.
pub(super) struct Faults {
    plan: FaultPlan,
    /// One for each kind, so that the chance of one does not move the others.
    streams: [Random; Fault::ALL.len()],
    /// Which operation completes next.
    order: Random,
    /// Asked for by a test; each strikes once, as soon as it can.
    asked: Vec<Fault>,
    strikes: Vec<Strike>,
}

impl Faults {
    pub(super) fn new(seed: u64, plan: FaultPlan) -> Self {
        Self {
            plan,
            streams: Fault::ALL.map(|fault| Random::stream(seed, fault.stream())),
            order: Random::stream(seed, "order"),
            asked: Vec::new(),
            strikes: Vec::new(),
        }
    }

    pub(super) fn set_plan(&mut self, plan: FaultPlan) {
        self.plan = plan;
    }

    pub(super) fn ask(&mut self, fault: Fault) {
        self.asked.push(fault);
    }

    pub(super) fn forget_asked(&mut self) {
        self.asked.clear();
    }

    /// Whether this fault strikes an operation that it could strike.
    pub(super) fn strikes(&mut self, fault: Fault) -> bool {
        if let Some(index) = self.asked.iter().position(|asked| *asked == fault) {
            self.asked.remove(index);
            return true;
        }
        self.streams[fault as usize].happens(self.plan.chances[fault as usize])
    }

    /// Random numbers for what this fault does once it strikes.
    pub(super) fn stream(&mut self, fault: Fault) -> &mut Random {
        &mut self.streams[fault as usize]
    }

    /// Which of so many operations in flight completes next.
    pub(super) fn next_of(&mut self, count: usize) -> usize {
        if self.plan.reorders { self.order.below(count as u64) as usize } else { 0 }
    }

    /// Whether to complete another operation before the process looks.
    pub(super) fn goes_on(&mut self) -> bool {
        !self.plan.reorders || self.order.coin()
    }

    pub(super) fn record(&mut self, strike: Strike) {
        self.strikes.push(strike);
    }

    pub(super) fn take_strikes(&mut self) -> Vec<Strike> {
        std::mem::take(&mut self.strikes)
    }
}
