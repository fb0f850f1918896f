//! `quorate metadata`: what a stream keeps, as JSON events in the stream `$$NAME`.

use quorate_core::request::Expected;
use serde_json::{Map, Value, json};

use super::connection::{self, Options};
use super::content::Content;
use super::expect;
use super::failure::Failure;
use super::output::Output;

/// More than any node takes: the node's own bound gives the better message.
const METADATA_BYTES_MAX: u64 = 16 << 20;

/// Show or set what a stream keeps: age, count, start
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  quorate metadata get order-7
  quorate metadata set order-7 --max-count 100
  quorate metadata set order-7 '{\"$maxAge\":86400,\"owner\":\"sales\"}'")]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Show a stream's metadata
    #[command(after_help = "\
Examples:
  quorate metadata get order-7
  quorate metadata get order-7 -o json

With -o json: one object with stream, revision (of the metadata; null where there is none) and
metadata.")]
    Get {
        /// The stream that it is about
        stream: String,
    },
    /// Replace a stream's metadata
    Set(SetArguments),
}

#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("fields").multiple(true))]
#[command(after_help = "\
Examples:
  quorate metadata set order-7 --max-count 100
  quorate metadata set order-7 --max-age 86400 --truncate-before 40
  quorate metadata set order-7 '{\"$maxAge\":86400,\"owner\":\"sales\"}'
  quorate metadata set order-7 @metadata.json --expect none

Hidden events are gone for readers of the stream at once; in '$all' they stay until scavenged.
The new metadata replaces the old as a whole. --expect is about the metadata's own revision, as
`quorate metadata get` shows it.")]
struct SetArguments {
    /// The stream that it is about
    stream: String,

    /// All metadata as a JSON object; $maxAge, $maxCount and $tb hide events, the rest is yours
    #[arg(
        value_name = "JSON|@FILE|-",
        conflicts_with = "fields",
        required_unless_present = "fields"
    )]
    json: Option<Content>,

    /// Hide events older than this
    #[arg(long, value_name = "SECONDS", group = "fields")]
    max_age: Option<u64>,

    /// Hide all but the newest N events
    #[arg(long, value_name = "N", group = "fields")]
    max_count: Option<u64>,

    /// Hide events before this revision
    #[arg(long, value_name = "REVISION", group = "fields")]
    truncate_before: Option<u64>,

    /// What the metadata must be like: any, none (never set), exists, or its last revision
    #[arg(long, value_name = "any|none|exists|REVISION", default_value = "any", allow_negative_numbers = true, value_parser = expect::parse)]
    expect: Expected,
}

/// Shows or sets.
///
/// # Errors
///
/// Metadata that is no JSON object, a refusal, or no answer.
pub(crate) async fn run(
    options: &Options,
    arguments: &Arguments,
    output: &mut Output,
) -> Result<(), Failure> {
    match &arguments.action {
        Action::Get { stream } => show(options, stream, output).await,
        Action::Set(arguments) => set(options, arguments, output).await,
    }
}

async fn show(options: &Options, stream: &str, output: &mut Output) -> Result<(), Failure> {
    let client = connection::connect(options).await?;
    let metadata = client.metadata(stream).await.map_err(connection::read_failure)?;
    let revision = metadata.as_ref().map(|metadata| metadata.revision.get());
    let json = metadata.as_ref().map_or(&b"{}"[..], |metadata| &metadata.json);
    let value: Value = serde_json::from_slice(json).map_err(|error| {
        Failure::failed(format!("the metadata of {stream} is not JSON: {error}"))
    })?;
    let object = json!({"stream": stream, "revision": revision, "metadata": value});
    output.result(&value.to_string(), &object);
    output.flush().await
}

async fn set(
    options: &Options,
    arguments: &SetArguments,
    output: &mut Output,
) -> Result<(), Failure> {
    let json = new_metadata(arguments)?;
    let client = connection::connect(options).await?;
    let stream = &arguments.stream;
    let set = client
        .set_metadata(stream, arguments.expect, &json)
        .await
        .map_err(connection::append_failure)?;
    let revision = set.last.expect("metadata is one event").get();
    let object = json!({
        "stream": stream,
        "revision": revision,
        "position": set.position.get(),
        "duplicate": set.duplicate,
    });
    output.result(&format!("The metadata of {stream} is at revision {revision}."), &object);
    output.flush().await
}

/// The object that was given, or one made from the flags.
fn new_metadata(arguments: &SetArguments) -> Result<Vec<u8>, Failure> {
    if let Some(content) = &arguments.json {
        let json = content.read("the metadata", METADATA_BYTES_MAX)?;
        return match serde_json::from_slice::<Map<String, Value>>(&json) {
            Ok(_) => Ok(json),
            Err(error) => {
                Err(Failure::usage(format!("the metadata is not a JSON object: {error}"))
                    .hint("Quote it for the shell, for example '{\"$maxCount\":100}'."))
            }
        };
    }
    let fields = [
        ("$maxAge", arguments.max_age),
        ("$maxCount", arguments.max_count),
        ("$tb", arguments.truncate_before),
    ];
    let given =
        fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.into())));
    Ok(Value::Object(given.collect()).to_string().into_bytes())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Command {
        #[command(flatten)]
        arguments: SetArguments,
    }

    fn check(arguments: &[&str], expected: Result<&str, &str>) {
        let command = Command::try_parse_from([&["set", "s"], arguments].concat()).unwrap();
        let found = new_metadata(&command.arguments);
        let found = found.map(|json| String::from_utf8(json).unwrap());
        match (found, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected),
            (Err(failure), Err(words)) => assert!(failure.message.contains(words), "{failure:?}"),
            (found, expected) => panic!("{found:?} instead of {expected:?}"),
        }
    }

    #[test]
    fn from_flags_or_as_given() {
        check(&["--max-count", "3"], Ok(r#"{"$maxCount":3}"#));
        check(&["--max-age", "60", "--truncate-before", "7"], Ok(r#"{"$maxAge":60,"$tb":7}"#));
        check(&[r#"{"owner": 1.50}"#], Ok(r#"{"owner": 1.50}"#));
        check(&["[]"], Err("not a JSON object"));
        check(&["{"], Err("not a JSON object"));
        check(&["@missing.json"], Err("can't read missing.json"));
    }

    #[test]
    fn something_must_be_set_and_in_one_way() {
        for arguments in [&["set", "s"][..], &["set", "s", "{}", "--max-age", "1"]] {
            assert!(Command::try_parse_from(arguments).is_err(), "{arguments:?}");
        }
    }
}
