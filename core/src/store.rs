//! The event store's rules: what a stream's name, metadata and events mean, and whether an append
//! may be written.
//!
//! It knows nothing of votes or quorums: it decides, and another part sees to it that what was
//! decided survives. What is asked of it rests on two bounded memories, the heads of streams and
//! the ids of recent events; where they do not know, the log is asked.

pub mod filter;
pub mod link;
pub mod metadata;
pub mod name;

pub(crate) mod decide;
pub(crate) mod heads;
pub(crate) mod keys;
pub(crate) mod recent_ids;
pub(crate) mod validate;
pub(crate) mod waiting;
pub(crate) mod write;

use crate::id::{LogIndex, Position, Revision};
use crate::input::LoadedHead;
use crate::limits::Limits;
use crate::log::entry::EntryHeader;
use crate::recording::{Sink, recorded};
use crate::request::{Change, Proposal};
use decide::{Decision, Evidence, Loaded, State};
use heads::{Head, Heads};
use keys::{Keys, StreamKey};
use recent_ids::RecentIds;

/// What a leader decides by.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    keys: Keys,
    pub(crate) heads: Heads,
    pub(crate) recent: RecentIds,
}

recorded!(struct Store { keys, heads, recent });

/// The stream that a proposal is about, and the one whose head decides.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target<'a> {
    /// The stream without `$$`.
    pub(crate) owner: &'a str,
    /// Names it in the heads.
    pub(crate) owner_key: StreamKey,
    /// Whether it is about `$$owner`.
    pub(crate) is_metadata: bool,
    /// Names the stream in the recent ids: `$$owner` or `owner`.
    pub(crate) key: StreamKey,
}

impl Store {
    pub(crate) fn new(limits: &Limits, keys: Keys, recent: RecentIds) -> Self {
        Self { keys, heads: Heads::new(limits), recent }
    }

    /// Names the streams of a proposal, whose name is valid.
    pub(crate) fn target<'a>(&self, stream: &'a str) -> Target<'a> {
        let key = self.keys.stream(stream);
        match name::metadata_owner(stream) {
            Some(owner) => {
                Target { owner, owner_key: self.keys.stream(owner), is_metadata: true, key }
            }
            None => Target { owner: stream, owner_key: key, is_metadata: false, key },
        }
    }

    /// The key under which a stream's head is kept.
    pub(crate) fn key(&self, stream: &str) -> StreamKey {
        self.keys.stream(stream)
    }

    /// Decides a proposal; `None` where the head of its stream is not known.
    ///
    /// - `loaded`: ids that the log was asked for because of an earlier [`Decision::ReadIds`]
    pub(crate) fn decide(
        &mut self,
        proposal: &Proposal<'_>,
        target: &Target<'_>,
        loaded: Option<Loaded<'_>>,
    ) -> Option<Decision> {
        let head = self.heads.get(target.owner_key)?;
        let state = State::of(head, target.is_metadata);
        let evidence = Evidence {
            stream: match proposal.change {
                Change::Append { .. } | Change::Tombstone { .. } => target.key,
                Change::Delete { .. } => self.keys.stream(&name::metadata_stream(target.owner)),
            },
            recent: &self.recent,
            loaded,
            retry_since: proposal.retry_since,
        };
        Some(match proposal.change {
            Change::Append { frames, count } => {
                decide::append(&state, proposal.expected, frames, count, &evidence)
            }
            Change::Delete { id } | Change::Tombstone { id } => {
                decide::delete(&state, proposal.expected, id, &evidence)
            }
        })
    }

    /// The entry on which everything known of a stream rests; zero where it is long committed.
    pub(crate) fn rests_on(&self, target: &Target<'_>) -> LogIndex {
        self.heads.peek(target.owner_key).map_or(LogIndex::ZERO, |head| head.changed_at)
    }

    /// Takes in what the log says of a stream.
    pub(crate) fn head_loaded(
        &mut self,
        key: StreamKey,
        loaded: &LoadedHead<'_>,
        pins: &heads::Pins<'_>,
    ) {
        self.heads.insert(key, Head::loaded(loaded), pins);
    }

    /// Takes in an entry that was committed under another leader.
    pub(crate) fn follow(&mut self, entry: &EntryHeader, body: &[u8]) {
        self.recent.follow(entry, body);
    }

    /// Forgets what this node decided as a leader and what is not committed.
    ///
    /// - `committed`: behind the last committed entry
    pub(crate) fn forget_pending(&mut self, committed: Position) {
        self.recent.truncate(committed);
        self.heads.clear();
    }

    /// The invariants between any two inputs.
    pub(crate) fn check(&self) {
        self.heads.check();
        self.recent.check();
    }

    /// Adds how much it holds.
    pub(crate) fn sketch(&self, out: &mut impl Sink) {
        self.heads.sketch(out);
        self.recent.sketch(out);
    }

    /// Adds all that decides what it will do to `hasher`.
    pub(crate) fn digest(&self, hasher: &mut blake3::Hasher) {
        self.heads.digest(hasher);
        self.recent.digest(hasher);
    }
}

/// The entry that a decided change goes into.
#[derive(Debug)]
pub(crate) struct Opening<'a> {
    /// The index that it will have.
    pub(crate) index: LogIndex,
    /// Where its record will start.
    pub(crate) start: Position,
    /// What it has gathered.
    pub(crate) gathering: &'a mut crate::log::tail::Gathering,
}

/// What a change added to its entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Written {
    /// Revision of its first event.
    pub(crate) first: Revision,
    /// Revision of its last event.
    pub(crate) last: Revision,
    /// Where in the entry's body its last event starts.
    pub(crate) offset: usize,
}
