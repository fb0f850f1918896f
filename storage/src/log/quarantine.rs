//! What a truncation removes is kept for a while, in a few small files, for whoever must find out later
//! what happened: the entries of a leader that was deposed were seen by nobody, but say what it did.
//!
//! Nothing reads them back. A file is `log/quarantine-<truncation mod 4>`, little-endian:
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 8 | magic `QrtGone1` |
//! | 8 | 4 | checksum: CRC-32C of the disk id's 16 bytes and of bytes 12..4096 |
//! | 12 | 4 | zero |
//! | 16 | 40 | cluster, lineage, group |
//! | 56 | 8 | which truncation, as in the stamp |
//! | 64 | 8 | the position from which on entries were removed |
//! | 72 | 8 | bytes that were removed, as far as there may be something in them |
//! | 80 | 4016 | zero |
//! | 4096 | … | the first of these bytes, at most 1 MiB |

use quorate_core::id::Position;
use quorate_core::log::entry::SECTOR_BYTES;

use super::files::{open_direct, read};
use super::home::{Home, log_id_at, put_u32, put_u64, u32_at, u64_at};
use crate::buffer::AlignedBuffer;
use crate::disk::{Access, DiskError, DiskErrorKind, Done, Durability, FileId, FileName, Op};
use crate::io::Io;

/// How many files there are at most: the newest truncations.
const FILES: u64 = 4;
/// What a file keeps at most.
const KEPT_BYTES_MAX: u64 = 1 << 20;
const FILE_BEING_MADE: &str = "log/quarantine.new";
const MAGIC: [u8; 8] = *b"QrtGone1";

/// A piece of a file that is about to be removed.
pub(super) struct Piece {
    /// In which file.
    pub(super) name: FileName,
    pub(super) offset: u64,
    pub(super) bytes: u64,
}

/// Copies what a truncation removes, durably. Does nothing where it was done before, or where the
/// disk has no room: the truncation matters more.
///
/// - `number`: which truncation
/// - `from`: the position of the first piece
pub(super) async fn keep(
    io: &Io,
    home: &Home,
    number: u64,
    from: Position,
    pieces: &[Piece],
) -> Result<(), DiskError> {
    let name: FileName = format!("log/quarantine-{}", number % FILES).into();
    // What is removed may be gone in part by now; the first copy is the good one.
    if number_in(io, home, &name).await? == Some(number) {
        return Ok(());
    }
    match make(io, home, number, from, pieces).await {
        Ok(()) => io.run(Op::Rename { from: FILE_BEING_MADE.into(), to: name }).await.map(drop),
        Err(error) if error.kind == DiskErrorKind::Full => {
            match io.run(Op::Remove { name: FILE_BEING_MADE.into() }).await {
                Err(other) if other.kind != DiskErrorKind::NotFound => Err(other),
                Ok(_) | Err(_) => Ok(()),
            }
        }
        Err(error) => Err(error),
    }
}

/// Which truncation a file is of; `None` where there is none that can be read.
async fn number_in(io: &Io, home: &Home, name: &str) -> Result<Option<u64>, DiskError> {
    let open = io.run(Op::Open { name: name.into(), access: Access::Direct }).await;
    let (file, bytes) = match open {
        Ok(Done::Opened { file, bytes }) => (file, bytes),
        Err(error) if error.kind == DiskErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
        Ok(other) => unreachable!("an open gives a file, not {other:?}"),
    };
    let sector = if bytes < SECTOR_BYTES {
        AlignedBuffer::zeroed(SECTOR_BYTES as usize)
    } else {
        read(io, file, 0, SECTOR_BYTES).await?
    };
    io.run(Op::Close { file }).await?;
    let is_whole = sector[..8] == MAGIC
        && home.checksum(&sector) == u32_at(&sector, 8)
        && log_id_at(&sector, 16) == home.log;
    Ok(is_whole.then(|| u64_at(&sector, 56)))
}

async fn make(
    io: &Io,
    home: &Home,
    number: u64,
    from: Position,
    pieces: &[Piece],
) -> Result<(), DiskError> {
    let removed: u64 = pieces.iter().map(|piece| piece.bytes).sum();
    let bytes = SECTOR_BYTES + removed.min(KEPT_BYTES_MAX);
    let done = io.run(Op::Create { name: FILE_BEING_MADE.into(), bytes }).await?;
    let Done::Opened { file, .. } = done else { unreachable!("a create opens the file") };
    let filled = fill(io, file, bytes, &header(home, number, from, removed), pieces).await;
    io.run(Op::Close { file }).await?;
    filled
}

fn header(home: &Home, number: u64, from: Position, removed: u64) -> AlignedBuffer {
    let mut sector = AlignedBuffer::zeroed(SECTOR_BYTES as usize);
    sector[0..8].copy_from_slice(&MAGIC);
    home.put_log(&mut sector[16..56]);
    put_u64(&mut sector, 56, number);
    put_u64(&mut sector, 64, from.get());
    put_u64(&mut sector, 72, removed);
    let checksum = home.checksum(&sector);
    put_u32(&mut sector, 8, checksum);
    sector
}

async fn fill(
    io: &Io,
    file: FileId,
    bytes: u64,
    header: &AlignedBuffer,
    pieces: &[Piece],
) -> Result<(), DiskError> {
    let durability = Durability::None;
    io.run(Op::Write { file, offset: 0, buffer: header.share(), durability }).await?;
    let mut at = SECTOR_BYTES;
    for piece in pieces {
        let length = piece.bytes.min(bytes - at);
        if length == 0 {
            continue;
        }
        let from = match open_direct(io, piece.name.clone()).await {
            Ok(file) => file,
            // Removed before a crash that came before its copy was complete.
            Err(error) if error.kind == DiskErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        let copied = read(io, from, piece.offset, length).await;
        io.run(Op::Close { file: from }).await?;
        io.run(Op::Write { file, offset: at, buffer: copied?, durability }).await?;
        at += length;
    }
    io.run(Op::Sync { file }).await.map(drop)
}
