//! Messages between nodes as frames: made when the core asks for them, taken apart when they come.
//!
//! The same entries go to every follower, so their bytes are made once and shared.

use bytes::Bytes;
use quorate_core::Replica;
use quorate_core::id::{ChainHash, GroupId, LogIndex, NodeId};
use quorate_core::message::{Message, Tip};
use quorate_net::wire::peer::{self, Lane, PeerMessage};
use quorate_net::{Frame, WireError};
use quorate_storage::log::Chunk;

/// Room for any frame without its payload.
const HEAD_BYTES: usize = 192;

/// A frame on its way to another node: its head, and the payload behind it.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// To whom.
    pub to: NodeId,
    /// On which stream.
    pub lane: Lane,
    /// All of the frame but its payload.
    pub head: Bytes,
    /// Entries; empty for most messages.
    pub payload: Bytes,
}

/// Makes frames of messages, for one group.
pub(crate) struct Encoder {
    group: GroupId,
    /// The entries of the last message: behind which, up to which.
    entries: Option<(LogIndex, LogIndex, Bytes)>,
}

impl Encoder {
    pub(crate) const fn new(group: GroupId) -> Self {
        Self { group, entries: None }
    }

    /// A message as the core has it.
    pub(super) fn encode(&mut self, to: NodeId, message: &Message, replica: &Replica) -> Outgoing {
        let Message::Append { previous, last, .. } = message else {
            let mut head = Vec::with_capacity(HEAD_BYTES);
            peer::encode_message(&mut head, self.group, message);
            let (lane, head) = (Lane::Control, head.into());
            return Outgoing { to, lane, head, payload: Bytes::new() };
        };
        let known = self.entries.take();
        let known = known.filter(|(first, end, _)| *first == previous.index && end == last);
        let payload =
            known.map_or_else(|| entries(replica, previous.index, *last), |(_, _, bytes)| bytes);
        self.entries = Some((previous.index, *last, payload.clone()));
        let count = last.get() - previous.index.get();
        self.append(to, Lane::Replication, message, count, payload)
    }

    /// Entries that were read from the log; nothing where none could be.
    pub(super) fn encode_chunk(
        &self,
        to: NodeId,
        message: &Message,
        chunk: &Chunk,
    ) -> Option<Outgoing> {
        let Message::Append { epoch, session, committed, .. } = *message else {
            unreachable!("only entries are sent from the log")
        };
        let (first, _) = chunk.records().next()?;
        let (last, _) = chunk.records().next_back()?;
        let chain: ChainHash = first.previous_chain;
        let previous = Tip { index: first.index.previous(), chain };
        let last = last.index;
        let message = Message::Append { epoch, session, previous, last, committed };
        let mut payload = Vec::new();
        let mut count = 0;
        for (entry, body) in chunk.records() {
            peer::push_entry(&mut payload, entry, body);
            count += 1;
        }
        Some(self.append(to, Lane::Bulk, &message, count, payload.into()))
    }

    fn append(
        &self,
        to: NodeId,
        lane: Lane,
        message: &Message,
        count: u64,
        payload: Bytes,
    ) -> Outgoing {
        let mut head = Vec::with_capacity(HEAD_BYTES);
        let count = u32::try_from(count).expect("a message's bytes are bounded");
        peer::encode_append_head(&mut head, self.group, message, count, &payload);
        Outgoing { to, lane, head: head.into(), payload }
    }

    /// Entries may change between two turns.
    pub(super) fn forget(&mut self) {
        self.entries = None;
    }

    /// Asks a node for an entry.
    pub(crate) fn fetch(&self, to: NodeId, index: LogIndex) -> Outgoing {
        let mut head = Vec::with_capacity(HEAD_BYTES);
        peer::encode_fetch(&mut head, self.group, index);
        Outgoing { to, lane: Lane::Bulk, head: head.into(), payload: Bytes::new() }
    }

    /// Gives a node an entry, or says that there is none to give.
    pub(super) fn fetched(&self, to: NodeId, index: LogIndex, chunk: Option<&Chunk>) -> Outgoing {
        let (mut head, mut payload) = (Vec::with_capacity(HEAD_BYTES), Vec::new());
        let first = chunk.and_then(|chunk| chunk.records().next());
        if let Some((entry, body)) = first.filter(|(entry, _)| entry.index == index) {
            peer::push_entry(&mut payload, entry, body);
        }
        peer::encode_fetched_head(&mut head, self.group, index, &payload);
        Outgoing { to, lane: Lane::Bulk, head: head.into(), payload: payload.into() }
    }

    /// Takes a frame apart that is for an engine of this group.
    pub(crate) fn decode<'a>(&self, frame: &'a Frame) -> Result<PeerMessage<'a>, WireError> {
        let message = PeerMessage::decode(frame)?;
        match &message {
            PeerMessage::Consensus { group, .. }
            | PeerMessage::Fetch { group, .. }
            | PeerMessage::Fetched { group, .. } => {
                if *group == self.group {
                    Ok(message)
                } else {
                    Err(WireError::Body { kind: frame.kind() })
                }
            }
            PeerMessage::Hello(_)
            | PeerMessage::LaneHello { .. }
            | PeerMessage::Found(_)
            | PeerMessage::Founded { .. }
            | PeerMessage::Refused { .. } => Err(WireError::UnexpectedKind { kind: frame.kind() }),
        }
    }
}

/// The entries behind one and up to another, as they travel.
fn entries(replica: &Replica, previous: LogIndex, last: LogIndex) -> Bytes {
    let mut payload = Vec::new();
    let mut index = previous;
    while index < last {
        index = index.next();
        let (entry, body) = replica.entry(index);
        peer::push_entry(&mut payload, entry, body);
    }
    payload.into()
}
