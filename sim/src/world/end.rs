//! The end of a run: everything is healed, the node must work again, and the books are compared.

use quorate_storage::disk::simulated::FaultPlan;

use super::{Summary, World};
use crate::history::{Attempt, End, Logged, Violation};
use crate::invariants;
use crate::reading;
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
        let is_done = |attempt: &&Attempt| matches!(attempt.end, End::Done { .. });
        Ok(Summary {
            hash: self.trace.hash(),
            attempts: self.attempts.len(),
            acknowledged: self.attempts.iter().filter(is_done).count(),
            crashes: self.crashes,
            stops: self.stops,
            refused_starts: self.rot.refused_starts(),
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

    /// All of the log, once its streams were compared with it.
    fn read_log(&mut self) -> Result<Vec<Logged>, Violation> {
        self.medium.release();
        let engine = self.engine.as_ref().expect("it has just answered");
        let now = self.now.wall;
        let source = reading::Source::of(engine);
        let log = reading::log(&source, now)?;
        let metadata_streams = STREAMS.map(|stream| format!("$${stream}"));
        let names: Vec<&str> =
            STREAMS.into_iter().chain(metadata_streams.iter().map(String::as_str)).collect();
        let streams: Vec<_> = names
            .iter()
            .map(|name| reading::stream(&source, now, name))
            .collect::<Result<_, _>>()?;
        reading::compare_streams(&names, &streams, &log)?;
        Ok(log)
    }
}
