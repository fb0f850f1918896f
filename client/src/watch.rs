//! What a client does as time passes: deadlines and pauses of calls, and a look at nodes that are
//! silent.
//!
//! QUIC takes seconds to find a connection lost. A group elects another leader much sooner, and so
//! the others are asked when the node in use owes an answer; but silence alone moves nothing: only
//! word of a newer leader does, or the end of the connection. Subscriptions may be on any node, and
//! leave one that the group goes on without.

use quorate_net::clock::{Instant, sleep, sleep_until};
use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::links::Link;
use crate::session::{DONE, Session, State};

/// While nobody leads, nodes are asked again after this long, and then after twice as long …
pub(crate) const PROBE_PAUSE_MIN: Duration = Duration::from_millis(10);
/// … up to this.
const PROBE_PAUSE_MAX: Duration = Duration::from_millis(100);
/// How often the group is looked at while something is under way.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// A node in use that owes an answer and says nothing for this long is suspect.
const QUIET: Duration = Duration::from_millis(300);
/// A node that is not in use and does not answer a question for this long is given up.
const SILENT: Duration = Duration::from_millis(500);
/// A node that has known of no leader for this long, while another leads, is cut off from the group:
/// longer than nodes take to hear of the next leader. It is alive, but what it shows is old.
const ALONE: Duration = Duration::from_secs(1);

/// Ends calls at their deadlines, and sends those again whose pause is over.
pub(crate) async fn watch_time(session: Arc<Session>) {
    let mut woken = Vec::new();
    let mut timer = pin!(sleep_until(Instant::now()));
    poll_fn(|cx| {
        loop {
            let mut state = session.lock();
            if state.closed {
                return Poll::Ready(());
            }
            state.timer = Some(cx.waker().clone());
            let Some(next) = state.calls.next_time() else { return Poll::Pending };
            drop(state);
            timer.as_mut().reset(next);
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            let mut state = session.lock();
            state.pass_time(Instant::now());
            state.calls.take_woken(&mut woken);
            woken.append(&mut state.woken);
            drop(state);
            woken.drain(..).for_each(Waker::wake);
        }
    })
    .await;
}

/// Looks at the nodes of a group while something is under way or nobody leads.
pub(crate) async fn watch_group(session: Arc<Session>) {
    while poll_fn(|cx| session.poll_busy(cx)).await {
        sleep(session.look_around()).await;
    }
}

impl Session {
    fn look_around(&self) -> Duration {
        let mut state = self.lock();
        let pause = state.look_around(Instant::now());
        self.release(state);
        pause
    }

    /// Ready once there is something to watch over; false once the client is closed.
    fn poll_busy(&self, cx: &Context<'_>) -> Poll<bool> {
        let mut state = self.lock();
        if state.closed {
            return Poll::Ready(false);
        }
        let watched = state.links.held || state.links.is_group();
        if watched && state.is_busy() {
            return Poll::Ready(true);
        }
        state.owing_since = None;
        // A call to a single node that leads does not wake the watcher.
        if watched {
            state.watcher = Some(cx.waker().clone());
        } else {
            state.idle_watcher = Some(cx.waker().clone());
        }
        Poll::Pending
    }
}

impl State {
    fn pass_time(&mut self, now: Instant) {
        let links = &self.links;
        let due = self.calls.pass_time(now, || links.told(now));
        let led = self.links.is_led();
        for call in due {
            if self.calls.may_send(call, led) {
                self.send(call);
            }
        }
        if let Some(link) = self.links.in_use() {
            self.woken.extend(link.writer.take());
        }
    }

    /// Asks all nodes who leads, but not too often: one may believe that it leads and yet send
    /// every call away.
    pub(crate) fn probe_if_due(&mut self, now: Instant) {
        if self.next_probe <= now {
            self.links.probe_all(now, &mut self.woken);
            self.next_probe = now + self.probe_pause;
            self.probe_pause = (self.probe_pause * 2).min(PROBE_PAUSE_MAX);
        }
    }

    fn is_busy(&self) -> bool {
        self.is_owed()
            || self.calls.any_waiting()
            || !self.readers.is_empty()
            || self
                .links
                .all
                .iter()
                .any(|link| link.asked.is_some() || link.strands_since().is_some())
    }

    /// Whether a node owes an answer.
    fn is_owed(&self) -> bool {
        self.calls.any_in_flight() || self.reads > 0
    }

    /// Asks who leads where that is in doubt, and gives silent nodes up; gives when to look again.
    fn look_around(&mut self, now: Instant) -> Duration {
        if self.links.held {
            self.probe_if_due(now);
        } else if !self.is_owed() {
            self.owing_since = None;
        } else {
            let since = *self.owing_since.get_or_insert(now);
            let quiet = |link: &mut Link| link.heard.max(since) + QUIET <= now;
            if self.links.in_use().is_some_and(quiet) {
                self.links.probe_all(now, &mut self.woken);
            }
        }
        let in_use = self.links.primary.filter(|_| !self.links.held);
        for (place, link) in self.links.all.iter().enumerate() {
            let Some(connection) = link.connection.as_ref().filter(|_| in_use != Some(place))
            else {
                continue;
            };
            // The link's task sees that, and dials again; subscriptions go on at the leader.
            if link.asked.is_some_and(|asked| asked + SILENT <= now) {
                connection.close(DONE, b"silent");
            } else if in_use.is_some() && link.strands_since().is_some_and(|at| at + ALONE <= now) {
                connection.close(DONE, b"cut off from the leader");
            }
        }
        if self.links.held { PROBE_PAUSE_MIN } else { LOOK_EVERY }
    }
}
