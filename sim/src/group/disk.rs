//! A node's disk as the ghost sees it: below everything that the node does, it notes which records
//! of the log are handed to the medium and which of them are on stable storage.
//!
//! It reads the few fields of a record that say which entry it is (docs/disk-format.md) and asks
//! nobody above, so that no mistake above can deceive it.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::BorrowedFd;
use std::rc::Rc;

use quorate_core::id::{ChainHash, Epoch, LogIndex, NodeId};
use quorate_core::log::entry::{EntryKind, body_offset};
use quorate_storage::disk::simulated::{Medium, Random, SimulatedDisk};
use quorate_storage::disk::{Completion, Disk, DiskKind, Done, Durability, FileId, Op, OpId};

use super::schedule::{MICROS, MILLIS, Nanos};
use crate::scenario::distribution::Distribution;

/// One entry as its record describes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) epoch: Epoch,
    pub(crate) index: LogIndex,
    pub(crate) parent: ChainHash,
    pub(crate) chain: ChainHash,
    /// Of an epoch record: who leads.
    pub(crate) leader: Option<NodeId>,
}

/// What the medium was given, and what it has made durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// A record is being written.
    Submitted(Record),
    /// It is on stable storage.
    Durable(Record),
}

/// The news of one node's disk that the ghost has not taken in yet.
pub(crate) type Ledger = Rc<RefCell<Vec<News>>>;

/// What an operation is, as far as its time goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OpKind {
    /// A write that is durable once it completes.
    DurableWrite,
    /// A flush.
    Flush,
    /// Anything else.
    Other,
}

/// What kind each operation is that has not completed.
pub(crate) type OpKinds = Rc<RefCell<BTreeMap<OpId, OpKind>>>;

/// A simulated disk that keeps a ledger.
pub(crate) struct WatchedDisk {
    disk: SimulatedDisk,
    ledger: Ledger,
    kinds: OpKinds,
    /// Durable writes of records under way.
    writing: BTreeMap<OpId, Record>,
    /// Files in which records are kept that were removed from the log.
    quarantines: BTreeSet<FileId>,
    /// Such files that are being opened.
    opening: BTreeSet<OpId>,
}

impl WatchedDisk {
    pub(crate) fn new(medium: &Medium, ledger: Ledger, kinds: OpKinds) -> Self {
        let disk = medium.disk();
        let (quarantines, opening) = (BTreeSet::new(), BTreeSet::new());
        Self { disk, ledger, kinds, writing: BTreeMap::new(), quarantines, opening }
    }
}

impl Disk for WatchedDisk {
    fn submit(&mut self, op: Op) -> OpId {
        let record = match &op {
            Op::Write { file, buffer, durability, .. } if !self.quarantines.contains(file) => {
                record(buffer).map(|it| (it, *durability))
            }
            _ => None,
        };
        let opens_quarantine = match &op {
            Op::Create { name, .. } | Op::Open { name, .. } => name.contains("quarantine"),
            _ => false,
        };
        let kind = match &op {
            Op::Write { durability: Durability::Durable, .. } => OpKind::DurableWrite,
            Op::Sync { .. } => OpKind::Flush,
            _ => OpKind::Other,
        };
        let id = self.disk.submit(op);
        self.kinds.borrow_mut().insert(id, kind);
        if opens_quarantine {
            self.opening.insert(id);
        }
        if let Some((record, durability)) = record {
            self.ledger.borrow_mut().push(News::Submitted(record));
            if durability == Durability::Durable {
                self.writing.insert(id, record);
            }
        }
        id
    }

    fn flush(&mut self) {
        self.disk.flush();
    }

    fn reap(&mut self, completions: &mut Vec<Completion>) {
        let known = completions.len();
        self.disk.reap(completions);
        for Completion { op, result } in &completions[known..] {
            if self.opening.remove(op)
                && let Ok(Done::Opened { file, .. }) = result
            {
                self.quarantines.insert(*file);
            }
            if let Some(record) = self.writing.remove(op)
                && matches!(result, Ok(Done::Transferred(_)))
            {
                self.ledger.borrow_mut().push(News::Durable(record));
            }
        }
    }

    fn wait(&mut self) {
        self.disk.wait();
    }

    fn readiness(&self) -> Option<BorrowedFd<'_>> {
        self.disk.readiness()
    }

    fn kind(&self) -> DiskKind {
        self.disk.kind()
    }
}

/// The entry whose record starts here, if one does.
fn record(bytes: &[u8]) -> Option<Record> {
    if !bytes.starts_with(b"QrtRec01") {
        return None;
    }
    let number = |at: usize| {
        u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes of a sector"))
    };
    let chain = |at: usize| {
        ChainHash::from_bytes(bytes[at..at + 32].try_into().expect("32 bytes of a sector"))
    };
    let body_bytes = u32::from_le_bytes(bytes[104..108].try_into().expect("four bytes"));
    let body = body_offset(body_bytes) as usize;
    let is_epoch = bytes[100] == EntryKind::Epoch.code();
    Some(Record {
        epoch: Epoch::from_wire(number(56)),
        index: LogIndex::from_wire(number(64)),
        parent: chain(128),
        chain: chain(160),
        leader: is_epoch.then(|| NodeId::from_wire(number(body + 40))),
    })
}

/// How long the operations of one node's disk take.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Pace {
    /// To read or write.
    pub(crate) write: Distribution,
    /// To make it durable, on top.
    pub(crate) flush: Distribution,
    /// Some take up to so much longer: one in so many.
    pub(crate) tail: (u32, Nanos),
    /// Everything takes so many times as long.
    pub(crate) slowness: u64,
    /// Nothing completes before this moment.
    pub(crate) stalled_until: Nanos,
    /// Faults that make it slow, by their numbers: what a write and a flush take meanwhile.
    pub(crate) slow: Vec<(usize, Option<Distribution>, Option<Distribution>)>,
    /// Faults that stall it, by their numbers.
    pub(crate) stalls: Vec<usize>,
}

/// While a disk is stalled without an end, it is looked at this often.
pub(crate) const STALL_LOOK_NANOS: Nanos = 5 * MILLIS;

impl Pace {
    /// A disk as they are in the worlds of seeds.
    pub(crate) fn of(base: Nanos, spread: Nanos) -> Self {
        let write = Distribution::Uniform { min: base, max: base + spread };
        Self { tail: (50, 3 * MILLIS), ..Self::modelled(write, Distribution::Constant(0)) }
    }

    /// A disk that takes so long to write, and so long to make it durable.
    pub(crate) const fn modelled(write: Distribution, flush: Distribution) -> Self {
        Self {
            write,
            flush,
            tail: (0, 0),
            slowness: 1,
            stalled_until: 0,
            slow: Vec::new(),
            stalls: Vec::new(),
        }
    }

    /// When an operation that starts now completes.
    pub(crate) fn completion(&self, now: Nanos, kind: OpKind, random: &mut Random) -> Nanos {
        let (times, most) = self.tail;
        let tail = if times > 0 && random.one_in(times) { random.below(most) } else { 0 };
        // The newest fault has its way.
        let slow_write = self.slow.iter().rev().find_map(|(_, write, _)| write.as_ref());
        let slow_flush = self.slow.iter().rev().find_map(|(_, _, flush)| flush.as_ref());
        let write = slow_write.unwrap_or(&self.write).draw(random);
        let flush = slow_flush.unwrap_or(&self.flush).draw(random);
        let took = match kind {
            OpKind::DurableWrite => write + flush,
            OpKind::Flush => flush.max(1),
            OpKind::Other => write,
        };
        let took = (took + tail) * self.slowness;
        (now + took).max(self.stalled_until + random.below(100 * MICROS))
    }

    /// Until when nothing completes, if anything holds it up.
    pub(crate) fn stalls_until(&self, now: Nanos) -> Option<Nanos> {
        if !self.stalls.is_empty() {
            return Some(now + STALL_LOOK_NANOS);
        }
        (self.stalled_until > now).then_some(self.stalled_until)
    }
}
