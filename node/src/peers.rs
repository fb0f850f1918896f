//! The other nodes of the group.

use quorate_core::id::NodeId;

use crate::engine::Outgoing;

/// Links.
#[derive(Default)]
pub struct Links;

impl Links {
    /// Sends.
    pub fn send(&self, _: Outgoing) {}
    /// Is up.
    pub fn is_up(&self, _: NodeId) -> bool {
        false
    }
    /// Address.
    pub fn address(&self, _: NodeId) -> Option<String> {
        None
    }
}
