//! The store as a plain list of events: what may be answered, written down as simply as can be.

use quorate_core::id::{EventId, Position, Revision};
use quorate_core::request::{Appended, Expected, Outcome, Rejection};
use quorate_core::store::metadata::{DELETED, StreamMetadata};
use quorate_core::store::name;

use crate::shell::Stored;

/// A change as a test asks for it.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    pub(crate) stream: String,
    pub(crate) expected: Expected,
    pub(crate) kind: Kind,
    /// Of an append, as many as it likes; of others, one.
    pub(crate) ids: Vec<EventId>,
    pub(crate) retry_since: Option<Position>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Append,
    Delete,
    Tombstone,
}

/// What a plain store would do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Write it; where `revive`, behind a metadata event that shows the stream again.
    Write { first: Revision, revive: bool },
    /// Say this.
    Say(Outcome),
    /// An append without events is as expected.
    Holds,
}

/// The stream without `$$`.
pub(crate) fn owner(stream: &str) -> &str {
    name::metadata_owner(stream).unwrap_or(stream)
}

/// What is true of the stream of a wish behind `log`.
struct View<'a> {
    wish: &'a Wish,
    /// Of the stream that is written to.
    events: Vec<&'a Stored>,
    last: Option<Revision>,
    deleted: bool,
    begins: u64,
    exists: bool,
    /// The newest of each id counts.
    window: &'a [Stored],
    forgotten: bool,
}

/// Decides a wish behind a log, with a window of so many events.
pub(crate) fn decide(log: &[Stored], window_max: usize, wish: &Wish) -> Verdict {
    let owner = owner(&wish.stream);
    let metadata_stream = name::metadata_stream(owner);
    let of = |stream: &str| log.iter().filter(|event| event.stream == stream).collect::<Vec<_>>();
    let (own, metadata, events) = (of(owner), of(&metadata_stream), of(&wish.stream));
    let truncated = metadata
        .last()
        .and_then(|event| StreamMetadata::parse(&event.data).expect("validated").truncate_before);
    let is_metadata = wish.stream == metadata_stream;
    let deleted = truncated == Some(DELETED) && !is_metadata;
    let window = &log[log.len().saturating_sub(window_max)..];
    let floor = if log.len() > window_max { window[0].position } else { Position::START };
    let view = View {
        last: events.last().map(|event| event.revision),
        deleted,
        begins: if deleted || is_metadata { 0 } else { truncated.map_or(0, Revision::get) },
        exists: !events.is_empty() || (!is_metadata && !metadata.is_empty()),
        window,
        forgotten: wish.retry_since.is_some_and(|since| since < floor),
        events,
        wish,
    };
    let tombstoned = own.last().is_some_and(|event| event.event_type == name::TOMBSTONE_TYPE);
    match wish.kind {
        Kind::Append if tombstoned => {
            let nothing = matches!(wish.expected, Expected::Any | Expected::NoStream);
            let holds = wish.ids.is_empty() && nothing;
            if holds { Verdict::Holds } else { refuse(Rejection::StreamDeleted) }
        }
        Kind::Append if wish.ids.is_empty() && view.holds() => Verdict::Holds,
        Kind::Append if wish.ids.is_empty() => view.wrong(),
        Kind::Append => view.append(),
        Kind::Delete => {
            let next = metadata.last().map_or(Revision::FIRST, |event| event.revision.next());
            view.delete(&metadata_stream, tombstoned, next)
        }
        Kind::Tombstone => view.delete(&wish.stream, tombstoned, view.next()),
    }
}

impl View<'_> {
    fn next(&self) -> Revision {
        self.last.map_or(Revision::FIRST, Revision::next)
    }

    fn holds(&self) -> bool {
        match self.wish.expected {
            Expected::Any => true,
            Expected::NoStream => self.last.is_none() || self.deleted,
            Expected::StreamExists => self.exists && !self.deleted,
            Expected::Exact(revision) => self.last == Some(revision),
        }
    }

    fn wrong(&self) -> Verdict {
        let expected = self.wish.expected;
        let gone = self.deleted && expected == Expected::StreamExists;
        let actual = if gone { None } else { self.last };
        refuse(Rejection::WrongRevision { expected, actual })
    }

    fn corrupted(&self) -> Verdict {
        refuse(Rejection::CorruptedIdempotency { actual: self.last })
    }

    fn write_or_wrong(&self) -> Verdict {
        if !self.holds() {
            return self.wrong();
        }
        Verdict::Write { first: self.next(), revive: self.deleted }
    }

    fn recent(&self, stream: &str, id: EventId) -> Option<&Stored> {
        self.window.iter().rev().find(|event| event.id == id && event.stream == stream)
    }

    fn append(&self) -> Verdict {
        let wish = self.wish;
        match wish.expected {
            Expected::Any | Expected::StreamExists => {
                let find = |id: &EventId| self.recent(&wish.stream, *id);
                let found: Vec<_> = wish.ids.iter().map(find).collect();
                match (found[0], found[found.len() - 1]) {
                    (Some(first), Some(last)) if found.iter().all(Option::is_some) => {
                        duplicate(first.revision, last)
                    }
                    (None, _) if self.forgotten => refuse(Rejection::RetryExpired),
                    _ if found.iter().any(Option::is_some) => self.corrupted(),
                    _ => self.write_or_wrong(),
                }
            }
            Expected::NoStream if self.last.is_none() => self.write_or_wrong(),
            Expected::NoStream => {
                let first = self.recent(&wish.stream, wish.ids[0]);
                let own = first.filter(|event| {
                    let retried = wish.retry_since.is_some_and(|since| event.position >= since);
                    event.revision.get() == self.begins || retried
                });
                self.compare(own.map_or(0, |event| event.revision.get()))
            }
            Expected::Exact(revision) if Some(revision) < self.last => {
                self.compare(revision.get() + 1)
            }
            Expected::Exact(_) => self.write_or_wrong(),
        }
    }

    fn compare(&self, from: u64) -> Verdict {
        let there = &self.events[from as usize..];
        let matching =
            self.wish.ids.iter().zip(there).take_while(|(id, event)| **id == event.id).count();
        let none = self.wish.expected == Expected::NoStream;
        if matching == self.wish.ids.len() {
            duplicate(there[0].revision, there[matching - 1])
        } else if matching > 0 {
            self.corrupted()
        } else if none && (self.deleted || self.begins > 0) && self.forgotten {
            refuse(Rejection::RetryExpired)
        } else {
            self.write_or_wrong()
        }
    }

    fn delete(&self, stream: &str, tombstoned: bool, next: Revision) -> Verdict {
        if let Some(event) = self.recent(stream, self.wish.ids[0]) {
            duplicate(event.revision, event)
        } else if tombstoned {
            refuse(Rejection::StreamDeleted)
        } else if self.forgotten {
            refuse(Rejection::RetryExpired)
        } else if self.holds() {
            Verdict::Write { first: next, revive: false }
        } else {
            self.wrong()
        }
    }
}

fn refuse(rejection: Rejection) -> Verdict {
    Verdict::Say(Outcome::Refused(rejection))
}

fn duplicate(first: Revision, last: &Stored) -> Verdict {
    Verdict::Say(Outcome::Appended(Appended {
        first: Some(first),
        last: Some(last.revision),
        position: last.position,
        duplicate: true,
    }))
}
