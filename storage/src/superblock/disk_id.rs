//! The disk's id before there is a superblock: a node that waits for its group to be founded tells the
//! others which disk it will be, and must still be that one after a restart.
//!
//! The file `disk-id` is one sector:
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 8 | magic `QrtDskId` |
//! | 8 | 4 | checksum: CRC-32C of bytes 12..4096 |
//! | 12 | 4 | zero |
//! | 16 | 16 | the id |
//! | 32 | 4064 | zero |
//!
//! Once the folder is founded, the superblock has the id, and this file is of no use any more.

use quorate_core::id::DiskId;

use super::{SuperblockError, opened};
use crate::buffer::AlignedBuffer;
use crate::disk::{Access, DiskErrorKind, Done, Durability, Op};
use crate::io::Io;

const NAME: &str = "disk-id";
/// What it is called until it is complete.
const NAME_NEW: &str = "disk-id.new";
const MAGIC: [u8; 8] = *b"QrtDskId";
const BYTES: usize = 4096;

/// The id of a disk that is not founded yet: the one that it was given before, else one of these
/// random bytes, which it then keeps.
///
/// # Errors
///
/// [`SuperblockError::DiskIdUnreadable`], or where the disk fails.
pub async fn read_or_make_disk_id(io: &Io, random: [u8; 16]) -> Result<DiskId, SuperblockError> {
    if let Some(found) = read(io).await? {
        return Ok(found);
    }
    let id = DiskId::from_bytes(random);
    let (file, _) =
        opened(io.run(Op::Create { name: NAME_NEW.into(), bytes: BYTES as u64 }).await?);
    let (buffer, durability) = (encode(id), Durability::Durable);
    io.run(Op::Write { file, offset: 0, buffer, durability }).await?;
    io.run(Op::Sync { file }).await?;
    io.run(Op::Close { file }).await?;
    io.run(Op::Rename { from: NAME_NEW.into(), to: NAME.into() }).await?;
    Ok(id)
}

/// The id that the disk was given before, if any.
pub(super) async fn read(io: &Io) -> Result<Option<DiskId>, SuperblockError> {
    let opening = io.run(Op::Open { name: NAME.into(), access: Access::Direct }).await;
    let (file, bytes) = match opening {
        Ok(done) => opened(done),
        Err(error) if error.kind == DiskErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let found = if bytes == BYTES as u64 {
        let buffer = AlignedBuffer::zeroed(BYTES);
        let Done::Transferred(sector) = io.run(Op::Read { file, offset: 0, buffer }).await? else {
            unreachable!("a read gives its buffer back")
        };
        decode(&sector)
    } else {
        None
    };
    io.run(Op::Close { file }).await?;
    found.map(Some).ok_or(SuperblockError::DiskIdUnreadable)
}

fn encode(id: DiskId) -> AlignedBuffer {
    let mut sector = AlignedBuffer::zeroed(BYTES);
    sector[..8].copy_from_slice(&MAGIC);
    sector[16..32].copy_from_slice(&id.to_bytes());
    let checksum = crc32c::crc32c(&sector[12..]);
    sector[8..12].copy_from_slice(&checksum.to_le_bytes());
    sector
}

fn decode(sector: &[u8]) -> Option<DiskId> {
    let is_whole = sector[..8] == MAGIC
        && sector[8..12] == crc32c::crc32c(&sector[12..]).to_le_bytes()
        && sector[12..16].iter().chain(&sector[32..]).all(|byte| *byte == 0);
    let id = is_whole.then(|| sector[16..].first_chunk()).flatten()?;
    Some(DiskId::from_bytes(*id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::simulated::{FaultPlan, Medium, crash_everywhere};
    use crate::superblock::Superblock;

    fn get(medium: &Medium, random: u8) -> Result<DiskId, SuperblockError> {
        let io = Io::new(Box::new(medium.disk()));
        io.block_on(read_or_make_disk_id(&io, [random; 16]))
    }

    #[test]
    fn a_disk_id_once_told_stays() {
        let workload = |medium: &Medium| get(medium, 1).ok();
        crash_everywhere(3, FaultPlan::NONE, workload, |medium, told, _| {
            let id = get(medium, 2).unwrap();
            assert!(told.is_none_or(|told| told == id));
            assert_eq!(get(medium, 3), Ok(id));
            let io = Io::new(Box::new(medium.disk()));
            let opened = io.block_on(Superblock::open(&io));
            assert_eq!(opened.unwrap_err(), SuperblockError::Missing, "it is not founded by that");
        });
    }

    #[test]
    fn a_flipped_bit_anywhere_is_noticed() {
        for byte in 0..BYTES as u64 {
            let medium = Medium::new(1);
            get(&medium, 1).unwrap();
            medium.restart();
            medium.rot(NAME, byte);
            assert_eq!(get(&medium, 1), Err(SuperblockError::DiskIdUnreadable));
        }
    }

    #[test]
    fn the_bytes_are_these() {
        let sector = encode(DiskId::from_bytes([0xd1; 16]));
        let hex: String = sector[..40].iter().map(|byte| format!("{byte:02x}")).collect();
        let golden = "51727444736b49643e0db4c600000000d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1";
        assert_eq!(hex, format!("{golden}0000000000000000"));
    }
}
