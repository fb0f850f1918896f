//! How a command ends when it does not end well: an exit code, what went wrong, and what to do.

use std::fmt;
use std::process::ExitCode;

use super::output::tell;

/// The exit codes of `quorate`; docs/cli.md and `--help` list them for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// The request was refused, or something failed.
    Failed,
    /// The command line makes no sense.
    Usage,
    /// The stream is not there, or deleted for ever.
    NotFound,
    /// The stream is not at the expected revision.
    WrongRevision,
    /// No node answered, or it could not be trusted.
    Unreachable,
    /// Nobody knows whether the change was made.
    Unknown,
    /// Stopped by Ctrl-C or SIGTERM before the work was done.
    Interrupted,
    /// Whoever read stdout has gone away (`| head`), which is how they say that they have enough.
    OutputClosed,
}

impl Exit {
    /// The number that a shell sees.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::OutputClosed => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NotFound => 3,
            Self::WrongRevision => 4,
            Self::Unreachable => 5,
            Self::Unknown => 6,
            Self::Interrupted => 130,
        }
    }

    /// The word that stands for it in JSON.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Usage => "usage",
            Self::NotFound => "not_found",
            Self::WrongRevision => "wrong_revision",
            Self::Unreachable => "unreachable",
            Self::Unknown => "unknown",
            Self::Interrupted => "interrupted",
            Self::OutputClosed => "output_closed",
        }
    }
}

/// Why a command failed, for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// What a script sees.
    pub(crate) exit: Exit,
    /// What went wrong, in one sentence without a full stop.
    pub(crate) message: String,
    /// What to do about it.
    pub(crate) hint: Option<String>,
}

impl Failure {
    /// A failure without advice.
    pub(crate) fn new(exit: Exit, message: impl fmt::Display) -> Self {
        Self { exit, message: message.to_string(), hint: None }
    }

    /// The common kind: exit code 1.
    pub(crate) fn failed(message: impl fmt::Display) -> Self {
        Self::new(Exit::Failed, message)
    }

    /// A command line that makes no sense.
    pub(crate) fn usage(message: impl fmt::Display) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// Adds advice.
    pub(crate) fn hint(mut self, hint: impl fmt::Display) -> Self {
        self.hint = Some(hint.to_string());
        self
    }

    /// Says which line of a file it is about.
    pub(crate) fn at_line(self, line: u64) -> Self {
        Self { message: format!("line {line}: {}", self.message), ..self }
    }

    /// Tells the user on stderr, and gives the exit code.
    ///
    /// - `json`: as one JSON object, for a script that asked for JSON
    pub(crate) fn report(&self, json: bool) -> ExitCode {
        if self.exit != Exit::OutputClosed {
            tell(self.render(json).trim_end());
        }
        ExitCode::from(self.exit.code())
    }

    fn render(&self, json: bool) -> String {
        if json {
            let object = serde_json::json!({
                "error": self.exit.name(),
                "message": self.message,
                "hint": self.hint,
            });
            return format!("{object}\n");
        }
        let hint = self.hint.as_ref().map(|hint| format!("  {hint}\n"));
        format!("error: {}\n{}", self.message, hint.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_has_the_advice_below_the_message() {
        let failure = Failure::new(Exit::NotFound, "no stream \"x\"").hint("Look for it.");
        assert_eq!(failure.render(false), "error: no stream \"x\"\n  Look for it.\n");
    }

    #[test]
    fn json_is_one_object_on_one_line() {
        let failure = Failure::usage("two\nlines");
        assert_eq!(
            failure.render(true),
            "{\"error\":\"usage\",\"hint\":null,\"message\":\"two\\nlines\"}\n"
        );
    }

    #[test]
    fn the_handbook_lists_every_code() {
        const HANDBOOK: &str = include_str!("../../../docs/cli.md");
        let exits = [
            Exit::Failed,
            Exit::Usage,
            Exit::NotFound,
            Exit::WrongRevision,
            Exit::Unreachable,
            Exit::Unknown,
            Exit::Interrupted,
        ];
        for exit in exits {
            let row = format!("\n| {} | `{}` | ", exit.code(), exit.name());
            assert!(HANDBOOK.contains(&row), "{row}");
        }
    }
}
