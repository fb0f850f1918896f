//! What clients do: appends with all expectations, checks, metadata, deletes and tombstones, on few
//! enough streams that they meet.

use std::collections::{BTreeMap, BTreeSet};

use quorate_core::event::{self, ContentType, NewEvent};
use quorate_core::id::{EventId, Revision};
use quorate_core::request::Expected;
use quorate_storage::disk::simulated::Random;

use crate::history::{Attempt, End, Moment, Wish};
use crate::scenario::model::{Append, Expect};
use crate::scenario::number;

/// More than the heads that are kept in memory under tiny limits.
pub const STREAMS: [&str; 7] = ["a", "b", "c", "d", "e", "f", "g"];
const EVENTS_MAX: u64 = 3;
const DATA_BYTES_MAX: u64 = 300;

/// Streams of a scenario that are compared one by one at the end; all are in the log.
const COMPARED_MAX: usize = 40;
/// What a frame has beside its data, and more.
const FRAME_BYTES: u64 = 200;

/// Draws what is wanted next.
pub struct Workload {
    random: Random,
    /// The last revision of each stream, as far as answers told.
    known: BTreeMap<String, Revision>,
    /// Streams that were written to, the first ones.
    used: BTreeSet<String>,
}

impl Workload {
    /// The one of this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let random = Random::stream(seed, "workload");
        Self { random, known: BTreeMap::new(), used: BTreeSet::new() }
    }

    /// Streams to look at one by one.
    #[must_use]
    pub fn streams(&self) -> Vec<String> {
        let own = STREAMS.iter().map(|stream| (*stream).to_owned());
        own.chain(self.used.iter().cloned()).collect()
    }

    /// The next wish, drawn from other numbers than those of this workload.
    pub fn next_from(&mut self, random: Random, moment: Moment) -> Attempt {
        let own = std::mem::replace(&mut self.random, random);
        let attempt = self.next(moment);
        self.random = own;
        attempt
    }

    /// An append as a scenario wants it.
    ///
    /// - `bytes_max`: of all its events
    pub fn append(
        &mut self,
        wanted: &Append,
        random: Random,
        bytes_max: u64,
        moment: Moment,
    ) -> Attempt {
        let own = std::mem::replace(&mut self.random, random);
        let stream = format!("s{}", self.chosen(wanted.streams, wanted.skew));
        if self.used.len() < COMPARED_MAX {
            self.used.insert(stream.clone());
        }
        let count = wanted.batch.draw(&mut self.random).max(1);
        let most = (bytes_max / count).saturating_sub(FRAME_BYTES).max(1);
        let mut frames = Vec::new();
        for _ in 0..count {
            let bytes = wanted.payload.draw(&mut self.random).min(most);
            // Only so many are random: the others are there for their weight.
            let mut data = self.random.bytes(bytes.min(16) as usize);
            data.resize(bytes as usize, b'.');
            frames.push(self.frame(&stream, "happened", ContentType::Octets, &data));
        }
        let known = self.known.get(&stream).copied();
        let expected = match (wanted.expect, known) {
            (Expect::Any, _) => Expected::Any,
            (Expect::Exact, Some(revision)) => Expected::Exact(revision),
            (Expect::Exact | Expect::None, _) => Expected::NoStream,
            (Expect::Exists, _) => Expected::StreamExists,
        };
        self.random = own;
        Attempt { stream, expected, wish: Wish::Append(frames), invoked: moment, end: End::Unknown }
    }

    /// The number of a stream: the first are chosen more often where there is a skew (Zipf's law,
    /// made continuous).
    fn chosen(&mut self, count: u32, skew: f64) -> u32 {
        if skew <= 0.0 {
            return self.random.below(u64::from(count)) as u32;
        }
        let (share, most) = (number::share(&mut self.random), number::ln(f64::from(count) + 1.0));
        let rest = 1.0 - skew;
        let place = if rest.abs() < 1e-6 {
            number::exp(share * most)
        } else {
            let whole = number::exp(rest * most) - 1.0;
            number::exp(number::ln(1.0 + share * whole) / rest)
        };
        (place as u32).clamp(1, count) - 1
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
