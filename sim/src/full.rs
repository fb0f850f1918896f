//! Whole nodes: a group as it is shipped, with real QUIC and mutual TLS between its nodes and to its
//! clients, on simulated disks and in turmoil's network.
//!
//! Everything that the nodes and clients take from an operating system comes from here
//! ([`system`]), so that a seed is a whole run, down to each datagram's bytes ([`wire`]). The node's
//! and the client's code is that of the program; the invariants, the oracle and the workload are
//! those of the pure world ([`crate::group`]).
//!
//! The world has a clock of its own ([`system`]) and goes from one moment in which something happens to
//! the next: a timer goes off, a datagram arrives, a disk has done something, a fault strikes. At
//! each, turmoil lets every machine do what there is to do; what its own clock shows is of no meaning.

mod client;
mod disk;
mod faults;
mod gate;
mod lab;
mod node;
mod runtime;
mod socket;
mod system;
mod talk;
#[cfg(test)]
mod tests;
mod wire;
mod world;

pub use self::faults::unsupported;
pub use self::world::play;

use std::ops::RangeInclusive;

use crate::group::schedule::{MILLIS, Nanos};
use crate::scenario::model::{Link, Scenario};

/// What whole nodes' time may be counted in.
pub(crate) const RESOLUTIONS: RangeInclusive<Nanos> = 1_000..=MILLIS;
/// What it is counted in where the scenario does not say.
const USUAL_RESOLUTIONS: [Nanos; 7] = [100_000, 50_000, 20_000, 10_000, 5_000, 2_000, 1_000];

/// What the time of a world of whole nodes is counted in, unless the scenario says so: no more than
/// a tenth of what the shortest way between two machines takes. The finer it is, the less happens at
/// once, and the longer a run takes.
#[must_use]
pub fn resolution(scenario: &Scenario) -> Nanos {
    if let Some(resolution) = scenario.run.resolution {
        return resolution;
    }
    let nodes = scenario.nodes.iter().map(|node| node.zone);
    let clients = scenario.clients.iter().flat_map(|it| vec![it.zone; it.count]);
    let zones: Vec<usize> = nodes.chain(clients).collect();
    let pairs = (0..zones.len()).flat_map(|one| (0..one).map(move |other| (one, other)));
    let ways = pairs.map(|(one, other)| scenario.link(zones[one], zones[other]));
    let shortest = ways.map(shortest_oneway).min().unwrap_or(MILLIS);
    let [.., finest] = USUAL_RESOLUTIONS;
    USUAL_RESOLUTIONS.into_iter().find(|it| 10 * it <= shortest).unwrap_or(finest)
}

/// What nearly every datagram takes on a link, one way.
fn shortest_oneway(link: &Link) -> Nanos {
    link.rtt.quantile(0.02) / 2
}
