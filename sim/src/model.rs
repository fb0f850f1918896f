//! What a stream is, told a second time and as plainly as possible, so that the store's own idea of
//! it has something to differ from.

use std::collections::BTreeMap;

use quorate_core::id::Revision;
use quorate_core::request::Expected;

use crate::history::Logged;

/// `$tb` of a stream whose events are all deleted.
const DELETED: u64 = i64::MAX as u64;

/// State of all streams behind some part of the log.
#[derive(Clone, Debug, Default)]
pub struct Model {
    streams: BTreeMap<String, Stream>,
}

/// State of one stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    /// Revision of its last event.
    pub last: Option<Revision>,
    /// Whether it is closed for ever.
    pub tombstoned: bool,
    truncate_before: u64,
    count_max: u64,
    has_metadata: bool,
}

impl Model {
    /// Takes in the next event of the log.
    pub fn apply(&mut self, event: &Logged) {
        let stream = self.streams.entry(event.stream.clone()).or_default();
        stream.last = Some(event.revision);
        stream.tombstoned |= event.event_type == "$streamDeleted";
        if let Some(owner) = event.stream.strip_prefix("$$") {
            let owner = self.streams.entry(owner.to_owned()).or_default();
            owner.has_metadata = true;
            owner.truncate_before = number(&event.data, "\"$tb\":").unwrap_or(0);
            owner.count_max = number(&event.data, "\"$maxCount\":").unwrap_or(u64::MAX);
        }
    }

    /// A stream as it is now.
    #[must_use]
    pub fn stream(&self, name: &str) -> Stream {
        let mut stream = self.streams.get(name).cloned().unwrap_or_default();
        if let Some(owner) = name.strip_prefix("$$") {
            stream.tombstoned |= self.streams.get(owner).is_some_and(|owner| owner.tombstoned);
        }
        stream
    }

    /// What a reader of the stream sees of the log; `None` where the stream is not to be found.
    #[must_use]
    pub fn visible(&self, name: &str, log: &[Logged]) -> Option<Vec<Logged>> {
        let stream = self.stream(name);
        let last = stream.last.filter(|_| !stream.tombstoned && !stream.is_deleted())?;
        let shown = |event: &&Logged| {
            event.stream == name
                && event.revision.get() >= stream.truncate_before
                && last.get() - event.revision.get() < stream.count_max
        };
        Some(log.iter().filter(shown).cloned().collect())
    }
}

impl Default for Stream {
    fn default() -> Self {
        Self {
            last: None,
            tombstoned: false,
            truncate_before: 0,
            count_max: u64::MAX,
            has_metadata: false,
        }
    }
}

impl Stream {
    /// Whether all its events are deleted, so that it can begin anew.
    #[must_use]
    pub fn is_deleted(&self) -> bool {
        self.truncate_before == DELETED
    }

    /// Whether an append with this expectation may be written.
    #[must_use]
    pub fn holds(&self, expected: Expected) -> bool {
        if self.tombstoned {
            return false;
        }
        match expected {
            Expected::Any => true,
            Expected::NoStream => self.last.is_none() || self.is_deleted(),
            Expected::StreamExists => {
                !self.is_deleted() && (self.last.is_some() || self.has_metadata)
            }
            Expected::Exact(revision) => self.last == Some(revision),
        }
    }
}

/// The number behind `field`, by plain search: the workload writes no strings that look like it.
fn number(metadata: &[u8], field: &str) -> Option<u64> {
    let text = String::from_utf8_lossy(metadata);
    let (_, rest) = text.split_once(field)?;
    let digits = rest.trim_start().chars().take_while(char::is_ascii_digit);
    digits.collect::<String>().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariants::tests::logged;

    fn after(events: &[(&str, u64, &str)]) -> Model {
        let mut model = Model::default();
        for (index, (stream, revision, data)) in events.iter().enumerate() {
            let mut event = logged(index as u64, stream, *revision);
            event.data = data.as_bytes().to_vec();
            if *data == "tombstone" {
                event.event_type = "$streamDeleted".to_owned();
            }
            model.apply(&event);
        }
        model
    }

    #[track_caller]
    fn check(events: &[(&str, u64, &str)], expected: [bool; 4]) {
        let stream = after(events).stream("a");
        let expectations = [
            Expected::Any,
            Expected::NoStream,
            Expected::StreamExists,
            Expected::Exact(Revision::from_wire(1)),
        ];
        assert_eq!(expectations.map(|wanted| stream.holds(wanted)), expected);
    }

    #[test]
    fn expectations_hold_or_not() {
        check(&[], [true, true, false, false]);
        check(&[("a", 0, ""), ("b", 0, "")], [true, false, true, false]);
        check(&[("a", 0, ""), ("a", 1, "")], [true, false, true, true]);
        check(&[("$$a", 0, r#"{"$maxCount":2}"#)], [true, true, true, false]);
        let deleted = r#"{"$tb": 9223372036854775807}"#;
        check(&[("a", 0, ""), ("a", 1, ""), ("$$a", 0, deleted)], [true, true, false, true]);
        check(&[("a", 0, ""), ("a", 1, "tombstone")], [false; 4]);
    }

    #[test]
    fn a_tombstone_closes_the_metadata_too() {
        let model = after(&[("a", 0, "tombstone")]);
        assert!(model.stream("$$a").tombstoned);
    }
}
