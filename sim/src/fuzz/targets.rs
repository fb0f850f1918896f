//! The decoders of bytes that others wrote.

mod event_frame;
mod wire;

use crate::fuzz::Target;

/// All of them.
pub const ALL: [Target; 3] = [event_frame::EVENT_FRAME, wire::REQUEST, wire::REPLY];
