//! What all figures print: how they were measured, and whether the mark was reached.

use serde::Serialize;

use super::Common;
use super::runs::Runs;
use crate::machine::Machine;

/// Whether something that was asked for came out.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Mark {
    what: String,
    asked: String,
    found: String,
    reached: bool,
}

impl Mark {
    /// At most so much of a number; one that was not measured reaches nothing.
    pub(super) fn at_most(what: &str, most: f64, found: Option<f64>) -> Self {
        let reached = found.is_some_and(|found| found <= most);
        Self::new(what, format!("at most {most}"), found, 2, reached)
    }

    /// At least so much.
    pub(super) fn at_least(what: &str, least: f64, found: Option<f64>) -> Self {
        let reached = found.is_some_and(|found| found >= least);
        Self::new(what, format!("at least {least}"), found, 0, reached)
    }

    fn new(what: &str, asked: String, found: Option<f64>, digits: usize, reached: bool) -> Self {
        let found = found.map_or("no valid run".to_owned(), |found| format!("{found:.digits$}"));
        Self { what: what.to_owned(), asked, found, reached }
    }

    fn line(&self) -> String {
        let Self { what, asked, found, reached } = self;
        let verdict = if *reached { "REACHED" } else { "MISSED" };
        format!("{verdict:8}{what}: {found} ({asked})")
    }
}

/// A figure, and how it was measured. Field names are stable.
#[derive(Debug, Serialize)]
pub(super) struct Report<T> {
    pub(super) figure: &'static str,
    pub(super) machine: Machine,
    pub(super) load: String,
    pub(super) marks: Vec<Mark>,
    #[serde(flatten)]
    pub(super) found: T,
}

impl<T: Serialize> Report<T> {
    pub(super) fn new(figure: &'static str, common: &Common, machine: Machine, found: T) -> Self {
        Self { figure, machine, load: describe(common), marks: Vec::new(), found }
    }

    /// Prints the conditions, what `body` prints, and the marks; or one object.
    pub(super) fn print(&self, common: &Common, body: impl FnOnce(&T)) -> serde_json::Result<()> {
        common.output.print(self, || {
            let nodes =
                if common.uri.is_some() { "a running group" } else { "three nodes in three zones" };
            println!("group   {} of {nodes}", self.figure);
            println!("machine {}", self.machine);
            println!("load    {}", self.load);
            body(&self.found);
            let but =
                if self.machine.is_busy() { ": does not count, the machine was BUSY" } else { "" };
            for mark in &self.marks {
                println!("{}{but}", mark.line());
            }
        })
    }
}

fn describe(common: &Common) -> String {
    let load = &common.load;
    let arrival = match load.rate() {
        Some(rate) => format!("open loop, {rate:.0} appends/s"),
        None => "closed loop".to_owned(),
    };
    let nodes = match &common.uri {
        Some(uri) => format!("at {uri}"),
        None => "nodes, load and disk shared by one machine".to_owned(),
    };
    let seconds = load.seconds().map_or(String::new(), |seconds| format!(", {seconds} s"));
    format!(
        "{arrival}, {} connections x {} in flight, {} B{seconds}; {nodes}",
        load.connections(),
        load.in_flight(),
        load.size(),
    )
}

/// Prints each run, and how many of them count.
pub(super) fn print_runs(runs: &Runs) {
    for (number, run) in (1..).zip(runs.all()) {
        println!("run {number:<4}{}", run.line());
    }
    println!("valid   {} of {} runs; void above 3 % steal", runs.valid().count(), runs.all().len());
    if let Some(floor) = runs.median(|run| run.load.floor.group_us()) {
        let rtt = runs.median(|run| run.load.floor.udp_rtt_us).unwrap_or_default();
        let write = runs.median(|run| run.load.floor.durable_write_us).unwrap_or_default();
        println!("floor   {floor:.0} us = 2 x UDP round trip {rtt:.0} + durable write {write:.0}");
        let second = runs.median(|run| run.load.floor.second_of_three_us).unwrap_or_default();
        let ratio = runs.median(|run| run.by_shared_floor()).unwrap_or_default();
        println!(
            "        with one disk for three nodes {:.0} us: two of three writes at once {second:.0}; \
             p50 {ratio:.2} x that",
            2.0 * rtt + second
        );
    }
    if let Some(rate) = runs.median(|run| run.load.appends_per_s) {
        println!("rate    {rate:.0} durable appends/s");
    }
    let of = |pick: fn(&crate::report::Percentiles) -> f64| {
        runs.median(|run| pick(&run.load.response)).unwrap_or_default()
    };
    println!(
        "latency p50 {:.0}  p90 {:.0}  p99 {:.0}  p99.9 {:.0}  max {:.0} us (medians)",
        of(|found| found.p50),
        of(|found| found.p90),
        of(|found| found.p99),
        of(|found| found.p999),
        of(|found| found.max)
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_reached_or_missed_and_never_without_a_run() {
        let lines: Vec<_> = [
            Mark::at_most("ratio", 1.8, Some(1.8)),
            Mark::at_most("ratio", 1.8, Some(1.81)),
            Mark::at_least("rate", 80_000.0, Some(80_000.0)),
            Mark::at_least("rate", 80_000.0, None),
        ]
        .iter()
        .map(Mark::line)
        .collect();
        assert_eq!(
            lines,
            [
                "REACHED ratio: 1.80 (at most 1.8)",
                "MISSED  ratio: 1.81 (at most 1.8)",
                "REACHED rate: 80000 (at least 80000)",
                "MISSED  rate: no valid run (at least 80000)",
            ]
        );
    }
}
