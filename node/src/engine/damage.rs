//! What of the log is damaged, and what the engine does about it: it looks closer, asks other nodes
//! for their copies, and gives them its own.

use std::sync::atomic::Ordering;
use std::task::Context;

use quorate_core::id::{LogIndex, NodeId, Position};
use quorate_core::time::Now;
use quorate_storage::log::{self, Found, LogFault, MendError, Part};
use quorate_storage::read::ReadError;

use super::load::{self, Loaded};
use super::{Engine, Fault, Output};

/// Other nodes ask for one entry at a time; more than this at once is too much.
const GIVING_MAX: usize = 8;

impl Engine {
    /// Another node's copy of an entry is damaged, and it asks for this one's.
    pub(super) fn give(&mut self, to: NodeId, index: LogIndex) {
        let is_given = index <= self.committed && self.giving < GIVING_MAX;
        self.giving += 1;
        self.loaded.extend(if is_given {
            self.loads.start(load::given(self.log.reader(), to, index))
        } else {
            Some(Loaded::Given { to, index, entry: Ok(None) })
        });
        self.woken.0.store(true, Ordering::Relaxed);
    }

    /// A reader has met damage. Says whether it may be mended soon: then it is looked at at once.
    pub fn suspect(&mut self, error: &ReadError) -> bool {
        let Some(position) = damaged_record(error) else { return false };
        if self.core.replica.peers().next().is_none() {
            return false;
        }
        if self.mending.knows_of(position) {
            return true;
        }
        self.woken.0.store(true, Ordering::Relaxed);
        self.scrub.as_mut().is_some_and(|scrub| scrub.suspect(position))
    }

    /// Lets the scrub go on, and what mends what the scrub finds.
    pub(super) fn mend(
        &mut self,
        now: Now,
        context: &mut Context<'_>,
        output: &mut Output,
    ) -> Result<(), Fault> {
        let Some(scrub) = &mut self.scrub else { return Ok(()) };
        match scrub.poll(now.monotonic, context) {
            Some(Found::Damaged { error, before }) => {
                // What is not committed may still be taken back, and nobody gives it away.
                let committed = before.filter(|before| before.index < self.committed);
                committed.into_iter().for_each(|before| self.mending.found(before));
                output.damage.push(error.into());
            }
            Some(Found::Sound(range)) => output.sound.push(range),
            None => {}
        }
        if let Some(mended) = self.mending.poll(now.monotonic, context) {
            match &mended.result {
                Ok(()) => scrub.look_again(mended.before),
                Err(MendError::Write(error)) => return Err(LogFault(error.clone()).into()),
                Err(_) => {}
            }
            output.mended.push(mended);
        }
        let up = self.core.replica.peers().filter(|peer| peer.up).map(|peer| peer.node);
        if let Some((node, index)) = self.mending.ask(now.monotonic, up) {
            output.sends.push(self.encoder.fetch(node, index));
        }
        Ok(())
    }
}

/// Where the record starts, or where in it an event should, that a reader has found damaged.
#[must_use]
pub fn damaged_record(error: &ReadError) -> Option<Position> {
    match error {
        ReadError::Log(log::ReadError::Corrupt(corruption)) => match corruption.part {
            Part::Record { position, .. } => Some(position),
            Part::Unused
            | Part::SegmentHeader
            | Part::SegmentFooter
            | Part::Segment
            | Part::Stamp => None,
        },
        ReadError::Log(log::ReadError::NoEvent(position)) => Some(*position),
        _ => None,
    }
}
