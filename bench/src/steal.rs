//! The processor time that the hypervisor took away: it makes figures worse, and never better.

use std::fs;
use std::io;

/// A run in which more than this was taken away is marked as noisy, and worth nothing.
pub(crate) const NOISY_PERCENT: f64 = 3.0;

/// Counted from a moment on.
pub(crate) struct Steal {
    start: Ticks,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ticks {
    stolen: u64,
    /// Nobody wanted it, or only the disk.
    idle: u64,
    all: u64,
}

impl Steal {
    /// Starts to count.
    pub(crate) fn start() -> io::Result<Self> {
        Ok(Self { start: read()? })
    }

    /// Percent of all processors' time since the start.
    pub(crate) fn percent(&self) -> io::Result<f64> {
        Ok(read()?.percent_since(self.start))
    }

    /// Percent that anybody of this machine used since the start.
    pub(crate) fn busy_percent(&self) -> io::Result<f64> {
        Ok(read()?.busy_percent_since(self.start))
    }
}

impl Ticks {
    fn percent_since(self, start: Self) -> f64 {
        let all = self.all.saturating_sub(start.all);
        if all == 0 {
            return 0.0;
        }
        self.stolen.saturating_sub(start.stolen) as f64 * 100.0 / all as f64
    }

    fn busy_percent_since(self, start: Self) -> f64 {
        let all = self.all.saturating_sub(start.all);
        if all == 0 {
            return 0.0;
        }
        let unused = |ticks: Self| ticks.stolen + ticks.idle;
        let unused = unused(self).saturating_sub(unused(start));
        all.saturating_sub(unused) as f64 * 100.0 / all as f64
    }
}

fn read() -> io::Result<Ticks> {
    parse(&fs::read_to_string("/proc/stat")?)
        .ok_or_else(|| io::Error::other("/proc/stat does not start with the sum of all processors"))
}

/// The first line is `cpu user nice system idle iowait irq softirq steal guest guest_nice`; the two
/// guest columns are counted in user and nice already.
fn parse(text: &str) -> Option<Ticks> {
    let columns = text.lines().next()?.strip_prefix("cpu ")?.split_whitespace();
    let numbers: Vec<u64> = columns.take(8).map(str::parse).collect::<Result<_, _>>().ok()?;
    Some(Ticks {
        stolen: *numbers.get(7)?,
        idle: numbers[3] + numbers[4],
        all: numbers.iter().sum(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steal_is_a_part_of_all_time() {
        let before = parse("cpu  100 0 50 800 10 0 0 40 7 0\ncpu0 1 2 3\n").expect("it is a stat");
        assert_eq!(before, Ticks { stolen: 40, idle: 810, all: 1000 });
        let after = parse("cpu  100 0 50 1600 10 0 0 240 7 0\n").expect("it is a stat");
        assert_eq!(after.percent_since(before), 20.0);
        assert_eq!(before.percent_since(before), 0.0);
        assert_eq!(after.busy_percent_since(before), 0.0);
        assert_eq!(before.busy_percent_since(before), 0.0);
    }

    #[test]
    fn other_texts_are_refused() {
        assert_eq!(parse(""), None);
        assert_eq!(parse("cpu  1 2 3"), None);
        assert_eq!(parse("cpu0 1 2 3 4 5 6 7 8"), None);
    }
}
