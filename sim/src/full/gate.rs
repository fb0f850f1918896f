//! A machine that may stand still, as a virtual one does while its host is busy elsewhere.
//!
//! All that a node does happens in tasks of one set, QUIC's among them, and the set is polled through
//! a gate. While that is closed nothing on the machine runs. Its clocks go on, timers that fall due
//! fire late, what its disk was told to do completes unseen, and datagrams wait in its socket, which
//! loses those that it has no room for. Then all of that is there at once.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::{Poll, Waker};

use tokio::task::LocalSet;

/// Stands in front of all tasks of a machine, whichever process they are of.
#[derive(Default)]
pub(super) struct Gate {
    /// The faults that keep it closed.
    closed_by: RefCell<BTreeSet<usize>>,
    /// Wakes the process that found it closed.
    waiting: Cell<Option<Waker>>,
}

impl Gate {
    /// From now on nothing runs.
    ///
    /// - `fault`: whose doing that is; several can last at once
    pub(super) fn close(&self, fault: usize) {
        self.closed_by.borrow_mut().insert(fault);
    }

    /// That fault has ended; with the last one all goes on.
    pub(super) fn open(&self, fault: usize) {
        self.closed_by.borrow_mut().remove(&fault);
        if self.is_closed() {
            return;
        }
        if let Some(waiting) = self.waiting.take() {
            waiting.wake();
        }
    }

    /// Whether the machine stands still.
    pub(super) fn is_closed(&self) -> bool {
        !self.closed_by.borrow().is_empty()
    }

    /// Runs a process, with all that it spawns on this thread's set of tasks, while the gate is open.
    pub(super) async fn pass<T>(&self, process: impl Future<Output = T>) -> T {
        let tasks = LocalSet::new();
        let mut running = pin!(tasks.run_until(process));
        poll_fn(|context| {
            if self.is_closed() {
                self.waiting.set(Some(context.waker().clone()));
                return Poll::Pending;
            }
            running.as_mut().poll(context)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;
    use std::time::Duration;

    use tokio::time::{Instant, sleep};

    use super::*;

    const MILLI: Duration = Duration::from_millis(1);

    /// What a process with a task that counts milliseconds has counted at some moments.
    async fn counts_at<const TIMES: usize>(gate: &Rc<Gate>, steps: [&dyn Fn(); TIMES]) -> Vec<u32> {
        let counted = Rc::<Cell<u32>>::default();
        let (within, inside) = (Rc::clone(gate), Rc::clone(&counted));
        let process = tokio::task::spawn_local(async move {
            let process = async move {
                let counting = tokio::task::spawn_local(async move {
                    loop {
                        sleep(MILLI).await;
                        inside.set(inside.get() + 1);
                    }
                });
                counting.await.expect("it does not end");
            };
            within.pass(process).await;
        });
        let mut counts = Vec::new();
        for step in steps {
            step();
            let until = Instant::now() + 10 * MILLI + MILLI / 2;
            tokio::time::sleep_until(until).await;
            counts.push(counted.get());
        }
        process.abort();
        counts
    }

    #[track_caller]
    fn check<const TIMES: usize>(gate: &Rc<Gate>, steps: [&dyn Fn(); TIMES], expected: &[u32]) {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_time().start_paused(true).build().unwrap();
        let counts = LocalSet::new().block_on(&runtime, counts_at(gate, steps));
        assert_eq!(counts, expected);
    }

    #[test]
    fn no_task_of_a_machine_runs_while_it_stands_still() {
        let gate = Rc::<Gate>::default();
        // The one that fell due in the meantime comes late, and those behind it were never set.
        check(&gate, [&|| (), &|| gate.close(1), &|| gate.open(1)], &[10, 10, 21]);
    }

    #[test]
    fn it_stands_still_until_the_last_fault_has_ended() {
        let gate = Rc::<Gate>::default();
        let both = || {
            gate.close(1);
            gate.close(2);
        };
        check(&gate, [&both, &|| gate.open(1), &|| gate.open(2)], &[0, 0, 10]);
    }
}
