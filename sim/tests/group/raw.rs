//! A client that says what the test likes, to the node that the test likes: it follows no leader.

use std::net::SocketAddr;

use quinn::{Connection, Endpoint, SendStream, VarInt};
use quorate_client::{
    AppendError, Appended, AsNewEvent, Consistency, Direction, ErrorCode, EventData, EventId,
    Expected, Filter, Position, ReadFrom, Target, UnknownReason,
};
use quorate_core::{event, item};
use quorate_net::endpoint::client_endpoint;
use quorate_net::wire::{Append, CallId, Read, Reply, Request, Welcome};
use quorate_net::{Connector, FrameReceiver, Trust};
use rustls_pki_types::CertificateDer;
use tokio::time::timeout;

use crate::group::{Group, PATIENCE};

/// A connection to one node.
pub(crate) struct Wire {
    endpoint: Endpoint,
    pub(crate) connection: Connection,
}

/// One stream of it.
pub(crate) struct Conversation {
    pub(crate) send: SendStream,
    receive: FrameReceiver,
}

/// How a read of the last event ended.
#[derive(Debug)]
pub(crate) enum LastEvent {
    Found(Position, EventId),
    NoEvent,
    Failed(ErrorCode),
}

impl Wire {
    pub(crate) async fn connect(group: &Group, place: usize) -> Self {
        let trust = Trust::from_file(&group.ca()).unwrap();
        let connector = Connector::new(&trust).unwrap();
        let endpoint = client_endpoint().unwrap();
        let address: SocketAddr = group.address(place).parse().unwrap();
        let connection = connector.connect(&endpoint, address, "127.0.0.1").await;
        Self { endpoint, connection: connection.expect("the node listens") }
    }

    /// Opens a stream, for a session or for a read.
    pub(crate) async fn open(&self) -> Conversation {
        let (send, receive) = self.connection.open_bi().await.expect("the connection stands");
        Conversation { send, receive: FrameReceiver::new(receive, 1 << 20) }
    }

    /// Opens a session.
    pub(crate) async fn session(&self) -> (Conversation, Box<Welcome>) {
        let mut session = self.open().await;
        session.say(&Request::Hello { client: "test" }).await;
        let frame = session.receive.next().await.unwrap().expect("the node answers");
        match Reply::decode(&frame).unwrap() {
            Reply::Welcome(welcome) => (session, welcome),
            other => panic!("{other:?} is no welcome"),
        }
    }

    /// Asks for the last event of all, as it is when the question comes; the answer is to be heard
    /// with [`Conversation::last_event`].
    pub(crate) async fn ask_last_event(&self) -> Conversation {
        let mut read = self.open().await;
        read.say(&Request::Read(Read {
            target: Target::All,
            from: ReadFrom::End,
            direction: Direction::Backwards,
            count: Some(1),
            filter: Filter::None,
            resolve_links: false,
            consistency: Consistency::Linearizable,
        }))
        .await;
        read
    }

    /// The certificate that the node has shown.
    pub(crate) fn certificate(&self) -> Vec<u8> {
        let shown = self.connection.peer_identity().expect("every node shows one");
        let chain = shown.downcast::<Vec<CertificateDer<'static>>>().expect("it is of TLS");
        chain[0].to_vec()
    }

    /// Ends the connection, and waits until the node was told.
    pub(crate) async fn close(self) {
        self.connection.close(VarInt::from_u32(0), b"gone");
        self.endpoint.wait_idle().await;
    }
}

impl Conversation {
    pub(crate) async fn say(&mut self, request: &Request<'_>) {
        let mut bytes = Vec::new();
        request.encode(&mut bytes);
        self.send.write_all(&bytes).await.expect("the stream stands");
    }

    /// How the append with this number ended; only one is under way.
    pub(crate) async fn appended(&mut self) -> Result<Appended, AppendError> {
        loop {
            let next = timeout(PATIENCE, self.receive.next()).await.expect("the node answers");
            // A node that has lost the connection, or was killed, gives no answer.
            let Ok(Some(frame)) = next else {
                return Err(AppendError::Unknown(UnknownReason::Closed));
            };
            match Reply::decode(&frame).expect("the node speaks well") {
                Reply::Appended { appended, .. } => return Ok(appended),
                Reply::Refused { rejection, .. } => return Err(AppendError::Rejected(rejection)),
                Reply::Failed { code, message, .. } => {
                    let message = message.to_owned();
                    return Err(AppendError::Unknown(UnknownReason::Failed { code, message }));
                }
                Reply::Leader { .. } => {}
                other => panic!("{other:?} is no answer to an append"),
            }
        }
    }

    /// Waits until an answer is here, whatever it is.
    pub(crate) async fn answered(&mut self) {
        let next = timeout(PATIENCE, self.receive.next()).await.expect("the node answers");
        next.expect("the stream stands").expect("it is not over");
    }

    /// The answer to [`Wire::ask_last_event`].
    pub(crate) async fn last_event(&mut self) -> LastEvent {
        let next = timeout(PATIENCE, self.receive.next()).await.expect("the node answers");
        let frame = next.expect("the stream stands").expect("it is not over");
        match Reply::decode(&frame).expect("the node speaks well") {
            Reply::Events { items, .. } => {
                let item = item::items(items).next().expect("it says that there are some");
                let item = item.expect("the node speaks well");
                LastEvent::Found(item.position, item.frame.id())
            }
            Reply::End { .. } => LastEvent::NoEvent,
            Reply::Failed { code, .. } => LastEvent::Failed(code),
            other => panic!("{other:?} is no answer to a read"),
        }
    }
}

/// The frame of an append.
///
/// - `retry_since`: set on a repetition
pub(crate) fn append_frame(
    stream: &str,
    events: &[EventData],
    retry_since: Option<Position>,
) -> Vec<u8> {
    let mut frames = Vec::new();
    for data in events {
        event::encode(&mut frames, stream, &data.as_new_event(), event::crc32c);
    }
    let mut bytes = Vec::new();
    let (call, expected) = (CallId::new(1), Expected::Any);
    Append { call, stream, expected, retry_since, frames: &frames }.encode(&mut bytes);
    bytes
}
