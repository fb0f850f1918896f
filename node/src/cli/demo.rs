//! `quorate demo`: everything at work within a few seconds, and nothing left behind.

use std::time::{Duration, Instant};

use indicatif::HumanCount;
use quorate_client::{Client, EventData, ReadOptions};
use quorate_core::request::Expected;
use serde_json::{Value, json};

use super::connection::{self, Options};
use super::failure::{Exit, Failure};
use super::import::{self, Summary};
use super::interrupt::Interrupt;
use super::output::{Output, tell};
use child::{ChildNode, DemoFolder, free_port};

mod child;

/// 5,000 real flights: docs/examples/README.md says where they come from.
const FLIGHTS: &[u8] = include_bytes!("../../../docs/examples/flights-2013-sample.csv.gz");

const PORT: u16 = quorate_net::endpoint::PORT;
/// A node on a slow disk needs a moment to fill its first segment with zeros.
const START_MAX: Duration = Duration::from_secs(60);
/// Single appends that are timed.
const SINGLE_APPENDS: usize = 500;
/// Data of each of them.
const SINGLE_BYTES: usize = 256;

/// See it work: a node in a fresh folder, loaded with real flights, until Ctrl-C
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  quorate demo
  quorate demo --keep

It starts a node on port 2113 of this machine (or on a free one where that is taken), imports 5,000
flight departures, measures, and says what to type next. Ctrl-C stops the node and removes its
folder.")]
pub struct Arguments {
    /// Leave the data folder where it is
    #[arg(long)]
    keep: bool,
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
    let port = free_port(PORT)
        .map_err(|error| Failure::failed(format!("can't find a free port: {error}")))?;
    if port != PORT {
        tell(format_args!("Port {PORT} is taken; the demo uses {port}."));
    }
    let mut node = ChildNode::start(folder.path(), port)?;
    let options = options.for_local(format!("quorate://127.0.0.1:{port}"));
    let shown = tokio::select! {
        shown = show(&options, &folder, &mut node, output) => shown,
        () = interrupt.requested() => Err(Failure::new(Exit::Interrupted, "interrupted")),
    };
    let ended = match shown {
        Err(failure) => Err(failure),
        Ok(()) => tokio::select! {
            failure = node.gone() => Err(failure),
            () = interrupt.requested() => Ok(()),
        },
    };
    node.stop().await;
    if folder.is_kept() {
        tell(format_args!(
            "The data is kept in {0}: quorate serve --data {0}/data",
            folder.path().display()
        ));
    }
    ended
}

/// Loads, measures and prints.
async fn show(
    options: &Options,
    folder: &DemoFolder,
    node: &mut ChildNode,
    output: &mut Output,
) -> Result<(), Failure> {
    let started = Instant::now();
    let client = first_connection(options, node).await?;
    tell(format_args!(
        "A node is up after {:.1} s; importing real flights …",
        started.elapsed().as_secs_f64()
    ));
    let import = import::sample(client.clone(), FLIGHTS).await?;
    let (append_p50, append_p99) = single_appends(&client).await?;
    let (scanned, scan) = scan(&client).await?;
    let figures = Figures { import, append_p50, append_p99, scanned, scan };
    output.result(&text(options, folder, &figures), &object(options, folder, &figures));
    output.flush().await
}

/// Tries until the node answers, or is gone, or takes too long.
async fn first_connection(options: &Options, node: &mut ChildNode) -> Result<Client, Failure> {
    let deadline = Instant::now() + START_MAX;
    loop {
        node.look().await?;
        match connection::connect(options).await {
            Ok(client) => return Ok(client),
            Err(failure) if Instant::now() > deadline => return Err(failure),
            Err(_) => {}
        }
    }
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

fn text(options: &Options, folder: &DemoFolder, figures: &Figures) -> String {
    let Figures { import, append_p50, append_p99, scanned, scan } = figures;
    let (program, uri) = (program(), &options.uri);
    let flag =
        if *uri == connection::DEFAULT_URI { String::new() } else { format!(" --uri {uri}") };
    let milliseconds = |time: &Duration| time.as_secs_f64() * 1000.0;
    format!(
        "
Imported {} flights into {} streams, one per aircraft: {} events/s
Appended {SINGLE_APPENDS} events of {SINGLE_BYTES} bytes, one at a time, each on disk when answered: \
p50 {:.2} ms, p99 {:.2} ms
Read all {} events back: {} events/s

The node listens at {uri} and keeps its data in {}

Type in another terminal:
  {program} read aircraft-N730MQ{flag}
  {program} read '$all' --type-prefix departed --count 5 -o json{flag}
  {program} subscribe '$all' --from end{flag}
  {program} append aircraft-N730MQ --type landed --data '{{\"at\":\"IAH\"}}'{flag}
  {program} status{flag}

Ctrl-C stops it{}.",
        HumanCount(import.events),
        HumanCount(import.streams),
        HumanCount(import.rows_per_s()),
        milliseconds(append_p50),
        milliseconds(append_p99),
        HumanCount(*scanned),
        HumanCount(per_second(*scanned, *scan)),
        folder.path().display(),
        if folder.is_kept() { "" } else { " and removes the data" },
    )
}

fn object(options: &Options, folder: &DemoFolder, figures: &Figures) -> Value {
    json!({
        "uri": options.uri,
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
