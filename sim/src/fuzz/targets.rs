//! The decoders of bytes that others wrote.

mod event_frame;
mod folder;
mod index;
mod superblock;
mod wire;

use crate::fuzz::Target;

/// All of them.
pub const ALL: [Target; 6] = [
    event_frame::EVENT_FRAME,
    wire::REQUEST,
    wire::REPLY,
    index::MANIFEST,
    index::RUN,
    superblock::SUPERBLOCK,
];
