//! What a node tells its clients of the group: who its members are and who leads.

use rkyv::{Archive, Deserialize, Serialize};

/// The most members that a group has.
pub const MEMBERS_MAX: usize = 7;
/// The longest name of a node or of a zone, in bytes.
pub const NAME_BYTES_MAX: usize = 32;
/// The longest address of a member, in bytes: a host's name, a colon and a port.
pub const ADDRESS_BYTES_MAX: usize = 255;

/// Who leads, and since which reign: of two hints, the one of the higher epoch is newer.
#[derive(Archive, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LeaderHint {
    /// The leader's reign.
    pub epoch: u64,
    /// The node that leads.
    pub node: u64,
}

/// A member of the group, and where clients reach it.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Eq, Hash)]
pub struct MemberAddress {
    /// The node within the cluster.
    pub node: u64,
    /// Its name.
    pub name: String,
    /// The zone that it stands in.
    pub zone: String,
    /// `host:port`; empty where it is not known.
    pub address: String,
}

/// Whether a list of members keeps to the bounds.
pub(super) fn are_within_bounds(members: &[MemberAddress]) -> bool {
    let fits = |member: &MemberAddress| {
        member.name.len() <= NAME_BYTES_MAX
            && member.zone.len() <= NAME_BYTES_MAX
            && member.address.len() <= ADDRESS_BYTES_MAX
    };
    members.len() <= MEMBERS_MAX && members.iter().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: usize, zone: usize, address: usize) -> MemberAddress {
        let text = |bytes| "a".repeat(bytes);
        MemberAddress { node: 1, name: text(name), zone: text(zone), address: text(address) }
    }

    #[test]
    fn lists_of_members_are_bounded() {
        assert!(are_within_bounds(&[]));
        assert!(are_within_bounds(&vec![member(32, 32, 255); 7]));
        assert!(!are_within_bounds(&vec![member(1, 1, 1); 8]));
        for (name, zone, address) in [(33, 1, 1), (1, 33, 1), (1, 1, 256)] {
            assert!(!are_within_bounds(&[member(name, zone, address)]));
        }
    }
}
