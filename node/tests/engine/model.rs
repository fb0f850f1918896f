//! The store as a plain list of events: slow, small, and written from the rules alone.

use quorate_core::id::Revision;
use quorate_core::limits::Limits;
use quorate_core::request::Expected;

use crate::world::NewAppend;

/// An event as a reader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) stream: String,
    pub(crate) revision: u64,
    pub(crate) id: [u8; 16],
    pub(crate) event_type: String,
    pub(crate) data: Vec<u8>,
}

/// How a change ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Expectation {
    /// It is there, by this or an earlier attempt, from one revision to another.
    Appended {
        first: u64,
        last: u64,
        duplicate: bool,
    },
    /// Nothing was to be written, and what was expected holds.
    Holds,
    WrongRevision,
    Corrupted,
    Deleted,
}

/// What `$tb` of a deleted stream is.
const DELETED: u64 = i64::MAX as u64;

#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    pub(crate) log: Vec<Event>,
}

impl Model {
    /// A stream's events, hidden ones included.
    pub(crate) fn stream<'a>(&'a self, stream: &'a str) -> impl Iterator<Item = &'a Event> {
        self.log.iter().filter(move |event| event.stream == stream)
    }

    fn last(&self, stream: &str) -> Option<u64> {
        self.stream(stream).last().map(|event| event.revision)
    }

    fn setting(&self, stream: &str, field: &str) -> Option<u64> {
        let stream = format!("$${stream}");
        let metadata = self.stream(&stream).last()?;
        let json: serde_json::Value = serde_json::from_slice(&metadata.data).expect("it is JSON");
        json.get(field).map(|value| value.as_u64().expect("it is a number"))
    }

    pub(crate) fn is_tombstoned(&self, stream: &str) -> bool {
        let owner = stream.strip_prefix("$$").unwrap_or(stream);
        self.stream(owner).last().is_some_and(|event| event.event_type == "$streamDeleted")
    }

    pub(crate) fn is_deleted(&self, stream: &str) -> bool {
        self.setting(stream, "$tb") == Some(DELETED)
    }

    /// What a reader of a stream sees; `None` where there is no such stream.
    pub(crate) fn visible(&self, stream: &str) -> Option<Vec<Event>> {
        let last = self.last(stream)?;
        if self.is_deleted(stream) {
            return None;
        }
        let before = self.setting(stream, "$tb").unwrap_or(0);
        let count = self.setting(stream, "$maxCount").unwrap_or(u64::MAX);
        let first = before.max((last + 1).saturating_sub(count));
        Some(self.stream(stream).filter(|event| event.revision >= first).cloned().collect())
    }

    fn holds(&self, stream: &str, expected: Expected) -> bool {
        let last = self.last(stream);
        let deleted = self.is_deleted(stream);
        let has_metadata = self.last(&format!("$${stream}")).is_some();
        match expected {
            Expected::Any => true,
            Expected::NoStream => last.is_none() || deleted,
            Expected::StreamExists => !deleted && (last.is_some() || has_metadata),
            Expected::Exact(revision) => last == Some(revision.get()),
        }
    }

    /// An event of a stream among the newest of the log.
    fn recent(&self, stream: &str, id: [u8; 16]) -> Option<&Event> {
        let window = Limits::TINY.recent_ids_max as usize;
        let from = self.log.len().saturating_sub(window);
        self.log[from..].iter().rev().find(|event| event.stream == stream && event.id == id)
    }

    /// Appends, and says how that must end.
    pub(crate) fn append(&mut self, append: &NewAppend) -> Expectation {
        let NewAppend { stream, expected, events } = append;
        if self.is_tombstoned(stream) {
            let gone = matches!(expected, Expected::Any | Expected::NoStream);
            let holds = events.is_empty() && gone;
            return if holds { Expectation::Holds } else { Expectation::Deleted };
        }
        if events.is_empty() {
            let holds = self.holds(stream, *expected);
            return if holds { Expectation::Holds } else { Expectation::WrongRevision };
        }
        let last = self.last(stream);
        let earlier = match (expected, last) {
            (Expected::Any | Expected::StreamExists, _) => self.earlier_anywhere(append),
            (Expected::NoStream, Some(_)) => {
                let begins = match self.setting(stream, "$tb") {
                    Some(before) if before != DELETED => before,
                    _ => 0,
                };
                let revived = self.recent(stream, events[0].0);
                let revived = revived.is_some_and(|event| event.revision == begins);
                self.earlier_at(append, if revived { begins } else { 0 })
            }
            (Expected::Exact(revision), Some(last)) if revision.get() < last => {
                self.earlier_at(append, revision.get() + 1)
            }
            (Expected::NoStream | Expected::Exact(_), _) => None,
        };
        if let Some(earlier) = earlier {
            return earlier;
        }
        if !self.holds(stream, *expected) {
            return Expectation::WrongRevision;
        }
        let first = last.map_or(0, |last| last + 1);
        if self.is_deleted(stream) {
            self.truncate(stream, first);
        }
        for (id, event_type, data) in events {
            self.push(stream, *id, event_type, data.clone());
        }
        let last = first + events.len() as u64 - 1;
        Expectation::Appended { first, last, duplicate: false }
    }

    /// The events were written before, wherever in the stream.
    fn earlier_anywhere(&self, append: &NewAppend) -> Option<Expectation> {
        let found: Vec<Option<&Event>> =
            append.events.iter().map(|(id, _, _)| self.recent(&append.stream, *id)).collect();
        if found.iter().all(Option::is_some) {
            let revision = |event: &Option<&Event>| event.expect("all are there").revision;
            let (first, last) = (revision(&found[0]), revision(&found[found.len() - 1]));
            return Some(Expectation::Appended { first, last, duplicate: true });
        }
        found.iter().any(Option::is_some).then_some(Expectation::Corrupted)
    }

    /// The events were written before, from this revision on.
    fn earlier_at(&self, append: &NewAppend, from: u64) -> Option<Expectation> {
        for (index, (id, _, _)) in append.events.iter().enumerate() {
            let revision = from + index as u64;
            let there = self.stream(&append.stream).find(|event| event.revision == revision);
            if there.is_none_or(|event| event.id != *id) {
                return (index > 0).then_some(Expectation::Corrupted);
            }
        }
        let last = from + append.events.len() as u64 - 1;
        Some(Expectation::Appended { first: from, last, duplicate: true })
    }

    /// Deletes a stream until it is written again.
    pub(crate) fn delete(&mut self, stream: &str, expected: Expected, id: [u8; 16]) -> Expectation {
        let metadata = format!("$${stream}");
        self.close(stream, &metadata, expected, id, |model| {
            model.truncate_with(stream, DELETED, id);
        })
    }

    /// Deletes a stream for ever.
    pub(crate) fn tombstone(
        &mut self,
        stream: &str,
        expected: Expected,
        id: [u8; 16],
    ) -> Expectation {
        self.close(stream, stream, expected, id, |model| {
            model.push(stream, id, "$streamDeleted", Vec::new());
        })
    }

    fn close(
        &mut self,
        stream: &str,
        written_to: &str,
        expected: Expected,
        id: [u8; 16],
        write: impl FnOnce(&mut Self),
    ) -> Expectation {
        if let Some(event) = self.recent(written_to, id) {
            let revision = event.revision;
            return Expectation::Appended { first: revision, last: revision, duplicate: true };
        }
        if self.is_tombstoned(stream) {
            return Expectation::Deleted;
        }
        if !self.holds(stream, expected) {
            return Expectation::WrongRevision;
        }
        write(self);
        let revision = self.last(written_to).expect("it was just written");
        Expectation::Appended { first: revision, last: revision, duplicate: false }
    }

    fn push(&mut self, stream: &str, id: [u8; 16], event_type: &str, data: Vec<u8>) {
        let revision = self.last(stream).map_or(0, |last| last + 1);
        let (stream, event_type) = (stream.into(), event_type.into());
        self.log.push(Event { stream, revision, id, event_type, data });
    }

    /// The node gives this event an id of its own.
    fn truncate(&mut self, stream: &str, before: u64) {
        self.truncate_with(stream, before, UNKNOWN_ID);
    }

    fn truncate_with(&mut self, stream: &str, before: u64, id: [u8; 16]) {
        let metadata = format!("$${stream}");
        let old = self.stream(&metadata).last().map(|event| event.data.clone());
        let old = old.unwrap_or_else(|| b"{}".to_vec());
        let mut json: serde_json::Value = serde_json::from_slice(&old).expect("it is JSON");
        json["$tb"] = before.into();
        self.push(&metadata, id, "$metadata", json.to_string().into_bytes());
    }
}

/// Of events that the node makes by itself.
const UNKNOWN_ID: [u8; 16] = [0xff; 16];

/// Whether a log is what the model says: all but what only the node can know, which are the ids of
/// its own events and how it lays out their JSON.
pub(crate) fn assert_same(actual: &[Event], model: &[Event]) {
    assert_eq!(actual.len(), model.len(), "as many events: {actual:#?} and {model:#?}");
    for (actual, model) in actual.iter().zip(model) {
        let mut expected = model.clone();
        if expected.id == UNKNOWN_ID {
            expected.id = actual.id;
        }
        if expected.event_type == "$metadata" {
            let json = |data: &[u8]| -> serde_json::Value {
                serde_json::from_slice(data).expect("metadata is JSON")
            };
            assert_eq!(json(&actual.data), json(&expected.data));
            expected.data.clone_from(&actual.data);
        }
        assert_eq!(*actual, expected);
    }
}

/// The revision of an expectation.
pub(crate) fn exact(revision: u64) -> Expected {
    Expected::Exact(Revision::from_wire(revision))
}
