//! `quorate delete`: hides a stream's events, or closes the stream for ever.

use quorate_core::request::Expected;
use serde_json::json;

use super::connection::{self, Options};
use super::expect;
use super::failure::Failure;
use super::output::Output;

/// Hide all events of a stream, or close it for ever
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  quorate delete order-7
  quorate delete order-7 --tombstone --expect 41

A deleted stream can be written again, from the next revision on. A tombstone is for ever: every
later append and read of that name fails. In '$all' the events stay until they are scavenged.
Exit codes: 0 deleted, 1 refused, 3 deleted for ever before, 4 wrong revision, 5 unreachable,
6 unknown whether it was done.")]
pub struct Arguments {
    /// The stream
    stream: String,

    /// Close the stream for ever
    #[arg(long)]
    tombstone: bool,

    /// What the stream must be like: any, none, exists, or its last revision
    #[arg(long, value_name = "any|none|exists|REVISION", default_value = "any", allow_negative_numbers = true, value_parser = expect::parse)]
    expect: Expected,
}

/// Deletes the stream.
///
/// # Errors
///
/// A refusal, or no answer.
pub(crate) async fn run(
    options: &Options,
    arguments: &Arguments,
    output: &mut Output,
) -> Result<(), Failure> {
    let client = connection::connect(options).await?;
    let Arguments { stream, tombstone, expect } = arguments;
    let deleted = if *tombstone {
        client.tombstone(stream, *expect).await
    } else {
        client.delete(stream, *expect).await
    };
    let deleted = deleted.map_err(connection::append_failure)?;
    let how =
        if *tombstone { "is deleted for ever" } else { "is deleted; it can be written again" };
    let object = json!({
        "stream": stream,
        "position": deleted.position.get(),
        "tombstone": tombstone,
        "duplicate": deleted.duplicate,
    });
    output.result(&format!("{stream} {how}."), &object);
    output.flush().await
}
