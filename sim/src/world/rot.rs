//! A bit that flips in a record while the process is down.
//!
//! Alone, a node can't mend that, and it must not make it worse: what fails its checksum may have
//! been acknowledged, so the start is refused and nothing is removed. Then somebody puts the bit
//! right, as a copy of another node's would, and everything must be there.

use std::fmt;

use quorate_storage::disk::simulated::{Medium, Random};
use quorate_storage::disk::{FileName, Op};
use quorate_storage::io::Io;
use quorate_storage::log::{Corruption, Part};

/// A segment's header and footer are left alone: they hold nothing that can't be had from records.
const END_BYTES: usize = 4096;
/// What a log keeps of how far it was durable.
const STAMP: &str = "log/stamp";
/// So many places are looked at until one is found that has something in it.
const TRIES: u32 = 64;

/// Where a bit is wrong now, if anywhere.
#[derive(Debug)]
pub(super) struct Rot {
    random: Random,
    place: Option<Place>,
    refused_starts: u32,
}

#[derive(Debug)]
struct Place {
    file: String,
    offset: u64,
    right: u8,
    wrong: u8,
}

impl Rot {
    /// Draws from numbers of its own, so that it does not move other faults.
    pub(super) fn new(seed: u64) -> Self {
        Self { random: Random::stream(seed, "rot"), place: None, refused_starts: 0 }
    }

    /// Once in so many times; never for zero.
    pub(super) fn comes(&mut self, times: u32) -> bool {
        times > 0 && self.random.one_in(times)
    }

    /// Flips a bit of some record.
    pub(super) fn strike(&mut self, medium: &Medium) {
        assert!(self.place.is_none(), "the last one was put right");
        let names: Vec<_> =
            medium.names().into_iter().filter(|it| it.ends_with(".segment")).collect();
        if names.is_empty() {
            return;
        }
        let file = self.random.pick(&names).to_string();
        let contents = medium.contents(&file);
        for _ in 0..TRIES {
            let at = END_BYTES + self.random.index(contents.len() - 2 * END_BYTES);
            let (right, wrong) = (contents[at], contents[at] ^ (1 << self.random.below(8)));
            // What looks as if it had never been written can't be told from a torn write.
            if right != 0 && wrong != 0 {
                medium.overwrite(&file, at as u64, &[wrong]);
                self.place = Some(Place { file, offset: at as u64, right, wrong });
                return;
            }
        }
    }

    /// Whether a start may be refused now.
    pub(super) const fn is_there(&self) -> bool {
        self.place.is_some()
    }

    /// A start was tried: puts the bit right, where it was not in what a start cuts off.
    pub(super) fn heal(&mut self, medium: &Medium, refused: bool) {
        self.refused_starts += u32::from(refused);
        let Some(Place { file, offset, right, wrong }) = self.place.take() else { return };
        let is_there = medium.names().iter().any(|name| **name == *file);
        if is_there && medium.contents(&file)[offset as usize] == wrong {
            medium.overwrite(&file, offset, &[right]);
        }
    }

    /// Starts that were refused because of it.
    pub(super) const fn refused_starts(&self) -> u32 {
        self.refused_starts
    }
}

/// What [`Mutant::CutsRot`](crate::mutant::Mutant::CutsRot) does with what a start has refused: it
/// is cut off with all behind it, and so is whatever could prove that it was there.
pub(super) fn cut(medium: &Medium, io: &Io, corruption: &Corruption) {
    let Part::Record { position, .. } = corruption.part else { return };
    let is_later = |name: &FileName| name.ends_with(".segment") && *name > corruption.file;
    for name in medium.names().into_iter().filter(is_later) {
        io.block_on(io.run(Op::Remove { name })).expect("an honest disk removes a file");
    }
    let base = corruption.file.trim_start_matches("log/").trim_end_matches(".segment");
    let base = u64::from_str_radix(base, 16).expect("a segment is named by its position");
    let start = END_BYTES + (position.get() - base) as usize;
    let bytes = medium.contents(&corruption.file).len() - start;
    medium.overwrite(&corruption.file, start as u64, &vec![0; bytes]);
    if medium.names().iter().any(|name| **name == *STAMP) {
        medium.overwrite(STAMP, 0, &vec![0; medium.contents(STAMP).len()]);
    }
}

impl fmt::Display for Rot {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Some(Place { file, offset, .. }) => write!(out, "a bit flips: {file}, byte {offset}"),
            None => write!(out, "no bit flips: there is nothing yet"),
        }
    }
}
