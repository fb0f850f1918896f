//! What the nodes of a group are founded with and run with.

use quorate_core::id::{ClusterId, DiskId, GroupId, Lineage};
use quorate_core::limits::Limits;
use quorate_core::log::entry::LogId;
use quorate_core::member::{Member, Members, Name};
use quorate_core::timing::Timing;
use quorate_storage::index::IndexLimits;
use quorate_storage::read::ReadLimits;
use quorate_storage::superblock::Identity;

use super::invariants::id_of;

/// The group from outside.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Setup {
    /// The members' names and zones; a node is its place here.
    pub(super) members: Vec<(Name, Name)>,
    /// Where a leader is wanted, the most wanted first.
    pub(super) leader_zones: Vec<Name>,
    pub(super) limits: Limits,
    pub(super) timing: Timing,
    pub(super) index: IndexLimits,
    pub(super) reads: ReadLimits,
    pub(super) tail_bytes_max: u64,
    pub(super) scrub_bytes_per_s: u64,
    /// A node looks at all of its own state after one turn in so many; that takes longer, the more
    /// there is.
    pub(super) check_turns: u64,
}

impl Setup {
    /// As small as can be, so that rare things are common: nodes n1, n2 … in zones z1, z2 …
    pub(super) fn tiny(nodes: usize, wanted_zones: usize) -> Self {
        let member = |number| (numbered("n", number), numbered("z", number));
        Self {
            members: (1..=nodes).map(member).collect(),
            leader_zones: (1..=wanted_zones).map(|zone| numbered("z", zone)).collect(),
            limits: Limits::TINY,
            timing: Timing::TINY,
            index: IndexLimits::TINY,
            reads: ReadLimits::TINY,
            tail_bytes_max: 3 * 4096,
            scrub_bytes_per_s: 1 << 20,
            check_turns: 1,
        }
    }

    /// Timers as a node has them by default, and bounds for the load of a scenario: smaller than a
    /// node's where all that they cost is memory of the simulator.
    pub(super) fn production(members: Vec<(Name, Name)>, leader_zones: Vec<Name>) -> Self {
        let limits = Limits {
            event_bytes_max: 1 << 20,
            append_bytes_max: 2 << 20,
            entry_bytes_target: 512 << 10,
            segment_bytes: 4 << 20,
            recent_ids_max: 1 << 13,
            ..Limits::PRODUCTION
        };
        Self {
            members,
            leader_zones,
            limits: limits.checked(),
            timing: Timing::PRODUCTION,
            index: IndexLimits::PRODUCTION,
            reads: ReadLimits::PRODUCTION,
            tail_bytes_max: 8 << 20,
            scrub_bytes_per_s: 16 << 20,
            check_turns: 64,
        }
    }

    /// Who a node is from its founding on.
    pub(super) fn identity(&self, index: usize) -> Identity {
        let member = |(index, (name, zone)): (usize, &(Name, Name))| Member {
            node: id_of(index),
            disk: disk_of(index),
            name: *name,
            zone: *zone,
        };
        let members: Vec<Member> = self.members.iter().enumerate().map(member).collect();
        Identity {
            log: LogId {
                cluster: ClusterId::from_bytes([1; 16]),
                group: GroupId::from_wire(1),
                lineage: Lineage::from_bytes([2; 16]),
            },
            node: id_of(index),
            disk: disk_of(index),
            segment_bytes: self.limits.segment_bytes,
            stream_key: [4; 16],
            members: Members::new(&members).expect("they differ, and are few"),
        }
    }
}

fn disk_of(index: usize) -> DiskId {
    DiskId::from_bytes([10 + index as u8; 16])
}

fn numbered(prefix: &str, number: usize) -> Name {
    Name::new(&format!("{prefix}{number}")).expect("it is short and plain")
}
