//! Hellos of a group of three, `n1` to `n3`, each with the disk of its number.

use quorate_core::id::{ClusterId, DiskId, GroupId, Lineage, NodeId};
use quorate_core::log::entry::LogId;
use quorate_core::member::{Member, Members, Name};
use quorate_net::wire::peer::{Founding, PROTOCOL_VERSION, PeerHello};

pub(crate) fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

pub(crate) fn disk(number: u8) -> DiskId {
    DiskId::from_bytes([number; 16])
}

pub(crate) fn node(number: u64) -> NodeId {
    NodeId::from_wire(number)
}

/// The number in a node's name.
pub(crate) fn number(node: &str) -> u8 {
    node[1..].parse().unwrap()
}

pub(crate) fn founding(cluster: u8, lineage: u8) -> Founding {
    let member = |number: u8| Member {
        node: NodeId::from_wire(number.into()),
        disk: disk(number),
        name: name(&format!("n{number}")),
        zone: name(&format!("z{number}")),
    };
    Founding {
        log: LogId {
            cluster: ClusterId::from_bytes([cluster; 16]),
            group: GroupId::from_wire(1),
            lineage: Lineage::from_bytes([lineage; 16]),
        },
        segment_bytes: 1 << 20,
        members: Members::new(&[member(1), member(2), member(3)]).unwrap(),
    }
}

pub(crate) fn hello(node: &str, founding: Option<Founding>) -> PeerHello {
    PeerHello {
        protocol: PROTOCOL_VERSION,
        version: "0.1.0".into(),
        node: name(node),
        zone: name(&format!("z{}", number(node))),
        disk: disk(number(node)),
        address: format!("{node}.example:2113"),
        voters: 3,
        founding,
    }
}

pub(crate) fn unfounded(node: &str) -> PeerHello {
    hello(node, None)
}

pub(crate) fn founded(node: &str) -> PeerHello {
    other_group(node, 1, 1)
}

pub(crate) fn other_group(node: &str, cluster: u8, lineage: u8) -> PeerHello {
    hello(node, Some(founding(cluster, lineage)))
}
