//! Subscribers: each follows `$all` by its position, at one node after the other, and keeps what it
//! has seen. At the end that must be the log, without gap or repetition (28, 29).

use std::task::{Context, Poll, Waker};

use quorate_core::id::Position;

use super::World;
use super::node::Reading;
use super::schedule::{Event, MILLIS, Nanos};
use crate::history::{Logged, Violation};
use crate::reading;
use crate::scenario::model::{Operation, Scenario};

/// A subscriber looks for more after at most so long.
const PAUSE_NANOS_MAX: Nanos = 50 * MILLIS;
/// One look in so many is at another node.
const MOVES: u32 = 6;

/// One of them.
pub(super) struct Subscriber {
    node: usize,
    /// It looks for more after at most so long.
    pause: Nanos,
    /// With the node's incarnation, and where what is committed ended when it began.
    reading: Option<(u64, Position, Reading)>,
    seen: Vec<Logged>,
    /// Where the node's committed log ended when it last looked, while it stays there.
    session: Option<(u64, Position)>,
}

impl Subscriber {
    /// What it reads at a node ends with the node's process.
    pub(super) fn end_process(&mut self, node: usize) {
        if self.node == node {
            self.reading = None;
        }
    }

    pub(super) fn all(nodes: usize) -> Vec<Self> {
        (0..2.min(nodes)).map(|node| Self::new(node, PAUSE_NANOS_MAX)).collect()
    }

    /// Those that the clients of a scenario are.
    pub(super) fn of_scenario(scenario: &Scenario) -> Vec<Self> {
        let mut all = Vec::new();
        for client in &scenario.clients {
            for load in client.loads.iter().filter(|load| load.op == Operation::Subscribe) {
                let pause = (2e9 / load.arrival.rate) as Nanos;
                let nodes = scenario.nodes.len();
                all.extend((0..client.count).map(|it| Self::new(it % nodes, pause.max(1))));
            }
        }
        all
    }

    fn new(node: usize, pause: Nanos) -> Self {
        Self { node, pause, reading: None, seen: Vec::new(), session: None }
    }
}

impl World {
    pub(super) fn subscriber_acts(&mut self, index: usize) -> Result<(), Violation> {
        let at = self.now + 1 + self.schedule.below(self.subscribers[index].pause);
        self.queue.push(at, Event::Subscriber { subscriber: index });
        match self.subscribers[index].reading.take() {
            Some((incarnation, end, reading)) => self.go_on(index, incarnation, end, reading),
            None => self.look(index),
        }
    }

    /// Takes in what has been read by now.
    fn go_on(
        &mut self,
        index: usize,
        incarnation: u64,
        end: Position,
        mut reading: Reading,
    ) -> Result<(), Violation> {
        let node = self.subscribers[index].node;
        if self.nodes[node].incarnation != incarnation {
            // The node was away in between, and the disk of that process is no more.
            return Ok(());
        }
        match reading.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Pending => {
                self.subscribers[index].reading = Some((incarnation, end, reading));
                // Its reads are started with the node's next turn.
                self.wake(node, self.now + 1);
                Ok(())
            }
            // What has rotted is not shown; the subscriber looks elsewhere next time.
            Poll::Ready(Err(_)) if self.nodes[node].is_tainted => {
                let subscriber = &mut self.subscribers[index];
                (subscriber.node, subscriber.session) = ((node + 1) % self.nodes.len(), None);
                Ok(())
            }
            Poll::Ready(Err(error)) => Err(reading::unreadable(error)),
            Poll::Ready(Ok(batches)) => {
                for batch in batches {
                    let events = reading::events(&batch)?;
                    if events.iter().any(|event| event.position >= end) {
                        let story = format!("node {node} shows more than it has committed");
                        return Err(Violation { invariant: "subscriptions", story });
                    }
                    self.subscribers[index].seen.extend(events);
                }
                Ok(())
            }
        }
    }

    /// Begins to read on, maybe at another node.
    fn look(&mut self, index: usize) -> Result<(), Violation> {
        if self.schedule.one_in(MOVES) {
            self.subscribers[index].node = self.schedule.index(self.nodes.len());
            self.subscribers[index].session = None;
            self.coverage.hit("subscriber moved");
        }
        let node = self.subscribers[index].node;
        let incarnation = self.nodes[node].incarnation;
        let Some(end) = self.nodes[node].committed() else { return Ok(()) };
        let subscriber = &mut self.subscribers[index];
        if let Some((known, before)) = subscriber.session.replace((incarnation, end))
            && known == incarnation
            && end < before
        {
            let story = format!("what node {node} has committed went from {before} to {end}");
            return Err(Violation { invariant: "prefix reads", story });
        }
        let after = subscriber.seen.last().map(|event| event.position);
        if after.is_none_or(|after| after < end) {
            let reading = self.nodes[node].read_all(self.now, after);
            self.subscribers[index].reading = reading.map(|it| (incarnation, end, it));
        }
        Ok(())
    }

    /// Compares what each has seen with the log.
    pub(super) fn judge_subscribers(&self, log: &[Logged]) -> Result<(), Violation> {
        for subscriber in &self.subscribers {
            judge(&subscriber.seen, log)?;
        }
        Ok(())
    }
}

/// Whether a subscriber has seen the log, up to where it got.
fn judge(seen: &[Logged], log: &[Logged]) -> Result<(), Violation> {
    let wrong = seen.iter().zip(log).find(|(seen, logged)| seen != logged);
    let story = match wrong {
        Some((seen, logged)) => {
            format!("a subscriber saw {} where the log has {}", seen.position, logged.position)
        }
        None if seen.len() > log.len() => {
            format!("a subscriber saw {} events of {}", seen.len(), log.len())
        }
        None => return Ok(()),
    };
    Err(Violation { invariant: "subscriptions", story })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariants::tests::logged;

    #[test]
    fn gaps_repetitions_and_phantoms_are_found() {
        let log = [logged(0, "a", 0), logged(1, "b", 0), logged(2, "a", 1)];
        let [first, second, third] = log.clone();
        for good in [&log[..0], &log[..2], &log[..]] {
            assert_eq!(judge(good, &log), Ok(()));
        }
        let mut changed = third.clone();
        changed.content[33] ^= 1;
        let bad = [
            vec![first.clone(), third.clone()],
            vec![first.clone(), first.clone(), second.clone()],
            vec![second.clone(), first.clone()],
            vec![first.clone(), second.clone(), changed],
            vec![first, second, third, logged(3, "a", 2)],
        ];
        for seen in bad {
            assert!(judge(&seen, &log).is_err(), "{seen:?}");
        }
    }
}
