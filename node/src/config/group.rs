//! What the settings say of the node's group.

use std::net::{IpAddr, SocketAddr};

use quorate_core::member::{MEMBERS_MAX, Name};
use quorate_core::timing::Timing;
use quorate_net::identity::host_name;

use super::{Config, host_of};

/// One tick of the core's timers.
const TICK_MS: u32 = 10;

/// What is wrong with the settings of a group, in words for the person who wrote them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GroupProblem {
    /// No group can be so large, or so small.
    #[error("voters = {voters}: a group has 1 to {MEMBERS_MAX} voters")]
    Voters {
        /// As set.
        voters: u32,
    },
    /// More addresses than nodes.
    #[error(
        "join has {addresses} addresses, but the group is to have {voters} voters: give each node's \
         address once, or set voters to how many nodes there are"
    )]
    TooManyAddresses {
        /// Of `join`.
        addresses: usize,
        /// As set.
        voters: u32,
    },
    /// Nobody to join.
    #[error(
        "a group of {voters} voters needs to know where they are: start each node with the same \
         --join HOST:PORT,HOST:PORT,…"
    )]
    NoAddresses {
        /// As set.
        voters: u32,
    },
    /// Nodes that can't prove who they are.
    #[error(
        "a group of {voters} voters needs certificates, by which its nodes know each other. Make \
         an authority once with `quorate cert init --ca ./ca`, a certificate for this node with \
         `quorate cert issue {node} --ca ./ca --host {host} --out ./{node}`, and start it with \
         --certs ./{node}"
    )]
    NoCertificates {
        /// As set.
        voters: u32,
        /// This node.
        node: Name,
        /// Where others reach it.
        host: String,
    },
}

impl Config {
    /// How many voters the group has.
    #[must_use]
    pub fn voters(&self) -> u32 {
        let addresses = u32::try_from(self.join.len()).unwrap_or(u32::MAX);
        self.voters.unwrap_or(addresses.max(1))
    }

    /// The core's timers.
    #[must_use]
    pub fn timing(&self) -> Timing {
        let heartbeat_ticks = self.heartbeat_ms.div_ceil(TICK_MS);
        let election_ticks_min = self.election_timeout_ms.div_ceil(TICK_MS);
        Timing {
            tick_nanos: u64::from(TICK_MS) * 1_000_000,
            heartbeat_ticks,
            election_ticks_min,
            election_ticks_spread: election_ticks_min / 2,
            rank_ticks: election_ticks_min / 6,
            stall_ticks: election_ticks_min.saturating_mul(2).max(Timing::PRODUCTION.stall_ticks),
            commit_stall_ticks: election_ticks_min
                .saturating_mul(4)
                .max(Timing::PRODUCTION.commit_stall_ticks),
            ..Timing::PRODUCTION
        }
    }

    /// Where clients and other nodes reach the node.
    ///
    /// - `bound`: where it listens
    #[must_use]
    pub fn advertised(&self, bound: SocketAddr) -> String {
        if let Some(address) = &self.advertise {
            return address.clone();
        }
        let port = bound.port();
        let host = self.listen.rsplit_once(':').map_or("", |(host, _)| host);
        if !host.is_empty() && !bound.ip().is_unspecified() {
            return format!("{host}:{port}");
        }
        let host = host_name().unwrap_or_else(|| "localhost".to_owned());
        format!("{host}:{port}")
    }

    /// Checks what the settings say of the group against each other.
    pub(super) fn check_group(&self) -> Result<(), GroupProblem> {
        let voters = self.voters();
        if !(1..=MEMBERS_MAX).contains(&(voters as usize)) {
            return Err(GroupProblem::Voters { voters });
        }
        let addresses = self.join.len();
        if addresses > voters as usize {
            return Err(GroupProblem::TooManyAddresses { addresses, voters });
        }
        if voters > 1 && addresses == 0 {
            return Err(GroupProblem::NoAddresses { voters });
        }
        if voters > 1 && self.certs.is_none() {
            let (node, host) = (self.node, self.host());
            return Err(GroupProblem::NoCertificates { voters, node, host });
        }
        Ok(())
    }

    /// A host under which others may reach the node.
    fn host(&self) -> String {
        let address = self.advertise.as_ref().unwrap_or(&self.listen);
        let host = host_of(address);
        let is_every = host.parse::<IpAddr>().is_ok_and(|host| host.is_unspecified());
        if host.is_empty() || is_every { "HOST".to_owned() } else { host.to_owned() }
    }
}

/// A name that is one.
pub(super) fn name(text: &str) -> Name {
    Name::new(text).expect("it is a name")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(voters: Option<u32>, join: &[&str]) -> Config {
        Config {
            voters,
            join: join.iter().map(|&address| address.to_owned()).collect(),
            certs: Some("certs".into()),
            ..Config::default()
        }
    }

    #[test]
    fn the_default_timers_are_those_of_production() {
        assert_eq!(Config::default().timing(), Timing::PRODUCTION);
    }

    #[test]
    fn a_group_is_as_large_as_its_addresses_unless_it_is_told() {
        assert_eq!(Config::default().voters(), 1);
        assert_eq!(group(None, &["a:1", "b:1", "c:1"]).voters(), 3);
        assert_eq!(group(Some(3), &["a:1"]).voters(), 3);
    }

    /// The problem's text has `words` in it; nothing is wrong where there are none.
    fn check(config: &Config, words: &str) {
        let text = config.check_group().err().map_or_else(String::new, |error| error.to_string());
        assert!(text.contains(words) && words.is_empty() == text.is_empty(), "{text:?}: {words:?}");
    }

    #[test]
    fn a_group_knows_its_nodes_and_they_can_prove_who_they_are() {
        check(&Config::default(), "");
        check(&group(None, &["a:1", "b:1", "c:1"]), "");
        check(&group(Some(3), &["a:1"]), "");
        check(&group(Some(0), &[]), "1 to 7 voters");
        check(&group(Some(8), &["a:1"]), "1 to 7 voters");
        check(&group(Some(1), &["a:1", "b:1"]), "join has 2 addresses");
        check(&group(Some(3), &[]), "--join HOST:PORT");
        let bare = Config { certs: None, node: name("n2"), ..group(Some(3), &["a:1"]) };
        check(&bare, "quorate cert issue n2 --ca ./ca --host 127.0.0.1 --out ./n2");
    }

    #[test]
    fn what_is_advertised_can_be_reached() {
        let bound = |text: &str| text.parse::<SocketAddr>().expect("an address");
        let config = Config { listen: "n1.example:0".into(), ..Config::default() };
        assert_eq!(config.advertised(bound("10.0.0.1:77")), "n1.example:77");
        let every = Config { listen: "0.0.0.0:2113".into(), ..Config::default() };
        let advertised = every.advertised(bound("0.0.0.0:2113"));
        assert!(advertised.ends_with(":2113") && !advertised.starts_with("0."), "{advertised}");
        let told = Config { advertise: Some("x:1".into()), ..every };
        assert_eq!(told.advertised(bound("0.0.0.0:2113")), "x:1");
    }
}
