//! What can go wrong, by what a program can do about it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use quorate_core::event::FrameError;
use quorate_core::item::ItemError;
use quorate_core::log::entry::LogId;
use quorate_core::request::Rejection;
use quorate_net::wire::ErrorCode;
use quorate_net::{EndpointError, ReceiveError, TrustError, WireError};
use thiserror::Error;

use crate::uri::UriError;

/// Why there is no connection to the node.
#[derive(Clone, Debug, Error)]
pub enum ConnectError {
    /// The URI is malformed.
    #[error(transparent)]
    Uri(#[from] UriError),
    /// The node's certificate is not trusted, or there is nothing to check it by.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// This machine refuses a socket, or the authority can't be used.
    #[error("{0}")]
    Endpoint(Arc<EndpointError>),
    /// The host's name has no address.
    #[error("can't find the address of {host}: {error}")]
    Resolve {
        /// The host of the URI.
        host: String,
        /// Why.
        error: Arc<io::Error>,
    },
    /// Nothing answers there.
    #[error("no answer from {tried} within {} s: is a node running there?", within.as_secs_f32())]
    NoAnswer {
        /// The addresses that were tried.
        tried: String,
        /// For how long.
        within: Duration,
    },
    /// The connection was not made, or was lost again.
    #[error("{0}")]
    Connection(quorate_net::ConnectError),
    /// The stream for calls was lost.
    #[error("{0}")]
    Receive(#[from] ReceiveError),
    /// The node said something that this client does not understand.
    #[error("the node's answer is not understood: {0}")]
    Protocol(#[from] WireError),
    /// The node ended the session.
    #[error("the node ended the session ({code}): {message}")]
    Ended {
        /// What went wrong.
        code: ErrorCode,
        /// The same for a person.
        message: String,
    },
    /// None of several nodes answers.
    #[error("no node can be reached: {tried}")]
    NoNode {
        /// The nodes that were tried, and what came of each.
        tried: Arc<str>,
    },
    /// Nodes may answer, but none that leads.
    #[error("no leader answers: {tried}")]
    NoLeader {
        /// The nodes that were tried, and what each said.
        tried: Arc<str>,
    },
    /// Another log answers there than before, or than elsewhere: positions and revisions mean other
    /// events in it.
    #[error(
        "{address} has another store: cluster {} lineage {}, not cluster {} lineage {}",
        found.cluster, found.lineage, expected.cluster, expected.lineage
    )]
    OtherLog {
        /// Where it answers.
        address: String,
        /// The log of the first connection.
        expected: Box<LogId>,
        /// The log that answers there.
        found: Box<LogId>,
    },
    /// The client was closed.
    #[error("the client is closed")]
    Closed,
}

impl From<EndpointError> for ConnectError {
    fn from(error: EndpointError) -> Self {
        match error {
            EndpointError::Trust(error) => Self::Trust(error),
            EndpointError::Bind { .. } | EndpointError::Tls(_) => Self::Endpoint(Arc::new(error)),
        }
    }
}

impl From<quorate_net::ConnectError> for ConnectError {
    fn from(error: quorate_net::ConnectError) -> Self {
        match error {
            quorate_net::ConnectError::Trust(error) => Self::Trust(error),
            other => Self::Connection(other),
        }
    }
}

/// What is known of a change that did not succeed. (One that did is an `Ok`.)
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Nothing was written, nor will be.
    NotWritten,
    /// It may have been written, or may be in a moment. Trying again *with the same event ids* is
    /// safe for as long as the node remembers them.
    Unknown,
}

/// Why it is not known whether a change was written.
#[derive(Clone, Debug, Error)]
pub enum UnknownReason {
    /// No answer came before the deadline.
    #[error("no answer came before the deadline ({tried})")]
    Deadline {
        /// The nodes that were tried, and what each said.
        tried: Arc<str>,
    },
    /// The node refused a further attempt, for a reason that says nothing of the first.
    #[error("a further attempt was refused: {0}")]
    Refused(Rejection),
    /// The node failed while it dealt with the change.
    #[error("the node failed ({code}): {message}")]
    Failed {
        /// What went wrong.
        code: ErrorCode,
        /// The same for a person.
        message: String,
    },
    /// The client was closed before the answer came.
    #[error("the client was closed")]
    Closed,
}

/// Why a change did not succeed.
#[derive(Clone, Debug, Error)]
pub enum AppendError {
    /// The store refused it: nothing was written.
    #[error(transparent)]
    Rejected(Rejection),
    /// The node could not be reached before the deadline: nothing was written.
    #[error("the node can't be reached: {0}")]
    Unreachable(Arc<ConnectError>),
    /// The node could not carry it out: nothing was written.
    #[error("the node can't do this ({code}): {message}")]
    Failed {
        /// What went wrong.
        code: ErrorCode,
        /// The same for a person.
        message: String,
    },
    /// It may or may not have been written.
    #[error("unknown whether it was written: {0}")]
    Unknown(UnknownReason),
}

impl AppendError {
    /// Whether it is certain that nothing was written.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Rejected(_) | Self::Unreachable(_) | Self::Failed { .. } => Outcome::NotWritten,
            Self::Unknown(_) => Outcome::Unknown,
        }
    }
}

/// Why the node's status is not known.
#[derive(Clone, Debug, Error)]
pub enum StatusError {
    /// The node could not be reached before the deadline.
    #[error("the node can't be reached: {0}")]
    Unreachable(Arc<ConnectError>),
    /// The node did not answer before the deadline.
    #[error("the node did not answer before the deadline")]
    Deadline,
    /// The node could not tell.
    #[error("the node can't tell ({code}): {message}")]
    Failed {
        /// What went wrong.
        code: ErrorCode,
        /// The same for a person.
        message: String,
    },
}

/// Why the lead was not given away, or is not known to be.
#[derive(Clone, Debug, Error)]
pub enum TransferError {
    /// No leader could be reached before the deadline: nothing was done.
    #[error("the leader can't be reached: {0}")]
    Unreachable(Arc<ConnectError>),
    /// The leader did not answer before the deadline.
    #[error("the leader did not answer before the deadline ({tried})")]
    Deadline {
        /// The nodes that were tried, and what each said.
        tried: Arc<str>,
    },
    /// The leader could not do it.
    #[error("the leader can't do this ({code}): {message}")]
    Failed {
        /// What went wrong.
        code: ErrorCode,
        /// The same for a person.
        message: String,
    },
}

/// Why a read or a subscription gives no further event.
#[derive(Clone, Debug, Error)]
pub enum ReadError {
    /// The stream does not exist, or all its events are deleted.
    #[error("stream {stream:?} is not found")]
    NotFound {
        /// Which stream.
        stream: String,
    },
    /// The stream is deleted for ever.
    #[error("stream {stream:?} is deleted for ever (tombstone)")]
    Deleted {
        /// Which stream.
        stream: String,
    },
    /// The node could not be reached before the deadline.
    #[error("the node can't be reached: {0}")]
    Unreachable(Arc<ConnectError>),
    /// The node gave nothing before the deadline.
    #[error("the node gave no event for {} s", within.as_secs_f32())]
    Deadline {
        /// The deadline.
        within: Duration,
    },
    /// The node could not carry it out.
    #[error("the node can't do this ({code}): {message}")]
    Failed {
        /// What went wrong.
        code: ErrorCode,
        /// The same for a person.
        message: String,
    },
    /// The node sent something that this client does not understand.
    #[error("the node's answer is not understood: {0}")]
    Protocol(WireError),
    /// What the node sent does not belong here.
    #[error("the node's answer has no place in a {0}")]
    Unexpected(&'static str),
    /// The node gave a subscription an event that it had given before.
    #[error("the node sent the event {number} out of order")]
    OutOfOrder {
        /// Its revision, or its position in `$all`.
        number: u64,
    },
    /// A batch of events is malformed.
    #[error("the node sent a damaged batch: {0}")]
    Batch(ItemError),
    /// An event is not what its writer wrote, or not what the store stamped.
    #[error("the event at position {position} is damaged: {error}")]
    Damaged {
        /// Its position in `$all`.
        position: u64,
        /// What is wrong.
        error: FrameError,
    },
}
