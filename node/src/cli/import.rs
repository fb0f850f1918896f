//! `quorate import`: rows of a file as events, many appends at a time, safe to repeat.
//!
//! Each row has an event id that depends on nothing but the row, and the ids that a stream holds
//! already are read before its first row is appended. So running an import again, after a crash or
//! a lost connection, adds only what is missing, however long ago the first attempt was.

use std::path::{Path, PathBuf};

use indicatif::HumanCount;
use quorate_client::Client;
use serde_json::{Value, json};

use super::connection::{self, Options};
use super::failure::{Exit, Failure};
use super::interrupt::Interrupt;
use super::output::{Output, count};
use super::thread::beside;

mod batch;
mod feed;
mod progress;
mod row_id;
mod rows;
mod source;
mod template;
mod writer;

pub use rows::RowFormat;
pub use template::StreamTemplate;

use feed::Feed;
use rows::{RowError, RowOptions, Rows};
use writer::Writer;

pub(crate) use writer::Summary;

/// A longer row would not be taken by any node.
const ROW_BYTES_MAX: u64 = 256 << 20;

/// Import the rows of a CSV or NDJSON file as events
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  quorate import flights.csv.gz --stream 'aircraft-{tailnum}' --type departed
  quorate import flights.csv --stream 'route-{origin}-{dest}' --type departed --null NA
  zcat events.ndjson.gz | quorate import - --stream 'order-{order_id}' --type changed
  quorate import readings.csv --stream readings --type measured --batch 1000 -o json

A row becomes a JSON object. In CSV an empty field is null, a plain number of up to 15 digits is a
number, and all else is text; the lines of NDJSON stay as they are. In the stream's name an empty
field becomes `none`; write {{ and }} for braces.

A file is checked to its end before the first event is written; rows from stdin are written as they
come, up to a bad one. Running an import again adds only what is missing: a row's event id is made
from its number, stream, type and data.

The summary has events (written now), streams, duplicates (there already) and seconds.
Exit codes: 0 all is there, 1 failed (a bad row, a refusal), 2 usage, 5 unreachable, 6 unknown,
130 interrupted.")]
pub struct Arguments {
    /// The file, packed by gzip or not; - for stdin
    #[arg(value_name = "FILE|-")]
    file: PathBuf,

    /// How rows are written [default: ndjson where the first byte is {, else csv]
    #[arg(long, value_enum)]
    format: Option<RowFormat>,

    /// The stream of each row, with fields of the row in braces
    #[arg(long, value_name = "TEMPLATE")]
    stream: StreamTemplate,

    /// The type of all events
    #[arg(long = "type", value_name = "TYPE")]
    event_type: String,

    /// Append up to N consecutive rows of the same stream together, all or none
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    batch: u32,

    /// A CSV field with just this text counts as empty
    #[arg(long, value_name = "TEXT")]
    null: Option<String>,
}

/// Imports the file and sums up.
///
/// # Errors
///
/// A file that can't be read, a bad row, a refusal, or no answer; the message says what was done
/// before.
pub(crate) async fn run(
    options: &Options,
    arguments: &Arguments,
    output: &mut Output,
) -> Result<(), Failure> {
    let mut interrupt = Interrupt::listen()?;
    let row_options = RowOptions {
        format: arguments.format,
        stream: arguments.stream.clone(),
        null: arguments.null.clone(),
        row_bytes_max: ROW_BYTES_MAX,
    };
    let checked = tokio::select! {
        checked = check(&arguments.file, &row_options) => checked,
        () = interrupt.requested() => return Err(interrupted("nothing was imported")),
    };
    let file = &arguments.file;
    let total = checked.map_err(|error| refused(file, &error))?;
    let rows = feed::open(file, &row_options).map_err(|error| refused(file, &error))?;
    let client = connection::connect(options).await?;
    let feed = Feed::start(rows, arguments.event_type.clone());
    let writer = Writer::new(client, arguments.event_type.clone(), arguments.batch as usize);
    let (summary, ended) = writer.run(feed, total, &mut interrupt).await;
    if let Err(trouble) = ended {
        return Err(unfinished(file, &summary, trouble));
    }
    output.result(&text(&summary), &object(&summary));
    output.flush().await
}

/// Imports packed flights that the program carries: for `quorate demo`.
///
/// # Errors
///
/// A refusal, or no answer.
pub(crate) async fn sample(client: Client, packed: &'static [u8]) -> Result<Summary, Failure> {
    let options = RowOptions {
        format: Some(RowFormat::Csv),
        stream: "aircraft-{tailnum}".parse().expect("it is a template"),
        null: Some("NA".to_owned()),
        row_bytes_max: ROW_BYTES_MAX,
    };
    let source = source::unpacked(packed).expect("memory can be read");
    let rows = Rows::new(source, options).map_err(Failure::failed)?;
    let feed = Feed::start(rows, "departed".to_owned());
    let writer = Writer::new(client, "departed".to_owned(), 1);
    let (summary, ended) = writer.run(feed, None, &mut Interrupt::listen()?).await;
    ended.map(|()| summary)
}

/// Reads a file to its end before anything is written; gives how many rows it has.
///
/// What can be read only once is not checked, and its length not known.
async fn check(file: &Path, options: &RowOptions) -> Result<Option<u64>, RowError> {
    if !source::is_repeatable(file) {
        return Ok(None);
    }
    let (file, options) = (file.to_owned(), options.clone());
    beside(move || feed::count(&file, &options)).await.map(Some)
}

fn refused(file: &Path, error: &RowError) -> Failure {
    Failure::failed(format!("can't import {}: {error}", file.display()))
        .hint("Nothing was imported.")
}

fn interrupted(what: &str) -> Failure {
    Failure::new(Exit::Interrupted, format!("interrupted: {what}"))
}

/// Says what was done before the trouble.
fn unfinished(file: &Path, summary: &Summary, trouble: Failure) -> Failure {
    let hint = format!(
        "{}Added before that: {}; there already: {}. Run the same command again to add the rest: \
         nothing is written twice.",
        trouble.hint.map_or_else(String::new, |hint| format!("{hint} ")),
        count(summary.events, "event"),
        HumanCount(summary.duplicates),
    );
    Failure::new(trouble.exit, format!("import of {}: {}", file.display(), trouble.message))
        .hint(hint)
}

fn text(summary: &Summary) -> String {
    format!(
        "Imported {} into {} in {:.1} s ({} rows/s); there already: {}.",
        count(summary.events, "event"),
        count(summary.streams, "stream"),
        summary.seconds,
        HumanCount(summary.rows_per_s()),
        HumanCount(summary.duplicates),
    )
}

fn object(summary: &Summary) -> Value {
    json!({
        "events": summary.events,
        "streams": summary.streams,
        "duplicates": summary.duplicates,
        "seconds": summary.seconds,
    })
}
