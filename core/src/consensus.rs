//! Who leads, and which entries are committed.
//!
//! An entry's body is opaque bytes here. The group has one voter now: it votes for itself, and a
//! quorum is itself; the rules are those of any number.

pub(crate) mod commit;
pub(crate) mod election;
pub(crate) mod progress;
pub(crate) mod quorum;

use crate::id::{Epoch, LogIndex, NodeId};
use crate::input::HardState;
use crate::log::entry::LogEnd;
use election::Election;
use progress::Progress;
use quorum::Quorum;

/// What a node is in its group.
#[derive(Debug)]
enum Role {
    /// It hears of no leader, or asks to be one.
    Candidate(Election),
    /// It leads.
    Leader {
        /// Its epoch record. Nothing is committed before that is.
        epoch_record: LogIndex,
    },
}

/// One node's part in the agreement of its group.
#[derive(Debug)]
pub(crate) struct Consensus {
    node: NodeId,
    quorum: Quorum,
    hard_state: HardState,
    role: Role,
    /// What each voter has on stable storage, this node first.
    progress: [Progress; 1],
    committed: LogIndex,
}

impl Consensus {
    /// Begins to campaign, in an epoch after all that it knows of.
    pub(crate) fn campaign(node: NodeId, hard_state: HardState, end: &LogEnd) -> Self {
        // The log may know a later epoch than the hard state, if that was restored from a copy.
        let epoch = hard_state.epoch.max(end.epoch).next();
        let quorum = Quorum::of(1);
        Self {
            node,
            quorum,
            hard_state: HardState { epoch, voted_for: Some(node) },
            role: Role::Candidate(Election::new()),
            progress: [Progress::new(end.index)],
            committed: LogIndex::ZERO,
        }
    }

    /// What must be durable before anything is said in this epoch.
    pub(crate) const fn hard_state(&self) -> HardState {
        self.hard_state
    }

    /// The newest epoch that it has spoken in or promised to.
    pub(crate) const fn epoch(&self) -> Epoch {
        self.hard_state.epoch
    }

    /// The last committed entry.
    pub(crate) const fn committed(&self) -> LogIndex {
        self.committed
    }

    /// Whether it takes appends and reads: it leads, and its epoch record is committed.
    pub(crate) fn is_ready(&self) -> bool {
        match &self.role {
            Role::Candidate(_) => false,
            Role::Leader { epoch_record } => self.committed >= *epoch_record,
        }
    }

    /// The hard state of this epoch is durable: the vote for itself counts. Gives whether that
    /// elects it; the caller then appends an epoch record and tells [`Consensus::lead`] where.
    pub(crate) fn hard_state_written(&mut self, epoch: Epoch) -> bool {
        match &mut self.role {
            Role::Candidate(election) if epoch == self.hard_state.epoch => {
                election.grant(self.node);
                election.is_won(self.quorum)
            }
            Role::Candidate(_) | Role::Leader { .. } => false,
        }
    }

    /// It leads from this entry on.
    pub(crate) fn lead(&mut self, epoch_record: LogIndex) {
        assert!(matches!(self.role, Role::Candidate(_)), "a leader is elected once an epoch");
        self.role = Role::Leader { epoch_record };
    }

    /// An entry is on this node's stable storage. Gives whether more is committed than before.
    pub(crate) fn written(&mut self, index: LogIndex) -> bool {
        self.progress[0].written(index);
        let Role::Leader { epoch_record } = self.role else { return false };
        let reached = commit::reached(&self.progress, self.quorum);
        // An entry of an earlier epoch is committed only by one of this epoch behind it, however
        // many hold it (Raft §5.4.2).
        let advances = reached >= epoch_record && reached > self.committed;
        if advances {
            self.committed = reached;
        }
        advances
    }

    /// The invariants between any two inputs.
    pub(crate) fn check(&self) {
        self.quorum.check();
        for progress in &self.progress {
            progress.check();
        }
        assert!(self.committed <= self.progress[0].durable(), "what is committed is durable here");
        if let Role::Candidate(_) = self.role {
            assert!(self.committed == LogIndex::ZERO, "a candidate has committed nothing");
        }
    }

    /// Adds all that decides what it will do to `hasher`.
    pub(crate) fn digest(&self, hasher: &mut blake3::Hasher) {
        let epoch_record = match &self.role {
            Role::Candidate(_) => LogIndex::ZERO,
            Role::Leader { epoch_record } => *epoch_record,
        };
        let numbers = [
            self.hard_state.epoch.get(),
            self.node.get(),
            epoch_record.get(),
            self.committed.get(),
            self.progress[0].durable().get(),
        ];
        for number in numbers {
            hasher.update(&number.to_le_bytes());
        }
    }
}
