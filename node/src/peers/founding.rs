//! How nodes come to be a group: one of them founds it, once, and the others take it up.
//!
//! The node whose name sorts first founds, when it sees all voters at once and none of them belongs
//! to a group. It draws the ids, makes its superblock durable, and only then tells the others; each
//! of those takes the record up if it holds its own name and its own disk, makes its superblock
//! durable, and passes the record on to whoever still lacks it.
//!
//! What a crash leaves, at each point:
//!
//! | what is durable | who crashes | what happens |
//! |---|---|---|
//! | nothing | anyone | it comes back with the same disk id or, if it has lost its folder before anybody was told of a group, with another; nobody was founded, so all begin anew |
//! | the founder's superblock | the founder, before it has told anyone | the others wait; it comes back as founded and tells them. If its folder is lost, so is a group that never had a majority, and its new disk founds another |
//! | the founder's and one other's | the founder | the other passes the record on; two of three are a majority, and the group lives. The founder comes back as a member, or with an empty folder as a stranger with a member's name, which is refused |
//! | the founder's and one other's | that other, with its folder lost | its new disk is not in the record: it is refused, and can't vote under the name of a disk that has promised something |
//! | all | anyone | a node that comes back finds itself founded |
//!
//! A second group can't come into being beside the first: it needs all voters unfounded at once, and
//! whoever is founded says so in its hello. A wiped node can't found, either: it sees the others
//! founded, or does not see them all.

use quorate_core::id::NodeId;
use quorate_core::member::{Member, Members, MembersError, Name};
use quorate_net::wire::peer::PeerHello;

/// What a node that belongs to no group can do now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Gathering {
    /// There is a group already, and it will be told of it.
    Elsewhere,
    /// Not all voters are there: these are, itself included.
    Waiting(Vec<Name>),
    /// All are there, and the one with this name founds.
    NotFirst(Name),
    /// More nodes are there than the group is to have: these.
    TooMany(Vec<Name>),
    /// They can't be one group.
    Impossible(MembersError),
    /// It founds a group of these.
    Found(Box<Members>),
}

/// Decides whether a node founds.
///
/// - `own`: its own hello, unfounded
/// - `unfounded`: the hellos of other nodes that are there now and unfounded
/// - `founded_seen`: whether any node that belongs to a group was ever seen
pub(super) fn gather<'a>(
    own: &'a PeerHello,
    unfounded: impl Iterator<Item = &'a PeerHello>,
    founded_seen: bool,
) -> Gathering {
    if founded_seen {
        return Gathering::Elsewhere;
    }
    let mut all: Vec<&PeerHello> = unfounded.chain([own]).collect();
    all.sort_unstable_by_key(|hello| hello.node);
    all.dedup_by_key(|hello| hello.node);
    let names = || all.iter().map(|hello| hello.node).collect();
    if all.len() < own.voters as usize || all.iter().any(|hello| hello.voters != own.voters) {
        return Gathering::Waiting(names());
    }
    if all.len() > own.voters as usize {
        return Gathering::TooMany(names());
    }
    let first = all[0].node;
    if first != own.node {
        return Gathering::NotFirst(first);
    }
    let member = |(number, hello): (u64, &&PeerHello)| Member {
        node: NodeId::from_wire(number),
        disk: hello.disk,
        name: hello.node,
        zone: hello.zone,
    };
    let members: Vec<Member> = (1..).zip(&all).map(member).collect();
    match Members::new(&members) {
        Ok(members) => Gathering::Found(Box::new(members)),
        Err(error) => Gathering::Impossible(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peers::tests::samples::{disk, name, unfounded};

    /// What the first of these does when it sees the others.
    fn check(nodes: &[&str], expected: &Gathering) {
        let others: Vec<PeerHello> = nodes[1..].iter().map(|node| unfounded(node)).collect();
        assert_eq!(gather(&unfounded(nodes[0]), others.iter(), false), *expected, "{nodes:?}");
    }

    fn names(all: &[&str]) -> Vec<Name> {
        all.iter().map(|one| name(one)).collect()
    }

    #[test]
    fn the_first_by_name_founds_when_all_are_there() {
        check(&["n1"], &Gathering::Waiting(names(&["n1"])));
        check(&["n1", "n3"], &Gathering::Waiting(names(&["n1", "n3"])));
        check(&["n1", "n3", "n3"], &Gathering::Waiting(names(&["n1", "n3"])));
        check(&["n2", "n1", "n3"], &Gathering::NotFirst(name("n1")));
        check(&["n3", "n1", "n2"], &Gathering::NotFirst(name("n1")));
        check(&["n1", "n2", "n3", "n4"], &Gathering::TooMany(names(&["n1", "n2", "n3", "n4"])));
    }

    #[test]
    fn members_are_numbered_in_the_order_of_their_names() {
        let others = [unfounded("n3"), unfounded("n2")];
        let Gathering::Found(members) = gather(&unfounded("n1"), others.iter(), false) else {
            panic!("n1 founds");
        };
        let shown: Vec<String> =
            members.iter().map(|it| format!("{} {} {}", it.node, it.name, it.zone)).collect();
        assert_eq!(shown, ["1 n1 z1", "2 n2 z2", "3 n3 z3"]);
        assert_eq!(members.get(NodeId::from_wire(2)).unwrap().disk, disk(2));
    }

    #[test]
    fn nobody_founds_beside_a_group() {
        let others = [unfounded("n2"), unfounded("n3")];
        assert_eq!(gather(&unfounded("n1"), others.iter(), true), Gathering::Elsewhere);
    }

    #[test]
    fn nodes_that_were_told_different_sizes_are_no_group() {
        let others = [unfounded("n2"), PeerHello { voters: 2, ..unfounded("n3") }];
        let all = Gathering::Waiting(names(&["n1", "n2", "n3"]));
        assert_eq!(gather(&unfounded("n1"), others.iter(), false), all);
    }

    #[test]
    fn a_copied_folder_is_no_second_node() {
        let others = [unfounded("n2"), PeerHello { disk: disk(2), ..unfounded("n3") }];
        let gathered = gather(&unfounded("n1"), others.iter(), false);
        let node = NodeId::from_wire(3);
        assert_eq!(gathered, Gathering::Impossible(MembersError::Twice { node }));
    }
}
