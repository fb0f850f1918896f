//! Bytes given on the command line: as they are, from a file (`@FILE`) or from stdin (`-`).

use std::convert::Infallible;
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::str::FromStr;

use serde::de::IgnoredAny;

use super::failure::Failure;

/// Where the bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// In the argument itself.
    Inline(String),
    /// In a file.
    File(PathBuf),
    /// On stdin.
    Stdin,
}

impl FromStr for Content {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text.strip_prefix('@') {
            Some(path) => Self::File(path.into()),
            None if text == "-" => Self::Stdin,
            None => Self::Inline(text.to_owned()),
        })
    }
}

impl Content {
    /// Reads the bytes, up to `bytes_max` of them.
    ///
    /// - `flag`: the option's name, for messages
    ///
    /// # Errors
    ///
    /// A file that can't be read, or more bytes than a node can take.
    pub(crate) fn read(&self, flag: &str, bytes_max: u64) -> Result<Vec<u8>, Failure> {
        let (name, read) = match self {
            Self::Inline(text) => return Ok(text.clone().into_bytes()),
            Self::File(path) => {
                let file = File::open(path);
                (path.display().to_string(), file.and_then(|file| read_all(file, bytes_max)))
            }
            Self::Stdin => ("stdin".to_owned(), read_all(io::stdin().lock(), bytes_max)),
        };
        let bytes = read
            .map_err(|error| Failure::failed(format!("can't read {name} for {flag}: {error}")))?;
        if bytes.len() as u64 > bytes_max {
            return Err(Failure::failed(format!("{name} has more than {bytes_max} bytes"))
                .hint("An event must be smaller than event_bytes_max of the node."));
        }
        Ok(bytes)
    }
}

/// Reads to the end, or to one byte more than `bytes_max`.
fn read_all(source: impl Read, bytes_max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source.take(bytes_max + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Refuses what is not JSON.
///
/// - `hint`: what the user could do instead
///
/// # Errors
///
/// A usage error with the place where JSON ends.
pub(crate) fn require_json(bytes: &[u8], flag: &str, hint: &str) -> Result<(), Failure> {
    match serde_json::from_slice::<IgnoredAny>(bytes) {
        Ok(IgnoredAny) => Ok(()),
        Err(error) => Err(Failure::usage(format!("{flag} is not JSON: {error}")).hint(hint)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_ways_to_give_bytes() {
        let parse = |text: &str| text.parse::<Content>().unwrap();
        assert_eq!(parse("{\"a\":1}"), Content::Inline("{\"a\":1}".to_owned()));
        assert_eq!(parse("-"), Content::Stdin);
        assert_eq!(parse("-1"), Content::Inline("-1".to_owned()));
        assert_eq!(parse("@a/b"), Content::File("a/b".into()));
    }

    #[test]
    fn reading_stops_behind_the_bound() {
        assert_eq!(read_all(&b"abcdef"[..], 3).unwrap(), b"abcd");
        assert_eq!(read_all(&b"abc"[..], 3).unwrap(), b"abc");
    }

    #[test]
    fn a_missing_file_is_named() {
        let content = Content::File("/nonexistent/event.json".into());
        let failure = content.read("--data", 10).unwrap_err();
        assert!(
            failure.message.starts_with("can't read /nonexistent/event.json for --data: "),
            "{failure:?}"
        );
    }

    #[test]
    fn json_or_advice() {
        assert_eq!(require_json(b"{\"a\":[1,2.5]}", "--data", ""), Ok(()));
        let failure = require_json(b"{a:1}", "--data", "Quote it.").unwrap_err();
        assert!(failure.message.starts_with("--data is not JSON: key must be"), "{failure:?}");
        assert_eq!(failure.hint.as_deref(), Some("Quote it."));
    }
}
