//! The superblock: a node that reads it wrongly forgets who it is and what it has promised.

use std::sync::LazyLock;

use quorate_core::id::{DiskId, Epoch, NodeId};
use quorate_core::input::HardState;
use quorate_core::log::entry::LogId;
use quorate_core::member::Members;
use quorate_storage::disk::DiskError;
use quorate_storage::disk::simulated::Medium;
use quorate_storage::io::Io;
use quorate_storage::superblock::{COPY_BYTES, Identity, Superblock, SuperblockError};

use super::folder::{self, Files};
use crate::fuzz::Target;

/// The whole file, with its four copies.
pub(super) const SUPERBLOCK: Target = Target { name: "superblock", corpus, repair, decode: takes };

const NAME: &str = "superblock";
const HASH_BYTES: usize = 32;

/// Superblocks of different age, as a node writes them.
static SAMPLES: LazyLock<Vec<Files>> = LazyLock::new(|| (0..4).map(sample).collect());

fn sample(promises: u64) -> Files {
    let medium = Medium::new(0);
    let io = Io::new(Box::new(medium.disk()));
    let identity = Identity {
        log: LogId::default(),
        node: NodeId::from_wire(1),
        disk: DiskId::from_bytes([9; 16]),
        members: Members::of_one(DiskId::from_bytes([9; 16])),
        segment_bytes: 1 << 20,
        stream_key: [7; 16],
    };
    let written = io.block_on(async {
        let mut superblock = Superblock::found(&io, identity).await.expect("the folder is empty");
        for number in 1..=promises {
            let epoch = Epoch::from_wire(number);
            let voted_for = Some(NodeId::from_wire(1));
            superblock.write_hard_state(HardState { epoch, voted_for }).await?;
        }
        Ok::<(), DiskError>(())
    });
    written.expect("this disk has no faults");
    folder::files(&medium)
}

fn corpus() -> Vec<Vec<u8>> {
    SAMPLES.iter().flatten().map(|(_, bytes)| bytes.clone()).collect()
}

/// Examines and opens; a folder that is opened must be whole afterwards.
fn takes(bytes: &[u8]) -> bool {
    let io = folder::disk_with(&SAMPLES[0], NAME, bytes);
    io.block_on(async {
        let examined = Superblock::examine(&io).await;
        match Superblock::open(&io).await {
            Ok(opened) => {
                let again = Superblock::open(&io).await.expect("it was repaired");
                assert_eq!(again.hard_state(), opened.hard_state());
                examined.is_ok()
            }
            Err(SuperblockError::Disk(error)) => unreachable!("this disk has no faults: {error}"),
            Err(_) => false,
        }
    })
}

/// Each copy ends with a hash of all before it.
fn repair(bytes: &mut [u8]) {
    for copy in bytes.chunks_exact_mut(COPY_BYTES) {
        let (content, hash) = copy.split_at_mut(COPY_BYTES - HASH_BYTES);
        hash.copy_from_slice(blake3::hash(content).as_bytes());
    }
}
