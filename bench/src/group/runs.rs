//! The same run several times: which of them count, and the middle of those.

use std::error::Error;
use std::path::Path;

use serde::Serialize;

use crate::Node;
use crate::append::{self, Load};
use crate::floor::Floor;
use crate::report::{AppendReport, one_digit};
use crate::steal::{NOISY_PERCENT, Steal};

/// One run, with the floor around it.
#[derive(Debug, Serialize)]
pub(super) struct Run {
    /// Whether it counts.
    pub(super) valid: bool,
    /// From the floor before to the floor after.
    #[serde(serialize_with = "one_digit")]
    pub(super) steal_percent: f64,
    pub(super) floor_before: Floor,
    pub(super) floor_after: Floor,
    /// Its floor is the mean of both.
    pub(super) load: AppendReport,
}

impl Run {
    /// Measures the floor, the load, and the floor again.
    pub(super) async fn measure(
        node: &Node,
        load: &Load,
        data: &Path,
    ) -> Result<Self, Box<dyn Error>> {
        let steal = Steal::start()?;
        let floor_before = floor(data)?;
        let mut report = append::run(node, load, floor_before).await?;
        let floor_after = floor(data)?;
        report.floor = floor_before.mean(floor_after);
        let steal_percent = steal.percent()?;
        // A load that ran in a bad moment is void, however quiet the floors around it were.
        let noisy = steal_percent.max(report.steal_percent) > NOISY_PERCENT;
        let valid = !noisy && report.passed();
        Ok(Self { valid, steal_percent, floor_before, floor_after, load: report })
    }

    /// One line for a person.
    pub(super) fn line(&self) -> String {
        let Self { load, floor_before, floor_after, .. } = self;
        let mut line = format!(
            "{:>8.0}/s  p50 {:.0}  p99 {:.0}  max {:.0} us; floor {:.0} before, {:.0} after; \
             p50 {:.2} x floor; steal {:.1} %",
            load.appends_per_s,
            load.response.p50,
            load.response.p99,
            load.response.max,
            floor_before.group_us(),
            floor_after.group_us(),
            self.by_floor(),
            self.steal_percent.max(load.steal_percent),
        );
        if !self.valid {
            line.push_str(": VOID");
        }
        if load.errors + load.unsent > 0 {
            line.push_str(&format!(" ({} errors, {} unsent)", load.errors, load.unsent));
        }
        if let Some(error) = &load.first_error {
            line.push_str(&format!(", first: {error}"));
        }
        line
    }

    /// The median append in floors.
    pub(super) fn by_floor(&self) -> f64 {
        self.load.response.p50 / self.load.floor.group_us()
    }

    /// The median append in floors of a group that shares one disk.
    pub(super) fn by_shared_floor(&self) -> f64 {
        self.load.response.p50 / self.load.floor.shared_group_us()
    }
}

fn floor(data: &Path) -> Result<Floor, String> {
    let failed = |error| format!("can't measure the floor in {}: {error}", data.display());
    Floor::measure(data).map_err(failed)
}

/// Several runs of one load.
#[derive(Debug, Serialize)]
pub(super) struct Runs {
    runs: Vec<Run>,
}

impl Runs {
    /// Runs until enough count, or too many don't.
    ///
    /// - `count`: valid runs that are wanted; at most twice as many are made
    pub(super) async fn measure(
        node: &Node,
        load: &Load,
        data: &Path,
        count: u32,
    ) -> Result<Self, Box<dyn Error>> {
        let mut runs = Self { runs: Vec::new() };
        while runs.valid().count() < count as usize && runs.runs.len() < 2 * count as usize {
            let run = Run::measure(node, load, data).await?;
            eprintln!("run {}: {}", runs.runs.len() + 1, run.line());
            runs.push(run);
        }
        Ok(runs)
    }

    pub(super) const fn new() -> Self {
        Self { runs: Vec::new() }
    }

    pub(super) fn push(&mut self, run: Run) {
        self.runs.push(run);
    }

    pub(super) fn all(&self) -> &[Run] {
        &self.runs
    }

    /// Those that count.
    pub(super) fn valid(&self) -> impl Iterator<Item = &Run> {
        self.runs.iter().filter(|run| run.valid)
    }

    /// The middle of some number of the valid runs; none where there are none.
    pub(super) fn median(&self, number: impl Fn(&Run) -> f64) -> Option<f64> {
        median(self.valid().map(number).collect())
    }
}

/// The middle, or the mean of the two that are nearest to it.
pub(super) fn median(mut numbers: Vec<f64>) -> Option<f64> {
    numbers.sort_unstable_by(f64::total_cmp);
    let above = *numbers.get(numbers.len() / 2)?;
    let below = numbers[(numbers.len() - 1) / 2];
    Some(f64::midpoint(below, above))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(Vec::new()), None);
        assert_eq!(median(vec![3.0]), Some(3.0));
        assert_eq!(median(vec![9.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![9.0, 1.0, 2.0, 4.0]), Some(3.0));
    }
}
