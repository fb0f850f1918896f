//! What the record of a run is told of frames between nodes.

use quorate_core::message::Message;

use super::World;
use super::network::Delivery;

impl World {
    /// A frame leaves a node; gives its number in the record, zero where there is none.
    pub(super) fn tell_frame(&self, node: usize, to: usize, said: Option<&Message>) -> u64 {
        let Some(play) = &self.play else { return 0 };
        let kind = said.map_or("other", kind_of);
        let details = || said.map(words).unwrap_or_default();
        play.record.borrow_mut().send(self.now, (node, to), kind, None, details)
    }

    /// A frame has arrived.
    pub(super) fn tell_arrival(&self, delivery: &Delivery) {
        let Some(play) = &self.play else { return };
        let zone = |node: usize| play.scenario.nodes[node].zone;
        let mut record = play.record.borrow_mut();
        record.receive(self.now, delivery.to, delivery.message);
        record.travelled((zone(delivery.from), zone(delivery.to)), delivery.transit);
    }

    /// Frames that the network has lost since the last call.
    pub(super) fn tell_lost(&mut self) {
        let lost = self.network.take_lost();
        self.tell(|record, now| {
            for lost in lost {
                record.lose(now, lost.to, lost.message, lost.why);
            }
        });
    }
}

/// What kind of message it is, as a trace calls it.
#[must_use]
pub fn kind_of(message: &Message) -> &'static str {
    match message {
        Message::PreVote { .. } => "pre-vote-request",
        Message::PreVoteReply { .. } => "pre-vote",
        Message::Vote { .. } => "vote-request",
        Message::VoteReply { .. } => "vote",
        Message::Heartbeat { .. } => "heartbeat",
        Message::HeartbeatReply { .. } => "heartbeat-reply",
        Message::Append { .. } => "append",
        Message::Ack { .. } => "append-ack",
        Message::Resync { .. } => "resync",
        Message::Commit { .. } => "commit",
        Message::TimeoutNow { .. } => "timeout-now",
        Message::Stale { .. } => "stale",
        Message::Ping { .. } => "ping",
        Message::Pong { .. } => "pong",
    }
}

/// What a message says, for a person.
#[must_use]
pub fn words(message: &Message) -> String {
    match message {
        Message::PreVote { epoch, last } | Message::Vote { epoch, last, .. } => {
            format!("epoch {epoch}, log ends with entry {} of epoch {}", last.index, last.epoch)
        }
        Message::PreVoteReply { epoch, granted, promised } => {
            let answer = if *granted { "yes" } else { "no" };
            format!("{answer} to epoch {epoch}, promised epoch {promised}")
        }
        Message::VoteReply { epoch, granted } => {
            format!("{} to epoch {epoch}", if *granted { "yes" } else { "no" })
        }
        Message::Heartbeat { epoch, round, committed } => {
            format!("epoch {epoch}, round {round:?}, committed {committed}")
        }
        Message::HeartbeatReply { epoch, progress, .. } | Message::Ack { epoch, progress } => {
            format!(
                "epoch {epoch}, received {}, durable {}, committed {}",
                progress.received, progress.durable.index, progress.committed
            )
        }
        Message::Append { epoch, previous, last, committed, .. } => {
            let first = previous.index.get() + 1;
            format!("entries {first} to {last}, epoch {epoch}, committed {committed}")
        }
        Message::Resync { epoch, end, committed, .. } => {
            format!("epoch {epoch}, log ends with {}, committed {}", end.index, committed.index)
        }
        Message::Commit { epoch, committed } => format!("epoch {epoch}, committed {committed}"),
        Message::TimeoutNow { epoch } | Message::Stale { epoch } => format!("epoch {epoch}"),
        Message::Ping { .. } | Message::Pong { .. } => String::new(),
    }
}
