//! Proposals that can't be decided yet, one line for each stream.
//!
//! Only the first of a line waits for something; the others wait for it, so that the changes of a
//! stream are decided in the order in which they came. A line's streams are named by their owner: a
//! stream and its metadata stand in one line.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;

use super::keys::StreamKey;
use crate::id::{EventId, LogIndex, Position, RequestId, Revision};
use crate::recording::{Recorded, Sink, recorded};
use crate::request::{Change, Expected, Proposal};

/// What the first of a line waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blocker {
    /// The head of the stream.
    Head,
    /// This entry's commit: only then can the log be asked for what it holds.
    Commit(LogIndex),
    /// Ids of the stream from this revision on, asked for in the name of the first of the line.
    Ids(Revision),
}

recorded!(enum Blocker { 0 => Head, 1 => Commit(index), 2 => Ids(revision) });

/// A proposal, kept.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    request: RequestId,
    stream: Box<str>,
    expected: Expected,
    change: HeldChange,
    retry_since: Option<Position>,
}

recorded!(struct Held { request, stream, expected, change, retry_since });

#[derive(Clone, Debug)]
enum HeldChange {
    Append { frames: Vec<u8>, count: u32 },
    Delete { id: EventId },
    Tombstone { id: EventId },
}

recorded!(enum HeldChange {
    0 => Append { frames, count }, 1 => Delete { id }, 2 => Tombstone { id },
});

impl Held {
    /// Keeps a copy of a proposal.
    pub(crate) fn copy(proposal: &Proposal<'_>) -> Self {
        Self {
            request: proposal.request,
            stream: proposal.stream.into(),
            expected: proposal.expected,
            change: match proposal.change {
                Change::Append { frames, count } => {
                    HeldChange::Append { frames: frames.to_vec(), count }
                }
                Change::Delete { id } => HeldChange::Delete { id },
                Change::Tombstone { id } => HeldChange::Tombstone { id },
            },
            retry_since: proposal.retry_since,
        }
    }

    /// The proposal.
    pub(crate) fn proposal(&self) -> Proposal<'_> {
        Proposal {
            request: self.request,
            stream: &self.stream,
            expected: self.expected,
            change: match &self.change {
                HeldChange::Append { frames, count } => Change::Append { frames, count: *count },
                HeldChange::Delete { id } => Change::Delete { id: *id },
                HeldChange::Tombstone { id } => Change::Tombstone { id: *id },
            },
            retry_since: self.retry_since,
        }
    }

    fn bytes(&self) -> u64 {
        proposal_bytes(&self.proposal())
    }
}

/// What a proposal takes of the bytes that may be pending.
pub(crate) fn proposal_bytes(proposal: &Proposal<'_>) -> u64 {
    match proposal.change {
        Change::Append { frames, .. } => frames.len() as u64,
        Change::Delete { .. } | Change::Tombstone { .. } => 0,
    }
}

#[derive(Clone, Debug)]
struct Line {
    blocker: Blocker,
    /// Not empty.
    held: VecDeque<Held>,
}

recorded!(struct Line { blocker, held });

/// All lines.
#[derive(Clone, Debug, Default)]
pub(crate) struct Waiting {
    lines: BTreeMap<StreamKey, Line>,
    by_commit: BTreeSet<(LogIndex, StreamKey)>,
    by_request: BTreeMap<RequestId, StreamKey>,
    count: usize,
    bytes: u64,
}

recorded!(struct Waiting { lines, by_commit, by_request, count, bytes });

impl Waiting {
    /// Whether a proposal for this stream has to stand in line.
    pub(crate) fn is_waiting(&self, key: StreamKey) -> bool {
        !self.lines.is_empty() && self.lines.contains_key(&key)
    }

    /// How many proposals wait.
    pub(crate) const fn count(&self) -> usize {
        self.count
    }

    /// Whether some of them wait for what the log or the index holds.
    pub(crate) fn is_loading(&self) -> bool {
        self.lines.len() > self.by_commit.len()
    }

    /// How many bytes they hold.
    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Adds a proposal at the end of its line.
    pub(crate) fn join(&mut self, key: StreamKey, proposal: &Proposal<'_>) {
        let line = self.lines.get_mut(&key).expect("others wait already");
        self.count += 1;
        self.bytes += proposal_bytes(proposal);
        line.held.push_back(Held::copy(proposal));
    }

    /// Opens a line, or puts the first of one that was taken back to its place.
    pub(crate) fn block(&mut self, key: StreamKey, first: Held, blocker: Blocker) {
        match blocker {
            Blocker::Head => {}
            Blocker::Commit(index) => {
                self.by_commit.insert((index, key));
            }
            Blocker::Ids(_) => {
                let other = self.by_request.insert(first.request, key);
                assert!(other.is_none(), "no two requests have one id");
            }
        }
        self.count += 1;
        self.bytes += first.bytes();
        let line = self.lines.entry(key);
        let line = line.or_insert_with(|| Line { blocker, held: VecDeque::new() });
        line.blocker = blocker;
        line.held.push_front(first);
    }

    /// Takes the first of a line; the line stays until [`Waiting::close`] finds it empty.
    pub(crate) fn take_first(&mut self, key: StreamKey) -> Option<Held> {
        let first = self.lines.get_mut(&key)?.held.pop_front()?;
        self.count -= 1;
        self.bytes -= first.bytes();
        Some(first)
    }

    /// Ends a line in which nobody waits any more.
    pub(crate) fn close(&mut self, key: StreamKey) {
        let line = self.lines.remove(&key).expect("a line was opened");
        assert!(line.held.is_empty(), "nobody is forgotten");
    }

    /// Gives all of them up, in no order that matters.
    pub(crate) fn give_up(&mut self) -> Vec<RequestId> {
        let lines = core::mem::take(&mut self.lines);
        let held = lines.into_values().flat_map(|line| line.held);
        let requests = held.map(|held| held.request).collect();
        *self = Self::default();
        requests
    }

    /// Whether the first of this line waits for the head.
    pub(crate) fn wants_head(&self, key: StreamKey) -> bool {
        self.lines.get(&key).is_some_and(|line| line.blocker == Blocker::Head)
    }

    /// The line whose first asked for ids in the name of this request, and from which revision on;
    /// it waits for them no more.
    pub(crate) fn ids_arrived(&mut self, request: RequestId) -> Option<(StreamKey, Revision)> {
        let key = self.by_request.remove(&request)?;
        match self.lines.get(&key).expect("who asked still waits").blocker {
            Blocker::Ids(first) => Some((key, first)),
            Blocker::Head | Blocker::Commit(_) => unreachable!("who asked waits for the answer"),
        }
    }

    /// A line whose first waits for a commit up to this one; it waits for that no more.
    pub(crate) fn commit_arrived(&mut self, committed: LogIndex) -> Option<StreamKey> {
        let (index, key) = *self.by_commit.first()?;
        if index > committed {
            return None;
        }
        self.by_commit.pop_first();
        Some(key)
    }

    /// The invariants between any two inputs.
    pub(crate) fn check(&self) {
        let (mut count, mut bytes, mut commits, mut ids) = (0, 0, 0, 0);
        for (key, line) in &self.lines {
            let first = line.held.front().expect("somebody waits in every line");
            count += line.held.len();
            bytes += line.held.iter().map(Held::bytes).sum::<u64>();
            match line.blocker {
                Blocker::Head => {}
                Blocker::Commit(index) => {
                    commits += 1;
                    assert!(self.by_commit.contains(&(index, *key)), "its commit finds it");
                }
                Blocker::Ids(_) => {
                    ids += 1;
                    assert!(self.by_request.get(&first.request) == Some(key), "ids find it");
                }
            }
        }
        assert!(count == self.count, "proposals add up");
        assert!(bytes == self.bytes, "bytes add up");
        assert!(commits == self.by_commit.len(), "each wait for a commit is somebody's");
        assert!(ids == self.by_request.len(), "each wait for ids is somebody's");
    }

    /// Adds how much it holds.
    pub(crate) fn sketch(&self, out: &mut impl Sink) {
        [self.lines.len(), self.by_commit.len(), self.count]
            .iter()
            .for_each(|count| count.record(out));
        out.number(self.bytes);
    }

    /// Adds all that decides what it will do to `hasher`.
    pub(crate) fn digest(&self, hasher: &mut blake3::Hasher) {
        for (key, line) in &self.lines {
            hasher.update(&key.to_bytes());
            for held in &line.held {
                hasher.update(&held.request.get().to_le_bytes());
            }
        }
    }
}
