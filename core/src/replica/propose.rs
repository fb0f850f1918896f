//! Proposals: decided by the store, gathered into the next entry, answered once that is committed.

use super::answers::Answer;
use super::{Running, refuse};
use crate::effect::{Effect, Effects};
use crate::id::{Position, RequestId, Revision};
use crate::input::LoadedHead;
use crate::log::tail::Tail;
use crate::notice::Notice;
use crate::request::{Appended, Outcome, Proposal, Rejection};
use crate::store::decide::{Decision, Loaded};
use crate::store::heads::Pins;
use crate::store::keys::StreamKey;
use crate::store::waiting::{Blocker, Held, proposal_bytes};
use crate::store::{Opening, Target, validate};
use crate::time::Now;

impl Running {
    pub(super) fn propose(&mut self, now: Now, proposal: &Proposal<'_>, effects: &mut Effects) {
        if let Err(rejection) = self.admit(proposal) {
            if rejection == Rejection::Overloaded {
                effects.push(Effect::Notice(Notice::Overloaded));
            }
            refuse(proposal.request, rejection, effects);
            return;
        }
        let target = self.store.target(proposal.stream);
        if self.waiting.is_waiting(target.owner_key) {
            self.waiting.join(target.owner_key, proposal);
        } else if let Some(blocker) = self.decide(now, proposal, &target, None, effects) {
            self.waiting.block(target.owner_key, Held::copy(proposal), blocker);
        }
    }

    /// Whether a proposal may be decided at all.
    fn admit(&self, proposal: &Proposal<'_>) -> Result<(), Rejection> {
        if self.reign.is_none() {
            return Err(self.not_leading());
        }
        if !self.consensus.is_ready() || self.consensus.is_transferring() {
            return Err(Rejection::NotReady);
        }
        validate::validate(&self.limits, proposal)?;
        if self.consensus.disk.is_full() {
            // Another is about to take over: the client shall ask again rather than give up.
            let passes = self.consensus.has_heir();
            return Err(if passes { Rejection::NotReady } else { Rejection::DiskFull });
        }
        let appends = self.pending_appends();
        let bytes = self.tail.pending_bytes() + self.waiting.bytes() + proposal_bytes(proposal);
        let overloaded = appends >= self.limits.pending_appends_max as usize
            || bytes > u64::from(self.limits.pending_bytes_max);
        if overloaded { Err(Rejection::Overloaded) } else { Ok(()) }
    }

    /// Decides a proposal and does what was decided; or says what it must wait for, and asks for
    /// that.
    fn decide(
        &mut self,
        now: Now,
        proposal: &Proposal<'_>,
        target: &Target<'_>,
        loaded: Option<Loaded<'_>>,
        effects: &mut Effects,
    ) -> Option<Blocker> {
        let request = proposal.request;
        let Some(decision) = self.store.decide(proposal, target, loaded) else {
            let epoch = self.consensus.epoch();
            effects.push(Effect::LoadHead { stream: target.owner.into(), epoch });
            return Some(Blocker::Head);
        };
        match decision {
            Decision::Write => self.write(now, proposal, target),
            Decision::Duplicate { first, last, position } => {
                effects.push(Effect::Notice(Notice::DuplicateAppend));
                let answer = self.duplicate(first, last, position);
                self.answer(target, request, answer, effects);
            }
            Decision::Holds => self.answer(target, request, Answer::Holds, effects),
            Decision::Refuse(rejection) => {
                let answer = Answer::Settled(Outcome::Refused(rejection));
                self.answer(target, request, answer, effects);
            }
            Decision::ReadIds { first, count } => {
                let rests_on = self.store.rests_on(target);
                if rests_on > self.tail.committed().index {
                    return Some(Blocker::Commit(rests_on));
                }
                let stream = proposal.stream.into();
                effects.push(Effect::LoadIds { request, stream, first, count });
                return Some(Blocker::Ids(first));
            }
        }
        None
    }

    fn write(&mut self, now: Now, proposal: &Proposal<'_>, target: &Target<'_>) {
        let mut opening = Opening {
            index: self.tail.next_index(),
            start: self.tail.end().position,
            gathering: self.tail.gathering(),
        };
        let written = self.store.write(proposal, target, now.wall, &mut opening);
        let entry = opening.index;
        let answer = Answer::Written {
            first: written.first,
            last: written.last,
            offset: written.offset,
            duplicate: false,
        };
        self.answers.keep(entry, proposal.request, answer);
        if self.tail.gathered_bytes() >= self.limits.entry_bytes_target as usize {
            self.seal();
        }
    }

    /// The answer to a retry. The position of an event that still gathers is not known yet.
    fn duplicate(&self, first: Revision, last: Revision, position: Position) -> Answer {
        let gathers_from = Tail::provisional_position(self.tail.end().position, 0);
        if position >= gathers_from {
            let offset = position.since(gathers_from) as usize;
            return Answer::Written { first, last, offset, duplicate: true };
        }
        let (first, last) = (Some(first), Some(last));
        Answer::Settled(Outcome::Appended(Appended { first, last, position, duplicate: true }))
    }

    /// Tells a client, once what the answer rests on is committed, and it is sure that no other leader
    /// has changed it.
    fn answer(
        &mut self,
        target: &Target<'_>,
        request: RequestId,
        answer: Answer,
        effects: &mut Effects,
    ) {
        let rests_on = self.store.rests_on(target);
        if rests_on > self.tail.committed().index {
            self.answers.keep(rests_on, request, answer);
            return;
        }
        let outcome = match answer {
            Answer::Settled(outcome) => outcome,
            Answer::Holds => Outcome::Appended(Appended {
                first: None,
                last: None,
                position: self.tail.committed().position,
                duplicate: false,
            }),
            Answer::Written { .. } => unreachable!("what gathers is not committed"),
        };
        // That an event was written stays true; all else tells of a state that another leader may
        // have changed.
        let stays_true = matches!(outcome, Outcome::Appended(Appended { duplicate: true, .. }));
        if stays_true || self.consensus.is_alone() {
            effects.push(Effect::Reply { request, outcome });
        } else {
            self.consensus.confirm(request, outcome);
        }
    }

    pub(super) fn head_loaded(
        &mut self,
        now: Now,
        stream: &str,
        head: &LoadedHead<'_>,
        effects: &mut Effects,
    ) {
        let key = self.store.key(stream);
        if self.waiting.wants_head(key) {
            let committed = self.tail.committed().index;
            self.store.head_loaded(key, head, &Pins { committed, waiting: &self.waiting });
            self.resume(now, key, None, effects);
        }
    }

    /// Nobody who waits for this stream can be told more; who asks later makes another attempt.
    pub(super) fn head_unreadable(&mut self, stream: &str, effects: &mut Effects) {
        let key = self.store.key(stream);
        if self.waiting.wants_head(key) {
            while let Some(held) = self.waiting.take_first(key) {
                refuse(held.proposal().request, Rejection::Damaged, effects);
            }
            self.waiting.close(key);
        }
    }

    pub(super) fn ids_unreadable(&mut self, now: Now, request: RequestId, effects: &mut Effects) {
        if let Some((key, _)) = self.waiting.ids_arrived(request) {
            let first = self.waiting.take_first(key).expect("who asked still waits");
            assert!(first.proposal().request == request, "the first of a line has asked");
            refuse(request, Rejection::Damaged, effects);
            self.resume(now, key, None, effects);
        }
    }

    /// Decides those who wait in line for a stream, until one has to wait again.
    ///
    /// - `loaded`: what the first of them has asked for
    pub(super) fn resume(
        &mut self,
        now: Now,
        key: StreamKey,
        mut loaded: Option<Loaded<'_>>,
        effects: &mut Effects,
    ) {
        while let Some(held) = self.waiting.take_first(key) {
            let proposal = held.proposal();
            let target = self.store.target(proposal.stream);
            if let Some(blocker) = self.decide(now, &proposal, &target, loaded.take(), effects) {
                self.waiting.block(key, held, blocker);
                return;
            }
        }
        self.waiting.close(key);
    }
}
