//! Who follows what, and how far behind each is, so that a slow subscriber is seen.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// At most so many are told apart in metrics; the rest show in the totals alone.
pub const SHOWN_MAX: usize = 64;

/// The subscriptions of this node.
#[derive(Debug, Default)]
pub struct Subscriptions {
    next: AtomicU64,
    all: Arc<Mutex<BTreeMap<u64, Arc<Line>>>>,
}

/// What is known of one subscription.
#[derive(Debug)]
pub struct Line {
    /// The stream, or `$all`.
    pub target: String,
    events: AtomicU64,
    /// The position below which it has been sent all that it wants.
    seen: AtomicU64,
}

impl Line {
    /// Events sent.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.events.load(Ordering::Relaxed)
    }

    /// How many log bytes it is behind.
    ///
    /// - `end`: the position behind the last committed entry
    #[must_use]
    pub fn lag(&self, end: u64) -> u64 {
        end.saturating_sub(self.seen.load(Ordering::Relaxed))
    }
}

/// One subscription's own handle; dropping it takes it off the list.
#[derive(Debug)]
pub struct Progress {
    id: u64,
    line: Arc<Line>,
    all: Arc<Mutex<BTreeMap<u64, Arc<Line>>>>,
}

impl Subscriptions {
    /// Lists a new one.
    #[must_use]
    pub fn begin(&self, target: String) -> Progress {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let line = Arc::new(Line { target, events: AtomicU64::new(0), seen: AtomicU64::new(0) });
        let all = Arc::clone(&self.all);
        all.lock().unwrap_or_else(PoisonError::into_inner).insert(id, Arc::clone(&line));
        Progress { id, line, all }
    }

    /// All of them, oldest first, by number.
    #[must_use]
    pub fn snapshot(&self) -> Vec<(u64, Arc<Line>)> {
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().map(|(id, line)| (*id, Arc::clone(line))).collect()
    }
}

impl Progress {
    /// It was sent so many more events.
    pub fn sent(&self, events: u64) {
        self.line.events.fetch_add(events, Ordering::Relaxed);
    }

    /// It has been sent all that it wants below this position.
    pub fn seen(&self, position: u64) {
        self.line.seen.store(position, Ordering::Relaxed);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}
