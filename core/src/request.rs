//! What a client asks of the store, and the three ways in which it can end.
//!
//! Done, refused, and unknown: the node lost the lead before it could tell, or it or the link went
//! away. After an unknown outcome the client retries with the same event ids.

use core::fmt;

use crate::id::{EventId, NodeId, Position, RequestId, Revision};

/// The state that a stream must be in for an append to be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Expected {
    /// Whatever it is. A repeated event id is recognised while the recent-id window holds it.
    Any,
    /// It has no events, or all of them were deleted (but not tombstoned).
    NoStream,
    /// It has at least one event, or metadata.
    StreamExists,
    /// Its last event has exactly this revision.
    Exact(Revision),
}

impl fmt::Display for Expected {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => out.write_str("any"),
            Self::NoStream => out.write_str("none"),
            Self::StreamExists => out.write_str("exists"),
            Self::Exact(revision) => revision.fmt(out),
        }
    }
}

/// What to do to a stream.
#[derive(Clone, Copy, Debug)]
pub enum Change<'a> {
    /// Adds events, all or none, one behind the other.
    Append {
        /// Event frames for this stream, one behind the other, content already verified by the
        /// shell ([`crate::event`]). None at all is a mere check of `expected`.
        frames: &'a [u8],
        /// How many frames.
        count: u32,
    },
    /// Hides all events; the stream can be written again from the next revision on.
    Delete {
        /// Id of the metadata event that does it.
        id: EventId,
    },
    /// Closes the stream for ever.
    Tombstone {
        /// Id of the last event, `$streamDeleted`.
        id: EventId,
    },
}

/// A client's wish to change one stream.
#[derive(Clone, Copy, Debug)]
pub struct Proposal<'a> {
    /// Comes back with the outcome.
    pub request: RequestId,
    /// Any UTF-8 name that is not empty; `$$x` holds the metadata of `x`.
    pub stream: &'a str,
    /// What must hold.
    pub expected: Expected,
    /// What to do.
    pub change: Change<'a>,
    /// Set on a retry: where the log ended, as far as the client knew, before its first attempt.
    /// Where the window of recent ids no longer reaches back to there, an append that would
    /// otherwise be written again is refused as [`Rejection::RetryExpired`].
    pub retry_since: Option<Position>,
}

/// An append, delete or tombstone that is on stable storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Revision of the first event; `None` for an append without events.
    pub first: Option<Revision>,
    /// Revision of the stream's last event of this append; `None` for an append without events.
    pub last: Option<Revision>,
    /// Position of the last event; for an append without events, where the log ended.
    pub position: Position,
    /// Whether the events had been written by an earlier attempt.
    pub duplicate: bool,
}

/// How a proposal ended, once that is certain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is on stable storage.
    Appended(Appended),
    /// It was not done and never will be.
    Refused(Rejection),
    /// The node does not lead any more. What it had begun, the next leader may finish or not.
    Unknown,
}

/// What a reader must see at least.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Consistency {
    /// All that was acknowledged before the read came. The leader alone can tell.
    #[default]
    Linearizable,
    /// Only what is committed, as far as this node knows. Any node can tell, without asking others.
    Committed,
}

/// Why the lead was not given to another node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TransferError {
    /// This node does not lead.
    NotLeader {
        /// Who does, as far as it knows.
        leader: Option<NodeId>,
    },
    /// Another transfer is under way.
    Busy,
    /// The group has no such node.
    UnknownNode,
    /// No other node can be reached that has, or soon will have, all entries.
    NoCandidate,
    /// The node did not take over in time; this one goes on.
    TimedOut,
}

impl fmt::Display for TransferError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotLeader { leader: Some(leader) } => {
                write!(out, "this node does not lead; node {leader} does")
            }
            Self::NotLeader { leader: None } => {
                out.write_str("this node does not lead, and knows of no leader")
            }
            Self::Busy => out.write_str("another transfer is under way"),
            Self::UnknownNode => out.write_str("the group has no such node"),
            Self::NoCandidate => out.write_str(
                "no other node can take over: none is reached that is fit to lead and up to date",
            ),
            Self::TimedOut => {
                out.write_str("the node did not take over in time; the leader goes on")
            }
        }
    }
}

impl core::error::Error for TransferError {}

/// A bound that a request broke, by its name in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Bound {
    /// One event frame.
    EventBytes,
    /// All frames of one append.
    AppendBytes,
    /// A stream's name.
    StreamNameBytes,
    /// An event's type.
    EventTypeBytes,
    /// An event's metadata.
    EventMetadataBytes,
    /// A stream's metadata.
    StreamMetadataBytes,
    /// A filter's prefixes or expression.
    FilterBytes,
}

impl Bound {
    /// The name of the setting.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::EventBytes => "event_bytes_max",
            Self::AppendBytes => "append_bytes_max",
            Self::StreamNameBytes => "stream_name_bytes_max",
            Self::EventTypeBytes => "event_type_bytes_max",
            Self::EventMetadataBytes => "event_metadata_bytes_max",
            Self::StreamMetadataBytes => "stream_metadata_bytes_max",
            Self::FilterBytes => "filter_bytes_max",
        }
    }
}

/// A refusal: the client's to handle. Nothing was written, and a retry is safe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// The stream is not in the expected state. KurrentDB: `WrongExpectedVersion`.
    WrongRevision {
        /// What the client expected.
        expected: Expected,
        /// The stream's last revision; `None` where it has no events.
        actual: Option<Revision>,
    },
    /// Some of the events had been written before and some had not. KurrentDB reports this, too, as
    /// `WrongExpectedVersion`.
    CorruptedIdempotency {
        /// The stream's last revision.
        actual: Option<Revision>,
    },
    /// The stream is closed for ever by a tombstone. KurrentDB: `StreamDeleted`.
    StreamDeleted,
    /// A retry whose first attempt may have been written, too long ago to tell.
    RetryExpired,
    /// Too much is waiting for the disk; try again in a moment.
    Overloaded,
    /// The disk is full; appends are taken again once there is space.
    DiskFull,
    /// This node can't take appends now (it starts, stops, or is not ready to lead yet).
    NotReady,
    /// This node does not lead.
    NotLeader {
        /// Who does, as far as it knows.
        leader: Option<NodeId>,
    },
    /// A bound was broken.
    TooLarge {
        /// Which one.
        bound: Bound,
        /// What it allows, in bytes.
        max: u64,
        /// What was asked, in bytes.
        found: u64,
    },
    /// A stream's name is empty, or `$all`, or `$$$$…`: metadata has no metadata. Nor can a
    /// metadata stream be deleted.
    InvalidStreamName,
    /// An event frame is malformed, is for another stream, has no type, or has the type of a
    /// tombstone; or there are not as many as was said.
    InvalidEvent,
    /// Events for `$$x` must be JSON objects whose known fields have the right types.
    InvalidMetadata,
    /// What must be read to decide this is damaged on disk. Like [`Rejection::RetryExpired`] it
    /// says nothing of an earlier attempt.
    Damaged,
}

impl fmt::Display for Rejection {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WrongRevision { expected, actual } => {
                write!(out, "wrong expected revision: expected {expected}, ")?;
                write_actual(out, *actual)
            }
            Self::CorruptedIdempotency { actual } => {
                out.write_str("some of these events were written before and some were not; ")?;
                write_actual(out, *actual)
            }
            Self::StreamDeleted => out.write_str("the stream is deleted for ever (tombstone)"),
            Self::RetryExpired => out.write_str(
                "unknown whether the first attempt was written: it is older than the window of recent event ids",
            ),
            Self::Overloaded => out.write_str("overloaded: too many appends are waiting for the disk; try again"),
            Self::DiskFull => out.write_str("the disk is full; appends go on by themselves once there is space"),
            Self::NotReady => out.write_str("the node is not ready for appends; try again"),
            Self::NotLeader { leader: Some(leader) } => {
                write!(out, "this node does not lead; node {leader} does")
            }
            Self::NotLeader { leader: None } => {
                out.write_str("this node does not lead, and knows of no leader; try again")
            }
            Self::TooLarge { bound, max, found } => {
                write!(out, "{} is {max} bytes, and this has {found}", bound.name())
            }
            Self::InvalidStreamName => out.write_str("this stream can't be changed so: its name must not be empty, nor $all, nor start with $$$$; and a metadata stream ($$) can't be deleted"),
            Self::InvalidEvent => out.write_str("an event is malformed, is for another stream, has no type, or has the reserved type $streamDeleted"),
            Self::InvalidMetadata => out.write_str("stream metadata must be a JSON object with valid fields"),
            Self::Damaged => out.write_str("what must be read of this stream to decide is damaged on disk"),
        }
    }
}

fn write_actual(out: &mut fmt::Formatter<'_>, actual: Option<Revision>) -> fmt::Result {
    match actual {
        Some(revision) => write!(out, "the stream is at {revision}"),
        None => out.write_str("the stream has no events"),
    }
}

impl core::error::Error for Rejection {}
