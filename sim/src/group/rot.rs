//! Bits that flip on a node's disk.

use quorate_storage::disk::FileName;
use quorate_storage::disk::simulated::{Medium, Random};

use super::World;
use super::node::Node;
use crate::scenario::fault::RotTarget;

const SECTOR: u64 = 4096;
/// What a disk writes at once, whatever becomes of the rest.
const PIECE: u64 = 512;

/// A bit that has flipped, and what the piece around it has held since then.
pub(super) struct Rotten {
    name: FileName,
    offset: u64,
    piece: Vec<u8>,
}

impl World {
    /// Flips a bit in each of so many sectors that something was written to. Gives where.
    pub(super) fn rot(
        &mut self,
        node: usize,
        what: RotTarget,
        sectors: u32,
    ) -> Vec<(FileName, u64)> {
        self.nodes[node].is_tainted = true;
        let medium = self.nodes[node].medium.clone();
        let places = places(&medium, what, sectors, &mut self.faults);
        for (name, offset) in &places {
            medium.rot(name, *offset);
            self.note(format_args!("node {node}: a bit of {name} at {offset} flips"));
            self.tell(|record, now| {
                record.note(now, Some(node), format!("a bit of {name} at {offset} flips"));
            });
        }
        places
    }

    /// The same, until [`World::put_right`].
    pub(super) fn rot_for_a_while(&mut self, node: usize, what: RotTarget, sectors: u32) {
        for (name, offset) in self.rot(node, what, sectors) {
            let Node { medium, rotten, .. } = &mut self.nodes[node];
            let piece = piece_of(medium, &name, offset);
            rotten.push(Rotten { name, offset, piece });
        }
    }

    /// Flips the bits of a disk back, but for those in whose place something else was written since.
    /// From then on the disk is an honest one. The process ends before that: reads under way may have
    /// seen what was there.
    pub(super) fn put_right(&mut self, node: usize) {
        if self.nodes[node].rotten.is_empty() {
            return;
        }
        self.crash(node, None);
        let Node { medium, rotten, is_tainted, .. } = &mut self.nodes[node];
        // The last one first: a piece may have rotted twice.
        for Rotten { name, offset, piece } in rotten.drain(..).rev() {
            medium.undo_rot(&name, offset, &piece);
        }
        *is_tainted = false;
    }
}

/// What is in the piece around a byte of a file.
fn piece_of(medium: &Medium, name: &str, offset: u64) -> Vec<u8> {
    let start = (offset / PIECE * PIECE) as usize;
    medium.contents(name)[start..start + PIECE as usize].to_vec()
}

/// Where bits are to flip, of what was written.
pub(crate) fn places(
    medium: &Medium,
    what: RotTarget,
    sectors: u32,
    random: &mut Random,
) -> Vec<(FileName, u64)> {
    let is_meant = |name: &FileName| match what {
        RotTarget::Log | RotTarget::LogTail => name.ends_with(".segment"),
        RotTarget::Index => name.ends_with(".run"),
        RotTarget::Superblock => &**name == "superblock",
    };
    let files: Vec<FileName> = medium.names().into_iter().filter(is_meant).collect();
    let mut written = Vec::new();
    for name in &files {
        let contents = medium.contents(name);
        let used = contents.chunks(SECTOR as usize).enumerate();
        let used = used.filter(|(_, sector)| sector.iter().any(|byte| *byte != 0));
        // The first sector of a segment says what it is; what is behind it is records.
        let skipped = usize::from(matches!(what, RotTarget::Log | RotTarget::LogTail));
        let used = used.filter(|(place, _)| *place >= skipped);
        written.extend(used.map(|(place, _)| (name.clone(), place as u64 * SECTOR)));
    }
    let mut places = Vec::new();
    for _ in 0..sectors {
        if written.is_empty() {
            break;
        }
        let place = match what {
            RotTarget::LogTail => written.len() - 1,
            RotTarget::Log | RotTarget::Index | RotTarget::Superblock => {
                random.index(written.len())
            }
        };
        let (name, sector) = written.remove(place);
        places.push((name, sector + random.below(PIECE)));
    }
    places
}
