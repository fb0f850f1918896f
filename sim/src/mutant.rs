//! The store, broken on purpose: a checker that has never failed anything proves nothing.
//!
//! Each mutant is a mistake that real stores have made, put in where the world and the store meet,
//! so that the store itself has no test code in it. The oracle must catch each within a stated
//! number of seeds.

use std::collections::BTreeMap;
use std::os::fd::BorrowedFd;

use quorate_storage::buffer::AlignedBuffer;
use quorate_storage::disk::{Completion, Disk, DiskKind, Done, Durability, Op, OpId};

use crate::plan::Plan;
use crate::world::{self, Failure};

/// One mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// Appends are acknowledged when they are written, not when they are durable.
    EarlyAcknowledgement,
    /// A write that failed is taken for done.
    SilentWriteFailure,
    /// Files are renamed into place without having been synced.
    ForgottenSync,
    /// Two answers of one turn reach each other's clients.
    SwappedReplies,
    /// Expected revisions are not looked at.
    IgnoredExpectation,
    /// The window of recent ids is nearly empty after a restart, and a retry does not say that it
    /// is one.
    ForgottenIds,
    /// A lost connection is told to the application as a refusal.
    CrashIsRefusal,
    /// A record that fails its checksum at a start is cut off, and so is all behind it.
    CutsRot,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::EarlyAcknowledgement,
        Self::SilentWriteFailure,
        Self::ForgottenSync,
        Self::SwappedReplies,
        Self::IgnoredExpectation,
        Self::ForgottenIds,
        Self::CrashIsRefusal,
        Self::CutsRot,
    ];

    /// The first of so many seeds under which the oracle notices the mistake.
    #[must_use]
    pub fn first_caught(self, seeds: u64) -> Option<Failure> {
        (0..seeds).find_map(|seed| world::run(seed, Plan::of(seed), Some(self), false).err())
    }
}

/// A simulated disk, maybe with a mistake in how it is used.
pub(crate) struct MutantDisk {
    disk: Box<dyn Disk>,
    mutant: Option<Mutant>,
    /// Writes and syncs under way, as long as a mutant looks at them: bytes of a write.
    watched: BTreeMap<OpId, Option<usize>>,
}

impl MutantDisk {
    pub(crate) fn new(disk: Box<dyn Disk>, mutant: Option<Mutant>) -> Self {
        Self { disk, mutant, watched: BTreeMap::new() }
    }

    fn mend(&mut self, completion: &mut Completion) {
        match (self.watched.remove(&completion.op), &completion.result) {
            // The sync was never asked for.
            (Some(None), Ok(_)) => completion.result = Ok(Done::Nothing),
            (Some(Some(bytes)), Err(_)) => {
                completion.result = Ok(Done::Transferred(AlignedBuffer::zeroed(bytes)));
            }
            _ => {}
        }
    }
}

impl Disk for MutantDisk {
    fn submit(&mut self, op: Op) -> OpId {
        match (self.mutant, op) {
            (Some(Mutant::EarlyAcknowledgement), Op::Write { file, offset, buffer, .. }) => {
                self.disk.submit(Op::Write { file, offset, buffer, durability: Durability::None })
            }
            (Some(Mutant::SilentWriteFailure), Op::Write { file, offset, buffer, durability }) => {
                let bytes = buffer.len();
                let op = self.disk.submit(Op::Write { file, offset, buffer, durability });
                self.watched.insert(op, Some(bytes));
                op
            }
            (Some(Mutant::ForgottenSync), Op::Sync { .. }) => {
                let op = self.disk.submit(Op::List { folder: "".into() });
                self.watched.insert(op, None);
                op
            }
            (_, op) => self.disk.submit(op),
        }
    }

    fn flush(&mut self) {
        self.disk.flush();
    }

    fn reap(&mut self, completions: &mut Vec<Completion>) {
        let known = completions.len();
        self.disk.reap(completions);
        for completion in &mut completions[known..] {
            self.mend(completion);
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

#[cfg(test)]
mod tests {
    use super::*;

    /// As many as `cargo xtask ci` allows.
    const SEEDS: u64 = 60;

    #[test]
    fn the_oracle_notices_every_mistake() {
        for mutant in Mutant::ALL {
            let failure = mutant.first_caught(SEEDS);
            let failure = failure.unwrap_or_else(|| panic!("{mutant:?} was never noticed"));
            println!("{mutant:?}: {failure}");
        }
    }
}
