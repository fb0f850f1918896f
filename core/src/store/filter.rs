//! Which events of `$all` a reader wants: by the start of their stream's name or type, or by a
//! regular expression over one of them.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use regex::Regex;

use crate::event::EventFrame;
use crate::limits::Limits;

/// A reader's wish, as it travels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Filter {
    /// Every event.
    #[default]
    All,
    /// Events of streams whose name starts with one of these.
    StreamPrefixes(Vec<String>),
    /// Events whose type starts with one of these.
    TypePrefixes(Vec<String>),
    /// Events of streams in whose name this expression matches somewhere.
    StreamRegex(String),
    /// Events in whose type this expression matches somewhere.
    TypeRegex(String),
}

/// A filter that is ready to be asked.
#[derive(Clone, Debug)]
pub struct Matcher(Kind);

#[derive(Clone, Debug)]
enum Kind {
    All,
    Prefixes(Subject, Vec<String>),
    Regex(Subject, Regex),
}

#[derive(Clone, Copy, Debug)]
enum Subject {
    Stream,
    Type,
}

/// Why a filter can't be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FilterError {
    /// Its prefixes together, or its expression, are too long.
    TooLarge {
        /// `filter_bytes_max`.
        max: u32,
        /// How long they are.
        found: usize,
    },
    /// A list of prefixes with nothing in it would match nothing.
    NoPrefix,
    /// Not a regular expression, or one that needs too much memory.
    Regex {
        /// What is wrong with it, for a person.
        message: String,
    },
}

impl fmt::Display for FilterError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { max, found } => {
                write!(out, "filter_bytes_max is {max} bytes, and this has {found}")
            }
            Self::NoPrefix => out.write_str("the filter has no prefix"),
            Self::Regex { message } => write!(out, "the filter's expression: {message}"),
        }
    }
}

impl core::error::Error for FilterError {}

/// What a compiled expression may take in memory. Matching is linear in the text whatever the
/// expression, so this bounds what one reader can cost.
const REGEX_BYTES_MAX: usize = 1 << 20;

impl Filter {
    /// Checks it and makes it ready to be asked.
    ///
    /// # Errors
    ///
    /// [`FilterError`] where it is too large or not an expression.
    pub fn compile(&self, limits: &Limits) -> Result<Matcher, FilterError> {
        let kind = match self {
            Self::All => Kind::All,
            Self::StreamPrefixes(prefixes) => {
                Kind::Prefixes(Subject::Stream, compile_prefixes(prefixes, limits)?)
            }
            Self::TypePrefixes(prefixes) => {
                Kind::Prefixes(Subject::Type, compile_prefixes(prefixes, limits)?)
            }
            Self::StreamRegex(text) => Kind::Regex(Subject::Stream, compile_regex(text, limits)?),
            Self::TypeRegex(text) => Kind::Regex(Subject::Type, compile_regex(text, limits)?),
        };
        Ok(Matcher(kind))
    }
}

impl Matcher {
    /// Whether the reader wants this event.
    #[must_use]
    pub fn matches(&self, event: &EventFrame<'_>) -> bool {
        match &self.0 {
            Kind::All => true,
            Kind::Prefixes(subject, prefixes) => {
                let text = subject.of(event);
                prefixes.iter().any(|prefix| text.starts_with(prefix.as_str()))
            }
            Kind::Regex(subject, regex) => regex.is_match(subject.of(event)),
        }
    }
}

impl Subject {
    fn of<'a>(self, event: &EventFrame<'a>) -> &'a str {
        match self {
            Self::Stream => event.stream(),
            Self::Type => event.event_type(),
        }
    }
}

fn compile_prefixes(prefixes: &[String], limits: &Limits) -> Result<Vec<String>, FilterError> {
    check_size(prefixes.iter().map(String::len).sum(), limits)?;
    // Each prefix costs a comparison for each event, so an empty one counts, too.
    check_size(prefixes.len(), limits)?;
    if prefixes.is_empty() {
        return Err(FilterError::NoPrefix);
    }
    Ok(prefixes.to_vec())
}

fn compile_regex(text: &str, limits: &Limits) -> Result<Regex, FilterError> {
    check_size(text.len(), limits)?;
    regex::RegexBuilder::new(text)
        .size_limit(REGEX_BYTES_MAX)
        .build()
        .map_err(|error| FilterError::Regex { message: error.to_string() })
}

fn check_size(found: usize, limits: &Limits) -> Result<(), FilterError> {
    let max = limits.filter_bytes_max;
    if found > max as usize { Err(FilterError::TooLarge { max, found }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;
    use crate::event::{ContentType, NewEvent, crc32c, encode};
    use crate::id::EventId;

    fn strings(texts: &[&str]) -> Vec<String> {
        texts.iter().map(ToString::to_string).collect()
    }

    /// Which of a few events, given as `stream/type`, come through.
    fn check(filter: &Filter, expected: &[&str]) {
        let matcher = filter.compile(&Limits::TINY).unwrap();
        let passed: Vec<_> = ["a-1/x", "a-2/y", "b-1/xy", "$settings/$x"]
            .into_iter()
            .filter(|name| {
                let (stream, event_type) = name.split_once('/').unwrap();
                let event = NewEvent {
                    id: EventId::from_bytes([1; 16]),
                    event_type,
                    content_type: ContentType::Octets,
                    data: b"",
                    metadata: b"",
                };
                let mut bytes = Vec::new();
                encode(&mut bytes, stream, &event, crc32c);
                matcher.matches(&EventFrame::parse(&bytes).unwrap())
            })
            .collect();
        assert_eq!(passed, expected, "{filter:?}");
    }

    #[test]
    fn filters_by_prefix_and_expression() {
        check(&Filter::All, &["a-1/x", "a-2/y", "b-1/xy", "$settings/$x"]);
        check(&Filter::StreamPrefixes(strings(&["a-", "$"])), &["a-1/x", "a-2/y", "$settings/$x"]);
        check(&Filter::StreamPrefixes(strings(&["c"])), &[]);
        check(&Filter::TypePrefixes(strings(&["x"])), &["a-1/x", "b-1/xy"]);
        check(&Filter::StreamRegex("-1$".into()), &["a-1/x", "b-1/xy"]);
        check(&Filter::TypeRegex("^[^$]".into()), &["a-1/x", "a-2/y", "b-1/xy"]);
    }

    #[test]
    fn a_filter_that_costs_too_much_is_refused() {
        let compile = |filter: Filter| filter.compile(&Limits::TINY).map(|_| ());
        let long = "a".repeat(65);
        let too_large = Err(FilterError::TooLarge { max: 64, found: 65 });
        assert_eq!(compile(Filter::StreamRegex(long.clone())), too_large);
        assert_eq!(compile(Filter::TypePrefixes(vec![long])), too_large);
        assert_eq!(compile(Filter::TypePrefixes(vec![String::new(); 65])), too_large);
        assert_eq!(compile(Filter::StreamPrefixes(vec![])), Err(FilterError::NoPrefix));
        for text in ["(", r"(\w{1000}){1000}"] {
            let compiled = compile(Filter::TypeRegex(text.into()));
            assert!(matches!(compiled, Err(FilterError::Regex { .. })), "{text}");
        }
    }
}
