//! What a simulated medium holds: names, files, and for each sector what is stable and what only
//! the caches know.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::random::Random;
use crate::disk::{DiskError, DiskErrorKind, Durability, FileName};

/// What reads and writes are made of.
pub(super) const SECTOR_BYTES: usize = 4096;
/// What some disks write at once where others write 4096 bytes.
const SMALL_SECTOR_BYTES: usize = 512;
/// Zeros at a sector's end are left out in pieces of this size.
const PIECE_BYTES: usize = 64;

/// One file's identity; its name may change.
pub(super) type Inode = u64;

/// What a sector holds up to its last byte that is not zero: most records are much shorter than it,
/// and a world writes a great many.
#[derive(Clone, Debug)]
struct SectorBytes(Rc<[u8]>);

impl SectorBytes {
    fn new(bytes: &[u8]) -> Self {
        assert!(bytes.len() == SECTOR_BYTES, "whole sectors are kept");
        let used = bytes.chunks(PIECE_BYTES).rposition(|piece| piece != [0; PIECE_BYTES]);
        Self(Rc::from(&bytes[..used.map_or(0, |last| (last + 1) * PIECE_BYTES)]))
    }

    /// Fills `into`, which is a sector.
    fn put(&self, into: &mut [u8]) {
        let (used, rest) = into.split_at_mut(self.0.len());
        used.copy_from_slice(&self.0);
        rest.fill(0);
    }

    fn whole(&self) -> [u8; SECTOR_BYTES] {
        let mut whole = [0; SECTOR_BYTES];
        self.put(&mut whole);
        whole
    }
}

/// Which of what is not yet stable is found again after the power was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Survival {
    /// None of it.
    Nothing,
    /// All of it, in the order in which it was written.
    Everything,
    /// For each sector of 4096 bytes any of its versions, as the seed has it.
    Sectors,
    /// The same for each 512 bytes: what a disk does that can't write 4096 bytes at once.
    SmallSectors,
}

/// All files of one medium.
#[derive(Debug, Default)]
pub(super) struct Image {
    names: BTreeMap<FileName, Entry>,
    files: BTreeMap<Inode, File>,
    inodes: Inode,
}

/// What a name stands for.
#[derive(Debug)]
struct Entry {
    inode: Inode,
    /// Without it, the power loss may bring back what the name stood for before.
    stable: bool,
    before: Option<Inode>,
}

#[derive(Debug)]
struct File {
    bytes: u64,
    /// Whether the length is known to survive.
    bytes_stable: bool,
    sectors: BTreeMap<u64, Sector>,
}

/// One sector's contents; a sector that was never written has none and reads as zero.
#[derive(Debug, Default)]
struct Sector {
    stable: Option<SectorBytes>,
    /// Written since, oldest first; the last one is what a read finds.
    volatile: Vec<SectorBytes>,
}

impl Sector {
    fn current(&self) -> Option<&SectorBytes> {
        self.volatile.last().or(self.stable.as_ref())
    }

    fn settle(&mut self) {
        if let Some(last) = self.volatile.pop() {
            self.stable = Some(last);
            self.volatile.clear();
        }
    }

    /// Chooses what the power loss leaves.
    fn lose(&mut self, survival: Survival, random: &mut Random) {
        if self.volatile.is_empty() {
            return;
        }
        let piece_bytes = match survival {
            Survival::Nothing => return self.volatile.clear(),
            Survival::Everything => return self.settle(),
            Survival::Sectors => SECTOR_BYTES,
            Survival::SmallSectors => SMALL_SECTOR_BYTES,
        };
        let versions = std::mem::take(&mut self.volatile);
        let versions: Vec<_> = versions.iter().map(SectorBytes::whole).collect();
        let mut left = self.stable.as_ref().map_or([0; SECTOR_BYTES], SectorBytes::whole);
        for (index, piece) in left.chunks_exact_mut(piece_bytes).enumerate() {
            let version = random.below(versions.len() as u64 + 1) as usize;
            if let Some(bytes) = version.checked_sub(1).map(|version| &versions[version]) {
                piece.copy_from_slice(&bytes[index * piece_bytes..][..piece_bytes]);
            }
        }
        self.stable = Some(SectorBytes::new(&left));
    }
}

impl Image {
    /// Makes an empty file under this name; neither name nor length is stable yet.
    pub(super) fn create(&mut self, name: &str, bytes: u64) -> Inode {
        self.inodes += 1;
        let inode = self.inodes;
        self.files.insert(inode, File { bytes, bytes_stable: false, sectors: BTreeMap::new() });
        // What a power loss brings back is the last that was stable.
        let before = self
            .names
            .get(name)
            .and_then(|entry| if entry.stable { Some(entry.inode) } else { entry.before });
        self.names.insert(name.into(), Entry { inode, stable: false, before });
        inode
    }

    /// What this name stands for.
    pub(super) fn open(&self, name: &str) -> Result<(Inode, u64), DiskError> {
        let entry = self.names.get(name).ok_or_else(|| not_found("open", name))?;
        Ok((entry.inode, self.files[&entry.inode].bytes))
    }

    /// The length of a file.
    pub(super) fn bytes(&self, inode: Inode) -> u64 {
        self.files[&inode].bytes
    }

    /// Fills `buffer` from a file.
    pub(super) fn read(&self, inode: Inode, offset: u64, buffer: &mut [u8]) {
        let file = &self.files[&inode];
        let first = offset / SECTOR_BYTES as u64;
        for (number, into) in (first..).zip(buffer.chunks_exact_mut(SECTOR_BYTES)) {
            match file.sectors.get(&number).and_then(Sector::current) {
                Some(bytes) => bytes.put(into),
                None => into.fill(0),
            }
        }
    }

    /// Writes those sectors of `buffer` that `keep` says, asked once for each.
    pub(super) fn write(
        &mut self,
        inode: Inode,
        offset: u64,
        buffer: &[u8],
        durability: Durability,
        mut keep: impl FnMut() -> bool,
    ) {
        let file = self.files.get_mut(&inode).expect("an open file is kept");
        let first = offset / SECTOR_BYTES as u64;
        for (number, from) in (first..).zip(buffer.chunks_exact(SECTOR_BYTES)) {
            if !keep() {
                continue;
            }
            let sector = file.sectors.entry(number).or_default();
            sector.volatile.push(SectorBytes::new(from));
            if durability == Durability::Durable {
                sector.settle();
            }
        }
    }

    /// Makes a file stable: contents, length and name.
    pub(super) fn sync(&mut self, inode: Inode) {
        let file = self.files.get_mut(&inode).expect("an open file is kept");
        file.bytes_stable = true;
        file.sectors.values_mut().for_each(Sector::settle);
        for entry in self.names.values_mut().filter(|entry| entry.inode == inode) {
            entry.stable = true;
            entry.before = None;
        }
    }

    /// Forgets what only the caches know of a file, as a system does after a failed flush.
    pub(super) fn drop_volatile(&mut self, inode: Inode, random: &mut Random) {
        let file = self.files.get_mut(&inode).expect("an open file is kept");
        for sector in file.sectors.values_mut() {
            sector.lose(Survival::Sectors, random);
        }
    }

    /// Gives a file another name, for good.
    pub(super) fn rename(&mut self, from: &str, to: &str) -> Result<(), DiskError> {
        let entry = self.names.remove(from).ok_or_else(|| not_found("rename", from))?;
        self.names.insert(to.into(), Entry { inode: entry.inode, stable: true, before: None });
        Ok(())
    }

    /// Takes a name away, for good.
    pub(super) fn remove(&mut self, name: &str) -> Result<(), DiskError> {
        self.names.remove(name).map(drop).ok_or_else(|| not_found("remove", name))
    }

    /// Names and lengths in a folder.
    pub(super) fn list(&self, folder: &str) -> Vec<(FileName, u64)> {
        let lengths = self.names.iter().map(|(name, entry)| (name, self.files[&entry.inode].bytes));
        lengths
            .filter(|(name, _)| name.rsplit_once('/').map_or("", |(folder, _)| folder) == folder)
            .map(|(name, bytes)| (name.clone(), bytes))
            .collect()
    }

    /// All files, in order of their names.
    pub(super) fn names(&self) -> impl Iterator<Item = &FileName> {
        self.names.keys()
    }

    /// Bytes that are reserved for all files but the one of this name.
    pub(super) fn bytes_beside(&self, name: &str) -> u64 {
        let others = self.names.iter().filter(|(other, _)| &***other != name);
        others.map(|(_, entry)| self.files[&entry.inode].bytes).sum()
    }

    /// The name of a file, where it still has one.
    pub(super) fn name(&self, inode: Inode) -> Option<&FileName> {
        self.names.iter().find(|(_, entry)| entry.inode == inode).map(|(name, _)| name)
    }

    /// A sector of any file: its inode, and where the sector starts.
    pub(super) fn any_sector(&self, random: &mut Random) -> Option<(Inode, u64)> {
        let sectors = |entry: &Entry| self.files[&entry.inode].bytes / SECTOR_BYTES as u64;
        let total: u64 = self.names.values().map(sectors).sum();
        let mut chosen = if total == 0 { return None } else { random.below(total) };
        for entry in self.names.values() {
            if chosen < sectors(entry) {
                return Some((entry.inode, chosen * SECTOR_BYTES as u64));
            }
            chosen -= sectors(entry);
        }
        unreachable!("the chosen sector is one of all")
    }

    /// Changes bytes below everybody's back: in what a read finds.
    pub(super) fn damage(&mut self, inode: Inode, offset: u64, change: impl FnOnce(&mut u8)) {
        let file = self.files.get_mut(&inode).expect("an open file is kept");
        assert!(offset < file.bytes, "damage is done within the file");
        let sector = file.sectors.entry(offset / SECTOR_BYTES as u64).or_default();
        let mut bytes = sector.current().map_or([0; SECTOR_BYTES], SectorBytes::whole);
        change(&mut bytes[offset as usize % SECTOR_BYTES]);
        let bytes = SectorBytes::new(&bytes);
        match sector.volatile.last_mut() {
            Some(last) => *last = bytes,
            None => sector.stable = Some(bytes),
        }
    }

    /// Flips a bit back in each version of its sector that is still the rotten one around it.
    pub(super) fn undo_rot(&mut self, inode: Inode, offset: u64, rotten: &[u8]) {
        let file = self.files.get_mut(&inode).expect("an open file is kept");
        let Some(sector) = file.sectors.get_mut(&(offset / SECTOR_BYTES as u64)) else { return };
        let place = offset as usize % SECTOR_BYTES;
        let piece = place / rotten.len() * rotten.len();
        for version in sector.volatile.iter_mut().chain(&mut sector.stable) {
            let mut bytes = version.whole();
            if bytes[piece..piece + rotten.len()] == *rotten {
                bytes[place] ^= 1 << (offset % 8);
                *version = SectorBytes::new(&bytes);
            }
        }
    }

    /// What the power loss leaves of all of it.
    pub(super) fn lose_power(&mut self, survival: Survival, random: &mut Random) {
        let mut keeps = || match survival {
            Survival::Nothing => false,
            Survival::Everything => true,
            Survival::Sectors | Survival::SmallSectors => random.coin(),
        };
        let names = std::mem::take(&mut self.names);
        for (name, entry) in names {
            let inode = if entry.stable || keeps() { Some(entry.inode) } else { entry.before };
            if let Some(inode) = inode {
                self.names.insert(name, Entry { inode, stable: true, before: None });
            }
        }
        for file in self.files.values_mut().filter(|file| !file.bytes_stable) {
            if !keeps() {
                file.bytes = 0;
                file.sectors.clear();
            }
            file.bytes_stable = true;
        }
        for sector in self.files.values_mut().flat_map(|file| file.sectors.values_mut()) {
            sector.lose(survival, random);
        }
        self.forget_unnamed();
    }

    /// Lets go of files that no name leads to, once no process has them open.
    pub(super) fn forget_unnamed(&mut self) {
        let named: Vec<Inode> = self
            .names
            .values()
            .flat_map(|entry| [Some(entry.inode), entry.before])
            .flatten()
            .collect();
        self.files.retain(|inode, _| named.contains(inode));
    }
}

fn not_found(verb: &str, name: &str) -> DiskError {
    DiskError {
        kind: DiskErrorKind::NotFound,
        message: format!("{verb} {name}: no such file on the simulated disk"),
    }
}
