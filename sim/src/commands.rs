//! The commands of `quorate-sim`, one file each.

pub(crate) mod diff;
pub(crate) mod explain;
pub(crate) mod folder;
pub(crate) mod fuzz;
pub(crate) mod mutants;
pub(crate) mod profile;
pub(crate) mod recording;
pub(crate) mod refusals;
pub(crate) mod replay;
pub(crate) mod run;
pub(crate) mod scenario;
pub(crate) mod seeds;
pub(crate) mod shrink;
pub(crate) mod swarm;
pub(crate) mod twice;
pub(crate) mod validate;

/// Bad usage, or a scenario that is none.
pub(crate) const USAGE: u8 = 2;
