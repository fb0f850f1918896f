//! Crashes at a chosen operation, and at each of them in turn.

use super::image::Survival;
use super::{FaultPlan, Medium};

/// When the machine stops. Only operations that change something are counted, from 1: creates,
/// writes, syncs, renames and removes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrashPoint {
    /// With this change submitted, so that it may happen in part.
    Submitted(u64),
    /// With this change completed.
    Completed(u64),
}

/// All ways in which a process can end: see [`Medium::end`].
pub const ENDS: [Option<Survival>; 5] = [
    None,
    Some(Survival::Nothing),
    Some(Survival::Everything),
    Some(Survival::Sectors),
    Some(Survival::SmallSectors),
];

/// One crash of [`crash_everywhere`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crash {
    /// When it happened.
    pub point: CrashPoint,
    /// What was left of all that was not durable; `None` where only the process ended.
    pub survival: Option<Survival>,
}

/// Runs `workload` once for each change that it makes to a new medium and for each way to crash
/// there, then shows `check` what is left.
///
/// - `workload`: ends soon after its operations fail, which they do once the machine has crashed;
///   returns what it takes to be durable
/// - `check`: takes the next process's disk from the medium
pub fn crash_everywhere<T>(
    seed: u64,
    plan: FaultPlan,
    mut workload: impl FnMut(&Medium) -> T,
    mut check: impl FnMut(&Medium, T, Crash),
) {
    let whole = Medium::with_faults(seed, plan);
    workload(&whole);
    let changes = whole.changes_completed();
    assert!(changes > 0, "a workload that changes nothing can't be interrupted");
    for change in 1..=changes {
        for point in [CrashPoint::Submitted(change), CrashPoint::Completed(change)] {
            for survival in ENDS {
                let crash = Crash { point, survival };
                // Shown by the test harness only where the test fails.
                println!("seed {seed}: {crash:?}");
                let medium = Medium::with_faults(seed, plan);
                medium.crash_at(point);
                let durable = workload(&medium);
                assert!(medium.has_crashed(), "the workload is the same each time");
                medium.end(survival);
                check(&medium, durable, crash);
            }
        }
    }
}
