//! Who waits for the engine's answers.

use std::collections::VecDeque;
use std::rc::Rc;

use quorate_core::id::{Position, RequestId};
use quorate_core::request::Rejection;
use quorate_core::time::Instant;
use quorate_net::wire::CallId;
use tokio::sync::oneshot;

use crate::gateway::session::Outbox;

/// One waiting call.
pub(super) enum Call {
    /// An append, delete or tombstone.
    Change {
        /// Where the answer goes.
        outbox: Rc<Outbox>,
        /// What the client calls it.
        call: CallId,
        /// Event bytes that it holds.
        bytes: usize,
        /// Its events.
        events: u32,
        /// When it came.
        arrived: Instant,
    },
    /// A wish that another node lead.
    Transfer {
        /// Where the answer goes.
        outbox: Rc<Outbox>,
        /// What the client calls it.
        call: CallId,
        /// When it came.
        begun: Instant,
    },
    /// The node stops, and wants another to lead first.
    HandOver(oneshot::Sender<()>),
    /// A read that waits for the position up to which it may see.
    Read(oneshot::Sender<Result<Position, Rejection>>),
}

/// All of them. Requests are numbered one after the other, and most are answered in that order, so
/// a window over the numbers is enough.
#[derive(Default)]
pub(super) struct Calls {
    /// Number of the window's first.
    first: u64,
    window: VecDeque<Option<Call>>,
}

impl Calls {
    /// The number that the next call will have.
    pub(super) fn next(&self) -> RequestId {
        RequestId::from_wire(self.first + self.window.len() as u64)
    }

    pub(super) fn insert(&mut self, call: Call) -> RequestId {
        let request = self.next();
        self.window.push_back(Some(call));
        request
    }

    /// Takes out the call that this is the answer to.
    ///
    /// # Panics
    ///
    /// Where it was answered before.
    pub(super) fn take(&mut self, request: RequestId) -> Call {
        let offset = usize::try_from(request.get() - self.first).expect("the window is in memory");
        let call = self.window[offset].take().expect("each request is answered once");
        while matches!(self.window.front(), Some(None)) {
            self.window.pop_front();
            self.first += 1;
        }
        call
    }
}
