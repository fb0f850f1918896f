//! `quorate append`: one event from the command line.

use quorate_client::EventData;
use quorate_core::id::EventId;
use quorate_core::request::{Appended, Expected};
use serde_json::{Value, json};
use uuid::Uuid;

use super::connection::{self, Options};
use super::content::{Content, require_json};
use super::expect;
use super::failure::Failure;
use super::output::Output;

/// More than any node takes: the node's own bound gives the better message.
const CONTENT_BYTES_MAX: u64 = 256 << 20;

/// Append one event to a stream
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  quorate append order-7 --type placed --data '{\"item\":\"tea\"}'
  quorate append order-7 --type paid --data @payment.json --expect 0
  quorate append order-8 --type placed --data '{}' --expect none
  date | quorate append log --type line --binary --data -

With --id the command can be repeated: an event that is there already is not written again.
Exit codes: 0 written (or there already), 1 refused, 3 stream deleted for ever, 4 wrong revision,
5 unreachable, 6 unknown whether it was written.")]
pub struct Arguments {
    /// The stream
    stream: String,

    /// What kind of thing happened
    #[arg(long = "type", value_name = "TYPE", default_value = "event")]
    event_type: String,

    /// The event's data: JSON, a file with it, or stdin
    #[arg(long, value_name = "JSON|@FILE|-", default_value = "{}", allow_hyphen_values = true)]
    data: Content,

    /// Take the data as bytes instead of JSON
    #[arg(long)]
    binary: bool,

    /// JSON about the event: who, why, correlation
    #[arg(long, value_name = "JSON|@FILE|-", allow_hyphen_values = true)]
    metadata: Option<Content>,

    /// The event's id, the same for each repetition [default: a new one]
    #[arg(long, value_name = "UUID")]
    id: Option<Uuid>,

    /// What the stream must be like: any, none (no events yet), exists, or its last revision
    #[arg(long, value_name = "any|none|exists|REVISION", default_value = "any", allow_negative_numbers = true, value_parser = expect::parse)]
    expect: Expected,
}

/// Appends the event and says where it went.
///
/// # Errors
///
/// Content that can't be read, a refusal, or no answer.
pub(crate) async fn run(
    options: &Options,
    arguments: &Arguments,
    output: &mut Output,
) -> Result<(), Failure> {
    let (data, metadata) = contents(arguments)?;
    let id = EventId::from_bytes(arguments.id.unwrap_or_else(Uuid::new_v4).into_bytes());
    let event = if arguments.binary {
        EventData::octets(&arguments.event_type, data)
    } else {
        EventData::json(&arguments.event_type, data)
    };
    let event = event.with_id(id).with_metadata(metadata);
    let client = connection::connect(options).await?;
    let appended = client
        .append(&arguments.stream, arguments.expect, &[event])
        .await
        .map_err(connection::append_failure)?;
    let (text, object) = result(&arguments.stream, id, &appended);
    output.result(&text, &object);
    output.flush().await
}

fn contents(arguments: &Arguments) -> Result<(Vec<u8>, Vec<u8>), Failure> {
    if arguments.data == Content::Stdin && arguments.metadata == Some(Content::Stdin) {
        return Err(Failure::usage("only one of --data and --metadata can come from stdin"));
    }
    let data = arguments.data.read("--data", CONTENT_BYTES_MAX)?;
    if !arguments.binary {
        let hint =
            "Quote it for the shell, for example --data '{\"item\":\"tea\"}', or add --binary.";
        require_json(&data, "--data", hint)?;
    }
    let Some(metadata) = &arguments.metadata else { return Ok((data, Vec::new())) };
    let metadata = metadata.read("--metadata", CONTENT_BYTES_MAX)?;
    require_json(&metadata, "--metadata", "Quote it for the shell.")?;
    Ok((data, metadata))
}

fn result(stream: &str, id: EventId, appended: &Appended) -> (String, Value) {
    let revision = appended.last.expect("one event was appended");
    let how = if appended.duplicate { "was there already" } else { "is written" };
    let text = format!("{stream}@{revision} {how}, at position {}.", appended.position);
    let object = json!({
        "stream": stream,
        "revision": revision.get(),
        "position": appended.position.get(),
        "id": id.to_string(),
        "duplicate": appended.duplicate,
    });
    (text, object)
}
