//! Links: an event that stands for another one.
//!
//! A link is an event of type `$>` whose data is `revision@stream`. Readers who ask for it get the
//! event that it names instead.

use core::fmt;

use crate::id::Revision;

/// Which event a link stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link<'a> {
    /// The stream of that event.
    pub stream: &'a str,
    /// Its revision there.
    pub revision: Revision,
}

/// Why the data of a `$>` event names no event. A reader shows such an event as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkError {
    /// It is not UTF-8.
    NotUtf8,
    /// It has no `@`.
    NoStream,
    /// What stands before the `@` is not a revision.
    Revision,
    /// What stands behind the `@` is not the name of a stream.
    StreamName,
}

impl fmt::Display for LinkError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::NotUtf8 => "the link is not UTF-8",
            Self::NoStream => "the link has no @ between revision and stream",
            Self::Revision => "the link does not start with a revision",
            Self::StreamName => "the link does not end with the name of a stream",
        })
    }
}

impl core::error::Error for LinkError {}

impl<'a> Link<'a> {
    /// Reads `revision@stream`; the stream's name may itself hold an `@`.
    ///
    /// # Errors
    ///
    /// [`LinkError`] where the data is anything else.
    pub fn parse(data: &'a [u8]) -> Result<Self, LinkError> {
        let text = str::from_utf8(data).map_err(|_| LinkError::NotUtf8)?;
        let (revision, stream) = text.split_once('@').ok_or(LinkError::NoStream)?;
        // `parse` alone would take "+1".
        if !revision.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(LinkError::Revision);
        }
        let number = revision.parse().map_err(|_| LinkError::Revision)?;
        if !super::name::is_valid(stream) {
            return Err(LinkError::StreamName);
        }
        Ok(Self { stream, revision: Revision::from_wire(number) })
    }
}

impl fmt::Display for Link<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}@{}", self.revision, self.stream)
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    fn check(data: &str, expected: Result<(u64, &str), LinkError>) {
        let parsed = Link::parse(data.as_bytes());
        assert_eq!(parsed.map(|link| (link.revision.get(), link.stream)), expected, "{data}");
        if let Ok(link) = parsed {
            assert_eq!(link.to_string(), data);
        }
    }

    #[test]
    fn links_name_an_event() {
        check("0@a", Ok((0, "a")));
        check("7@mail@example.org", Ok((7, "mail@example.org")));
        check("18446744073709551615@a", Ok((u64::MAX, "a")));
        check("18446744073709551616@a", Err(LinkError::Revision));
        check("+1@a", Err(LinkError::Revision));
        check("@a", Err(LinkError::Revision));
        check("1@", Err(LinkError::StreamName));
        check("1@$$$$a", Err(LinkError::StreamName));
        check("1", Err(LinkError::NoStream));
        assert_eq!(Link::parse(b"1@\xff"), Err(LinkError::NotUtf8));
    }
}
