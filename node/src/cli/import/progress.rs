//! How far an import is: a bar on a terminal, a plain line now and then elsewhere; always stderr.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{HumanCount, HumanDuration, ProgressBar, ProgressStyle};

use crate::cli::output::tell;

/// Between two plain lines.
const LINE_INTERVAL: Duration = Duration::from_secs(2);

/// Shows progress in rows.
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    total: Option<u64>,
    started: Instant,
    shown: Instant,
}

impl Progress {
    /// - `total`: rows, where they have been counted
    pub(super) fn new(total: Option<u64>) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| bar(total));
        let now = Instant::now();
        Self { bar, total, started: now, shown: now }
    }

    /// So many rows are done.
    pub(super) fn update(&mut self, rows: u64) {
        if let Some(bar) = &self.bar {
            bar.set_position(rows);
            return;
        }
        let now = Instant::now();
        if now.duration_since(self.shown) >= LINE_INTERVAL {
            self.shown = now;
            tell(line(rows, self.total, now.duration_since(self.started)));
        }
    }

    /// Leaves the screen as it was; a summary follows.
    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn bar(total: Option<u64>) -> ProgressBar {
    let (bar, template) = match total {
        Some(total) => (
            ProgressBar::new(total),
            "{bar:40} {percent:>3} %  {human_pos} of {human_len} rows  {per_sec}  {eta} left",
        ),
        None => (ProgressBar::new_spinner(), "{spinner} {human_pos} rows  {per_sec}  {elapsed}"),
    };
    bar.with_style(ProgressStyle::with_template(template).expect("the template is well-formed"))
}

fn line(rows: u64, total: Option<u64>, elapsed: Duration) -> String {
    let rate = rows as f64 / elapsed.as_secs_f64().max(f64::EPSILON);
    let done = HumanCount(rows);
    match total {
        Some(total) if rate > 0.0 => {
            let left = Duration::from_secs_f64(total.saturating_sub(rows) as f64 / rate);
            let (total, left) = (HumanCount(total), HumanDuration(left));
            format!("import: {done} of {total} rows, {rate:.0}/s, {left} left")
        }
        Some(_) | None => format!("import: {done} rows, {rate:.0}/s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_lines() {
        let check = |rows, total, expected: &str| {
            assert_eq!(line(rows, total, Duration::from_secs(2)), expected);
        };
        check(100_000, Some(336_776), "import: 100,000 of 336,776 rows, 50000/s, 5 seconds left");
        check(100_000, None, "import: 100,000 rows, 50000/s");
        check(0, Some(10), "import: 0 rows, 0/s");
    }
}
