//! A disk in memory: what was asked for is under way until the test says that it is done, and a
//! crash keeps what was done, and of the rest what the test wants.

use std::sync::Arc;

use quorate_core::id::{ChainHash, Epoch, LogIndex};
use quorate_core::input::HardState;
use quorate_core::log::entry::{EntryHeader, LogEnd};

/// An entry whose write was asked for.
#[derive(Clone, Debug)]
pub(crate) struct Slot {
    pub(crate) header: EntryHeader,
    pub(crate) body: Arc<[u8]>,
    /// Whether it is on stable storage.
    pub(crate) done: bool,
}

/// A truncation under way.
#[derive(Clone, Debug)]
pub(crate) struct Truncation {
    pub(crate) end: LogEnd,
    /// What it removes, oldest first; after a crash it may be there, or not.
    pub(crate) going: Vec<Slot>,
}

/// One node's disk.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk {
    pub(crate) hard_state: HardState,
    pub(crate) hard_state_under_way: Option<HardState>,
    pub(crate) log: Vec<Slot>,
    pub(crate) truncation: Option<Truncation>,
    /// A write has failed: what it says is done from then on is not, as after a failed fsync.
    pub(crate) failed: bool,
}

impl Disk {
    pub(crate) fn write_hard_state(&mut self, state: HardState) {
        assert!(self.hard_state_under_way.is_none(), "one hard state at a time");
        assert!(state.epoch >= self.hard_state.epoch, "epochs never go back");
        if state.epoch == self.hard_state.epoch {
            let before = self.hard_state.voted_for;
            assert!(before.is_none_or(|_| before == state.voted_for), "one vote in an epoch");
        }
        self.hard_state_under_way = Some(state);
    }

    pub(crate) fn finish_hard_state(&mut self) -> HardState {
        let state = self.hard_state_under_way.take().expect("it was asked for");
        if !self.failed {
            self.hard_state = state;
        }
        state
    }

    pub(crate) fn write(&mut self, header: &EntryHeader, body: &[u8]) {
        assert_eq!(self.log.len() as u64 + 1, header.index.get(), "entries have no gap");
        assert!(self.hard_state.epoch >= header.epoch, "an entry goes behind its epoch's promise");
        assert!(self.truncation.is_none(), "nothing is written while the log is truncated");
        self.log.push(Slot { header: *header, body: body.into(), done: false });
    }

    /// The write of an entry ends. Gives the entry's epoch.
    pub(crate) fn finish(&mut self, index: LogIndex) -> Epoch {
        let slot = &mut self.log[place(index)];
        slot.done = !self.failed;
        slot.header.epoch
    }

    pub(crate) fn truncate(&mut self, end: LogEnd) {
        assert!(self.truncation.is_none(), "one truncation at a time");
        let going = self.log.split_off(end.index.get() as usize);
        assert!(!going.is_empty(), "something is removed");
        assert!(self.end().index == end.index, "what is left was asked for");
        self.truncation = Some(Truncation { end, going });
    }

    pub(crate) fn finish_truncation(&mut self) -> LogIndex {
        self.truncation.take().expect("it was asked for").end.index
    }

    /// Entries whose writes are under way.
    pub(crate) fn under_way(&self) -> Vec<LogIndex> {
        self.log.iter().filter(|slot| !slot.done).map(|slot| slot.header.index).collect()
    }

    /// The chain of an entry whose write was asked for.
    pub(crate) fn chain_at(&self, index: LogIndex) -> Option<ChainHash> {
        if index == LogIndex::ZERO {
            return Some(ChainHash::GENESIS);
        }
        self.log.get(place(index)).map(|slot| slot.header.chain)
    }

    /// Whether an entry, and all before it, is on stable storage.
    pub(crate) fn has(&self, index: LogIndex, chain: ChainHash) -> bool {
        self.chain_at(index) == Some(chain)
            && self.log[..index.get() as usize].iter().all(|slot| slot.done)
    }

    /// The end of what was asked for.
    pub(crate) fn end(&self) -> LogEnd {
        self.end_at(self.log.len())
    }

    /// Behind so many entries.
    pub(crate) fn end_at(&self, count: usize) -> LogEnd {
        let last = count.checked_sub(1).map(|place| &self.log[place].header);
        last.map_or(LogEnd::default(), LogEnd::after)
    }

    /// What is under way ends so or so, and what lies behind a gap is no more.
    ///
    /// - `keeps`: whether a write, or a truncation, had come to its end
    pub(crate) fn crash(&mut self, mut keeps: impl FnMut(Part) -> bool) {
        if let Some(state) = self.hard_state_under_way.take()
            && keeps(Part::HardState)
        {
            self.hard_state = state;
        }
        if let Some(Truncation { going, .. }) = self.truncation.take()
            && !keeps(Part::Truncation)
        {
            self.log.extend(going);
        }
        let kept = self.log.iter().take_while(|slot| slot.done || keeps(Part::Entry));
        let kept = kept.count();
        self.log.truncate(kept);
        for slot in &mut self.log {
            slot.done = true;
        }
        self.failed = false;
    }
}

/// What can be under way when a node crashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    HardState,
    Truncation,
    Entry,
}

fn place(index: LogIndex) -> usize {
    usize::try_from(index.get() - 1).expect("an index into memory")
}
