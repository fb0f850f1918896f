//! The client: a handle to one session, cheap to clone.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use quinn::Endpoint;
use quorate_core::event::{self, ContentType, NewEvent};
use quorate_core::id::{EventId, Revision};
use quorate_core::log::entry::LogId;
use quorate_core::request::{Bound, Expected, Rejection};
use quorate_net::clock::{Instant, timeout};
use quorate_net::event_frames::checksum;
use quorate_net::wire::{ClientLimits, ErrorCode, NodeStatus, Target};

use crate::append::PendingAppend;
use crate::calls::{Answer, Ask, Request, Transferred};
use crate::connect::Dialer;
use crate::error::{AppendError, ConnectError, ReadError, StatusError, TransferError};
use crate::event::{AsNewEvent, random_id};
use crate::options::{Options, ReadOptions, SubscribeOptions};
use crate::read::ReadStream;
use crate::session::{DONE, Session};
use crate::subscribe::Subscription;

/// The type of the events that hold a stream's metadata.
const METADATA_TYPE: &str = "$metadata";

/// A connection to a node or a group of nodes that is kept up by itself.
///
/// Changes and reads go to the node that leads, and follow it when another is elected. Clones share
/// their connections; these end with the last of them and of their reads and
/// subscriptions. A client lives in the tokio runtime that it was connected in.
#[derive(Clone)]
pub struct Client {
    handle: Arc<Handle>,
    deadline: Duration,
}

/// Ends the session when the last user of it is gone.
pub(crate) struct Handle {
    pub(crate) session: Arc<Session>,
    endpoint: Endpoint,
}

impl Handle {
    /// Why a call was not even sent.
    ///
    /// - `tried`: what the nodes had said when it ended
    pub(crate) fn unreachable(&self, tried: Arc<str>) -> Arc<ConnectError> {
        match self.session.last_error() {
            Some(error) if !matches!(*error, ConnectError::NoLeader { .. }) => error,
            Some(_) | None => Arc::new(ConnectError::NoLeader { tried }),
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.session.close();
    }
}

/// A stream's metadata as it was last set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamMetadata {
    /// Its revision in the metadata stream, for the next change of it.
    pub revision: Revision,
    /// A JSON object.
    pub json: Bytes,
}

impl Client {
    /// Connects to a node, or to the nodes of a group.
    ///
    /// - `uri`: `quorate://host:port`, or several with commas between them. One that answers is
    ///   enough: it tells of the others.
    ///
    /// # Errors
    ///
    /// [`ConnectError`] with the reason: the URI, the certificate, or that nobody answers.
    pub async fn connect(uri: &str, options: Options) -> Result<Self, ConnectError> {
        Self::start(Dialer::new(uri.parse()?, &options)?, &options).await
    }

    /// Connects over an endpoint of the caller's: a network in memory, a shaped link.
    ///
    /// # Errors
    ///
    /// As [`Client::connect`].
    pub async fn connect_over(
        endpoint: Endpoint,
        uri: &str,
        options: Options,
    ) -> Result<Self, ConnectError> {
        Self::start(Dialer::over(endpoint, uri.parse()?, &options), &options).await
    }

    async fn start(dialer: Dialer, options: &Options) -> Result<Self, ConnectError> {
        let endpoint = dialer.endpoint().clone();
        let dialer = Arc::new(dialer);
        let established = dialer.dial_any().await?;
        let welcome = &established.first().ok_or(ConnectError::Closed)?.1.welcome;
        let (log, limits) = (welcome.log, welcome.limits);
        let session = Session::start(dialer, log, limits, established);
        Ok(Self { handle: Arc::new(Handle { session, endpoint }), deadline: options.deadline })
    }

    /// The same client with another deadline for its calls.
    #[must_use]
    pub fn with_deadline(&self, deadline: Duration) -> Self {
        Self { handle: self.handle.clone(), deadline }
    }

    /// The node's bounds on what is sent.
    #[must_use]
    pub fn limits(&self) -> ClientLimits {
        self.handle.session.limits()
    }

    /// The log that the node keeps.
    #[must_use]
    pub fn log(&self) -> LogId {
        self.handle.session.log()
    }

    /// Adds events to a stream, all or none, one behind the other.
    ///
    /// The append is sent here and now, in the order of the calls; the future only waits for the
    /// answer, and needs no polling to get there. After a lost connection it is sent again with the
    /// same event ids. Dropping the future gives up the answer, not the append. Without events it
    /// is a mere check of `expected`.
    ///
    /// # Errors
    ///
    /// By the future: [`AppendError`], which tells whether nothing was written or that is unknown.
    pub fn append<E: AsNewEvent>(
        &self,
        stream: &str,
        expected: Expected,
        events: &[E],
    ) -> PendingAppend {
        let limits = self.limits();
        let new_events = || events.iter().map(AsNewEvent::as_new_event);
        if let Err(rejection) = check_bounds(&limits, stream, new_events()) {
            return PendingAppend::failed(AppendError::Rejected(rejection));
        }
        let mut request = self.request(Ask::Append, stream, expected);
        for event in new_events() {
            event::encode(&mut request.frames, stream, &event, checksum);
        }
        self.submit(request)
    }

    /// Hides all events of a stream; it can be written again from the next revision on.
    pub fn delete(&self, stream: &str, expected: Expected) -> PendingAppend {
        self.delete_as(random_id(), stream, expected)
    }

    /// Closes a stream for ever.
    pub fn tombstone(&self, stream: &str, expected: Expected) -> PendingAppend {
        self.tombstone_as(random_id(), stream, expected)
    }

    /// As [`Client::delete`], with an id by which a later call of the application's own is known to
    /// be the same.
    pub fn delete_as(&self, id: EventId, stream: &str, expected: Expected) -> PendingAppend {
        self.submit_delete(Ask::Delete { id, tombstone: false }, stream, expected)
    }

    /// As [`Client::tombstone`], with an id by which a later call of the application's own is known
    /// to be the same.
    pub fn tombstone_as(&self, id: EventId, stream: &str, expected: Expected) -> PendingAppend {
        self.submit_delete(Ask::Delete { id, tombstone: true }, stream, expected)
    }

    /// Sets a stream's metadata.
    ///
    /// - `expected`: the state of the metadata, not of the stream
    /// - `json`: an object, such as `{"$maxCount": 100}`
    pub fn set_metadata(&self, stream: &str, expected: Expected, json: &[u8]) -> PendingAppend {
        let event = NewEvent {
            id: random_id(),
            event_type: METADATA_TYPE,
            content_type: ContentType::Json,
            data: json,
            metadata: &[],
        };
        self.append(&metadata_stream(stream), expected, &[event])
    }

    /// A stream's metadata; `None` where none was ever set.
    ///
    /// # Errors
    ///
    /// [`ReadError`] where it can't be read.
    pub async fn metadata(&self, stream: &str) -> Result<Option<StreamMetadata>, ReadError> {
        let mut read =
            self.read_stream(&metadata_stream(stream), ReadOptions::backwards().count(1));
        match read.next().await {
            None | Some(Err(ReadError::NotFound { .. })) => Ok(None),
            Some(Err(error)) => Err(error),
            Some(Ok(read)) => Ok(Some(StreamMetadata {
                revision: read.event.revision(),
                json: Bytes::copy_from_slice(read.event.data()),
            })),
        }
    }

    /// Reads one stream.
    #[must_use]
    pub fn read_stream(&self, stream: &str, options: ReadOptions) -> ReadStream {
        let target = Target::Stream(stream.to_owned());
        ReadStream::new(self.handle.clone(), target, options, self.deadline)
    }

    /// Reads `$all`, the whole log.
    #[must_use]
    pub fn read_all(&self, options: ReadOptions) -> ReadStream {
        ReadStream::new(self.handle.clone(), Target::All, options, self.deadline)
    }

    /// Follows one stream: its history, then each event as it is written.
    #[must_use]
    pub fn subscribe_stream(&self, stream: &str, options: SubscribeOptions) -> Subscription {
        let target = Target::Stream(stream.to_owned());
        Subscription::new(self.handle.clone(), target, options, self.deadline)
    }

    /// Follows `$all`.
    #[must_use]
    pub fn subscribe_all(&self, options: SubscribeOptions) -> Subscription {
        Subscription::new(self.handle.clone(), Target::All, options, self.deadline)
    }

    /// How the node is whose session is used: the leader, while there is one.
    ///
    /// # Errors
    ///
    /// [`StatusError`] where it does not answer.
    pub async fn status(&self) -> Result<NodeStatus, StatusError> {
        let request = self.request(Ask::Status, "", Expected::Any);
        match self.submit(request).answer().await {
            Answer::Status(status) => Ok(*status),
            Answer::Failed { code, message, .. } => Err(StatusError::Failed { code, message }),
            Answer::Expired { sent: true, .. } => Err(StatusError::Deadline),
            Answer::Expired { sent: false, tried, .. } => {
                Err(StatusError::Unreachable(self.handle.unreachable(tried)))
            }
            Answer::Closed { .. } => Err(StatusError::Unreachable(Arc::new(ConnectError::Closed))),
            Answer::Appended(_) | Answer::Refused { .. } | Answer::Transferred(_) => {
                Err(StatusError::Failed { code: ErrorCode::Protocol, message: other_answer() })
            }
        }
    }

    /// How one node is, whatever the group is up to.
    ///
    /// - `address`: `host:port`
    ///
    /// # Errors
    ///
    /// [`StatusError`] where it does not answer.
    pub async fn status_of(&self, address: &str) -> Result<NodeStatus, StatusError> {
        let unreachable = |error: ConnectError| StatusError::Unreachable(Arc::new(error));
        let address = address.parse().map_err(|error| unreachable(ConnectError::Uri(error)))?;
        let ask = async {
            let mut established = self.handle.session.dialer.dial(&address, true).await?;
            let status = established.status().await;
            established.connection.close(DONE, b"done");
            status
        };
        match timeout(self.deadline, ask).await {
            Ok(status) => status.map_err(unreachable),
            Err(_elapsed) => Err(StatusError::Deadline),
        }
    }

    /// Has the leader give the lead away, for example before its machine is stopped.
    ///
    /// - `to`: the name of a node, or of a zone; `None` for whichever node is fittest
    ///
    /// # Errors
    ///
    /// [`TransferError`] where the leader could not, or it is not known whether it did.
    pub async fn transfer_leader(&self, to: Option<&str>) -> Result<Transferred, TransferError> {
        let request = self.request(Ask::Transfer, to.unwrap_or_default(), Expected::Any);
        match self.submit(request).answer().await {
            Answer::Transferred(transferred) => Ok(transferred),
            Answer::Failed { code, message, .. } => Err(TransferError::Failed { code, message }),
            Answer::Refused { rejection, .. } => Err(TransferError::Failed {
                code: ErrorCode::InvalidRequest,
                message: rejection.to_string(),
            }),
            Answer::Expired { sent: true, tried, .. } => Err(TransferError::Deadline { tried }),
            Answer::Expired { sent: false, tried, .. } => {
                Err(TransferError::Unreachable(self.handle.unreachable(tried)))
            }
            Answer::Closed { .. } => {
                Err(TransferError::Unreachable(Arc::new(ConnectError::Closed)))
            }
            Answer::Appended(_) | Answer::Status(_) => {
                Err(TransferError::Failed { code: ErrorCode::Protocol, message: other_answer() })
            }
        }
    }

    /// Ends the connection, once the node has been told so. Calls under way end as unknown.
    pub async fn close(self) {
        self.handle.session.close();
        self.handle.endpoint.close(DONE, b"done");
        self.handle.endpoint.wait_idle().await;
    }

    fn request(&self, ask: Ask, stream: &str, expected: Expected) -> Request {
        let mut request = self.handle.session.spare_request();
        request.ask = ask;
        request.stream.push_str(stream);
        request.expected = expected;
        request
    }

    fn submit(&self, request: Request) -> PendingAppend {
        let call = self.handle.session.submit(request, Instant::now() + self.deadline);
        PendingAppend::new(self.handle.clone(), call)
    }

    fn submit_delete(&self, ask: Ask, stream: &str, expected: Expected) -> PendingAppend {
        if let Err(rejection) = check_bounds(&self.limits(), stream, std::iter::empty()) {
            return PendingAppend::failed(AppendError::Rejected(rejection));
        }
        self.submit(self.request(ask, stream, expected))
    }
}

fn other_answer() -> String {
    "the node answered as if to another request".to_owned()
}

fn metadata_stream(stream: &str) -> String {
    format!("$${stream}")
}

/// What could not be encoded, or would be refused anyway, is not sent. The node checks all of it
/// again.
fn check_bounds<'a>(
    limits: &ClientLimits,
    stream: &str,
    events: impl Iterator<Item = NewEvent<'a>>,
) -> Result<(), Rejection> {
    within(Bound::StreamNameBytes, limits.stream_name_bytes_max, stream.len() as u64)?;
    let mut append_bytes = 0;
    for event in events {
        let (type_bytes, metadata_bytes) = (event.event_type.len(), event.metadata.len());
        within(Bound::EventTypeBytes, limits.event_type_bytes_max, type_bytes as u64)?;
        within(Bound::EventMetadataBytes, limits.event_metadata_bytes_max, metadata_bytes as u64)?;
        let event_bytes = event::encoded_bytes(stream, &event);
        within(Bound::EventBytes, limits.event_bytes_max, event_bytes)?;
        append_bytes += event_bytes;
    }
    within(Bound::AppendBytes, limits.append_bytes_max, append_bytes)
}

fn within(bound: Bound, max: u32, found: u64) -> Result<(), Rejection> {
    if found <= u64::from(max) {
        Ok(())
    } else {
        Err(Rejection::TooLarge { bound, max: u64::from(max), found })
    }
}
