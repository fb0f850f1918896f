//! What everybody in a world has a hand on: what was seen of the nodes, what clients wanted and were
//! told, and what was found wrong.

use std::cell::{Ref, RefCell, RefMut};
use std::rc::Rc;

use quorate_core::id::{NodeId, Position};
use quorate_core::notice::Notice;
use quorate_node::driver::Watch;
use quorate_node::engine::{Engine, Output};

use super::system::System;
use super::wire;
use crate::group::disk::Ledger;
use crate::group::ghost::{Ghost, Role, View};
use crate::group::invariants::{self, Turned};
use crate::group::node::{said, view_of};
use crate::group::schedule::Nanos;
use crate::history::{Attempt, Violation};
use crate::reading::Source;
use crate::workload::Workload;

/// The core looks at itself after so many turns: it takes longer than the turn.
const CHECK_EVERY: u64 = 64;

/// What is known of one node.
pub(super) struct Seen {
    pub(super) ledger: Ledger,
    /// Where its committed events can be read, while its process runs.
    pub(super) source: Option<Source>,
    /// Why its process has ended by itself.
    pub(super) ended: Option<String>,
    /// So many processes there were.
    pub(super) incarnation: u32,
}

/// All there is to know.
pub(super) struct State {
    pub(super) ghost: Ghost,
    pub(super) nodes: Vec<Seen>,
    pub(super) violation: Option<Violation>,
    pub(super) workload: Workload,
    pub(super) attempts: Vec<Attempt>,
    /// The furthest acknowledged position.
    pub(super) acknowledged: Position,
    /// Clients have no new wishes.
    pub(super) is_closing: bool,
    pub(super) counts: Counts,
}

/// How often what happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) turns: u64,
    pub(super) elections: u64,
    pub(super) done: u64,
    pub(super) refused: u64,
    pub(super) unknown: u64,
    pub(super) reads: u64,
}

/// The place where all this is, and the clock on its wall.
pub(super) struct Lab {
    pub(super) system: Rc<System>,
    state: RefCell<State>,
}

impl Lab {
    pub(super) fn new(system: Rc<System>, seed: u64, nodes: usize) -> Rc<Self> {
        let seen =
            |_| Seen { ledger: Ledger::default(), source: None, ended: None, incarnation: 0 };
        let state = State {
            ghost: Ghost::new(nodes),
            nodes: (0..nodes).map(seen).collect(),
            violation: None,
            workload: Workload::new(seed),
            attempts: Vec::new(),
            acknowledged: Position::START,
            is_closing: false,
            counts: Counts::default(),
        };
        Rc::new(Self { system, state: RefCell::new(state) })
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
}

impl State {
    /// What a node is, while its process runs.
    pub(super) fn view(&self, node: usize) -> Option<View> {
        self.ghost.nodes[node].view
    }

    /// Who leads and takes appends, in the newest epoch in which somebody does.
    pub(super) fn leader(&self) -> Option<usize> {
        let views = (0..self.nodes.len()).filter_map(|node| Some((node, self.view(node)?)));
        let leaders = views.filter(|(_, view)| view.role == Role::Leader && view.is_ready);
        leaders.max_by_key(|(_, view)| view.epoch).map(|(node, _)| node)
    }

    /// Whether all nodes run, and have all that is committed, and somebody leads.
    pub(super) fn is_settled(&self) -> bool {
        let views: Option<Vec<View>> = (0..self.nodes.len()).map(|node| self.view(node)).collect();
        let Some(views) = views else { return false };
        let same = |view: &View| {
            (view.committed, view.end, view.epoch)
                == (views[0].committed, views[0].committed, views[0].epoch)
        };
        self.leader().is_some() && views.iter().all(same)
    }

    /// A process is gone, with what it had not made known.
    pub(super) fn forget(&mut self, node: usize) {
        self.ghost.nodes[node].view = None;
        let seen = &mut self.nodes[node];
        seen.ledger.borrow_mut().clear();
        seen.source = None;
        seen.ended = None;
    }

    fn take_ledger(&mut self, node: usize) -> Result<(), Violation> {
        let news = std::mem::take(&mut *self.nodes[node].ledger.borrow_mut());
        news.iter().try_for_each(|news| invariants::disk(&mut self.ghost, node, news))
    }

    fn opened(&mut self, node: usize, engine: &Engine) -> Result<(), Violation> {
        self.take_ledger(node)?;
        invariants::started(&mut self.ghost, node, &view_of(engine))
    }

    fn turned(&mut self, node: usize, engine: &Engine, output: &Output) -> Result<(), Violation> {
        self.counts.turns += 1;
        if self.counts.turns.is_multiple_of(CHECK_EVERY) {
            engine.check();
        }
        let (before, after) = (self.ghost.nodes[node].view, view_of(engine));
        for notice in &output.notices {
            match notice {
                Notice::Campaigning { .. } => self.counts.elections += 1,
                Notice::Truncating { from, .. } => {
                    invariants::truncated(&mut self.ghost, node, *from, &after)?;
                }
                _ => {}
            }
        }
        self.take_ledger(node)?;
        invariants::turned(&mut self.ghost, &Turned { node, before, after })?;
        for outgoing in &output.sends {
            if let Some((to, message)) = said(outgoing) {
                invariants::said(&mut self.ghost, node, to, &message)?;
            }
        }
        Ok(())
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
    }

    fn turned(&self, engine: &Engine, output: &Output) {
        let mut state = self.lab.change();
        let turned = state.turned(self.node, engine, output);
        state.nodes[self.node].source = Some(Source::of(engine));
        drop(state);
        let view = engine.view();
        let leader = view.leader.map_or(0, NodeId::get);
        let numbers = [self.node as u64, view.epoch.get(), leader, view.end.index.get()];
        wire::note(&numbers.map(u64::to_le_bytes).concat());
        turned.unwrap_or_else(|violation| self.lab.accuse(violation));
    }
}
