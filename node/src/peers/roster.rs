//! What a node remembers of the others while it runs.

use std::collections::BTreeMap;

use quorate_core::member::{MembersError, Name};
use quorate_net::wire::peer::PeerHello;

use super::founding::{Gathering, gather};
use super::refusal::names;

/// Complaints beyond this many begin anew: they are few, or somebody makes them up.
const COMPLAINTS_MAX: usize = 32;

/// What a node remembers of the others.
#[derive(Default)]
pub(super) struct Roster {
    /// Who is there and belongs to no group, by the connection.
    unfounded: BTreeMap<u64, PeerHello>,
    /// Whether a node of a group was ever seen.
    founded_seen: bool,
    /// What was last said against whom: a name or an address, or empty for all together.
    complaints: BTreeMap<String, String>,
}

impl Roster {
    /// A node that belongs to no group is there, on this connection.
    pub(super) fn enter(&mut self, connection: u64, hello: &PeerHello) {
        self.unfounded.insert(connection, hello.clone());
    }

    /// A connection has ended.
    pub(super) fn leave(&mut self, connection: u64) {
        self.unfounded.remove(&connection);
    }

    /// A node that belongs to a group was seen.
    pub(super) fn see_founded(&mut self) {
        self.founded_seen = true;
    }

    /// What this node can do about its group now.
    pub(super) fn gather(&self, own: &PeerHello) -> Gathering {
        gather(own, self.unfounded.values(), self.founded_seen)
    }

    /// Notes what is wrong with a node; whether that is new.
    ///
    /// - `who`: its name, or its address
    pub(super) fn complain(&mut self, who: &str, text: &str) -> bool {
        if self.complaints.get(who).is_some_and(|known| known == text) {
            return false;
        }
        if self.complaints.len() >= COMPLAINTS_MAX {
            self.complaints.clear();
        }
        self.complaints.insert(who.to_owned(), text.to_owned());
        true
    }

    /// Nothing is wrong with it any more.
    pub(super) fn praise(&mut self, who: &str) {
        self.complaints.remove(who);
    }

    /// What a node without a group waits for, for people.
    pub(super) fn waits_for(&self, gathered: &Gathering, voters: u32) -> String {
        let mut text = match gathered {
            Gathering::Elsewhere => {
                "waiting to be let into the group, which was founded already".to_owned()
            }
            Gathering::Waiting(seen) => {
                format!("waiting for the group: seen {} of {voters} nodes", names(seen.iter()))
            }
            Gathering::NotFirst(first) => format!("waiting for {first} to found the group"),
            Gathering::TooMany(seen) => too_many(seen, voters),
            Gathering::Impossible(error) => impossible(error),
            Gathering::Found(_) => "founding the group".to_owned(),
        };
        for (who, complaint) in &self.complaints {
            // What is said against no one is the text itself, and two nodes may say the same.
            if !who.is_empty() && !text.contains(complaint.as_str()) {
                text.push_str(". ");
                text.push_str(complaint);
            }
        }
        text
    }
}

/// Why more nodes than voters found no group.
pub(super) fn too_many(seen: &[Name], voters: u32) -> String {
    format!(
        "{} are more nodes than the {voters} voters that the group is to have, and nobody founds \
         it: stop those that don't belong, or start all with a larger --voters",
        names(seen.iter())
    )
}

/// Why nodes can't be one group.
pub(super) fn impossible(error: &MembersError) -> String {
    format!("{error}: each node needs a data folder of its own, and not a copy of another's")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peers::tests::samples::unfounded;

    #[test]
    fn the_same_complaint_is_new_once() {
        let mut roster = Roster::default();
        assert!(roster.complain("n2", "it is late"));
        assert!(!roster.complain("n2", "it is late"));
        assert!(roster.complain("n2", "it is gone"));
        roster.praise("n2");
        assert!(roster.complain("n2", "it is gone"));
        for number in 0..1000 {
            roster.complain(&format!("x{number}"), "it is there");
        }
        assert!(roster.complaints.len() <= COMPLAINTS_MAX);
    }

    #[test]
    fn what_it_waits_for_is_said() {
        let mut roster = Roster::default();
        let check = |roster: &Roster, expected: &str| {
            assert_eq!(roster.waits_for(&roster.gather(&unfounded("n1")), 3), expected);
        };
        check(&roster, "waiting for the group: seen n1 of 3 nodes");
        roster.enter(1, &unfounded("n3"));
        check(&roster, "waiting for the group: seen n1, n3 of 3 nodes");
        roster.complain("n2", "n2 is a stranger");
        check(&roster, "waiting for the group: seen n1, n3 of 3 nodes. n2 is a stranger");
        roster.complain("n3", "n2 is a stranger");
        check(&roster, "waiting for the group: seen n1, n3 of 3 nodes. n2 is a stranger");
        roster.praise("n3");
        roster.praise("n2");
        roster.enter(2, &unfounded("n0"));
        check(&roster, "waiting for n0 to found the group");
        roster.leave(2);
        check(&roster, "waiting for the group: seen n1, n3 of 3 nodes");
        roster.see_founded();
        check(&roster, "waiting to be let into the group, which was founded already");
    }
}
