//! Reads a run from its first stream to its last, for merges and checks.

use std::rc::Rc;

use quorate_core::id::Position;

use super::{ENTRIES_PER_BLOCK, ENTRY_BYTES, Extent, Layout, NUMBERS_PER_BLOCK, Run};
use crate::buffer::AlignedBuffer;
use crate::index::block::BLOCK_BYTES;
use crate::index::fault::{Flaw, IndexError};
use crate::index::key::StreamKey;

/// What is read at once.
const CHUNK_BLOCKS: u64 = 8;

/// Streams of a run in the order of their keys.
pub(in crate::index) struct RunCursor {
    run: Rc<Run>,
    directory: Section,
    positions: Section,
    streams_left: u64,
    /// Events of the streams so far: what the next stream's offset must be.
    announced: u64,
    last: Option<StreamKey>,
}

impl RunCursor {
    pub(in crate::index) fn new(run: Rc<Run>) -> Self {
        Self {
            directory: Section::new(Layout::DIRECTORY, run.layout.positions),
            positions: Section::new(run.layout.positions, run.layout.bloom),
            streams_left: run.info.streams,
            announced: 0,
            last: None,
            run,
        }
    }

    /// The next stream; `None` behind the last.
    pub(in crate::index) async fn next(&mut self) -> Result<Option<Extent>, IndexError> {
        if self.streams_left == 0 {
            if self.announced != self.run.info.events {
                return Err(self.run.damage(0, Flaw::Contradiction).into());
            }
            return Ok(None);
        }
        let per_block = ENTRIES_PER_BLOCK as usize;
        let bytes: [u8; ENTRY_BYTES] = self.directory.take(&self.run, per_block).await?;
        let extent = Extent::decode(&bytes);
        let holds = extent.is_plausible(self.run.info.events)
            && extent.offset == self.announced
            && self.last < Some(extent.key);
        if !holds {
            return Err(self.run.damage(self.directory.place, Flaw::Contradiction).into());
        }
        self.streams_left -= 1;
        self.announced += extent.count;
        self.last = Some(extent.key);
        Ok(Some(extent))
    }

    /// The next position; each stream's must be taken before the next stream's.
    pub(in crate::index) async fn position(&mut self) -> Result<Position, IndexError> {
        let bytes = self.positions.take(&self.run, NUMBERS_PER_BLOCK as usize).await?;
        let position = Position::from_wire(u64::from_le_bytes(bytes));
        let info = &self.run.info;
        if position < info.from || position >= info.to {
            return Err(self.run.damage(self.positions.place, Flaw::Contradiction).into());
        }
        Ok(position)
    }
}

/// Items of one section, read a chunk at a time.
struct Section {
    /// The next chunk.
    next: u64,
    /// Behind the section.
    end: u64,
    chunk: Option<AlignedBuffer>,
    /// The block that items are taken from.
    place: u64,
    /// Blocks of the chunk behind that.
    blocks_left: u64,
    /// Items that were taken from the block.
    taken: usize,
    /// Where the block starts in the chunk.
    start: usize,
}

impl Section {
    fn new(first: u64, end: u64) -> Self {
        Self { next: first, end, chunk: None, place: first, blocks_left: 0, taken: 0, start: 0 }
    }

    async fn take<const N: usize>(
        &mut self,
        run: &Run,
        per_block: usize,
    ) -> Result<[u8; N], IndexError> {
        if self.chunk.is_none() || self.taken == per_block {
            self.advance(run).await?;
        }
        let chunk = self.chunk.as_ref().expect("advance read it");
        let item = &chunk[self.start + self.taken * N..][..N];
        self.taken += 1;
        Ok(item.try_into().expect("N bytes"))
    }

    async fn advance(&mut self, run: &Run) -> Result<(), IndexError> {
        self.taken = 0;
        if self.blocks_left > 0 {
            self.blocks_left -= 1;
            self.place += 1;
            self.start += BLOCK_BYTES;
            return Ok(());
        }
        let count = CHUNK_BLOCKS.min(self.end - self.next);
        assert!(count > 0, "counts that were checked keep a cursor within its section");
        self.chunk = Some(run.read_blocks(self.next, count as usize).await?);
        self.place = self.next;
        self.next += count;
        self.blocks_left = count - 1;
        self.start = 0;
        Ok(())
    }
}
