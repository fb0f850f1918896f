//! What clients do: appends with all expectations, checks, metadata, deletes and tombstones, on few
//! enough streams that they meet.

use std::collections::BTreeMap;

use quorate_core::event::{self, ContentType, NewEvent};
use quorate_core::id::{EventId, Revision};
use quorate_core::request::Expected;
use quorate_storage::disk::simulated::Random;

use crate::history::{Attempt, End, Moment, Wish};

/// More than the heads that are kept in memory under tiny limits.
pub const STREAMS: [&str; 7] = ["a", "b", "c", "d", "e", "f", "g"];
const EVENTS_MAX: u64 = 3;
const DATA_BYTES_MAX: u64 = 300;

/// Draws what is wanted next.
pub struct Workload {
    random: Random,
    /// The last revision of each stream, as far as answers told.
    known: BTreeMap<String, Revision>,
}

impl Workload {
    /// The one of this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { random: Random::stream(seed, "workload"), known: BTreeMap::new() }
    }

    /// The next wish.
    pub fn next(&mut self, moment: Moment) -> Attempt {
        let owner = *self.random.pick(&STREAMS);
        let metadata_stream = format!("$${owner}");
        let (stream, wish) = match self.random.below(100) {
            0..=3 => (owner.to_owned(), Wish::Append(Vec::new())),
            4..=11 => {
                let frame = self.metadata(&metadata_stream);
                (metadata_stream, Wish::Append(vec![frame]))
            }
            12..=15 => (owner.to_owned(), Wish::Delete(self.id())),
            16 if owner == "g" => (owner.to_owned(), Wish::Tombstone(self.id())),
            _ => {
                let count = 1 + self.random.below(EVENTS_MAX);
                let frames = (0..count).map(|_| self.event(owner)).collect();
                (owner.to_owned(), Wish::Append(frames))
            }
        };
        let expected = self.expected(&stream);
        Attempt { stream, expected, wish, invoked: moment, end: End::Unknown }
    }

    /// An append that nothing can be wrong with, to see whether the store still works.
    pub fn probe(&mut self, moment: Moment) -> Attempt {
        let stream = "probe".to_owned();
        let wish = Wish::Append(vec![self.event(&stream)]);
        Attempt { stream, expected: Expected::Any, wish, invoked: moment, end: End::Unknown }
    }

    /// Takes note of an answer.
    pub fn learn(&mut self, attempt: &Attempt) {
        if let (End::Done { appended, .. }, Wish::Append(_)) = (&attempt.end, &attempt.wish)
            && let Some(last) = appended.last
        {
            let known = self.known.entry(attempt.stream.clone()).or_insert(last);
            *known = last.max(*known);
        }
    }

    fn expected(&mut self, stream: &str) -> Expected {
        let known = self.known.get(stream).copied();
        match (self.random.below(8), known) {
            (0, _) => Expected::NoStream,
            (1, _) => Expected::StreamExists,
            (2..=4, Some(revision)) => Expected::Exact(revision),
            (5, Some(revision)) => Expected::Exact(revision.next()),
            (2..=4, None) => Expected::NoStream,
            _ => Expected::Any,
        }
    }

    fn id(&mut self) -> EventId {
        let bytes = self.random.bytes(16);
        EventId::from_bytes(bytes.try_into().expect("sixteen were drawn"))
    }

    fn event(&mut self, stream: &str) -> Vec<u8> {
        let count = self.random.below(DATA_BYTES_MAX) as usize;
        let data = self.random.bytes(count);
        self.frame(stream, "happened", ContentType::Octets, &data)
    }

    fn metadata(&mut self, stream: &str) -> Vec<u8> {
        let number = self.random.below(6);
        let text = match self.random.below(3) {
            0 => format!(r#"{{"$maxCount":{}}}"#, number + 1),
            1 => format!(r#"{{"$tb":{number}}}"#),
            _ => r#"{"own":"field"}"#.to_owned(),
        };
        self.frame(stream, "$metadata", ContentType::Json, text.as_bytes())
    }

    fn frame(
        &mut self,
        stream: &str,
        event_type: &str,
        content_type: ContentType,
        data: &[u8],
    ) -> Vec<u8> {
        let event = NewEvent { id: self.id(), event_type, content_type, data, metadata: b"" };
        let mut frame = Vec::new();
        event::encode(&mut frame, stream, &event, event::crc32c);
        frame
    }
}
