//! One entry of the log for a node whose own copy is damaged.

use quorate_core::id::{GroupId, LogIndex};
use rkyv::{Archive, Serialize};

use super::consensus::index;
use super::entries::{Entry, take_entry};
use super::{PeerKind, PeerMessage};
use crate::frame::{Frame, WireError};
use crate::wire::{Kind, access, encode, encode_head};

/// Which entry, in the question and in the answer.
#[derive(Archive, Serialize)]
struct EntryBody {
    group: u64,
    index: u64,
}

/// Appends a [`PeerMessage::Fetch`] to `out` as one frame.
pub fn encode_fetch(out: &mut Vec<u8>, group: GroupId, index: LogIndex) {
    let body = EntryBody { group: group.get(), index: index.get() };
    encode(out, Kind::Peer(PeerKind::Fetch), &body, &[]);
}

/// Appends a [`PeerMessage::Fetched`] to `out` as a frame without its payload, which the caller
/// sends behind it.
///
/// - `payload`: the entry by [`super::push_entry`], or nothing where the node has none to give
pub fn encode_fetched_head(out: &mut Vec<u8>, group: GroupId, index: LogIndex, payload: &[u8]) {
    let body = EntryBody { group: group.get(), index: index.get() };
    encode_head(out, Kind::Peer(PeerKind::Fetched), &body, payload);
}

pub(super) fn encode_fetched(
    out: &mut Vec<u8>,
    group: GroupId,
    index: LogIndex,
    entry: Option<&Entry<'_>>,
) {
    let mut payload = Vec::new();
    if let Some((header, body)) = entry {
        super::push_entry(&mut payload, header, body);
    }
    encode_fetched_head(out, group, index, &payload);
    out.extend_from_slice(&payload);
}

pub(super) fn decode_fetch(frame: &Frame) -> Result<PeerMessage<'_>, WireError> {
    let (group, index) = entry_of(frame)?;
    Ok(PeerMessage::Fetch { group, index })
}

pub(super) fn decode_fetched(frame: &Frame) -> Result<PeerMessage<'_>, WireError> {
    let (group, index) = entry_of(frame)?;
    if frame.payload().is_empty() {
        return Ok(PeerMessage::Fetched { group, index, entry: None });
    }
    let (entry, rest) =
        take_entry(frame.payload()).ok_or(WireError::Entry { kind: frame.kind() })?;
    if !rest.is_empty() || entry.0.index != index {
        return Err(WireError::Body { kind: frame.kind() });
    }
    Ok(PeerMessage::Fetched { group, index, entry: Some(entry) })
}

/// Which entry a frame is about; there is none before the first.
fn entry_of(frame: &Frame) -> Result<(GroupId, LogIndex), WireError> {
    let body = access::<ArchivedEntryBody>(frame, |_| 0)?;
    let index = index(&body.index).filter(|index| *index > LogIndex::ZERO);
    let index = index.ok_or(WireError::Body { kind: frame.kind() })?;
    Ok((GroupId::from_wire(body.group.to_native()), index))
}
