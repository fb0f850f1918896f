//! Who belongs to a group: each member's number, disk, name and zone.
//!
//! Fixed when the group is founded. All of it has a size known beforehand, so that it can be copied,
//! compared, and kept in one sector of the superblock.

use core::fmt;

use crate::id::{DiskId, NodeId};

/// Members that a group has at most.
pub const MEMBERS_MAX: usize = 7;
/// The length of a name at most.
pub const NAME_BYTES_MAX: usize = 32;

/// The name of a node or of a zone: 1 to 32 letters, digits, `-`, `_` and `.`, all ASCII.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Name {
    length: u8,
    /// Zeros behind the length, so that the same names are the same bytes.
    bytes: [u8; NAME_BYTES_MAX],
}

/// Why a text is no [`Name`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameError {
    /// It has no letters.
    Empty,
    /// It has too many bytes.
    TooLong {
        /// As many.
        bytes: usize,
    },
    /// It has a byte that can't be in a name.
    Character {
        /// How many bytes come before it.
        at: usize,
    },
}

impl Name {
    /// Takes a text as a name.
    ///
    /// # Errors
    ///
    /// [`NameError`] says what keeps it from being one.
    pub const fn new(text: &str) -> Result<Self, NameError> {
        let text = text.as_bytes();
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if text.len() > NAME_BYTES_MAX {
            return Err(NameError::TooLong { bytes: text.len() });
        }
        let mut bytes = [0; NAME_BYTES_MAX];
        let mut at = 0;
        while at < text.len() {
            let byte = text[at];
            if !(byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')) {
                return Err(NameError::Character { at });
            }
            bytes[at] = byte;
            at += 1;
        }
        Ok(Self { length: text.len() as u8, bytes })
    }

    /// The name as text.
    ///
    /// # Panics
    ///
    /// Never: a name is ASCII.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let bytes = &self.bytes[..usize::from(self.length)];
        core::str::from_utf8(bytes).expect("only ASCII is let in")
    }
}

impl core::str::FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::new(text)
    }
}

impl Ord for Name {
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(self.as_str())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Name({self})")
    }
}

impl fmt::Display for NameError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => out.write_str("a name has at least one letter"),
            Self::TooLong { bytes } => {
                write!(out, "a name has at most {NAME_BYTES_MAX} bytes, not {bytes}")
            }
            Self::Character { at } => write!(
                out,
                "a name has only ASCII letters, digits, '-', '_' and '.', unlike at byte {at}"
            ),
        }
    }
}

impl core::error::Error for NameError {}

/// One node of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its number.
    pub node: NodeId,
    /// The disk that it was founded with.
    pub disk: DiskId,
    /// What people call it.
    pub name: Name,
    /// Where it stands: nodes of one zone may fail together.
    pub zone: Name,
}

/// The nodes of a group, in the order of their numbers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Members {
    count: u8,
    /// Behind the count, the last one again and again: nothing looks there.
    all: [Member; MEMBERS_MAX],
}

/// Why some nodes make no group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MembersError {
    /// There is none.
    Empty,
    /// There are too many.
    TooMany {
        /// As many.
        count: usize,
    },
    /// Two have the same number, disk or name.
    Twice {
        /// The number of the second of them.
        node: NodeId,
    },
}

impl Members {
    /// The members of a group of one.
    #[must_use]
    pub const fn alone(member: Member) -> Self {
        Self { count: 1, all: [member; MEMBERS_MAX] }
    }

    /// A group of one that was founded on this disk: node 1, `n1` in zone `z1`.
    #[must_use]
    pub const fn of_one(disk: DiskId) -> Self {
        let (Ok(name), Ok(zone)) = (Name::new("n1"), Name::new("z1")) else {
            panic!("both are names")
        };
        Self::alone(Member { node: NodeId::from_wire(1), disk, name, zone })
    }

    /// Takes members, in any order.
    ///
    /// # Errors
    ///
    /// [`MembersError`] where there are none, too many, or one twice.
    pub fn new(members: &[Member]) -> Result<Self, MembersError> {
        let Some(last) = members.iter().max_by_key(|member| member.node) else {
            return Err(MembersError::Empty);
        };
        if members.len() > MEMBERS_MAX {
            return Err(MembersError::TooMany { count: members.len() });
        }
        let mut all = [*last; MEMBERS_MAX];
        all[..members.len()].copy_from_slice(members);
        all[..members.len()].sort_unstable_by_key(|member| member.node);
        let made = Self { count: members.len() as u8, all };
        for (number, member) in made.iter().enumerate() {
            let same = |other: &&Member| {
                other.node == member.node || other.disk == member.disk || other.name == member.name
            };
            if made.iter().take(number).any(|other| same(&other)) {
                return Err(MembersError::Twice { node: member.node });
            }
        }
        Ok(made)
    }

    /// All of them, in the order of their numbers.
    pub fn iter(&self) -> core::slice::Iter<'_, Member> {
        self.as_slice().iter()
    }

    /// All of them, in the order of their numbers.
    #[must_use]
    pub fn as_slice(&self) -> &[Member] {
        &self.all[..usize::from(self.count)]
    }

    /// The member with this number.
    #[must_use]
    pub fn get(&self, node: NodeId) -> Option<&Member> {
        self.iter().find(|member| member.node == node)
    }

    /// The member with this name.
    #[must_use]
    pub fn by_name(&self, name: &Name) -> Option<&Member> {
        self.iter().find(|member| member.name == *name)
    }

    /// How many there are: at least one.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a group is never empty")]
    pub const fn len(&self) -> usize {
        self.count as usize
    }
}

impl<'a> IntoIterator for &'a Members {
    type Item = &'a Member;
    type IntoIter = core::slice::Iter<'a, Member>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Debug for Members {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_list().entries(self).finish()
    }
}

impl fmt::Display for MembersError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => out.write_str("a group has at least one member"),
            Self::TooMany { count } => {
                write!(out, "a group has at most {MEMBERS_MAX} members, not {count}")
            }
            Self::Twice { node } => {
                write!(out, "node {node} has the number, disk or name of another member")
            }
        }
    }
}

impl core::error::Error for MembersError {}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::string::ToString;
    use alloc::vec::Vec;

    use super::*;

    fn member(number: u8) -> Member {
        Member {
            node: NodeId::from_wire(u64::from(number)),
            disk: DiskId::from_bytes([number; 16]),
            name: Name::new(&format!("n{number}")).unwrap(),
            zone: Name::new("z1").unwrap(),
        }
    }

    #[test]
    fn a_name_is_a_short_word() {
        for text in ["n", "n1", "a-b_c.D9", &"x".repeat(32)] {
            assert_eq!(Name::new(text).unwrap().as_str(), text);
            assert_eq!(text.parse::<Name>().unwrap().to_string(), text);
        }
        assert_eq!(Name::new(""), Err(NameError::Empty));
        assert_eq!(Name::new(&"x".repeat(33)), Err(NameError::TooLong { bytes: 33 }));
        for (text, at) in [("a b", 1), ("é", 0), ("ab/", 2), ("a\0", 1)] {
            assert_eq!(Name::new(text), Err(NameError::Character { at }), "{text}");
        }
        assert!(Name::new("n10").unwrap() < Name::new("n2").unwrap(), "as text");
        assert_eq!(format!("{:>4}", Name::new("n2").unwrap()), "  n2");
    }

    #[test]
    fn members_are_in_the_order_of_their_numbers() {
        let members = Members::new(&[member(3), member(1), member(2)]).unwrap();
        let numbers: Vec<u64> = members.iter().map(|member| member.node.get()).collect();
        assert_eq!(numbers, [1, 2, 3]);
        assert_eq!(members.len(), 3);
        assert_eq!(members.get(NodeId::from_wire(2)), Some(&member(2)));
        assert_eq!(members.get(NodeId::from_wire(4)), None);
        assert_eq!(members.by_name(&member(3).name), Some(&member(3)));
        assert_eq!(members, Members::new(&[member(1), member(2), member(3)]).unwrap());
        assert_eq!(Members::alone(member(9)), Members::new(&[member(9)]).unwrap());
    }

    #[test]
    fn nobody_is_a_member_twice() {
        let node = NodeId::from_wire(2);
        for other in [
            Member { node: member(1).node, ..member(2) },
            Member { disk: member(1).disk, ..member(2) },
            Member { name: member(1).name, ..member(2) },
        ] {
            let error = Members::new(&[member(1), other]).unwrap_err();
            assert!(matches!(error, MembersError::Twice { .. }), "{error}");
        }
        let shared_zone = Members::new(&[member(1), member(2)]).unwrap();
        assert!(shared_zone.get(node).is_some());
        assert_eq!(Members::new(&[]), Err(MembersError::Empty));
        let eight: Vec<Member> = (1..9).map(member).collect();
        assert_eq!(Members::new(&eight), Err(MembersError::TooMany { count: 8 }));
    }
}
