//! What travels between a client and a node, and between whom: frames, identity, QUIC endpoints.
//!
//! - [`frame`] cuts a QUIC stream into checksummed frames, [`wire`] gives each its meaning.
//! - [`authority`], [`authority_folder`] and [`identity`] make certificates, [`trust`] checks them,
//!   [`certificate`] says what one is for.
//! - [`credentials`] is what a running node shows of itself, renewed without a restart.
//! - [`endpoint`] opens QUIC, over real sockets or over [`memory`]; [`peer`] is what is particular
//!   between nodes.
//!
//! Nothing here decides anything about events; the bytes of an event pass through as they are
//! ([`quorate_core::event`]).

pub mod authority;
pub mod authority_folder;
pub mod certificate;
pub mod clock;
pub mod credentials;
pub mod endpoint;
pub mod environment;
pub mod event_frames;
pub mod frame;
pub mod identity;
pub mod inspection;
pub mod memory;
pub mod peer;
mod pem;
pub mod receive;
pub mod trust;
pub mod wire;

pub use credentials::{Credentials, Reload};
pub use endpoint::{ConnectError, Connector, EndpointError};
pub use frame::{Frame, FrameReader, WireError};
pub use identity::{Identity, IdentityError};
pub use peer::{PeerConnector, PeerIdentity};
pub use receive::{FrameReceiver, ReceiveError};
pub use trust::{Trust, TrustError};
