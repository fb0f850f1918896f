//! What everybody in a world has a hand on: what was seen of the nodes, what clients wanted and were
//! told, what is to be told of it, and what was found wrong.

use std::cell::{Ref, RefCell, RefMut};
use std::collections::VecDeque;
use std::rc::Rc;

use quorate_core::id::{EventId, NodeId, Position};
use quorate_core::limits::Limits;
use quorate_core::message::Message;
use quorate_core::notice::Notice;
use quorate_net::Frame;
use quorate_net::wire::peer::PeerMessage;
use quorate_node::driver::Watch;
use quorate_node::engine::{Engine, Mended, Output};
use quorate_node::serve::ServeError;
use tokio::sync::Notify;

use super::system::System;
use super::talk::Talk;
use super::wire;
use crate::group::disk::{Ledger, OpKinds};
use crate::group::ghost::{Ghost, Role as Part, View};
use crate::group::invariants::{self, Turned};
use crate::group::node::{mended, said, view_of};
use crate::group::schedule::Nanos;
use crate::history::{Attempt, Violation};
use crate::reading::Source;
use crate::record::{Role, Shared};
use crate::scenario::fault::Trigger;
use crate::scenario::model::{Scenario, Sizes};
use crate::workload::Workload;

/// A core looks at itself after so many turns, or after as many as it has recent events, where those
/// are more: it looks at each, which takes longer than the turn.
const CHECK_EVERY: u64 = 1024;

/// What is known of one node.
pub(super) struct Seen {
    pub(super) ledger: Ledger,
    pub(super) kinds: OpKinds,
    /// Where its committed events can be read, while its process runs.
    pub(super) source: Option<Source>,
    /// Why its process has ended by itself.
    pub(super) ended: Option<ServeError>,
    /// Its process runs.
    pub(super) is_up: bool,
    /// Its machine stands still.
    pub(super) is_paused: bool,
    /// Its disk may hold what has rotted, or not hold what it said.
    pub(super) is_tainted: bool,
    /// It stays away for good.
    pub(super) is_halted: bool,
}

/// Something that a client is to do.
#[derive(Clone, Debug)]
pub(super) enum Errand {
    /// An operation of its load: which, its number, and when it was due.
    Load { load: usize, number: u64, due: Nanos },
    /// To ask the leader to give the lead away.
    Transfer { to: Option<String> },
}

/// What somebody who follows `$all` has seen.
#[derive(Clone, Debug, Default)]
pub(super) struct Follower {
    pub(super) seen: Vec<(Position, EventId)>,
}

/// All there is to know.
pub(super) struct State {
    pub(super) ghost: Ghost,
    pub(super) nodes: Vec<Seen>,
    pub(super) violation: Option<Violation>,
    pub(super) workload: Workload,
    pub(super) attempts: Vec<Attempt>,
    pub(super) followers: Vec<Follower>,
    /// The furthest acknowledged position.
    pub(super) acknowledged: Position,
    /// What each client is still to begin.
    pub(super) errands: Vec<VecDeque<Errand>>,
    /// Operations that have not ended.
    pub(super) under_way: usize,
    /// Clients have no new wishes.
    pub(super) is_closing: bool,
    /// What has happened that a fault may wait for.
    pub(super) happened: Vec<Trigger>,
    /// Who led last.
    pub(super) last_leader: usize,
    pub(super) talk: Talk,
    /// Turns until a core looks at itself.
    unchecked: u64,
    /// Recent events of a node, at most.
    recent_max: u64,
}

/// The place where all this is, and the clock on its wall.
pub(super) struct Lab {
    pub(super) system: Rc<System>,
    pub(super) scenario: Rc<Scenario>,
    pub(super) record: Shared,
    pub(super) seed: u64,
    /// Wakes clients that have nothing to do, one for each.
    pub(super) calls: Vec<Notify>,
    state: RefCell<State>,
}

impl Lab {
    pub(super) fn new(
        system: Rc<System>,
        scenario: &Rc<Scenario>,
        record: &Shared,
        seed: u64,
    ) -> Rc<Self> {
        let (nodes, clients) = (scenario.nodes.len(), scenario.client_names().len());
        let seen = |_| Seen {
            ledger: Ledger::default(),
            kinds: OpKinds::default(),
            source: None,
            ended: None,
            is_up: false,
            is_paused: false,
            is_tainted: false,
            is_halted: false,
        };
        let state = State {
            ghost: Ghost::new(nodes),
            nodes: (0..nodes).map(seen).collect(),
            violation: None,
            workload: Workload::new(seed),
            attempts: Vec::new(),
            followers: Vec::new(),
            acknowledged: Position::START,
            errands: vec![VecDeque::new(); clients],
            under_way: 0,
            is_closing: false,
            happened: Vec::new(),
            last_leader: 0,
            talk: Talk::new(nodes),
            unchecked: CHECK_EVERY,
            recent_max: match scenario.run.sizes {
                Sizes::Production => Limits::PRODUCTION.recent_ids_max.into(),
                Sizes::Tiny => Limits::TINY.recent_ids_max.into(),
            },
        };
        Rc::new(Self {
            system,
            scenario: Rc::clone(scenario),
            record: Shared::clone(record),
            seed,
            calls: (0..clients).map(|_| Notify::new()).collect(),
            state: RefCell::new(state),
        })
    }

    pub(super) fn now(&self) -> Nanos {
        self.system.now()
    }

    pub(super) fn see(&self) -> Ref<'_, State> {
        self.state.borrow()
    }

    pub(super) fn change(&self) -> RefMut<'_, State> {
        self.state.borrow_mut()
    }

    /// Something is wrong; what was found first counts.
    pub(super) fn accuse(&self, violation: Violation) {
        self.change().violation.get_or_insert(violation);
    }

    /// Something worth a word.
    pub(super) fn note(&self, node: Option<usize>, text: String) {
        self.record.borrow_mut().note(self.now(), node, text);
    }

    /// A node has tried to mend entries.
    fn mended(&self, node: usize, attempts: &[Mended]) {
        for (index, from) in mended(attempts) {
            self.record.borrow_mut().mended(self.now(), node, index, from);
        }
    }

    /// Tells the record what has changed of a node.
    pub(super) fn tell_of(&self, node: usize) {
        let (now, state) = (self.now(), &mut *self.change());
        let record = &mut *self.record.borrow_mut();
        let (view, leader) = (state.view(node), state.leader());
        state.last_leader = leader.unwrap_or(state.last_leader);
        let seen = &state.nodes[node];
        let role = match view {
            _ if seen.is_halted => Role::Halted,
            _ if !seen.is_up => Role::Down,
            _ if seen.is_paused => Role::Paused,
            None => Role::Starting,
            Some(view) => match view.role {
                Part::Leader if view.is_ready => Role::Leader,
                Part::Leader | Part::Candidate => Role::Candidate,
                Part::Follower => Role::Follower,
            },
        };
        if let Some(was) = record.see(now, node, role, view.map(|view| view.progress())) {
            if was == Role::Leader {
                state.happened.push(Trigger::LeaderLost);
            }
            if role == Role::Leader {
                state.happened.push(Trigger::LeaderElected);
            }
        }
        record.serving(now, leader);
    }
}

impl State {
    /// What a node is, while its process runs.
    pub(super) fn view(&self, node: usize) -> Option<View> {
        self.ghost.nodes[node].view
    }

    /// Who leads and takes appends, in the newest epoch in which somebody does.
    pub(super) fn leader(&self) -> Option<usize> {
        let views = (0..self.nodes.len()).filter_map(|node| Some((node, self.view(node)?)));
        let leaders = views.filter(|(_, view)| view.role == Part::Leader && view.is_ready);
        leaders.max_by_key(|(_, view)| view.epoch).map(|(node, _)| node)
    }

    /// Nodes that have not gone for good.
    pub(super) fn left(&self) -> Vec<usize> {
        (0..self.nodes.len()).filter(|node| !self.nodes[*node].is_halted).collect()
    }

    /// Whether all nodes that are left run, and have all that is committed, and somebody leads, and
    /// nobody waits for an answer.
    pub(super) fn is_settled(&self) -> bool {
        let views: Option<Vec<View>> =
            self.left().into_iter().map(|node| self.view(node)).collect();
        let Some(views) = views else { return false };
        let is_same = |view: &View| {
            (view.committed, view.end, view.epoch)
                == (views[0].committed, views[0].committed, views[0].epoch)
        };
        self.under_way == 0 && self.leader().is_some() && views.iter().all(is_same)
    }

    /// A process is gone, with what it had not made known.
    pub(super) fn forget(&mut self, node: usize) {
        self.ghost.nodes[node].view = None;
        let seen = &mut self.nodes[node];
        seen.ledger.borrow_mut().clear();
        seen.kinds.borrow_mut().clear();
        seen.source = None;
        seen.ended = None;
        seen.is_up = false;
    }

    fn take_ledger(&mut self, node: usize) -> Result<(), Violation> {
        let news = std::mem::take(&mut *self.nodes[node].ledger.borrow_mut());
        news.iter().try_for_each(|news| invariants::disk(&mut self.ghost, node, news))
    }

    fn opened(&mut self, node: usize, engine: &Engine) -> Result<(), Violation> {
        self.take_ledger(node)?;
        let is_honest = !self.nodes[node].is_tainted;
        invariants::started(&mut self.ghost, node, &view_of(engine), is_honest)
    }

    /// Looks at a turn; gives from where on the node cuts its log, where it does.
    fn turned(
        &mut self,
        node: usize,
        (engine, stops): (&Engine, bool),
        output: &Output,
        messages: &[(usize, Message)],
    ) -> Result<Option<u64>, Violation> {
        let (before, after) = (self.ghost.nodes[node].view, view_of(engine));
        self.unchecked -= 1;
        if self.unchecked == 0 {
            engine.check();
            self.unchecked = engine.events().min(self.recent_max).max(CHECK_EVERY);
        }
        let mut cut = None;
        for notice in &output.notices {
            match notice {
                Notice::Campaigning { .. } => self.happened.push(Trigger::Election),
                Notice::Truncating { from, .. } => {
                    self.happened.push(Trigger::Truncation);
                    invariants::truncated(&mut self.ghost, node, *from, &after)?;
                    cut = Some(from.get().saturating_sub(1));
                }
                _ => {}
            }
        }
        self.take_ledger(node)?;
        invariants::turned(&mut self.ghost, &Turned { node, before, after, stops })?;
        for (to, message) in messages {
            invariants::said(&mut self.ghost, node, *to, message)?;
        }
        Ok(cut)
    }
}

/// Looks at one node.
pub(super) struct Eye {
    pub(super) lab: Rc<Lab>,
    pub(super) node: usize,
}

impl Watch for Eye {
    fn opened(&self, engine: &Engine) {
        let opened = self.lab.change().opened(self.node, engine);
        opened.unwrap_or_else(|violation| self.lab.accuse(violation));
        self.lab.change().happened.push(Trigger::NodeStarted);
    }

    fn turned(&self, engine: &Engine, output: &Output, stops: bool) {
        let (lab, node) = (&*self.lab, self.node);
        let view = engine.view();
        let leader = view.leader.map_or(0, |leader| leader.get());
        let numbers = [node as u64, view.epoch.get(), leader, view.end.index.get()];
        wire::note(&numbers.map(u64::to_le_bytes).concat());
        let messages: Vec<_> = output.sends.iter().filter_map(said).collect();
        let turned = {
            let state = &mut *lab.change();
            Source::keep_up(&mut state.nodes[node].source, engine);
            state.turned(node, (engine, stops), output, &messages)
        };
        match turned {
            Ok(Some(kept)) => lab.record.borrow_mut().truncate(lab.now(), node, kept),
            Ok(None) => {}
            Err(violation) => lab.accuse(violation),
        }
        lab.mended(node, &output.mended);
        lab.tell_of(node);
        let state = &mut *lab.change();
        let record = &mut *lab.record.borrow_mut();
        for (to, message) in messages {
            state.talk.says(record, lab.now(), (node, to), message);
        }
    }

    fn mended_at_start(&self, mended: &Mended) {
        self.lab.mended(self.node, std::slice::from_ref(mended));
    }

    fn heard(&self, from: NodeId, frame: &Frame) {
        let Ok(PeerMessage::Consensus { message, .. }) = PeerMessage::decode(frame) else { return };
        let (lab, from) = (&*self.lab, from.get() as usize - 1);
        let record = &mut *lab.record.borrow_mut();
        let sent = lab.change().talk.hears(record, lab.now(), (from, self.node), &message);
        if let Some(sent) = sent {
            let zone = |node: usize| lab.scenario.nodes[node].zone;
            record.travelled((zone(from), zone(self.node)), lab.now() - sent);
        }
    }
}
