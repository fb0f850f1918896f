//! Finds what a name in a scenario stands for.

use super::fault::Target;
use super::problem::did_you_mean;
use super::reader::{Notes, Text};

/// All names that faults, clients and assertions can use.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    pub(super) zones: Vec<String>,
    pub(super) disks: Vec<String>,
    pub(super) nodes: Vec<String>,
    /// The zone of each node.
    pub(super) node_zones: Vec<usize>,
    /// Clients one by one, each with its kind.
    pub(super) clients: Vec<(String, usize)>,
    /// Kinds of clients.
    pub(super) client_kinds: Vec<String>,
}

/// The leader, whoever it is when it is looked up.
pub(super) const LEADER: &str = "$leader";
/// The first of those that don't lead.
pub(super) const FOLLOWER: &str = "$follower";

impl Names {
    pub(super) fn zone(&self, text: &Text, notes: &Notes) -> Option<usize> {
        find("zone", &self.zones, text, notes)
    }

    pub(super) fn disk(&self, text: &Text, notes: &Notes) -> Option<usize> {
        find("disk", &self.disks, text, notes)
    }

    pub(super) fn node(&self, text: &Text, notes: &Notes) -> Option<usize> {
        find("node", &self.nodes, text, notes)
    }

    /// A node, or whoever leads or follows.
    pub(super) fn target(&self, text: &Text, notes: &Notes) -> Option<Target> {
        match text.text.as_str() {
            LEADER => Some(Target::Leader),
            FOLLOWER => Some(Target::Follower),
            name => {
                if let Some(node) = self.nodes.iter().position(|it| it == name) {
                    return Some(Target::Node(node));
                }
                let known = self.nodes.iter().map(String::as_str).chain([LEADER, FOLLOWER]);
                let hint = did_you_mean(name, known);
                notes.add_with(&text.span, format!("there is no node `{name}`"), hint);
                None
            }
        }
    }

    /// Clients by the name of one or of a kind.
    pub(super) fn clients(&self, name: &str) -> Vec<usize> {
        let kind = self.client_kinds.iter().position(|it| it == name);
        let is_meant = |(own, of): &(String, usize)| own == name || Some(*of) == kind;
        let all = self.clients.iter().enumerate();
        all.filter(|(_, it)| is_meant(it)).map(|(place, _)| place).collect()
    }

    /// The nodes of a zone.
    pub(super) fn nodes_of(&self, zone: usize) -> Vec<usize> {
        let all = self.node_zones.iter().enumerate();
        all.filter(|(_, it)| **it == zone).map(|(node, _)| node).collect()
    }

    pub(super) fn show(&self, target: Target) -> String {
        match target {
            Target::Node(node) => self.nodes[node].clone(),
            Target::Leader => LEADER.to_owned(),
            Target::Follower => FOLLOWER.to_owned(),
        }
    }
}

fn find(what: &str, known: &[String], text: &Text, notes: &Notes) -> Option<usize> {
    let found = known.iter().position(|it| *it == text.text);
    if found.is_none() {
        let hint = did_you_mean(&text.text, known.iter().map(String::as_str));
        notes.add_with(&text.span, format!("there is no {what} `{}`", text.text), hint);
    }
    found
}
