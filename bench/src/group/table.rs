//! Rate against latency, for small and large events and for few and many at once.

use std::error::Error;
use std::fmt::Write;
use std::path::Path;

use serde::Serialize;

use super::report::Report;
use super::runs::Runs;
use super::{Common, Group};
use crate::machine::Machine;
use crate::plot::{Plot, Point, Series};

const SIZES: [usize; 4] = [64, 256, 1024, 4096];
const IN_FLIGHT: [u32; 5] = [1, 4, 16, 64, 256];
const SECONDS: f64 = 3.0;

/// One cell of the table: medians of its valid runs.
#[derive(Clone, Copy, Debug, Serialize)]
struct Cell {
    size: usize,
    connections: u32,
    in_flight: u32,
    valid_runs: usize,
    all_runs: usize,
    /// None of them is there without a valid run.
    appends_per_s: Option<f64>,
    p50_us: Option<f64>,
    p99_us: Option<f64>,
    floor_us: Option<f64>,
}

#[derive(Debug, Serialize)]
struct Table {
    cells: Vec<Cell>,
}

/// Measures all cells, one after the other, on one group.
///
/// - `svg`: where the plot goes
pub(super) async fn run(
    mut common: Common,
    machine: Machine,
    svg: Option<&Path>,
) -> Result<(), Box<dyn Error>> {
    common.load = common.load.or(1, 1, Some(SECONDS));
    let mut group = Group::find(&common)?;
    if let Ok(nodes) = group.own() {
        nodes.ready().await?;
    }
    let node = group.node();
    let mut cells = Vec::new();
    for size in SIZES {
        for in_flight in IN_FLIGHT {
            let load = common.load.of(size, in_flight);
            eprintln!("{size} B, {in_flight} in flight");
            let runs = Runs::measure(&node, &load, &common.data, common.runs).await?;
            cells.push(Cell {
                size,
                connections: load.connections(),
                in_flight,
                valid_runs: runs.valid().count(),
                all_runs: runs.all().len(),
                appends_per_s: runs.median(|run| run.load.appends_per_s.round()),
                p50_us: runs.median(|run| run.load.response.p50),
                p99_us: runs.median(|run| run.load.response.p99),
                floor_us: runs.median(|run| run.load.floor.group_us().round()),
            });
        }
    }
    group.end()?;
    let report = Report::new("table", &common, machine, Table { cells });
    if let Some(path) = svg {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let text = plot(&report.found, &report.machine.short()).svg();
        std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(report.print(&common, |table| print!("\n{}\n", markdown(table)))?)
}

fn markdown(table: &Table) -> String {
    let mut text = "| event | in flight | appends/s | p50 | p99 | valid runs |\n".to_owned();
    text.push_str("|---:|---:|---:|---:|---:|---:|\n");
    for cell in &table.cells {
        let in_flight = cell.connections * cell.in_flight;
        let rate = cell.appends_per_s.map_or("none".to_owned(), thousands);
        let [p50, p99] =
            [cell.p50_us, cell.p99_us].map(|time| time.map_or("none".into(), duration));
        let (valid, all) = (cell.valid_runs, cell.all_runs);
        writeln!(
            text,
            "| {} | {in_flight} | {rate} | {p50} | {p99} | {valid} of {all} |",
            bytes(cell.size)
        )
        .expect("a string takes any text");
    }
    text
}

fn plot(table: &Table, machine: &str) -> Plot {
    let series = |size| {
        let cells = table.cells.iter().filter(|cell| cell.size == size);
        let points = cells.filter_map(|cell| {
            let (rate, p50, p99) = (cell.appends_per_s?, cell.p50_us?, cell.p99_us?);
            Some(Point { rate, p50_us: p50, p99_us: p99 })
        });
        Series { name: bytes(size), points: points.collect() }
    };
    Plot {
        title: "Three nodes, one machine: latency against throughput".to_owned(),
        below: format!("1 to 256 appends in flight; nodes and load on {machine}"),
        series: SIZES.map(series).into(),
    }
}

fn bytes(size: usize) -> String {
    if size < 1024 { format!("{size} B") } else { format!("{} KiB", size / 1024) }
}

fn duration(micros: f64) -> String {
    if micros < 1000.0 { format!("{micros:.0} µs") } else { format!("{:.1} ms", micros / 1000.0) }
}

fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_what_people_read() {
        let cell = Cell {
            size: 1024,
            connections: 1,
            in_flight: 64,
            valid_runs: 3,
            all_runs: 4,
            appends_per_s: Some(1_234_567.0),
            p50_us: Some(812.4),
            p99_us: Some(3456.0),
            floor_us: Some(270.0),
        };
        let empty = Cell { size: 64, appends_per_s: None, p50_us: None, p99_us: None, ..cell };
        let text = markdown(&Table { cells: vec![cell, empty] });
        let rows: Vec<_> = text.lines().skip(2).collect();
        assert_eq!(rows[0], "| 1 KiB | 64 | 1,234,567 | 812 µs | 3.5 ms | 3 of 4 |");
        assert_eq!(rows[1], "| 64 B | 64 | none | none | none | 3 of 4 |");
        assert_eq!([1.0, 999.0, 1000.0].map(thousands), ["1", "999", "1,000"]);
    }
}
