//! What a recorder keeps in memory for figures.

use super::{Deed, Outcome, Role};
use crate::scenario::fault::{FaultKind, FaultName};
use crate::scenario::model::Nanos;

/// A call that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answered {
    /// What was wanted.
    pub deed: Deed,
    /// When it was due.
    pub due: Nanos,
    /// When it ended.
    pub at: Nanos,
    /// How.
    pub outcome: Outcome,
}

impl Answered {
    /// From when it was due until it ended.
    #[must_use]
    pub const fn latency(&self) -> Nanos {
        self.at.saturating_sub(self.due)
    }
}

/// Whom a majority followed, and from when on.
#[derive(Clone, Debug, Default)]
pub struct Serving(Vec<(Nanos, Option<usize>)>);

/// How long each node led, and nobody.
pub type Residency = (Vec<Nanos>, Nanos);

impl Serving {
    pub(super) fn change(&mut self, at: Nanos, leader: Option<usize>) {
        if self.0.last().map(|(_, last)| *last).unwrap_or(None) != leader {
            self.0.push((at, leader));
        }
    }

    /// The spans with their leaders, up to an end.
    pub fn spans(&self, end: Nanos) -> impl Iterator<Item = (Nanos, Nanos, Option<usize>)> + '_ {
        let first = [(0, None)].into_iter();
        let starts: Vec<_> = first.chain(self.0.iter().copied()).collect();
        let ends = self.0.iter().map(|(at, _)| *at).chain([end]);
        let spans = starts.into_iter().zip(ends);
        spans.map(move |((from, leader), to)| (from.min(end), to.min(end), leader))
    }

    /// The longest span without anybody, within a window: from when, and how long.
    #[must_use]
    pub fn longest_without(&self, from: Nanos, to: Nanos) -> (Nanos, Nanos) {
        let spans = self.spans(to).filter(|(_, _, leader)| leader.is_none());
        let spans = spans.map(|(start, end, _)| (start.max(from), end.min(to)));
        let spans = spans.map(|(start, end)| (start, end.saturating_sub(start)));
        spans.max_by_key(|(_, lasts)| *lasts).unwrap_or((from, 0))
    }

    /// Who led next after this moment, and from when on.
    #[must_use]
    pub fn next_leader(&self, after: Nanos) -> Option<(Nanos, usize)> {
        let mut later = self.0.iter().filter(|(at, _)| *at >= after);
        later.find_map(|(at, leader)| leader.map(|leader| (*at, leader)))
    }

    pub(super) fn residency(&self, nodes: usize, end: Nanos) -> Residency {
        let (mut led, mut nobody) = (vec![0; nodes], 0);
        for (from, to, leader) in self.spans(end) {
            match leader {
                Some(node) => led[node] += to - from,
                None => nobody += to - from,
            }
        }
        (led, nobody)
    }
}

/// What each node was at which time, with the faults that struck it: for the picture in a terminal.
#[derive(Clone, Debug)]
pub struct Bands {
    roles: Vec<Vec<(Nanos, Role)>>,
    faults: Vec<FaultBand>,
}

#[derive(Clone, Debug)]
struct FaultBand {
    number: usize,
    from: Nanos,
    to: Option<Nanos>,
    mark: char,
    nodes: Vec<usize>,
}

impl Bands {
    pub(super) fn new(nodes: usize) -> Self {
        Self { roles: vec![Vec::new(); nodes], faults: Vec::new() }
    }

    /// Whether that is something new.
    pub(super) fn change(&mut self, at: Nanos, node: usize, role: Role) -> bool {
        let last = self.roles[node].last().map(|(_, last)| *last);
        if last == Some(role) {
            return false;
        }
        self.roles[node].push((at, role));
        true
    }

    pub(super) fn struck(&mut self, at: Nanos, number: usize, kind: &FaultKind, lanes: &[usize]) {
        let mark = match kind.name() {
            FaultName::Partition | FaultName::ZoneLoss => 'x',
            FaultName::SlowDisk | FaultName::StallDisk | FaultName::DiskFull => 's',
            FaultName::Pause => 'p',
            _ => return,
        };
        let nodes = lanes.iter().copied().filter(|lane| *lane < self.roles.len()).collect();
        self.faults.push(FaultBand { number, from: at, to: None, mark, nodes });
    }

    pub(super) fn healed(&mut self, at: Nanos, number: usize) {
        let band = self.faults.iter_mut().find(|band| band.number == number);
        if let Some(band) = band {
            band.to = Some(at);
        }
    }

    /// How often nodes asked to be elected within a span.
    #[must_use]
    pub fn campaigns(&self, from: Nanos, to: Nanos) -> usize {
        let all = self.roles.iter().flatten();
        all.filter(|(at, role)| *role == Role::Candidate && (from..=to).contains(at)).count()
    }

    /// A node's band as marks, one for each part of the time: what it was there for the longest.
    #[must_use]
    pub fn marks(&self, node: usize, columns: usize, end: Nanos) -> String {
        let column = |at: usize| {
            let from = (u128::from(end) * at as u128 / columns as u128) as Nanos;
            let to = (u128::from(end) * (at + 1) as u128 / columns as u128) as Nanos;
            self.mark(node, from, to.max(from + 1))
        };
        (0..columns).map(column).collect()
    }

    fn mark(&self, node: usize, from: Nanos, to: Nanos) -> char {
        let overlap = |start: Nanos, end: Nanos| end.min(to).saturating_sub(start.max(from));
        let roles = &self.roles[node];
        let mut longest = (0, Role::Down);
        for (place, (at, role)) in roles.iter().enumerate() {
            let until = roles.get(place + 1).map_or(Nanos::MAX, |(next, _)| *next);
            let lasts = overlap(*at, until);
            // A leader is seen even where it leads for a part of the column.
            let weight = if *role == Role::Leader { lasts.saturating_mul(2) } else { lasts };
            if weight > longest.0 {
                longest = (weight, *role);
            }
        }
        let struck = self.faults.iter().rev().find(|band| {
            let lasts = overlap(band.from, band.to.unwrap_or(Nanos::MAX));
            band.nodes.contains(&node) && lasts * 2 >= to - from
        });
        match (longest.1, struck) {
            (Role::Down, _) => '.',
            (Role::Halted, _) => '!',
            (_, Some(band)) if band.mark != 's' || longest.1 != Role::Leader => band.mark,
            (Role::Leader, _) => 'L',
            (Role::Follower, _) => 'f',
            (Role::Candidate, _) => 'c',
            (Role::Starting, _) => 'r',
            (Role::Paused, _) => 'p',
        }
    }
}

/// The value that this share of a sorted list is at or below.
#[must_use]
pub fn percentile(sorted: &[Nanos], percent: f64) -> Option<Nanos> {
    let last = sorted.len().checked_sub(1)?;
    let place = (percent * sorted.len() as f64 / 100.0).ceil() as usize;
    Some(sorted[place.saturating_sub(1).min(last)])
}

/// The longest time without an acknowledged append, within a window: from when, and how long.
#[must_use]
pub fn longest_gap(answered: &[Answered], from: Nanos, to: Nanos) -> (Nanos, Nanos) {
    let is_done = |it: &&Answered| it.deed == Deed::Append && it.outcome == Outcome::Done;
    let mut times: Vec<Nanos> = answered
        .iter()
        .filter(is_done)
        .map(|it| it.at)
        .filter(|at| (from..=to).contains(at))
        .collect();
    times.sort_unstable();
    let starts = [from].into_iter().chain(times.iter().copied());
    let ends = times.iter().copied().chain([to]);
    let gaps = starts.zip(ends).map(|(start, end)| (start, end.saturating_sub(start)));
    // The first of the longest.
    gaps.fold((from, 0), |best, gap| if gap.1 > best.1 { gap } else { best })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_there() {
        let sorted: Vec<Nanos> = (1..=1000).collect();
        assert_eq!(percentile(&sorted, 50.0), Some(500));
        assert_eq!(percentile(&sorted, 99.9), Some(999));
        assert_eq!(percentile(&sorted, 100.0), Some(1000));
        assert_eq!(percentile(&[7], 0.0), Some(7));
        assert_eq!(percentile(&[], 50.0), None);
    }

    #[test]
    fn the_longest_gap_counts_both_ends_of_the_window() {
        let done = |at| Answered { deed: Deed::Append, due: at, at, outcome: Outcome::Done };
        let answered = [done(20), done(30), done(90)];
        assert_eq!(longest_gap(&answered, 10, 100), (30, 60));
        assert_eq!(longest_gap(&answered, 10, 300), (90, 210));
        assert_eq!(longest_gap(&[], 10, 100), (10, 90));
    }

    #[test]
    fn who_serves_is_known_at_every_moment() {
        let mut serving = Serving::default();
        for (at, leader) in [(10, Some(1)), (10, Some(1)), (40, None), (70, Some(2))] {
            serving.change(at, leader);
        }
        assert_eq!(serving.longest_without(0, 100), (40, 30));
        assert_eq!(serving.longest_without(60, 100), (60, 10));
        assert_eq!(serving.residency(3, 100), (vec![0, 30, 30], 40));
    }
}
