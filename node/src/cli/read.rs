//! `quorate read`: events of one stream, or of all, up to where the store ends now.

use quorate_client::{Client, Consistency, Direction, ReadFrom, ReadOptions, ReadStream, Target};

use super::connection::{self, Options};
use super::failure::Failure;
use super::output::Output;
use super::selection::{From, Selection};

/// Read events of a stream, or of '$all'
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  quorate read order-7
  quorate read order-7 --from end --backwards --count 1
  quorate read '$all' --type-prefix placed --count 10 -o json
  quorate read '$all' --stream-prefix order- -o json | jq .data
  quorate read order-7 --committed --uri quorate://n2.example:2113

With -o json each line is one object with stream, revision, position, id, type, data (or
data_base64), metadata (or metadata_base64) and created.
Exit codes: 0 read, 1 failed, 3 no such stream (or deleted for ever), 5 unreachable.")]
pub struct Arguments {
    #[command(flatten)]
    selection: Selection,

    /// The first event: start, end, a revision (of a stream) or a position (of '$all')
    /// [default: start, or end with --backwards]
    #[arg(long, allow_negative_numbers = true, value_name = "start|end|N")]
    from: Option<From>,

    /// The most events to read
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    count: Option<u64>,

    /// Read towards older events
    #[arg(long)]
    backwards: bool,

    /// Ask any node for what it knows to be committed, which may not be the newest; works without a
    /// leader, too
    #[arg(long)]
    committed: bool,
}

/// Reads and prints.
///
/// # Errors
///
/// A stream that is not there, or trouble on the way.
pub(crate) async fn run(
    options: &Options,
    arguments: &Arguments,
    output: &mut Output,
) -> Result<(), Failure> {
    let read_options = read_options(arguments)?;
    let client = connection::connect(options).await?;
    let mut events = open(&client, arguments.selection.target(), read_options);
    while let Some(event) = events.next().await {
        let event = event.map_err(connection::read_failure)?;
        output.event(&connection::line(&event));
        if output.is_full() {
            output.flush().await?;
        }
    }
    output.flush().await
}

fn open(client: &Client, target: Target, read_options: ReadOptions) -> ReadStream {
    match target {
        Target::All => client.read_all(read_options),
        Target::Stream(stream) => client.read_stream(&stream, read_options),
    }
}

fn read_options(arguments: &Arguments) -> Result<ReadOptions, Failure> {
    let direction = if arguments.backwards { Direction::Backwards } else { Direction::Forwards };
    let from = match (arguments.from, direction) {
        (Some(From::Start), _) | (None, Direction::Forwards) => ReadFrom::Start,
        (Some(From::End), _) | (None, Direction::Backwards) => ReadFrom::End,
        (Some(From::Number(number)), _) => ReadFrom::At(number),
    };
    Ok(ReadOptions {
        from,
        direction,
        count: arguments.count,
        filter: arguments.selection.filter()?,
        resolve_links: arguments.selection.resolve_links,
        consistency: if arguments.committed {
            Consistency::Committed
        } else {
            Consistency::Linearizable
        },
    })
}
