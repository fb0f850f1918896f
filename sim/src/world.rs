//! One node on a simulated disk, its clients, and everything that happens to them, from one seed.
//!
//! The node is the real one without its network: the same engine, core, log and index. Time is a
//! number, the disk completes what and when the seed says, and clients are lines in a list. At the
//! end everything is healed, the node must work again, and the oracle compares what clients were
//! told with what the log holds.

mod end;
mod faults;
mod rot;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::AddAssign;

use quorate_core::id::{Position, RequestId};
use quorate_core::request::{Change, Consistency, Expected, Outcome, Proposal, Rejection};
use quorate_core::time::{Created, Instant, Now};
use quorate_node::engine::{Engine, Output};
use quorate_storage::disk::simulated::{Medium, Random};

use crate::history::{Attempt, End, Moment, Violation, Wish};
use crate::mutant::Mutant;
use crate::plan::Plan;
use crate::trace::Trace;
use crate::workload::Workload;
use rot::Rot;

/// A step is at most this long, but for some, so that stamps and retries have their time.
const STEP_NANOS_MAX: u64 = 3_000_000;
const LONG_STEP_NANOS_MAX: u64 = 400_000_000;
/// Clients send at most this much in a step.
const WISHES_MAX: u64 = 4;
/// 2026-01-01, in ticks.
const WALL_START: u64 = 17_672_256_000_000_000;

/// What a run came to, where nothing was wrong with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Of the trace: two runs of a seed have the same.
    pub hash: u64,
    /// Appends and the like that were sent.
    pub attempts: usize,
    /// Of those, the acknowledged ones.
    pub acknowledged: usize,
    /// Ends of the process, with and without the power.
    pub crashes: u32,
    /// Times at which the node stopped because its disk failed.
    pub stops: u32,
    /// Starts that were refused because of a bit that had flipped.
    pub refused_starts: u32,
    /// Events in the log.
    pub events: usize,
}

impl AddAssign for Summary {
    /// Sums all but the hash, which is that of one run.
    fn add_assign(&mut self, other: Self) {
        let Self { hash: _, attempts, acknowledged, crashes, stops, refused_starts, events } =
            other;
        self.attempts += attempts;
        self.acknowledged += acknowledged;
        self.crashes += crashes;
        self.stops += stops;
        self.refused_starts += refused_starts;
        self.events += events;
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { hash: _, attempts, acknowledged, crashes, stops, refused_starts, events } = self;
        write!(
            out,
            "{attempts} attempts, {acknowledged} acknowledged, {events} events, {crashes} ends of \
             the process, {stops} of them for a failed disk, {refused_starts} refused starts"
        )
    }
}

/// A run that broke a promise.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Repeats it.
    pub seed: u64,
    /// What was broken.
    pub violation: Violation,
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "seed {}: {}", self.seed, self.violation)
    }
}

/// Runs a seed to its end.
///
/// - `mutant`: a mistake to put in
/// - `prints`: whether to show the trace
///
/// # Errors
///
/// [`Failure`] with the first promise that was broken.
pub fn run(
    seed: u64,
    plan: Plan,
    mutant: Option<Mutant>,
    prints: bool,
) -> Result<Summary, Failure> {
    let mut world = World::new(seed, plan, mutant, prints);
    world.live().map_err(|violation| Failure { seed, violation })
}

/// What a client keeps of an attempt.
struct Sent {
    /// Where the log ended before the first try.
    since: Position,
    /// Whether there was a second try.
    again: bool,
}

struct World {
    plan: Plan,
    mutant: Option<Mutant>,
    medium: Medium,
    engine: Option<Engine>,
    output: Output,
    now: Now,
    moment: Moment,
    /// What comes when.
    schedule: Random,
    faults: Random,
    workload: Workload,
    attempts: Vec<Attempt>,
    /// What the clients keep of each attempt.
    sent: Vec<Sent>,
    /// Who waits for an answer.
    waiting: BTreeMap<RequestId, usize>,
    /// Attempts that ended unknown, and whose clients want to know.
    unknown: BTreeSet<usize>,
    /// Reads, and what had been acknowledged when they were sent.
    reading: BTreeMap<RequestId, Position>,
    requests: u64,
    /// The furthest acknowledged position.
    acknowledged: Position,
    full_until: Moment,
    stalled_until: Moment,
    rot: Rot,
    crashes: u32,
    stops: u32,
    trace: Trace,
}

impl World {
    fn new(seed: u64, plan: Plan, mutant: Option<Mutant>, prints: bool) -> Self {
        Self {
            plan,
            mutant,
            medium: Medium::new(seed),
            engine: None,
            output: Output::default(),
            now: Now { monotonic: Instant::START, wall: Created::from_ticks(WALL_START) },
            moment: 0,
            schedule: Random::stream(seed, "schedule"),
            faults: Random::stream(seed, "faults"),
            workload: Workload::new(seed),
            attempts: Vec::new(),
            sent: Vec::new(),
            waiting: BTreeMap::new(),
            unknown: BTreeSet::new(),
            reading: BTreeMap::new(),
            requests: 0,
            acknowledged: Position::START,
            full_until: 0,
            stalled_until: 0,
            rot: Rot::new(seed),
            crashes: 0,
            stops: 0,
            trace: Trace::new(prints),
        }
    }

    fn live(&mut self) -> Result<Summary, Violation> {
        for _ in 0..self.plan.steps {
            self.pass_time();
            self.strike();
            self.keep_running()?;
            for _ in 0..self.schedule.below(WISHES_MAX) {
                let attempt = self.workload.next(self.moment);
                self.send_new(attempt);
            }
            self.send_again();
            if self.schedule.one_in(4) {
                self.send_read();
            }
            self.turn()?;
            self.complete_some();
        }
        self.heal_and_judge()
    }

    fn pass_time(&mut self) {
        self.moment += 1;
        let is_long = self.schedule.one_in(8);
        let bound = if is_long { LONG_STEP_NANOS_MAX } else { STEP_NANOS_MAX };
        let nanos = 1 + self.schedule.below(bound);
        let monotonic = Instant::from_nanos(self.now.monotonic.nanos() + nanos);
        let wall = Created::from_ticks(self.now.wall.ticks() + nanos / 100);
        self.now = Now { monotonic, wall };
    }

    fn send_new(&mut self, attempt: Attempt) {
        let since = self.engine.as_ref().map_or(self.acknowledged, |engine| engine.committed().1);
        self.attempts.push(attempt);
        self.sent.push(Sent { since, again: false });
        self.send(self.attempts.len() - 1, None);
    }

    /// Sends an attempt, for the first time or again.
    fn send(&mut self, index: usize, retry_since: Option<Position>) {
        let request = self.next_request();
        let attempt = &self.attempts[index];
        let (stream, expected) = (&attempt.stream, attempt.expected);
        self.trace.line(format_args!(
            "{} send {request} #{index} {stream} {expected} retry {retry_since:?}",
            self.moment
        ));
        let Some(engine) = &mut self.engine else { return };
        let frames: Vec<u8> = match &attempt.wish {
            Wish::Append(frames) => frames.concat(),
            Wish::Delete(_) | Wish::Tombstone(_) => Vec::new(),
        };
        let change = change(&attempt.wish, &frames);
        let expected = match self.mutant {
            Some(Mutant::IgnoredExpectation) => Expected::Any,
            _ => expected,
        };
        engine.propose(self.now, Proposal { request, stream, expected, change, retry_since });
        self.waiting.insert(request, index);
    }

    fn send_read(&mut self) {
        let request = self.next_request();
        if let Some(engine) = &mut self.engine {
            engine.read(self.now, request, Consistency::Linearizable);
            self.reading.insert(request, self.acknowledged);
        }
    }

    fn next_request(&mut self) -> RequestId {
        self.requests += 1;
        RequestId::from_wire(self.requests)
    }

    /// Lets the engine do what it can, and hands out its answers.
    fn turn(&mut self) -> Result<(), Violation> {
        let Some(engine) = &mut self.engine else { return Ok(()) };
        let turned = engine.turn(self.now, &mut self.output);
        engine.start_disk();
        engine.check();
        let mut replies = std::mem::take(&mut self.output.replies);
        if self.mutant == Some(Mutant::SwappedReplies)
            && let [first, .., last] = &mut replies[..]
        {
            std::mem::swap(&mut first.1, &mut last.1);
        }
        for (request, outcome) in replies {
            self.answer(request, outcome);
        }
        for (request, answer) in std::mem::take(&mut self.output.reads) {
            self.answer_read(request, answer.ok())?;
        }
        for notice in std::mem::take(&mut self.output.notices) {
            self.trace.line(format_args!("{} {notice:?}", self.moment));
        }
        self.output.writes.clear();
        if let Err(fault) = turned {
            self.trace.line(format_args!("{} the node stops: {fault}", self.moment));
            self.stops += 1;
            self.end_process();
        }
        Ok(())
    }

    fn answer(&mut self, request: RequestId, outcome: Outcome) {
        let Some(index) = self.waiting.remove(&request) else { return };
        self.trace.line(format_args!("{} answer {request} #{index} {outcome:?}", self.moment));
        let attempt = &mut self.attempts[index];
        let at = self.moment;
        match outcome {
            Outcome::Appended(appended) => {
                if appended.last.is_some() {
                    self.acknowledged = self.acknowledged.max(appended.position);
                }
                attempt.end = End::Done { appended, at };
                self.workload.learn(attempt);
            }
            Outcome::Unknown => {
                self.unknown.insert(index);
            }
            // The refusal of a retry says nothing of the first try.
            Outcome::Refused(rejection) if !self.sent[index].again => {
                attempt.end = End::Refused { rejection, at };
            }
            Outcome::Refused(rejection) => {
                if is_momentary(&rejection) {
                    self.unknown.insert(index);
                }
            }
        }
    }

    fn answer_read(&mut self, request: RequestId, end: Option<Position>) -> Result<(), Violation> {
        let (Some(known), Some(end)) = (self.reading.remove(&request), end) else { return Ok(()) };
        if known > Position::START && end <= known {
            let story = format!("a read ends at {end}, and {known} was acknowledged before it");
            return Err(Violation { invariant: "linearizable reads", story });
        }
        Ok(())
    }
}

/// Whether the same may be answered otherwise in a moment.
pub(crate) fn is_momentary(rejection: &Rejection) -> bool {
    matches!(
        rejection,
        Rejection::NotReady
            | Rejection::NotLeader { .. }
            | Rejection::Overloaded
            | Rejection::DiskFull
    )
}

/// What an attempt asks of the store.
pub(crate) fn change<'a>(wish: &Wish, frames: &'a [u8]) -> Change<'a> {
    match wish {
        Wish::Append(events) => Change::Append { frames, count: events.len() as u32 },
        Wish::Delete(id) => Change::Delete { id: *id },
        Wish::Tombstone(id) => Change::Tombstone { id: *id },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenarios::REMEMBERED;

    #[test]
    fn without_faults_all_is_well() {
        for seed in 0..5 {
            let summary = run(seed, Plan::CALM, None, false).unwrap_or_else(|it| panic!("{it}"));
            assert!(summary.acknowledged > 100, "clients get somewhere: {summary}");
            assert_eq!(summary.stops, 0);
        }
    }

    #[test]
    fn with_faults_all_promises_are_kept() {
        let mut total = Summary::default();
        for seed in 0..30 {
            total += run(seed, Plan::of(seed), None, false).unwrap_or_else(|it| panic!("{it}"));
        }
        assert!(total.crashes > 30, "there are crashes: {total}");
        assert!(total.stops > 5, "there are failed disks: {total}");
        assert!(total.refused_starts > 5, "there is rot: {total}");
    }

    #[test]
    fn seeds_that_once_failed_pass() {
        for (seed, story) in REMEMBERED {
            run(seed, Plan::of(seed), None, false).unwrap_or_else(|it| panic!("{story}: {it}"));
        }
    }

    #[test]
    fn a_seed_is_one_run() {
        for seed in 0..5 {
            let runs = [(); 2].map(|()| run(seed, Plan::of(seed), None, false).map(|it| it.hash));
            assert_eq!(runs[0].as_ref().ok(), runs[1].as_ref().ok());
        }
    }
}
