//! `quorate://host:port`: where a node is.

use std::fmt;
use std::str::FromStr;

use quorate_net::endpoint::PORT;
use thiserror::Error;

const SCHEME: &str = "quorate://";

/// Where a node is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Uri {
    host: String,
    port: u16,
}

/// Why a text is not the URI of a node.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{text:?} is not a node's URI: {reason}, as in quorate://127.0.0.1:2113")]
pub struct UriError {
    text: String,
    reason: &'static str,
}

impl Uri {
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
}

impl FromStr for Uri {
    type Err = UriError;

    fn from_str(text: &str) -> Result<Self, UriError> {
        let error = |reason| UriError { text: text.to_owned(), reason };
        let rest = text.strip_prefix(SCHEME).ok_or(error("it must begin with quorate://"))?;
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.contains(['/', '?', '#', '@']) {
            return Err(error("it must have a host and a port only"));
        }
        let (host, port) = match authority.strip_prefix('[') {
            Some(bracketed) => {
                let (host, rest) =
                    bracketed.split_once(']').ok_or(error("the bracket must be closed"))?;
                (host, rest.strip_prefix(':').or(rest.is_empty().then_some("")))
            }
            None => match authority.split_once(':') {
                Some((_, port)) if port.contains(':') => {
                    return Err(error("an IPv6 address must stand in brackets"));
                }
                Some((host, port)) => (host, Some(port)),
                None => (authority, Some("")),
            },
        };
        if host.is_empty() {
            return Err(error("it must have a host"));
        }
        let port = match port.ok_or(error("a port must follow the bracket"))? {
            "" => PORT,
            port => port
                .parse()
                .ok()
                .filter(|port| *port > 0)
                .ok_or(error("its port must be a number from 1 to 65535"))?,
        };
        Ok(Self { host: host.to_owned(), port })
    }
}

impl fmt::Display for Uri {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(out, "{SCHEME}[{}]:{}", self.host, self.port)
        } else {
            write!(out, "{SCHEME}{}:{}", self.host, self.port)
        }
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
        ] {
            let error = text.parse::<Uri>().expect_err(text).to_string();
            assert!(error.contains(reason), "{error}");
        }
    }
}
