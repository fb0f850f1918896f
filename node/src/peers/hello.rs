//! What two nodes are to each other, by the hellos that they have exchanged.
//!
//! A pure function: both sides come to the same answer, and to the same words where they don't
//! belong together.

use quorate_core::id::NodeId;
use quorate_core::member::{Member, Name};
use quorate_net::wire::peer::{Founding, PeerHello};

use super::refusal::{Refusal, names};

/// What another node is to this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Relation {
    /// This node itself, or a copy of its folder.
    Oneself,
    /// A member of the same group.
    Member(NodeId),
    /// One of them, or both, are not founded yet, and they may come to be of one group.
    Founding,
}

/// Says what the sender of `their` is to the sender of `own`.
///
/// - `certified`: the name in its certificate
///
/// # Errors
///
/// [`Refusal`] where they don't belong together.
pub(super) fn judge(
    own: &PeerHello,
    their: &PeerHello,
    certified: &Name,
) -> Result<Relation, Refusal> {
    if their.node != *certified {
        return Err(Refusal::OtherCertificate { said: their.node, certified: *certified });
    }
    if their.protocol != own.protocol {
        let (ours, theirs) = (own.protocol, their.protocol);
        return Err(Refusal::OtherProtocol { own: own.node, ours, node: their.node, theirs });
    }
    if their.node == own.node {
        return if their.disk == own.disk { Ok(Relation::Oneself) } else { Err(twice(own, their)) };
    }
    match (&own.founding, &their.founding) {
        (None, None) if own.voters != their.voters => {
            let (ours, theirs) = (own.voters, their.voters);
            Err(Refusal::OtherVoters { own: own.node, ours, node: their.node, theirs })
        }
        (None, None) => Ok(Relation::Founding),
        (Some(group), None) | (None, Some(group)) => {
            check_member(group, their)?;
            check_member(group, own)?;
            Ok(Relation::Founding)
        }
        (Some(ours), Some(theirs)) => {
            check_same(own, ours, their, theirs)?;
            check_member(ours, own)?;
            check_member(ours, their).map(|member| Relation::Member(member.node))
        }
    }
}

/// The refusal of another node of the same name.
fn twice(own: &PeerHello, their: &PeerHello) -> Refusal {
    let (node, ours, theirs) = (own.node, own.disk, their.disk);
    Refusal::TwoOfOneName { node, ours, theirs, address: their.address.clone() }
}

/// Checks that two founded nodes are of one group.
pub(super) fn check_same(
    own: &PeerHello,
    ours: &Founding,
    their: &PeerHello,
    theirs: &Founding,
) -> Result<(), Refusal> {
    let (own, node) = (own.node, their.node);
    if ours.log.cluster != theirs.log.cluster || ours.log.group != theirs.log.group {
        let (ours, theirs) = (ours.log.cluster, theirs.log.cluster);
        return Err(Refusal::OtherCluster { own, ours, node, theirs });
    }
    if ours.log.lineage != theirs.log.lineage {
        let (ours, theirs) = (ours.log.lineage, theirs.log.lineage);
        return Err(Refusal::OtherLineage { own, ours, node, theirs });
    }
    // Members never change within a lineage, so that they agree as well.
    Ok(())
}

/// Checks that a node is in a group, with its disk.
pub(super) fn check_member<'a>(
    group: &'a Founding,
    hello: &PeerHello,
) -> Result<&'a Member, Refusal> {
    let member = group.members.by_name(&hello.node);
    let member = member.ok_or_else(|| {
        let members = names(group.members.iter().map(|member| &member.name));
        Refusal::NoMember { node: hello.node, members }
    })?;
    if member.disk == hello.disk {
        return Ok(member);
    }
    Err(Refusal::OtherDisk { node: hello.node, found: hello.disk, expected: member.disk })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peers::tests::samples::{disk, founded, hello, name, other_group, unfounded};

    /// What they are to each other, or the words of the refusal.
    fn check(own: &PeerHello, their: &PeerHello, expected: Result<Relation, &str>) {
        for (one, other) in [(own, their), (their, own)] {
            let judged = judge(one, other, &other.node);
            match (&judged, &expected) {
                (Ok(Relation::Member(node)), Ok(Relation::Member(_))) => {
                    assert_eq!(node.get().to_string(), other.node.as_str()[1..]);
                }
                (Ok(relation), Ok(expected)) => assert_eq!(relation, expected),
                (Err(refusal), Err(words)) => {
                    let text = refusal.to_string();
                    assert!(text.contains(words), "{text:?} does not say {words:?}");
                    assert!(text.len() < 900, "it fits a message: {text}");
                }
                _ => panic!("{judged:?} is not {expected:?}"),
            }
        }
    }

    #[test]
    fn hellos_say_what_nodes_are_to_each_other() {
        let member = Ok(Relation::Member(NodeId::from_wire(1)));
        check(&founded("n1"), &founded("n3"), member);
        check(&unfounded("n1"), &unfounded("n2"), Ok(Relation::Founding));
        check(&founded("n1"), &unfounded("n2"), Ok(Relation::Founding));
        check(&founded("n2"), &founded("n2"), Ok(Relation::Oneself));
        check(&unfounded("n2"), &founded("n2"), Ok(Relation::Oneself));
    }

    #[test]
    fn a_wiped_or_swapped_folder_is_named() {
        let wiped = PeerHello { disk: disk(9), ..unfounded("n2") };
        let words = "n2 has lost its data folder or has another node's: its disk is \
                     09090909-0909-0909-0909-090909090909";
        check(&founded("n1"), &wiped, Err(words));
        let swapped = PeerHello { disk: disk(3), ..founded("n2") };
        check(&founded("n1"), &swapped, Err("goes on without it; bring the folder back"));
    }

    #[test]
    fn nodes_that_are_strangers_are_named() {
        check(&founded("n1"), &unfounded("n9"), Err("n9 is no node of the group"));
        check(&founded("n1"), &unfounded("n9"), Err("founded as n1, n2, n3"));
        check(&founded("n1"), &founded("n9"), Err("n9 is no node of the group"));
        check(&founded("n1"), &other_group("n2", 7, 1), Err("they were founded apart"));
        check(&founded("n1"), &other_group("n2", 1, 7), Err("different histories"));
        let five = PeerHello { voters: 5, ..unfounded("n2") };
        check(&unfounded("n1"), &five, Err("give all nodes the same --voters"));
        let newer = PeerHello { protocol: 2, ..founded("n2") };
        check(&founded("n1"), &newer, Err("run the same version of quorate"));
        let namesake = PeerHello { disk: disk(9), ..unfounded("n1") };
        check(&founded("n1"), &namesake, Err("two nodes are called n1"));
    }

    #[test]
    fn a_name_that_the_certificate_does_not_have_is_refused_first() {
        let theirs = hello("n2", None);
        let refusal = judge(&founded("n1"), &theirs, &name("n3")).unwrap_err().to_string();
        assert!(refusal.contains("says that it is n2, but its certificate is for n3"), "{refusal}");
    }
}
