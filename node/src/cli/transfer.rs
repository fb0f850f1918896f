//! `quorate transfer-leader`: another node takes over, on purpose.

use quorate_client::TransferError;
use serde_json::json;

use super::connection::{self, Options};
use super::failure::{Exit, Failure};
use super::output::Output;

/// Make another node lead
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  quorate transfer-leader
  quorate transfer-leader --to n2
  quorate transfer-leader --to z3

Appends pause for about one round trip; clients follow by themselves. Do this before the leader's
machine is stopped. The exit code is 1 where the leader goes on, because no other node is fit.")]
pub struct Arguments {
    /// The name of a node, or of a zone; without it the node that is fittest
    #[arg(long, value_name = "NODE|ZONE")]
    to: Option<String>,
}

/// Asks the leader, and prints who leads now.
///
/// # Errors
///
/// Where no other node took over, or nobody knows.
pub(crate) async fn run(
    options: &Options,
    arguments: &Arguments,
    output: &mut Output,
) -> Result<(), Failure> {
    let client = connection::connect(options).await?;
    let transferred = client.transfer_leader(arguments.to.as_deref()).await.map_err(failure)?;
    let took = transferred.took;
    let text = if transferred.from == transferred.to {
        format!("{} leads already (epoch {})", transferred.to, transferred.epoch)
    } else {
        format!(
            "{} leads now, in epoch {}; {} gave the lead away within {:.1} ms",
            transferred.to,
            transferred.epoch,
            transferred.from,
            took.as_secs_f64() * 1000.0,
        )
    };
    let object = json!({
        "from": transferred.from,
        "to": transferred.to,
        "epoch": transferred.epoch,
        "took_us": u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
    });
    output.result(&text, &object);
    output.flush().await
}

fn failure(error: TransferError) -> Failure {
    match error {
        TransferError::Unreachable(_) => Failure::new(Exit::Unreachable, error),
        TransferError::Deadline { .. } => {
            Failure::new(Exit::Unknown, error).hint("Look with `quorate status` who leads.")
        }
        TransferError::Failed { .. } => Failure::failed(error),
    }
}
