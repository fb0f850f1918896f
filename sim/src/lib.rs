//! The simulator: whatever a seed or a scenario can make happen to a node, and what must hold
//! nevertheless.
//!
//! Nothing in a world reads a clock or draws from the system's randomness, so a seed is a whole run:
//! it can be repeated on any machine, byte for byte.

pub mod full;
pub mod fuzz;
pub mod group;
pub mod history;
pub mod invariants;
pub mod leak;
pub mod model;
pub mod mutant;
pub mod plan;
mod reading;
pub mod record;
pub mod recording;
pub mod report;
pub mod runner;
pub mod scenario;
pub mod scenarios;
pub mod shrinking;
pub mod swarm;
pub mod timeline;
pub mod trace;
pub mod workload;
pub mod world;
