//! Messages of consensus that carry no entries: one archive of a fixed size, so that a heartbeat
//! costs neither an allocation nor a branch for its length.

use quorate_core::id::{ChainHash, Epoch, GroupId, LogIndex, Round, Session};
use quorate_core::message::{LastEntry, Message, Progress, Tip};
use quorate_core::time::Instant;
use rkyv::{Archive, Archived, Serialize};

use super::{NUMBER_MAX, PeerKind, PeerMessage, encode_append};
use crate::frame::{Frame, WireError};
use crate::wire::{Kind, access, encode};

#[derive(Archive, Serialize)]
struct ConsensusBody {
    group: u64,
    message: MessageBody,
}

/// All of [`Message`] but its `Append`, in the same order.
#[derive(Archive, Serialize)]
enum MessageBody {
    PreVote { epoch: u64, last: LastBody },
    PreVoteReply { epoch: u64, granted: bool, promised: u64 },
    Vote { epoch: u64, last: LastBody, transfer: bool },
    VoteReply { epoch: u64, granted: bool },
    Heartbeat { epoch: u64, round: u64, committed: u64 },
    HeartbeatReply { epoch: u64, round: u64, progress: ProgressBody, fit: bool, rtt: u64 },
    Ack { epoch: u64, progress: ProgressBody },
    Resync { epoch: u64, session: u64, end: TipBody, committed: TipBody },
    Commit { epoch: u64, committed: u64 },
    TimeoutNow { epoch: u64 },
    Stale { epoch: u64 },
    Ping { sent: u64 },
    Pong { sent: u64 },
}

#[derive(Archive, Serialize)]
struct LastBody {
    epoch: u64,
    index: u64,
}

#[derive(Archive, Serialize)]
pub(super) struct TipBody {
    index: u64,
    chain: [u8; 32],
}

#[derive(Archive, Serialize)]
struct ProgressBody {
    session: u64,
    received: u64,
    durable: TipBody,
    committed: u64,
}

/// Appends a message of consensus to `out` as one frame; an `Append` without its entries.
pub fn encode_message(out: &mut Vec<u8>, group: GroupId, message: &Message) {
    let Some(message) = body_of(message) else {
        return encode_append(out, group, message, std::iter::empty());
    };
    let body = ConsensusBody { group: group.get(), message };
    encode(out, Kind::Peer(PeerKind::Consensus), &body, &[]);
}

fn body_of(message: &Message) -> Option<MessageBody> {
    Some(match *message {
        Message::PreVote { epoch, last } => {
            MessageBody::PreVote { epoch: epoch.get(), last: last.into() }
        }
        Message::PreVoteReply { epoch, granted, promised } => {
            MessageBody::PreVoteReply { epoch: epoch.get(), granted, promised: promised.get() }
        }
        Message::Vote { epoch, last, transfer } => {
            MessageBody::Vote { epoch: epoch.get(), last: last.into(), transfer }
        }
        Message::VoteReply { epoch, granted } => {
            MessageBody::VoteReply { epoch: epoch.get(), granted }
        }
        Message::Heartbeat { epoch, round, committed } => MessageBody::Heartbeat {
            epoch: epoch.get(),
            round: round.get(),
            committed: committed.get(),
        },
        Message::HeartbeatReply { epoch, round, progress, fit, quorum_rtt_nanos } => {
            MessageBody::HeartbeatReply {
                epoch: epoch.get(),
                round: round.get(),
                progress: progress.into(),
                fit,
                rtt: quorum_rtt_nanos,
            }
        }
        Message::Append { .. } => return None,
        Message::Ack { epoch, progress } => {
            MessageBody::Ack { epoch: epoch.get(), progress: progress.into() }
        }
        Message::Resync { epoch, session, end, committed } => MessageBody::Resync {
            epoch: epoch.get(),
            session: session.get(),
            end: end.into(),
            committed: committed.into(),
        },
        Message::Commit { epoch, committed } => {
            MessageBody::Commit { epoch: epoch.get(), committed: committed.get() }
        }
        Message::TimeoutNow { epoch } => MessageBody::TimeoutNow { epoch: epoch.get() },
        Message::Stale { epoch } => MessageBody::Stale { epoch: epoch.get() },
        Message::Ping { sent } => MessageBody::Ping { sent: sent.nanos() },
        Message::Pong { sent } => MessageBody::Pong { sent: sent.nanos() },
    })
}

pub(super) fn decode(frame: &Frame) -> Result<PeerMessage<'_>, WireError> {
    let body = access::<ArchivedConsensusBody>(frame, |_| 0)?;
    let message = message_of(&body.message).ok_or(WireError::Body { kind: frame.kind() })?;
    let group = GroupId::from_wire(body.group.to_native());
    Ok(PeerMessage::Consensus { group, message, entries: Vec::new() })
}

/// `None` where a number is too large to be one.
fn message_of(body: &ArchivedMessageBody) -> Option<Message> {
    use ArchivedMessageBody as Body;
    Some(match body {
        Body::PreVote { epoch: e, last } => {
            Message::PreVote { epoch: epoch(e)?, last: last.value()? }
        }
        Body::PreVoteReply { epoch: e, granted, promised } => Message::PreVoteReply {
            epoch: epoch(e)?,
            granted: *granted,
            promised: epoch(promised)?,
        },
        Body::Vote { epoch: e, last, transfer } => {
            Message::Vote { epoch: epoch(e)?, last: last.value()?, transfer: *transfer }
        }
        Body::VoteReply { epoch: e, granted } => {
            Message::VoteReply { epoch: epoch(e)?, granted: *granted }
        }
        Body::Heartbeat { epoch: e, round: r, committed } => {
            Message::Heartbeat { epoch: epoch(e)?, round: round(r)?, committed: index(committed)? }
        }
        Body::HeartbeatReply { epoch: e, round: r, progress, fit, rtt } => {
            Message::HeartbeatReply {
                epoch: epoch(e)?,
                round: round(r)?,
                progress: progress.value()?,
                fit: *fit,
                quorum_rtt_nanos: number(rtt)?,
            }
        }
        Body::Ack { epoch: e, progress } => {
            Message::Ack { epoch: epoch(e)?, progress: progress.value()? }
        }
        Body::Resync { epoch: e, session: s, end, committed } => Message::Resync {
            epoch: epoch(e)?,
            session: session(s)?,
            end: end.value()?,
            committed: committed.value()?,
        },
        Body::Commit { epoch: e, committed } => {
            Message::Commit { epoch: epoch(e)?, committed: index(committed)? }
        }
        Body::TimeoutNow { epoch: e } => Message::TimeoutNow { epoch: epoch(e)? },
        Body::Stale { epoch: e } => Message::Stale { epoch: epoch(e)? },
        Body::Ping { sent } => Message::Ping { sent: Instant::from_nanos(number(sent)?) },
        Body::Pong { sent } => Message::Pong { sent: Instant::from_nanos(number(sent)?) },
    })
}

type Number = Archived<u64>;

fn number(archived: &Number) -> Option<u64> {
    Some(archived.to_native()).filter(|number| *number <= NUMBER_MAX)
}

pub(super) fn epoch(archived: &Number) -> Option<Epoch> {
    number(archived).map(Epoch::from_wire)
}

pub(super) fn index(archived: &Number) -> Option<LogIndex> {
    number(archived).map(LogIndex::from_wire)
}

pub(super) fn session(archived: &Number) -> Option<Session> {
    number(archived).map(Session::from_wire)
}

fn round(archived: &Number) -> Option<Round> {
    number(archived).map(Round::from_wire)
}

impl From<LastEntry> for LastBody {
    fn from(last: LastEntry) -> Self {
        Self { epoch: last.epoch.get(), index: last.index.get() }
    }
}

impl ArchivedLastBody {
    fn value(&self) -> Option<LastEntry> {
        Some(LastEntry { epoch: epoch(&self.epoch)?, index: index(&self.index)? })
    }
}

impl From<Tip> for TipBody {
    fn from(tip: Tip) -> Self {
        Self { index: tip.index.get(), chain: tip.chain.to_bytes() }
    }
}

impl ArchivedTipBody {
    pub(super) fn value(&self) -> Option<Tip> {
        Some(Tip { index: index(&self.index)?, chain: ChainHash::from_bytes(self.chain) })
    }
}

impl From<Progress> for ProgressBody {
    fn from(progress: Progress) -> Self {
        Self {
            session: progress.session.get(),
            received: progress.received.get(),
            durable: progress.durable.into(),
            committed: progress.committed.get(),
        }
    }
}

impl ArchivedProgressBody {
    fn value(&self) -> Option<Progress> {
        Some(Progress {
            session: session(&self.session)?,
            received: index(&self.received)?,
            durable: self.durable.value()?,
            committed: index(&self.committed)?,
        })
    }
}
