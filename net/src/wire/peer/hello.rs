//! How a link between nodes begins: who they are, which group they are of, and how it is founded.

use quorate_core::id::{ClusterId, DiskId, GroupId, Lineage, NodeId};
use quorate_core::log::entry::LogId;
use quorate_core::member::{MEMBERS_MAX, Member, Members, Name};
use rkyv::{Archive, Deserialize, Serialize};

use super::PeerKind;
use crate::frame::{Frame, WireError};
use crate::wire::{Kind, access, decode_exact, encode};

/// The longest address: a host name of 253 bytes, a colon, and a port.
pub const ADDRESS_BYTES_MAX: usize = 259;
/// The longest version of a program.
pub const VERSION_BYTES_MAX: usize = 64;
/// The longest reason of a refusal.
pub const MESSAGE_BYTES_MAX: usize = 1024;

/// Who a node is, and what it knows of its group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerHello {
    /// [`super::PROTOCOL_VERSION`] of the sender.
    pub protocol: u32,
    /// Version of its program.
    pub version: String,
    /// Its name: the one in its certificate, or it lies.
    pub node: Name,
    /// Where it stands.
    pub zone: Name,
    /// Its disk.
    pub disk: DiskId,
    /// Where clients and other nodes reach it, as `host:port`.
    pub address: String,
    /// How many voters it was told that the group is to have.
    pub voters: u32,
    /// The group that its disk belongs to; `None` where that is empty.
    pub founding: Option<Founding>,
}

/// A group as it was founded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Founding {
    /// Cluster, group and lineage.
    pub log: LogId,
    /// The length of the log's segments: positions are the same on all nodes, so this is, too.
    pub segment_bytes: u32,
    /// All voters.
    pub members: Members,
}

/// What a stream between nodes is for.
#[derive(Archive, Serialize, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lane {
    /// Elections and heartbeats: small, and never behind anything else.
    Control,
    /// New entries, as they are made.
    Replication,
    /// Old entries, for who has fallen behind.
    Bulk,
}

#[derive(Archive, Serialize, Deserialize)]
struct HelloBody {
    protocol: u32,
    voters: u32,
    disk: [u8; 16],
    version: String,
    node: String,
    zone: String,
    address: String,
    founding: Option<FoundingBody>,
}

#[derive(Archive, Serialize, Deserialize)]
struct FoundingBody {
    log: LogBody,
    segment_bytes: u32,
    members: Vec<MemberBody>,
}

#[derive(Archive, Serialize, Deserialize)]
struct LogBody {
    cluster: [u8; 16],
    group: u64,
    lineage: [u8; 16],
}

#[derive(Archive, Serialize, Deserialize)]
struct MemberBody {
    node: u64,
    disk: [u8; 16],
    name: String,
    zone: String,
}

#[derive(Archive, Serialize)]
struct LaneBody {
    lane: Lane,
}

#[derive(Archive, Serialize, Deserialize)]
struct RefusedBody {
    message: String,
}

impl PeerHello {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        assert!(self.version.len() <= VERSION_BYTES_MAX, "a version is short");
        assert!(self.address.len() <= ADDRESS_BYTES_MAX, "an address is short");
        let body = HelloBody {
            protocol: self.protocol,
            voters: self.voters,
            disk: self.disk.to_bytes(),
            version: self.version.clone(),
            node: self.node.to_string(),
            zone: self.zone.to_string(),
            address: self.address.clone(),
            founding: self.founding.as_ref().map(FoundingBody::from),
        };
        encode(out, Kind::Peer(PeerKind::Hello), &body, &[]);
    }

    pub(super) fn decode(frame: &Frame) -> Result<Self, WireError> {
        let body: HelloBody = decode_exact(frame)?;
        let malformed = WireError::Body { kind: frame.kind() };
        if body.version.len() > VERSION_BYTES_MAX || body.address.len() > ADDRESS_BYTES_MAX {
            return Err(malformed);
        }
        let founding = match body.founding {
            None => None,
            Some(founding) => Some(Founding::from_body(founding).ok_or(malformed)?),
        };
        Ok(Self {
            protocol: body.protocol,
            version: body.version,
            node: Name::new(&body.node).map_err(|_| malformed)?,
            zone: Name::new(&body.zone).map_err(|_| malformed)?,
            disk: DiskId::from_bytes(body.disk),
            address: body.address,
            voters: body.voters,
            founding,
        })
    }
}

impl Founding {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        encode(out, Kind::Peer(PeerKind::Found), &FoundingBody::from(self), &[]);
    }

    pub(super) fn decode(frame: &Frame) -> Result<Self, WireError> {
        let body: FoundingBody = decode_exact(frame)?;
        Self::from_body(body).ok_or(WireError::Body { kind: frame.kind() })
    }

    /// `None` where a name is none, or the members make no group in the order of their numbers.
    fn from_body(body: FoundingBody) -> Option<Self> {
        if body.members.len() > MEMBERS_MAX {
            return None;
        }
        let member = |member: &MemberBody| {
            Some(Member {
                node: NodeId::from_wire(member.node),
                disk: DiskId::from_bytes(member.disk),
                name: Name::new(&member.name).ok()?,
                zone: Name::new(&member.zone).ok()?,
            })
        };
        let list: Vec<Member> = body.members.iter().map(member).collect::<Option<_>>()?;
        let members = Members::new(&list).ok()?;
        let (log, segment_bytes) = (body.log.into(), body.segment_bytes);
        (members.as_slice() == list).then_some(Self { log, segment_bytes, members })
    }
}

impl From<&Founding> for FoundingBody {
    fn from(founding: &Founding) -> Self {
        let member = |member: &Member| MemberBody {
            node: member.node.get(),
            disk: member.disk.to_bytes(),
            name: member.name.to_string(),
            zone: member.zone.to_string(),
        };
        let members = founding.members.iter().map(member).collect();
        let segment_bytes = founding.segment_bytes;
        Self { log: (&founding.log).into(), segment_bytes, members }
    }
}

impl From<&LogId> for LogBody {
    fn from(log: &LogId) -> Self {
        let (cluster, lineage) = (log.cluster.to_bytes(), log.lineage.to_bytes());
        Self { cluster, group: log.group.get(), lineage }
    }
}

impl From<LogBody> for LogId {
    fn from(body: LogBody) -> Self {
        Self {
            cluster: ClusterId::from_bytes(body.cluster),
            group: GroupId::from_wire(body.group),
            lineage: Lineage::from_bytes(body.lineage),
        }
    }
}

impl Lane {
    /// Every lane.
    pub const ALL: [Self; 3] = [Self::Control, Self::Replication, Self::Bulk];

    /// What QUIC is told: of two lanes that have something to send, the higher one sends first.
    #[must_use]
    pub const fn priority(self) -> i32 {
        match self {
            Self::Control => 2,
            Self::Replication => 1,
            Self::Bulk => 0,
        }
    }

    pub(super) fn encode(self, out: &mut Vec<u8>) {
        encode(out, Kind::Peer(PeerKind::LaneHello), &LaneBody { lane: self }, &[]);
    }

    pub(super) fn decode(frame: &Frame) -> Result<Self, WireError> {
        let body = access::<ArchivedLaneBody>(frame, |_| 0)?;
        Ok(match body.lane {
            ArchivedLane::Control => Self::Control,
            ArchivedLane::Replication => Self::Replication,
            ArchivedLane::Bulk => Self::Bulk,
        })
    }
}

pub(super) fn encode_founded(out: &mut Vec<u8>, log: &LogId) {
    encode(out, Kind::Peer(PeerKind::Founded), &LogBody::from(log), &[]);
}

pub(super) fn decode_founded(frame: &Frame) -> Result<LogId, WireError> {
    decode_exact::<LogBody>(frame).map(LogId::from)
}

pub(super) fn encode_refused(out: &mut Vec<u8>, message: &str) {
    assert!(message.len() <= MESSAGE_BYTES_MAX, "a reason is short");
    let body = RefusedBody { message: message.to_owned() };
    encode(out, Kind::Peer(PeerKind::Refused), &body, &[]);
}

pub(super) fn decode_refused(frame: &Frame) -> Result<String, WireError> {
    let RefusedBody { message } = decode_exact(frame)?;
    if message.len() > MESSAGE_BYTES_MAX {
        return Err(WireError::Body { kind: frame.kind() });
    }
    Ok(message)
}
