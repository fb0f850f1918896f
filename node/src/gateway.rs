//! The gateway: clients' connections, and what each of their streams is for.
//!
//! A client can cost only so much: connections, streams, and the bytes that each may hold are
//! bounded, and whoever connects must soon say what for. Bytes that are no message end their
//! stream with a named error; the node and the connection's other streams go on.

mod read;
pub(crate) mod session;
mod subscribe;

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use quinn::{Connection, ReadError, RecvStream, SendStream, VarInt};
use quorate_core::request::Rejection;
use quorate_net::clock::timeout;
use quorate_net::frame::WireError;
use quorate_net::receive::{FrameReceiver, ReceiveError};
use quorate_net::wire::{ErrorCode, Kind, Reply, Request};

use crate::driver::Driver;
use crate::logger::Fields;

/// QUIC's code for a connection that was opened and never used.
const CLOSE_SILENT: VarInt = VarInt::from_u32(1);
/// QUIC's code for a node that stops.
pub const CLOSE_STOPPING: VarInt = VarInt::from_u32(2);

/// A client, as far as the node knows it.
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    reads: Cell<u32>,
}

/// How a client's side of a stream ended.
enum Ended {
    /// With a last whole message.
    Finished,
    /// The stream or its connection is gone.
    Lost,
    /// The node stops.
    Stopping,
    /// It said nothing for too long.
    Silent,
    /// Bytes that are no message.
    Malformed(WireError),
    /// A message that has no place there.
    OutOfPlace(Kind),
}

impl From<ReceiveError> for Ended {
    fn from(error: ReceiveError) -> Self {
        match error {
            ReceiveError::Wire(error) => Self::Malformed(error),
            ReceiveError::Stream(
                ReadError::Reset(_)
                | ReadError::ConnectionLost(_)
                | ReadError::ClosedStream
                | ReadError::IllegalOrderedRead
                | ReadError::ZeroRttRejected,
            ) => Self::Lost,
        }
    }
}

impl Ended {
    /// What the client must be told before its stream is closed.
    fn farewell(&self) -> Option<(ErrorCode, String)> {
        match self {
            Self::Finished | Self::Lost => None,
            Self::Stopping => Some((ErrorCode::Stopping, "the node is stopping".into())),
            Self::Silent => Some((ErrorCode::Protocol, "the stream was opened in silence".into())),
            Self::Malformed(error) => Some((ErrorCode::Protocol, error.to_string())),
            Self::OutOfPlace(kind) => {
                let message = format!("a {kind} frame has no place on this stream");
                Some((ErrorCode::Protocol, message))
            }
        }
    }
}

/// Serves a client's connection to its end; says why it has ended.
pub(crate) async fn serve(
    driver: &Rc<Driver>,
    connection: &Connection,
    address: SocketAddr,
) -> String {
    let peer = Rc::new(Peer { address, reads: Cell::new(0) });
    let mut accepted = match timeout(hello_timeout(driver), connection.accept_bi()).await {
        Ok(accepted) => accepted,
        Err(_elapsed) => {
            driver.refused_peer(&peer, "it has opened no stream");
            connection.close(CLOSE_SILENT, b"no stream was opened");
            return "it has opened no stream".into();
        }
    };
    loop {
        let (send, receive) = match accepted {
            Ok(streams) => streams,
            Err(error) => return error.to_string(),
        };
        let (driver, peer) = (Rc::clone(driver), Rc::clone(&peer));
        tokio::task::spawn_local(async move {
            let _open = driver.stream_opened();
            stream(Rc::clone(&driver), peer, send, receive).await;
        });
        accepted = connection.accept_bi().await;
    }
}

/// Serves one stream, as its first message says.
async fn stream(driver: Rc<Driver>, peer: Rc<Peer>, mut send: SendStream, receive: RecvStream) {
    // No first message has a payload.
    let mut receive = FrameReceiver::new(receive, 0);
    let frame = match timeout(hello_timeout(&driver), receive.next()).await {
        Ok(Ok(Some(frame))) => frame,
        Ok(Ok(None)) => return,
        Ok(Err(error)) => return refuse(&driver, &peer, &mut send, &error.into()).await,
        Err(_elapsed) => return refuse(&driver, &peer, &mut send, &Ended::Silent).await,
    };
    match Request::decode(&frame) {
        Ok(Request::Hello { client }) => {
            let fields: Fields<'_> = &[("peer", &peer.address), ("client", &client)];
            driver.logger().debug("session", "a client has opened a session", fields);
            session::serve(driver, peer, send, receive).await;
        }
        Ok(Request::Read(read)) => {
            if let Some(_slot) = peer.begin_read(&driver, &mut send).await {
                read::serve(&driver, &mut send, read).await;
            }
        }
        Ok(Request::Subscribe(subscribe)) => {
            if let Some(_slot) = peer.begin_read(&driver, &mut send).await {
                subscribe::serve(&driver, &mut send, subscribe).await;
            }
        }
        Ok(
            Request::Append(_)
            | Request::Delete(_)
            | Request::Status { .. }
            | Request::Transfer { .. },
        ) => {
            refuse(&driver, &peer, &mut send, &Ended::OutOfPlace(frame.kind())).await;
        }
        Err(error) => refuse(&driver, &peer, &mut send, &Ended::Malformed(error)).await,
    }
}

async fn refuse(driver: &Driver, peer: &Peer, send: &mut SendStream, ended: &Ended) {
    if let Some((code, message)) = ended.farewell() {
        driver.refused_peer(peer, &message);
        fail(send, code, &message).await;
    }
}

/// Ends a stream with an error for the whole of it.
async fn fail(send: &mut SendStream, code: ErrorCode, message: &str) {
    let sent = reply(send, &Reply::Failed { call: None, code, message }).await;
    if sent.is_ok() {
        finish(send).await;
    }
}

/// Sends one message.
async fn reply(send: &mut SendStream, reply: &Reply<'_>) -> Result<(), quinn::WriteError> {
    let mut bytes = Vec::new();
    reply.encode(&mut bytes);
    send.write_chunk(bytes.into()).await
}

/// Ends the sending side, and waits a while until the client has everything.
async fn finish(send: &mut SendStream) {
    const PATIENCE: Duration = Duration::from_secs(5);
    if send.finish().is_ok() {
        // A client that is gone, or does not want it, has no need of it.
        let _delivered = timeout(PATIENCE, send.stopped()).await;
    }
}

fn hello_timeout(driver: &Driver) -> Duration {
    Duration::from_millis(driver.config().hello_timeout_ms.into())
}

fn code_of(rejection: &Rejection) -> ErrorCode {
    match rejection {
        Rejection::NotReady => ErrorCode::NotReady,
        Rejection::NotLeader { .. } => ErrorCode::NotLeader,
        Rejection::Overloaded => ErrorCode::Overloaded,
        _ => ErrorCode::InvalidRequest,
    }
}

/// One of the reads that a client may have open.
struct ReadSlot(Rc<Peer>);

impl Peer {
    /// Counts a read, or refuses it where there are too many.
    async fn begin_read(
        self: &Rc<Self>,
        driver: &Driver,
        send: &mut SendStream,
    ) -> Option<ReadSlot> {
        let max = driver.config().reads_per_connection_max;
        if self.reads.get() >= max {
            let message = format!("reads_per_connection_max is {max}");
            fail(send, ErrorCode::Overloaded, &message).await;
            return None;
        }
        self.reads.set(self.reads.get() + 1);
        Some(ReadSlot(Rc::clone(self)))
    }
}

impl Drop for ReadSlot {
    fn drop(&mut self) {
        self.0.reads.set(self.0.reads.get() - 1);
    }
}
