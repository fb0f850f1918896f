//! What an observer knows who sees every disk and every node at once, and never forgets.
//!
//! An entry's chain hash names the whole log up to it, so all logs that ever were form one tree
//! here; a log is the way from its last entry to the root. The invariants
//! ([`super::invariants`]) look at this, and at nothing that a node says of itself without need.

use std::collections::{BTreeMap, HashMap};

use quorate_core::id::{ChainHash, Epoch, LogIndex, NodeId};
use quorate_core::message::{LastEntry, Tip};

use super::disk::Record;
use crate::record::Progress;

/// An entry of the tree.
pub(crate) type EntryId = usize;

/// The start of every log.
pub(crate) const ROOT: EntryId = 0;

/// One entry, on whatever disks it is.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) index: u64,
    pub(crate) epoch: Epoch,
    pub(crate) parent: EntryId,
    /// The nodes on whose stable storage it is, as bits.
    pub(crate) held: u32,
}

/// A reign.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Reign {
    /// Who was seen to lead.
    pub(crate) leader: Option<NodeId>,
    /// The leader's first entry.
    pub(crate) record: Option<EntryId>,
}

/// What a node is at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// It follows, or waits for somebody to follow.
    Follower,
    /// It asks to lead.
    Candidate,
    /// It leads.
    Leader,
}

/// A running node, from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct View {
    pub(crate) role: Role,
    /// It leads, and takes appends.
    pub(crate) is_ready: bool,
    pub(crate) epoch: Epoch,
    pub(crate) voted_for: Option<NodeId>,
    pub(crate) leader: Option<NodeId>,
    pub(crate) committed: Tip,
    pub(crate) end: Tip,
    pub(crate) durable: LogIndex,
}

impl View {
    /// How far it is, for the record.
    pub(crate) fn progress(&self) -> Progress {
        Progress {
            epoch: self.epoch.get(),
            durable: self.durable.get(),
            committed: self.committed.index.get(),
        }
    }
}

/// What the observer keeps of one node.
#[derive(Clone, Debug, Default)]
pub(crate) struct Observed {
    /// As it was after its last turn, while its process lives.
    pub(crate) view: Option<View>,
    /// Its log as it was given to its disk: the entry of index 1 first.
    pub(crate) path: Vec<EntryId>,
    /// So many of them are on stable storage, without a gap.
    pub(crate) durable: usize,
    /// It has said that it removes its entries from these on, each in the epoch of a new leader.
    pub(crate) removals: Vec<(LogIndex, Epoch)>,
    /// The newest epoch in which it has promised anything to anybody.
    pub(crate) spoken: Epoch,
}

/// All that is known.
pub(crate) struct Ghost {
    pub(crate) quorum: usize,
    entries: Vec<Entry>,
    by_chain: HashMap<ChainHash, EntryId>,
    by_place: HashMap<(Epoch, u64), EntryId>,
    pub(crate) reigns: BTreeMap<Epoch, Reign>,
    /// The committed log: the entry of index 1 first.
    pub(crate) committed: Vec<EntryId>,
    /// The reign that committed each of them, which may be a later one than that which wrote it.
    committed_in: Vec<Epoch>,
    /// Who got the vote of each node in each epoch.
    pub(crate) votes: BTreeMap<(usize, Epoch), NodeId>,
    /// With which log each node asked for votes in each epoch.
    pub(crate) campaigns: BTreeMap<(NodeId, Epoch), LastEntry>,
    pub(crate) nodes: Vec<Observed>,
}

impl Ghost {
    pub(crate) fn new(nodes: usize) -> Self {
        let root = Entry { index: 0, epoch: Epoch::ZERO, parent: ROOT, held: u32::MAX };
        Self {
            quorum: nodes / 2 + 1,
            entries: vec![root],
            by_chain: HashMap::from([(ChainHash::default(), ROOT)]),
            by_place: HashMap::new(),
            reigns: BTreeMap::new(),
            committed: Vec::new(),
            committed_in: Vec::new(),
            votes: BTreeMap::new(),
            campaigns: BTreeMap::new(),
            nodes: vec![Observed::default(); nodes],
        }
    }

    pub(crate) fn entry(&self, id: EntryId) -> &Entry {
        &self.entries[id]
    }

    /// The entry with this chain, if it was ever given to a disk.
    pub(crate) fn find(&self, chain: &ChainHash) -> Option<EntryId> {
        self.by_chain.get(chain).copied()
    }

    /// The entry at this place of this reign, if there is one.
    pub(crate) fn at_place(&self, epoch: Epoch, index: u64) -> Option<EntryId> {
        self.by_place.get(&(epoch, index)).copied()
    }

    /// Takes an entry into the tree; its parent is there.
    pub(crate) fn insert(&mut self, record: &Record, parent: EntryId) -> EntryId {
        let id = self.entries.len();
        let (index, epoch) = (record.index.get(), record.epoch);
        self.entries.push(Entry { index, epoch, parent, held: 0 });
        self.by_chain.insert(record.chain, id);
        self.by_place.insert((epoch, index), id);
        id
    }

    /// The entry is on this node's stable storage, or is not any more.
    pub(crate) fn set_held(&mut self, id: EntryId, node: usize, held: bool) {
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
    pub(crate) fn holders(&self, id: EntryId) -> usize {
        (self.entries[id].held.count_ones() as usize).min(self.nodes.len())
    }

    /// The entry of this index in the log that ends with `id`.
    pub(crate) fn ancestor(&self, id: EntryId, index: u64) -> EntryId {
        let mut id = id;
        while self.entries[id].index > index {
            id = self.entries[id].parent;
        }
        id
    }

    /// The committed entry of this index.
    pub(crate) fn committed_at(&self, index: u64) -> Option<EntryId> {
        match index {
            0 => Some(ROOT),
            _ => self.committed.get(index as usize - 1).copied(),
        }
    }

    /// The next entry of the committed log is known, and which reign committed it.
    pub(crate) fn commit(&mut self, id: EntryId, reign: Epoch) {
        self.committed.push(id);
        self.committed_in.push(reign);
    }

    /// How many entries reigns before this one had committed: a log that ends in a later reign's
    /// entry has those of all that came before it, so reigns commit in their order.
    pub(crate) fn committed_before(&self, reign: Epoch) -> usize {
        self.committed_in.partition_point(|it| *it < reign)
    }

    /// Cuts a node's log off behind this index, as far as the observer keeps account of it.
    pub(crate) fn truncate(&mut self, node: usize, index: u64) -> Vec<EntryId> {
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
    pub(crate) fn recovered(&mut self, node: usize, id: EntryId) {
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
