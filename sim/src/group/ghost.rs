//! What an observer knows who sees every disk and every node at once, and never forgets.
//!
//! An entry's chain hash names the whole log up to it, so all logs that ever were form one tree
//! here; a log is the way from its last entry to the root. The invariants
//! ([`super::invariants`]) look at this, and at nothing that a node says of itself without need.

use std::collections::{BTreeMap, HashMap};

use quorate_core::id::{ChainHash, Epoch, LogIndex, NodeId};
use quorate_core::message::Tip;

use super::disk::Record;

/// An entry of the tree.
pub(super) type EntryId = usize;

/// The start of every log.
pub(super) const ROOT: EntryId = 0;

/// One entry, on whatever disks it is.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) index: u64,
    pub(super) epoch: Epoch,
    pub(super) parent: EntryId,
    /// The nodes on whose stable storage it is, as bits.
    pub(super) held: u32,
}

/// A reign.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reign {
    /// Who was seen to lead.
    pub(super) leader: Option<NodeId>,
    /// The leader's first entry.
    pub(super) record: Option<EntryId>,
}

/// What a node is at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// It follows, or waits for somebody to follow.
    Follower,
    /// It asks to lead.
    Candidate,
    /// It leads.
    Leader,
}

/// A running node, from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct View {
    pub(super) role: Role,
    /// It leads, and takes appends.
    pub(super) is_ready: bool,
    pub(super) epoch: Epoch,
    pub(super) voted_for: Option<NodeId>,
    pub(super) leader: Option<NodeId>,
    pub(super) committed: Tip,
    pub(super) end: Tip,
    pub(super) durable: LogIndex,
}

/// What the observer keeps of one node.
#[derive(Clone, Debug, Default)]
pub(super) struct Observed {
    /// As it was after its last turn, while its process lives.
    pub(super) view: Option<View>,
    /// Its log as it was given to its disk: the entry of index 1 first.
    pub(super) path: Vec<EntryId>,
    /// So many of them are on stable storage, without a gap.
    pub(super) durable: usize,
    /// It has said that it removes its entries from these on, each in the epoch of a new leader.
    pub(super) removals: Vec<(LogIndex, Epoch)>,
    /// The newest epoch in which it has promised anything to anybody.
    pub(super) spoken: Epoch,
}

/// All that is known.
pub(super) struct Ghost {
    pub(super) quorum: usize,
    entries: Vec<Entry>,
    by_chain: HashMap<ChainHash, EntryId>,
    by_place: HashMap<(Epoch, u64), EntryId>,
    pub(super) reigns: BTreeMap<Epoch, Reign>,
    /// The committed log: the entry of index 1 first.
    pub(super) committed: Vec<EntryId>,
    /// Who got the vote of each node in each epoch.
    pub(super) votes: BTreeMap<(usize, Epoch), NodeId>,
    pub(super) nodes: Vec<Observed>,
}

impl Ghost {
    pub(super) fn new(nodes: usize) -> Self {
        let root = Entry { index: 0, epoch: Epoch::ZERO, parent: ROOT, held: u32::MAX };
        Self {
            quorum: nodes / 2 + 1,
            entries: vec![root],
            by_chain: HashMap::from([(ChainHash::default(), ROOT)]),
            by_place: HashMap::new(),
            reigns: BTreeMap::new(),
            committed: Vec::new(),
            votes: BTreeMap::new(),
            nodes: vec![Observed::default(); nodes],
        }
    }

    pub(super) fn entry(&self, id: EntryId) -> &Entry {
        &self.entries[id]
    }

    /// The entry with this chain, if it was ever given to a disk.
    pub(super) fn find(&self, chain: &ChainHash) -> Option<EntryId> {
        self.by_chain.get(chain).copied()
    }

    /// The entry at this place of this reign, if there is one.
    pub(super) fn at_place(&self, epoch: Epoch, index: u64) -> Option<EntryId> {
        self.by_place.get(&(epoch, index)).copied()
    }

    /// Takes an entry into the tree; its parent is there.
    pub(super) fn insert(&mut self, record: &Record, parent: EntryId) -> EntryId {
        let id = self.entries.len();
        let (index, epoch) = (record.index.get(), record.epoch);
        self.entries.push(Entry { index, epoch, parent, held: 0 });
        self.by_chain.insert(record.chain, id);
        self.by_place.insert((epoch, index), id);
        id
    }

    /// The entry is on this node's stable storage, or is not any more.
    pub(super) fn set_held(&mut self, id: EntryId, node: usize, held: bool) {
        let bit = 1 << node;
        let entry = &mut self.entries[id];
        entry.held = if held { entry.held | bit } else { entry.held & !bit };
        if held {
            let observed = &mut self.nodes[node];
            while let Some(next) = observed.path.get(observed.durable)
                && self.entries[*next].held & bit != 0
            {
                observed.durable += 1;
            }
        }
    }

    /// On how many disks an entry is.
    pub(super) fn holders(&self, id: EntryId) -> usize {
        (self.entries[id].held.count_ones() as usize).min(self.nodes.len())
    }

    /// The entry of this index in the log that ends with `id`.
    pub(super) fn ancestor(&self, id: EntryId, index: u64) -> EntryId {
        let mut id = id;
        while self.entries[id].index > index {
            id = self.entries[id].parent;
        }
        id
    }

    /// The committed entry of this index.
    pub(super) fn committed_at(&self, index: u64) -> Option<EntryId> {
        match index {
            0 => Some(ROOT),
            _ => self.committed.get(index as usize - 1).copied(),
        }
    }

    /// Cuts a node's log off behind this index, as far as the observer keeps account of it.
    pub(super) fn truncate(&mut self, node: usize, index: u64) -> Vec<EntryId> {
        let observed = &mut self.nodes[node];
        let kept = (index as usize).min(observed.path.len());
        let removed = observed.path.split_off(kept);
        observed.durable = observed.durable.min(kept);
        for id in &removed {
            self.entries[*id].held &= !(1 << node);
        }
        removed
    }

    /// A node's log is now the one that ends with `id`, all of it on stable storage.
    pub(super) fn recovered(&mut self, node: usize, id: EntryId) {
        let mut path = Vec::new();
        let mut at = id;
        while at != ROOT {
            self.entries[at].held |= 1 << node;
            path.push(at);
            at = self.entries[at].parent;
        }
        path.reverse();
        let observed = &mut self.nodes[node];
        observed.durable = path.len();
        observed.path = path;
    }
}
