//! Futures of one engine, polled only when the disk has woken them.
//!
//! They are polled in the order in which they were woken, so that a run on a simulated disk is the
//! same each time.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

/// Some futures under way, all with the same kind of result.
pub(super) struct Tasks<T> {
    slots: Vec<Option<Task<T>>>,
    free: Vec<usize>,
    woken: Arc<Mutex<Vec<usize>>>,
}

struct Task<T> {
    future: Pin<Box<dyn Future<Output = T>>>,
    flag: Arc<Flag>,
    waker: Waker,
}

/// A task's place in the line of those to be polled.
struct Flag {
    slot: usize,
    queued: AtomicBool,
    woken: Arc<Mutex<Vec<usize>>>,
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.queued.swap(true, Ordering::Relaxed) {
            self.woken.lock().unwrap_or_else(PoisonError::into_inner).push(self.slot);
        }
    }
}

impl<T> Tasks<T> {
    pub(super) fn new() -> Self {
        Self { slots: Vec::new(), free: Vec::new(), woken: Arc::default() }
    }

    /// Takes a future in and polls it once; its result where it has nothing to wait for.
    pub(super) fn start(&mut self, future: impl Future<Output = T> + 'static) -> Option<T> {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        });
        let woken = Arc::clone(&self.woken);
        let flag = Arc::new(Flag { slot, queued: AtomicBool::new(false), woken });
        let waker = Waker::from(Arc::clone(&flag));
        self.slots[slot] = Some(Task { future: Box::pin(future), flag, waker });
        self.poll_slot(slot)
    }

    /// Whether some were woken and not polled since.
    pub(super) fn any_woken(&self) -> bool {
        !self.woken.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Polls those that were woken; adds what they gave to `finished`.
    pub(super) fn poll(&mut self, finished: &mut Vec<T>) {
        loop {
            let woken =
                std::mem::take(&mut *self.woken.lock().unwrap_or_else(PoisonError::into_inner));
            if woken.is_empty() {
                return;
            }
            for slot in woken {
                finished.extend(self.poll_slot(slot));
            }
        }
    }

    /// A slot that is empty by now was woken after its end; a task that got the slot since then is
    /// polled once too often, which does no harm.
    fn poll_slot(&mut self, slot: usize) -> Option<T> {
        let task = self.slots[slot].as_mut()?;
        task.flag.queued.store(false, Ordering::Relaxed);
        match task.future.as_mut().poll(&mut Context::from_waker(&task.waker)) {
            Poll::Pending => None,
            Poll::Ready(result) => {
                self.slots[slot] = None;
                self.free.push(slot);
                Some(result)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::rc::Rc;

    use super::*;

    #[test]
    fn only_woken_tasks_are_polled_and_in_the_order_of_waking() {
        let mut tasks = Tasks::new();
        let wakers: Rc<RefCell<Vec<Waker>>> = Rc::default();
        let polls = Rc::new(Cell::new(0));
        for name in 0..3 {
            let (wakers, polls) = (Rc::clone(&wakers), Rc::clone(&polls));
            let mut begun = false;
            let started = tasks.start(std::future::poll_fn(move |context| {
                polls.set(polls.get() + 1);
                if std::mem::replace(&mut begun, true) {
                    return Poll::Ready(name);
                }
                wakers.borrow_mut().push(context.waker().clone());
                Poll::Pending
            }));
            assert_eq!(started, None);
        }
        let mut finished = Vec::new();
        tasks.poll(&mut finished);
        assert_eq!((finished.len(), polls.get()), (0, 3));
        for index in [2, 0, 2] {
            wakers.borrow()[index].wake_by_ref();
        }
        tasks.poll(&mut finished);
        assert_eq!((finished, polls.get()), (vec![2, 0], 5));
        assert_eq!(tasks.start(std::future::ready(9)), Some(9));
    }
}
