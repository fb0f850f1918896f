//! The decoders of bytes that others wrote.

mod event_frame;
mod folder;
mod index;
mod log;
mod recording;
mod superblock;
mod wire;

use crate::fuzz::Target;

/// All of them.
pub const ALL: [Target; 11] = [
    event_frame::EVENT_FRAME,
    wire::REQUEST,
    wire::REPLY,
    wire::PEER,
    index::MANIFEST,
    index::RUN,
    log::SEGMENT,
    log::SEALED,
    log::STAMP,
    superblock::SUPERBLOCK,
    recording::RECORDING,
];
