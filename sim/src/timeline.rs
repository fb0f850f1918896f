//! A run on a page of text: who led when, how much was done, how long it took, and whether it is
//! what was wanted.

use std::fmt::Write as _;

use crate::record::Recorder;
use crate::record::summary::{Bucket, PhaseSummary, Summary};
use crate::scenario::units::show;

/// Parts of the time that a line shows.
const COLUMNS: usize = 60;
/// Parts of the run that are shown; the others are in the summary.
const PHASES_MAX: usize = 14;
/// Fewer messages between two zones are not shown.
const LINK_COUNT_MIN: u64 = 200;
/// A name of a part is cut here.
const NAME_MAX: usize = 34;

/// Colours, where they are wanted.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// Whether the terminal shows colours.
    pub is_coloured: bool,
}

impl Style {
    fn paint(self, code: &str, text: &str) -> String {
        if self.is_coloured { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// The whole page.
#[must_use]
pub fn page(recorder: &Recorder, summary: &Summary, style: Style) -> String {
    let mut out = String::new();
    head(&mut out, summary);
    let _ = writeln!(out);
    bands(&mut out, recorder, summary, style);
    faults(&mut out, summary);
    phases(&mut out, summary);
    verdict(&mut out, recorder, summary, style);
    out
}

fn head(out: &mut String, summary: &Summary) {
    let build = if cfg!(debug_assertions) { "with all checks" } else { "release" };
    let steps = match summary.resolution_ns {
        1 => String::new(),
        nanos => format!(" (time in steps of {})", show(nanos)),
    };
    let _ = writeln!(
        out,
        "{}  seed {}  tier {}{steps}  {build}  {} simulated in {}",
        summary.name,
        summary.seed,
        summary.tier,
        show(summary.virtual_ns),
        show(summary.wall_ms * 1_000_000),
    );
    let mut links = Vec::new();
    // Of few messages the middle says little.
    for link in summary.links.iter().filter(|link| link.count >= LINK_COUNT_MIN) {
        let name = if link.a == link.b {
            format!("in {}", link.a)
        } else {
            format!("{}-{}", link.a, link.b)
        };
        let got = link.got_p50_ns.map_or_else(|| "-".to_owned(), show);
        links.push(format!("{name} {got} (asked {})", show(link.asked_p50_ns)));
    }
    let mut line = "round trips ".to_owned();
    for link in links {
        if line.len() + link.len() > 100 {
            let _ = writeln!(out, "{line}");
            line = " ".repeat(12);
        }
        let _ = write!(line, " {link}");
    }
    let _ = writeln!(out, "{line}");
}

fn bands(out: &mut String, recorder: &Recorder, summary: &Summary, style: Style) {
    let scenario = recorder.scenario();
    let width = scenario
        .nodes
        .iter()
        .map(|node| node.name.len() + scenario.zones[node.zone].len() + 2)
        .max()
        .unwrap_or(0)
        .max(8);
    let _ = writeln!(out, " {:<width$} {}", "t(s)", axis(summary.virtual_ns));
    for (node, it) in scenario.nodes.iter().enumerate() {
        let name = format!("{} {}", it.name, scenario.zones[it.zone]);
        let marks = recorder.band(node, COLUMNS);
        let painted: String = marks.chars().map(|mark| paint(mark, style)).collect();
        let _ = writeln!(out, " {name:<width$} {painted}");
    }
    let sum = |one: u64, other: u64| one + other;
    let done = columns(summary, |bucket| bucket.done, sum);
    let failed = columns(summary, |bucket| bucket.failed, sum);
    let slowest = columns(summary, |bucket| bucket.max_ns.unwrap_or(0), u64::max);
    let most = done.iter().max().copied().unwrap_or(0);
    let second = summary.virtual_ns as f64 / 1e9 / COLUMNS as f64;
    let rate = most as f64 / second.max(1e-9);
    let _ = writeln!(out, " {:<width$} {}  up to {rate:.0}", "ok/s", bars(&done));
    if failed.iter().any(|count| *count > 0) {
        let _ = writeln!(out, " {:<width$} {}", "failed", bars(&failed));
    }
    let longest = slowest.iter().max().copied().unwrap_or(0);
    let _ = writeln!(out, " {:<width$} {}  up to {}", "slowest", bars(&slowest), show(longest));
    let _ = writeln!(
        out,
        " {:<width$} L leader  f follower  c candidate  . down  r starting  x cut off  s slow disk  \
         p paused  ! stopped",
        ""
    );
}

fn paint(mark: char, style: Style) -> String {
    let code = match mark {
        'L' => "1;32",
        'x' | '!' => "31",
        '.' => "2",
        's' | 'p' | 'c' | 'r' => "33",
        _ => return mark.to_string(),
    };
    style.paint(code, &mark.to_string())
}

/// Numbers under the columns where they belong.
fn axis(end: u64) -> String {
    let mut axis = vec![' '; COLUMNS + 6];
    for part in 0..6 {
        let seconds = end as f64 * part as f64 / 6.0 / 1e9;
        let text = if end < 30_000_000_000 {
            format!("{seconds:.1}").trim_end_matches(".0").to_owned()
        } else {
            format!("{seconds:.0}")
        };
        for (place, letter) in text.chars().enumerate() {
            axis[part * COLUMNS / 6 + place] = letter;
        }
    }
    axis.into_iter().collect::<String>().trim_end().to_owned()
}

fn columns(
    summary: &Summary,
    value: impl Fn(&Bucket) -> u64,
    together: impl Fn(u64, u64) -> u64,
) -> Vec<u64> {
    let mut columns = vec![0; COLUMNS];
    let count = summary.over_time.len().max(1);
    for (place, bucket) in summary.over_time.iter().enumerate() {
        let column = &mut columns[place * COLUMNS / count];
        *column = together(*column, value(bucket));
    }
    columns
}

fn bars(values: &[u64]) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let most = values.iter().max().copied().unwrap_or(0).max(1);
    let bar = |value: &u64| match value {
        0 => ' ',
        _ => BARS[((value * 8).div_ceil(most) as usize).clamp(1, 8) - 1],
    };
    values.iter().map(bar).collect()
}

/// What was done to the group, as it was applied.
fn faults(out: &mut String, summary: &Summary) {
    const FAULTS_MAX: usize = 24;
    if summary.faults.is_empty() {
        return;
    }
    let _ = writeln!(out, " faults");
    for fault in summary.faults.iter().take(FAULTS_MAX) {
        let until = match fault.until_ns {
            Some(until) if until > fault.at_ns => {
                format!("{} to {}", seconds(fault.at_ns), seconds(until))
            }
            Some(_) => seconds(fault.at_ns),
            None => format!("from {} on", seconds(fault.at_ns)),
        };
        let _ = writeln!(out, "   {until:<22} {}", fault.text);
    }
    if summary.faults.len() > FAULTS_MAX {
        let _ = writeln!(out, "   and {} more", summary.faults.len() - FAULTS_MAX);
    }
}

fn seconds(nanos: u64) -> String {
    let text = format!("{:.3}", nanos as f64 / 1e9);
    format!("{} s", text.trim_end_matches('0').trim_end_matches('.'))
}

fn phases(out: &mut String, summary: &Summary) {
    let _ = writeln!(
        out,
        " {:<NAME_MAX$} {:>15} {:>8} {:>8} {:>8} {:>8} {:>6} {:>7} {:>9}",
        "appends due while", "", "p50", "p99", "p99.9", "max", "done", "not", "gap"
    );
    let shown = worst_phases(&summary.phases);
    for phase in &shown {
        let value = |value: Option<u64>| value.map_or_else(|| "-".to_owned(), show);
        let span =
            format!("{}-{}", seconds(phase.from_ns).trim_end_matches(" s"), seconds(phase.to_ns));
        let not = match (phase.refused, phase.unknown) {
            (refused, 0) => refused.to_string(),
            (0, unknown) => format!("{unknown}?"),
            (refused, unknown) => format!("{refused}+{unknown}?"),
        };
        let _ = writeln!(
            out,
            " {:<NAME_MAX$} {span:>15} {:>8} {:>8} {:>8} {:>8} {:>6} {not:>7} {:>9}",
            shortened(&phase.name),
            value(phase.p50_ns),
            value(phase.p99_ns),
            value(phase.p999_ns),
            value(phase.max_ns),
            phase.done,
            show(phase.longest_gap_ns),
        );
    }
    if shown.len() < summary.phases.len() {
        let left = summary.phases.len() - shown.len();
        let _ = writeln!(out, "   and {left} more, with shorter gaps");
    }
}

/// All parts where they are few, or those with the longest gaps.
fn worst_phases(phases: &[PhaseSummary]) -> Vec<&PhaseSummary> {
    let mut shown: Vec<&PhaseSummary> = phases.iter().collect();
    if shown.len() > PHASES_MAX {
        shown.sort_by_key(|phase| std::cmp::Reverse(phase.longest_gap_ns));
        shown.truncate(PHASES_MAX);
        shown.sort_by_key(|phase| phase.from_ns);
    }
    shown
}

fn shortened(name: &str) -> String {
    if name.chars().count() <= NAME_MAX {
        return name.to_owned();
    }
    let kept: String = name.chars().take(NAME_MAX - 1).collect();
    format!("{kept}…")
}

fn verdict(out: &mut String, recorder: &Recorder, summary: &Summary, style: Style) {
    for assert in &summary.asserts {
        let mark = if assert.holds { style.paint("32", "ok  ") } else { style.paint("31", "FAIL") };
        let _ =
            writeln!(out, "{mark} {}: {} (wanted {})", assert.id, assert.measured, assert.wanted);
    }
    match &summary.reason {
        None => {
            let text = style.paint("1;32", "PASS");
            let _ = writeln!(out, "{text}  all that was wanted holds");
        }
        Some(reason) => {
            let text = style.paint("1;31", "FAIL");
            let signature = summary.signature.as_deref().unwrap_or("");
            let _ = writeln!(out, "{text}  {} ({signature})", summary.verdict);
            for line in reason.lines() {
                let _ = writeln!(out, "      {line}");
            }
        }
    }
    let _ = writeln!(out, "again    {}", summary.command);
    if let Some(folder) = recorder.folder() {
        let folder = folder.display();
        let _ = writeln!(out, "replay   quorate-sim replay {folder}");
        if summary.exit_code != 0 {
            let _ = writeln!(out, "explain  quorate-sim explain {folder}");
            let _ = writeln!(out, "shrink   quorate-sim shrink {folder}");
        }
    }
}
