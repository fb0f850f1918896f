//! The least world that a group's replicas can live in: disks whose writes end when the test says
//! so, and messages that it delivers, drops, doubles and reorders by hand. An observer checks each
//! step ([`ghost::Ghost`]).

pub(crate) mod disk;
pub(crate) mod ghost;

use std::sync::Arc;

use quorate_core::id::{
    ChainHash, DiskId, Epoch, LogIndex, NodeId, Position, RequestId, Revision, Session,
};
use quorate_core::input::{Boot, LoadedHead, Voter};
use quorate_core::log::entry::{EntryHeader, EntryKind, LogId};
use quorate_core::message::Message;
use quorate_core::mutant::Mutant;
use quorate_core::request::{Change, Consistency, Expected, Proposal};
use quorate_core::time::{Instant, Now};
use quorate_core::timing::Timing;
use quorate_core::{Effect, Effects, Input, Limits, Replica};

use crate::shell::{Stored, at_second, encode, stored};
use crate::tape::{self, Twin};
use disk::{Disk, Part};
use ghost::Ghost;

/// A message under way.
#[derive(Clone, Debug)]
pub(crate) struct Envelope {
    pub(crate) from: NodeId,
    pub(crate) to: NodeId,
    pub(crate) message: Message,
    pub(crate) entries: Vec<(EntryHeader, Arc<[u8]>)>,
}

/// What a node's shell is to do with its log.
#[derive(Clone, Debug)]
pub(crate) enum Job {
    SendFromLog { to: NodeId, message: Message },
    LoadHead { stream: Box<str>, epoch: Epoch },
    LoadIds { request: RequestId, stream: Box<str>, first: Revision, count: u32 },
}

/// One node.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) id: NodeId,
    pub(crate) replica: Replica,
    pub(crate) disk: Disk,
    pub(crate) now: Now,
    pub(crate) running: bool,
    /// The last entry that it shows to readers.
    pub(crate) committed: LogIndex,
    /// The last entry that a start knows to be committed.
    pub(crate) hint: LogIndex,
    pub(crate) jobs: Vec<Job>,
    /// Has stopped for good.
    pub(crate) halted: bool,
    boots: u8,
}

impl Node {
    /// The chain of an entry of its log, on disk or not.
    pub(crate) fn chain_at(&self, index: LogIndex) -> Option<ChainHash> {
        self.replica.chain_at(index).or_else(|| self.disk.chain_at(index))
    }

    /// What its log has of a stream, as far as that is committed.
    fn stream(&self, stream: &str) -> Vec<Stored> {
        let committed = &self.disk.log[..self.committed.get() as usize];
        let entries = committed.iter().filter(|slot| slot.header.kind == EntryKind::Events);
        let events = entries.flat_map(|slot| stored(&slot.header, &slot.body));
        events.filter(|event| event.stream == stream).collect()
    }
}

/// A group, and all between its nodes.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    limits: Limits,
    timing: Timing,
    voters: Vec<Voter>,
    /// Shared by the clones of a group until one of them steps.
    pub(crate) nodes: Vec<Arc<Node>>,
    /// Messages under way, oldest first.
    pub(crate) net: Vec<Envelope>,
    pub(crate) ghost: Ghost,
    /// Whether a node may halt; elsewhere that is a failure.
    pub(crate) may_halt: bool,
    /// Whether starts differ in what they draw at random.
    pub(crate) draws: bool,
    /// Whether to print each step.
    pub(crate) trace: bool,
    /// Whether each step is done a second time, from a recorded state and a recorded input.
    pub(crate) taped: bool,
    /// What the replicas do wrong, on purpose.
    pub(crate) mutant: Option<Mutant>,
}

/// A node by its number: 1, 2, 3 …
pub(crate) const fn node(number: u64) -> NodeId {
    NodeId::from_wire(number)
}

impl Group {
    /// Nodes that are not started yet, one for each rank.
    pub(crate) fn new(ranks: &[u32], limits: Limits, timing: Timing) -> Self {
        let voter = |(rank, number): (&u32, u64)| Voter { node: node(number), rank: *rank };
        let voters: Vec<_> = ranks.iter().zip(1..).map(voter).collect();
        let new = |voter: &Voter| Node {
            id: voter.node,
            replica: Replica::new(limits),
            disk: Disk::default(),
            now: at_second(1),
            running: false,
            committed: LogIndex::ZERO,
            hint: LogIndex::ZERO,
            jobs: Vec::new(),
            halted: false,
            boots: 0,
        };
        let nodes = voters.iter().map(|voter| Arc::new(new(voter))).collect();
        let ghost = Ghost::default();
        Self {
            limits,
            timing,
            voters,
            nodes,
            net: Vec::new(),
            ghost,
            may_halt: false,
            draws: true,
            trace: false,
            taped: false,
            mutant: None,
        }
    }

    /// The same, started, with links between all of them.
    pub(crate) fn started(ranks: &[u32], limits: Limits, timing: Timing) -> Self {
        let mut group = Self::new(ranks, limits, timing);
        group.boot_all();
        group
    }

    pub(crate) fn boot_all(&mut self) {
        for id in self.ids() {
            self.boot(id);
        }
    }

    pub(crate) fn ids(&self) -> Vec<NodeId> {
        self.nodes.iter().map(|node| node.id).collect()
    }

    /// Whether some nodes are more wanted as leaders than others.
    pub(crate) fn ranks_differ(&self) -> bool {
        self.voters.iter().any(|voter| voter.rank != self.voters[0].rank)
    }

    pub(crate) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.get() as usize - 1]
    }

    pub(crate) fn node_mut(&mut self, id: NodeId) -> &mut Node {
        Arc::make_mut(&mut self.nodes[id.get() as usize - 1])
    }

    /// Steps a node, checks it and the group, and does what it wants done.
    pub(crate) fn step(&mut self, id: NodeId, input: Input<'_>) -> Vec<Effect> {
        let taped = self.taped;
        let it = self.node_mut(id);
        assert!(it.running, "{id} does not run");
        let mut effects = Effects::new();
        let twin = (taped && !matches!(input, Input::Boot(_)))
            .then(|| Twin::step(&it.replica, it.now, &input));
        if taped {
            tape::taped(it.now, &input);
        }
        it.replica.step(it.now, input, &mut effects);
        let effects: Vec<_> = effects.drain().collect();
        if let Some(twin) = twin {
            twin.check(&it.replica, &effects);
        }
        if self.trace {
            println!("{id}> {input:?}");
            for effect in &effects {
                println!("    {effect:?}");
            }
        }
        self.node(id).replica.check();
        for effect in &effects {
            self.carry_out(id, effect);
        }
        self.ghost.check_quorum(&self.nodes);
        effects
    }

    fn carry_out(&mut self, id: NodeId, effect: &Effect) {
        let place = id.get() as usize - 1;
        match effect {
            Effect::WriteHardState(state) => self.node_mut(id).disk.write_hard_state(*state),
            Effect::WriteEntry(index) => {
                let it = Arc::make_mut(&mut self.nodes[place]);
                let (header, body) = it.replica.entry(*index);
                self.ghost.wrote(header);
                it.disk.write(header, body);
            }
            Effect::Send { to, message } => self.send(id, *to, *message),
            Effect::SendFromLog { to, message } => {
                self.ghost.saw("sent from the log");
                let job = Job::SendFromLog { to: *to, message: *message };
                self.node_mut(id).jobs.push(job);
            }
            Effect::Truncate { end } => {
                self.ghost.truncated(&self.nodes[place], end);
                self.ghost.saw("truncated");
                assert!(end.index >= self.nodes[place].committed, "what is committed stays");
                self.node_mut(id).disk.truncate(*end);
            }
            Effect::Halt(halt) => {
                assert!(self.may_halt, "{id} halts: {halt}");
                self.node_mut(id).running = false;
                self.node_mut(id).halted = true;
            }
            Effect::Commit { index, end } => {
                self.ghost.commits(&self.nodes, &self.nodes[place], *index, *end);
                self.node_mut(id).committed = *index;
            }
            Effect::LoadHead { stream, epoch } => {
                let job = Job::LoadHead { stream: stream.clone(), epoch: *epoch };
                self.node_mut(id).jobs.push(job);
            }
            Effect::LoadIds { request, stream, first, count } => {
                let (request, stream, first, count) = (*request, stream.clone(), *first, *count);
                self.node_mut(id).jobs.push(Job::LoadIds { request, stream, first, count });
            }
            Effect::Reply { request, outcome } => self.ghost.replied(*request, outcome),
            Effect::ServeRead { request, end } => self.ghost.served(*request, *end),
            Effect::RefuseRead { .. } | Effect::Transferred { .. } => {}
            Effect::Notice(notice) => self.ghost.noticed(&self.nodes[place], notice),
        }
    }

    fn send(&mut self, from: NodeId, to: NodeId, message: Message) {
        let it = self.node(from);
        let mut entries = Vec::new();
        if let Message::Append { previous, last, .. } = message {
            let mut index = previous.index;
            while index < last {
                index = index.next();
                let (header, body) = it.replica.entry(index);
                entries.push((*header, body.into()));
            }
        }
        self.ghost.said(&self.nodes[from.get() as usize - 1], to, &message);
        self.net.push(Envelope { from, to, message, entries });
    }

    /// Starts a node on what its disk has.
    pub(crate) fn boot(&mut self, id: NodeId) -> Vec<Effect> {
        let voters = self.voters.clone();
        let (limits, timing, draws) = (self.limits, self.timing, self.draws);
        let mutant = self.mutant;
        let it = self.node_mut(id);
        it.replica = Replica::with_mutant(limits, mutant);
        it.boots += 1;
        it.jobs.clear();
        it.running = true;
        let end = it.disk.end();
        let hint = it.hint.min(end.index);
        it.committed = hint;
        let mut effects = Effects::new();
        for slot in &it.disk.log {
            let committed = slot.header.index <= hint;
            let input = Input::Recovered { entry: &slot.header, body: &slot.body, committed };
            it.replica.step(it.now, input, &mut effects);
        }
        let boot = Boot {
            node: id,
            disk: DiskId::from_bytes([id.get() as u8; 16]),
            log: LogId::default(),
            hard_state: it.disk.hard_state,
            voters: &voters,
            timing,
            end,
            committed: it.disk.end_at(hint.get() as usize),
            seed: [if draws { it.boots } else { 0 }; 32],
        };
        let effects = self.step(id, Input::Boot(&boot));
        for peer in self.ids() {
            if peer != id {
                self.step(id, Input::PeerUp { node: peer });
            }
        }
        effects
    }

    /// A node's power goes.
    ///
    /// - `keeps`: what of that which was under way is on disk
    pub(crate) fn crash(&mut self, id: NodeId, keeps: impl FnMut(Part) -> bool) {
        self.ghost.saw("crash");
        let it = self.node_mut(id);
        it.running = false;
        it.disk.crash(keeps);
        it.jobs.clear();
    }

    /// A write of a node has failed, and nothing more becomes durable there.
    pub(crate) fn fail_disk(&mut self, id: NodeId) -> Vec<Effect> {
        self.node_mut(id).disk.failed = true;
        self.step(id, Input::DiskFailed)
    }

    /// A message arrives.
    pub(crate) fn deliver(&mut self, envelope: &Envelope) -> Vec<Effect> {
        let Envelope { from, to, message, ref entries } = *envelope;
        if !self.node(to).running {
            return Vec::new();
        }
        let entries: Vec<_> = entries.iter().map(|(header, body)| (*header, &**body)).collect();
        self.step(to, Input::Received { from, message, entries: &entries })
    }

    pub(crate) fn tick(&mut self, id: NodeId) -> Vec<Effect> {
        let nanos = self.timing.tick_nanos;
        let monotonic = &mut self.node_mut(id).now.monotonic;
        *monotonic = Instant::from_nanos(monotonic.nanos() + nanos);
        self.step(id, Input::Tick)
    }

    pub(crate) fn finish_hard_state(&mut self, id: NodeId) -> Vec<Effect> {
        let state = self.node_mut(id).disk.finish_hard_state();
        self.step(id, Input::HardStateWritten(state))
    }

    pub(crate) fn finish_write(&mut self, id: NodeId, index: LogIndex) -> Vec<Effect> {
        let epoch = self.node_mut(id).disk.finish(index);
        self.step(id, Input::EntryWritten { epoch, index })
    }

    pub(crate) fn finish_truncation(&mut self, id: NodeId) -> Vec<Effect> {
        let index = self.node_mut(id).disk.finish_truncation();
        self.step(id, Input::Truncated { index })
    }

    /// Everything that a node's disk has under way comes to its end; what that brings about is left.
    pub(crate) fn finish_all(&mut self, id: NodeId) -> Vec<Effect> {
        let mut effects = Vec::new();
        if self.node(id).disk.hard_state_under_way.is_some() {
            effects.extend(self.finish_hard_state(id));
        }
        if self.node(id).disk.truncation.is_some() {
            effects.extend(self.finish_truncation(id));
        }
        for index in self.node(id).disk.under_way() {
            if self.node(id).disk.under_way().contains(&index) {
                effects.extend(self.finish_write(id, index));
            }
        }
        for _ in 0..self.node(id).jobs.len() {
            effects.extend(self.finish_job(id, 0));
        }
        effects
    }

    /// The shell of a node has done something.
    pub(crate) fn finish_job(&mut self, id: NodeId, place: usize) -> Vec<Effect> {
        match self.node_mut(id).jobs.remove(place) {
            Job::SendFromLog { to, message } => self.send_from_log(id, to, message),
            Job::LoadHead { stream, epoch } => {
                let last = self.node(id).stream(&stream).last().map(|event| event.revision);
                let head = LoadedHead { last, ..LoadedHead::default() };
                self.step(id, Input::HeadLoaded { stream: &stream, epoch, head })
            }
            Job::LoadIds { request, stream, first, count } => {
                let events = self.node(id).stream(&stream);
                let from = events.iter().filter(|event| event.revision >= first);
                let found: Vec<_> = from.take(count as usize).collect();
                let position = found.last().map_or(Position::START, |event| event.position);
                let ids: Vec<_> = found.iter().map(|event| event.id).collect();
                self.step(id, Input::IdsLoaded { request, ids: &ids, position })
            }
        }
    }

    fn send_from_log(&mut self, from: NodeId, to: NodeId, message: Message) -> Vec<Effect> {
        let Message::Append { epoch, session, previous, committed, .. } = message else {
            panic!("only entries are sent from the log")
        };
        let log = &self.node(from).disk.log;
        let first = previous.index.get() as usize;
        // Few, so that it takes several of them to catch up.
        let slots = log[first..].iter().take_while(|slot| slot.done).take(2);
        let entries: Vec<_> = slots.map(|slot| (slot.header, Arc::clone(&slot.body))).collect();
        let chain = self.node(from).disk.chain_at(previous.index).expect("what is sent is there");
        let previous = quorate_core::message::Tip { index: previous.index, chain };
        let last = entries.last().expect("there is at least one").0.index;
        let bytes = entries.iter().map(|(header, _)| header.end().since(header.position)).sum();
        let message = Message::Append { epoch, session, previous, last, committed };
        // Its sender may have been deposed since, so this is not what a leader says now.
        self.net.push(Envelope { from, to, message, entries });
        self.sent_from_log(from, to, session, Some((last, bytes)))
    }

    fn sent_from_log(
        &mut self,
        from: NodeId,
        to: NodeId,
        session: Session,
        last: Option<(LogIndex, u64)>,
    ) -> Vec<Effect> {
        self.step(from, Input::SentFromLog { to, session, last })
    }

    /// A client wants to append one event, which has the number of its request.
    pub(crate) fn append(&mut self, id: NodeId, request: u64, stream: &str) -> Vec<Effect> {
        let mut frames = Vec::new();
        encode(&mut frames, stream, request, "t", b"");
        self.step(
            id,
            Input::Propose(Proposal {
                request: RequestId::from_wire(request),
                stream,
                expected: Expected::Any,
                change: Change::Append { frames: &frames, count: 1 },
                retry_since: None,
            }),
        )
    }

    /// A client wants to read all that was acknowledged before now.
    pub(crate) fn read(&mut self, id: NodeId, request: RequestId) -> Vec<Effect> {
        self.ghost.reads(request);
        self.step(id, Input::Read { request, consistency: Consistency::Linearizable })
    }

    /// The node that leads in the latest reign of all.
    pub(crate) fn leader(&self) -> Option<NodeId> {
        let leads = |node: &&Arc<Node>| node.running && node.replica.view().role.leads();
        let leaders = self.nodes.iter().filter(leads);
        leaders.max_by_key(|node| node.replica.view().epoch).map(|node| node.id)
    }

    /// A moment in which all is well: what is under way arrives and ends, and time goes on by a tick.
    pub(crate) fn calm_tick(&mut self) {
        let running: Vec<_> = self.ids().into_iter().filter(|id| self.node(*id).running).collect();
        for id in &running {
            self.tick(*id);
        }
        for _ in 0..4 {
            for envelope in std::mem::take(&mut self.net) {
                self.deliver(&envelope);
            }
            for id in &running {
                if self.node(*id).running {
                    self.finish_all(*id);
                    self.step(*id, Input::EndTurn);
                }
            }
        }
    }
}
