//! Reads `$all`: the log itself, as far as a filter lets its events through.

use quorate_core::event::{self, EventFrame};
use quorate_core::id::Position;
use quorate_core::log::entry::EntryKind;
use quorate_core::store::filter::Matcher;
use quorate_core::time::Created;

use super::batch::{Batch, Filling, Progress};
use super::link::{self, Shown};
use super::{Direction, From, ReadError, StoreReader};
use crate::log::Chunk;

/// What to read of `$all`.
#[derive(Clone, Debug)]
pub struct AllQuery {
    /// Where to begin. A position may be any number.
    pub from: From<Position>,
    /// Which way to go on.
    pub direction: Direction,
    /// The most events to give; `None` for all there are.
    pub count: Option<u64>,
    /// Which events to give.
    pub filter: Matcher,
    /// Whether links are followed by what they stand for.
    pub resolve_links: bool,
}

/// A read of `$all`, batch by batch.
pub struct AllCursor {
    reader: StoreReader,
    query: AllQuery,
    /// Unknown until the first batch, where the read begins at the end.
    spot: Option<Spot>,
    given: u64,
    /// What was read and not yet looked at to its end.
    chunk: Option<Chunk>,
}

/// How far a read came.
#[derive(Clone, Copy)]
struct Spot {
    /// Forwards: all before was looked at. Backwards: all from here on.
    at: Position,
    /// Whether that is where an event or a record starts, and not just any number.
    is_start: bool,
}

/// How far a walk through a chunk came.
enum Walked {
    /// To its end, in the direction of the read.
    Through,
    /// The batch is full.
    Stopped(Progress),
    /// To a link that is to be resolved.
    Link(Position, Box<[u8]>),
}

impl AllCursor {
    pub(super) fn new(reader: StoreReader, query: AllQuery) -> Self {
        let behind = |position: Position| Position::from_wire(position.get().saturating_add(1));
        let at = match (query.direction, query.from) {
            (_, From::End) => None,
            (Direction::Forwards, From::Start) => Some(Position::START),
            (Direction::Backwards, From::Start) => Some(behind(Position::START)),
            (Direction::Forwards, From::At(position))
            | (Direction::Backwards, From::After(position)) => Some(position),
            (Direction::Forwards, From::After(position))
            | (Direction::Backwards, From::At(position)) => Some(behind(position)),
        };
        let spot = at.map(|at| Spot { at, is_start: false });
        Self { reader, query, spot, given: 0, chunk: None }
    }

    /// The next events.
    ///
    /// - `end`: what is committed: where an entry ends; never less than in the call before
    /// - `now`: for `$maxAge` of streams that links point to
    ///
    /// # Errors
    ///
    /// [`ReadError`], but never that there is no stream. Events before a damaged one are given
    /// first, as far as they are in another part of the log.
    pub async fn next(&mut self, end: Position, now: Created) -> Result<Batch, ReadError> {
        let mut filling = Filling::new(self.reader.limits.batch_bytes_max);
        let mut spot = self.spot.unwrap_or(Spot { at: end, is_start: true });
        if self.query.direction == Direction::Backwards {
            spot.at = spot.at.min(end);
        }
        let progress = match self.fill(end, now, &mut spot, &mut filling).await {
            Ok(progress) => progress,
            Err(_) if filling.event_count() > 0 => Progress::More, // The next call meets it again.
            Err(error) => return Err(error),
        };
        self.spot = Some(spot);
        self.given += filling.event_count();
        let next = match self.query.direction {
            Direction::Forwards => Some(spot.at.get()),
            Direction::Backwards if progress == Progress::AtStart => None,
            Direction::Backwards => spot.at.get().checked_sub(1),
        };
        Ok(filling.finish(next, progress))
    }

    async fn fill(
        &mut self,
        end: Position,
        now: Created,
        spot: &mut Spot,
        filling: &mut Filling,
    ) -> Result<Progress, ReadError> {
        loop {
            if let Some(full) = self.is_full(filling) {
                return Ok(full);
            }
            let chunk = match self.chunk.take() {
                Some(chunk) => chunk,
                None => match self.read(spot.at, end).await? {
                    Some(chunk) => chunk,
                    None if self.query.direction == Direction::Forwards => {
                        return Ok(Progress::AtEnd);
                    }
                    None => return Ok(Progress::AtStart),
                },
            };
            let walked = match self.query.direction {
                Direction::Forwards => self.walk_forwards(&chunk, spot, filling)?,
                Direction::Backwards => self.walk_backwards(&chunk, spot, filling)?,
            };
            match walked {
                Walked::Through => {}
                Walked::Stopped(progress) => {
                    self.chunk = Some(chunk);
                    return Ok(progress);
                }
                Walked::Link(position, link) => {
                    let frame = EventFrame::parse(&link).expect("it was parsed in the chunk");
                    let shown = link::resolve(&self.reader, frame, end, now).await?;
                    self.chunk = Some(chunk);
                    if !self.push(position, frame, &shown, spot, filling) {
                        return Ok(Progress::More);
                    }
                }
            }
        }
    }

    fn is_full(&self, filling: &Filling) -> Option<Progress> {
        if self.query.count.is_some_and(|count| self.given + filling.event_count() >= count) {
            Some(Progress::Counted)
        } else {
            (filling.looked_at >= self.reader.limits.scan_events_max).then_some(Progress::More)
        }
    }

    /// Reads records that go on where the read stands; `None` where there are none.
    async fn read(&self, at: Position, end: Position) -> Result<Option<Chunk>, ReadError> {
        let log = &self.reader.log;
        match self.query.direction {
            Direction::Forwards if at >= end => Ok(None),
            Direction::Forwards => Ok(Some(log.read_forwards(at, end).await?)),
            Direction::Backwards if at == Position::START => Ok(None),
            Direction::Backwards => Ok(Some(log.read_backwards(at, end).await?)),
        }
    }

    fn walk_forwards(
        &self,
        chunk: &Chunk,
        spot: &mut Spot,
        filling: &mut Filling,
    ) -> Result<Walked, ReadError> {
        for (entry, body) in chunk.records().filter(|(entry, _)| entry.kind == EntryKind::Events) {
            if entry.end() <= spot.at {
                continue;
            }
            // Where the walk stopped at an event, it goes on there without a look at those before.
            let distance = spot.at.get().saturating_sub(entry.body_position().get());
            let skip = if spot.is_start { body.len().min(distance as usize) } else { 0 };
            let first = entry.body_position().plus(skip as u64);
            for event in events(first, &body[skip..]) {
                let (position, frame) = event?;
                if position >= spot.at
                    && let Some(stopped) = self.look(position, frame, spot, filling)
                {
                    return Ok(stopped);
                }
            }
            *spot = Spot { at: entry.end(), is_start: true };
        }
        *spot = Spot { at: chunk.end().max(spot.at), is_start: true };
        Ok(Walked::Through)
    }

    fn walk_backwards(
        &self,
        chunk: &Chunk,
        spot: &mut Spot,
        filling: &mut Filling,
    ) -> Result<Walked, ReadError> {
        let records = chunk.records().filter(|(entry, _)| entry.kind == EntryKind::Events);
        for (entry, body) in records.rev() {
            if entry.position >= spot.at {
                continue;
            }
            let found = events(entry.body_position(), body);
            let before = |event: &Result<(Position, EventFrame<'_>), ReadError>| {
                event.as_ref().map_or(true, |(position, _)| *position < spot.at)
            };
            let found: Vec<_> = found.take_while(before).collect::<Result<_, _>>()?;
            for (position, frame) in found.into_iter().rev() {
                if let Some(stopped) = self.look(position, frame, spot, filling) {
                    return Ok(stopped);
                }
            }
            *spot = Spot { at: entry.position, is_start: true };
        }
        *spot = Spot { at: chunk.start().min(spot.at), is_start: true };
        Ok(Walked::Through)
    }

    /// Looks at one event; something where the walk can't go on.
    fn look(
        &self,
        position: Position,
        frame: EventFrame<'_>,
        spot: &mut Spot,
        filling: &mut Filling,
    ) -> Option<Walked> {
        if let Some(full) = self.is_full(filling) {
            return Some(Walked::Stopped(full));
        }
        if !self.query.filter.matches(&frame) {
            self.pass(position, frame, spot, filling);
            return None;
        }
        if self.query.resolve_links && link::is_link(frame) {
            return Some(Walked::Link(position, frame.bytes().into()));
        }
        let added = self.push(position, frame, &Shown::Event, spot, filling);
        (!added).then_some(Walked::Stopped(Progress::More))
    }

    /// Adds an event to the batch; `false` where there is no room.
    fn push(
        &self,
        position: Position,
        frame: EventFrame<'_>,
        shown: &Shown,
        spot: &mut Spot,
        filling: &mut Filling,
    ) -> bool {
        let (bytes, items) = shown.room(frame);
        if !filling.has_room(bytes, items) {
            return false;
        }
        shown.push(filling, position, frame);
        self.pass(position, frame, spot, filling);
        true
    }

    /// The event was looked at.
    fn pass(
        &self,
        position: Position,
        frame: EventFrame<'_>,
        spot: &mut Spot,
        filling: &mut Filling,
    ) {
        filling.looked_at += 1;
        let at = match self.query.direction {
            Direction::Forwards => position.plus(frame.bytes().len() as u64),
            Direction::Backwards => position,
        };
        *spot = Spot { at, is_start: true };
    }
}

/// The events of a record's body, with their positions.
fn events(
    first: Position,
    body: &[u8],
) -> impl Iterator<Item = Result<(Position, EventFrame<'_>), ReadError>> {
    event::frames(body).map(move |parsed| match parsed {
        Ok((offset, frame)) => Ok((first.plus(offset as u64), frame)),
        Err(error) => Err(ReadError::Frame { record_body: first, error }),
    })
}
