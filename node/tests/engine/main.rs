//! The engine on a simulated disk: against a plain model over random histories with restarts and
//! power losses, and crashed at every change that it makes to the disk.

mod crash;
mod histories;
mod model;
mod world;
