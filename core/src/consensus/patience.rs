//! How long a leader waits for a follower that answers and does not get on, before it takes what was
//! under way for lost.
//!
//! Over a thin link it is wrong: what is sent again waits behind what is still under way. So the wait
//! doubles each time, as the retransmission timeout of TCP does (RFC 6298, 5.5), until the follower
//! has all that it was sent.

use crate::recording::recorded;

/// How long it waits beside the time that a message needs on its way: at first, and at most.
const TICKS_MIN: u32 = 10;
const TICKS_MAX: u32 = TICKS_MIN << 7;
/// A link carries at least so much as long as nothing else is known of it: 8 Mbit/s with ticks of
/// 10 ms.
const TICK_BYTES: u64 = 10_000;
/// An answer after a longer silence says no more than one after this: what was sent meanwhile may
/// come right behind it.
const SILENCE_TICKS_MAX: u32 = TICKS_MIN / 2;

/// Of one follower.
#[derive(Clone, Debug)]
pub(super) struct Patience {
    /// How long it has answered without progress.
    idle_ticks: u32,
    /// Since its last answer.
    unanswered_ticks: u32,
    /// How long it may.
    ticks: u32,
}

recorded!(struct Patience { idle_ticks, unanswered_ticks, ticks });

impl Patience {
    pub(super) const fn new() -> Self {
        Self { idle_ticks: 0, unanswered_ticks: 0, ticks: TICKS_MIN }
    }

    /// Time has passed.
    pub(super) const fn tick(&mut self) {
        self.unanswered_ticks = self.unanswered_ticks.saturating_add(1);
    }

    /// It gets on, or is sent everything anew.
    pub(super) const fn begin(&mut self) {
        self.idle_ticks = 0;
    }

    /// It has answered, and nothing is waited for.
    ///
    /// - `has_all`: it has all that it was sent: what comes next is another story
    pub(super) const fn satisfied(&mut self, has_all: bool) {
        (self.idle_ticks, self.unanswered_ticks) = (0, 0);
        if has_all {
            self.ticks = TICKS_MIN;
        }
    }

    /// It has answered and does not get on. Says whether that means that something was lost.
    ///
    /// - `bytes`: of the oldest message under way to it
    pub(super) fn is_over(&mut self, bytes: u64) -> bool {
        // Answers that come together, after the follower was busy, are as one.
        self.idle_ticks += self.unanswered_ticks.min(SILENCE_TICKS_MAX);
        self.unanswered_ticks = 0;
        let transit = u32::try_from(bytes / TICK_BYTES).unwrap_or(u32::MAX / 2);
        let is_over = self.idle_ticks >= self.ticks + transit;
        if is_over {
            self.ticks = TICKS_MAX.min(2 * self.ticks);
        }
        is_over
    }

    /// What decides when it is over.
    pub(super) fn timers(&self) -> [u64; 3] {
        [self.idle_ticks, self.unanswered_ticks, self.ticks].map(u64::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After how many ticks with an answer each it is over, once.
    fn lasts(patience: &mut Patience, bytes: u64) -> u32 {
        let over = (1..).find(|_| {
            patience.tick();
            patience.is_over(bytes)
        });
        patience.begin();
        over.expect("it does not last for ever")
    }

    #[test]
    fn what_was_sent_again_in_vain_is_waited_for_longer() {
        let mut patience = Patience::new();
        let mut expected = TICKS_MIN;
        for _ in 0..12 {
            assert_eq!(lasts(&mut patience, 0), expected);
            expected = TICKS_MAX.min(2 * expected);
        }
        patience.satisfied(false);
        assert_eq!(lasts(&mut patience, 0), TICKS_MAX, "it gets on, and the link is as thin");
        patience.satisfied(true);
        assert_eq!(lasts(&mut patience, 0), TICKS_MIN);
    }

    #[test]
    fn a_long_message_is_waited_for_longer() {
        assert_eq!(lasts(&mut Patience::new(), 20 * TICK_BYTES), TICKS_MIN + 20);
    }

    #[test]
    fn answers_that_come_together_are_as_one() {
        let mut patience = Patience::new();
        (0..100).for_each(|_| patience.tick());
        let over = (0..100).any(|_| patience.is_over(0));
        assert!(!over, "its answer to the rest may be behind them");
    }
}
