//! A follower's side of replication: entries that a leader sends are compared with its own, taken
//! in, and put in the place of what a deposed leader had left behind.

use crate::effect::{Effect, Effects, Halt};
use crate::id::{Epoch, LogIndex, NodeId, Round, Session};
use crate::log::entry::EntryHeader;
use crate::log::tail::Tail;
use crate::message::{Message, Progress, Tip};
use crate::mutant::{Mutant, Switch};
use crate::notice::Notice;
use crate::recording::recorded;

use super::disk::OwnDisk;

/// What a node knows of its log within one reign, and what it has to say to the leader.
#[derive(Clone, Debug, Default)]
pub(crate) struct Follower {
    session: Session,
    /// The last entry of the session that was compared with the leader's.
    matched: Tip,
    /// What the leader has said to be committed.
    told_committed: LogIndex,
    /// The session whose entries did not fit, until the leader is told.
    misfit: Option<Session>,
    /// The last session of which the leader was told so.
    misfit_told: Session,
    /// A heartbeat to answer.
    round: Option<Round>,
    /// There is something to acknowledge.
    ack_due: bool,
}

recorded!(struct Follower {
    session, matched, told_committed, misfit, misfit_told, round, ack_due,
});

/// Entries that a leader has sent.
#[derive(Clone, Copy)]
pub(crate) struct Batch<'a> {
    pub(crate) from: NodeId,
    pub(crate) epoch: Epoch,
    pub(crate) session: Session,
    pub(crate) previous: Tip,
    pub(crate) last: LogIndex,
    pub(crate) entries: &'a [(EntryHeader, &'a [u8])],
}

impl Follower {
    /// At the beginning of a reign: all that is known to agree with its leader's log is what is
    /// committed.
    pub(crate) fn new(tail: &Tail) -> Self {
        Self { matched: Tip::of(tail.committed()), ..Self::default() }
    }

    /// The leader has said how much is committed.
    pub(crate) fn tell_committed(&mut self, committed: LogIndex) {
        self.told_committed = self.told_committed.max(committed);
    }

    /// What is committed as far as this node can tell: no more than it has and has compared.
    pub(crate) fn committed(&self, tail: &Tail, mutants: Switch) -> LogIndex {
        if mutants.is(Mutant::CommitsUnmatched) {
            return self.told_committed.min(tail.end().index);
        }
        self.told_committed.min(self.matched.index)
    }

    /// A heartbeat wants an answer.
    pub(crate) const fn heartbeat(&mut self, round: Round) {
        self.round = Some(round);
    }

    /// More is on the own disk.
    pub(crate) const fn acknowledge(&mut self) {
        self.ack_due = true;
    }

    /// Takes in entries.
    pub(crate) fn append(
        &mut self,
        batch: &Batch<'_>,
        tail: &mut Tail,
        disk: &mut OwnDisk,
        mutants: Switch,
        effects: &mut Effects,
    ) {
        if batch.session < self.session && !mutants.is(Mutant::DropsSession) {
            return;
        }
        if !is_whole(batch) {
            effects.push(Effect::Notice(Notice::BadMessage { from: batch.from }));
            return;
        }
        match compare(batch.previous, tail) {
            Place::Same => {}
            Place::Missing => return self.does_not_fit(batch.session),
            Place::Other if batch.previous.index > tail.committed().index => {
                return self.does_not_fit(batch.session);
            }
            Place::Other => return diverged(batch, batch.previous.index, effects),
        }
        let is_probe = batch.session > self.session;
        if is_probe {
            self.session = batch.session;
            self.matched = batch.previous;
        }
        let mut matched = batch.previous;
        for (header, body) in batch.entries {
            if !self.take(batch, header, body, tail, disk, mutants, effects) {
                break;
            }
            matched = Tip { index: header.index, chain: header.chain };
        }
        if matched.index > self.matched.index {
            self.matched = matched;
        }
        // What is still to be written is acknowledged once it is. A leader waits for more than that
        // only at the beginning of a session; heartbeats tell it of all else.
        let written = matched.index <= disk.durable().index;
        self.ack_due |= is_probe || written || mutants.is(Mutant::AcksBeforeWrite);
    }

    /// Takes in one entry, whose place is known to be right. Gives whether it is in the log now.
    #[expect(clippy::too_many_arguments, reason = "the parts of one node, lent for one entry")]
    fn take(
        &self,
        batch: &Batch<'_>,
        header: &EntryHeader,
        body: &[u8],
        tail: &mut Tail,
        disk: &mut OwnDisk,
        mutants: Switch,
        effects: &mut Effects,
    ) -> bool {
        let tip = Tip { index: header.index, chain: header.chain };
        match compare(tip, tail) {
            Place::Same => return true,
            Place::Other if header.index <= tail.committed().index => {
                diverged(batch, header.index, effects);
                return false;
            }
            Place::Other if mutants.is(Mutant::SkipsTruncation) => return true,
            // Nothing is removed for the sake of bytes that make no sense.
            Place::Other if !is_good(batch, header, body, tail) => {}
            Place::Other => {
                let (from, last) = (header.index, tail.end().index);
                effects.push(Effect::Notice(Notice::Truncating { from, last }));
                let (end, on_disk) = tail.truncate(header.index.previous());
                disk.truncate(end, on_disk, effects);
            }
            Place::Missing => {}
        }
        let is_good = header.index == tail.next_index() && is_good(batch, header, body, tail);
        if is_good {
            tail.push(header, body);
        } else {
            effects.push(Effect::Notice(Notice::BadMessage { from: batch.from }));
        }
        is_good
    }

    fn does_not_fit(&mut self, session: Session) {
        // Once a session: what follows in it does not fit either.
        if session > self.misfit_told {
            self.misfit = Some(session);
        }
    }

    /// How far this node is.
    pub(crate) fn progress(&self, tail: &Tail, disk: &OwnDisk, mutants: Switch) -> Progress {
        let durable = disk.durable();
        let all = durable.index >= self.matched.index || mutants.is(Mutant::AcksBeforeWrite);
        Progress {
            session: self.session,
            received: self.matched.index,
            durable: if all { self.matched } else { durable },
            committed: tail.committed().index,
        }
    }

    /// Says what there is to say; the epoch is on disk.
    pub(crate) fn speak(
        &mut self,
        leader: NodeId,
        epoch: Epoch,
        reply: impl FnOnce(Round, Progress) -> Message,
        progress: Progress,
        tail: &Tail,
        effects: &mut Effects,
    ) {
        let mut send = |message| effects.push(Effect::Send { to: leader, message });
        if let Some(session) = self.misfit.take() {
            self.misfit_told = session;
            let (end, committed) = (Tip::of(tail.end()), Tip::of(tail.committed()));
            send(Message::Resync { epoch, session, end, committed });
        }
        let ack_due = core::mem::take(&mut self.ack_due);
        if let Some(round) = self.round.take() {
            send(reply(round, progress));
        } else if ack_due {
            send(Message::Ack { epoch, progress });
        }
    }

    /// The invariants between any two inputs.
    pub(crate) fn check(&self, tail: &Tail) {
        assert!(self.matched.index <= tail.end().index, "what was compared is there");
        if let Some(chain) = tail.chain_at(self.matched.index) {
            assert!(chain == self.matched.chain, "what was compared is the log");
        }
    }

    /// Adds all that decides what it will do to `hasher`.
    pub(crate) fn digest(&self, hasher: &mut blake3::Hasher) {
        let numbers = [
            self.session.get(),
            self.matched.index.get(),
            self.told_committed.get(),
            self.misfit.map_or(u64::MAX, Session::get),
            self.misfit_told.get(),
            self.round.map_or(u64::MAX, Round::get),
            u64::from(self.ack_due),
        ];
        for number in numbers {
            hasher.update(&number.to_le_bytes());
        }
    }
}

/// How a place in the leader's log compares with this node's log.
enum Place {
    Same,
    Other,
    Missing,
}

fn compare(tip: Tip, tail: &Tail) -> Place {
    if tip.index > tail.end().index {
        return Place::Missing;
    }
    match tail.chain_at(tip.index) {
        Some(chain) if chain == tip.chain => Place::Same,
        Some(_) => Place::Other,
        // Committed and on disk long ago; no leader lacks it.
        None => Place::Same,
    }
}

/// Whether an entry is what its chain says, and follows on the one before it in this node's log.
fn is_good(batch: &Batch<'_>, header: &EntryHeader, body: &[u8], tail: &Tail) -> bool {
    header.epoch <= batch.epoch && tail.fits(header, body)
}

/// Whether a message's entries are as many as it says, one behind the other.
fn is_whole(batch: &Batch<'_>) -> bool {
    let mut next = batch.previous.index.next();
    for (header, _) in batch.entries {
        if header.index != next {
            return false;
        }
        next = next.next();
    }
    batch.last.next() == next
}

fn diverged(batch: &Batch<'_>, index: LogIndex, effects: &mut Effects) {
    effects.push(Effect::Halt(Halt::Diverged { index, leader: batch.from }));
}
