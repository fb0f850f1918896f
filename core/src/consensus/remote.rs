//! How far a leader has brought one follower.
//!
//! A *session* is one attempt: entries are sent one behind the other from some place on. It begins
//! with a probe, a single message, and only when the follower has said that this fits does the rest
//! follow without waiting. When something was lost the leader begins another session.

use alloc::collections::VecDeque;

use super::patience::Patience;
use crate::digest::Digest;
use crate::effect::{Effect, Effects};
use crate::id::{ChainHash, Epoch, LogIndex, NodeId, Round, Session};
use crate::limits::Limits;
use crate::log::tail::Tail;
use crate::message::{Message, Progress, Tip};
use crate::notice::Notice;
use crate::recording::recorded;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The next message is a probe.
    Probe,
    /// A probe is under way.
    Probing,
    /// All is sent as it comes.
    Streaming,
}

recorded!(enum State { 0 => Probe, 1 => Probing, 2 => Streaming });

/// One follower.
#[derive(Clone, Debug)]
pub(crate) struct Remote {
    pub(crate) node: NodeId,
    state: State,
    pub(crate) session: Session,
    /// The first entry of the session.
    first: LogIndex,
    /// The next entry to send.
    next: LogIndex,
    /// Every entry up to here is on its disk.
    durable: LogIndex,
    /// What it knows to be committed.
    pub(crate) committed: LogIndex,
    /// The last entry that it said it has in memory.
    received: LogIndex,
    /// Messages that are not on its disk: the last entry of each, and its bytes.
    in_flight: VecDeque<(LogIndex, u64)>,
    in_flight_bytes: u64,
    /// The shell reads the log for it.
    reading: bool,
    /// The last entry of the session that was sent out of the log.
    from_log: LogIndex,
    /// Ticks until the log, which could not be read, is tried again.
    blocked_ticks: u32,
    /// How long it may answer without progress.
    patience: Patience,
    /// Since it was last heard in this reign.
    pub(crate) silent_ticks: u32,
    /// The newest heartbeat that it has answered.
    pub(crate) round: Round,
    /// Whether it could lead as far as its disk is concerned.
    pub(crate) fit: bool,
    /// The round trip to the nearest majority that it would have as a leader.
    pub(crate) quorum_rtt_nanos: u64,
    /// How long it has been the better leader.
    pub(crate) better_ticks: u32,
}

recorded!(struct Remote {
    node, state, session, first, next, durable, committed, received, in_flight, in_flight_bytes,
    reading, from_log, blocked_ticks, patience, silent_ticks, round, fit,
    quorum_rtt_nanos, better_ticks,
});

/// How far a follower is, as its leader knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerProgress {
    /// The last entry on its disk.
    pub durable: LogIndex,
    /// The last entry that it knows to be committed.
    pub committed: LogIndex,
    /// Whether its disk takes more, as far as it has said anything of that.
    pub fit: bool,
}

impl Remote {
    /// At the beginning of a reign: it most likely has all that its leader has.
    ///
    /// - `next`: the epoch record
    pub(crate) const fn new(node: NodeId, next: LogIndex) -> Self {
        Self {
            node,
            state: State::Probe,
            session: Session::from_wire(1),
            first: next,
            next,
            durable: LogIndex::ZERO,
            committed: LogIndex::ZERO,
            received: LogIndex::ZERO,
            in_flight: VecDeque::new(),
            in_flight_bytes: 0,
            reading: false,
            from_log: LogIndex::ZERO,
            blocked_ticks: 0,
            patience: Patience::new(),
            silent_ticks: 0,
            round: Round::ZERO,
            fit: false,
            quorum_rtt_nanos: 0,
            better_ticks: 0,
        }
    }

    /// How far it is, once it has said anything in this reign.
    pub(crate) fn told(&self) -> Option<PeerProgress> {
        let of_its_disk = self.round > Round::ZERO;
        let progress = PeerProgress {
            durable: self.durable,
            committed: self.committed,
            fit: self.fit || !of_its_disk,
        };
        (of_its_disk || self.durable > LogIndex::ZERO).then_some(progress)
    }

    /// The last entry on its disk, as far as it has said so in this reign.
    pub(crate) const fn durable(&self) -> LogIndex {
        self.durable
    }

    /// Begins another session.
    ///
    /// - `next`: the first entry to send
    pub(crate) fn restart(&mut self, next: LogIndex) {
        self.session = self.session.next();
        self.state = State::Probe;
        self.first = next;
        self.next = next;
        self.received = LogIndex::ZERO;
        self.in_flight.clear();
        self.in_flight_bytes = 0;
        self.reading = false;
        self.from_log = LogIndex::ZERO;
        self.blocked_ticks = 0;
        self.patience.begin();
    }

    /// The link is new: what was under way may be lost.
    pub(crate) fn reconnect(&mut self) {
        // Behind what it surely has; at most what was under way is sent again.
        let next = if self.durable > LogIndex::ZERO { self.durable.next() } else { self.first };
        self.restart(next.min(self.next));
    }

    /// It has said how far it is. Gives whether more is on its disk than before.
    pub(crate) fn progressed(&mut self, progress: &Progress) -> bool {
        self.committed = self.committed.max(progress.committed);
        let advanced = progress.durable.index > self.durable;
        if advanced {
            self.durable = progress.durable.index;
        }
        while let Some((last, bytes)) = self.in_flight.front()
            && *last <= self.durable
        {
            self.in_flight_bytes -= bytes;
            self.in_flight.pop_front();
        }
        if progress.received > self.received {
            self.received = progress.received;
            self.patience.begin();
        }
        if self.state == State::Probing && progress.received.next() >= self.next {
            self.state = State::Streaming;
        }
        advanced
    }

    /// It has answered a heartbeat. Where it does not get on though something is under way to it,
    /// that was lost, and is sent again.
    ///
    /// - `in_session`: whether the answer is of this session
    pub(crate) fn answered(&mut self, in_session: bool, received: LogIndex) {
        let behind = received.next() < self.next;
        let waits = match self.state {
            State::Probe => false,
            State::Probing => true,
            State::Streaming => !in_session || behind,
        };
        if !waits || self.reading {
            self.patience.satisfied(self.state == State::Streaming && !waits);
            return;
        }
        let oldest = self.in_flight.front().map_or(0, |(_, bytes)| *bytes);
        if self.patience.is_over(oldest) {
            // What is on its disk was compared in this reign, and stays.
            let surely = self.first.max(self.durable.next());
            let next = if in_session { received.next() } else { surely };
            self.restart(next.min(self.next));
        }
    }

    /// Time has passed.
    pub(crate) const fn tick(&mut self) {
        self.silent_ticks = self.silent_ticks.saturating_add(1);
        self.patience.tick();
        self.blocked_ticks = self.blocked_ticks.saturating_sub(1);
    }

    /// The shell has sent entries out of its log, or can't.
    ///
    /// - `retry_ticks`: when to try again
    pub(crate) fn sent_from_log(
        &mut self,
        session: Session,
        last: Option<(LogIndex, u64)>,
        retry_ticks: u32,
        effects: &mut Effects,
    ) {
        if session != self.session || !self.reading {
            return;
        }
        self.reading = false;
        match last {
            Some((last, bytes)) => {
                self.from_log = last;
                self.sent(last, bytes);
            }
            None => {
                self.blocked_ticks = retry_ticks;
                effects.push(Effect::Notice(Notice::CantServe { node: self.node }));
            }
        }
    }

    fn sent(&mut self, last: LogIndex, bytes: u64) {
        if last >= self.next {
            self.in_flight.push_back((last, bytes));
            self.in_flight_bytes += bytes;
            self.next = last.next();
        }
        if self.state == State::Probe {
            self.state = State::Probing;
        }
    }

    /// Sends what there is to send and what the bounds allow. Gives whether that was anything.
    pub(crate) fn pump(
        &mut self,
        epoch: Epoch,
        committed: LogIndex,
        tail: &Tail,
        limits: &Limits,
        effects: &mut Effects,
    ) -> bool {
        let mut sent = false;
        while self.may_send(tail, limits) {
            let previous = self.next.previous();
            let message = |previous: Tip, last| Message::Append {
                epoch,
                session: self.session,
                previous,
                last,
                committed,
            };
            let Some(tip) = tail.tip_at(previous) else {
                let tip = Tip { index: previous, chain: ChainHash::GENESIS };
                effects
                    .push(Effect::SendFromLog { to: self.node, message: message(tip, previous) });
                self.reading = true;
                return sent;
            };
            if self.received < self.from_log {
                // That goes another way, on which it would be overtaken.
                return sent;
            }
            let (last, bytes) = message_end(tail, self.next, limits.message_bytes_target);
            effects.push(Effect::Send { to: self.node, message: message(tip, last) });
            self.sent(last, bytes);
            sent = true;
        }
        sent
    }

    fn may_send(&self, tail: &Tail, limits: &Limits) -> bool {
        if self.reading || self.blocked_ticks > 0 {
            return false;
        }
        match self.state {
            State::Probe => true,
            State::Probing => false,
            State::Streaming => {
                let has_room = self.in_flight_bytes < u64::from(limits.follower_bytes_max);
                self.next <= tail.end().index && has_room
            }
        }
    }

    /// The invariants between any two inputs.
    pub(crate) fn check(&self, tail: &Tail) {
        assert!(self.next.previous() <= tail.end().index, "only what exists is sent");
        assert!(self.durable <= tail.end().index, "a follower has what its leader has");
        let bytes: u64 = self.in_flight.iter().map(|(_, bytes)| bytes).sum();
        assert!(bytes == self.in_flight_bytes, "bytes in flight add up");
    }

    /// Adds all that decides what it will do to `hasher`.
    pub(crate) fn digest(&self, digest: &mut Digest) {
        digest.numbers(&[
            self.node.get(),
            self.state as u64,
            self.session.get(),
            self.first.get(),
            self.next.get(),
            self.durable.get(),
            self.in_flight.len() as u64,
            self.in_flight_bytes,
            u64::from(self.reading),
            self.from_log.get(),
            self.round.get(),
            u64::from(self.fit),
        ]);
        // What it has received says no more than when something counts as lost; what it knows to be
        // committed is for people only.
        digest.timers(&[
            self.committed.get(),
            self.received.get(),
            u64::from(self.blocked_ticks),
            u64::from(self.silent_ticks),
            self.quorum_rtt_nanos,
            u64::from(self.better_ticks),
        ]);
        digest.timers(&self.patience.timers());
    }
}

/// The last entry of a message that begins with `first`, and the bytes of log in it. Without
/// entries it is that before `first`.
fn message_end(tail: &Tail, first: LogIndex, bytes_target: u32) -> (LogIndex, u64) {
    let (mut last, mut bytes) = (first.previous(), 0);
    while last < tail.end().index && bytes < u64::from(bytes_target) {
        last = last.next();
        let header = tail.entry(last).0;
        bytes += header.end().since(header.position);
    }
    (last, bytes)
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;
    use crate::log::entry::{LogEnd, LogId};

    const EPOCH: Epoch = Epoch::from_wire(1);

    fn log(count: u64) -> Tail {
        let mut tail = Tail::open(LogId::default(), LogEnd::default());
        for _ in 0..count {
            tail.seal_epoch(EPOCH, &[0; 64]);
        }
        tail
    }

    fn index(number: u64) -> LogIndex {
        LogIndex::from_wire(number)
    }

    /// A follower of which the leader thinks that it lacks the entries from this one on.
    fn remote(next: u64) -> Remote {
        Remote::new(NodeId::from_wire(2), index(next))
    }

    /// What is sent: session, and from behind which entry up to which.
    fn pump(remote: &mut Remote, tail: &Tail, limits: &Limits) -> Vec<(u64, u64, u64)> {
        let mut effects = Effects::new();
        remote.pump(EPOCH, LogIndex::ZERO, tail, limits, &mut effects);
        remote.check(tail);
        let message = |effect| match effect {
            Effect::Send { message: Message::Append { session, previous, last, .. }, .. } => {
                (session.get(), previous.index.get(), last.get())
            }
            other => panic!("{other:?}"),
        };
        effects.drain().map(message).collect()
    }

    fn progress(remote: &mut Remote, tail: &Tail, received: u64, durable: u64) {
        let durable = tail.tip_at(index(durable)).expect("it is in memory");
        let (session, received) = (remote.session, index(received));
        remote.progressed(&Progress { session, received, durable, committed: LogIndex::ZERO });
        remote.check(tail);
    }

    /// One entry in each message.
    const ONE: Limits = Limits { message_bytes_target: 1, ..Limits::TINY };

    #[test]
    fn a_session_begins_with_one_message() {
        let (tail, mut remote) = (log(3), remote(1));
        assert_eq!(pump(&mut remote, &tail, &ONE), [(1, 0, 1)]);
        assert_eq!(pump(&mut remote, &tail, &ONE), []);
        progress(&mut remote, &tail, 1, 1);
        assert_eq!(pump(&mut remote, &tail, &ONE), [(1, 1, 2), (1, 2, 3)], "and then all goes");
    }

    #[test]
    fn bytes_that_are_not_on_its_disk_are_bounded() {
        let (tail, mut remote) = (log(3), remote(1));
        let bytes = tail.entry(index(1)).0.end().get() as u32;
        let limits = Limits { follower_bytes_max: bytes, ..ONE };
        pump(&mut remote, &tail, &limits);
        progress(&mut remote, &tail, 1, 0);
        assert_eq!(pump(&mut remote, &tail, &limits), [], "in its memory is not enough");
        progress(&mut remote, &tail, 1, 1);
        assert_eq!(pump(&mut remote, &tail, &limits), [(1, 1, 2)]);
    }

    #[test]
    fn a_new_link_begins_behind_what_is_on_its_disk() {
        let (tail, mut remote) = (log(3), remote(1));
        pump(&mut remote, &tail, &ONE);
        progress(&mut remote, &tail, 1, 1);
        pump(&mut remote, &tail, &ONE);
        remote.reconnect();
        assert_eq!(pump(&mut remote, &tail, &ONE), [(2, 1, 2)]);
    }

    /// So many ticks it waits at first.
    const PATIENCE: u32 = 10;

    /// It answers a heartbeat for so many ticks, one after the other.
    fn answers(remote: &mut Remote, ticks: u32, in_session: bool, received: u64) {
        for _ in 0..ticks {
            remote.tick();
            remote.answered(in_session, index(received));
        }
    }

    #[test]
    fn answers_without_progress_mean_that_something_was_lost() {
        let (tail, mut remote) = (log(2), remote(1));
        pump(&mut remote, &tail, &ONE);
        progress(&mut remote, &tail, 1, 1);
        pump(&mut remote, &tail, &ONE);
        answers(&mut remote, PATIENCE - 1, true, 1);
        assert_eq!(pump(&mut remote, &tail, &ONE), []);
        answers(&mut remote, 1, true, 1);
        assert_eq!(pump(&mut remote, &tail, &ONE), [(2, 1, 2)]);
    }

    #[test]
    fn what_is_sent_again_begins_behind_what_was_compared() {
        for (in_session, received, again) in [(true, 2, 3), (false, 3, 2)] {
            let (tail, mut remote) = (log(3), remote(1));
            pump(&mut remote, &tail, &ONE);
            progress(&mut remote, &tail, 1, 1);
            pump(&mut remote, &tail, &ONE);
            // What it has received in another session says nothing of this one.
            answers(&mut remote, PATIENCE, in_session, received);
            assert_eq!(pump(&mut remote, &tail, &ONE), [(2, again - 1, again)]);
        }
    }

    #[test]
    fn answers_in_a_row_count_only_without_progress() {
        let (tail, mut remote) = (log(3), remote(1));
        pump(&mut remote, &tail, &ONE);
        progress(&mut remote, &tail, 1, 1);
        pump(&mut remote, &tail, &ONE);
        for received in 1..3 {
            answers(&mut remote, PATIENCE - 1, true, received);
            progress(&mut remote, &tail, received + 1, 1);
        }
        answers(&mut remote, 1, true, 3);
        assert_eq!(remote.session, Session::from_wire(1), "it gets on, if slowly");
        // It has all that it was sent: there is nothing to be lost.
        answers(&mut remote, PATIENCE, true, 3);
        assert_eq!(remote.session, Session::from_wire(1));
    }

    #[test]
    fn what_is_in_memory_does_not_overtake_what_comes_out_of_the_log() {
        let mut tail = log(3);
        tail.submit();
        tail.commit_next();
        tail.settle(index(1));
        tail.release();
        let mut remote = remote(1);
        let mut effects = Effects::new();
        remote.pump(EPOCH, LogIndex::ZERO, &tail, &ONE, &mut effects);
        assert!(effects.drain().any(|effect| matches!(effect, Effect::SendFromLog { .. })));
        remote.sent_from_log(remote.session, Some((index(1), 10)), 2, &mut Effects::new());
        remote.state = State::Streaming;
        assert_eq!(pump(&mut remote, &tail, &ONE), []);
        progress(&mut remote, &tail, 1, 1);
        assert_eq!(pump(&mut remote, &tail, &ONE), [(1, 1, 2), (1, 2, 3)]);
    }

    #[test]
    fn a_log_that_cannot_be_read_is_tried_again_later() {
        let mut tail = log(3);
        // All but the last have left memory.
        tail.submit();
        tail.submit();
        tail.commit_next();
        tail.commit_next();
        tail.settle(index(2));
        tail.release();
        let mut remote = remote(1);
        let mut effects = Effects::new();
        let mut pump = |remote: &mut Remote| {
            remote.pump(EPOCH, LogIndex::ZERO, &tail, &ONE, &mut effects);
            let asked = |effect| matches!(effect, Effect::SendFromLog { .. });
            effects.drain().any(asked)
        };
        assert!(pump(&mut remote));
        assert!(!pump(&mut remote), "it is being read");
        remote.sent_from_log(remote.session, None, 2, &mut Effects::new());
        remote.tick();
        assert!(!pump(&mut remote));
        remote.tick();
        assert!(pump(&mut remote));
        let stale = Session::from_wire(9);
        remote.sent_from_log(stale, Some((index(2), 10)), 2, &mut Effects::new());
        assert!(!pump(&mut remote), "what was read for another session is void");
    }
}
