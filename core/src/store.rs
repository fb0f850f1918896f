//! The event store's rules: what a stream's name, metadata and events mean, and whether an append
//! may be written.
//!
//! It knows nothing of votes or quorums: it decides, and another part sees to it that what was
//! decided survives.

pub mod filter;
pub mod link;
pub mod metadata;
pub mod name;
