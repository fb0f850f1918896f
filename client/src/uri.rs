//! `quorate://host:port,host:port`: where a node is, or the nodes of a group.

use std::fmt;
use std::str::FromStr;

use quorate_net::endpoint::PORT;
use thiserror::Error;

const SCHEME: &str = "quorate://";
/// More addresses than a group has members, several for each.
const ADDRESSES_MAX: usize = 16;

/// Where a client looks for a store: one of these addresses has to answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Uri {
    addresses: Vec<Address>,
}

/// Where one node is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    host: String,
    port: u16,
}

/// Why a text is not the URI of a store.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "{text:?} is not a node's URI: {reason}, as in quorate://127.0.0.1:2113 or \
     quorate://store-1:2113,store-2:2113,store-3:2113"
)]
pub struct UriError {
    text: String,
    reason: &'static str,
}

impl Uri {
    /// The addresses, at least one.
    #[must_use]
    pub fn addresses(&self) -> &[Address] {
        &self.addresses
    }
}

impl Address {
    /// A host name or address, without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The UDP port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Reads `host:port`; without a port it is the usual one.
    fn parse(text: &str) -> Result<Self, &'static str> {
        if text.contains(['/', '?', '#', '@']) {
            return Err("it must have a host and a port only");
        }
        let (host, port) = match text.strip_prefix('[') {
            Some(bracketed) => {
                let (host, rest) = bracketed.split_once(']').ok_or("the bracket must be closed")?;
                (host, rest.strip_prefix(':').or(rest.is_empty().then_some("")))
            }
            None => match text.split_once(':') {
                Some((_, port)) if port.contains(':') => {
                    return Err("an IPv6 address must stand in brackets");
                }
                Some((host, port)) => (host, Some(port)),
                None => (text, Some("")),
            },
        };
        if host.is_empty() {
            return Err("it must have a host");
        }
        let port = match port.ok_or("a port must follow the bracket")? {
            "" => PORT,
            port => port
                .parse()
                .ok()
                .filter(|port| *port > 0)
                .ok_or("its port must be a number from 1 to 65535")?,
        };
        Ok(Self { host: host.to_owned(), port })
    }
}

impl FromStr for Address {
    type Err = UriError;

    fn from_str(text: &str) -> Result<Self, UriError> {
        Self::parse(text).map_err(|reason| UriError { text: text.to_owned(), reason })
    }
}

impl FromStr for Uri {
    type Err = UriError;

    fn from_str(text: &str) -> Result<Self, UriError> {
        let error = |reason| UriError { text: text.to_owned(), reason };
        let rest = text.strip_prefix(SCHEME).ok_or(error("it must begin with quorate://"))?;
        let list = rest.strip_suffix('/').unwrap_or(rest);
        let mut addresses = Vec::new();
        for one in list.split(',') {
            // Each may repeat the scheme, as lists do that a script has joined.
            let address = Address::parse(one.strip_prefix(SCHEME).unwrap_or(one)).map_err(error)?;
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        if addresses.len() > ADDRESSES_MAX {
            return Err(error("it must have at most 16 addresses"));
        }
        Ok(Self { addresses })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(out, "[{}]:{}", self.host, self.port)
        } else {
            write!(out, "{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Display for Uri {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(SCHEME)?;
        for (place, address) in self.addresses.iter().enumerate() {
            write!(out, "{}{address}", if place == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_and_port_are_read() {
        for (text, shown) in [
            ("quorate://127.0.0.1:2113", "quorate://127.0.0.1:2113"),
            ("quorate://store.example", "quorate://store.example:2113"),
            ("quorate://localhost:7/", "quorate://localhost:7"),
            ("quorate://[::1]:9", "quorate://[::1]:9"),
            ("quorate://[::1]", "quorate://[::1]:2113"),
            ("quorate://a:1,b,[::1]:9", "quorate://a:1,b:2113,[::1]:9"),
            ("quorate://a:1,quorate://b:2,a:1", "quorate://a:1,b:2"),
        ] {
            let uri: Uri = text.parse().expect(text);
            assert_eq!(uri.to_string(), shown);
        }
    }

    #[test]
    fn anything_else_is_refused_with_the_reason() {
        for (text, reason) in [
            ("127.0.0.1:2113", "begin with"),
            ("http://localhost", "begin with"),
            ("quorate://", "a host"),
            ("quorate://:2113", "a host"),
            ("quorate://a:0", "1 to 65535"),
            ("quorate://a:65536", "1 to 65535"),
            ("quorate://::1", "brackets"),
            ("quorate://[::1", "closed"),
            ("quorate://[::1]9", "follow the bracket"),
            ("quorate://a/b", "only"),
            ("quorate://user@a", "only"),
            ("quorate://a,,b", "a host"),
            ("quorate://1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17", "at most 16"),
        ] {
            let error = text.parse::<Uri>().expect_err(text).to_string();
            assert!(error.contains(reason), "{error}");
        }
    }
}
