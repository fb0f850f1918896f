//! Whole nodes: a group as it is shipped, with real QUIC and mutual TLS between its nodes and to its
//! clients, on simulated disks and in turmoil's network.
//!
//! Everything that the nodes and clients take from an operating system comes from here
//! ([`system`]), so that a seed is a whole run, down to each datagram's bytes ([`wire`]). The node's
//! and the client's code is that of the program; the invariants, the oracle and the workload are
//! those of the pure world ([`crate::group`]).
//!
//! turmoil's time has whole milliseconds. To tell shorter times apart it is stretched: with a
//! dilation of 10, the runtime's millisecond is a tenth of one to the nodes.

mod client;
mod disk;
mod lab;
mod node;
mod runtime;
mod socket;
mod system;
mod wire;
mod world;

pub use self::world::{Deed, Outcome, Setup, run};
