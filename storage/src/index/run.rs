//! A run: the events between two positions of the log, sorted by stream, in one file that is
//! written once.
//!
//! A run file is made of 4 KiB blocks, each with its own checksum (its last 4 bytes, little-endian
//! like all numbers), so a lookup reads and checks only what it needs. Its sections follow one
//! another, and how long they are follows from the two counts in the header:
//!
//! | section | a block of it holds |
//! |---|---|
//! | header | [`MAGIC`], version, zero (4 bytes each but the magic's 8), [`Owner`] (48 bytes), number, from, to, streams, events (8 bytes each) |
//! | directory | up to 102 streams in the order of their keys: key (16 bytes), first revision, events, index of the first in the positions (8 bytes each) |
//! | positions | up to 511 positions of events (8 bytes each), stream by stream as in the directory |
//! | bloom | 32,704 bits; a key sets 6 of them, in the block that its upper half points to |
//! | fences | up to 511 upper halves of a directory block's first key (8 bytes each) |
//!
//! Only the fences are kept in memory: 8 bytes for each 102 streams. Directory, positions and
//! bloom filter have one order, that of the keys, so a run is written and merged in one pass with
//! a few blocks of memory however long it is.

pub(super) mod cursor;
pub(super) mod writer;

use quorate_core::id::{Position, Revision};
use quorate_core::log::entry::LogId;

use super::block::{self, BLOCK_BYTES, Fields};
use super::cache::BlockCache;
use super::fault::{Damage, Flaw, IndexError, Part};
use super::key::StreamKey;
use crate::buffer::AlignedBuffer;
use crate::disk::{Access, DiskErrorKind, Done, FileId, FileName, Op};
use crate::io::Io;

/// The first bytes of a run file.
pub(super) const MAGIC: [u8; 8] = *b"QUORRUN\0";
/// The version of the run's layout.
pub(super) const VERSION: u32 = 1;

const ENTRY_BYTES: usize = 40;
const ENTRIES_PER_BLOCK: u64 = (block::PAYLOAD_BYTES / ENTRY_BYTES) as u64;
const NUMBERS_PER_BLOCK: u64 = (block::PAYLOAD_BYTES / 8) as u64;
/// With this many keys in a block's 32,704 bits, one lookup in a hundred is sent on in vain.
const BLOOM_KEYS_PER_BLOCK: u64 = 3270;
const BLOOM_BITS: u64 = 8 * 8 * NUMBERS_PER_BLOCK;
const BLOOM_PROBES: u32 = 6;

/// Whose index it is: files of another are not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    /// The log that is indexed.
    pub(super) log: LogId,
    /// Of the secret under which stream names are hashed.
    pub(super) hasher: u64,
}

impl Owner {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.log.cluster.to_bytes());
        out.extend_from_slice(&self.log.group.get().to_le_bytes());
        out.extend_from_slice(&self.log.lineage.to_bytes());
        out.extend_from_slice(&self.hasher.to_le_bytes());
    }

    pub(super) fn decode(fields: &mut Fields<'_>) -> Self {
        let log = LogId {
            cluster: quorate_core::id::ClusterId::from_bytes(fields.bytes()),
            group: quorate_core::id::GroupId::from_wire(fields.u64()),
            lineage: quorate_core::id::Lineage::from_bytes(fields.bytes()),
        };
        Self { log, hasher: fields.u64() }
    }
}

/// What a run holds, as its header and the manifest say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RunInfo {
    /// Names its file; never used twice.
    pub(super) number: u64,
    /// Events from here on are in it.
    pub(super) from: Position,
    /// Events from here on are not.
    pub(super) to: Position,
    pub(super) streams: u64,
    pub(super) events: u64,
}

impl RunInfo {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let numbers = [self.number, self.from.get(), self.to.get(), self.streams, self.events];
        out.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
    }

    pub(super) fn decode(fields: &mut Fields<'_>) -> Self {
        Self {
            number: fields.u64(),
            from: Position::from_wire(fields.u64()),
            to: Position::from_wire(fields.u64()),
            streams: fields.u64(),
            events: fields.u64(),
        }
    }

    /// Whether the numbers can belong to a run.
    pub(super) fn is_plausible(&self) -> bool {
        self.from < self.to && self.streams > 0 && self.streams <= self.events
    }

    pub(super) fn name(&self) -> FileName {
        file_name(self.number)
    }
}

/// Where the sections of a run are, in blocks from the start of the file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    positions: u64,
    bloom: u64,
    fences: u64,
    /// The length of the file.
    blocks: u64,
}

impl Layout {
    /// The directory follows on the header.
    const DIRECTORY: u64 = 1;

    pub(super) fn of(info: &RunInfo) -> Self {
        let directory = info.streams.div_ceil(ENTRIES_PER_BLOCK);
        let positions = Self::DIRECTORY + directory;
        let bloom = positions + info.events.div_ceil(NUMBERS_PER_BLOCK);
        let fences = bloom + info.streams.div_ceil(BLOOM_KEYS_PER_BLOCK);
        Self { positions, bloom, fences, blocks: fences + directory.div_ceil(NUMBERS_PER_BLOCK) }
    }

    fn part(&self, block: u64) -> Part {
        match block {
            0 => Part::Header,
            directory if directory < self.positions => Part::Directory,
            positions if positions < self.bloom => Part::Positions,
            bloom if bloom < self.fences => Part::Bloom,
            _ => Part::Fences,
        }
    }

    /// Which bloom block a key belongs to: the keys' order is the blocks' order.
    fn bloom_block(&self, key: StreamKey) -> u64 {
        let blocks = u128::from(self.fences - self.bloom);
        self.bloom + ((u128::from(key.high()) * blocks) >> 64) as u64
    }
}

/// The bits of its bloom block that a key sets.
fn bloom_bits(key: StreamKey) -> impl Iterator<Item = (usize, u8)> {
    let (start, step) = (key.low() as u32, (key.low() >> 32) as u32 | 1);
    (0..BLOOM_PROBES).map(move |probe| {
        let hash = start.wrapping_add(probe.wrapping_mul(step));
        let bit = (u64::from(hash) * BLOOM_BITS) >> 32;
        ((bit / 8) as usize, 1 << (bit % 8))
    })
}

/// One stream of a run's directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) key: StreamKey,
    /// Revision of the stream's first event in the run.
    pub(super) first: Revision,
    /// Events of the stream in the run.
    pub(super) count: u64,
    /// Where in the run's positions they start.
    offset: u64,
}

impl Extent {
    fn encode(&self) -> [u8; ENTRY_BYTES] {
        let mut bytes = [0; ENTRY_BYTES];
        bytes[0..16].copy_from_slice(&self.key.to_bits().to_le_bytes());
        bytes[16..24].copy_from_slice(&self.first.get().to_le_bytes());
        bytes[24..32].copy_from_slice(&self.count.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.offset.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Self {
        let mut fields = Fields::new(bytes);
        Self {
            key: StreamKey::from_bits(u128::from_le_bytes(fields.bytes())),
            first: Revision::from_wire(fields.u64()),
            count: fields.u64(),
            offset: fields.u64(),
        }
    }

    /// Whether a run with this many events can hold it, and no revision overflows.
    fn is_plausible(&self, events: u64) -> bool {
        self.count > 0
            && self.offset.checked_add(self.count).is_some_and(|end| end <= events)
            && self.first.get().checked_add(self.count).is_some()
    }
}

/// An open run.
pub(super) struct Run {
    io: Io,
    file: FileId,
    info: RunInfo,
    layout: Layout,
    /// Upper halves of the first key of each directory block.
    fences: Vec<u64>,
}

impl Run {
    /// Opens a run that the manifest names, and checks what is not checked by lookups.
    pub(super) async fn open(io: &Io, owner: &Owner, info: RunInfo) -> Result<Self, IndexError> {
        let damage = |flaw| Damage { file: info.name(), part: Part::Header, block: 0, flaw };
        let op = Op::Open { name: info.name(), access: Access::Cached };
        let (file, bytes) = match io.run(op).await {
            Ok(Done::Opened { file, bytes }) => (file, bytes),
            Ok(done) => unreachable!("an open gave {done:?}"),
            Err(error) if error.kind == DiskErrorKind::NotFound => {
                return Err(damage(Flaw::Missing).into());
            }
            Err(error) => return Err(error.into()),
        };
        let layout = Layout::of(&info);
        let mut run = Self { io: io.clone(), file, info, layout, fences: Vec::new() };
        let checked =
            if bytes % BLOCK_BYTES as u64 != 0 || bytes / BLOCK_BYTES as u64 != layout.blocks {
                Err(damage(Flaw::Length).into())
            } else {
                run.check_header(owner).await
            };
        match checked {
            Ok(()) => Ok(run),
            Err(error) => {
                run.close().await?;
                Err(error)
            }
        }
    }

    async fn check_header(&mut self, owner: &Owner) -> Result<(), IndexError> {
        let header = self.read_blocks(0, 1).await?;
        let flaw = match decode_header(&header) {
            Err(flaw) => Some(flaw),
            Ok(found) if found != (*owner, self.info) => Some(Flaw::Foreign),
            Ok(_) => None,
        };
        if let Some(flaw) = flaw {
            return Err(self.damage(0, flaw).into());
        }
        let mut left = self.layout.positions - Layout::DIRECTORY;
        for place in self.layout.fences..self.layout.blocks {
            let block = self.read_blocks(place, 1).await?;
            let mut fields = Fields::new(&block);
            let count = left.min(NUMBERS_PER_BLOCK);
            self.fences.extend((0..count).map(|_| fields.u64()));
            left -= count;
        }
        if !self.fences.is_sorted() {
            return Err(self.damage(self.layout.fences, Flaw::Contradiction).into());
        }
        Ok(())
    }

    pub(super) fn info(&self) -> &RunInfo {
        &self.info
    }

    /// The disk that the file is on.
    pub(super) fn io(&self) -> &Io {
        &self.io
    }

    /// How long the file is.
    pub(super) fn blocks(&self) -> u64 {
        self.layout.blocks
    }

    pub(super) fn number(&self) -> u64 {
        self.info.number
    }

    /// Forgets the open file.
    pub(super) async fn close(&self) -> Result<(), IndexError> {
        self.io.run(Op::Close { file: self.file }).await?;
        Ok(())
    }

    /// Reads blocks that follow one another, and checks each.
    pub(super) async fn read_blocks(
        &self,
        first: u64,
        count: usize,
    ) -> Result<AlignedBuffer, IndexError> {
        let buffer = AlignedBuffer::zeroed(count * BLOCK_BYTES);
        let offset = first * BLOCK_BYTES as u64;
        let buffer = match self.io.run(Op::Read { file: self.file, offset, buffer }).await? {
            Done::Transferred(buffer) => buffer,
            done => unreachable!("a read gave {done:?}"),
        };
        for (place, block) in (first..).zip(buffer.chunks_exact(BLOCK_BYTES)) {
            if !block::is_sealed(block, self.info.number, place) {
                return Err(self.damage(place, Flaw::Checksum).into());
            }
        }
        Ok(buffer)
    }

    /// Finds a stream.
    pub(super) async fn find(
        &self,
        cache: &BlockCache,
        key: StreamKey,
    ) -> Result<Option<Extent>, IndexError> {
        let bloom = cache.read(self, self.layout.bloom_block(key)).await?;
        if bloom_bits(key).any(|(byte, bit)| bloom[byte] & bit == 0) {
            return Ok(None);
        }
        // Keys with equal upper halves may start in the block before.
        let mut index = self.fences.partition_point(|fence| *fence <= key.high());
        while let Some(before) = index.checked_sub(1) {
            index = before;
            let place = Layout::DIRECTORY + index as u64;
            let block = cache.read(self, place).await?;
            if let Some(extent) = self.search(&block, index as u64, key) {
                return self.plausible(extent, place).map(Some);
            }
            if self.fences[index] < key.high() {
                break;
            }
        }
        Ok(None)
    }

    fn search(&self, block: &[u8], index: u64, key: StreamKey) -> Option<Extent> {
        let count = (self.info.streams - index * ENTRIES_PER_BLOCK).min(ENTRIES_PER_BLOCK) as usize;
        let (entries, _) = block.as_chunks::<ENTRY_BYTES>();
        let bits = |entry: &[u8; ENTRY_BYTES]| Extent::decode(entry).key;
        let found = entries[..count].binary_search_by_key(&key, bits).ok()?;
        Some(Extent::decode(&entries[found]))
    }

    fn plausible(&self, extent: Extent, place: u64) -> Result<Extent, IndexError> {
        if extent.is_plausible(self.info.events) {
            Ok(extent)
        } else {
            Err(self.damage(place, Flaw::Contradiction).into())
        }
    }

    /// Adds positions of a stream's events to `out`.
    ///
    /// - `skip`: how many of the stream's events in this run to leave out
    /// - `count`: how many to add; the run has them
    pub(super) async fn positions(
        &self,
        cache: &BlockCache,
        extent: &Extent,
        skip: u64,
        count: u64,
        out: &mut Vec<Position>,
    ) -> Result<(), IndexError> {
        assert!(skip + count <= extent.count, "only positions that the run has are read");
        let mut next = extent.offset + skip;
        let end = next + count;
        while next < end {
            let block = cache.read(self, self.layout.positions + next / NUMBERS_PER_BLOCK).await?;
            let first = (next % NUMBERS_PER_BLOCK) as usize;
            let take = (end - next).min(NUMBERS_PER_BLOCK - first as u64);
            let (numbers, _) = block.as_chunks::<8>();
            let taken = &numbers[first..first + take as usize];
            out.extend(taken.iter().map(|bytes| Position::from_wire(u64::from_le_bytes(*bytes))));
            next += take;
        }
        Ok(())
    }

    pub(super) fn damage(&self, block: u64, flaw: Flaw) -> Damage {
        Damage { file: self.info.name(), part: self.layout.part(block), block, flaw }
    }
}

/// The name of a run's file.
pub(super) fn file_name(number: u64) -> FileName {
    format!("index/{number:016x}.run").into()
}

fn encode_header(owner: &Owner, info: &RunInfo) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(BLOCK_BYTES);
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    owner.encode(&mut bytes);
    info.encode(&mut bytes);
    bytes.resize(BLOCK_BYTES, 0);
    block::seal(&mut bytes, info.number, 0);
    bytes
}

/// Reads a header whose checksum held.
fn decode_header(block: &[u8]) -> Result<(Owner, RunInfo), Flaw> {
    let mut fields = Fields::new(block);
    if fields.bytes() != MAGIC || fields.u32() != VERSION || fields.u32() != 0 {
        return Err(Flaw::Format);
    }
    let (owner, info) = (Owner::decode(&mut fields), RunInfo::decode(&mut fields));
    if info.is_plausible() { Ok((owner, info)) } else { Err(Flaw::Contradiction) }
}
