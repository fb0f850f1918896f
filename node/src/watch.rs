//! A value that tasks of one thread look at and wait for.
//!
//! It is what tokio's channel of that name is, but wakes those that wait in the order in which they
//! came: tokio's draws lots, and then two runs of one simulated world would differ.

use std::cell::{Cell, Ref, RefCell};
use std::fmt;
use std::rc::Rc;

use tokio::sync::Notify;

struct Shared<T> {
    value: RefCell<T>,
    /// Grows with each change.
    version: Cell<u64>,
    /// Nobody can change it any more.
    closed: Cell<bool>,
    changed: Notify,
}

/// The side that changes the value; there is one.
pub(crate) struct Sender<T>(Rc<Shared<T>>);

/// A side that sees it.
pub(crate) struct Receiver<T> {
    shared: Rc<Shared<T>>,
    /// The version that was looked at last.
    seen: u64,
}

/// The other side is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Closed;

impl<T> Sender<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(Rc::new(Shared {
            value: RefCell::new(value),
            version: Cell::new(0),
            closed: Cell::new(false),
            changed: Notify::new(),
        }))
    }

    /// Sees all changes from now on.
    pub(crate) fn subscribe(&self) -> Receiver<T> {
        Receiver { shared: Rc::clone(&self.0), seen: self.0.version.get() }
    }

    pub(crate) fn borrow(&self) -> Ref<'_, T> {
        self.0.value.borrow()
    }

    pub(crate) fn send_replace(&self, value: T) -> T {
        let old = self.0.value.replace(value);
        self.tell();
        old
    }

    pub(crate) fn send_modify(&self, modify: impl FnOnce(&mut T)) {
        modify(&mut self.0.value.borrow_mut());
        self.tell();
    }

    /// Tells of it only where `modify` says that there is something to tell.
    pub(crate) fn send_if_modified(&self, modify: impl FnOnce(&mut T) -> bool) {
        let modified = modify(&mut self.0.value.borrow_mut());
        if modified {
            self.tell();
        }
    }

    fn tell(&self) {
        self.0.version.set(self.0.version.get() + 1);
        self.0.changed.notify_waiters();
    }
}

impl<T: Default> Default for Sender<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.0.closed.set(true);
        self.0.changed.notify_waiters();
    }
}

impl<T: fmt::Debug> fmt::Debug for Sender<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_tuple("Sender").field(&self.0.value).finish()
    }
}

impl<T> Receiver<T> {
    pub(crate) fn borrow(&self) -> Ref<'_, T> {
        self.shared.value.borrow()
    }

    /// Looks at it; [`Receiver::changed`] waits for the next change.
    pub(crate) fn borrow_and_update(&mut self) -> Ref<'_, T> {
        self.seen = self.shared.version.get();
        self.shared.value.borrow()
    }

    /// What it is now counts as looked at.
    pub(crate) fn mark_unchanged(&mut self) {
        self.seen = self.shared.version.get();
    }

    /// Waits until it was changed since it was last looked at.
    pub(crate) async fn changed(&mut self) -> Result<(), Closed> {
        while self.seen == self.shared.version.get() {
            if self.shared.closed.get() {
                return Err(Closed);
            }
            self.shared.changed.notified().await;
        }
        self.mark_unchanged();
        Ok(())
    }

    /// Waits until it is such.
    pub(crate) async fn wait_for(
        &mut self,
        mut is_such: impl FnMut(&T) -> bool,
    ) -> Result<Ref<'_, T>, Closed> {
        while !is_such(&self.shared.value.borrow()) {
            self.mark_unchanged();
            self.changed().await?;
        }
        Ok(self.borrow_and_update())
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::sync::{Arc, Mutex};
    use std::task::{Context, Wake};

    use super::*;

    /// Notes who was woken.
    struct Woken(u32, Arc<Mutex<Vec<u32>>>);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.1.lock().unwrap().push(self.0);
        }
    }

    #[test]
    fn those_that_wait_are_woken_in_the_order_in_which_they_came() {
        let sender = Sender::new(0);
        let mut receivers: Vec<_> = (0..20).map(|_| sender.subscribe()).collect();
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut waiting: Vec<_> = receivers.iter_mut().map(|it| Box::pin(it.changed())).collect();
        for (number, waiting) in (0..).zip(&mut waiting) {
            let waker = Arc::new(Woken(number, Arc::clone(&order))).into();
            assert!(waiting.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        }
        sender.send_replace(1);
        assert_eq!(*order.lock().unwrap(), (0..20).collect::<Vec<u32>>());
    }

    #[test]
    fn a_change_is_told_once_and_the_end_after_it() {
        static WOKEN: AtomicU32 = AtomicU32::new(0);
        struct Count;
        impl Wake for Count {
            fn wake(self: Arc<Self>) {
                WOKEN.fetch_add(1, Ordering::Relaxed);
            }
        }
        let waker = Arc::new(Count).into();
        let mut context = Context::from_waker(&waker);
        let sender = Sender::new(0);
        let mut receiver = sender.subscribe();
        sender.send_if_modified(|_| false);
        assert!(pin!(receiver.changed()).poll(&mut context).is_pending());
        sender.send_modify(|value| *value += 1);
        assert!(pin!(receiver.changed()).poll(&mut context).is_ready());
        assert_eq!(*receiver.borrow_and_update(), 1);
        let mut other = sender.subscribe();
        {
            let mut wait = pin!(other.wait_for(|value| *value > 1));
            assert!(wait.as_mut().poll(&mut context).is_pending());
            sender.send_replace(2);
            assert!(WOKEN.load(Ordering::Relaxed) >= 1);
            assert!(wait.poll(&mut context).is_ready());
        }
        drop(sender);
        assert!(pin!(receiver.changed()).poll(&mut context).is_ready(), "the change before it");
        let std::task::Poll::Ready(end) = pin!(receiver.changed()).poll(&mut context) else {
            panic!("nothing will come")
        };
        assert_eq!(end, Err(Closed));
    }
}
