//! Whether the node lives, and whether it is ready: what `/livez` and `/readyz` say.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use quorate_net::clock::Instant;

/// A loop that has not turned for this long is stuck.
pub const STUCK_AFTER: Duration = Duration::from_secs(10);

/// Where a node is in its life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It opens its data; the text says how far it is.
    Starting(String),
    /// It knows no leader: it takes no appends, and reads what is committed without asking anybody.
    Leaderless,
    /// It takes appends and reads.
    Ready,
    /// It takes no more, and finishes what is under way.
    Stopping,
}

/// The node's phase, and the pulse of its loop.
#[derive(Debug)]
pub struct Health {
    started: Instant,
    phase: Mutex<Phase>,
    /// Milliseconds from `started` to the loop's last turn; zero before the first.
    pulse_ms: AtomicU64,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            phase: Mutex::new(Phase::Starting("opening the data folder".into())),
            pulse_ms: AtomicU64::new(0),
        }
    }
}

impl Health {
    /// How long the node has been up.
    #[must_use]
    pub fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    /// Where the node is in its life.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The node enters a phase.
    pub fn enter(&self, phase: Phase) {
        *self.phase.lock().unwrap_or_else(PoisonError::into_inner) = phase;
    }

    /// The loop has turned. It does so at least once a second.
    pub fn beat(&self) {
        let now = u64::try_from(self.uptime().as_millis()).unwrap_or(u64::MAX);
        self.pulse_ms.store(now.max(1), Ordering::Relaxed);
    }

    /// How long the loop has not turned, where that is too long. A loop that has not begun (the
    /// node is still opening its data) is not stuck.
    #[must_use]
    pub fn stuck(&self) -> Option<Duration> {
        let pulse = self.pulse_ms.load(Ordering::Relaxed);
        let silent = self.uptime().saturating_sub(Duration::from_millis(pulse));
        (pulse > 0 && silent > STUCK_AFTER).then_some(silent)
    }

    /// The answer of `/livez`: whether it is well, and a line for people.
    #[must_use]
    pub fn live(&self) -> (bool, String) {
        match self.stuck() {
            None => (true, "alive\n".into()),
            Some(silent) => {
                (false, format!("stuck: the node's loop last turned {} s ago\n", silent.as_secs()))
            }
        }
    }

    /// The answer of `/readyz`: whether it takes appends and reads, and a line for people.
    #[must_use]
    pub fn ready(&self) -> (bool, String) {
        let (live, line) = self.live();
        if !live {
            return (false, line);
        }
        match self.phase() {
            Phase::Starting(step) => (false, format!("starting: {step}\n")),
            Phase::Leaderless => (false, "waiting for a leader\n".into()),
            Phase::Ready => (true, "ready\n".into()),
            Phase::Stopping => (false, "stopping\n".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_follows_the_phase_and_live_does_not() {
        let health = Health::default();
        assert_eq!(health.ready(), (false, "starting: opening the data folder\n".into()));
        assert!(health.live().0);
        health.enter(Phase::Ready);
        health.beat();
        assert_eq!(health.ready(), (true, "ready\n".into()));
        health.enter(Phase::Stopping);
        assert_eq!(health.ready(), (false, "stopping\n".into()));
        assert!(health.live().0);
    }
}
