//! Damaged entries: got from the other nodes one at a time, and written anew.
//!
//! The scrub says where the log is damaged. One node after the other is asked for the entry there,
//! and `mend` writes it if it fits the log around it. Nothing of this is consensus: only what is
//! committed is asked for and given, and of that all nodes have the same.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use quorate_core::id::{LogIndex, NodeId, Position};
use quorate_core::log::entry::LogEnd;
use quorate_core::time::Instant;
use quorate_storage::log::MendError;

/// Damaged places that wait to be mended; the scrub finds others again.
const WAITING_MAX: usize = 64;
/// How long a node has for its answer. What travels on that lane may have to wait for a catch-up.
const PATIENCE_NANOS: u64 = 2_000_000_000;
/// When all nodes have been asked in vain, a node that runs asks them again after this.
pub(super) const AGAIN_NANOS: u64 = 60_000_000_000;

/// An attempt to mend an entry has ended.
#[derive(Clone, Debug)]
pub struct Mended {
    /// Where the log is good up to; the entry is behind it.
    pub before: LogEnd,
    /// The node whose copy it was.
    pub from: NodeId,
    /// Why it was not mended, if so.
    pub result: Result<(), MendError>,
}

/// The entries of one log that are to be mended.
pub(crate) struct Mending {
    /// Where the log is good up to, before each of them. The first one is being mended.
    waiting: VecDeque<LogEnd>,
    step: Step,
    /// Nodes that were asked for the first one, and are not to be asked again so soon.
    asked: Vec<NodeId>,
    /// How long nobody is asked after all were asked in vain.
    rest_nanos: u64,
    /// Nobody is asked before this.
    rests_until: Instant,
}

enum Step {
    Idle,
    Asking { node: NodeId, until: Instant },
    Writing { from: NodeId, work: Pin<Box<dyn Future<Output = Result<(), MendError>>>> },
}

impl Mending {
    /// - `rest_nanos`: for so long nobody is asked after all were asked in vain
    pub(crate) const fn new(rest_nanos: u64) -> Self {
        Self {
            waiting: VecDeque::new(),
            step: Step::Idle,
            asked: Vec::new(),
            rest_nanos,
            rests_until: Instant::START,
        }
    }

    /// A committed entry is damaged.
    ///
    /// - `before`: where the log is good up to
    pub(crate) fn found(&mut self, before: LogEnd) {
        if !self.waiting.contains(&before) && self.waiting.len() < WAITING_MAX {
            self.waiting.push_back(before);
        }
    }

    /// Whether the damage of the record there is known.
    pub(super) fn knows_of(&self, position: Position) -> bool {
        self.waiting.iter().any(|before| before.position == position)
    }

    /// Whom to ask for which entry now.
    ///
    /// - `nodes`: those that can be reached
    pub(crate) fn ask(
        &mut self,
        now: Instant,
        nodes: impl Iterator<Item = NodeId>,
    ) -> Option<(NodeId, LogIndex)> {
        if let Step::Asking { node, until } = self.step
            && until <= now
        {
            self.asked.push(node);
            self.step = Step::Idle;
        }
        if !matches!(self.step, Step::Idle) || now < self.rests_until {
            return None;
        }
        self.rests_until = Instant::START;
        let before = self.waiting.front()?;
        let index = before.index.next();
        let mut others = nodes.filter(|node| !self.asked.contains(node));
        let Some(node) = others.next() else {
            drop(others);
            if !self.asked.is_empty() {
                self.rest(now);
            }
            return None;
        };
        let until = Instant::from_nanos(now.nanos() + PATIENCE_NANOS);
        self.step = Step::Asking { node, until };
        Some((node, index))
    }

    /// A node has answered. Gives where the log is good up to, where it has the entry behind that and
    /// this is still to be written; what nobody waits for any more is left alone.
    pub(crate) fn answered(
        &mut self,
        from: NodeId,
        index: LogIndex,
        has_entry: bool,
    ) -> Option<LogEnd> {
        let before = *self.waiting.front()?;
        let is_awaited = matches!(self.step, Step::Asking { node, .. } if node == from);
        if !is_awaited || index != before.index.next() {
            return None;
        }
        if has_entry {
            return Some(before);
        }
        self.asked.push(from);
        self.step = Step::Idle;
        None
    }

    /// The entry that was waited for is being written.
    ///
    /// - `work`: [`quorate_storage::log::mend`]
    pub(crate) fn write(
        &mut self,
        from: NodeId,
        work: impl Future<Output = Result<(), MendError>> + 'static,
    ) {
        self.step = Step::Writing { from, work: Box::pin(work) };
    }

    /// Goes on with the write that is under way; says how it has ended.
    pub(crate) fn poll(&mut self, now: Instant, context: &mut Context<'_>) -> Option<Mended> {
        let Step::Writing { from, work } = &mut self.step else { return None };
        let from = *from;
        let Poll::Ready(result) = work.as_mut().poll(context) else { return None };
        self.step = Step::Idle;
        let before = *self.waiting.front().expect("the first one is being mended");
        match result {
            // Where it is not sealed any more, what was damaged is gone.
            Ok(()) | Err(MendError::NotSealed) => {
                self.waiting.pop_front();
                self.asked.clear();
            }
            Err(MendError::Unfit) => self.asked.push(from),
            Err(
                MendError::Read(_)
                | MendError::Write(_)
                | MendError::Truncating
                | MendError::NotKept,
            ) => self.rest(now),
        }
        Some(Mended { before, from, result })
    }

    /// When to go on though nothing comes in.
    pub(crate) fn next_timer(&self) -> Option<Instant> {
        match self.step {
            Step::Idle => (self.rests_until > Instant::START).then_some(self.rests_until),
            Step::Asking { until, .. } => Some(until),
            Step::Writing { .. } => None,
        }
    }

    /// The first one can't be mended now; the others have their turn later.
    fn rest(&mut self, now: Instant) {
        self.asked.clear();
        self.waiting.rotate_left(1);
        self.rests_until = Instant::from_nanos(now.nanos() + self.rest_nanos);
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;
    use std::task::Waker;

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn at(nanos: u64) -> Instant {
        Instant::from_nanos(nanos)
    }

    fn node(number: u64) -> NodeId {
        NodeId::from_wire(number)
    }

    fn index(number: u64) -> LogIndex {
        LogIndex::from_wire(number)
    }

    /// Before the entry with this index.
    fn before(number: u64) -> LogEnd {
        let position = Position::from_wire(number * 4096);
        LogEnd { index: index(number - 1), position, ..LogEnd::default() }
    }

    /// One that has found these entries damaged.
    fn mending(damaged: &[u64]) -> Mending {
        let mut mending = Mending::new(AGAIN_NANOS);
        damaged.iter().for_each(|number| mending.found(before(*number)));
        mending
    }

    /// Asks the nodes 2 and 3.
    fn ask(mending: &mut Mending, nanos: u64) -> Option<(u64, u64)> {
        let asked = mending.ask(at(nanos), [node(2), node(3)].into_iter());
        asked.map(|(node, index)| (node.get(), index.get()))
    }

    /// The entry comes, and its write ends like this.
    fn write(mending: &mut Mending, from: u64, number: u64, result: Result<(), MendError>) {
        let place = mending.answered(node(from), index(number), true);
        assert_eq!(place, Some(before(number)));
        mending.write(node(from), ready(result.clone()));
        let mut context = Context::from_waker(Waker::noop());
        let mended = mending.poll(at(0), &mut context).expect("it has nothing to wait for");
        assert_eq!((mended.before, mended.from), (before(number), node(from)));
        assert_eq!(mended.result, result);
    }

    #[test]
    fn one_entry_is_asked_for_at_a_time() {
        let mut mending = mending(&[7, 9, 7]);
        assert_eq!(ask(&mut mending, 0), Some((2, 7)));
        assert_eq!(ask(&mut mending, 1), None, "the answer is waited for");
        write(&mut mending, 2, 7, Ok(()));
        assert!(!mending.knows_of(before(7).position));
        assert_eq!(ask(&mut mending, 2), Some((2, 9)), "damage that is known is not new");
        write(&mut mending, 2, 9, Ok(()));
        assert_eq!(ask(&mut mending, 3), None);
        assert_eq!(mending.next_timer(), None);
    }

    #[test]
    fn who_has_nothing_to_give_or_does_not_answer_is_passed_over() {
        let mut mending = mending(&[7]);
        assert_eq!(ask(&mut mending, 0), Some((2, 7)));
        assert_eq!(mending.answered(node(2), index(7), false), None);
        assert_eq!(ask(&mut mending, 1), Some((3, 7)));
        let until = mending.next_timer().expect("nobody waits for ever");
        // Both have been asked in vain; they are asked again, but not soon.
        assert_eq!(ask(&mut mending, until.nanos()), None);
        let again = mending.next_timer().expect("it tries again");
        assert!(again.nanos() >= until.nanos() + 30 * SECOND);
        assert_eq!(ask(&mut mending, again.nanos() - 1), None);
        assert_eq!(ask(&mut mending, again.nanos()), Some((2, 7)));
    }

    #[test]
    fn what_can_not_be_mended_lets_others_have_their_turn() {
        for result in [MendError::Unfit, MendError::NotKept] {
            let mut mending = mending(&[7, 9]);
            assert_eq!(ask(&mut mending, 0), Some((2, 7)));
            write(&mut mending, 2, 7, Err(result.clone()));
            if result == MendError::Unfit {
                assert_eq!(ask(&mut mending, 0), Some((3, 7)), "another node may be right");
                write(&mut mending, 3, 7, Err(result));
                assert_eq!(ask(&mut mending, 0), None);
            }
            let again = mending.next_timer().expect("it tries again").nanos();
            assert_eq!(ask(&mut mending, again), Some((2, 9)));
            write(&mut mending, 2, 9, Ok(()));
            assert_eq!(ask(&mut mending, again), Some((2, 7)));
        }
    }

    #[test]
    fn what_is_not_sealed_any_more_is_forgotten() {
        let mut mending = mending(&[7]);
        assert_eq!(ask(&mut mending, 0), Some((2, 7)));
        write(&mut mending, 2, 7, Err(MendError::NotSealed));
        assert!(!mending.knows_of(before(7).position));
    }

    #[test]
    fn an_answer_that_nobody_waits_for_changes_nothing() {
        let mut mending = mending(&[7]);
        assert_eq!(mending.answered(node(2), index(7), true), None, "nobody was asked");
        assert_eq!(ask(&mut mending, 0), Some((2, 7)));
        assert_eq!(mending.answered(node(3), index(7), true), None, "another was asked");
        assert_eq!(mending.answered(node(2), index(8), true), None, "for another entry");
        assert_eq!(mending.answered(node(2), index(8), false), None);
        assert_eq!(mending.answered(node(2), index(7), true), Some(before(7)));
    }

    #[test]
    fn nobody_is_waited_for_while_nobody_can_be_reached() {
        let mut mending = mending(&[7]);
        assert_eq!(mending.ask(at(0), std::iter::empty()), None);
        assert_eq!(mending.next_timer(), None, "a link that comes up is a turn by itself");
        assert_eq!(ask(&mut mending, 1), Some((2, 7)));
    }

    #[test]
    fn only_so_much_waits() {
        let mut mending = mending(&(1..200).collect::<Vec<_>>());
        assert!(mending.knows_of(before(WAITING_MAX as u64).position));
        assert!(!mending.knows_of(before(WAITING_MAX as u64 + 1).position));
        assert_eq!(ask(&mut mending, 0), Some((2, 1)));
    }
}
