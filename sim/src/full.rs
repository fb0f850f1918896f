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
mod faults;
mod gate;
mod lab;
mod moment;
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

use crate::group::schedule::{MILLIS, Nanos};
use crate::scenario::model::{Link, Scenario};

/// No run is stretched more than this: it takes as much longer.
pub(crate) const DILATION_MAX: u32 = 20;

/// How much the runtime's time is to be stretched, so that the shortest way between two machines
/// takes a tick of it, unless the scenario says how much. Then shorter ways take a tick as well.
#[must_use]
pub fn dilation(scenario: &Scenario) -> u32 {
    if let Some(dilation) = scenario.run.dilation {
        return dilation;
    }
    let nodes = scenario.nodes.iter().map(|node| node.zone);
    let clients = scenario.clients.iter().flat_map(|it| vec![it.zone; it.count]);
    let zones: Vec<usize> = nodes.chain(clients).collect();
    let pairs = (0..zones.len()).flat_map(|one| (0..one).map(move |other| (one, other)));
    let ways = pairs.map(|(one, other)| scenario.link(zones[one], zones[other]));
    let shortest = ways.map(shortest_oneway).min().unwrap_or(MILLIS);
    let wanted = MILLIS.div_ceil(shortest.max(1)).clamp(1, DILATION_MAX.into());
    let steps = [1, 2, 5, 10, 20];
    steps.into_iter().find(|step| u64::from(*step) >= wanted).unwrap_or(DILATION_MAX)
}

/// What nearly every datagram takes on a link, one way.
fn shortest_oneway(link: &Link) -> Nanos {
    link.rtt.quantile(0.02) / 2
}
