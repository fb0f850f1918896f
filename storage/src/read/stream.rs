//! Reads one stream.

use std::collections::VecDeque;

use quorate_core::id::{Position, Revision};
use quorate_core::time::Created;

use super::batch::{Batch, Filling, Progress};
use super::fetch::{self, Fetched, Place};
use super::head::Head;
use super::link::{self, Shown};
use super::{Direction, From, ReadError, StoreReader, concurrent};

/// Positions that the index is asked for at once.
const PLACES_MAX: u64 = 256;

/// What to read of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamQuery {
    /// Its name.
    pub stream: String,
    /// Where to begin.
    pub from: From<Revision>,
    /// Which way to go on.
    pub direction: Direction,
    /// The most events to give; `None` for all there are.
    pub count: Option<u64>,
    /// Whether links are followed by what they stand for.
    pub resolve_links: bool,
}

/// A read of one stream, batch by batch.
pub struct StreamCursor {
    reader: StoreReader,
    query: StreamQuery,
    head: Head,
    /// The next revision to look at; `None` before the very first. Unknown until the first batch.
    next: Option<Option<Revision>>,
    /// Forwards: there is none of the events to come before this.
    since: Position,
    given: u64,
    places: VecDeque<Place>,
    fetched: VecDeque<(Fetched, Shown)>,
}

impl StreamCursor {
    pub(super) fn new(reader: StoreReader, query: StreamQuery) -> Self {
        let head = Head::new(&reader, &query.stream);
        Self {
            reader,
            query,
            head,
            next: None,
            since: Position::START,
            given: 0,
            places: VecDeque::new(),
            fetched: VecDeque::new(),
        }
    }

    /// The next events.
    ///
    /// - `end`: what is committed; never less than in the call before
    /// - `now`: for `$maxAge`
    ///
    /// # Errors
    ///
    /// [`ReadError`]; after [`ReadError::NotFound`] the cursor can be asked again.
    pub async fn next(&mut self, end: Position, now: Created) -> Result<Batch, ReadError> {
        self.head.refresh(&self.reader).await?;
        let next = self.next.unwrap_or_else(|| self.begin());
        self.next = Some(next);
        let last = self.head.readable()?;
        match self.query.direction {
            Direction::Forwards => self.forwards(last, end, now).await,
            Direction::Backwards => self.backwards(last, end, now).await,
        }
    }

    /// Where the read starts, now that the stream's end is known.
    fn begin(&self) -> Option<Revision> {
        let last = self.head.last();
        match (self.query.direction, self.query.from) {
            (_, From::Start) => Some(Revision::FIRST),
            (_, From::At(revision)) => Some(revision),
            (Direction::Forwards, From::End) => Some(last.map_or(Revision::FIRST, Revision::next)),
            (Direction::Forwards, From::After(revision)) => {
                Some(Revision::from_wire(revision.get().saturating_add(1)))
            }
            (Direction::Backwards, From::End) => Some(last.unwrap_or(Revision::FIRST)),
            (Direction::Backwards, From::After(revision)) => revision.previous(),
        }
    }

    async fn forwards(
        &mut self,
        last: Revision,
        end: Position,
        now: Created,
    ) -> Result<Batch, ReadError> {
        let mut filling = Filling::new(self.reader.limits.batch_bytes_max);
        let first_visible = self.head.metadata().first_visible(last);
        let mut next = self.next.flatten().expect("forwards there is always a next");
        let progress = loop {
            if let Some(full) = self.is_full(&filling) {
                break full;
            }
            // What metadata hides is skipped without reading it.
            if next < first_visible && next <= last {
                next = first_visible.min(last.next());
                self.forget();
            }
            if self.fetched.is_empty() {
                match self.fetch_from(next, end, now).await {
                    Ok(true) => {}
                    Ok(false) => {
                        self.since = end;
                        break Progress::AtEnd;
                    }
                    Err(error) => break self.failed(error, &filling)?,
                }
            }
            let Some((event, shown)) = self.fetched.front() else { continue };
            if !self.show(event, shown, last, now, &mut filling) {
                break Progress::More;
            }
            next = event.frame().revision().next();
            self.fetched.pop_front();
        };
        self.next = Some(Some(next));
        self.given += filling.event_count();
        Ok(filling.finish(Some(next.get()), progress))
    }

    async fn backwards(
        &mut self,
        last: Revision,
        end: Position,
        now: Created,
    ) -> Result<Batch, ReadError> {
        let mut filling = Filling::new(self.reader.limits.batch_bytes_max);
        let first_visible = self.head.metadata().first_visible(last);
        let mut next = self.next.flatten().map(|revision| revision.min(last));
        let progress = loop {
            if let Some(full) = self.is_full(&filling) {
                break full;
            }
            let Some(revision) = next.filter(|revision| *revision >= first_visible) else {
                next = None;
                break Progress::AtStart;
            };
            if self.fetched.is_empty() {
                match self.fetch_down_from(revision, end, now).await {
                    Ok(found) => next = found,
                    Err(error) => break self.failed(error, &filling)?,
                }
            }
            let Some((event, shown)) = self.fetched.front() else { continue };
            if !self.show(event, shown, last, now, &mut filling) {
                break Progress::More;
            }
            next = event.frame().revision().previous();
            self.fetched.pop_front();
        };
        self.next = Some(next);
        self.given += filling.event_count();
        Ok(filling.finish(next.map(Revision::get), progress))
    }

    /// Something could not be read: what stands before it is given first, and the next call meets
    /// it again.
    fn failed(&mut self, error: ReadError, filling: &Filling) -> Result<Progress, ReadError> {
        self.forget();
        if filling.event_count() > 0 { Ok(Progress::More) } else { Err(error) }
    }

    fn is_full(&self, filling: &Filling) -> Option<Progress> {
        if self.query.count.is_some_and(|count| self.given + filling.event_count() >= count) {
            Some(Progress::Counted)
        } else {
            (filling.looked_at >= self.reader.limits.scan_events_max).then_some(Progress::More)
        }
    }

    /// Adds an event to the batch unless it is hidden; `false` where there is no room for it.
    fn show(
        &self,
        event: &Fetched,
        shown: &Shown,
        last: Revision,
        now: Created,
        filling: &mut Filling,
    ) -> bool {
        let frame = event.frame();
        let metadata = self.head.metadata();
        if metadata.visible(frame.revision(), frame.created(), last, now) {
            let (bytes, items) = shown.room(frame);
            if !filling.has_room(bytes, items) {
                return false;
            }
            shown.push(filling, event.position, frame);
        }
        filling.looked_at += 1;
        true
    }

    /// Forgets what was fetched ahead.
    fn forget(&mut self) {
        self.places.clear();
        self.fetched.clear();
    }

    /// Fetches events from a revision on; whether there are any.
    async fn fetch_from(
        &mut self,
        next: Revision,
        end: Position,
        now: Created,
    ) -> Result<bool, ReadError> {
        if self.places.is_empty() {
            let (key, since) = (self.head.key(), self.since);
            let found = self.reader.index.positions(key, next, PLACES_MAX, since).await?;
            self.places = fetch::places(&found);
        }
        let committed = self.places.partition_point(|place| place.position < end);
        self.places.truncate(committed);
        if self.places.is_empty() {
            return Ok(false);
        }
        self.fetch(end, now).await?;
        Ok(true)
    }

    /// Fetches events from a revision down to older ones. Returns where to go on: further down,
    /// where those above are not committed.
    async fn fetch_down_from(
        &mut self,
        next: Revision,
        end: Position,
        now: Created,
    ) -> Result<Option<Revision>, ReadError> {
        if self.places.is_empty() {
            let first = Revision::from_wire((next.get() + 1).saturating_sub(PLACES_MAX));
            let count = next.get() - first.get() + 1;
            let key = self.head.key();
            let found = self.reader.index.positions(key, first, count, Position::START).await?;
            self.places = fetch::places(&found);
            let committed = self.places.partition_point(|place| place.position < end);
            self.places.truncate(committed);
            self.places.make_contiguous().reverse();
            if self.places.is_empty() {
                return Ok(first.previous());
            }
        }
        let next = self.places[0].revision;
        self.fetch(end, now).await?;
        Ok(Some(next))
    }

    async fn fetch(&mut self, end: Position, now: Created) -> Result<(), ReadError> {
        let stream = self.head.stream();
        let events = fetch::fetch(&self.reader, stream, &mut self.places, end).await?;
        let resolve = self.query.resolve_links;
        let shown = concurrent::join(events.iter().map(|event| async {
            if resolve && link::is_link(event.frame()) {
                link::resolve(&self.reader, event.frame(), end, now).await
            } else {
                Ok(Shown::Event)
            }
        }));
        let shown = shown.await;
        for (event, shown) in events.into_iter().zip(shown) {
            self.fetched.push_back((event, shown?));
        }
        Ok(())
    }
}
