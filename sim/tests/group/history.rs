//! What clients of a group wanted, were told and saw, in the order in which it happened; and the
//! judgement on it, once the logs can be read.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use quorate_client::{
    AppendError, Appended, AsNewEvent, EventData, EventId, Expected, Position, Rejection, Revision,
};
use quorate_core::event;
use quorate_sim::history::{Attempt, End, Logged, Moment, Wish};
use quorate_sim::invariants;
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::group::PATIENCE;

/// What a reader found: the last event of what it read.
#[derive(Clone, Debug)]
pub(crate) struct Look {
    /// Of this stream; of `$all` where there is none.
    pub(crate) stream: Option<String>,
    pub(crate) invoked: Moment,
    pub(crate) answered: Moment,
    pub(crate) found: Option<(Position, EventId)>,
}

/// What all tasks of a test share.
#[derive(Default)]
pub(crate) struct History {
    moment: Cell<Moment>,
    attempts: RefCell<Vec<Attempt>>,
    looks: RefCell<Vec<Look>>,
    /// What the subscriber was given.
    subscribed: RefCell<Vec<(Position, EventId)>>,
    /// The last revision of each stream, as far as somebody was told.
    heads: RefCell<BTreeMap<String, Revision>>,
    acknowledged: Cell<u64>,
    unknown: Cell<u64>,
    pauses: RefCell<Pauses>,
    progress: Notify,
    over: Cell<bool>,
}

/// How long nobody's append succeeded.
#[derive(Default)]
struct Pauses {
    last: Option<Instant>,
    longest: Duration,
}

impl History {
    /// The next moment.
    pub(crate) fn moment(&self) -> Moment {
        self.moment.set(self.moment.get() + 1);
        self.moment.get()
    }

    /// An append is about to be sent; gives its number.
    pub(crate) fn begin(&self, stream: &str, expected: Expected, events: &[EventData]) -> usize {
        let frame = |event: &EventData| {
            let mut bytes = Vec::new();
            event::encode(&mut bytes, stream, &event.as_new_event(), event::crc32c);
            bytes
        };
        let wish = Wish::Append(events.iter().map(frame).collect());
        let (stream, invoked) = (stream.to_owned(), self.moment());
        let attempt = Attempt { stream, expected, wish, invoked, end: End::Unknown };
        let mut attempts = self.attempts.borrow_mut();
        attempts.push(attempt);
        attempts.len() - 1
    }

    /// An append has ended: for the first time, or after it was repeated with the same ids.
    ///
    /// Gives whether its outcome is still unknown.
    pub(crate) fn end(
        &self,
        number: usize,
        repeated: bool,
        result: &Result<Appended, AppendError>,
    ) -> bool {
        let at = self.moment();
        let mut attempts = self.attempts.borrow_mut();
        let attempt = &mut attempts[number];
        match result {
            Ok(appended) => {
                attempt.end = End::Done { appended: *appended, at };
                self.note_success();
                if let Some(last) = appended.last {
                    let mut heads = self.heads.borrow_mut();
                    let head = heads.entry(attempt.stream.clone()).or_insert(last);
                    *head = last.max(*head);
                }
                return false;
            }
            Err(AppendError::Unknown(_)) => {
                self.unknown.set(self.unknown.get() + 1);
                return true;
            }
            // It says nothing of the attempt before.
            Err(_) if repeated => return true,
            Err(AppendError::Rejected(rejection)) => {
                attempt.end = End::Refused { rejection: rejection.clone(), at };
            }
            Err(AppendError::Unreachable(_) | AppendError::Failed { .. }) => {
                attempt.end = End::Refused { rejection: Rejection::NotReady, at };
            }
        }
        false
    }

    fn note_success(&self) {
        let mut pauses = self.pauses.borrow_mut();
        let now = Instant::now();
        if let Some(last) = pauses.last.replace(now) {
            pauses.longest = pauses.longest.max(now - last);
        }
        self.acknowledged.set(self.acknowledged.get() + 1);
        self.progress.notify_waiters();
    }

    pub(crate) fn note_look(&self, look: Look) {
        self.looks.borrow_mut().push(look);
    }

    /// The subscriber was given an event.
    pub(crate) fn note_subscribed(&self, position: Position, id: EventId) {
        self.subscribed.borrow_mut().push((position, id));
        self.progress.notify_waiters();
    }

    /// The last revision that anybody knows of a stream.
    pub(crate) fn head(&self, stream: &str) -> Option<Revision> {
        self.heads.borrow().get(stream).copied()
    }

    pub(crate) fn acknowledged(&self) -> u64 {
        self.acknowledged.get()
    }

    /// Waits for so many more appends that succeed.
    pub(crate) async fn wait_for(&self, more: u64) {
        let wanted = self.acknowledged.get() + more;
        self.wait_until(|| self.acknowledged.get() >= wanted).await;
    }

    /// Waits until the subscriber was given so many events.
    pub(crate) async fn wait_for_subscribed(&self, count: usize) {
        self.wait_until(|| self.subscribed.borrow().len() >= count).await;
    }

    pub(crate) fn subscribed(&self) -> usize {
        self.subscribed.borrow().len()
    }

    async fn wait_until(&self, holds: impl Fn() -> bool) {
        let waiting = async {
            loop {
                let changed = self.progress.notified();
                if holds() {
                    return;
                }
                changed.await;
            }
        };
        let waited = timeout(PATIENCE, waiting).await;
        assert!(
            waited.is_ok(),
            "nothing goes on: {} appends acknowledged, {} events given to the subscriber",
            self.acknowledged.get(),
            self.subscribed.borrow().len()
        );
    }

    /// No more is to be begun.
    pub(crate) fn finish(&self) {
        self.over.set(true);
    }

    pub(crate) fn is_over(&self) -> bool {
        self.over.get()
    }

    /// What happened, in a line.
    pub(crate) fn summary(&self) -> String {
        format!(
            "{} appends acknowledged of {}, unknown {} times, {} reads, {} events subscribed; the \
             longest pause without an acknowledged append: {} ms",
            self.acknowledged.get(),
            self.attempts.borrow().len(),
            self.unknown.get(),
            self.looks.borrow().len(),
            self.subscribed.borrow().len(),
            self.pauses.borrow().longest.as_millis(),
        )
    }

    /// Compares what clients know with what the group holds at the end.
    pub(crate) fn judge(&self, log: &[Logged]) {
        if let Err(violation) = invariants::judge(&self.attempts.borrow(), log) {
            panic!("{violation}");
        }
        self.judge_looks(log);
        self.judge_subscription(log);
    }

    /// A linearizable read sees what was acknowledged, or seen by another, before it began; and only
    /// what is there.
    fn judge_looks(&self, log: &[Logged]) {
        let by_position: BTreeMap<Position, &Logged> =
            log.iter().map(|event| (event.position, event)).collect();
        let looks = self.looks.borrow();
        let attempts = self.attempts.borrow();
        // By the moment at which somebody knew of it: a stream, and a position in it.
        let mut known: Vec<(Moment, &str, Position)> = Vec::new();
        for attempt in attempts.iter() {
            if let End::Done { appended, at } = &attempt.end {
                known.push((*at, &attempt.stream, appended.position));
            }
        }
        for look in looks.iter() {
            let Some((position, id)) = look.found else { continue };
            let event = by_position.get(&position);
            let event = event.unwrap_or_else(|| panic!("{look:?} saw what is not in the log"));
            assert_eq!(event.id, id, "{look:?} saw another event there");
            known.push((look.answered, &event.stream, position));
        }
        known.sort_unstable();
        let mut questions: Vec<&Look> = looks.iter().collect();
        questions.sort_unstable_by_key(|look| look.invoked);
        let mut heads: BTreeMap<&str, Position> = BTreeMap::new();
        let mut known = known.into_iter().peekable();
        for look in questions {
            while let Some((_, stream, position)) =
                known.next_if(|(moment, ..)| *moment < look.invoked)
            {
                let head = heads.entry(stream).or_insert(position);
                *head = position.max(*head);
            }
            let must_see = match &look.stream {
                Some(stream) => heads.get(stream.as_str()).copied(),
                None => heads.values().max().copied(),
            };
            let saw = look.found.map(|(position, _)| position);
            assert!(saw >= must_see, "{look:?} does not see {must_see:?}, which was known before");
        }
    }

    /// The subscription gave each event once, in order, without a gap.
    pub(crate) fn judge_subscription(&self, log: &[Logged]) {
        let subscribed = self.subscribed.borrow();
        for (place, (given, event)) in subscribed.iter().zip(log).enumerate() {
            let expected = (event.position, event.id);
            assert_eq!(*given, expected, "event {place} of the subscription");
        }
    }
}
