//! `quorate demo`: a group at work within a few seconds, and nothing left behind.

use std::time::{Duration, Instant};

use indicatif::HumanCount;
use quorate_client::{Client, EventData, NodeStatus, ReadOptions};
use quorate_core::request::Expected;
use serde_json::{Value, json};

use super::connection::{self, Options};
use super::failure::{Exit, Failure};
use super::import::{self, Summary};
use super::interrupt::Interrupt;
use super::output::{Output, tell};
use super::status;
use child::{DemoFolder, free_ports};
use group::{DemoGroup, NODES};

mod child;
mod group;
mod tour;

/// 5,000 real flights: docs/examples/README.md says where they come from.
const FLIGHTS: &[u8] = include_bytes!("../../../docs/examples/flights-2013-sample.csv.gz");

const PORT: u16 = quorate_net::endpoint::PORT;
/// Single appends that are timed.
const SINGLE_APPENDS: usize = 500;
/// Data of each of them.
const SINGLE_BYTES: usize = 256;

/// See it work: three nodes in three zones, loaded with real flights, until Ctrl-C
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  quorate demo
  quorate demo --tour
  quorate demo --keep

It starts three nodes on ports 2113 to 2115 of this machine (or on free ones where these are taken),
imports 5,000 flight departures, measures, shows the group's status and says what to type next.
Ctrl-C stops the nodes and removes their folder. With --tour it goes on by itself: it kills the
leader under load, brings it back, checks that nothing is lost, and ends.")]
pub struct Arguments {
    /// Leave the data folders where they are
    #[arg(long)]
    keep: bool,
    /// Kill the leader under load, show what happens, and end
    #[arg(long)]
    tour: bool,
}

/// What was measured.
struct Figures {
    import: Summary,
    append_p50: Duration,
    append_p99: Duration,
    scanned: u64,
    scan: Duration,
}

/// Runs the demonstration until it is interrupted.
///
/// # Errors
///
/// A node that does not start, or stops by itself.
pub(crate) async fn run(
    options: &Options,
    arguments: &Arguments,
    output: &mut Output,
) -> Result<(), Failure> {
    let mut interrupt = Interrupt::listen()?;
    let folder = DemoFolder::make(arguments.keep)?;
    let ports: [u16; NODES] = free_ports(PORT)
        .map_err(|error| Failure::failed(format!("can't find free ports: {error}")))?;
    if ports[0] != PORT {
        let [first, second, third] = ports;
        tell(format_args!(
            "Port {PORT} or one behind it is taken; the demo uses {first}, {second} and {third}."
        ));
    }
    let mut group = DemoGroup::start(folder.path(), ports)?;
    let options = options.for_group(group.uri(), group.authority());
    let shown = tokio::select! {
        shown = show(&options, &folder, &mut group, arguments.tour, output) => shown,
        () = interrupt.requested() => Err(Failure::new(Exit::Interrupted, "interrupted")),
    };
    let ended = match shown {
        Err(failure) => Err(failure),
        Ok(()) if arguments.tour => Ok(()),
        Ok(()) => tokio::select! {
            failure = group.gone() => Err(failure),
            () = interrupt.requested() => Ok(()),
        },
    };
    group.stop().await;
    if folder.is_kept() {
        tell(format_args!("The data and the certificates are kept in {}", folder.path().display()));
    }
    ended
}

/// Loads, measures and prints.
async fn show(
    options: &Options,
    folder: &DemoFolder,
    group: &mut DemoGroup,
    tour: bool,
    output: &mut Output,
) -> Result<(), Failure> {
    let started = Instant::now();
    let client = group.first_connection(options).await?;
    tell(format_args!(
        "Three nodes are up, and one leads, after {:.1} s; importing real flights …",
        started.elapsed().as_secs_f64()
    ));
    let import = import::sample(client.clone(), FLIGHTS).await?;
    let (append_p50, append_p99) = single_appends(&client).await?;
    let (scanned, scan) = scan(&client).await?;
    let status = group.wait_until(&client, |status| status.replication.leader.is_some()).await?;
    let figures = Figures { import, append_p50, append_p99, scanned, scan };
    let text = text(options, folder, &figures, &status, tour);
    output.result(&text, &object(options, folder, &figures, &status));
    output.flush().await?;
    if tour {
        tour::run(group, &client, output).await?;
    }
    Ok(())
}

/// Appends one event after another; gives the median and the 99th percentile.
async fn single_appends(client: &Client) -> Result<(Duration, Duration), Failure> {
    let data = format!("{{\"note\":\"{}\"}}", "x".repeat(SINGLE_BYTES - 11));
    let mut times = Vec::with_capacity(SINGLE_APPENDS);
    for _ in 0..SINGLE_APPENDS {
        let event = EventData::json("measured", data.clone());
        let start = Instant::now();
        let appended = client.append("demo-latency", Expected::Any, &[event]).await;
        appended.map_err(connection::append_failure)?;
        times.push(start.elapsed());
    }
    times.sort_unstable();
    Ok((times[SINGLE_APPENDS / 2], times[SINGLE_APPENDS * 99 / 100]))
}

/// Reads everything.
async fn scan(client: &Client) -> Result<(u64, Duration), Failure> {
    let start = Instant::now();
    let mut events = client.read_all(ReadOptions::default());
    let mut count = 0;
    while let Some(event) = events.next().await {
        event.map_err(connection::read_failure)?;
        count += 1;
    }
    Ok((count, start.elapsed()))
}

fn per_second(count: u64, time: Duration) -> u64 {
    (count as f64 / time.as_secs_f64().max(f64::EPSILON)) as u64
}

fn text(
    options: &Options,
    folder: &DemoFolder,
    figures: &Figures,
    status: &NodeStatus,
    tour: bool,
) -> String {
    let Figures { import, append_p50, append_p99, scanned, scan } = figures;
    let milliseconds = |time: &Duration| time.as_secs_f64() * 1000.0;
    let mut text = format!(
        "
Imported {} flights into {} streams, one per aircraft: {} events/s
Appended {SINGLE_APPENDS} events of {SINGLE_BYTES} bytes, one at a time, each on two disks when \
answered: p50 {:.2} ms, p99 {:.2} ms
Read all {} events back: {} events/s

{}",
        HumanCount(import.events),
        HumanCount(import.streams),
        HumanCount(import.rows_per_s()),
        milliseconds(append_p50),
        milliseconds(append_p99),
        HumanCount(*scanned),
        HumanCount(per_second(*scanned, *scan)),
        status::summary(status),
    );
    if !tour {
        text += &next_steps(options, folder);
    }
    text
}

/// What to type next.
fn next_steps(options: &Options, folder: &DemoFolder) -> String {
    let (program, uri) = (program(), &options.uri);
    let at_default = uri.starts_with(&format!("{},", connection::DEFAULT_URI));
    let flag = if at_default { String::new() } else { format!(" --uri {uri}") };
    format!(
        "
The nodes listen at {uri} and keep their data in {}

Type in another terminal:
  {program} read aircraft-N730MQ{flag}
  {program} read '$all' --type-prefix departed --count 5 -o json{flag}
  {program} subscribe '$all' --from end{flag}
  {program} append aircraft-N730MQ --type landed --data '{{\"at\":\"IAH\"}}'{flag}
  {program} status --watch{flag}
  {program} transfer-leader --to n2{flag}

Ctrl-C stops them{}.",
        folder.path().display(),
        if folder.is_kept() { "" } else { " and removes the data" },
    )
}

fn object(options: &Options, folder: &DemoFolder, figures: &Figures, status: &NodeStatus) -> Value {
    json!({
        "uri": options.uri,
        "ca": options.ca,
        "status": status::object(&options.uri, status),
        "folder": folder.path(),
        "events": figures.import.events,
        "streams": figures.import.streams,
        "import_events_per_s": figures.import.rows_per_s(),
        "append_p50_us": figures.append_p50.as_micros() as u64,
        "append_p99_us": figures.append_p99.as_micros() as u64,
        "scanned": figures.scanned,
        "scan_events_per_s": per_second(figures.scanned, figures.scan),
    })
}

/// What the user typed to run this program.
fn program() -> &'static str {
    if std::env::var_os("CARGO").is_some() { "cargo run --release --" } else { "quorate" }
}
