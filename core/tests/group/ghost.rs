//! What an observer of the whole group knows, and demands after each step.

use std::collections::BTreeMap;
use std::sync::Arc;

use quorate_core::id::{ChainHash, Epoch, LogIndex, NodeId, Position, RequestId};
use quorate_core::input::HardState;
use quorate_core::log::entry::{EntryHeader, LogEnd};
use quorate_core::message::{Message, Progress};
use quorate_core::notice::Notice;
use quorate_core::request::{Appended, Outcome};

use super::Node;

/// The memory of the observer. Each demand is an assertion with the name of the property.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ghost {
    /// Who was elected in which epoch.
    pub(crate) leaders: BTreeMap<Epoch, NodeId>,
    /// Who has told whom that it has its vote.
    pub(crate) votes: BTreeMap<(NodeId, Epoch), NodeId>,
    /// The chain of each entry that ever was written anywhere.
    entries: BTreeMap<(Epoch, LogIndex), ChainHash>,
    /// Every entry that any node has called committed, in order.
    pub(crate) committed: Vec<EntryHeader>,
    /// In whose reign it became so.
    committed_in: Vec<Epoch>,
    /// How each request ended.
    pub(crate) outcomes: BTreeMap<RequestId, Outcome>,
    /// Behind the last event that any client was told of.
    acknowledged: Position,
    /// How far that was when each read came.
    reads: BTreeMap<RequestId, Position>,
    /// How often what was seen.
    pub(crate) seen: BTreeMap<&'static str, u64>,
}

impl Ghost {
    /// Something that tests want to have seen.
    pub(crate) fn saw(&mut self, what: &'static str) {
        *self.seen.entry(what).or_default() += 1;
    }

    /// The last entry that is committed.
    pub(crate) fn committed(&self) -> LogIndex {
        LogIndex::from_wire(self.committed.len() as u64)
    }

    /// A node says something.
    pub(crate) fn said(&mut self, node: &Node, to: NodeId, message: &Message) {
        let promised = node.disk.hard_state;
        match *message {
            Message::Vote { epoch, .. } => {
                let vote = HardState { epoch, voted_for: Some(node.id) };
                assert_eq!(promised, vote, "who asks for votes has given itself its own");
            }
            Message::VoteReply { epoch, granted: true } => {
                let vote = HardState { epoch, voted_for: Some(to) };
                assert_eq!(promised, vote, "a vote is told when it is on disk");
                let before = self.votes.insert((node.id, epoch), to);
                assert!(before.is_none_or(|before| before == to), "one vote per epoch");
            }
            Message::Heartbeat { epoch, committed, .. }
            | Message::Append { epoch, committed, .. }
            | Message::Commit { epoch, committed } => {
                self.reigns(node, epoch);
                assert!(committed <= self.committed(), "what is told as committed is");
            }
            Message::TimeoutNow { epoch } => {
                self.saw("timeout now");
                self.reigns(node, epoch);
            }
            Message::HeartbeatReply { epoch, progress, .. } | Message::Ack { epoch, progress } => {
                assert!(promised.epoch >= epoch, "an epoch is spoken of when it is on disk");
                acknowledges(node, &progress);
            }
            Message::Resync { epoch, .. } => {
                self.saw("resync");
                assert!(promised.epoch >= epoch, "an epoch is spoken of when it is on disk");
            }
            Message::Stale { epoch } => {
                assert!(promised.epoch >= epoch, "an epoch is spoken of when it is on disk");
            }
            Message::VoteReply { granted: false, .. }
            | Message::PreVote { .. }
            | Message::PreVoteReply { .. }
            | Message::Ping { .. }
            | Message::Pong { .. } => {}
        }
    }

    fn reigns(&self, node: &Node, epoch: Epoch) {
        assert_eq!(self.leaders.get(&epoch), Some(&node.id), "a leader speaks of its own reign");
        assert!(node.disk.hard_state.epoch >= epoch, "a reign begins when it is on disk");
    }

    /// Something happened in a node.
    pub(crate) fn noticed(&mut self, node: &Node, notice: &Notice) {
        match *notice {
            Notice::Elected { epoch, .. } => {
                self.saw("elected");
                let before = self.leaders.insert(epoch, node.id);
                assert_eq!(before, None, "one leader per epoch");
                // One that is elected late, in an epoch that is over, need not know of later ones.
                let earlier = self.committed_in.iter().filter(|it| **it < epoch).count();
                for entry in &self.committed[..earlier] {
                    let chain = node.chain_at(entry.index);
                    assert_eq!(chain, Some(entry.chain), "leader completeness: {}", entry.index);
                }
            }
            Notice::Truncating { .. } => self.saw("truncating"),
            Notice::SteppedDown { .. } => self.saw("stepped down"),
            Notice::Transferring { .. } => self.saw("transferring"),
            Notice::DiskStalled { stalled: true } => self.saw("disk stalled"),
            Notice::FollowerDiverged { .. } => panic!("no follower has diverged"),
            Notice::BadMessage { .. } => panic!("no message makes no sense"),
            _ => {}
        }
    }

    /// A node writes an entry.
    pub(crate) fn wrote(&mut self, header: &EntryHeader) {
        let chain = *self.entries.entry((header.epoch, header.index)).or_insert(header.chain);
        assert_eq!(chain, header.chain, "log matching");
    }

    /// A node removes what is behind this end.
    pub(crate) fn truncated(&self, node: &Node, end: &LogEnd) {
        assert!(!node.replica.view().role.leads(), "a leader only appends");
        for entry in self.committed.iter().skip(end.index.get() as usize) {
            assert!(!node.disk.has(entry.index, entry.chain), "what is committed stays");
        }
    }

    /// A node calls entries committed.
    pub(crate) fn commits(
        &mut self,
        nodes: &[Arc<Node>],
        node: &Node,
        index: LogIndex,
        end: Position,
    ) {
        let new = &node.disk.log[node.committed.get() as usize..index.get() as usize];
        let view = node.replica.view();
        for slot in new {
            if let Some(known) = self.committed.get(slot.header.index.get() as usize - 1) {
                assert_eq!(*known, slot.header, "what is committed never changes");
                continue;
            }
            self.saw("committed");
            assert!(view.role.leads(), "a leader is the first to know of a commit");
            self.committed.push(slot.header);
            self.committed_in.push(view.epoch);
        }
        let last = new.last().expect("a commit is of something").header;
        assert_eq!(last.end(), end);
        if self.committed() == index && view.role.leads() {
            assert_eq!(last.epoch, view.epoch, "a leader commits by entries of its own epoch");
            if !node.disk.has(last.index, last.chain) {
                self.saw("commit without the leader's disk");
            }
        }
        self.check_quorum(nodes);
    }

    /// What is committed is on a majority of disks, for ever.
    pub(crate) fn check_quorum(&self, nodes: &[Arc<Node>]) {
        if let Some(last) = self.committed.last() {
            let having = nodes.iter().filter(|node| node.disk.has(last.index, last.chain)).count();
            assert!(having > nodes.len() / 2, "{having} disks have committed {}", last.index);
        }
    }

    /// A client wants to read.
    pub(crate) fn reads(&mut self, request: RequestId) {
        self.reads.insert(request, self.acknowledged);
    }

    /// A client may read up to here.
    pub(crate) fn served(&mut self, request: RequestId, end: Position) {
        self.saw("served a read");
        let acknowledged = self.reads.remove(&request).expect("somebody has asked");
        assert!(end >= acknowledged, "a read sees what was acknowledged before it");
        let committed = self.committed.last().map_or(Position::START, EntryHeader::end);
        assert!(end <= committed, "a read sees what is committed");
    }

    /// A client is told how it ended.
    pub(crate) fn replied(&mut self, request: RequestId, outcome: &Outcome) {
        if matches!(outcome, Outcome::Unknown) {
            self.saw("unknown");
        }
        if let Outcome::Appended(Appended { position, .. }) = outcome {
            self.saw("appended");
            let end = self.committed.last().map_or(Position::START, EntryHeader::end);
            assert!(*position < end, "what is acknowledged is committed");
            self.acknowledged = self.acknowledged.max(position.plus(1));
        }
        let before = self.outcomes.insert(request, outcome.clone());
        assert!(before.is_none(), "a request is answered once");
    }
}

fn acknowledges(node: &Node, progress: &Progress) {
    let durable = progress.durable;
    assert!(node.disk.has(durable.index, durable.chain), "what is acknowledged is on disk");
}
