//! This node's own disk, as far as the protocol cares: what is on it, what is on the way, and
//! whether it is fit.

use alloc::vec::Vec;

use crate::digest::Digest;
use crate::effect::{Effect, Effects};
use crate::id::{Epoch, LogIndex};
use crate::log::entry::LogEnd;
use crate::log::tail::Tail;
use crate::message::Tip;
use crate::mutant::{Mutant, Switch};
use crate::notice::Notice;
use crate::recording::recorded;

/// What the disk has of the log. Writes may finish in any order: everything up to `durable` is
/// there, and some behind a gap.
#[derive(Clone, Debug)]
pub(crate) struct OwnDisk {
    durable: Tip,
    /// Ascending; no longer than the writes in flight.
    beyond: Vec<LogIndex>,
    /// Under way; nothing is submitted meanwhile.
    truncating: Option<LogEnd>,
    /// The next truncation, once that one is done.
    then: Option<LogEnd>,
    /// Since when the oldest write has been under way.
    waiting_ticks: u32,
    /// Since when reads have been under way of which none has ended.
    reading_ticks: u32,
    stalled: bool,
    full: bool,
    failed: bool,
}

recorded!(struct OwnDisk {
    durable, beyond, truncating, then, waiting_ticks, reading_ticks, stalled, full, failed,
});

impl OwnDisk {
    /// With a recovered log that ends here.
    pub(crate) const fn new(end: &LogEnd) -> Self {
        Self {
            durable: Tip::of(end),
            beyond: Vec::new(),
            truncating: None,
            then: None,
            waiting_ticks: 0,
            reading_ticks: 0,
            stalled: false,
            full: false,
            failed: false,
        }
    }

    /// The last entry of those that are durable without a gap.
    pub(crate) const fn durable(&self) -> Tip {
        self.durable
    }

    /// Whether it can carry a leader.
    pub(crate) const fn is_fit(&self) -> bool {
        !self.failed && !self.stalled && !self.full
    }

    /// Whether a promise or an entry can still be made durable.
    pub(crate) const fn can_write(&self) -> bool {
        !self.failed && !self.stalled
    }

    pub(crate) const fn has_failed(&self) -> bool {
        self.failed
    }

    pub(crate) const fn is_stalled(&self) -> bool {
        self.stalled
    }

    pub(crate) const fn is_full(&self) -> bool {
        self.full
    }

    pub(crate) const fn fail(&mut self) {
        self.failed = true;
    }

    /// Takes in whether the log can still grow.
    pub(crate) fn set_full(&mut self, full: bool, effects: &mut Effects) {
        if full != self.full {
            self.full = full;
            effects.push(Effect::Notice(Notice::DiskSpace { full }));
        }
    }

    /// Entry writes that were asked for and have not finished.
    pub(crate) fn in_flight(&self, tail: &Tail) -> u64 {
        tail.submitted().get() - self.durable.index.get() - self.beyond.len() as u64
    }

    /// Asks for writes: of entries up to `must` in any case, and of others while there is room. None
    /// while the log is truncated: after a crash in the middle, what had to go could be there again
    /// under the index of an entry that is known to be committed.
    pub(crate) fn submit(
        &mut self,
        tail: &mut Tail,
        in_flight_max: u32,
        must: LogIndex,
        effects: &mut Effects,
    ) {
        if self.failed || self.truncating.is_some() {
            return;
        }
        loop {
            let room = self.in_flight(tail) < u64::from(in_flight_max);
            if !room && tail.submitted() >= must {
                return;
            }
            let Some(index) = tail.submit() else { return };
            effects.push(Effect::WriteEntry(index));
        }
    }

    /// An entry is on disk. Gives whether more is durable without a gap than before; what belongs
    /// to an entry that was removed since then is void.
    pub(crate) fn written(
        &mut self,
        epoch: Epoch,
        index: LogIndex,
        tail: &Tail,
        mutants: Switch,
    ) -> bool {
        let counts_any = mutants.is(Mutant::CountsAnyWrite);
        let is_ours = index > self.durable.index
            && tail.is_submitted(index)
            && tail.holds(index)
            && (tail.entry(index).0.epoch == epoch || counts_any);
        if !is_ours {
            return false;
        }
        if let Err(place) = self.beyond.binary_search(&index) {
            self.beyond.insert(place, index);
        }
        let mut reached = self.durable.index;
        let run = self.beyond.iter().take_while(|index| {
            let follows = **index == reached.next();
            if follows {
                reached = **index;
            }
            follows
        });
        let run = run.count();
        self.beyond.drain(..run);
        if run > 0 {
            self.waiting_ticks = 0;
            self.durable = tail.tip_at(reached).expect("what was just written is in memory");
        }
        run > 0
    }

    /// Entries behind this end were removed from memory, and are to go from the disk.
    ///
    /// - `on_disk`: whether the write of any of them was asked for
    pub(crate) fn truncate(&mut self, end: LogEnd, on_disk: bool, effects: &mut Effects) {
        self.beyond.retain(|index| *index <= end.index);
        if self.durable.index > end.index {
            self.durable = Tip::of(&end);
        }
        // What comes behind a truncation that is under way is not on the disk yet.
        let on_disk =
            on_disk && self.truncating.is_none_or(|under_way| end.index < under_way.index);
        if !on_disk {
            return;
        }
        if self.truncating.is_some() {
            self.then =
                Some(self.then.map_or(end, |then| if end.index < then.index { end } else { then }));
        } else {
            self.truncating = Some(end);
            effects.push(Effect::Truncate { end });
        }
    }

    /// A truncation is done.
    pub(crate) fn truncated(&mut self, index: LogIndex, effects: &mut Effects) {
        let done = self.truncating.take().expect("what was done was asked for");
        assert!(done.index == index, "it ends where it was to end");
        if let Some(end) = self.then.take() {
            self.truncating = Some(end);
            effects.push(Effect::Truncate { end });
        }
    }

    /// A read has ended.
    pub(crate) const fn has_read(&mut self) {
        self.reading_ticks = 0;
    }

    /// Time has passed. Gives whether the disk has stalled just now.
    ///
    /// - `reads`: whether reads are under way
    pub(crate) fn tick(
        &mut self,
        reads: bool,
        tail: &Tail,
        stall_ticks: u32,
        effects: &mut Effects,
    ) -> bool {
        let waits = self.in_flight(tail) > 0 || self.truncating.is_some();
        self.waiting_ticks = if waits { self.waiting_ticks.saturating_add(1) } else { 0 };
        self.reading_ticks = if reads { self.reading_ticks.saturating_add(1) } else { 0 };
        let stalled = self.waiting_ticks.max(self.reading_ticks) >= stall_ticks;
        let changed = core::mem::replace(&mut self.stalled, stalled) != stalled;
        if changed {
            effects.push(Effect::Notice(Notice::DiskStalled { stalled }));
        }
        changed && stalled
    }

    /// The invariants between any two inputs.
    pub(crate) fn check(&self, tail: &Tail) {
        assert!(self.beyond.is_sorted(), "what is beyond the gap is in order");
        if let Some(first) = self.beyond.first() {
            assert!(*first > self.durable.index.next(), "a gap is a gap");
        }
        assert!(self.durable.index <= tail.submitted(), "what is durable was submitted");
        if let Some(chain) = tail.chain_at(self.durable.index) {
            assert!(chain == self.durable.chain, "what is durable is the log");
        }
        assert!(self.truncating.is_some() || self.then.is_none(), "one truncation at a time");
    }

    /// Adds all that decides what it will do to `hasher`.
    pub(crate) fn digest(&self, digest: &mut Digest) {
        digest.timers(&[u64::from(self.waiting_ticks)]);
        let hasher = digest.hasher();
        hasher.update(&self.durable.index.get().to_le_bytes());
        hasher.update(&self.durable.chain.to_bytes());
        for index in &self.beyond {
            hasher.update(&index.get().to_le_bytes());
        }
        for end in [self.truncating, self.then] {
            hasher.update(&end.map_or(u64::MAX, |end| end.index.get()).to_le_bytes());
        }
        hasher.update(&[u8::from(self.stalled), u8::from(self.full), u8::from(self.failed)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::entry::LogId;

    const FIRST: Epoch = Epoch::from_wire(1);

    /// A log of so many entries of epoch 1, of which nothing is on disk.
    fn log(count: u64) -> (Tail, OwnDisk) {
        let mut tail = Tail::open(LogId::default(), LogEnd::default());
        for _ in 0..count {
            tail.seal_epoch(FIRST, b"record");
        }
        (tail, OwnDisk::new(&LogEnd::default()))
    }

    fn index(number: u64) -> LogIndex {
        LogIndex::from_wire(number)
    }

    /// Asks for writes, at most so many at once; gives of which entries.
    fn submit(disk: &mut OwnDisk, tail: &mut Tail, in_flight_max: u32, must: u64) -> Vec<u64> {
        let mut effects = Effects::new();
        disk.submit(tail, in_flight_max, index(must), &mut effects);
        let number = |effect| match effect {
            Effect::WriteEntry(index) => index.get(),
            other => panic!("{other:?}"),
        };
        effects.drain().map(number).collect()
    }

    fn written(disk: &mut OwnDisk, tail: &Tail, epoch: u64, number: u64) -> u64 {
        disk.written(Epoch::from_wire(epoch), index(number), tail, Switch::default());
        disk.check(tail);
        disk.durable().index.get()
    }

    fn truncate(disk: &mut OwnDisk, tail: &mut Tail, to: u64) -> Vec<Effect> {
        let mut effects = Effects::new();
        let (end, on_disk) = tail.truncate(index(to));
        disk.truncate(end, on_disk, &mut effects);
        disk.check(tail);
        effects.drain().collect()
    }

    #[test]
    fn writes_that_end_in_any_order_are_durable_without_gaps() {
        let (mut tail, mut disk) = log(4);
        assert_eq!(submit(&mut disk, &mut tail, 9, 0), [1, 2, 3, 4]);
        let ends = [3, 2, 2, 1, 4].map(|number| written(&mut disk, &tail, 1, number));
        assert_eq!(ends, [0, 0, 0, 3, 4]);
        assert_eq!(disk.in_flight(&tail), 0);
    }

    #[test]
    fn writes_in_flight_are_bounded_but_for_what_is_committed() {
        let (mut tail, mut disk) = log(4);
        assert_eq!(submit(&mut disk, &mut tail, 2, 0), [1, 2]);
        assert_eq!(submit(&mut disk, &mut tail, 2, 3), [3]);
        written(&mut disk, &tail, 1, 2);
        written(&mut disk, &tail, 1, 1);
        assert_eq!(submit(&mut disk, &mut tail, 2, 3), [4]);
    }

    #[test]
    fn the_end_of_another_entrys_write_says_nothing() {
        let (mut tail, mut disk) = log(2);
        submit(&mut disk, &mut tail, 1, 0);
        assert_eq!(written(&mut disk, &tail, 2, 1), 0, "of another epoch");
        assert_eq!(written(&mut disk, &tail, 1, 2), 0, "not submitted");
        assert_eq!(written(&mut disk, &tail, 1, 3), 0, "not there");
    }

    #[test]
    fn nothing_is_written_while_the_log_is_truncated() {
        let (mut tail, mut disk) = log(3);
        submit(&mut disk, &mut tail, 9, 0);
        written(&mut disk, &tail, 1, 1);
        let end = LogEnd::after(tail.entry(index(1)).0);
        assert_eq!(truncate(&mut disk, &mut tail, 1), [Effect::Truncate { end }]);
        tail.seal_epoch(Epoch::from_wire(2), b"record");
        assert!(submit(&mut disk, &mut tail, 9, 0).is_empty());
        disk.truncated(index(1), &mut Effects::new());
        assert_eq!(submit(&mut disk, &mut tail, 9, 0), [2]);
        assert_eq!(written(&mut disk, &tail, 1, 2), 1, "of what was removed");
        assert_eq!(written(&mut disk, &tail, 2, 2), 2);
    }

    #[test]
    fn a_second_truncation_waits_for_the_first() {
        let (mut tail, mut disk) = log(3);
        submit(&mut disk, &mut tail, 9, 0);
        assert_eq!(truncate(&mut disk, &mut tail, 2).len(), 1);
        assert_eq!(truncate(&mut disk, &mut tail, 1), [], "until that is done");
        let mut effects = Effects::new();
        disk.truncated(index(2), &mut effects);
        let end = LogEnd::after(tail.entry(index(1)).0);
        assert_eq!(effects.drain().collect::<Vec<_>>(), [Effect::Truncate { end }]);
    }

    #[test]
    fn what_was_never_submitted_is_removed_without_the_disk() {
        let (mut tail, mut disk) = log(3);
        submit(&mut disk, &mut tail, 1, 0);
        assert_eq!(truncate(&mut disk, &mut tail, 1), []);
    }

    #[test]
    fn a_failed_disk_takes_no_more_writes() {
        let (mut tail, mut disk) = log(1);
        disk.fail();
        assert!(submit(&mut disk, &mut tail, 9, 1).is_empty());
        assert!(!disk.is_fit() && !disk.can_write());
    }

    #[test]
    fn a_write_that_takes_long_is_a_stall_until_it_ends() {
        let (mut tail, mut disk) = log(1);
        submit(&mut disk, &mut tail, 9, 0);
        let tick = |disk: &mut OwnDisk, tail: &Tail| {
            disk.tick(false, tail, 2, &mut Effects::new());
            disk.is_stalled()
        };
        assert_eq!([tick(&mut disk, &tail), tick(&mut disk, &tail)], [false, true]);
        written(&mut disk, &tail, 1, 1);
        assert!(!tick(&mut disk, &tail));
    }
}
