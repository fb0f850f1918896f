//! Which events to read or follow, as `read` and `subscribe` take it.

use std::str::FromStr;

use quorate_net::wire::{Filter, Target};

use super::failure::Failure;

/// The name that stands for every event of the log.
const ALL: &str = "$all";

const FILTERS: &str = "Filters of '$all'";

/// Which events.
#[derive(Debug, clap::Args)]
pub struct Selection {
    /// A stream's name, or '$all' (in quotes) for every event in the order of the log
    #[arg(value_name = "STREAM|'$all'")]
    stream: String,

    /// Only events of streams whose name begins with P; may be given several times
    #[arg(long, value_name = "P", help_heading = FILTERS, group = "filter")]
    stream_prefix: Vec<String>,

    /// Only events whose type begins with P; may be given several times
    #[arg(long, value_name = "P", help_heading = FILTERS, group = "filter")]
    type_prefix: Vec<String>,

    /// Only events of streams whose name matches a regular expression
    #[arg(long, value_name = "EXPRESSION", help_heading = FILTERS, group = "filter")]
    stream_regex: Option<String>,

    /// Only events whose type matches a regular expression
    #[arg(long, value_name = "EXPRESSION", help_heading = FILTERS, group = "filter")]
    type_regex: Option<String>,

    /// Give the event that a link points to instead of the link itself
    #[arg(long)]
    pub(super) resolve_links: bool,
}

impl Selection {
    /// What is read.
    pub(super) fn target(&self) -> Target {
        if self.stream == ALL { Target::All } else { Target::Stream(self.stream.clone()) }
    }

    /// Which events of it.
    ///
    /// # Errors
    ///
    /// A filter on a single stream.
    pub(super) fn filter(&self) -> Result<Filter, Failure> {
        let filter = if !self.stream_prefix.is_empty() {
            Filter::StreamPrefixes(self.stream_prefix.clone())
        } else if !self.type_prefix.is_empty() {
            Filter::TypePrefixes(self.type_prefix.clone())
        } else if let Some(expression) = &self.stream_regex {
            Filter::StreamExpression(expression.clone())
        } else if let Some(expression) = &self.type_regex {
            Filter::TypeExpression(expression.clone())
        } else {
            Filter::None
        };
        if filter != Filter::None && self.stream != ALL {
            return Err(Failure::usage(format!(
                "a filter chooses among all streams, not in {:?}",
                self.stream
            ))
            .hint("Read '$all' (in quotes) with this filter, or leave the filter out."));
        }
        Ok(filter)
    }
}

/// Where to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// At the first event.
    Start,
    /// At the last event, or behind it.
    End,
    /// At a revision of the stream, or a position of `$all`.
    Number(u64),
}

impl FromStr for From {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "start" => Ok(Self::Start),
            "end" => Ok(Self::End),
            _ => text.parse().map(Self::Number).map_err(|_| {
                "give start, end, a revision (of a stream) or a position (of $all)".to_owned()
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Command {
        #[command(flatten)]
        selection: Selection,
    }

    fn check(arguments: &[&str], expected: Result<(Target, Filter), &str>) {
        let command = Command::try_parse_from([&["read"], arguments].concat()).unwrap();
        let filter = command.selection.filter().map_err(|failure| failure.message);
        let found = filter.map(|filter| (command.selection.target(), filter));
        assert_eq!(found, expected.map_err(str::to_owned));
    }

    #[test]
    fn streams_and_filters() {
        let all = |filter| Ok((Target::All, filter));
        check(&["a"], Ok((Target::Stream("a".to_owned()), Filter::None)));
        check(&["$all"], all(Filter::None));
        let prefixes = vec!["a".to_owned(), "b".to_owned()];
        check(
            &["$all", "--stream-prefix", "a", "--stream-prefix", "b"],
            all(Filter::StreamPrefixes(prefixes)),
        );
        check(&["$all", "--type-prefix", "a"], all(Filter::TypePrefixes(vec!["a".to_owned()])));
        check(&["$all", "--stream-regex", "^a"], all(Filter::StreamExpression("^a".to_owned())));
        check(&["$all", "--type-regex", "a$"], all(Filter::TypeExpression("a$".to_owned())));
        check(
            &["a", "--type-regex", "a$"],
            Err("a filter chooses among all streams, not in \"a\""),
        );
    }

    #[test]
    fn one_kind_of_filter_at_a_time() {
        let arguments = ["read", "$all", "--type-prefix", "a", "--stream-prefix", "b"];
        let error = Command::try_parse_from(arguments).unwrap_err();
        assert_eq!(error.kind(), clap::error::ErrorKind::ArgumentConflict);
    }

    #[test]
    fn where_to_begin() {
        assert_eq!("start".parse(), Ok(From::Start));
        assert_eq!("end".parse(), Ok(From::End));
        assert_eq!("17".parse(), Ok(From::Number(17)));
        for text in ["", "-1", "first", "1.5"] {
            assert!(text.parse::<From>().is_err(), "{text}");
        }
    }
}
