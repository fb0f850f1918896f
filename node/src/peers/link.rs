//! A link: one connection between two nodes, and its three lanes.
//!
//! Each lane is a stream of its own with a task that writes and one that reads, so that old entries
//! on their way to a node that has fallen behind never stand before a heartbeat. QUIC sends what is
//! on the more important lane first; its windows are set such that the other two, both full, leave
//! room for it.

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use quinn::{Connection, RecvStream, SendStream, VarInt};
use quorate_core::id::NodeId;
use quorate_net::clock::Instant;
use quorate_net::receive::{FrameReceiver, ReceiveError};
use quorate_net::wire::peer::{Lane, PeerMessage};
use quorate_net::{Frame, WireError};
use tokio::task::JoinSet;

use super::outbox::{Full, Outbox};

/// QUIC's code for a connection that was made to learn who is there: the other side is to dial.
pub(super) const CLOSE_YOU_DIAL: VarInt = VarInt::from_u32(17);
/// QUIC's code for nodes that don't belong together.
pub const CLOSE_REFUSED: VarInt = VarInt::from_u32(18);
/// QUIC's code for a node that has come to be of a group meanwhile: to be dialled again.
pub(super) const CLOSE_AGAIN: VarInt = VarInt::from_u32(19);
/// QUIC's code for a second connection between two nodes.
pub(super) const CLOSE_SECOND: VarInt = VarInt::from_u32(20);
/// QUIC's code for a node that does not read what it is sent.
pub(super) const CLOSE_FULL: VarInt = VarInt::from_u32(21);
/// QUIC's code for bytes that are no message, or none that has its place there.
pub(super) const CLOSE_MALFORMED: VarInt = VarInt::from_u32(22);
/// QUIC's code for a node that says nothing.
pub(super) const CLOSE_SILENT: VarInt = VarInt::from_u32(23);
/// QUIC's code for a connection of which a lane has ended.
pub(super) const CLOSE_LANE: VarInt = VarInt::from_u32(24);

/// Bytes under way on all lanes: each lane alone takes a quarter at most.
const WINDOW_BYTES: u32 = 32 << 20;

/// What takes frames from other nodes: the driver, and in tests whoever wants to see them.
pub trait Inbound {
    /// A frame has come.
    ///
    /// # Errors
    ///
    /// [`WireError`] where that is no message between nodes.
    fn receive(&self, from: NodeId, frame: &Frame) -> Result<(), WireError>;

    /// There is a link to a node now.
    fn peer_up(&self, node: NodeId);

    /// There is none any more.
    fn peer_down(&self, node: NodeId);
}

/// A lane's two directions, once both sides have said what it is for.
pub(super) struct Stream {
    pub(super) send: SendStream,
    pub(super) receive: FrameReceiver,
}

impl Stream {
    /// - `payload_bytes_max`: of the frames behind the first
    pub(super) fn new(lane: Lane, send: SendStream, receive: RecvStream) -> Self {
        // Only a stream that has ended has no priority; whoever writes to it learns that.
        let _ended = send.set_priority(lane.priority());
        // No hello has a payload.
        Self { send, receive: FrameReceiver::new(receive, 0) }
    }

    /// Sends one message.
    pub(super) async fn say(&mut self, message: &PeerMessage<'_>) -> Result<(), Lost> {
        let mut bytes = Vec::new();
        message.encode(&mut bytes);
        Ok(self.send.write_chunk(bytes.into()).await?)
    }

    /// The next frame.
    pub(super) async fn hear(&mut self) -> Result<Frame, Lost> {
        self.receive.next().await?.ok_or(Lost::Finished)
    }
}

/// Why nothing more comes on a lane, or goes.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum Lost {
    /// The other side has ended it in good order.
    #[error("the other node has ended it")]
    Finished,
    /// It can't be read.
    #[error(transparent)]
    Receive(#[from] ReceiveError),
    /// It can't be written.
    #[error("{}", reason(.0))]
    Send(#[from] quinn::WriteError),
    /// The connection is gone.
    #[error(transparent)]
    Connection(#[from] quinn::ConnectionError),
    /// It has said nothing for too long.
    #[error("the other node said nothing for too long")]
    Silent,
    /// What came is no message that has its place there.
    #[error(transparent)]
    Malformed(#[from] WireError),
}

/// quinn's text for a lost connection leaves out why it was lost.
fn reason(error: &quinn::WriteError) -> String {
    match error {
        quinn::WriteError::ConnectionLost(lost) => lost.to_string(),
        other => other.to_string(),
    }
}

/// A link that is up.
pub(super) struct Link {
    connection: Connection,
    since: Instant,
    control: Outbox,
    replication: Outbox,
    bulk: Outbox,
}

impl Link {
    pub(super) fn new(connection: Connection) -> Self {
        widen(&connection);
        let [control, replication, bulk] = Lane::ALL.map(Outbox::new);
        Self { connection, since: Instant::now(), control, replication, bulk }
    }

    /// Puts a frame on its way.
    pub(super) fn send(&self, lane: Lane, head: Bytes, payload: Bytes) {
        if let Err(Full) = self.outbox(lane).push(head, payload) {
            self.close(CLOSE_FULL, "the node does not read what it is sent");
        }
    }

    /// How long it has been up.
    pub(super) fn age(&self) -> Duration {
        self.since.elapsed()
    }

    /// Ends it.
    pub(super) fn close(&self, code: VarInt, reason: &str) {
        self.connection.close(code, reason.as_bytes());
    }

    fn outbox(&self, lane: Lane) -> &Outbox {
        match lane {
            Lane::Control => &self.control,
            Lane::Replication => &self.replication,
            Lane::Bulk => &self.bulk,
        }
    }

    /// Carries frames until the connection or one of its lanes is lost; says why.
    ///
    /// - `take` is given what comes
    pub(super) async fn carry(
        self: &Rc<Self>,
        streams: [(Lane, Stream); 3],
        take: impl Fn(&Frame) -> Result<(), WireError> + Clone + 'static,
    ) -> Lost {
        // With the set its tasks end.
        let mut tasks = JoinSet::new();
        for (lane, Stream { mut send, receive }) in streams {
            let link = Rc::clone(self);
            tasks.spawn_local(async move { link.outbox(lane).drain(&mut send).await.into() });
            let take = take.clone();
            tasks.spawn_local(read(lane, receive, take));
        }
        let connection = self.connection.clone();
        tasks.spawn_local(async move { connection.closed().await.into() });
        let ended = tasks.join_next().await.expect("there are tasks");
        let lost = ended.expect("a lane does not panic");
        // Of several reasons the connection's is the first; the lanes only notice it.
        self.connection.close_reason().map_or(lost, Lost::Connection)
    }
}

/// Leaves room for the control lane when both others are full.
pub(super) fn widen(connection: &Connection) {
    connection.set_receive_window(VarInt::from_u32(WINDOW_BYTES));
    connection.set_send_window(WINDOW_BYTES.into());
}

async fn read(
    lane: Lane,
    mut receive: FrameReceiver,
    take: impl Fn(&Frame) -> Result<(), WireError>,
) -> Lost {
    loop {
        let frame = match receive.next().await {
            Ok(Some(frame)) => frame,
            Ok(None) => return Lost::Finished,
            Err(error) => return error.into(),
        };
        if let Err(error) = take(&frame) {
            return error.into();
        }
        if lane != Lane::Control {
            // What has come meanwhile on the control lane has its turn after each frame.
            tokio::task::yield_now().await;
        }
    }
}
