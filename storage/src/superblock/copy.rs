//! One copy of the superblock's state, as bytes. Numbers are little-endian.
//!
//! | field | bytes | what |
//! |---|---|---|
//! | `MAGIC` | 8 | `QrtSuper` |
//! | `VERSION` | 4 | [`FORMAT_VERSION`]; magic and version stay where they are in every format |
//! | `COPY` | 4 | which copy this is: one that lies elsewhere was misdirected |
//! | `SEQUENCE` | 8 | grows by one with each change |
//! | `PARENT` | 32 | the hash of the state before it |
//! | `CLUSTER` | 16 | |
//! | `GROUP` | 8 | |
//! | `LINEAGE` | 16 | |
//! | `NODE` | 8 | |
//! | `DISK` | 16 | |
//! | `EPOCH` | 8 | |
//! | `VOTED` | 8 | 1 where there is a vote, 0 where not |
//! | `VOTED_FOR` | 8 | who got it; 0 without |
//! | `SEGMENT_BYTES` | 8 | |
//! | `STREAM_KEY` | 16 | |
//! | `MEMBERS` | 8 | how many members the group has: 1 to 7 |
//! | `MEMBER` | 96 each | in the order of their numbers; zeros behind the last |
//! | zeros | | |
//! | `CHECKSUM` | 32 | BLAKE3 over all bytes before it |
//!
//! A member:
//!
//! | bytes | what |
//! |---|---|
//! | 8 | node |
//! | 16 | disk |
//! | 4 | length of the name |
//! | 4 | length of the zone's name |
//! | 32 | name, then zeros |
//! | 32 | zone, then zeros |

use std::ops::Range;

use quorate_core::id::{ClusterId, DiskId, Epoch, GroupId, Lineage, NodeId};
use quorate_core::input::HardState;
use quorate_core::log::entry::LogId;
use quorate_core::member::{MEMBERS_MAX, Member, Members, NAME_BYTES_MAX, Name};

use super::{COPIES, Identity};

/// How much room a copy takes.
pub const COPY_BYTES: usize = 4096;
/// The format that this program writes, and the newest that it reads.
pub const FORMAT_VERSION: u32 = 1;

const MAGIC_BYTES: [u8; 8] = *b"QrtSuper";

const MAGIC: Range<usize> = 0..8;
const VERSION: Range<usize> = after(&MAGIC, 4);
const COPY: Range<usize> = after(&VERSION, 4);
const SEQUENCE: Range<usize> = after(&COPY, 8);
const PARENT: Range<usize> = after(&SEQUENCE, 32);
const CLUSTER: Range<usize> = after(&PARENT, 16);
const GROUP: Range<usize> = after(&CLUSTER, 8);
const LINEAGE: Range<usize> = after(&GROUP, 16);
const NODE: Range<usize> = after(&LINEAGE, 8);
const DISK: Range<usize> = after(&NODE, 16);
const EPOCH: Range<usize> = after(&DISK, 8);
const VOTED: Range<usize> = after(&EPOCH, 8);
const VOTED_FOR: Range<usize> = after(&VOTED, 8);
const SEGMENT_BYTES: Range<usize> = after(&VOTED_FOR, 8);
const STREAM_KEY: Range<usize> = after(&SEGMENT_BYTES, 16);
const MEMBERS: Range<usize> = after(&STREAM_KEY, 8);
const ALL_MEMBERS: Range<usize> = after(&MEMBERS, MEMBERS_MAX * MEMBER_BYTES);
const CHECKSUM: Range<usize> = COPY_BYTES - 32..COPY_BYTES;

const MEMBER_BYTES: usize = 32 + 2 * NAME_BYTES_MAX;

/// What is the same in all copies of one state.
const STATE: Range<usize> = SEQUENCE.start..CHECKSUM.start;

const _: () = assert!(ALL_MEMBERS.end <= CHECKSUM.start, "all fields fit");

const fn after(field: &Range<usize>, bytes: usize) -> Range<usize> {
    field.end..field.end + bytes
}

/// All that a copy says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    /// Grows by one with each change.
    pub sequence: u64,
    /// The hash of the state before it; zeros for the first.
    pub parent: [u8; 32],
    /// What never changes.
    pub identity: Identity,
    /// What the node has promised.
    pub hard_state: HardState,
}

/// Why a copy can't be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CopyFault {
    /// Nothing but zeros.
    #[error("blank")]
    Blank,
    /// It does not start with the magic bytes.
    #[error("not a superblock")]
    Magic,
    /// A newer program has written it.
    #[error("of the newer format {version}")]
    NewerFormat {
        /// The format it says it is of.
        version: u32,
    },
    /// Its checksum does not hold.
    #[error("damaged")]
    Checksum,
    /// A copy that belongs elsewhere.
    #[error("misdirected: it is copy {number}")]
    Misdirected {
        /// Which copy it is.
        number: u32,
    },
    /// Whole, but saying what no program writes.
    #[error("whole, but its {field} makes no sense")]
    Field {
        /// Which field.
        field: &'static str,
    },
    /// The disk failed to read it.
    #[error("unreadable")]
    ReadFailed,
    /// The file is not as long as four copies.
    #[error("in a file of {bytes} bytes")]
    FileLength {
        /// Its length.
        bytes: u64,
    },
}

impl State {
    /// The state of a folder that is just being founded.
    pub(super) fn first(identity: Identity) -> Self {
        Self { sequence: 1, parent: [0; 32], identity, hard_state: HardState::default() }
    }

    /// The next state.
    pub(super) fn followed_by(&self, hard_state: HardState) -> Self {
        let mut bytes = [0; COPY_BYTES];
        self.encode(0, &mut bytes);
        let parent = *blake3::hash(&bytes[STATE]).as_bytes();
        Self { sequence: self.sequence + 1, parent, identity: self.identity, hard_state }
    }

    /// Writes it as this copy.
    pub(super) fn encode(&self, copy: usize, bytes: &mut [u8; COPY_BYTES]) {
        assert!(copy < COPIES, "there is such a copy");
        let mut put = |field: Range<usize>, value: &[u8]| bytes[field].copy_from_slice(value);
        let Identity { log, node, disk, segment_bytes, stream_key, members } = &self.identity;
        let HardState { epoch, voted_for } = self.hard_state;
        put(MAGIC, &MAGIC_BYTES);
        put(VERSION, &FORMAT_VERSION.to_le_bytes());
        put(COPY, &(copy as u32).to_le_bytes());
        put(SEQUENCE, &self.sequence.to_le_bytes());
        put(PARENT, &self.parent);
        put(CLUSTER, &log.cluster.to_bytes());
        put(GROUP, &log.group.get().to_le_bytes());
        put(LINEAGE, &log.lineage.to_bytes());
        put(NODE, &node.get().to_le_bytes());
        put(DISK, &disk.to_bytes());
        put(EPOCH, &epoch.get().to_le_bytes());
        put(VOTED, &u64::from(voted_for.is_some()).to_le_bytes());
        put(VOTED_FOR, &voted_for.map_or(0, NodeId::get).to_le_bytes());
        put(SEGMENT_BYTES, &u64::from(*segment_bytes).to_le_bytes());
        put(STREAM_KEY, stream_key);
        put(MEMBERS, &(members.len() as u64).to_le_bytes());
        bytes[MEMBERS.end..CHECKSUM.start].fill(0);
        for (member, into) in members.iter().zip(bytes[ALL_MEMBERS].chunks_exact_mut(MEMBER_BYTES))
        {
            put_member(into, member);
        }
        let checksum = blake3::hash(&bytes[..CHECKSUM.start]);
        bytes[CHECKSUM].copy_from_slice(checksum.as_bytes());
    }

    /// Reads what lies where this copy should be.
    pub(super) fn decode(copy: usize, bytes: &[u8; COPY_BYTES]) -> Result<Self, CopyFault> {
        if bytes.iter().all(|byte| *byte == 0) {
            return Err(CopyFault::Blank);
        }
        if bytes[MAGIC] != MAGIC_BYTES {
            return Err(CopyFault::Magic);
        }
        let version = u32::from_le_bytes(array(bytes, VERSION));
        if version > FORMAT_VERSION {
            return Err(CopyFault::NewerFormat { version });
        }
        if bytes[CHECKSUM] != *blake3::hash(&bytes[..CHECKSUM.start]).as_bytes() {
            return Err(CopyFault::Checksum);
        }
        let number = u32::from_le_bytes(array(bytes, COPY));
        if number as usize != copy {
            return Err(CopyFault::Misdirected { number });
        }
        let voted_for = NodeId::from_wire(number64(bytes, VOTED_FOR));
        let voted_for = match number64(bytes, VOTED) {
            0 => None,
            1 => Some(voted_for),
            _ => return Err(CopyFault::Field { field: "vote" }),
        };
        let segment_bytes = u32::try_from(number64(bytes, SEGMENT_BYTES))
            .map_err(|_| CopyFault::Field { field: "segment size" })?;
        let identity = Identity {
            log: LogId {
                cluster: ClusterId::from_bytes(array(bytes, CLUSTER)),
                group: GroupId::from_wire(number64(bytes, GROUP)),
                lineage: Lineage::from_bytes(array(bytes, LINEAGE)),
            },
            node: NodeId::from_wire(number64(bytes, NODE)),
            disk: DiskId::from_bytes(array(bytes, DISK)),
            segment_bytes,
            stream_key: array(bytes, STREAM_KEY),
            members: members(bytes).ok_or(CopyFault::Field { field: "list of members" })?,
        };
        if !identity.is_member() {
            return Err(CopyFault::Field { field: "node" });
        }
        Ok(Self {
            sequence: number64(bytes, SEQUENCE),
            parent: array(bytes, PARENT),
            identity,
            hard_state: HardState { epoch: Epoch::from_wire(number64(bytes, EPOCH)), voted_for },
        })
    }
}

fn put_member(into: &mut [u8], member: &Member) {
    let Member { node, disk, name, zone } = member;
    let (name, zone) = (name.as_str().as_bytes(), zone.as_str().as_bytes());
    into[0..8].copy_from_slice(&node.get().to_le_bytes());
    into[8..24].copy_from_slice(&disk.to_bytes());
    into[24..28].copy_from_slice(&(name.len() as u32).to_le_bytes());
    into[28..32].copy_from_slice(&(zone.len() as u32).to_le_bytes());
    into[32..][..name.len()].copy_from_slice(name);
    into[32 + NAME_BYTES_MAX..][..zone.len()].copy_from_slice(zone);
}

/// The members, where they are such as [`State::encode`] writes.
fn members(bytes: &[u8; COPY_BYTES]) -> Option<Members> {
    let count = usize::try_from(number64(bytes, MEMBERS)).ok()?;
    let (used, unused) = bytes[ALL_MEMBERS].split_at_checked(count.checked_mul(MEMBER_BYTES)?)?;
    let found: Vec<Member> = used.chunks_exact(MEMBER_BYTES).map(member).collect::<Option<_>>()?;
    let members = Members::new(&found).ok()?;
    let is_canonical = members.as_slice() == found && unused.iter().all(|byte| *byte == 0);
    is_canonical.then_some(members)
}

fn member(bytes: &[u8]) -> Option<Member> {
    let (lengths, names) = (&bytes[24..32], &bytes[32..]);
    let (name, zone) = names.split_at(NAME_BYTES_MAX);
    Some(Member {
        node: NodeId::from_wire(u64::from_le_bytes(*bytes.first_chunk()?)),
        disk: DiskId::from_bytes(*bytes[8..].first_chunk()?),
        name: name_in(name, *lengths.first_chunk()?)?,
        zone: name_in(zone, *lengths[4..].first_chunk()?)?,
    })
}

fn name_in(bytes: &[u8], length: [u8; 4]) -> Option<Name> {
    let (name, unused) = bytes.split_at_checked(u32::from_le_bytes(length) as usize)?;
    let name = Name::new(str::from_utf8(name).ok()?).ok()?;
    unused.iter().all(|byte| *byte == 0).then_some(name)
}

fn number64(bytes: &[u8; COPY_BYTES], field: Range<usize>) -> u64 {
    u64::from_le_bytes(array(bytes, field))
}

fn array<const BYTES: usize>(bytes: &[u8; COPY_BYTES], field: Range<usize>) -> [u8; BYTES] {
    bytes[field].try_into().expect("the field is as long as its type")
}
