//! Real processes, real disks, real kills: what can't be shown from inside one process.
//!
//! Every test ends only the processes that it has started, waits for what happens instead of for
//! time to pass, and lets the system choose its ports.

mod folders;
mod kill;
mod process;
