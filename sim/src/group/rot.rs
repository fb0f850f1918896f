//! Bits that flip on a node's disk.

use quorate_storage::disk::FileName;
use quorate_storage::disk::simulated::{Medium, Random};

use super::World;
use crate::scenario::fault::RotTarget;

const SECTOR: u64 = 4096;

impl World {
    /// Flips a bit in each of so many sectors that something was written to.
    pub(super) fn rot(&mut self, node: usize, what: RotTarget, sectors: u32) {
        self.nodes[node].is_tainted = true;
        let medium = self.nodes[node].medium.clone();
        for (name, offset) in places(&medium, what, sectors, &mut self.faults) {
            medium.rot(&name, offset);
            self.note(format_args!("node {node}: a bit of {name} at {offset} flips"));
            self.tell(|record, now| {
                record.note(now, Some(node), format!("a bit of {name} at {offset} flips"));
            });
        }
    }
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
        places.push((name, sector + random.below(512)));
    }
    places
}
