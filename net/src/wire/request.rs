//! What a client says to a node.

use quorate_core::id::{EventId, Position};
use quorate_core::request::Expected;
use rkyv::with::InlineAsBox;
use rkyv::{Archive, Deserialize, Serialize};

use super::body::{ExpectedBody, number};
use super::group::NAME_BYTES_MAX;
use super::{CallId, Kind, Read, Subscribe, access, decode_exact, encode, without_payload};
use crate::frame::{Frame, WireError};

/// A message to a node; borrows from its frame where it is large.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request<'a> {
    /// Opens a session.
    Hello {
        /// Name and version of the client, for the node's log.
        client: &'a str,
    },
    /// Adds events to a stream.
    Append(Append<'a>),
    /// Deletes a stream.
    Delete(Delete<'a>),
    /// Asks how the node is.
    Status {
        /// Comes back with the answer.
        call: CallId,
    },
    /// Opens a read.
    Read(Read),
    /// Opens a subscription.
    Subscribe(Subscribe),
    /// Asks the leader to give the lead away.
    Transfer {
        /// Comes back with the answer.
        call: CallId,
        /// The name of a node, or of a zone; `None` for whichever node is fittest.
        to: Option<String>,
    },
}

/// Adds events to a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Append<'a> {
    /// Comes back with the answer.
    pub call: CallId,
    /// Which stream.
    pub stream: &'a str,
    /// What must hold.
    pub expected: Expected,
    /// Set on a retry: where the log ended, as far as the client knew, before its first attempt.
    pub retry_since: Option<Position>,
    /// Event frames, unstamped; not checked yet ([`crate::event_frames::validate_append`]).
    pub frames: &'a [u8],
}

/// Deletes a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delete<'a> {
    /// Comes back with the answer.
    pub call: CallId,
    /// Which stream.
    pub stream: &'a str,
    /// What must hold.
    pub expected: Expected,
    /// For ever, or so that the stream can be written again.
    pub tombstone: bool,
    /// Id of the event that records the deletion.
    pub id: EventId,
    /// As in [`Append`].
    pub retry_since: Option<Position>,
}

#[derive(Archive, Serialize)]
struct HelloBody<'a> {
    #[rkyv(with = InlineAsBox)]
    client: &'a str,
}

#[derive(Archive, Serialize)]
struct AppendBody<'a> {
    call: u64,
    expected: ExpectedBody,
    retry_since: Option<u64>,
    #[rkyv(with = InlineAsBox)]
    stream: &'a str,
}

#[derive(Archive, Serialize)]
struct DeleteBody<'a> {
    call: u64,
    expected: ExpectedBody,
    retry_since: Option<u64>,
    id: [u8; 16],
    tombstone: bool,
    #[rkyv(with = InlineAsBox)]
    stream: &'a str,
}

#[derive(Archive, Serialize)]
struct StatusBody {
    call: u64,
}

#[derive(Archive, Serialize, Deserialize)]
struct TransferBody {
    call: u64,
    to: Option<String>,
}

impl<'a> Request<'a> {
    /// Appends it to `out` as one frame.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Hello { client } => encode(out, Kind::Hello, &HelloBody { client }, &[]),
            Self::Append(append) => append.encode(out),
            Self::Delete(delete) => delete.encode(out),
            Self::Status { call } => {
                encode(out, Kind::Status, &StatusBody { call: call.get() }, &[]);
            }
            Self::Read(read) => encode(out, Kind::Read, read, &[]),
            Self::Subscribe(subscribe) => encode(out, Kind::Subscribe, subscribe, &[]),
            Self::Transfer { call, to } => {
                let body = TransferBody { call: call.get(), to: to.clone() };
                encode(out, Kind::Transfer, &body, &[]);
            }
        }
    }

    /// Reads a frame.
    ///
    /// # Errors
    ///
    /// [`WireError`] where it is not a well-formed request.
    pub fn decode(frame: &'a Frame) -> Result<Self, WireError> {
        if frame.kind() == Kind::Append {
            return Append::decode(frame).map(Self::Append);
        }
        without_payload(frame)?;
        match frame.kind() {
            Kind::Hello => {
                let body = access::<ArchivedHelloBody<'_>>(frame, |body| body.client.len())?;
                Ok(Self::Hello { client: &body.client })
            }
            Kind::Delete => Delete::decode(frame).map(Self::Delete),
            Kind::Status => {
                let body = access::<ArchivedStatusBody>(frame, |_| 0)?;
                Ok(Self::Status { call: CallId::new(body.call.to_native()) })
            }
            Kind::Read => decode_exact(frame).map(Self::Read),
            Kind::Subscribe => decode_exact(frame).map(Self::Subscribe),
            Kind::Transfer => {
                let TransferBody { call, to } = decode_exact(frame)?;
                if to.as_ref().is_some_and(|to| to.len() > NAME_BYTES_MAX) {
                    return Err(WireError::Body { kind: frame.kind() });
                }
                Ok(Self::Transfer { call: CallId::new(call), to })
            }
            Kind::Append
            | Kind::Welcome
            | Kind::Appended
            | Kind::Refused
            | Kind::StatusReply
            | Kind::Failed
            | Kind::Peer(_)
            | Kind::Confirmed
            | Kind::Events
            | Kind::Checkpoint
            | Kind::CaughtUp
            | Kind::FellBehind
            | Kind::End
            | Kind::NotFound
            | Kind::Deleted
            | Kind::Leader
            | Kind::Transferred => Err(WireError::UnexpectedKind { kind: frame.kind() }),
        }
    }
}

impl<'a> Append<'a> {
    /// Appends it to `out` as one frame.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let body = AppendBody {
            call: self.call.get(),
            expected: self.expected.into(),
            retry_since: self.retry_since.map(Position::get),
            stream: self.stream,
        };
        encode(out, Kind::Append, &body, self.frames);
    }

    fn decode(frame: &'a Frame) -> Result<Self, WireError> {
        let body = access::<ArchivedAppendBody<'_>>(frame, |body| body.stream.len())?;
        Ok(Self {
            call: CallId::new(body.call.to_native()),
            stream: &body.stream,
            expected: (&body.expected).into(),
            retry_since: number(&body.retry_since).map(Position::from_wire),
            frames: frame.payload(),
        })
    }
}

impl<'a> Delete<'a> {
    /// Appends it to `out` as one frame.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let body = DeleteBody {
            call: self.call.get(),
            expected: self.expected.into(),
            retry_since: self.retry_since.map(Position::get),
            id: self.id.to_bytes(),
            tombstone: self.tombstone,
            stream: self.stream,
        };
        encode(out, Kind::Delete, &body, &[]);
    }

    fn decode(frame: &'a Frame) -> Result<Self, WireError> {
        let body = access::<ArchivedDeleteBody<'_>>(frame, |body| body.stream.len())?;
        Ok(Self {
            call: CallId::new(body.call.to_native()),
            stream: &body.stream,
            expected: (&body.expected).into(),
            tombstone: body.tombstone,
            id: EventId::from_bytes(body.id),
            retry_since: number(&body.retry_since).map(Position::from_wire),
        })
    }
}
