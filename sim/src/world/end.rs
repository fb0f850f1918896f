//! The end of a run: everything is healed, the node must work again, and the books are compared.

use quorate_core::id::Revision;
use quorate_core::item;
use quorate_core::limits::Limits;
use quorate_core::store::filter::Filter;
use quorate_storage::disk::simulated::FaultPlan;
use quorate_storage::read::{AllQuery, Batch, Direction, From, Progress, ReadError, StreamQuery};

use super::{Summary, World};
use crate::history::{Attempt, End, Logged, Violation};
use crate::invariants;
use crate::model::Model;
use crate::workload::STREAMS;

/// A healthy node answers within so many steps; a full disk is looked at again once a second.
const ANSWER_STEPS_MAX: u64 = 4_000;

impl World {
    /// Ends the faults; then the node must work, and nothing may be missing.
    pub(super) fn heal_and_judge(&mut self) -> Result<Summary, Violation> {
        self.trace.line(format_args!("{} all is healed", self.moment));
        self.medium.set_plan(FaultPlan::NONE);
        self.medium.set_space(u64::MAX);
        (self.full_until, self.stalled_until) = (0, 0);
        self.must_answer()?;
        // Once more from the disk alone: what is only in memory does not count.
        self.end_process();
        self.medium.power_loss();
        self.must_answer()?;
        let log = self.read_log()?;
        invariants::judge(&self.attempts, &log)?;
        self.compare_streams(&log)?;
        let is_done = |attempt: &&Attempt| matches!(attempt.end, End::Done { .. });
        Ok(Summary {
            hash: self.trace.hash(),
            attempts: self.attempts.len(),
            acknowledged: self.attempts.iter().filter(is_done).count(),
            crashes: self.crashes,
            stops: self.stops,
            events: log.len(),
        })
    }

    /// Sends appends with which nothing can be wrong until one is acknowledged and nobody waits.
    fn must_answer(&mut self) -> Result<(), Violation> {
        let deadline = self.moment + ANSWER_STEPS_MAX;
        let mut probe = None;
        while self.moment < deadline {
            self.pass_time();
            self.keep_running()?;
            self.send_again();
            let end = probe.map(|probe: usize| &self.attempts[probe].end);
            match end {
                Some(End::Done { .. }) if self.waiting.is_empty() && self.unknown.is_empty() => {
                    return Ok(());
                }
                Some(End::Done { .. }) => {}
                Some(End::Unknown) if !self.waiting.is_empty() => {}
                Some(End::Unknown | End::Refused { .. }) | None => {
                    let attempt = self.workload.probe(self.moment);
                    self.send_new(attempt);
                    probe = Some(self.attempts.len() - 1);
                }
            }
            self.turn()?;
            self.complete_some();
        }
        let story = format!(
            "a healed node does not answer within {ANSWER_STEPS_MAX} steps; {} wait",
            self.waiting.len()
        );
        Err(Violation { invariant: "progress", story })
    }

    /// All of `$all`.
    fn read_log(&mut self) -> Result<Vec<Logged>, Violation> {
        self.medium.release();
        let engine = self.engine.as_ref().expect("it has just answered");
        let (end, now) = (engine.committed().1, self.now.wall);
        let mut cursor = engine.reader().all(AllQuery {
            from: From::Start,
            direction: Direction::Forwards,
            count: None,
            filter: Filter::All.compile(&Limits::TINY).expect("it has no bound to break"),
            resolve_links: false,
        });
        let mut log = Vec::new();
        loop {
            let batch = engine.io().block_on(cursor.next(end, now)).map_err(unreadable)?;
            log.extend(events(&batch)?);
            if batch.progress != Progress::More {
                return Ok(log);
            }
        }
    }

    /// Each stream shows just those events of the log that its metadata leaves in sight.
    fn compare_streams(&mut self, log: &[Logged]) -> Result<(), Violation> {
        let mut model = Model::default();
        log.iter().for_each(|event| model.apply(event));
        let metadata_streams = STREAMS.map(|stream| format!("$${stream}"));
        let names = STREAMS.into_iter().chain(metadata_streams.iter().map(String::as_str));
        for name in names {
            let visible = model.visible(name, log);
            let found = self.read_stream(name)?;
            if found != visible {
                let revisions = |events: &Option<Vec<Logged>>| {
                    let events = events.as_ref()?;
                    Some(events.iter().map(|event| event.revision).collect::<Vec<Revision>>())
                };
                let (found, visible) = (revisions(&found), revisions(&visible));
                let story = format!("{name} shows {found:?} instead of {visible:?}");
                return Err(Violation { invariant: "stream reads", story });
            }
        }
        Ok(())
    }

    /// What a reader of the stream sees; `None` where it is not found or deleted for ever.
    fn read_stream(&self, name: &str) -> Result<Option<Vec<Logged>>, Violation> {
        let engine = self.engine.as_ref().expect("it has just answered");
        let (end, now) = (engine.committed().1, self.now.wall);
        let mut cursor = engine.reader().stream(StreamQuery {
            stream: name.to_owned(),
            from: From::Start,
            direction: Direction::Forwards,
            count: None,
            resolve_links: false,
        });
        let mut found = Vec::new();
        loop {
            match engine.io().block_on(cursor.next(end, now)) {
                Ok(batch) => {
                    found.extend(events(&batch)?);
                    if batch.progress != Progress::More {
                        return Ok(Some(found));
                    }
                }
                Err(ReadError::NotFound | ReadError::StreamDeleted) => return Ok(None),
                Err(error) => return Err(unreadable(error)),
            }
        }
    }
}

fn unreadable(error: ReadError) -> Violation {
    let story = format!("what an honest disk has kept can't be read: {error}");
    Violation { invariant: "reads", story }
}

/// The events of a batch, their checksums verified.
fn events(batch: &Batch) -> Result<Vec<Logged>, Violation> {
    let wrong = |story: String| Violation { invariant: "reads", story };
    let mut events = Vec::new();
    for item in item::items(&batch.items) {
        let item = item.map_err(|error| wrong(format!("a batch is malformed: {error}")))?;
        let frame = item.frame;
        let verified = frame.verify_content().and_then(|()| frame.verify_header());
        verified.map_err(|error| wrong(format!("position {}: {error}", item.position)))?;
        events.push(Logged {
            position: item.position,
            stream: frame.stream().to_owned(),
            revision: frame.revision(),
            id: frame.id(),
            event_type: frame.event_type().to_owned(),
            data: frame.data().to_vec(),
            content: frame.content().to_vec(),
        });
    }
    Ok(events)
}
