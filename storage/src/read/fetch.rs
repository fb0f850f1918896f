//! Fetches events of one stream from the places that the index gives: many reads at once where
//! they lie far apart, one read where they are neighbours.

use std::collections::VecDeque;

use quorate_core::event::EventFrame;
use quorate_core::id::{Position, Revision};

use super::{ReadError, StoreReader, concurrent};
use crate::index::Positions;
use crate::log::{self, Chunk, EventBytes};

/// Events that lie within this many bytes of the log are neighbours.
const NEAR_BYTES: u64 = 128 << 10;
/// From so many neighbours on, one long read is cheaper than one for each.
const NEIGHBOURS_MIN: usize = 8;

/// Where an event should be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) revision: Revision,
    pub(super) position: Position,
}

/// What the index gave, one by one.
pub(super) fn places(found: &Positions) -> VecDeque<Place> {
    let revisions = (0..).map(|count| found.first.plus(count));
    revisions
        .zip(&found.positions)
        .map(|(revision, position)| Place { revision, position: *position })
        .collect()
}

/// An event that was read.
pub(super) struct Fetched {
    pub(super) position: Position,
    bytes: Bytes,
}

enum Bytes {
    Read(EventBytes),
    Copied(Box<[u8]>),
}

impl Fetched {
    pub(super) fn frame(&self) -> EventFrame<'_> {
        let bytes = match &self.bytes {
            Bytes::Read(bytes) => bytes,
            Bytes::Copied(bytes) => &**bytes,
        };
        EventFrame::parse(bytes).expect("it was parsed when it was read")
    }
}

/// Takes some places from the front, in whichever direction they go, and reads their events.
///
/// - `end`: what is committed; all of `places` are before it
pub(super) async fn fetch(
    reader: &StoreReader,
    stream: &str,
    places: &mut VecDeque<Place>,
    end: Position,
) -> Result<Vec<Fetched>, ReadError> {
    let first = places[0].position;
    let near = |place: &&Place| place.position.get().abs_diff(first.get()) < NEAR_BYTES;
    let neighbours = places.iter().take_while(near).count();
    if neighbours >= NEIGHBOURS_MIN {
        match read_part(reader, places[0], places[neighbours - 1], end).await {
            Ok(chunks) => {
                let taken = places.drain(..neighbours);
                let found = taken.map(|place| {
                    event_in(&chunks, stream, place).ok_or_else(|| mismatch(stream, place))
                });
                return found.collect();
            }
            // What is damaged may belong to other streams; the single reads tell.
            Err(log::ReadError::Corrupt(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    fetch_each(reader, stream, places).await
}

/// The same, without looking for neighbours.
pub(super) async fn fetch_each(
    reader: &StoreReader,
    stream: &str,
    places: &mut VecDeque<Place>,
) -> Result<Vec<Fetched>, ReadError> {
    let count = places.len().min(reader.limits.fetches_max);
    let taken: Vec<Place> = places.drain(..count).collect();
    let reads = taken.iter().map(|place| event_at(reader, stream, *place));
    concurrent::join(reads).await.into_iter().collect()
}

/// Reads one event, and makes sure that it is the one.
pub(super) async fn event_at(
    reader: &StoreReader,
    stream: &str,
    place: Place,
) -> Result<Fetched, ReadError> {
    let bytes = reader.log.read_event(place.position).await?;
    let event = Fetched { position: place.position, bytes: Bytes::Read(bytes) };
    if is_expected(event.frame(), stream, place) { Ok(event) } else { Err(mismatch(stream, place)) }
}

/// Reads all records between two places, whichever of them is the earlier.
async fn read_part(
    reader: &StoreReader,
    one: Place,
    other: Place,
    end: Position,
) -> Result<Vec<Chunk>, log::ReadError> {
    let mut from = one.position.min(other.position);
    let last = one.position.max(other.position);
    let mut chunks = Vec::new();
    while from <= last {
        let chunk = reader.log.read_forwards(from, end).await?;
        from = chunk.end();
        chunks.push(chunk);
    }
    Ok(chunks)
}

fn event_in(chunks: &[Chunk], stream: &str, place: Place) -> Option<Fetched> {
    let chunk = chunks.iter().find(|chunk| place.position < chunk.end())?;
    let (entry, body) = chunk.records().find(|(entry, _)| place.position < entry.end())?;
    let offset = place.position.get().checked_sub(entry.body_position().get())?;
    let frame = EventFrame::parse(body.get(usize::try_from(offset).ok()?..)?).ok()?;
    is_expected(frame, stream, place)
        .then(|| Fetched { position: place.position, bytes: Bytes::Copied(frame.bytes().into()) })
}

fn is_expected(event: EventFrame<'_>, stream: &str, place: Place) -> bool {
    event.stream() == stream && event.revision() == place.revision
}

fn mismatch(stream: &str, place: Place) -> ReadError {
    let Place { revision, position } = place;
    ReadError::Mismatch { position, stream: stream.to_owned(), revision }
}
