//! One replica and nobody else: what the others say is made by hand.

use quorate_core::effect::Halt;
use quorate_core::id::{ChainHash, DiskId, Epoch, LogIndex, NodeId, Position, Round, Session};
use quorate_core::input::{Boot, HardState, Voter};
use quorate_core::log::entry::{EntryHeader, EntryKind, LogEnd, LogId};
use quorate_core::message::{Message, Progress, Tip};
use quorate_core::notice::Notice;
use quorate_core::time::Now;
use quorate_core::timing::Timing;
use quorate_core::{Effect, Effects, Input, Limits, Replica};

/// The node that is tested, and the others.
pub(crate) const OWN: NodeId = NodeId::from_wire(1);
pub(crate) const LEADER: NodeId = NodeId::from_wire(2);
pub(crate) const THIRD: NodeId = NodeId::from_wire(3);

pub(crate) const fn index(number: u64) -> LogIndex {
    LogIndex::from_wire(number)
}

pub(crate) const fn epoch(number: u64) -> Epoch {
    Epoch::from_wire(number)
}

/// Entries, one behind the other.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log(pub(crate) Vec<(EntryHeader, Vec<u8>)>);

impl Log {
    /// One entry of each of these epochs. Two logs have the same entries as far as their epochs are
    /// the same.
    pub(crate) fn of(epochs: &[u64]) -> Self {
        let mut log = Self::default();
        for epoch in epochs {
            log.push(*epoch, &epoch.to_le_bytes());
        }
        log
    }

    pub(crate) fn push(&mut self, epoch: u64, body: &[u8]) {
        let end = self.end();
        let mut header = EntryHeader {
            epoch: Epoch::from_wire(epoch),
            index: end.index.next(),
            position: end.position,
            kind: EntryKind::Epoch,
            body_bytes: body.len() as u32,
            event_count: 0,
            events_before: 0,
            previous_chain: end.chain,
            chain: end.chain,
        };
        header.chain = header.expected_chain(&LogId::default(), body);
        self.0.push((header, body.to_vec()));
    }

    pub(crate) fn end(&self) -> LogEnd {
        self.end_at(self.0.len())
    }

    fn end_at(&self, count: usize) -> LogEnd {
        let last = count.checked_sub(1).map(|place| &self.0[place].0);
        last.map_or(LogEnd::default(), LogEnd::after)
    }

    pub(crate) fn tip(&self, number: u64) -> Tip {
        Tip::of(&self.end_at(number as usize))
    }
}

/// A node that was started, and that may follow.
pub(crate) struct Lone {
    pub(crate) replica: Replica,
    effects: Effects,
}

impl Lone {
    /// With a log, of which so many entries are known to be committed. Its promise is that of the
    /// last entry.
    pub(crate) fn new(log: &Log, committed: usize) -> Self {
        let mut replica = Replica::new(Limits::TINY);
        let mut effects = Effects::new();
        for (place, (entry, body)) in log.0.iter().enumerate() {
            let committed = place < committed;
            replica.step(Now::default(), Input::Recovered { entry, body, committed }, &mut effects);
        }
        let voters = [OWN, LEADER, THIRD].map(|node| Voter { node, rank: 0 });
        let boot = Boot {
            node: OWN,
            disk: DiskId::from_bytes([1; 16]),
            log: LogId::default(),
            hard_state: HardState { epoch: log.end().epoch, voted_for: None },
            voters: &voters,
            timing: Timing::TINY,
            end: log.end(),
            committed: log.end_at(committed),
            seed: [7; 32],
        };
        let mut lone = Self { replica, effects };
        assert_eq!(lone.step(Input::Boot(&boot)), []);
        for node in [LEADER, THIRD] {
            assert_eq!(lone.step(Input::PeerUp { node }), []);
        }
        lone
    }

    pub(crate) fn step(&mut self, input: Input<'_>) -> Vec<Effect> {
        self.replica.step(Now::default(), input, &mut self.effects);
        self.replica.check();
        self.effects.drain().collect()
    }

    /// What comes of an input and of the end of its turn, but for what is only told to people.
    pub(crate) fn turn(&mut self, input: Input<'_>) -> Vec<Effect> {
        let mut effects = self.step(input);
        effects.extend(self.step(Input::EndTurn));
        effects.retain(|effect| {
            !matches!(effect, Effect::Notice(Notice::Following { .. } | Notice::Truncating { .. }))
        });
        effects
    }

    /// The leader of this epoch sends entries of its log: those behind the first index, up to the
    /// last. `told` is what it says is committed.
    pub(crate) fn append(&mut self, sent: &Sent<'_>) -> Vec<Effect> {
        let Sent { from, epoch: number, session, log, behind, last, told } = *sent;
        let message = Message::Append {
            epoch: epoch(number),
            session: Session::from_wire(session),
            previous: log.tip(behind),
            last: index(last),
            committed: index(told),
        };
        let entries = log.0[behind as usize..last as usize].iter();
        let entries: Vec<_> = entries.map(|(header, body)| (*header, body.as_slice())).collect();
        self.turn(Input::Received { from, message, entries: &entries })
    }

    pub(crate) fn heartbeat(&mut self, number: u64, round: u64, told: u64) -> Vec<Effect> {
        let (round, committed) = (Round::from_wire(round), index(told));
        let message = Message::Heartbeat { epoch: epoch(number), round, committed };
        self.turn(Input::Received { from: LEADER, message, entries: &[] })
    }

    /// The promise of an epoch is on disk, without a vote.
    pub(crate) fn promised(&mut self, number: u64) -> Vec<Effect> {
        let state = HardState { epoch: epoch(number), voted_for: None };
        self.turn(Input::HardStateWritten(state))
    }

    pub(crate) fn written(&mut self, number: u64, place: u64) -> Vec<Effect> {
        self.turn(Input::EntryWritten { epoch: epoch(number), index: index(place) })
    }

    pub(crate) fn end(&self) -> u64 {
        self.replica.view().end.index.get()
    }

    pub(crate) fn committed(&self) -> u64 {
        self.replica.view().committed.index.get()
    }
}

/// Entries on the way.
#[derive(Clone, Copy)]
pub(crate) struct Sent<'a> {
    pub(crate) from: NodeId,
    pub(crate) epoch: u64,
    pub(crate) session: u64,
    pub(crate) log: &'a Log,
    pub(crate) behind: u64,
    pub(crate) last: u64,
    pub(crate) told: u64,
}

impl<'a> Sent<'a> {
    /// By the usual leader, in the first session, which calls nothing committed.
    pub(crate) const fn new(epoch: u64, log: &'a Log, behind: u64, last: u64) -> Self {
        Self { from: LEADER, epoch, session: 1, log, behind, last, told: 0 }
    }
}

/// How far a node says it is: session, received, durable, committed.
pub(crate) fn progress(log: &Log, numbers: [u64; 4]) -> Progress {
    let [session, received, durable, committed] = numbers;
    Progress {
        session: Session::from_wire(session),
        received: index(received),
        durable: log.tip(durable),
        committed: index(committed),
    }
}

pub(crate) fn ack(number: u64, progress: Progress) -> Effect {
    Effect::Send { to: LEADER, message: Message::Ack { epoch: epoch(number), progress } }
}

pub(crate) fn heard(number: u64, round: u64, progress: Progress) -> Effect {
    let message = Message::HeartbeatReply {
        epoch: epoch(number),
        round: Round::from_wire(round),
        progress,
        fit: true,
        quorum_rtt_nanos: 0,
    };
    Effect::Send { to: LEADER, message }
}

/// - `log`: of the node that says so; it ends with `end`, and has `committed` entries committed
pub(crate) fn resync(number: u64, session: u64, log: &Log, end: u64, committed: u64) -> Effect {
    let message = Message::Resync {
        epoch: epoch(number),
        session: Session::from_wire(session),
        end: log.tip(end),
        committed: log.tip(committed),
    };
    Effect::Send { to: LEADER, message }
}

pub(crate) fn commit(log: &Log, number: u64) -> Effect {
    let end: Position = log.0[number as usize - 1].0.end();
    Effect::Commit { index: index(number), end }
}

pub(crate) fn truncate(log: &Log, number: u64) -> Effect {
    Effect::Truncate { end: log.end_at(number as usize) }
}

pub(crate) const fn write(number: u64) -> Effect {
    Effect::WriteEntry(index(number))
}

pub(crate) const fn write_promise(number: u64, voted_for: Option<NodeId>) -> Effect {
    Effect::WriteHardState(HardState { epoch: epoch(number), voted_for })
}

pub(crate) const fn stale(to: NodeId, number: u64) -> Effect {
    Effect::Send { to, message: Message::Stale { epoch: epoch(number) } }
}

pub(crate) const fn diverged(number: u64) -> Effect {
    Effect::Halt(Halt::Diverged { index: index(number), leader: LEADER })
}

pub(crate) const fn bad(from: NodeId) -> Effect {
    Effect::Notice(Notice::BadMessage { from })
}

/// Another chain than that of any entry.
pub(crate) const fn no_chain() -> ChainHash {
    ChainHash::from_bytes([9; 32])
}
