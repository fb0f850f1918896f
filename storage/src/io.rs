//! A disk as futures: each operation is awaited where its result is used.
//!
//! No runtime is needed. The loop that owns the disk calls [`Io::turn`] when completions may have
//! come; code that may block, such as recovery, uses [`Io::block_on`].

use std::cell::RefCell;
use std::collections::HashMap;
use std::future::Future;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use crate::disk::{Completion, Disk, DiskError, Done, Op, OpId};

/// A shared handle to one disk, for one thread.
#[derive(Clone)]
pub struct Io(Rc<RefCell<Inner>>);

struct Inner {
    disk: Box<dyn Disk>,
    slots: HashMap<OpId, Slot>,
    completions: Vec<Completion>,
}

enum Slot {
    Waiting(Option<Waker>),
    Complete(Result<Done, DiskError>),
    /// Nobody waits any more; the completion is thrown away.
    Abandoned,
}

impl Io {
    /// Takes a disk in.
    #[must_use]
    pub fn new(disk: Box<dyn Disk>) -> Self {
        Self(Rc::new(RefCell::new(Inner { disk, slots: HashMap::new(), completions: Vec::new() })))
    }

    /// Submits an operation. Dropping the future does not cancel it.
    pub fn run(&self, op: Op) -> Running {
        let mut inner = self.0.borrow_mut();
        let id = inner.disk.submit(op);
        inner.slots.insert(id, Slot::Waiting(None));
        Running { io: self.clone(), id }
    }

    /// Starts what was submitted, takes in what has completed, and wakes who waits for it.
    pub fn turn(&self) {
        let wakers = {
            let mut inner = self.0.borrow_mut();
            inner.disk.flush();
            inner.settle()
        };
        for waker in wakers {
            waker.wake();
        }
    }

    /// Drives `future` to its end, blocking this thread whenever it waits for the disk.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        let mut future = pin!(future);
        let mut context = Context::from_waker(Waker::noop());
        loop {
            if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
                return output;
            }
            self.0.borrow_mut().disk.wait();
            self.turn();
        }
    }

    /// Lends the disk itself.
    pub fn with_disk<T>(&self, look: impl FnOnce(&mut dyn Disk) -> T) -> T {
        look(self.0.borrow_mut().disk.as_mut())
    }
}

impl Inner {
    /// Files completions in their slots; returns who is to be woken, once nothing is borrowed.
    fn settle(&mut self) -> Vec<Waker> {
        self.disk.reap(&mut self.completions);
        let mut wakers = Vec::new();
        for completion in self.completions.drain(..) {
            let slot = self.slots.get_mut(&completion.op).expect("each operation completes once");
            match std::mem::replace(slot, Slot::Complete(completion.result)) {
                Slot::Waiting(waker) => wakers.extend(waker),
                Slot::Abandoned => drop(self.slots.remove(&completion.op)),
                Slot::Complete(_) => panic!("an operation completed twice"),
            }
        }
        wakers
    }
}

/// An operation under way.
#[must_use = "an operation may fail"]
pub struct Running {
    io: Io,
    id: OpId,
}

impl Future for Running {
    type Output = Result<Done, DiskError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut inner = self.io.0.borrow_mut();
        let slot = inner.slots.get_mut(&self.id).expect("polled again after it was ready");
        if let Slot::Waiting(waker) = slot {
            *waker = Some(context.waker().clone());
            return Poll::Pending;
        }
        match inner.slots.remove(&self.id) {
            Some(Slot::Complete(result)) => Poll::Ready(result),
            _ => unreachable!("a slot that is polled is not abandoned"),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut inner = self.io.0.borrow_mut();
        match inner.slots.get_mut(&self.id) {
            Some(slot @ Slot::Waiting(_)) => *slot = Slot::Abandoned,
            Some(Slot::Complete(_)) => drop(inner.slots.remove(&self.id)),
            Some(Slot::Abandoned) | None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buffer::AlignedBuffer;
    use crate::disk::simulated::Medium;
    use crate::disk::{Access, Durability, FileId};

    fn create(io: &Io, name: &str) -> FileId {
        match io.block_on(io.run(Op::Create { name: name.into(), bytes: 4096 })) {
            Ok(Done::Opened { file, .. }) => file,
            other => panic!("{other:?}"),
        }
    }

    fn write(io: &Io, file: FileId) -> Running {
        let buffer = AlignedBuffer::zeroed(4096);
        io.run(Op::Write { file, offset: 0, buffer, durability: Durability::Durable })
    }

    #[test]
    fn each_operation_is_awaited_where_its_result_is_used() {
        let medium = Medium::new(1);
        let io = Io::new(Box::new(medium.disk()));
        let result = io.block_on(async {
            let file = match io.run(Op::Create { name: "a".into(), bytes: 4096 }).await? {
                Done::Opened { file, .. } => file,
                other => panic!("{other:?}"),
            };
            write(&io, file).await?;
            io.run(Op::Open { name: "b".into(), access: Access::Direct }).await
        });
        assert_eq!(result.unwrap_err().kind, crate::disk::DiskErrorKind::NotFound);
    }

    #[test]
    fn a_turn_wakes_whoever_waits_for_what_has_completed() {
        struct Flag(std::sync::atomic::AtomicBool);
        impl std::task::Wake for Flag {
            fn wake(self: std::sync::Arc<Self>) {
                self.0.store(true, std::sync::atomic::Ordering::Relaxed);
            }
        }
        let medium = Medium::new(1);
        let io = Io::new(Box::new(medium.disk()));
        let file = create(&io, "a");
        medium.hold();
        let mut operations = [Box::pin(write(&io, file)), Box::pin(write(&io, file))];
        let flags = [(); 2].map(|()| std::sync::Arc::new(Flag(false.into())));
        for (operation, flag) in operations.iter_mut().zip(&flags) {
            let waker = flag.clone().into();
            let polled = operation.as_mut().poll(&mut Context::from_waker(&waker));
            assert!(polled.is_pending());
        }
        io.turn();
        medium.complete(medium.in_flight()[1]);
        io.turn();
        let woken = flags.map(|flag| flag.0.load(std::sync::atomic::Ordering::Relaxed));
        assert_eq!(woken, [false, true]);
    }

    #[test]
    fn an_operation_that_nobody_awaits_is_done_all_the_same() {
        let medium = Medium::new(1);
        let io = Io::new(Box::new(medium.disk()));
        let file = create(&io, "a");
        let before = medium.changes_completed();
        drop(write(&io, file));
        let completed = write(&io, file);
        io.turn();
        drop(completed);
        assert_eq!(medium.changes_completed(), before + 2);
        assert!(io.0.borrow().slots.is_empty(), "nothing is kept of them");
    }
}
