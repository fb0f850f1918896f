//! What frames mean: every message between a client and a node.
//!
//! A client opens streams, the node answers on them. The first frame gives a stream its role:
//!
//! | first frame | stream | answers |
//! |---|---|---|
//! | `Hello` | *session*: then any number of `Append`, `Delete`, `Status`, `Transfer`, pipelined | `Welcome`, then `Appended`, `Refused`, `Status`, `Transferred` or `Failed` for each call, in any order; unasked, `Leader` |
//! | `Read` | one read | `Events` …, then one of `End`, `NotFound`, `Deleted`, `Failed` |
//! | `Subscribe` | one subscription | `Confirmed`, then `Events`, `Checkpoint`, `CaughtUp`, `FellBehind` …, at last `Deleted` or `Failed` |
//!
//! [`Request`] and [`Reply`] speak the core's language (`Expected`, `Rejection`, `Position`). The
//! archives behind them are private: their bytes are held by golden files, so that a change to a
//! type of the core cannot change the wire unseen. A body is refused unless it is just as long as
//! its parts: no bytes travel that belong to nothing.

mod body;
pub mod group;
pub mod peer;
pub mod read;
mod reply;
mod request;
mod status;

use std::fmt;

use quorate_core::Limits;
use rkyv::api::high::{HighSerializer, HighValidator, to_bytes_in};
use rkyv::bytecheck::CheckBytes;
use rkyv::rancor::Failure;
use rkyv::ser::allocator::ArenaHandle;
use rkyv::{Portable, Serialize};

use crate::frame::{self, Frame, WireError};

pub use group::{LeaderHint, MemberAddress};
pub use read::{Direction, Filter, Read, ReadFrom, Subscribe, SubscribeFrom, Target};
pub use reply::{ErrorCode, Reply, Welcome, encode_events_head};
pub use request::{Append, Delete, Request};
pub use status::{
    Detail, GroupStatus, MemberProgress, MemberStatus, NodeStatus, Role, Serving, Tolerates,
};

/// The application protocol that TLS negotiates: another version of the messages gets another name.
pub const ALPN: &[u8] = b"quorate/1";

/// Read items are gathered to about this many bytes before they are sent as one `Events` frame.
pub const BATCH_BYTES_TARGET: u32 = 256 << 10;

/// The longest payload of an `Events` frame: a batch, and one link with its target beyond that.
#[must_use]
pub fn events_payload_bytes_max(event_bytes_max: u32) -> u32 {
    let item = event_bytes_max.saturating_add(quorate_core::item::ITEM_HEADER_BYTES as u32);
    item.saturating_mul(2).saturating_add(BATCH_BYTES_TARGET)
}

/// Declares the kinds of frames once: code, name, and back.
macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $code:literal,)*) => {
        /// What a frame's body is. Requests have codes below 64, replies from 64 on.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Kind {
            $($(#[$doc])* $name,)*
            /// One between nodes ([`peer`]); those have codes from 128 on.
            Peer(peer::PeerKind),
        }

        impl Kind {
            /// Every kind between client and node.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Its code in the frame's header.
            #[must_use]
            pub const fn code(self) -> u8 {
                match self { $(Self::$name => $code,)* Self::Peer(kind) => kind.code() }
            }

            /// The kind with this code.
            #[must_use]
            pub const fn from_code(code: u8) -> Option<Self> {
                match code {
                    $($code => Some(Self::$name),)*
                    // Not `map`: this is const.
                    _ => match peer::PeerKind::from_code(code) {
                        Some(kind) => Some(Self::Peer(kind)),
                        None => None,
                    },
                }
            }
        }

        impl fmt::Display for Kind {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$name => out.write_str(stringify!($name)),)*
                    Self::Peer(kind) => kind.fmt(out),
                }
            }
        }
    };
}

kinds! {
    /// Opens a session.
    Hello = 1,
    /// Adds events to a stream.
    Append = 2,
    /// Deletes a stream.
    Delete = 3,
    /// Asks how the node is.
    Status = 4,
    /// Opens a read.
    Read = 5,
    /// Opens a subscription.
    Subscribe = 6,
    /// Asks the leader to give the lead away.
    Transfer = 7,
    /// The session is open.
    Welcome = 64,
    /// An append or delete is on stable storage.
    Appended = 65,
    /// An append or delete was not done and never will be.
    Refused = 66,
    /// How the node is.
    StatusReply = 67,
    /// A call, or the whole stream, came to nothing.
    Failed = 68,
    /// The subscription stands.
    Confirmed = 69,
    /// Read items.
    Events = 70,
    /// A filtered subscription has seen everything up to here.
    Checkpoint = 71,
    /// The subscription has reached the end; what follows is live.
    CaughtUp = 72,
    /// The subscriber is slower than the log grows; it catches up again.
    FellBehind = 73,
    /// The read is over.
    End = 74,
    /// The stream to read does not exist.
    NotFound = 75,
    /// The stream to read is deleted for ever.
    Deleted = 76,
    /// What the node knows of the group has changed.
    Leader = 77,
    /// Another node leads now.
    Transferred = 78,
}

/// One call on one session: chosen by the client, unique among the calls under way, sent back in
/// the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(u64);

impl CallId {
    /// Wraps the client's number.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The client's number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for CallId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

/// The node's bounds on what a client sends, in bytes, told in `Welcome`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientLimits {
    /// One event frame.
    pub event_bytes_max: u32,
    /// All event frames of one append.
    pub append_bytes_max: u32,
    /// A stream's name.
    pub stream_name_bytes_max: u32,
    /// An event's type.
    pub event_type_bytes_max: u32,
    /// An event's metadata.
    pub event_metadata_bytes_max: u32,
    /// A stream's metadata.
    pub stream_metadata_bytes_max: u32,
    /// A filter's prefixes together, or its expression.
    pub filter_bytes_max: u32,
}

impl From<&Limits> for ClientLimits {
    fn from(limits: &Limits) -> Self {
        Self {
            event_bytes_max: limits.event_bytes_max,
            append_bytes_max: limits.append_bytes_max,
            stream_name_bytes_max: limits.stream_name_bytes_max,
            event_type_bytes_max: limits.event_type_bytes_max,
            event_metadata_bytes_max: limits.event_metadata_bytes_max,
            stream_metadata_bytes_max: limits.stream_metadata_bytes_max,
            filter_bytes_max: limits.filter_bytes_max,
        }
    }
}

/// Appends a frame without its payload, which the caller sends behind it.
fn encode_head<B>(out: &mut Vec<u8>, kind: Kind, body: &B, payload: &[u8])
where
    B: for<'a> Serialize<HighSerializer<Vec<u8>, ArenaHandle<'a>, Failure>>,
{
    frame::encode_head(out, kind, payload, |out| write_archive(out, body));
}

/// Appends an archive.
fn write_archive<B>(out: &mut Vec<u8>, body: &B)
where
    B: for<'a> Serialize<HighSerializer<Vec<u8>, ArenaHandle<'a>, Failure>>,
{
    // rkyv takes its writer by value; taking and putting back moves three words.
    let buffer = std::mem::take(out);
    *out = to_bytes_in::<_, Failure>(body, buffer).expect("a vector takes any archive");
}

/// Appends a whole frame.
fn encode<B>(out: &mut Vec<u8>, kind: Kind, body: &B, payload: &[u8])
where
    B: for<'a> Serialize<HighSerializer<Vec<u8>, ArenaHandle<'a>, Failure>>,
{
    encode_head(out, kind, body, payload);
    out.extend_from_slice(payload);
}

/// Views the body of a frame as an archive.
///
/// - `outside`: the bytes of the archive's strings, which lie before its root
fn access<A>(frame: &Frame, outside: impl FnOnce(&A) -> usize) -> Result<&A, WireError>
where
    A: Portable + for<'a> CheckBytes<HighValidator<'a, Failure>>,
{
    let malformed = WireError::Body { kind: frame.kind() };
    let archive = rkyv::access::<A, Failure>(frame.body()).map_err(|Failure| malformed)?;
    if frame.body().len() != size_of::<A>() + outside(archive) {
        return Err(malformed);
    }
    Ok(archive)
}

/// Reads a body that is not on the hot path: it must be just what this program would write.
fn decode_exact<T>(frame: &Frame) -> Result<T, WireError>
where
    T: rkyv::Archive + for<'a> Serialize<HighSerializer<Vec<u8>, ArenaHandle<'a>, Failure>>,
    T::Archived: for<'a> CheckBytes<HighValidator<'a, Failure>>
        + rkyv::Deserialize<T, rkyv::api::high::HighDeserializer<Failure>>,
{
    let malformed = WireError::Body { kind: frame.kind() };
    let value = rkyv::from_bytes::<T, Failure>(frame.body()).map_err(|Failure| malformed)?;
    let canonical = to_bytes_in::<_, Failure>(&value, Vec::new()).map_err(|Failure| malformed)?;
    if canonical == frame.body() { Ok(value) } else { Err(malformed) }
}

fn without_payload(frame: &Frame) -> Result<(), WireError> {
    if frame.payload().is_empty() {
        Ok(())
    } else {
        Err(WireError::UnexpectedPayload { kind: frame.kind() })
    }
}

fn without_body(frame: &Frame) -> Result<(), WireError> {
    without_payload(frame)?;
    if frame.body().is_empty() { Ok(()) } else { Err(WireError::Body { kind: frame.kind() }) }
}
