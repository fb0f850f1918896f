//! What a node says to a client.

use std::fmt;

use quorate_core::id::{ClusterId, GroupId, Lineage, NodeId, Position};
use quorate_core::log::entry::LogId;
use quorate_core::request::{Appended, Rejection};
use rkyv::with::InlineAsBox;
use rkyv::{Archive, Deserialize, Serialize};

use super::body::{AppendedBody, RejectionBody, number};
use super::group::{LeaderHint, MemberAddress, NAME_BYTES_MAX, are_within_bounds};
use super::{
    CallId, ClientLimits, Kind, NodeStatus, access, decode_exact, encode, encode_head,
    without_body, without_payload,
};
use crate::frame::{Frame, WireError};

/// A message to a client; borrows from its frame where it is large.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply<'a> {
    /// The session is open.
    Welcome(Box<Welcome>),
    /// An append or delete is on stable storage.
    Appended {
        /// Which call.
        call: CallId,
        /// Where the events stand.
        appended: Appended,
    },
    /// An append or delete was not done and never will be.
    Refused {
        /// Which call.
        call: CallId,
        /// Why.
        rejection: Rejection,
    },
    /// How the node is.
    Status {
        /// Which call.
        call: CallId,
        /// How it is.
        status: Box<NodeStatus>,
    },
    /// A call, or the whole stream, came to nothing.
    Failed {
        /// Which call; `None` for the whole stream, which ends with this.
        call: Option<CallId>,
        /// What went wrong.
        code: ErrorCode,
        /// The same for a person, with particulars.
        message: &'a str,
    },
    /// The subscription stands.
    Confirmed {
        /// The number (revision or position) behind which events follow; `None` for the start.
        /// A client that loses the link before its first event goes on from here.
        after: Option<u64>,
    },
    /// Read items ([`quorate_core::item`]).
    Events {
        /// How many items.
        count: u32,
        /// The items; not checked yet.
        items: &'a [u8],
    },
    /// The subscription has looked at everything up to here.
    Checkpoint {
        /// A position in `$all`, or the revision in the stream.
        after: u64,
    },
    /// The subscription has reached the end; what follows is live.
    CaughtUp,
    /// The subscriber is slower than the log grows; it catches up again.
    FellBehind,
    /// The read is over.
    End {
        /// Where a further read in this direction would go on (`At`); `None` before the start.
        next: Option<u64>,
        /// Whether the last (or first) event was reached, and not just the count.
        at_end: bool,
    },
    /// The stream to read does not exist.
    NotFound,
    /// The stream to read is deleted for ever.
    Deleted,
    /// What the node knows of the group has changed; sent on each open session, unasked.
    Leader {
        /// Who leads, as far as the node knows.
        leader: Option<LeaderHint>,
        /// The group's members.
        members: Vec<MemberAddress>,
    },
    /// Another node leads now, as was asked.
    Transferred {
        /// Which call.
        call: CallId,
        /// The name of the node that led.
        from: String,
        /// The name of the node that leads now.
        to: String,
        /// Its reign.
        epoch: u64,
        /// How long nobody took appends.
        took_us: u64,
    },
}

/// Opens a session: who the node is, and what it takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// The group whose log it keeps.
    pub log: LogId,
    /// The node within the cluster.
    pub node: NodeId,
    /// The node's name.
    pub name: String,
    /// Version of its program.
    pub version: String,
    /// The address behind the last committed entry.
    pub committed: Position,
    /// Bounds on what a client sends.
    pub limits: ClientLimits,
    /// Who leads, as far as the node knows.
    pub leader: Option<LeaderHint>,
    /// The group's members, the node itself among them.
    pub members: Vec<MemberAddress>,
}

/// What went wrong, for a program.
#[derive(Archive, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// The bytes were not a message, or one that has no place there.
    Protocol,
    /// The request can't be carried out as it is: a bad name, filter or event.
    InvalidRequest,
    /// The node can't serve it now (it starts, or is no leader); try again.
    NotReady,
    /// The node is stopping; try again.
    Stopping,
    /// Too much is open or waiting; try again in a moment.
    Overloaded,
    /// Stored bytes fail their checksums: they can't be shown.
    Corruption,
    /// A fault of the node that the client can do nothing about.
    Internal,
    /// The node lost the lead while the call was under way: the next leader may have it or not.
    LeadershipLost,
    /// The node does not lead, and only the leader can serve this.
    NotLeader,
}

impl ErrorCode {
    /// A stable word for scripts.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Protocol => "protocol",
            Self::InvalidRequest => "invalid_request",
            Self::NotReady => "not_ready",
            Self::Stopping => "stopping",
            Self::Overloaded => "overloaded",
            Self::Corruption => "corruption",
            Self::Internal => "internal",
            Self::LeadershipLost => "leadership_lost",
            Self::NotLeader => "not_leader",
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

#[derive(Archive, Serialize, Deserialize)]
struct WelcomeBody {
    cluster: [u8; 16],
    group: u64,
    lineage: [u8; 16],
    node: u64,
    committed: u64,
    event_bytes_max: u32,
    append_bytes_max: u32,
    stream_name_bytes_max: u32,
    event_type_bytes_max: u32,
    event_metadata_bytes_max: u32,
    stream_metadata_bytes_max: u32,
    filter_bytes_max: u32,
    version: String,
    name: String,
    leader: Option<LeaderHint>,
    members: Vec<MemberAddress>,
}

#[derive(Archive, Serialize, Deserialize)]
struct LeaderBody {
    leader: Option<LeaderHint>,
    members: Vec<MemberAddress>,
}

#[derive(Archive, Serialize, Deserialize)]
struct TransferredBody {
    call: u64,
    from: String,
    to: String,
    epoch: u64,
    took_us: u64,
}

#[derive(Archive, Serialize)]
struct CallAppendedBody {
    call: u64,
    appended: AppendedBody,
}

#[derive(Archive, Serialize)]
struct RefusedBody {
    call: u64,
    rejection: RejectionBody,
}

#[derive(Archive, Serialize, Deserialize)]
struct StatusReplyBody {
    call: u64,
    status: NodeStatus,
}

#[derive(Archive, Serialize)]
struct FailedBody<'a> {
    call: Option<u64>,
    code: ErrorCode,
    #[rkyv(with = InlineAsBox)]
    message: &'a str,
}

#[derive(Archive, Serialize)]
struct ConfirmedBody {
    after: Option<u64>,
}

#[derive(Archive, Serialize)]
struct EventsBody {
    count: u32,
}

#[derive(Archive, Serialize)]
struct CheckpointBody {
    after: u64,
}

#[derive(Archive, Serialize)]
struct EndBody {
    next: Option<u64>,
    at_end: bool,
}

/// Appends an `Events` frame to `out`, all but its items, which the caller sends right behind it
/// from where they lie.
///
/// - `count`: how many items there are
pub fn encode_events_head(out: &mut Vec<u8>, count: u32, items: &[u8]) {
    encode_head(out, Kind::Events, &EventsBody { count }, items);
}

impl<'a> Reply<'a> {
    /// Appends it to `out` as one frame.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Welcome(welcome) => welcome.encode(out),
            Self::Appended { call, appended } => {
                let body = CallAppendedBody { call: call.get(), appended: appended.into() };
                encode(out, Kind::Appended, &body, &[]);
            }
            Self::Refused { call, rejection } => {
                let body = RefusedBody { call: call.get(), rejection: rejection.into() };
                encode(out, Kind::Refused, &body, &[]);
            }
            Self::Status { call, status } => {
                let body = StatusReplyBody { call: call.get(), status: (**status).clone() };
                encode(out, Kind::StatusReply, &body, &[]);
            }
            Self::Failed { call, code, message } => {
                let body = FailedBody { call: call.map(CallId::get), code: *code, message };
                encode(out, Kind::Failed, &body, &[]);
            }
            Self::Confirmed { after } => {
                encode(out, Kind::Confirmed, &ConfirmedBody { after: *after }, &[]);
            }
            Self::Events { count, items } => {
                encode(out, Kind::Events, &EventsBody { count: *count }, items);
            }
            Self::Checkpoint { after } => {
                encode(out, Kind::Checkpoint, &CheckpointBody { after: *after }, &[]);
            }
            Self::CaughtUp => encode(out, Kind::CaughtUp, &(), &[]),
            Self::FellBehind => encode(out, Kind::FellBehind, &(), &[]),
            Self::End { next, at_end } => {
                encode(out, Kind::End, &EndBody { next: *next, at_end: *at_end }, &[]);
            }
            Self::NotFound => encode(out, Kind::NotFound, &(), &[]),
            Self::Deleted => encode(out, Kind::Deleted, &(), &[]),
            Self::Leader { leader, members } => {
                assert!(are_within_bounds(members), "a group keeps to its bounds");
                let body = LeaderBody { leader: *leader, members: members.clone() };
                encode(out, Kind::Leader, &body, &[]);
            }
            Self::Transferred { call, from, to, epoch, took_us } => {
                let body = TransferredBody {
                    call: call.get(),
                    from: from.clone(),
                    to: to.clone(),
                    epoch: *epoch,
                    took_us: *took_us,
                };
                encode(out, Kind::Transferred, &body, &[]);
            }
        }
    }

    /// Reads a frame.
    ///
    /// # Errors
    ///
    /// [`WireError`] where it is not a well-formed reply.
    pub fn decode(frame: &'a Frame) -> Result<Self, WireError> {
        if frame.kind() == Kind::Events {
            let body = access::<ArchivedEventsBody>(frame, |_| 0)?;
            return Ok(Self::Events { count: body.count.to_native(), items: frame.payload() });
        }
        without_payload(frame)?;
        match frame.kind() {
            Kind::Appended => {
                let body = access::<ArchivedCallAppendedBody>(frame, |_| 0)?;
                let call = CallId::new(body.call.to_native());
                Ok(Self::Appended { call, appended: (&body.appended).into() })
            }
            Kind::Refused => {
                let body = access::<ArchivedRefusedBody>(frame, |_| 0)?;
                let call = CallId::new(body.call.to_native());
                Ok(Self::Refused { call, rejection: (&body.rejection).into() })
            }
            Kind::Welcome => Welcome::decode(frame).map(Box::new).map(Self::Welcome),
            Kind::Leader => {
                let LeaderBody { leader, members } = decode_exact(frame)?;
                within_bounds(frame, &members)?;
                Ok(Self::Leader { leader, members })
            }
            Kind::Transferred => {
                let TransferredBody { call, from, to, epoch, took_us } = decode_exact(frame)?;
                Ok(Self::Transferred { call: CallId::new(call), from, to, epoch, took_us })
            }
            Kind::StatusReply => {
                let body: StatusReplyBody = decode_exact(frame)?;
                Ok(Self::Status { call: CallId::new(body.call), status: Box::new(body.status) })
            }
            Kind::Failed => decode_failed(frame),
            Kind::Confirmed => {
                let body = access::<ArchivedConfirmedBody>(frame, |_| 0)?;
                Ok(Self::Confirmed { after: number(&body.after) })
            }
            Kind::Checkpoint => {
                let body = access::<ArchivedCheckpointBody>(frame, |_| 0)?;
                Ok(Self::Checkpoint { after: body.after.to_native() })
            }
            Kind::CaughtUp => without_body(frame).map(|()| Self::CaughtUp),
            Kind::FellBehind => without_body(frame).map(|()| Self::FellBehind),
            Kind::End => {
                let body = access::<ArchivedEndBody>(frame, |_| 0)?;
                Ok(Self::End { next: number(&body.next), at_end: body.at_end })
            }
            Kind::NotFound => without_body(frame).map(|()| Self::NotFound),
            Kind::Deleted => without_body(frame).map(|()| Self::Deleted),
            Kind::Events
            | Kind::Peer(_)
            | Kind::Hello
            | Kind::Append
            | Kind::Delete
            | Kind::Status
            | Kind::Read
            | Kind::Subscribe
            | Kind::Transfer => Err(WireError::UnexpectedKind { kind: frame.kind() }),
        }
    }
}

fn decode_failed(frame: &Frame) -> Result<Reply<'_>, WireError> {
    let body = access::<ArchivedFailedBody<'_>>(frame, |body| body.message.len())?;
    let code = match body.code {
        ArchivedErrorCode::Protocol => ErrorCode::Protocol,
        ArchivedErrorCode::InvalidRequest => ErrorCode::InvalidRequest,
        ArchivedErrorCode::NotReady => ErrorCode::NotReady,
        ArchivedErrorCode::Stopping => ErrorCode::Stopping,
        ArchivedErrorCode::Overloaded => ErrorCode::Overloaded,
        ArchivedErrorCode::Corruption => ErrorCode::Corruption,
        ArchivedErrorCode::Internal => ErrorCode::Internal,
        ArchivedErrorCode::LeadershipLost => ErrorCode::LeadershipLost,
        ArchivedErrorCode::NotLeader => ErrorCode::NotLeader,
    };
    Ok(Reply::Failed { call: number(&body.call).map(CallId::new), code, message: &body.message })
}

fn within_bounds(frame: &Frame, members: &[MemberAddress]) -> Result<(), WireError> {
    if are_within_bounds(members) { Ok(()) } else { Err(WireError::Body { kind: frame.kind() }) }
}

impl Welcome {
    fn encode(&self, out: &mut Vec<u8>) {
        assert!(are_within_bounds(&self.members), "a group keeps to its bounds");
        let body = WelcomeBody {
            cluster: self.log.cluster.to_bytes(),
            group: self.log.group.get(),
            lineage: self.log.lineage.to_bytes(),
            node: self.node.get(),
            committed: self.committed.get(),
            event_bytes_max: self.limits.event_bytes_max,
            append_bytes_max: self.limits.append_bytes_max,
            stream_name_bytes_max: self.limits.stream_name_bytes_max,
            event_type_bytes_max: self.limits.event_type_bytes_max,
            event_metadata_bytes_max: self.limits.event_metadata_bytes_max,
            stream_metadata_bytes_max: self.limits.stream_metadata_bytes_max,
            filter_bytes_max: self.limits.filter_bytes_max,
            version: self.version.clone(),
            name: self.name.clone(),
            leader: self.leader,
            members: self.members.clone(),
        };
        encode(out, Kind::Welcome, &body, &[]);
    }

    fn decode(frame: &Frame) -> Result<Self, WireError> {
        let body: WelcomeBody = decode_exact(frame)?;
        within_bounds(frame, &body.members)?;
        if body.name.len() > NAME_BYTES_MAX {
            return Err(WireError::Body { kind: frame.kind() });
        }
        Ok(Self {
            log: LogId {
                cluster: ClusterId::from_bytes(body.cluster),
                group: GroupId::from_wire(body.group),
                lineage: Lineage::from_bytes(body.lineage),
            },
            node: NodeId::from_wire(body.node),
            name: body.name,
            version: body.version,
            committed: Position::from_wire(body.committed),
            limits: ClientLimits {
                event_bytes_max: body.event_bytes_max,
                append_bytes_max: body.append_bytes_max,
                stream_name_bytes_max: body.stream_name_bytes_max,
                event_type_bytes_max: body.event_type_bytes_max,
                event_metadata_bytes_max: body.event_metadata_bytes_max,
                stream_metadata_bytes_max: body.stream_metadata_bytes_max,
                filter_bytes_max: body.filter_bytes_max,
            },
            leader: body.leader,
            members: body.members,
        })
    }
}
