//! What there is to be searched: the states of a group, and what can happen in each.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, OnceLock};

use crate::group::{Envelope, Group, Node, node};
use hashbrown::HashTable;
use quorate_core::id::{Epoch, LogIndex, NodeId};
use quorate_core::log::entry::EntryKind;
use quorate_core::mutant::Mutant;
use quorate_core::timing::Timing;
use quorate_core::{Limits, Replica, RoleView};
use stateright::{Model, Property};

/// No timer but those of elections ever runs out.
const TIMING: Timing = Timing {
    tick_nanos: 1,
    heartbeat_ticks: 1,
    election_ticks_min: 3,
    election_ticks_spread: 1,
    rank_ticks: 0,
    stall_ticks: u32::MAX,
    commit_stall_ticks: u32::MAX,
    ping_ticks: u32::MAX,
    settle_ticks: u32::MAX,
}
.checked();

/// No bound is reached.
const LIMITS: Limits = Limits {
    log_submissions_max: 16,
    entries_uncommitted_max: 16,
    log_writes_in_flight_max: 16,
    follower_bytes_max: 1 << 16,
    ..Limits::TINY
}
.checked();

thread_local! {
    /// Whether an assertion that fails now is one that this looks for.
    pub(crate) static IS_STEPPING: Cell<bool> = const { Cell::new(false) };
}

/// How far it goes.
#[derive(Clone, Debug)]
pub(crate) struct Bounds {
    pub(crate) nodes: usize,
    /// The latest epoch that a node campaigns in.
    pub(crate) epochs: u64,
    /// Appends of clients, in all.
    pub(crate) appends: u64,
    /// Crashes, in all.
    pub(crate) crashes: u64,
    /// Heartbeats of leaders after their first one, in all.
    pub(crate) beats: u64,
    /// Whether less can happen, so that more of it can: see the module's text.
    pub(crate) narrow: bool,
    /// What the replicas do wrong.
    pub(crate) mutant: Option<Mutant>,
    pub(crate) known: Arc<Known>,
}

/// Messages, by their hashes.
type Says = Box<[u64]>;

/// What was found out about single nodes.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// The hash of each node at the start.
    fresh: OnceLock<Vec<u64>>,
    /// What a node says to a message that changes nothing at it, by the hashes of both.
    idle: Mutex<HashTable<((u64, u64), Says)>>,
}

/// Both are hashes already.
const fn mix(hashes: (u64, u64)) -> u64 {
    hashes.0 ^ hashes.1.rotate_left(32)
}

#[derive(Clone, Debug)]
pub(crate) struct State {
    pub(crate) group: Group,
    /// All that was ever said, by its hash.
    pub(crate) said: BTreeMap<u64, Arc<Envelope>>,
    pub(crate) appends: u64,
    pub(crate) crashes: u64,
    pub(crate) beats: u64,
    /// The epochs in which a node has campaigned, as bits.
    pub(crate) campaigns: u64,
    /// The hash of each node.
    pub(crate) digests: Vec<u64>,
    /// The assertion that has failed.
    pub(crate) broken: Option<String>,
}

impl Hash for State {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.digests.hash(hasher);
        for key in self.said.keys() {
            key.hash(hasher);
        }
        let ghost = &self.group.ghost;
        ghost.leaders.hash(hasher);
        ghost.votes.hash(hasher);
        ghost.committed.last().map(|entry| entry.chain).hash(hasher);
        let budget = (self.appends, self.crashes, self.beats);
        (budget, self.campaigns, self.broken.is_some()).hash(hasher);
    }
}

impl PartialEq for State {
    fn eq(&self, other: &Self) -> bool {
        let hash = |state: &Self| {
            let mut hasher = DefaultHasher::new();
            state.hash(&mut hasher);
            hasher.finish()
        };
        hash(self) == hash(other)
    }
}

/// One thing that can happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// A node has waited long enough for a leader, or for votes; and whether the others have told it
    /// before that they are in a later epoch.
    Timeout(NodeId, bool),
    Beat(NodeId),
    Deliver(u64),
    HardStateWritten(NodeId),
    Written(NodeId, LogIndex),
    Truncated(NodeId),
    Append(NodeId),
    Crash(NodeId, Kept),
}

/// What is on a disk of that which was under way at a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) hard_state: bool,
    pub(crate) truncation: bool,
    pub(crate) entries: usize,
    /// Whether the start knows what had been committed.
    pub(crate) hint: bool,
}

impl Model for Bounds {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let mut group = Group::new(&vec![0; self.nodes], LIMITS, TIMING);
        (group.draws, group.mutant) = (false, self.mutant);
        group.boot_all();
        let digests: Vec<_> = group.nodes.iter().map(|node| digest(node)).collect();
        let _ = self.known.fresh.set(digests.clone());
        let (appends, crashes, beats) = (0, 0, 0);
        let said = BTreeMap::new();
        let (campaigns, broken) = (0, None);
        let mut state = State { group, said, appends, crashes, beats, campaigns, digests, broken };
        if self.narrow {
            self.elect(&mut state);
        }
        vec![state]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.broken.is_some() {
            return;
        }
        let active = self.active(state);
        for node in state.group.nodes.iter().filter(|node| active(node.id)) {
            self.actions_of(node, state, actions);
        }
        let messages = state.said.iter().filter(|(_, envelope)| active(envelope.to));
        actions.extend(messages.map(|(key, _)| Action::Deliver(*key)));
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        if self.is_idle(last, &action) {
            return None;
        }
        let mut state = last.clone();
        IS_STEPPING.set(true);
        let acted = catch_unwind(AssertUnwindSafe(|| state.act(&action, self)));
        IS_STEPPING.set(false);
        match acted {
            Ok(says) => {
                self.learn(last, &state, &action, says);
                if self.is_idle(last, &action) {
                    return None;
                }
            }
            Err(panic) => {
                let text = panic.downcast_ref::<String>().cloned();
                let text = text.or(panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
                state = State { broken: text.or(Some(String::new())), ..last.clone() };
            }
        }
        if let Action::Timeout(id, _) = action {
            let view = state.group.node(id).replica.view();
            let epoch = 1 << view.epoch.get();
            // Who would not be elected has only lost its leader.
            let campaigns = view.role == RoleView::Candidate && last.campaigns & epoch == 0;
            if self.narrow && !campaigns {
                return None;
            }
            state.campaigns |= epoch;
        }
        let bounded = |node: &Arc<Node>| node.replica.view().epoch <= Epoch::from_wire(self.epochs);
        state.group.nodes.iter().all(bounded).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        fn has(state: &State, kind: EntryKind) -> bool {
            state.group.ghost.committed.iter().any(|entry| entry.kind == kind)
        }
        vec![
            Property::always("no assertion fails", |_, state: &State| state.broken.is_none()),
            Property::sometimes("an epoch record is committed", |_, state: &State| {
                has(state, EntryKind::Epoch)
            }),
            Property::sometimes("a log is truncated", |model: &Self, state: &State| {
                model.epochs == 1 || state.group.ghost.seen.contains_key("truncated")
            }),
            Property::sometimes("an append is committed", |model: &Self, state: &State| {
                model.appends == 0 || has(state, EntryKind::Events)
            }),
            Property::sometimes("an append outlives its leader", |model: &Self, state: &State| {
                model.appends == 0 || model.epochs == 1 || outlives(&state.group)
            }),
        ]
    }
}

/// Whether an append of an earlier reign is committed, and so is the last reign's epoch record.
fn outlives(group: &Group) -> bool {
    let ghost = &group.ghost;
    let (Some(last), Some(leader)) = (ghost.committed.last(), ghost.leaders.keys().next_back())
    else {
        return false;
    };
    let mut entries = ghost.committed.iter();
    last.epoch == *leader
        && entries.any(|entry| entry.kind == EntryKind::Events && entry.epoch < *leader)
}

impl Bounds {
    /// Which nodes may do something. Those to which nothing has happened yet are alike, so it is
    /// the first of them to which something does.
    fn active(&self, state: &State) -> impl Fn(NodeId) -> bool {
        let fresh = self.known.fresh.get().expect("there was a first state");
        let is_fresh = |place: &usize| state.digests[*place] == fresh[*place];
        let fresh: Vec<_> = (0..self.nodes).filter(is_fresh).collect();
        move |id| !fresh.iter().skip(1).any(|it| *it == place(id))
    }

    /// The first node is elected by the second, in epoch 1.
    fn elect(&self, state: &mut State) {
        let [first, second] = [node(1), node(2)];
        state.act(&Action::Timeout(first, false), self);
        for id in [first, second] {
            if state.group.node(id).disk.hard_state_under_way.is_some() {
                state.act(&Action::HardStateWritten(id), self);
            }
            let (from, to) = if id == first { (first, second) } else { (second, first) };
            let mut said = state.said.iter();
            let its = said.find(|(_, it)| (it.from, it.to) == (from, to));
            let key = *its.expect("a question, or an answer").0;
            state.act(&Action::Deliver(key), self);
        }
        assert!(state.group.node(first).replica.view().role.leads());
        state.campaigns = 1 << 1;
    }

    /// Whether an action is known to change nothing.
    fn is_idle(&self, state: &State, action: &Action) -> bool {
        let Action::Deliver(key) = action else { return false };
        let both = (state.digests[place(state.said[key].to)], *key);
        let idle = self.known.idle.lock().unwrap();
        // What would be said was said before.
        idle.find(mix(both), |known| known.0 == both)
            .is_some_and(|(_, says)| says.iter().all(|key| state.said.contains_key(key)))
    }

    /// A message that has changed nothing need not arrive there again.
    fn learn(&self, last: &State, state: &State, action: &Action, says: Vec<u64>) {
        if let Action::Deliver(key) = action {
            let at = place(last.said[key].to);
            if last.digests[at] == state.digests[at] {
                let both = (last.digests[at], *key);
                let mut idle = self.known.idle.lock().unwrap();
                idle.entry(mix(both), |known| known.0 == both, |known| mix(known.0))
                    .insert((both, says.into()));
            }
        }
    }

    fn actions_of(&self, node: &Node, state: &State, actions: &mut Vec<Action>) {
        let (id, view) = (node.id, node.replica.view());
        let is_durable = node.disk.hard_state_under_way.is_none();
        let may_campaign = |epoch: u64| !self.narrow || state.campaigns & (1_u64 << epoch) == 0;
        let mut epochs = view.epoch.get() + 1..=self.epochs;
        if !view.role.leads() && is_durable && epochs.any(may_campaign) {
            actions.push(Action::Timeout(id, false));
            // In a wide check it is refused first.
            let is_later = |it: &Arc<Node>| it.replica.view().epoch > view.epoch;
            let can_be_refused = state.group.nodes.iter().any(is_later);
            if self.narrow && can_be_refused && view.epoch.next() < Epoch::from_wire(self.epochs) {
                actions.push(Action::Timeout(id, true));
            }
        }
        if view.role.leads() && state.beats < self.beats {
            actions.push(Action::Beat(id));
        }
        if view.role == RoleView::Leader && state.appends < self.appends {
            actions.push(Action::Append(id));
        }
        if node.disk.hard_state_under_way.is_some() {
            actions.push(Action::HardStateWritten(id));
        }
        if node.disk.truncation.is_some() {
            actions.push(Action::Truncated(id));
        }
        let writes = node.disk.under_way();
        actions.extend(writes.iter().map(|index| Action::Written(id, *index)));
        if state.crashes == self.crashes {
            return;
        }
        let both = |is: bool| if is { &[false, true][..] } else { &[false][..] };
        // What a crash keeps of that which was under way may as well have ended just before it, in the
        // same order: what is said then can be lost, and what is learned from it is forgotten.
        let may_keep = |is: bool| both(is && !self.narrow);
        let entries_max = if self.narrow { 0 } else { writes.len() };
        for &hard_state in may_keep(node.disk.hard_state_under_way.is_some()) {
            for &truncation in may_keep(node.disk.truncation.is_some()) {
                for &hint in both(node.committed > node.hint) {
                    actions.extend((0..=entries_max).map(|entries| {
                        Action::Crash(id, Kept { hard_state, truncation, entries, hint })
                    }));
                }
            }
        }
    }
}

pub(crate) fn place(id: NodeId) -> usize {
    id.get() as usize - 1
}

/// Of all that a node will do.
pub(crate) fn digest(node: &Node) -> u64 {
    let mut hasher = DefaultHasher::new();
    let Node { replica, disk, committed, hint, running, .. } = node;
    Replica::timeless_digest(replica).hash(&mut hasher);
    let state = |it: quorate_core::input::HardState| (it.epoch, it.voted_for);
    (state(disk.hard_state), disk.hard_state_under_way.map(state)).hash(&mut hasher);
    let going = disk.truncation.iter().flat_map(|truncation| &truncation.going);
    for slot in disk.log.iter().chain(going) {
        (slot.header.chain, slot.done).hash(&mut hasher);
    }
    (disk.log.len(), committed, hint, running).hash(&mut hasher);
    hasher.finish()
}
