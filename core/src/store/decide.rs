//! Whether a change may be written: expected revisions, and retries that are recognised.
//!
//! The rules are KurrentDB's (`IndexWriter.CheckCommit`), since applications rely on them; where it
//! would write an event twice because it has forgotten the first time, this says so instead.

use super::heads::Head;
use super::keys::StreamKey;
use super::recent_ids::{Recent, RecentIds};
use crate::event;
use crate::id::{EventId, Position, Revision};
use crate::request::{Expected, Rejection};

/// What is known of the stream that is to be changed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct State {
    /// Revision of its last event.
    last: Option<Revision>,
    /// Whether it has events that are not deleted, or metadata.
    exists: bool,
    /// Whether all its events are soft-deleted.
    deleted: bool,
    /// Whether it is closed for ever.
    tombstoned: bool,
    /// Where it began anew after it was deleted; zero where it never was.
    begins: Revision,
}

impl State {
    /// Of a stream, or of its metadata stream.
    pub(crate) fn of(head: &Head, is_metadata: bool) -> Self {
        if is_metadata {
            return Self {
                last: head.metadata_last,
                exists: head.metadata_last.is_some(),
                deleted: false,
                tombstoned: head.tombstoned,
                begins: Revision::FIRST,
            };
        }
        let deleted = head.is_deleted();
        Self {
            last: head.last,
            exists: !deleted && (head.last.is_some() || head.metadata_last.is_some()),
            deleted,
            tombstoned: head.tombstoned,
            begins: if deleted { Revision::FIRST } else { head.truncate_before },
        }
    }

    fn holds(&self, expected: Expected) -> bool {
        match expected {
            Expected::Any => true,
            Expected::NoStream => self.last.is_none() || self.deleted,
            Expected::StreamExists => self.exists,
            Expected::Exact(revision) => self.last == Some(revision),
        }
    }

    fn wrong_revision(&self, expected: Expected) -> Decision {
        let gone = self.deleted && expected == Expected::StreamExists;
        let actual = if gone { None } else { self.last };
        Decision::Refuse(Rejection::WrongRevision { expected, actual })
    }
}

/// What was written before.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Evidence<'a> {
    /// The stream whose events are looked for.
    pub(crate) stream: StreamKey,
    /// The newest events of the log.
    pub(crate) recent: &'a RecentIds,
    /// What an earlier [`Decision::ReadIds`] brought.
    pub(crate) loaded: Option<Loaded<'a>>,
    /// Set on a retry: where the log ended before the first attempt.
    pub(crate) retry_since: Option<Position>,
}

/// Ids from the log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Loaded<'a> {
    /// Revision of the first.
    pub(crate) first: Revision,
    /// In order; what is missing at their end is not in the stream.
    pub(crate) ids: &'a [EventId],
    /// Where the last of them stands.
    pub(crate) position: Position,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// It may be written.
    Write,
    /// It was written by an earlier attempt.
    Duplicate {
        /// Revision of its first event.
        first: Revision,
        /// Revision of its last event.
        last: Revision,
        /// Position of its last event.
        position: Position,
    },
    /// It has no events, and what it expects holds.
    Holds,
    /// It may not be written.
    Refuse(Rejection),
    /// Only the log can tell: ids of its stream are needed.
    ReadIds {
        /// Revision of the first.
        first: Revision,
        /// How many.
        count: u32,
    },
}

/// Decides an append.
///
/// - `frames`: its events, already validated
pub(crate) fn append(
    state: &State,
    expected: Expected,
    frames: &[u8],
    count: u32,
    evidence: &Evidence<'_>,
) -> Decision {
    if state.tombstoned {
        let gone = matches!(expected, Expected::Any | Expected::NoStream);
        let holds = count == 0 && gone;
        return if holds { Decision::Holds } else { Decision::Refuse(Rejection::StreamDeleted) };
    }
    if count == 0 {
        let holds = state.holds(expected);
        return if holds { Decision::Holds } else { state.wrong_revision(expected) };
    }
    match (expected, state.last) {
        (Expected::Any | Expected::StreamExists, _) => weak(state, expected, frames, evidence),
        (Expected::NoStream, None) => Decision::Write,
        (Expected::NoStream, Some(last)) => {
            // The retry of what revived a deleted stream finds its events where it began anew; or,
            // where it was deleted again since, wherever its first attempt has put them.
            let first = event::accepted(frames).next().expect("count is not zero");
            let found = evidence.find(first.id());
            let own = found.filter(|it| it.revision == state.begins || evidence.is_retry_of(it));
            let from = own.map_or(Revision::FIRST, |it| it.revision);
            strong(state, expected, from, last, frames, count, evidence)
        }
        (Expected::Exact(revision), Some(last)) if revision < last => {
            strong(state, expected, revision.next(), last, frames, count, evidence)
        }
        // At the very end it is written even where the id has been written before (KurrentDB
        // issue 1898): the client says that it has seen that event.
        (Expected::Exact(_), _) if state.holds(expected) => Decision::Write,
        (Expected::Exact(_), _) => state.wrong_revision(expected),
    }
}

/// Decides a soft delete or a tombstone: one event with this id.
pub(crate) fn delete(
    state: &State,
    expected: Expected,
    id: EventId,
    evidence: &Evidence<'_>,
) -> Decision {
    if let Some(&Recent { revision, position, .. }) = evidence.find(id) {
        return Decision::Duplicate { first: revision, last: revision, position };
    }
    if state.tombstoned {
        return Decision::Refuse(Rejection::StreamDeleted);
    }
    // To delete again could hide what was appended since, or undo what its metadata was set to
    // since: that leaves the stream's own revision, even an exact one, as it was. And where the
    // stream is not as expected, the first attempt may be why.
    if evidence.has_forgotten() {
        return Decision::Refuse(Rejection::RetryExpired);
    }
    if state.holds(expected) { Decision::Write } else { state.wrong_revision(expected) }
}

/// By the ids alone: they may be anywhere in the stream, as far as the window reaches.
fn weak(state: &State, expected: Expected, frames: &[u8], evidence: &Evidence<'_>) -> Decision {
    let mut found = event::accepted(frames).map(|frame| evidence.find(frame.id()));
    let first = found.next().expect("count is not zero");
    let mut last = first;
    let mut all = first.is_some();
    let mut any = all;
    for event in found {
        all &= event.is_some();
        any |= event.is_some();
        last = event;
    }
    if let (true, Some(first), Some(last)) = (all, first, last) {
        return Decision::Duplicate {
            first: first.revision,
            last: last.revision,
            position: last.position,
        };
    }
    // Events leave the window from the front, so where the first is there, none is forgotten.
    if first.is_none() && evidence.has_forgotten() {
        return Decision::Refuse(Rejection::RetryExpired);
    }
    if any {
        return Decision::Refuse(Rejection::CorruptedIdempotency { actual: state.last });
    }
    if state.holds(expected) { Decision::Write } else { state.wrong_revision(expected) }
}

/// By ids and revisions: the events must stand one behind the other from `from` on.
fn strong(
    state: &State,
    expected: Expected,
    from: Revision,
    last: Revision,
    frames: &[u8],
    count: u32,
    evidence: &Evidence<'_>,
) -> Decision {
    let mut revision = from;
    let mut position = Position::START;
    for frame in event::accepted(frames) {
        match evidence.place(frame.id(), revision, last) {
            Place::At(place) => position = place,
            // All of them: when the answer comes, the window may have moved on.
            Place::Unknown => {
                let there = last.next().get() - from.get();
                let count = u32::try_from(there).map_or(count, |there| there.min(count));
                return Decision::ReadIds { first: from, count };
            }
            Place::Elsewhere if revision > from => {
                let actual = state.last;
                return Decision::Refuse(Rejection::CorruptedIdempotency { actual });
            }
            // Its first attempt may have revived the stream somewhere behind.
            Place::Elsewhere
                if expected == Expected::NoStream
                    && (state.deleted || state.begins > Revision::FIRST)
                    && evidence.has_forgotten() =>
            {
                return Decision::Refuse(Rejection::RetryExpired);
            }
            Place::Elsewhere if state.holds(expected) => return Decision::Write,
            Place::Elsewhere => return state.wrong_revision(expected),
        }
        revision = revision.next();
    }
    let last = revision.previous().expect("count is not zero");
    Decision::Duplicate { first: from, last, position }
}

/// Whether an event stands where a retry would find it.
enum Place {
    At(Position),
    Elsewhere,
    Unknown,
}

impl<'a> Evidence<'a> {
    fn find(&self, id: EventId) -> Option<&'a Recent> {
        self.recent.find(self.stream, id)
    }

    /// Whether the window may have lost the first attempt of this retry.
    fn has_forgotten(&self) -> bool {
        self.retry_since.is_some_and(|since| since < self.recent.floor())
    }

    /// Whether an event was written since the first attempt of this retry, and so by it.
    fn is_retry_of(&self, event: &Recent) -> bool {
        self.retry_since.is_some_and(|since| event.position >= since)
    }

    /// Whether this event has this revision in a stream that ends at `last`.
    fn place(&self, id: EventId, revision: Revision, last: Revision) -> Place {
        if revision > last {
            return Place::Elsewhere;
        }
        match self.find(id) {
            Some(recent) if recent.revision == revision => return Place::At(recent.position),
            // The id may be in the stream twice, and only the newest is found.
            Some(_) => {}
            None if self.recent.is_complete() => return Place::Elsewhere,
            None => {}
        }
        let Some(loaded) = &self.loaded else { return Place::Unknown };
        match revision.get().checked_sub(loaded.first.get()) {
            Some(place) if loaded.ids.get(place as usize) == Some(&id) => {
                Place::At(loaded.position)
            }
            Some(_) => Place::Elsewhere,
            // What made the comparison begin further on has left the window since.
            None => Place::Unknown,
        }
    }
}
