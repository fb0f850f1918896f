//! Log entries between nodes: each with all of its header, as the payload of one message.
//!
//! Layout of an entry, little-endian:
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 8 | epoch |
//! | 8 | 8 | index |
//! | 16 | 8 | position of its record |
//! | 24 | 8 | events in all entries before it |
//! | 32 | 4 | body length *n* |
//! | 36 | 4 | events in its body |
//! | 40 | 1 | kind ([`EntryKind`]) |
//! | 41 | 7 | zero |
//! | 48 | 32 | chain up to the entry before it |
//! | 80 | 32 | chain up to and with this entry |
//! | 112 | *n* | body |

use quorate_core::id::{ChainHash, Epoch, GroupId, LogIndex, Position};
use quorate_core::log::entry::{EntryHeader, EntryKind, record_bytes};
use quorate_core::message::Message;
use rkyv::{Archive, Serialize};

use super::consensus::{TipBody, epoch, index, session};
use super::{NUMBER_MAX, PeerKind, PeerMessage};
use crate::frame::{Frame, WireError, encode_parts};
use crate::wire::{Kind, access, encode_head, write_archive};

/// What stands before an entry's body.
pub const ENTRY_HEADER_BYTES: usize = 112;
/// Entries in one message. The record of an entry takes 4 KiB at least, so messages that keep to a
/// target of some MiB have less.
pub const ENTRIES_MAX: usize = 4096;

/// The longest payload of a message with entries: one that is just short of its target, and one
/// entry of the longest kind.
///
/// - `message_bytes_target`: log bytes to which entries are gathered for one message
/// - `entry_body_bytes_max`: the longest body of an entry
#[must_use]
pub fn entries_payload_bytes_max(message_bytes_target: u32, entry_body_bytes_max: u32) -> u32 {
    let longest = u32::try_from(record_bytes(entry_body_bytes_max)).unwrap_or(u32::MAX);
    message_bytes_target.saturating_add(longest)
}

#[derive(Archive, Serialize)]
struct EntriesBody {
    group: u64,
    epoch: u64,
    session: u64,
    previous: TipBody,
    last: u64,
    committed: u64,
    count: u32,
}

/// Appends a [`Message::Append`] and its entries to `out` as one frame.
///
/// # Panics
///
/// Where the message is another one, where a body is not as long as its header says, or where there
/// are more than [`ENTRIES_MAX`] entries.
pub fn encode_append<'a>(
    out: &mut Vec<u8>,
    group: GroupId,
    message: &Message,
    entries: impl Iterator<Item = (&'a EntryHeader, &'a [u8])> + Clone,
) {
    let count = entries.clone().count();
    assert!(count <= ENTRIES_MAX, "a message has {count} entries");
    let body = body_of(group, message, count as u32);
    encode_parts(
        out,
        Kind::Peer(PeerKind::Entries),
        |out| write_archive(out, &body),
        |out| {
            for (header, body) in entries {
                push_entry(out, header, body);
            }
        },
    );
}

/// Appends a [`Message::Append`] to `out` as a frame without its payload, which the caller sends
/// behind it: entries that go to several nodes are made into bytes once.
///
/// - `payload`: so many entries, each by [`push_entry`]
///
/// # Panics
///
/// Where the message is another one, or there are more than [`ENTRIES_MAX`] entries.
pub fn encode_append_head(
    out: &mut Vec<u8>,
    group: GroupId,
    message: &Message,
    count: u32,
    payload: &[u8],
) {
    assert!(count as usize <= ENTRIES_MAX, "a message has {count} entries");
    let body = body_of(group, message, count);
    encode_head(out, Kind::Peer(PeerKind::Entries), &body, payload);
}

/// Appends an entry to a payload.
///
/// # Panics
///
/// Where the body is not as long as the header says.
pub fn push_entry(out: &mut Vec<u8>, header: &EntryHeader, body: &[u8]) {
    assert!(body.len() == header.body_bytes as usize, "a body is as long as it says");
    push_header(out, header);
    out.extend_from_slice(body);
}

fn body_of(group: GroupId, message: &Message, count: u32) -> EntriesBody {
    let Message::Append { epoch, session, previous, last, committed } = *message else {
        panic!("only an append has entries");
    };
    EntriesBody {
        group: group.get(),
        epoch: epoch.get(),
        session: session.get(),
        previous: previous.into(),
        last: last.get(),
        committed: committed.get(),
        count,
    }
}

fn push_header(out: &mut Vec<u8>, header: &EntryHeader) {
    let mut bytes = [0; ENTRY_HEADER_BYTES];
    bytes[..8].copy_from_slice(&header.epoch.get().to_le_bytes());
    bytes[8..16].copy_from_slice(&header.index.get().to_le_bytes());
    bytes[16..24].copy_from_slice(&header.position.get().to_le_bytes());
    bytes[24..32].copy_from_slice(&header.events_before.to_le_bytes());
    bytes[32..36].copy_from_slice(&header.body_bytes.to_le_bytes());
    bytes[36..40].copy_from_slice(&header.event_count.to_le_bytes());
    bytes[40] = header.kind.code();
    bytes[48..80].copy_from_slice(&header.previous_chain.to_bytes());
    bytes[80..].copy_from_slice(&header.chain.to_bytes());
    out.extend_from_slice(&bytes);
}

pub(super) fn decode(frame: &Frame) -> Result<PeerMessage<'_>, WireError> {
    let body = access::<ArchivedEntriesBody>(frame, |_| 0)?;
    let malformed = WireError::Body { kind: frame.kind() };
    let message = message_of(body).ok_or(malformed)?;
    let count = body.count.to_native() as usize;
    // So many fit into what has come, before anything is set aside for them.
    if count > ENTRIES_MAX || count * ENTRY_HEADER_BYTES > frame.payload().len() {
        return Err(malformed);
    }
    let mut entries = Vec::with_capacity(count);
    let mut rest = frame.payload();
    for _ in 0..count {
        let (entry, behind) = take_entry(rest).ok_or(WireError::Entry { kind: frame.kind() })?;
        entries.push(entry);
        rest = behind;
    }
    if !rest.is_empty() {
        return Err(malformed);
    }
    let group = GroupId::from_wire(body.group.to_native());
    Ok(PeerMessage::Consensus { group, message, entries })
}

fn message_of(body: &ArchivedEntriesBody) -> Option<Message> {
    Some(Message::Append {
        epoch: epoch(&body.epoch)?,
        session: session(&body.session)?,
        previous: body.previous.value()?,
        last: index(&body.last)?,
        committed: index(&body.committed)?,
    })
}

pub(super) type Entry<'a> = (EntryHeader, &'a [u8]);

/// The entry at the start, and what is behind it; `None` where there is none that could be one.
pub(super) fn take_entry(bytes: &[u8]) -> Option<(Entry<'_>, &[u8])> {
    let (header, rest) = bytes.split_first_chunk::<ENTRY_HEADER_BYTES>()?;
    let word = |at: usize| u32::from_le_bytes(header[at..at + 4].try_into().expect("4 bytes"));
    let number = |at: usize| {
        let number = u64::from_le_bytes(header[at..at + 8].try_into().expect("8 bytes"));
        Some(number).filter(|number| *number <= NUMBER_MAX)
    };
    let chain =
        |at: usize| ChainHash::from_bytes(header[at..at + 32].try_into().expect("32 bytes"));
    if header[41..48] != [0; 7] {
        return None;
    }
    let header = EntryHeader {
        epoch: Epoch::from_wire(number(0)?),
        index: LogIndex::from_wire(number(8)?),
        position: Position::from_wire(number(16)?),
        kind: EntryKind::from_code(header[40])?,
        body_bytes: word(32),
        event_count: word(36),
        events_before: number(24)?,
        previous_chain: chain(48),
        chain: chain(80),
    };
    let (body, rest) = rest.split_at_checked(header.body_bytes as usize)?;
    Some(((header, body), rest))
}
