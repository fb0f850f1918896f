//! What the nodes of a group say to each other, in the same frames as between client and node.
//!
//! A link is one QUIC connection with some streams, its lanes. The first frame on each, in each
//! direction, says what it is:
//!
//! | first frame | lane | what follows |
//! |---|---|---|
//! | `PeerHello` | control | `Found`, `Founded`, `PeerRefused`; `Consensus` |
//! | `LaneHello` | replication, bulk | `Consensus`, `Entries`, `Fetch`, `Fetched` |
//!
//! Whether two nodes belong to one group, and to one history of it, is settled by their hellos;
//! after that a frame says its group only.

mod consensus;
mod entries;
mod fetch;
mod hello;
mod kind;

use quorate_core::id::{GroupId, LogIndex};
use quorate_core::log::entry::{EntryHeader, LogId};
use quorate_core::message::Message;

use super::{Kind, without_payload};
use crate::frame::{Frame, WireError};

pub use consensus::encode_message;
pub use entries::{
    ENTRIES_MAX, ENTRY_HEADER_BYTES, encode_append, encode_append_head, entries_payload_bytes_max,
    push_entry,
};
pub use fetch::{encode_fetch, encode_fetched_head};
pub use hello::{
    ADDRESS_BYTES_MAX, Founding, Lane, MESSAGE_BYTES_MAX, PeerHello, VERSION_BYTES_MAX,
};
pub use kind::PeerKind;

/// The version of everything on a link that its ALPN does not name.
pub const PROTOCOL_VERSION: u32 = 1;

/// No number of an entry or a message is larger, so that there is always a next one. A peer that
/// says otherwise is not believed.
pub const NUMBER_MAX: u64 = 1 << 62;

/// A message between nodes; borrows the bodies of entries from its frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerMessage<'a> {
    /// The first on the control lane: who the node is, and what it knows of its group.
    Hello(Box<PeerHello>),
    /// The first on every other lane.
    LaneHello {
        /// Which lane.
        lane: Lane,
    },
    /// The group that the sender has founded, with the receiver as a member.
    Found(Box<Founding>),
    /// It is on stable storage, and the receiver is a member.
    Founded {
        /// Of which group.
        log: LogId,
    },
    /// The nodes don't belong together; the link ends.
    Refused {
        /// Why, for a person.
        message: String,
    },
    /// What the core says to another one.
    Consensus {
        /// Of which group.
        group: GroupId,
        /// What.
        message: Message,
        /// The entries of [`Message::Append`]; none for all others. Their bodies are not checked
        /// against their chain.
        entries: Vec<(EntryHeader, &'a [u8])>,
    },
    /// Give me this entry: my own copy of it is damaged.
    Fetch {
        /// Of which group.
        group: GroupId,
        /// Which entry.
        index: LogIndex,
    },
    /// The answer.
    Fetched {
        /// Of which group.
        group: GroupId,
        /// Which entry.
        index: LogIndex,
        /// The entry, not checked against its chain; `None` where the node does not know it to be
        /// committed, or can't read it either.
        entry: Option<(EntryHeader, &'a [u8])>,
    },
}

impl<'a> PeerMessage<'a> {
    /// Appends it to `out` as one frame.
    ///
    /// # Panics
    ///
    /// Where a text or the entries are longer than their bounds; the caller checks them first.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Hello(hello) => hello.encode(out),
            Self::LaneHello { lane } => lane.encode(out),
            Self::Found(founding) => founding.encode(out),
            Self::Founded { log } => hello::encode_founded(out, log),
            Self::Refused { message } => hello::encode_refused(out, message),
            Self::Consensus { group, message: message @ Message::Append { .. }, entries } => {
                let entries = entries.iter().map(|(header, body)| (header, *body));
                encode_append(out, *group, message, entries);
            }
            Self::Consensus { group, message, entries } => {
                assert!(entries.is_empty(), "only an append has entries");
                encode_message(out, *group, message);
            }
            Self::Fetch { group, index } => encode_fetch(out, *group, *index),
            Self::Fetched { group, index, entry } => {
                fetch::encode_fetched(out, *group, *index, entry.as_ref());
            }
        }
    }

    /// Reads a frame.
    ///
    /// # Errors
    ///
    /// [`WireError`] where it is not a well-formed message between nodes.
    pub fn decode(frame: &'a Frame) -> Result<Self, WireError> {
        let Kind::Peer(kind) = frame.kind() else {
            return Err(WireError::UnexpectedKind { kind: frame.kind() });
        };
        match kind {
            PeerKind::Entries => return entries::decode(frame),
            PeerKind::Fetched => return fetch::decode_fetched(frame),
            _ => without_payload(frame)?,
        }
        match kind {
            PeerKind::Hello => PeerHello::decode(frame).map(Box::new).map(Self::Hello),
            PeerKind::LaneHello => Lane::decode(frame).map(|lane| Self::LaneHello { lane }),
            PeerKind::Found => Founding::decode(frame).map(Box::new).map(Self::Found),
            PeerKind::Founded => hello::decode_founded(frame).map(|log| Self::Founded { log }),
            PeerKind::Refused => {
                hello::decode_refused(frame).map(|message| Self::Refused { message })
            }
            PeerKind::Consensus => consensus::decode(frame),
            PeerKind::Fetch => fetch::decode_fetch(frame),
            PeerKind::Entries | PeerKind::Fetched => unreachable!("it was read above"),
        }
    }
}
