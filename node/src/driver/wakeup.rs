//! How tasks beside the driver tell it that there is something to do.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

/// Wakes the driver's task; calls before it gets its turn are one.
#[derive(Debug, Default)]
pub(super) struct Wakeup {
    wanted: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Wakeup {
    /// The driver shall have a turn.
    pub(super) fn want(&self) {
        if !self.wanted.replace(true)
            && let Some(waker) = &*self.waker.borrow()
        {
            waker.wake_by_ref();
        }
    }

    /// The driver has its turn; it is to be woken by this context for the next.
    pub(super) fn begin(&self, context: &Context<'_>) {
        self.wanted.set(false);
        let mut waker = self.waker.borrow_mut();
        match &mut *waker {
            Some(known) => known.clone_from(context.waker()),
            None => *waker = Some(context.waker().clone()),
        }
    }
}

/// A future that uses the disk, polled by another task than the driver: whenever it has to wait,
/// the driver gets a turn and starts what the future submitted.
pub(super) struct Driven<'a, F> {
    pub(super) future: Pin<Box<F>>,
    pub(super) wakeup: &'a Wakeup,
}

impl<F: Future> Future for Driven<'_, F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let polled = self.future.as_mut().poll(context);
        if polled.is_pending() {
            self.wakeup.want();
        }
        polled
    }
}
