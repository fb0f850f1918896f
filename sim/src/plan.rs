//! Which faults a seed has. Each seed has some kinds and not others: faults that are always all
//! there hide each other.

use quorate_storage::disk::simulated::Random;

/// Once in how many steps each kind of trouble comes; zero for never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Steps before everything is healed and judged.
    pub steps: u64,
    /// The process ends and comes back.
    pub restart: u32,
    /// The power goes, and with it any part of what was not durable.
    pub power_loss: u32,
    /// The power goes once more, during recovery; one in so many starts.
    pub loss_in_recovery: u32,
    /// A write fails.
    pub failed_write: u32,
    /// A sync fails.
    pub failed_sync: u32,
    /// The disk is full for a while.
    pub full_disk: u32,
    /// Nothing completes for a while.
    pub stall: u32,
    /// The process ends, and a bit of a record flips before it comes back. Somebody puts it right
    /// once the start was refused.
    pub rot: u32,
}

impl Plan {
    /// No faults at all.
    pub const CALM: Self = Self {
        steps: 400,
        restart: 0,
        power_loss: 0,
        loss_in_recovery: 0,
        failed_write: 0,
        failed_sync: 0,
        full_disk: 0,
        stall: 0,
        rot: 0,
    };

    /// The plan of this seed.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        let mut random = Random::stream(seed, "plan");
        let mut rate = |rates: [u32; 2]| if random.coin() { *random.pick(&rates) } else { 0 };
        Self {
            steps: 400,
            restart: rate([40, 120]),
            power_loss: rate([40, 120]),
            loss_in_recovery: rate([2, 4]),
            failed_write: rate([60, 150]),
            failed_sync: rate([60, 150]),
            full_disk: rate([60, 150]),
            stall: rate([20, 60]),
            rot: rate([40, 120]),
        }
    }
}
