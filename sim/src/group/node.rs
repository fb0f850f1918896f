//! One node: the real engine on a simulated disk. All that the world knows of the engine is here.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

use quorate_core::RoleView;
use quorate_core::id::{NodeId, Position, RequestId};
use quorate_core::message::{Message, Tip};
use quorate_core::mutant::Mutant;
use quorate_core::request::{Consistency, Proposal};
use quorate_core::store::filter::Filter;
use quorate_core::time::Now;
use quorate_net::frame::FrameReader;
use quorate_net::wire::peer::{Lane, PeerMessage};
use quorate_node::engine::{Engine, EngineOptions, Fault, Mended, OpenError, Outgoing, Output};
use quorate_storage::disk::OpId;
use quorate_storage::disk::simulated::{Medium, Random};
use quorate_storage::io::Io;
use quorate_storage::read::{AllQuery, Batch, Direction, From, Progress, ReadError};

use super::clock::Clock;
use super::disk::{Ledger, OpKind, OpKinds, Pace, WatchedDisk};
use super::ghost::{Role, View};
use super::invariants::id_of;
use super::network::{Heard, Packet};
use super::plan::Plan;
use super::rot::Rotten;
use super::schedule::Nanos;
use super::setup::Setup;
use crate::mutant::MutantDisk;

/// Something that waits for a node's next turn.
pub(super) enum Inbound {
    /// A frame of another node.
    Frame { from: usize, packet: Packet },
    /// News of a link.
    Link(Heard),
    /// A client's request.
    Request(RequestId),
}

/// A node, running or not.
pub(super) struct Node {
    pub(super) index: usize,
    pub(super) medium: Medium,
    pub(super) ledger: Ledger,
    pub(super) pace: Pace,
    pub(super) clock: Clock,
    pub(super) engine: Option<Engine>,
    pub(super) output: Output,
    /// Grows with each start.
    pub(super) incarnation: u64,
    pub(super) inbox: Vec<Inbound>,
    turns: u64,
    /// When its next turn is.
    pub(super) turn_at: Option<Nanos>,
    pub(super) paused_until: Nanos,
    /// What it is founded with, and runs with.
    setup: Rc<Setup>,
    kinds: OpKinds,
    /// Its disk has not kept what it was given, or has said that it keeps what it does not: it may
    /// stop by itself, or refuse to start.
    pub(super) is_tainted: bool,
    /// Bits of its disk that have flipped, and are to be put right.
    pub(super) rotten: Vec<Rotten>,
    /// The power is to go in the middle of its next write.
    pub(super) is_to_be_torn: bool,
    /// It does not start, whatever happens.
    pub(super) stays_down: bool,
    /// The last operation of its disk whose completion has its moment.
    last_op: Option<OpId>,
    /// Draws what each start is given.
    random: Random,
}

/// A read of `$all` under way.
pub(super) type Reading = Pin<Box<dyn Future<Output = Result<Vec<Batch>, ReadError>>>>;

impl Node {
    pub(super) fn new(index: usize, plan: &Plan, seed: u64) -> Self {
        Self {
            index,
            medium: Medium::new(seed ^ ((index as u64 + 1) << 56)),
            ledger: Ledger::default(),
            pace: plan.paces[index].clone(),
            clock: plan.clocks[index],
            engine: None,
            output: Output::default(),
            incarnation: 0,
            inbox: Vec::new(),
            turns: 0,
            turn_at: None,
            paused_until: 0,
            setup: Rc::clone(&plan.setup),
            kinds: OpKinds::default(),
            is_tainted: false,
            rotten: Vec::new(),
            is_to_be_torn: false,
            stays_down: false,
            last_op: None,
            random: Random::stream(seed ^ index as u64, "starts"),
        }
    }

    /// Starts the process.
    pub(super) fn open(&mut self, now: Nanos, mutant: Option<Mutant>) -> Result<String, OpenError> {
        self.medium.release();
        self.kinds.borrow_mut().clear();
        let kinds = OpKinds::clone(&self.kinds);
        let watched = WatchedDisk::new(&self.medium, Ledger::clone(&self.ledger), kinds);
        let io = Io::new(Box::new(MutantDisk::new(Box::new(watched), None)));
        let options = self.options(mutant);
        let opened = io.block_on(Engine::open(io.clone(), self.clock.at(now), options));
        self.medium.hold();
        let (engine, recovered) = opened?;
        self.engine = Some(engine);
        self.incarnation += 1;
        self.last_op = None;
        Ok(format!("{recovered:?}"))
    }

    fn options(&mut self, mutant: Option<Mutant>) -> EngineOptions {
        let setup = &self.setup;
        EngineOptions {
            limits: setup.limits,
            timing: setup.timing,
            leader_zones: setup.leader_zones.clone(),
            index: setup.index,
            reads: setup.reads,
            tail_bytes_max: setup.tail_bytes_max,
            scrub_bytes_per_s: setup.scrub_bytes_per_s,
            founding: setup.identity(self.index),
            seed: self.random.bytes(32).try_into().expect("as many were drawn"),
            mutant,
        }
    }

    /// The process ends.
    pub(super) fn end(&mut self) -> bool {
        self.output = Output::default();
        self.inbox.clear();
        self.turn_at = None;
        self.paused_until = 0;
        self.incarnation += 1;
        self.engine.take().is_some()
    }

    /// Hands what has come in to the engine.
    pub(super) fn take_in(&mut self, now: Nanos, inbound: &Inbound) {
        let clocks = self.clock.at(now);
        let Some(engine) = &mut self.engine else { return };
        match inbound {
            Inbound::Frame { from, packet } => {
                let received = engine.receive(clocks, id_of(*from), &packet.frame);
                received.expect("nothing changes a frame");
            }
            Inbound::Link(Heard::Up { peer, .. }) => engine.peer_up(clocks, id_of(*peer)),
            Inbound::Link(Heard::Down { peer, .. }) => engine.peer_down(clocks, id_of(*peer)),
            Inbound::Request(_) => unreachable!("the world knows what a client wants"),
        }
    }

    /// A client wants to change a stream.
    pub(super) fn propose(&mut self, now: Nanos, proposal: Proposal<'_>) {
        let clocks = self.clock.at(now);
        if let Some(engine) = &mut self.engine {
            engine.propose(clocks, proposal);
        }
    }

    /// A client wants to read.
    pub(super) fn read(&mut self, now: Nanos, request: RequestId, consistency: Consistency) {
        let clocks = self.clock.at(now);
        if let Some(engine) = &mut self.engine {
            engine.read(clocks, request, consistency);
        }
    }

    /// Somebody wants another leader.
    pub(super) fn transfer(&mut self, now: Nanos, request: RequestId, to: Option<NodeId>) {
        let clocks = self.clock.at(now);
        if let Some(engine) = &mut self.engine {
            engine.transfer(clocks, request, to);
        }
    }

    /// Lets the engine do what it can.
    pub(super) fn turn(&mut self, now: Nanos) -> Result<(), Fault> {
        let clocks = self.clock.at(now);
        let Some(engine) = &mut self.engine else { return Ok(()) };
        let turned = engine.turn(clocks, &mut self.output);
        engine.start_disk();
        self.turns += 1;
        if self.turns.is_multiple_of(self.setup.check_turns) {
            engine.check();
        }
        turned
    }

    /// When the engine wants its next turn, whatever comes.
    pub(super) fn wants_turn_at(&self, now: Nanos) -> Option<Nanos> {
        let engine = self.engine.as_ref()?;
        if engine.wants_turn() {
            return Some(now + 1);
        }
        engine.next_timer().map(|instant| self.clock.moment_of(instant).max(now + 1))
    }

    /// Operations of the disk that were started since the last call.
    pub(super) fn new_operations(&mut self) -> Vec<(OpId, OpKind)> {
        let mut operations = self.medium.in_flight();
        operations.retain(|op| self.last_op.is_none_or(|last| *op > last));
        self.last_op = operations.iter().copied().max().or(self.last_op);
        let mut kinds = self.kinds.borrow_mut();
        let kind = |op: OpId| (op, kinds.remove(&op).unwrap_or(OpKind::Other));
        operations.into_iter().map(kind).collect()
    }

    /// The engine from outside.
    pub(super) fn view(&self) -> Option<View> {
        self.engine.as_ref().map(view_of)
    }

    /// Up to where readers may see.
    pub(super) fn committed(&self) -> Option<Position> {
        self.engine.as_ref().map(|engine| engine.committed().1)
    }

    /// Begins to read all events between two positions.
    pub(super) fn read_all(&self, now: Nanos, after: Option<Position>) -> Option<Reading> {
        let engine = self.engine.as_ref()?;
        let (end, clocks) = (engine.committed().1, self.clock.at(now));
        let cursor = engine.reader().all(AllQuery {
            from: after.map_or(From::Start, From::After),
            direction: Direction::Forwards,
            count: None,
            filter: Filter::All.compile(&self.setup.limits).expect("it has no bound to break"),
            resolve_links: false,
        });
        Some(Box::pin(read_to_end(cursor, end, clocks)))
    }
}

async fn read_to_end(
    mut cursor: quorate_storage::read::AllCursor,
    end: Position,
    clocks: Now,
) -> Result<Vec<Batch>, ReadError> {
    let mut batches = Vec::new();
    loop {
        let batch = cursor.next(end, clocks.wall).await?;
        let is_last = batch.progress != Progress::More;
        batches.push(batch);
        if is_last {
            return Ok(batches);
        }
    }
}

/// An engine as the observer sees it.
pub(crate) fn view_of(engine: &Engine) -> View {
    let view = engine.view();
    let role = match view.role {
        role if role.leads() => Role::Leader,
        RoleView::Follower => Role::Follower,
        _ => Role::Candidate,
    };
    View {
        role,
        is_ready: view.role == RoleView::Leader,
        epoch: view.epoch,
        voted_for: view.voted_for,
        leader: view.leader,
        committed: Tip::of(&view.committed),
        end: Tip::of(&view.end),
        durable: view.durable.index,
    }
}

/// A frame as the network carries it: to whom, and on which lane.
pub(super) fn packet(outgoing: Outgoing) -> (usize, usize, Packet) {
    let Outgoing { to, lane, head, payload } = outgoing;
    let lane = match lane {
        Lane::Control => 0,
        Lane::Replication => 1,
        Lane::Bulk => 2,
    };
    let mut reader = FrameReader::new(u32::MAX);
    reader.buffer().extend_from_slice(&head);
    reader.buffer().extend_from_slice(&payload);
    let frame = reader.next_frame().expect("the engine makes good frames");
    let frame = frame.expect("head and payload are all of it");
    let bytes = head.len() + payload.len();
    (to.get() as usize - 1, lane, Packet { frame, bytes })
}

/// To whom a frame is sent, and what it says to the core.
pub(crate) fn said(outgoing: &Outgoing) -> Option<(usize, Message)> {
    let (to, _, packet) = packet(outgoing.clone());
    Some((to, peek(&packet)?))
}

/// The entries that a node has just mended, with the node that it has them of.
pub(crate) fn mended(attempts: &[Mended]) -> impl Iterator<Item = (u64, usize)> {
    let good = attempts.iter().filter(|mended| mended.result.is_ok());
    good.map(|it| (it.before.index.next().get(), it.from.get() as usize - 1))
}

/// What a frame says to the core.
pub(super) fn peek(packet: &Packet) -> Option<Message> {
    match PeerMessage::decode(&packet.frame) {
        Ok(PeerMessage::Consensus { message, .. }) => Some(message),
        _ => None,
    }
}

/// Whether a node has found that the group is not what it should be.
pub(super) const fn is_halt(fault: &Fault) -> bool {
    matches!(fault, Fault::Halted(_))
}

#[cfg(test)]
mod tests {
    use quorate_core::id::{Epoch, GroupId};
    use quorate_core::message::LastEntry;
    use quorate_net::wire::peer;

    use super::*;

    #[test]
    fn a_frame_of_which_one_bit_has_flipped_is_refused() {
        let message = Message::PreVote { epoch: Epoch::from_wire(3), last: LastEntry::default() };
        let mut good = Vec::new();
        peer::encode_message(&mut good, GroupId::from_wire(1), &message);
        for bit in 0..good.len() * 8 {
            let mut bytes = good.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let mut reader = FrameReader::new(0);
            reader.buffer().extend_from_slice(&bytes);
            let taken = reader.next_frame();
            assert!(!matches!(taken, Ok(Some(_))), "bit {bit}: {taken:?}");
        }
    }
}
