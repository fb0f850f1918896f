//! The list of runs: what is in it is the index, all else is left over from a crash.
//!
//! The file `index/manifest` is replaced whole: written under another name, synced, renamed. All
//! numbers are little-endian; zeros follow up to a multiple of 4096:
//!
//! | bytes | field |
//! |---|---|
//! | 8 | [`MAGIC`] |
//! | 4 | version |
//! | 4 | number of runs |
//! | 48 | whose index it is: cluster, group, lineage, fingerprint of the hash key |
//! | 8 | the number that the next run gets |
//! | 40 each | runs, oldest first: number, from, to, streams, events |
//! | 4 | CRC-32C of all before |

use quorate_core::id::Position;

use super::block::Fields;
use super::fault::{Damage, Flaw, IndexError, Part};
use super::run::writer::remove_if_there;
use super::run::{Owner, RunInfo};
use crate::buffer::{ALIGNMENT, AlignedBuffer};
use crate::disk::{Access, DiskErrorKind, Done, Durability, FileId, Op};
use crate::io::Io;

/// The first bytes of the manifest.
pub(super) const MAGIC: [u8; 8] = *b"QUORIDX\0";
/// The version of the manifest's layout.
pub(super) const VERSION: u32 = 1;

pub(super) const NAME: &str = "index/manifest";
const NAME_NEW: &str = "index/manifest.new";
const HEAD_BYTES: usize = 72;
const RUN_BYTES: usize = 40;
const CHECKSUM_BYTES: usize = 4;
/// Tiered merges keep the number of runs logarithmic; more are a sign of something else.
const RUNS_MAX: usize = 4096;

/// The runs, oldest first; each starts where the one before it ends, the first at the log's start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Manifest {
    pub(super) next_number: u64,
    pub(super) runs: Vec<RunInfo>,
}

impl Manifest {
    /// Reads the manifest of this folder.
    pub(super) async fn load(io: &Io, owner: &Owner) -> Result<Self, IndexError> {
        let op = Op::Open { name: NAME.into(), access: Access::Direct };
        let (file, bytes) = match io.run(op).await {
            Ok(Done::Opened { file, bytes }) => (file, bytes),
            Ok(done) => unreachable!("an open gave {done:?}"),
            Err(error) if error.kind == DiskErrorKind::NotFound => {
                return Err(damage(Flaw::Missing).into());
            }
            Err(error) => return Err(error.into()),
        };
        let content = read_all(io, file, bytes).await;
        io.run(Op::Close { file }).await?;
        Ok(decode(&content?, owner).map_err(damage)?)
    }

    /// Makes this the manifest of the folder, durably.
    pub(super) async fn store(self, io: Io, owner: Owner) -> Result<(), IndexError> {
        let content = self.encode(&owner);
        let mut buffer = AlignedBuffer::zeroed(content.len().next_multiple_of(ALIGNMENT));
        buffer[..content.len()].copy_from_slice(&content);
        let stored = write_new(&io, buffer).await;
        if stored.is_err() {
            remove_if_there(&io, NAME_NEW.into()).await?;
        }
        stored
    }

    fn encode(&self, owner: &Owner) -> Vec<u8> {
        assert!(self.runs.len() <= RUNS_MAX, "merges bound the number of runs");
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&(self.runs.len() as u32).to_le_bytes());
        owner.encode(&mut bytes);
        bytes.extend_from_slice(&self.next_number.to_le_bytes());
        for run in &self.runs {
            run.encode(&mut bytes);
        }
        bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
        bytes
    }
}

async fn read_all(io: &Io, file: FileId, bytes: u64) -> Result<AlignedBuffer, IndexError> {
    let most = (HEAD_BYTES + RUNS_MAX * RUN_BYTES + CHECKSUM_BYTES).next_multiple_of(ALIGNMENT);
    if bytes == 0 || bytes > most as u64 || !bytes.is_multiple_of(ALIGNMENT as u64) {
        return Err(damage(Flaw::Length).into());
    }
    let buffer = AlignedBuffer::zeroed(bytes as usize);
    match io.run(Op::Read { file, offset: 0, buffer }).await? {
        Done::Transferred(buffer) => Ok(buffer),
        done => unreachable!("a read gave {done:?}"),
    }
}

async fn write_new(io: &Io, buffer: AlignedBuffer) -> Result<(), IndexError> {
    let create = Op::Create { name: NAME_NEW.into(), bytes: buffer.len() as u64 };
    let file = match io.run(create).await? {
        Done::Opened { file, .. } => file,
        done => unreachable!("a create gave {done:?}"),
    };
    let write = Op::Write { file, offset: 0, buffer, durability: Durability::None };
    let written = match io.run(write).await {
        Ok(_) => io.run(Op::Sync { file }).await,
        Err(error) => Err(error),
    };
    io.run(Op::Close { file }).await?;
    written?;
    io.run(Op::Rename { from: NAME_NEW.into(), to: NAME.into() }).await?;
    Ok(())
}

/// Reads a manifest from any bytes.
pub(super) fn decode(bytes: &[u8], owner: &Owner) -> Result<Manifest, Flaw> {
    if bytes.len() < HEAD_BYTES + CHECKSUM_BYTES {
        return Err(Flaw::Length);
    }
    let mut fields = Fields::new(bytes);
    if fields.bytes() != MAGIC || fields.u32() != VERSION {
        return Err(Flaw::Format);
    }
    let count = fields.u32() as usize;
    let end = HEAD_BYTES + count.min(RUNS_MAX) * RUN_BYTES;
    if count > RUNS_MAX || bytes.len() < end + CHECKSUM_BYTES {
        return Err(Flaw::Length);
    }
    if bytes[end..end + CHECKSUM_BYTES] != crc32c::crc32c(&bytes[..end]).to_le_bytes() {
        return Err(Flaw::Checksum);
    }
    if Owner::decode(&mut fields) != *owner {
        return Err(Flaw::Foreign);
    }
    let next_number = fields.u64();
    let runs: Vec<RunInfo> = (0..count).map(|_| RunInfo::decode(&mut fields)).collect();
    let mut end = Position::START;
    for run in &runs {
        if !run.is_plausible() || run.from != end || run.number >= next_number {
            return Err(Flaw::Contradiction);
        }
        end = run.to;
    }
    Ok(Manifest { next_number, runs })
}

fn damage(flaw: Flaw) -> Damage {
    Damage { file: NAME.into(), part: Part::Manifest, block: 0, flaw }
}
