//! The links to the other nodes, as the driver sees them: which are up, where each node is, and a
//! way to send.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use quorate_core::id::NodeId;

use super::link::Link;
use crate::engine::Outgoing;

/// The links to the other nodes. That of a node alone is empty.
#[derive(Default)]
pub struct Links {
    nodes: RefCell<BTreeMap<NodeId, Node>>,
}

#[derive(Default)]
struct Node {
    address: Option<String>,
    link: Option<Rc<Link>>,
}

impl Links {
    /// Sends a frame, where there is a link; else it is lost, which the core copes with.
    pub fn send(&self, outgoing: Outgoing) {
        let nodes = self.nodes.borrow();
        if let Some(link) = nodes.get(&outgoing.to).and_then(|node| node.link.as_ref()) {
            link.send(outgoing.lane, outgoing.head, outgoing.payload);
        }
    }

    /// Whether there is a link to this node.
    #[must_use]
    pub fn is_up(&self, node: NodeId) -> bool {
        self.nodes.borrow().get(&node).is_some_and(|node| node.link.is_some())
    }

    /// The nodes to which there is a link.
    pub(super) fn up(&self) -> Vec<NodeId> {
        let nodes = self.nodes.borrow();
        nodes.iter().filter(|(_, node)| node.link.is_some()).map(|(node, _)| *node).collect()
    }

    /// Where a node can be reached, as it says itself.
    #[must_use]
    pub fn address(&self, node: NodeId) -> Option<String> {
        self.nodes.borrow().get(&node)?.address.clone()
    }

    /// Notes where a node can be reached.
    pub fn set_address(&self, node: NodeId, address: &str) {
        self.nodes.borrow_mut().entry(node).or_default().address = Some(address.to_owned());
    }

    /// A new link is there; the one that it takes the place of is given back.
    pub(super) fn put(&self, node: NodeId, link: Rc<Link>) -> Option<Rc<Link>> {
        self.nodes.borrow_mut().entry(node).or_default().link.replace(link)
    }

    /// The link to a node, where there is one.
    pub(super) fn get(&self, node: NodeId) -> Option<Rc<Link>> {
        self.nodes.borrow().get(&node)?.link.clone()
    }

    /// A link has ended; whether it was still the one to that node.
    pub(super) fn take(&self, node: NodeId, link: &Rc<Link>) -> bool {
        let mut nodes = self.nodes.borrow_mut();
        let Some(node) = nodes.get_mut(&node) else { return false };
        let is_current = node.link.as_ref().is_some_and(|current| Rc::ptr_eq(current, link));
        if is_current {
            node.link = None;
        }
        is_current
    }
}
