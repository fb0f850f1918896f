//! Subscriptions: a read that waits at the end instead of ending there.
//!
//! There is no queue between the log and a subscriber: each reads at its own pace, held back by
//! QUIC's flow control, so a slow one costs no more than a fast one and misses nothing. *Caught
//! up* and *fell behind* only tell it where it stands.

use quinn::{SendStream, WriteError};
use quorate_core::id::Position;
use quorate_core::request::Consistency;
use quorate_net::wire::{
    Direction, ErrorCode, Filter, ReadFrom, Reply, Subscribe, SubscribeFrom, Target,
};
use quorate_storage::read::{Progress as Reached, ReadError};

use super::read::{Cursor, Query, end_with, send_events};
use super::{code_of, fail, reply};
use crate::admin::Progress;
use crate::driver::Driver;
use crate::watch;

/// A live subscriber that is so many log bytes behind has fallen behind.
const BEHIND_BYTES: u64 = 4 << 20;

/// Serves a subscription on its stream.
pub(super) async fn serve(driver: &Driver, send: &mut SendStream, subscribe: Subscribe) {
    driver.shared().metrics.subscriptions.add(1);
    let target = match &subscribe.target {
        Target::All => "$all".to_owned(),
        Target::Stream(stream) => stream.clone(),
    };
    let progress = driver.shared().subscriptions.begin(target);
    // A client that goes away, or has enough, is no error.
    let _gone = follow(driver, send, subscribe, progress).await;
}

async fn follow(
    driver: &Driver,
    send: &mut SendStream,
    subscribe: Subscribe,
    progress: Progress,
) -> Result<(), WriteError> {
    let end = match driver.read_bound(Consistency::Committed).await {
        Ok(end) => end,
        Err(rejection) => {
            fail(send, code_of(&rejection), &rejection.to_string()).await;
            return Ok(());
        }
    };
    let after = match begin(driver, &subscribe, end).await {
        Ok(after) => after,
        Err(error) => return end_with(driver, send, error).await,
    };
    let query = Query {
        target: subscribe.target.clone(),
        from: after.map_or(ReadFrom::Start, ReadFrom::After),
        direction: Direction::Forwards,
        count: None,
        filter: subscribe.filter.clone(),
        resolve_links: subscribe.resolve_links,
    };
    let cursor = match Cursor::open(driver, query) {
        Ok(cursor) => cursor,
        Err(message) => {
            fail(send, ErrorCode::InvalidRequest, &message).await;
            return Ok(());
        }
    };
    reply(send, &Reply::Confirmed { after }).await?;
    let mut follower = Follower {
        driver,
        send,
        cursor,
        progress,
        checkpoint_events: subscribe.checkpoint_events.max(1).into(),
        tells_checkpoints: subscribe.filter != Filter::None,
        looked_at: 0,
        next: None,
        live: false,
        seen: Position::START,
        ends: driver.end(),
    };
    follower.run().await
}

/// The number behind which the subscription begins; `None` for the start.
async fn begin(
    driver: &Driver,
    subscribe: &Subscribe,
    end: Position,
) -> Result<Option<u64>, ReadError> {
    match (subscribe.from, &subscribe.target) {
        (SubscribeFrom::Start, _) => Ok(None),
        (SubscribeFrom::After(after), _) => Ok(Some(after)),
        (SubscribeFrom::End, Target::All) => Ok(end.get().checked_sub(1)),
        (SubscribeFrom::End, Target::Stream(stream)) => {
            let head = driver.drive(driver.reader().head(stream)).await?;
            Ok(head.last.map(quorate_core::id::Revision::get))
        }
    }
}

struct Follower<'a> {
    driver: &'a Driver,
    send: &'a mut SendStream,
    cursor: Cursor,
    progress: Progress,
    checkpoint_events: u64,
    /// Without a filter each event is its own checkpoint.
    tells_checkpoints: bool,
    /// Events looked at since the last checkpoint.
    looked_at: u64,
    /// All before this was looked at.
    next: Option<u64>,
    live: bool,
    /// All that the subscription wants below this was sent.
    seen: Position,
    ends: watch::Receiver<Position>,
}

impl Follower<'_> {
    async fn run(&mut self) -> Result<(), WriteError> {
        loop {
            if self.driver.is_stopping() {
                fail(self.send, ErrorCode::Stopping, "the node is stopping").await;
                return Ok(());
            }
            let end = *self.ends.borrow_and_update();
            let reached = match self.cursor.next(self.driver, end).await {
                Ok(batch) => {
                    self.looked_at += batch.looked_at;
                    self.next = batch.next;
                    self.progress.sent(batch.event_count);
                    let reached = batch.progress;
                    send_events(self.driver, self.send, batch).await?;
                    reached
                }
                // It may be written yet.
                Err(ReadError::NotFound) => Reached::AtEnd,
                Err(error) => return end_with(self.driver, self.send, error).await,
            };
            self.note(end, reached).await?;
            if reached == Reached::AtEnd && !self.wait().await {
                return Ok(());
            }
        }
    }

    /// Tells the subscriber where it stands, where that has changed.
    async fn note(&mut self, end: Position, reached: Reached) -> Result<(), WriteError> {
        let at_end = reached == Reached::AtEnd;
        if at_end {
            self.seen = end;
        } else if let (Cursor::All(_), Some(next)) = (&self.cursor, self.next) {
            self.seen = Position::from_wire(next);
        }
        let lag = self.ends.borrow().get().saturating_sub(self.seen.get());
        self.progress.seen(self.seen.get());
        let due = self.looked_at >= self.checkpoint_events || (at_end && self.looked_at > 0);
        if self.tells_checkpoints
            && due
            && let Some(after) = self.next.and_then(|next| next.checked_sub(1))
        {
            self.looked_at = 0;
            reply(self.send, &Reply::Checkpoint { after }).await?;
        }
        let behind = lag > BEHIND_BYTES;
        if self.live && behind {
            self.live = false;
            self.driver.shared().metrics.fell_behind.add(1);
            reply(self.send, &Reply::FellBehind).await?;
        } else if !self.live && at_end && !behind {
            self.live = true;
            reply(self.send, &Reply::CaughtUp).await?;
        }
        Ok(())
    }

    /// Waits for more to be committed; false where the subscriber is gone.
    async fn wait(&mut self) -> bool {
        tokio::select! {
            biased;
            changed = self.ends.changed() => changed.is_ok(),
            () = self.driver.stopping() => true,
            _ = self.send.stopped() => false,
        }
    }
}
