//! What travels between a client and a node, and between whom: frames, identity, QUIC endpoints.
//!
//! - [`frame`] cuts a QUIC stream into checksummed frames, [`wire`] gives each its meaning.
//! - [`authority`] and [`identity`] make certificates, [`trust`] checks them.
//! - [`endpoint`] opens QUIC, over real sockets or over [`memory`].
//!
//! Nothing here decides anything about events; the bytes of an event pass through as they are
//! ([`quorate_core::event`]).

pub mod authority;
pub mod endpoint;
pub mod event_frames;
pub mod frame;
pub mod identity;
pub mod memory;
pub mod receive;
pub mod trust;
pub mod wire;

pub use endpoint::{ConnectError, Connector, EndpointError};
pub use frame::{Frame, FrameReader, WireError};
pub use identity::{Identity, IdentityError};
pub use receive::{FrameReceiver, ReceiveError};
pub use trust::{Trust, TrustError};
