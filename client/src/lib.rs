//! The Rust client of Quorate: append events to streams, read them back, and follow them.
//!
//! ```no_run
//! use quorate_client::{
//!     Client, EventData, Expected, Options, ReadOptions, SubscribeOptions, SubscriptionEvent,
//! };
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! // On the same machine and user as the node, its development certificate is found by itself.
//! let client = Client::connect("quorate://127.0.0.1:2113", Options::default()).await?;
//!
//! // All or none, one behind the other; here only if the stream has no events yet.
//! let events = [
//!     EventData::json("departed", r#"{"delay":2}"#),
//!     EventData::json("arrived", r#"{"delay":11}"#),
//! ];
//! let appended = client.append("aircraft-N14228", Expected::NoStream, &events).await?;
//! println!("the last one is at position {}", appended.position);
//!
//! // Appends are sent when they are made, so many can be under way on one connection.
//! let pending: Vec<_> = (0..100)
//!     .map(|hour| EventData::json("ticked", format!(r#"{{"hour":{hour}}}"#)))
//!     .map(|event| client.append("clock", Expected::Any, &[event]))
//!     .collect();
//! for append in pending {
//!     append.await?;
//! }
//!
//! // The newest five events of a stream, newest first.
//! let mut read = client.read_stream("clock", ReadOptions::backwards().count(5));
//! while let Some(event) = read.next().await {
//!     let event = event?.event;
//!     println!("{}@{} {}", event.revision(), event.stream(), event.event_type());
//! }
//!
//! // All streams: what is there, then what comes.
//! let mut subscription = client.subscribe_all(SubscribeOptions::default());
//! while let Some(happened) = subscription.next().await {
//!     match happened? {
//!         SubscriptionEvent::Event(read) => println!("{}", read.event.position()),
//!         SubscriptionEvent::CaughtUp => println!("live from here"),
//!         _ => {}
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # One node or several
//!
//! All of this is the same for a group of nodes. Give the addresses of all of them, with commas in
//! between (`quorate://store-1:2113,store-2:2113,store-3:2113`), or of any one: it tells of the
//! others. Changes and reads go to the node that leads; when another is elected the client follows,
//! and what was under way is repeated there. A read that need not see the newest changes can go to
//! any node ([`ReadOptions::committed`]). A subscription stays with its node for as long as that is
//! alive.
//!
//! # When something goes wrong
//!
//! A change ends in one of three ways: it is on the group's stable storage (`Ok`), it certainly was
//! not made, or that is unknown ([`AppendError::outcome`]). A lost connection, or a leader that
//! leads no more, is none of them: the client connects again, finds the leader, and repeats what
//! was not answered, with the same event ids, which the group recognises. Only when the deadline
//! passes without an answer is the outcome unknown, and then the application can repeat the append
//! with the same ids itself; the error says which nodes were tried and what each said. Appends that
//! are under way together when the connection is lost are repeated in their order, but one that the
//! node must refuse for a moment can be overtaken by those behind it: await each, or give exact
//! revisions, where order matters.
//!
//! Every event that is read is checked against the checksum that its writer's client gave it.

mod append;
mod calls;
mod client;
mod connect;
mod error;
mod event;
mod feed;
mod keep;
mod links;
mod options;
mod read;
mod route;
mod session;
mod subscribe;
mod uri;
mod watch;

pub use append::PendingAppend;
pub use calls::Transferred;
pub use client::{Client, StreamMetadata};
pub use error::{
    AppendError, ConnectError, Outcome, ReadError, StatusError, TransferError, UnknownReason,
};
pub use event::{AsNewEvent, EventData, ReadEvent, RecordedEvent, random_id};
pub use options::{Options, ReadOptions, SubscribeOptions};
pub use read::ReadStream;
pub use subscribe::{Subscription, SubscriptionEvent};
pub use uri::{Address, Uri, UriError};

pub use quorate_core::event::{ContentType, EventFrame, NewEvent};
pub use quorate_core::id::{EventId, Position, Revision};
pub use quorate_core::request::{Appended, Bound, Consistency, Expected, Rejection};
pub use quorate_core::time::Created;
pub use quorate_net::wire::{
    ClientLimits, Direction, ErrorCode, Filter, GroupStatus, MemberProgress, MemberStatus,
    NodeStatus, ReadFrom, Role, Serving, SubscribeFrom, Target, Tolerates,
};
pub use quorate_net::{Trust, TrustError};
