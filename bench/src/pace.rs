//! When appends of an open loop are due: at a steady rate, whatever became of those before.
//!
//! The runtime's timer counts in milliseconds, too coarse for what is measured here, so a thread of
//! its own sleeps until the next append is due and hands over how many are.

use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// At 50,000 a second several appends are due at each wake-up; waking more often only takes the
/// processor away from the node.
const NAP_MIN: Duration = Duration::from_micros(50);

/// Moments at which appends are due.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schedule {
    start: Instant,
    rate: f64,
    count: u64,
}

impl Schedule {
    /// - `rate`: per second
    pub(crate) fn new(start: Instant, rate: f64, time: Duration) -> Self {
        Self { start, rate, count: (time.as_secs_f64() * rate).round() as u64 }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// When append number `index` is due.
    pub(crate) fn due(&self, index: u64) -> Instant {
        self.start + Duration::from_secs_f64(index as f64 / self.rate)
    }

    /// How many are due at `now`.
    fn due_count(&self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(self.start).as_secs_f64();
        ((since * self.rate).floor() as u64 + 1).min(self.count)
    }

    /// Sends, whenever there are more, how many are due by now.
    pub(crate) fn pace(self) -> UnboundedReceiver<u64> {
        let (sender, receiver) = unbounded_channel();
        thread::spawn(move || self.run(&sender));
        receiver
    }

    fn run(self, sender: &UnboundedSender<u64>) {
        let mut told = 0;
        while told < self.count {
            let now = Instant::now();
            let due = self.due_count(now);
            if due > told {
                told = due;
                if sender.send(due).is_err() {
                    return;
                }
            }
            let nap = self.due(told).saturating_duration_since(Instant::now()).max(NAP_MIN);
            // Nobody unparks this thread; it is a sleep with the precision of the system's timer.
            thread::park_timeout(nap);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn appends_are_due_at_a_steady_rate() {
        let start = Instant::now();
        let schedule = Schedule::new(start, 1000.0, Duration::from_secs(2));
        assert_eq!(schedule.count(), 2000);
        assert_eq!(schedule.due(500), start + Duration::from_millis(500));
        assert_eq!(schedule.due_count(start), 1);
        assert_eq!(schedule.due_count(start + Duration::from_micros(1500)), 2);
        assert_eq!(schedule.due_count(start + Duration::from_secs(9)), 2000);
    }
}
