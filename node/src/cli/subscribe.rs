//! `quorate subscribe`: history first, then each new event as it comes, until Ctrl-C.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use quorate_client::{
    Client, ReadError, SubscribeFrom, SubscribeOptions, Subscription, SubscriptionEvent, Target,
};

use super::connection::{self, Options};
use super::failure::Failure;
use super::interrupt::Interrupt;
use super::output::{Output, tell};
use super::selection::{From, Selection};

/// Follow a stream, or '$all': history first, then each new event
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  quorate subscribe order-7
  quorate subscribe '$all' --from end --type-prefix placed
  quorate subscribe '$all' --from 81920 -o json | while read -r event; do ...; done

Events are printed like those of `quorate read`; what else happens (history is through, the
connection was lost and found again) is told on stderr. Ctrl-C ends it with exit code 0.
A subscription to a stream that does not exist yet waits for its first event.
Exit codes: 0 ended by you, 1 failed, 3 deleted for ever, 5 unreachable.")]
pub struct Arguments {
    #[command(flatten)]
    selection: Selection,

    /// Begin at start or end, or behind a revision (of a stream) or a position (of '$all'): the
    /// event with that number is not given
    #[arg(
        long,
        allow_negative_numbers = true,
        value_name = "start|end|N",
        default_value = "start"
    )]
    from: From,

    /// End after so many events
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    count: Option<u64>,
}

/// Follows and prints.
///
/// # Errors
///
/// A stream that is deleted for ever, or trouble that does not pass.
pub(crate) async fn run(
    options: &Options,
    arguments: &Arguments,
    output: &mut Output,
) -> Result<(), Failure> {
    let mut interrupt = Interrupt::listen()?;
    let subscribe_options = subscribe_options(arguments)?;
    let follow = async {
        let client = connection::connect(options).await?;
        let subscription = open(&client, arguments.selection.target(), subscribe_options);
        follow(subscription, arguments.count.unwrap_or(u64::MAX), output).await
    };
    tokio::select! {
        followed = follow => followed,
        () = interrupt.requested() => Ok(()),
    }
}

fn open(client: &Client, target: Target, subscribe_options: SubscribeOptions) -> Subscription {
    match target {
        Target::All => client.subscribe_all(subscribe_options),
        Target::Stream(stream) => client.subscribe_stream(&stream, subscribe_options),
    }
}

fn subscribe_options(arguments: &Arguments) -> Result<SubscribeOptions, Failure> {
    let from = match arguments.from {
        From::Start => SubscribeFrom::Start,
        From::End => SubscribeFrom::End,
        From::Number(number) => SubscribeFrom::After(number),
    };
    Ok(SubscribeOptions {
        from,
        filter: arguments.selection.filter()?,
        resolve_links: arguments.selection.resolve_links,
        ..SubscribeOptions::default()
    })
}

/// Prints events until there were `count` of them.
async fn follow(
    mut subscription: Subscription,
    count: u64,
    output: &mut Output,
) -> Result<(), Failure> {
    let mut left = count;
    while left > 0 {
        let next = next(&mut subscription, output).await?;
        match next
            .expect("a subscription ends only by an error")
            .map_err(connection::read_failure)?
        {
            SubscriptionEvent::Event(event) => {
                output.event(&connection::line(&event));
                left -= 1;
            }
            SubscriptionEvent::CaughtUp => {
                output.flush().await?;
                tell("caught up: waiting for new events");
            }
            SubscriptionEvent::FellBehind => {
                tell("fell behind: reading on from the log");
            }
            SubscriptionEvent::Confirmed { .. } | SubscriptionEvent::Checkpoint { .. } => {}
        }
    }
    output.flush().await
}

/// What comes next. Before it waits, all that was printed so far is shown.
async fn next(
    subscription: &mut Subscription,
    output: &mut Output,
) -> Result<Option<Result<SubscriptionEvent, ReadError>>, Failure> {
    let mut next = pin!(subscription.next());
    let ready = poll_fn(|context| match next.as_mut().poll(context) {
        Poll::Ready(event) => Poll::Ready(Some(event)),
        Poll::Pending => Poll::Ready(None),
    });
    match ready.await {
        Some(event) if !output.is_full() => Ok(event),
        Some(event) => {
            output.flush().await?;
            Ok(event)
        }
        None => {
            output.flush().await?;
            Ok(next.await)
        }
    }
}
