//! What travels between a client and a node, and between whom: frames, identity, QUIC endpoints.
//!
//! - [`frame`] cuts a QUIC stream into checksummed frames, [`wire`] gives each its meaning.
//! - Nothing here decides anything about events; the bytes of an event pass through as they are
//!   ([`quorate_core::event`]).

pub mod event_frames;
pub mod frame;
pub mod wire;

pub use frame::{Frame, FrameReader, WireError};
