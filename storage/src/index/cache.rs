//! Blocks of run files that were read lately, checked once when they are read.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use super::block::BLOCK_BYTES;
use super::fault::IndexError;
use super::run::Run;

/// A block whose checksum held.
pub(super) type Block = Rc<[u8]>;

/// A bounded number of blocks; the one that was not asked for since the hand last passed goes
/// first (second chance).
pub(super) struct BlockCache {
    blocks_max: usize,
    inner: RefCell<Inner>,
}

#[derive(Default)]
struct Inner {
    places: HashMap<(u64, u64), usize>,
    slots: Vec<Slot>,
    hand: usize,
}

struct Slot {
    place: (u64, u64),
    block: Block,
    used: bool,
}

impl BlockCache {
    /// - `bytes_max`: how much it may hold; at least one block is kept
    pub(super) fn new(bytes_max: usize) -> Self {
        let blocks_max = (bytes_max / BLOCK_BYTES).max(1);
        Self { blocks_max, inner: RefCell::default() }
    }

    /// One block of a run, from memory or from its file.
    pub(super) async fn read(&self, run: &Run, block: u64) -> Result<Block, IndexError> {
        let place = (run.number(), block);
        if let Some(found) = self.inner.borrow_mut().find(place) {
            return Ok(found);
        }
        let read = Block::from(&run.read_blocks(block, 1).await?[..]);
        self.inner.borrow_mut().insert(place, Rc::clone(&read), self.blocks_max);
        Ok(read)
    }
}

impl Inner {
    fn find(&mut self, place: (u64, u64)) -> Option<Block> {
        let slot = &mut self.slots[*self.places.get(&place)?];
        slot.used = true;
        Some(Rc::clone(&slot.block))
    }

    fn insert(&mut self, place: (u64, u64), block: Block, blocks_max: usize) {
        if self.places.contains_key(&place) {
            return; // Two readers missed it at once.
        }
        let slot = Slot { place, block, used: false };
        if self.slots.len() < blocks_max {
            self.places.insert(place, self.slots.len());
            self.slots.push(slot);
            return;
        }
        while std::mem::take(&mut self.slots[self.hand].used) {
            self.hand = (self.hand + 1) % blocks_max;
        }
        self.places.remove(&self.slots[self.hand].place);
        self.places.insert(place, self.hand);
        self.slots[self.hand] = slot;
        self.hand = (self.hand + 1) % blocks_max;
    }
}
