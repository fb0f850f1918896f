//! What was seen to happen, counted by name: a simulator that never makes a thing happen does not
//! test it (40).

use std::collections::BTreeMap;
use std::fmt;

/// Things that must happen every now and then, each with the seeds within which it does at least
/// once, on the long run by far.
pub const SOMETIMES: [&str; 39] = [
    "acknowledged",
    "append retried",
    "broken connection",
    "committed read",
    "crash",
    "cut",
    "disk full",
    "disk stalled",
    "doubled frame",
    "duplicate append",
    "election",
    "failed write or sync",
    "five nodes",
    "follower resynced",
    "leader lost",
    "leading",
    "linearizable read",
    "lost frame",
    "mended entry",
    "not leader",
    "pause",
    "peer down",
    "power loss",
    "power loss of all",
    "power loss in recovery",
    "read refused",
    "replayed frame",
    "rot",
    "stepped down: later epoch",
    "stepped down: no majority",
    "stepped down: no progress",
    "stepped down: disk failed",
    "subscriber moved",
    "transfer begun",
    "transfer failed",
    "transfer refused",
    "transferred",
    "truncation",
    "unknown outcome",
];

/// How often each thing happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage(BTreeMap<&'static str, u64>);

impl Coverage {
    /// One more of these.
    pub fn hit(&mut self, what: &'static str) {
        self.add(what, 1);
    }

    /// So many more of these.
    pub fn add(&mut self, what: &'static str, count: u64) {
        *self.0.entry(what).or_default() += count;
    }

    /// How often it happened.
    #[must_use]
    pub fn count(&self, what: &str) -> u64 {
        self.0.get(what).copied().unwrap_or(0)
    }

    /// Adds all of another run.
    pub fn merge(&mut self, other: &Self) {
        for (what, count) in &other.0 {
            *self.0.entry(what).or_default() += count;
        }
    }

    /// What should have happened in many runs, and did not in these.
    #[must_use]
    pub fn missing(&self) -> Vec<&'static str> {
        SOMETIMES.into_iter().filter(|what| self.count(what) == 0).collect()
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (what, count)) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(out, "{separator}{what} {count}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_never_happened_is_missing() {
        let (mut all, mut one) = (Coverage::default(), Coverage::default());
        SOMETIMES.into_iter().skip(1).for_each(|what| all.hit(what));
        assert_eq!(all.missing(), [SOMETIMES[0]]);
        one.add(SOMETIMES[0], 3);
        all.merge(&one);
        assert!(all.missing().is_empty());
        assert!(all.to_string().starts_with("acknowledged 3, append retried 1, "));
    }
}
