//! Evolve: puts a change that was decided into its entry, and the heads and the window of recent
//! ids behind it.

use alloc::string::String;

use super::keys::StreamKey;
use super::metadata::{self, DELETED};
use super::{Opening, Store, Target, Written, name};
use crate::event::{self, ContentType, EventFrame, NewEvent};
use crate::id::{EventId, Revision};
use crate::log::tail::Tail;
use crate::request::{Change, Proposal};
use crate::time::Created;

impl Store {
    /// Writes a proposal that was decided so.
    pub(crate) fn write(
        &mut self,
        proposal: &Proposal<'_>,
        target: &Target<'_>,
        created: Created,
        opening: &mut Opening<'_>,
    ) -> Written {
        match proposal.change {
            Change::Append { frames, .. } if target.is_metadata => {
                self.append_metadata(target.owner_key, target.key, frames, created, opening)
            }
            Change::Append { frames, .. } => self.append(target, frames, created, opening),
            Change::Delete { id } => self.truncate(target, DELETED, id, created, opening),
            Change::Tombstone { id } => {
                let event = NewEvent {
                    id,
                    event_type: name::TOMBSTONE_TYPE,
                    content_type: ContentType::Octets,
                    data: b"",
                    metadata: b"",
                };
                let head = self.heads.change(target.owner_key, opening.index);
                let revision = next(head.last);
                head.last = Some(revision);
                head.tombstoned = true;
                let from = opening.gathering.body.len();
                event::encode(&mut opening.gathering.body, target.owner, &event, event::crc32c);
                self.take_in(target.key, revision, from, created, opening)
            }
        }
    }

    fn append(
        &mut self,
        target: &Target<'_>,
        frames: &[u8],
        created: Created,
        opening: &mut Opening<'_>,
    ) -> Written {
        let head = self.heads.peek(target.owner_key).expect("it was decided by its head");
        let first = next(head.last);
        if head.is_deleted() {
            let event = event::accepted(frames).next().expect("an append to write has events");
            let id = revival_id(event.id());
            self.truncate(target, first, id, created, opening);
        }
        let from = opening.gathering.body.len();
        opening.gathering.body.extend_from_slice(frames);
        let written = self.take_in(target.key, first, from, created, opening);
        self.heads.change(target.owner_key, opening.index).last = Some(written.last);
        written
    }

    fn append_metadata(
        &mut self,
        owner: StreamKey,
        key: StreamKey,
        frames: &[u8],
        created: Created,
        opening: &mut Opening<'_>,
    ) -> Written {
        let head = self.heads.peek(owner).expect("it was decided by its head");
        let first = next(head.metadata_last);
        let from = opening.gathering.body.len();
        opening.gathering.body.extend_from_slice(frames);
        let written = self.take_in(key, first, from, created, opening);
        let last = event::accepted(frames).last().expect("an append to write has events");
        self.heads.set_metadata(owner, last.data());
        self.heads.change(owner, opening.index).metadata_last = Some(written.last);
        written
    }

    /// Writes a metadata event that changes `$tb` and nothing else.
    fn truncate(
        &mut self,
        target: &Target<'_>,
        before: Revision,
        id: EventId,
        created: Created,
        opening: &mut Opening<'_>,
    ) -> Written {
        let head = self.heads.peek(target.owner_key).expect("it was decided by its head");
        let data = metadata::with_truncate_before(head.metadata(), before);
        let revision = next(head.metadata_last);
        let stream: String = name::metadata_stream(target.owner);
        let event = NewEvent {
            id,
            event_type: name::METADATA_TYPE,
            content_type: ContentType::Json,
            data: &data,
            metadata: b"",
        };
        let from = opening.gathering.body.len();
        event::encode(&mut opening.gathering.body, &stream, &event, event::crc32c);
        let key = self.key(&stream);
        let written = self.take_in(key, revision, from, created, opening);
        self.heads.set_metadata(target.owner_key, &data);
        self.heads.change(target.owner_key, opening.index).metadata_last = Some(revision);
        written
    }

    /// Stamps the frames that the entry ends with, from an offset on, and remembers their ids.
    fn take_in(
        &mut self,
        key: StreamKey,
        first: Revision,
        from: usize,
        created: Created,
        opening: &mut Opening<'_>,
    ) -> Written {
        let gathering = &mut *opening.gathering;
        let mut revision = first;
        let mut offset = from;
        loop {
            let frame = EventFrame::accepted(&gathering.body[offset..]);
            let (id, length) = (frame.id(), frame.bytes().len());
            event::stamp(&mut gathering.body[offset..offset + length], revision, created);
            let position = Tail::provisional_position(opening.start, offset);
            self.recent.push(key, id, revision, position);
            gathering.event_count += 1;
            if offset + length == gathering.body.len() {
                return Written { first, last: revision, offset };
            }
            offset += length;
            revision = revision.next();
        }
    }
}

fn next(last: Option<Revision>) -> Revision {
    last.map_or(Revision::FIRST, Revision::next)
}

/// The id of the metadata event that revives a deleted stream: made from the id of the event that
/// needs it, so that every attempt to write that makes the same bytes. In the form of a UUID of
/// version 8 (RFC 9562).
fn revival_id(event: EventId) -> EventId {
    let hash = blake3::derive_key("quorate 2026 event that revives a stream", &event.to_bytes());
    let mut bytes: [u8; 16] = hash[..16].try_into().expect("16 of 32 bytes");
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    EventId::from_bytes(bytes)
}
