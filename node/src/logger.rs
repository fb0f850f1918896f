//! What a node says on standard error: one line for each thing that a person may want to know.
//!
//! Text for people, JSON for collectors; both have the same parts: time, level, a stable name of
//! what happened, a sentence, and named values.

use std::fmt::{self, Debug, Display, Write as _};
use std::io::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use quorate_core::time::Created;
use quorate_net::environment;

use crate::config::{LogFormat, LogLevel};
use crate::rfc3339::Rfc3339;

/// Writes log lines.
#[derive(Clone, Copy)]
pub struct Logger {
    level: LogLevel,
    format: LogFormat,
    sink: Sink,
}

/// Takes a line.
type Sink = &'static (dyn Fn(&str) + Sync);

/// Named values of a line.
pub type Fields<'a> = &'a [(&'a str, &'a dyn Display)];

impl Logger {
    /// - `level`: the least important lines that are written
    #[must_use]
    pub const fn new(level: LogLevel, format: LogFormat) -> Self {
        Self { level, format, sink: &standard_error }
    }

    /// The same, but its lines go there.
    #[must_use]
    pub const fn into_sink(self, sink: Sink) -> Self {
        Self { sink, ..self }
    }

    /// The node stops, or can't do its work.
    pub fn error(&self, event: &str, sentence: &str, fields: Fields<'_>) {
        self.write(LogLevel::Error, event, sentence, fields);
    }

    /// Somebody should look.
    pub fn warn(&self, event: &str, sentence: &str, fields: Fields<'_>) {
        self.write(LogLevel::Warn, event, sentence, fields);
    }

    /// What a person wants to know of a day.
    pub fn info(&self, event: &str, sentence: &str, fields: Fields<'_>) {
        self.write(LogLevel::Info, event, sentence, fields);
    }

    /// What helps to find a fault.
    pub fn debug(&self, event: &str, sentence: &str, fields: Fields<'_>) {
        self.write(LogLevel::Debug, event, sentence, fields);
    }

    fn write(&self, level: LogLevel, event: &str, sentence: &str, fields: Fields<'_>) {
        if level > self.level {
            return;
        }
        let line = match self.format {
            LogFormat::Text => text(level, event, sentence, fields),
            LogFormat::Json => json(level, event, sentence, fields),
        };
        (self.sink)(&line);
    }
}

impl Debug for Logger {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Logger").field("level", &self.level).finish_non_exhaustive()
    }
}

fn standard_error(line: &str) {
    // Where standard error is gone there is nobody left to tell.
    let _gone = std::io::stderr().write_all(line.as_bytes());
}

/// The wall clock, as events are stamped with it.
#[must_use]
pub fn wall_clock() -> Created {
    created(environment::wall_clock())
}

/// A time of the system, as events are stamped.
pub(crate) fn created(time: SystemTime) -> Created {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    Created::from_ticks(u64::try_from(since.as_nanos() / 100).unwrap_or(u64::MAX))
}

const fn name(level: LogLevel) -> &'static str {
    match level {
        LogLevel::Error => "error",
        LogLevel::Warn => "warn",
        LogLevel::Info => "info",
        LogLevel::Debug => "debug",
    }
}

fn text(level: LogLevel, event: &str, sentence: &str, fields: Fields<'_>) -> String {
    let now = Rfc3339(wall_clock());
    let mut line = format!("{now} {:<5} {event}: {sentence}", name(level));
    for (name, value) in fields {
        write!(line, " {name}={value}").expect("a String takes all");
    }
    line.push('\n');
    line
}

fn json(level: LogLevel, event: &str, sentence: &str, fields: Fields<'_>) -> String {
    let mut object = serde_json::Map::new();
    object.insert("time".into(), Rfc3339(wall_clock()).to_string().into());
    object.insert("level".into(), name(level).into());
    object.insert("event".into(), event.into());
    object.insert("message".into(), sentence.into());
    for (name, value) in fields {
        object.insert((*name).to_owned(), value.to_string().into());
    }
    format!("{}\n", serde_json::Value::Object(object))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_say_the_same() {
        let fields: Fields<'_> = &[("epoch", &7), ("disk", &"a \"b\"")];
        let line = text(LogLevel::Info, "leading", "the node leads", fields);
        assert!(line.ends_with(" info  leading: the node leads epoch=7 disk=a \"b\"\n"), "{line}");
        let line = json(LogLevel::Warn, "leading", "the node leads", fields);
        let object: serde_json::Value = serde_json::from_str(&line).expect("it is JSON");
        assert_eq!(object["level"], "warn");
        assert_eq!(object["event"], "leading");
        assert_eq!(object["epoch"], "7");
        assert_eq!(object["disk"], "a \"b\"");
    }
}
