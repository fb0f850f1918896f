//! What is on its way to another node on one lane.
//!
//! The driver's turn fills it, and a task of its own empties it: so one lane that can't go on holds
//! up no other, and a turn costs one wake-up however many frames it sends. What a node that does
//! not read can cost is bounded: beyond that its link is given up.

use std::cell::{Cell, RefCell};

use bytes::Bytes;
use quinn::{SendStream, WriteError};
use quorate_core::limits::Limits;
use quorate_net::wire::peer::Lane;
use tokio::sync::Notify;

/// Votes and heartbeats are some hundred bytes.
const CONTROL_BYTES_MAX: usize = 1 << 20;
/// More than the core ever has under way to one follower: `follower_bytes_max`, and one entry of the
/// longest kind. It holds back by itself before a lane is full, or a follower that catches up could
/// never be served.
const ENTRIES_BYTES_MAX: usize = 96 << 20;
const _: () = assert!(
    Limits::PRODUCTION.follower_bytes_max as usize
        + Limits::PRODUCTION.entry_body_bytes_max() as usize
        <= ENTRIES_BYTES_MAX,
    "what the core may have under way fits on a lane"
);

/// The most that waits on a lane.
const fn bytes_max(lane: Lane) -> usize {
    match lane {
        Lane::Control => CONTROL_BYTES_MAX,
        Lane::Replication | Lane::Bulk => ENTRIES_BYTES_MAX,
    }
}

/// The other node does not take what it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

/// Frames on their way to one node on one lane.
pub(super) struct Outbox {
    chunks: RefCell<Vec<Bytes>>,
    /// Of the chunks, and of those that are being written.
    bytes: Cell<usize>,
    bytes_max: usize,
    filled: Notify,
}

impl Outbox {
    pub(super) fn new(lane: Lane) -> Self {
        Self {
            chunks: RefCell::default(),
            bytes: Cell::new(0),
            bytes_max: bytes_max(lane),
            filled: Notify::new(),
        }
    }

    /// Puts a frame behind the others. One that is longer than all that may wait is taken alone.
    pub(super) fn push(&self, head: Bytes, payload: Bytes) -> Result<(), Full> {
        let held = self.bytes.get();
        let bytes = held + head.len() + payload.len();
        if held > 0 && bytes > self.bytes_max {
            return Err(Full);
        }
        self.bytes.set(bytes);
        let mut chunks = self.chunks.borrow_mut();
        chunks.push(head);
        if !payload.is_empty() {
            chunks.push(payload);
        }
        self.filled.notify_one();
        Ok(())
    }

    /// Sends frames as they come, for as long as the stream stands.
    pub(super) async fn drain(&self, send: &mut SendStream) -> WriteError {
        loop {
            let mut chunks = self.chunks.take();
            if chunks.is_empty() {
                self.filled.notified().await;
                continue;
            }
            let mut rest = chunks.as_mut_slice();
            while !rest.is_empty() {
                match send.write_chunks(rest).await {
                    Ok(written) => {
                        self.bytes.set(self.bytes.get() - written.bytes);
                        rest = &mut rest[written.chunks..];
                    }
                    Err(error) => return error,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_bounded_but_one_frame_is_always_taken() {
        let outbox = Outbox::new(Lane::Control);
        let long = Bytes::from(vec![0; CONTROL_BYTES_MAX + 1]);
        assert_eq!(outbox.push(Bytes::from_static(b"head"), long), Ok(()));
        assert_eq!(outbox.push(Bytes::from_static(b"head"), Bytes::new()), Err(Full));
        assert_eq!(outbox.chunks.take().len(), 2);
    }
}
