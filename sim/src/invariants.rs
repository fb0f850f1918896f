//! What must hold of every run, one file each. The numbers in their docs are those of the list of
//! invariants that the project keeps for groups of any size.

mod durability;
mod exactly_once;
mod expected_revision;
mod log_order;
mod no_phantom;
mod real_time_order;
mod refusals;

use crate::history::{Attempt, Evidence, Logged, Violation};

type Invariant = fn(&Evidence<'_>) -> Result<(), String>;

const ALL: [(&str, Invariant); 7] = [
    ("log order", log_order::check),
    ("durability", durability::check),
    ("no phantom", no_phantom::check),
    ("exactly once", exactly_once::check),
    ("expected revision", expected_revision::check),
    ("real-time order", real_time_order::check),
    ("refusals", refusals::check),
];

/// Compares what clients were told with what is in the log.
///
/// # Errors
///
/// The first [`Violation`].
pub fn judge(attempts: &[Attempt], log: &[Logged]) -> Result<(), Violation> {
    let evidence = Evidence::gather(attempts, log);
    for (invariant, check) in ALL {
        check(&evidence).map_err(|story| Violation { invariant, story })?;
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::history::{End, Wish};
    use quorate_core::event::{self, ContentType, EventFrame, NewEvent};
    use quorate_core::id::{EventId, Position, Revision};
    use quorate_core::request::{Appended, Expected, Rejection};

    /// An event whose id and position follow from `number`.
    pub(crate) fn logged(number: u64, stream: &str, revision: u64) -> Logged {
        let frame = frame(number, stream);
        let parsed = EventFrame::parse(&frame).unwrap();
        Logged {
            position: Position::from_wire(number * 4096),
            stream: stream.to_owned(),
            revision: Revision::from_wire(revision),
            id: parsed.id(),
            event_type: parsed.event_type().to_owned(),
            data: parsed.data().to_vec(),
            content: parsed.content().to_vec(),
        }
    }

    fn frame(number: u64, stream: &str) -> Vec<u8> {
        let event = NewEvent {
            id: EventId::from_bytes([number as u8 + 1; 16]),
            event_type: "t",
            content_type: ContentType::Octets,
            data: b"",
            metadata: b"",
        };
        let mut bytes = Vec::new();
        event::encode(&mut bytes, stream, &event, event::crc32c);
        bytes
    }

    /// An append of one event, acknowledged where [`logged`] puts it.
    fn done(number: u64, stream: &str, revision: u64, moments: (u64, u64)) -> Attempt {
        let revision = Some(Revision::from_wire(revision));
        let position = Position::from_wire(number * 4096);
        let appended = Appended { first: revision, last: revision, position, duplicate: false };
        let end = End::Done { appended, at: moments.1 };
        let wish = Wish::Append(vec![frame(number, stream)]);
        let (stream, expected) = (stream.to_owned(), Expected::Any);
        Attempt { stream, expected, wish, invoked: moments.0, end }
    }

    #[track_caller]
    fn check(attempts: &[Attempt], log: &[Logged], expected: Option<&str>) {
        let found = judge(attempts, log).err();
        assert_eq!(found.as_ref().map(|violation| violation.invariant), expected, "{found:?}");
    }

    #[test]
    fn a_good_history_is_good() {
        let attempts = [done(0, "a", 0, (0, 1)), done(1, "b", 0, (0, 9)), done(2, "a", 1, (2, 3))];
        let log = [logged(0, "a", 0), logged(1, "b", 0), logged(2, "a", 1)];
        check(&attempts, &log, None);
    }

    #[test]
    fn the_log_is_in_order() {
        let attempts = [done(0, "a", 0, (0, 9)), done(1, "a", 1, (0, 9))];
        check(&attempts, &[logged(0, "a", 0), logged(1, "a", 2)], Some("log order"));
        check(&attempts, &[logged(1, "a", 0), logged(0, "a", 1)], Some("log order"));
    }

    #[test]
    fn a_lost_or_changed_event_is_found() {
        let attempts = [done(0, "a", 0, (0, 1)), done(1, "a", 1, (0, 9))];
        check(&attempts, &[logged(0, "a", 0)], Some("durability"));
        let mut changed = [logged(0, "a", 0), logged(1, "a", 1)];
        changed[1].content[33] ^= 1;
        check(&attempts, &changed, Some("durability"));
        let mut moved = [logged(0, "a", 0), logged(1, "a", 1)];
        moved[1].position = Position::from_wire(9999);
        check(&attempts, &moved, Some("durability"));
    }

    #[test]
    fn events_that_nobody_wrote_are_found() {
        check(&[], &[logged(0, "a", 0)], Some("no phantom"));
        let mut refused = done(0, "a", 0, (0, 1));
        refused.end = End::Refused { rejection: Rejection::Overloaded, at: 1 };
        check(&[refused], &[logged(0, "a", 0)], Some("no phantom"));
    }

    #[test]
    fn an_unknown_append_is_there_once_or_not_at_all() {
        let mut unknown = done(0, "a", 0, (0, 1));
        unknown.end = End::Unknown;
        check(std::slice::from_ref(&unknown), &[], None);
        check(std::slice::from_ref(&unknown), &[logged(0, "a", 0)], None);
        let mut twice = [logged(0, "a", 0), logged(0, "a", 1)];
        twice[1].position = Position::from_wire(4096);
        check(&[unknown], &twice, Some("exactly once"));
    }

    #[test]
    fn half_an_append_is_found() {
        let mut pair = done(0, "a", 0, (0, 1));
        pair.wish = Wish::Append(vec![frame(0, "a"), frame(1, "a")]);
        pair.end = End::Unknown;
        check(std::slice::from_ref(&pair), &[logged(0, "a", 0), logged(1, "a", 1)], None);
        check(std::slice::from_ref(&pair), &[logged(0, "a", 0)], Some("exactly once"));
        let between = done(5, "a", 1, (0, 9));
        let log = [logged(0, "a", 0), logged(5, "a", 1), logged(6, "a", 2)];
        let mut log = log;
        log[2].id = EventId::from_bytes([2; 16]);
        check(&[pair, between], &log, Some("exactly once"));
    }

    #[test]
    fn a_wrong_expectation_is_found() {
        let mut second = done(1, "a", 1, (0, 9));
        second.expected = Expected::NoStream;
        let attempts = [done(0, "a", 0, (0, 9)), second];
        let log = [logged(0, "a", 0), logged(1, "a", 1)];
        check(&attempts, &log, Some("expected revision"));
    }

    #[test]
    fn what_was_answered_comes_before_what_was_asked_later() {
        let attempts = [done(1, "a", 0, (0, 1)), done(0, "b", 0, (2, 3))];
        check(&attempts, &[logged(0, "b", 0), logged(1, "a", 0)], Some("real-time order"));
    }

    #[test]
    fn a_refusal_must_have_been_true() {
        let refused = |actual: Option<u64>, moments: (u64, u64)| {
            let mut attempt = done(9, "a", 0, moments);
            attempt.expected = Expected::Exact(Revision::from_wire(7));
            let (expected, actual) = (attempt.expected, actual.map(Revision::from_wire));
            let rejection = Rejection::WrongRevision { expected, actual };
            attempt.end = End::Refused { rejection, at: moments.1 };
            attempt
        };
        let log = [logged(0, "a", 0)];
        let first = done(0, "a", 0, (0, 1));
        check(&[first.clone(), refused(Some(0), (2, 3))], &log, None);
        check(&[first.clone(), refused(None, (0, 1))], &log, None);
        check(&[first.clone(), refused(None, (2, 3))], &log, Some("refusals"));
        check(&[first, refused(Some(4), (2, 3))], &log, Some("refusals"));
    }
}
