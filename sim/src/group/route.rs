//! One direction between two nodes: how long a frame is under way, and what may become of it.
//!
//! Each direction draws from streams of its own, so that what is sent one way does not move what
//! happens the other.

use quorate_storage::disk::simulated::Random;

use super::schedule::Nanos;
use crate::scenario::distribution::Distribution;
use crate::scenario::model::{Loss, Share};

/// A direction.
#[derive(Clone, Debug)]
pub(super) struct Route {
    /// How long a frame is under way.
    pub(super) oneway: Distribution,
    /// Some take up to so much longer.
    pub(super) tail: (Share, Nanos),
    /// What happens to frames even where nothing is wrong.
    pub(super) odds: Odds,
    /// Everything comes so much later.
    pub(super) delay: Nanos,
    /// Faults that make it worse, by their numbers.
    pub(super) worse: Vec<(usize, Worse)>,
    /// Bits a second.
    pub(super) bandwidth: Option<u64>,
    random: Random,
    /// Bursts of losses: whether one goes on.
    is_bad: bool,
    /// When all that was sent has left.
    free_at: Nanos,
}

/// What may become of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Odds {
    /// It is lost (packets) or late (streams).
    pub(super) loss: Loss,
    /// It comes twice.
    pub(super) doubled: Share,
    /// It is much later than those behind it.
    pub(super) reordered: Share,
    /// It brings one of the past with it.
    pub(super) replayed: Share,
}

/// What a fault adds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Worse {
    pub(super) delay: Nanos,
    pub(super) lost: Share,
    pub(super) doubled: Share,
    pub(super) reordered: Share,
    pub(super) replayed: Share,
    pub(super) bandwidth: Option<u64>,
}

impl Odds {
    /// Nothing becomes of any.
    pub(super) const NONE: Self = Self {
        loss: Loss::Even(Share::NONE),
        doubled: Share::NONE,
        reordered: Share::NONE,
        replayed: Share::NONE,
    };
}

impl Route {
    pub(super) fn new(oneway: Distribution, random: Random) -> Self {
        Self {
            oneway,
            tail: (Share::NONE, 0),
            odds: Odds::NONE,
            delay: 0,
            worse: Vec::new(),
            bandwidth: None,
            random,
            is_bad: false,
            free_at: 0,
        }
    }

    /// How long a frame is under way that is sent now.
    pub(super) fn transit(&mut self, now: Nanos, bytes: usize) -> Nanos {
        let (share, most) = self.tail;
        let tail = if self.happens(share) { self.random.below(most.max(1)) } else { 0 };
        let added: Nanos = self.worse.iter().map(|(_, worse)| worse.delay).sum();
        let queued = match self.narrowest() {
            Some(bits) => {
                let takes = (bytes as u128 * 8 * 1_000_000_000 / u128::from(bits.max(1))) as Nanos;
                self.free_at = self.free_at.max(now) + takes;
                self.free_at - now
            }
            None => 0,
        };
        queued + self.oneway.draw(&mut self.random) + self.delay + added + tail
    }

    fn narrowest(&self) -> Option<u64> {
        let worse = self.worse.iter().filter_map(|(_, worse)| worse.bandwidth);
        worse.chain(self.bandwidth).min()
    }

    /// Whether a frame that is sent now is lost.
    pub(super) fn loses(&mut self) -> bool {
        let share = match self.odds.loss {
            Loss::Even(share) => share,
            Loss::Bursts { good, bad, to_bad, to_good } => {
                let change = if self.is_bad { to_good } else { to_bad };
                self.is_bad ^= self.happens(change);
                if self.is_bad { bad } else { good }
            }
        };
        self.happens(share) | self.worsened(|it| it.lost)
    }

    /// Whether it comes twice.
    pub(super) fn doubles(&mut self) -> bool {
        self.happens(self.odds.doubled) | self.worsened(|it| it.doubled)
    }

    /// Whether it is much later than those behind it.
    pub(super) fn reorders(&mut self) -> bool {
        self.happens(self.odds.reordered) | self.worsened(|it| it.reordered)
    }

    /// Whether one of the past comes, too.
    pub(super) fn replays(&mut self) -> bool {
        self.happens(self.odds.replayed) | self.worsened(|it| it.replayed)
    }

    /// Whether one of the past may ever come.
    pub(super) fn may_replay(&self) -> bool {
        self.odds.replayed > Share::NONE
            || self.worse.iter().any(|(_, worse)| worse.replayed > Share::NONE)
    }

    /// Up to so much, at random.
    pub(super) fn up_to(&mut self, most: Nanos) -> Nanos {
        self.random.below(most)
    }

    fn worsened(&mut self, part: impl Fn(&Worse) -> Share) -> bool {
        let shares: Vec<Share> = self.worse.iter().map(|(_, worse)| part(worse)).collect();
        shares.into_iter().fold(false, |any, share| self.happens(share) | any)
    }

    fn happens(&mut self, share: Share) -> bool {
        share > Share::NONE && self.random.below(u64::from(Share::ALL.0)) < u64::from(share.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route() -> Route {
        Route::new(Distribution::Constant(1_000_000), Random::stream(1, "route"))
    }

    #[test]
    fn a_narrow_way_makes_frames_wait_for_each_other() {
        let mut narrow = route();
        narrow.bandwidth = Some(8_000_000);
        assert_eq!(narrow.transit(0, 1_000), 2_000_000);
        assert_eq!(narrow.transit(0, 1_000), 3_000_000);
        assert_eq!(narrow.transit(10_000_000, 1_000), 2_000_000);
    }

    #[test]
    fn faults_add_to_what_is_there() {
        let mut worse = route();
        let add = Worse {
            delay: 500_000,
            lost: Share::ALL,
            doubled: Share::NONE,
            reordered: Share::NONE,
            replayed: Share::NONE,
            bandwidth: None,
        };
        worse.worse.push((0, add));
        assert_eq!(worse.transit(0, 10), 1_500_000);
        assert!(worse.loses() && !worse.doubles());
        worse.worse.clear();
        assert!(!worse.loses());
    }

    #[test]
    fn losses_come_in_bursts_where_they_are_asked_to() {
        let mut bursts = route();
        let part = |number| Share::of(number).unwrap();
        bursts.odds.loss = Loss::Bursts {
            good: Share::NONE,
            bad: Share::ALL,
            to_bad: part(0.01),
            to_good: part(0.1),
        };
        let lost: Vec<bool> = (0..50_000).map(|_| bursts.loses()).collect();
        let count = lost.iter().filter(|it| **it).count() as f64;
        let starts = lost.windows(2).filter(|it| !it[0] && it[1]).count() as f64;
        assert!((0.06..0.13).contains(&(count / 50_000.0)), "{count}");
        assert!((7.0..13.0).contains(&(count / starts)), "bursts of {}", count / starts);
    }
}
