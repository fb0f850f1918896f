//! What this node has promised, and what of it is on stable storage.
//!
//! One write at a time: what changes meanwhile is written when that one has ended.

use crate::effect::{Effect, Effects};
use crate::id::{Epoch, NodeId};
use crate::input::HardState;
use crate::recording::recorded;

/// The hard state, in memory and on disk.
#[derive(Clone, Debug)]
pub(crate) struct Promise {
    current: HardState,
    durable: HardState,
    writing: bool,
}

recorded!(struct Promise { current, durable, writing });

impl Promise {
    /// As recovered.
    pub(crate) const fn new(durable: HardState) -> Self {
        Self { current: durable, durable, writing: false }
    }

    /// The newest epoch that it has promised to, perhaps not on disk yet.
    pub(crate) const fn epoch(&self) -> Epoch {
        self.current.epoch
    }

    /// Who has its vote in that epoch.
    pub(crate) const fn voted_for(&self) -> Option<NodeId> {
        self.current.voted_for
    }

    /// The newest epoch that it can speak in.
    pub(crate) const fn durable_epoch(&self) -> Epoch {
        self.durable.epoch
    }

    /// Whether the whole promise is on disk.
    pub(crate) fn is_durable(&self) -> bool {
        self.current == self.durable
    }

    /// Promises more.
    pub(crate) fn set(&mut self, epoch: Epoch, voted_for: Option<NodeId>, effects: &mut Effects) {
        assert!(epoch >= self.current.epoch, "a promise is never taken back");
        self.current = HardState { epoch, voted_for };
        self.write(effects);
    }

    /// This much is on disk now.
    pub(crate) fn written(&mut self, state: HardState, effects: &mut Effects) {
        assert!(self.writing, "what was written was asked for");
        self.writing = false;
        self.durable = state;
        self.write(effects);
    }

    fn write(&mut self, effects: &mut Effects) {
        if !self.writing && self.current != self.durable {
            self.writing = true;
            effects.push(Effect::WriteHardState(self.current));
        }
    }

    /// Adds all that decides what it will do to `hasher`.
    pub(crate) fn digest(&self, hasher: &mut blake3::Hasher) {
        for state in [self.current, self.durable] {
            hasher.update(&state.epoch.get().to_le_bytes());
            hasher.update(&state.voted_for.map_or(0, |node| node.get() + 1).to_le_bytes());
        }
        hasher.update(&[u8::from(self.writing)]);
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    fn state(epoch: u64, vote: Option<u64>) -> HardState {
        HardState { epoch: Epoch::from_wire(epoch), voted_for: vote.map(NodeId::from_wire) }
    }

    /// Promises, and gives what is asked to be written.
    fn set(promise: &mut Promise, to: HardState) -> Vec<Effect> {
        let mut effects = Effects::new();
        promise.set(to.epoch, to.voted_for, &mut effects);
        effects.drain().collect()
    }

    fn written(promise: &mut Promise, done: HardState) -> Vec<Effect> {
        let mut effects = Effects::new();
        promise.written(done, &mut effects);
        effects.drain().collect()
    }

    #[test]
    fn a_promise_counts_once_it_is_written() {
        let mut promise = Promise::new(state(1, None));
        assert_eq!(
            set(&mut promise, state(2, Some(3))),
            [Effect::WriteHardState(state(2, Some(3)))]
        );
        assert_eq!((promise.epoch().get(), promise.durable_epoch().get()), (2, 1));
        assert!(!promise.is_durable());
        assert_eq!(written(&mut promise, state(2, Some(3))), []);
        assert!(promise.is_durable());
    }

    #[test]
    fn what_changes_during_a_write_is_written_behind_it() {
        let mut promise = Promise::new(state(1, None));
        set(&mut promise, state(2, None));
        assert_eq!(set(&mut promise, state(2, Some(3))), [], "one write at a time");
        assert_eq!(set(&mut promise, state(4, Some(1))), []);
        let next = [Effect::WriteHardState(state(4, Some(1)))];
        assert_eq!(written(&mut promise, state(2, None)), next, "and the newest only");
        assert_eq!(promise.durable_epoch().get(), 2);
    }

    #[test]
    fn a_promise_that_is_made_again_costs_nothing() {
        let mut promise = Promise::new(state(2, Some(1)));
        assert_eq!(set(&mut promise, state(2, Some(1))), []);
    }

    #[test]
    #[should_panic(expected = "a promise is never taken back")]
    fn a_promise_is_not_taken_back() {
        set(&mut Promise::new(state(2, None)), state(1, None));
    }
}
