//! How commands reach a node, and what they say when that, or the request, does not work.

use std::collections::HashSet;
use std::path::PathBuf;
use std::time::Duration;

use quorate_client::{
    AppendError, Client, ConnectError, NodeStatus, Options as ClientOptions, ReadError, ReadEvent,
    ReadOptions, StatusError,
};
use quorate_core::id::EventId;
use quorate_core::request::Rejection;

use super::failure::{Exit, Failure};
use super::output::{EventLine, Format};

/// Where a node is when nothing else is said.
pub(super) const DEFAULT_URI: &str = "quorate://127.0.0.1:2113";

/// What every command takes.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// The node to talk to, or several of a group with commas in between
    #[arg(
        long,
        global = true,
        env = "QUORATE_URI",
        value_name = "URI",
        default_value = DEFAULT_URI,
        help_heading = "Connection and output"
    )]
    pub uri: String,

    /// The certificate authority to trust (certs/ca.pem in the node's data folder); a node on this
    /// machine is trusted without it
    #[arg(
        long,
        global = true,
        env = "QUORATE_CA",
        value_name = "FILE",
        help_heading = "Connection and output"
    )]
    pub ca: Option<PathBuf>,

    /// How long to wait for a node before giving up
    #[arg(
        long,
        global = true,
        value_name = "SECONDS",
        default_value_t = 10,
        value_parser = clap::value_parser!(u64).range(1..=3600),
        help_heading = "Connection and output"
    )]
    pub timeout: u64,

    /// How results are printed; json is one object a line
    #[arg(
        short,
        long,
        global = true,
        value_enum,
        default_value_t,
        help_heading = "Connection and output"
    )]
    pub output: Format,
}

impl Options {
    /// The same way to print, but to the nodes at `uri` with this authority.
    pub(super) fn for_group(&self, uri: String, ca: PathBuf) -> Self {
        Self { uri, ca: Some(ca), timeout: self.timeout, output: self.output }
    }

    fn deadline(&self) -> Duration {
        Duration::from_secs(self.timeout)
    }
}

/// Connects to the node.
///
/// # Errors
///
/// A URI that is none, or no node that can be reached and trusted.
pub(super) async fn connect(options: &Options) -> Result<Client, Failure> {
    let client_options = ClientOptions {
        ca: options.ca.clone(),
        trust: None,
        deadline: options.deadline(),
        connect_deadline: options.deadline(),
        name: concat!("quorate/", env!("CARGO_PKG_VERSION")).to_owned(),
    };
    Client::connect(&options.uri, client_options).await.map_err(|error| connect_failure(&error))
}

fn connect_failure(error: &ConnectError) -> Failure {
    let exit = match error {
        ConnectError::Uri(_) => Exit::Usage,
        ConnectError::Trust(_)
        | ConnectError::Endpoint(_)
        | ConnectError::Resolve { .. }
        | ConnectError::NoAnswer { .. }
        | ConnectError::Connection(_)
        | ConnectError::Receive(_)
        | ConnectError::Protocol(_)
        | ConnectError::Ended { .. }
        | ConnectError::OtherLog { .. }
        | ConnectError::NoNode { .. }
        | ConnectError::NoLeader { .. }
        | ConnectError::Closed => Exit::Unreachable,
    };
    let failure = Failure::new(exit, error);
    match error {
        ConnectError::NoAnswer { .. } | ConnectError::NoNode { .. } => failure
            .hint("Start a node with `quorate serve`, or say with --uri where one is running."),
        ConnectError::NoLeader { .. } => failure.hint(
            "`quorate status` says which nodes are away; `quorate read --committed` needs no leader.",
        ),
        _ => failure,
    }
}

/// Why a change was not made, or is not known to be.
pub(super) fn append_failure(error: AppendError) -> Failure {
    match error {
        AppendError::Rejected(rejection) => rejected(&rejection),
        AppendError::Unreachable(error) => connect_failure(&error),
        AppendError::Failed { .. } => Failure::failed(error),
        AppendError::Unknown(_) => Failure::new(Exit::Unknown, error)
            .hint("Look with `quorate read`, or repeat it with the same --id."),
    }
}

fn rejected(rejection: &Rejection) -> Failure {
    let exit = match rejection {
        Rejection::WrongRevision { .. } | Rejection::CorruptedIdempotency { .. } => {
            Exit::WrongRevision
        }
        Rejection::StreamDeleted => Exit::NotFound,
        Rejection::RetryExpired => Exit::Unknown,
        Rejection::Overloaded
        | Rejection::DiskFull
        | Rejection::NotReady
        | Rejection::NotLeader { .. }
        | Rejection::TooLarge { .. }
        | Rejection::InvalidStreamName
        | Rejection::InvalidMetadata
        | Rejection::InvalidEvent
        | Rejection::Damaged => Exit::Failed,
    };
    Failure::new(exit, rejection)
}

/// Why events were not read.
pub(super) fn read_failure(error: ReadError) -> Failure {
    let exit = match error {
        ReadError::Unreachable(error) => return connect_failure(&error),
        ReadError::NotFound { .. } | ReadError::Deleted { .. } => Exit::NotFound,
        ReadError::Deadline { .. } => Exit::Unreachable,
        ReadError::Failed { .. }
        | ReadError::Protocol(_)
        | ReadError::Unexpected(_)
        | ReadError::Batch(_)
        | ReadError::Damaged { .. }
        | ReadError::OutOfOrder { .. } => Exit::Failed,
    };
    Failure::new(exit, error)
}

/// Why the status is not known.
pub(super) fn status_failure(error: StatusError) -> Failure {
    match error {
        StatusError::Unreachable(error) => connect_failure(&error),
        StatusError::Deadline => Failure::new(Exit::Unreachable, error),
        StatusError::Failed { .. } => Failure::failed(error),
    }
}

/// How the group is, as its leader sees it; where that can't be asked, as the node that is reached
/// does.
///
/// # Errors
///
/// Where no node answers.
pub(super) async fn group_status(client: &Client) -> Result<NodeStatus, Failure> {
    let status = client.status().await.map_err(status_failure)?;
    let group = &status.replication;
    let leader = group.leader.filter(|leader| *leader != status.node);
    let address = leader
        .and_then(|leader| group.members.iter().find(|member| member.node == leader))
        .map(|member| member.address.clone())
        .filter(|address| !address.is_empty());
    let Some(address) = address else { return Ok(status) };
    // Whoever leads knows more; that it does not answer shows in what the other node says.
    Ok(client.status_of(&address).await.unwrap_or(status))
}

/// The ids of all events of a stream that readers see; none where there is no such stream.
///
/// # Errors
///
/// Where the stream can't be read, or is deleted for ever.
pub(super) async fn event_ids(client: &Client, stream: &str) -> Result<HashSet<EventId>, Failure> {
    let mut ids = HashSet::new();
    let mut events = client.read_stream(stream, ReadOptions::default());
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => drop(ids.insert(event.original().id())),
            Err(ReadError::NotFound { .. }) => break,
            Err(error) => return Err(read_failure(error)),
        }
    }
    Ok(ids)
}

/// An event as it is printed; of a resolved link, the event that it points to.
pub(super) fn line(read: &ReadEvent) -> EventLine<'_> {
    let event = &read.event;
    EventLine {
        stream: event.stream(),
        revision: event.revision(),
        position: event.position(),
        id: event.id(),
        event_type: event.event_type(),
        content_type: event.content_type(),
        data: event.data(),
        metadata: event.metadata(),
        created: event.created(),
    }
}
