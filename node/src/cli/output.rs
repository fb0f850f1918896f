//! Results on stdout: a line each, as text for people or as one JSON object for programs.
//!
//! Lines gather in memory and are written in one go by a helper thread, so that a slow reader of
//! stdout (a pager, say) slows this command down but does not stop its connection from being kept
//! alive.

use std::fmt::{Display, Write as _};
use std::io::{ErrorKind, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use indicatif::HumanCount;
use quorate_core::event::ContentType;
use quorate_core::id::{EventId, Position, Revision};
use quorate_core::time::Created;
use serde::Serialize;
use serde_json::value::RawValue;

use super::failure::{Exit, Failure};
use super::thread::beside;
use crate::rfc3339::Rfc3339;

/// So many bytes of lines are gathered before they are written.
const WRITE_BYTES: usize = 256 << 10;

/// What results look like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs: one object a line.
    Json,
}

/// Tells the user something on stderr, beside the results.
pub(crate) fn tell(words: impl Display) {
    // Where nobody reads stderr any more, there is nobody left to tell.
    let _ = writeln!(std::io::stderr(), "{words}");
}

/// A number of things, for people: `1 event`, `5,000 events`.
pub(crate) fn count(number: u64, thing: &str) -> String {
    format!("{} {thing}{}", HumanCount(number), if number == 1 { "" } else { "s" })
}

/// One event as a reader sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EventLine<'a> {
    pub(crate) stream: &'a str,
    pub(crate) revision: Revision,
    pub(crate) position: Position,
    pub(crate) id: EventId,
    pub(crate) event_type: &'a str,
    pub(crate) content_type: ContentType,
    pub(crate) data: &'a [u8],
    pub(crate) metadata: &'a [u8],
    pub(crate) created: Created,
}

/// Stdout, in the format that the user asked for.
pub(crate) struct Output {
    format: Format,
    lines: Vec<u8>,
}

impl Output {
    /// Nothing has been written yet.
    pub(crate) fn new(format: Format) -> Self {
        Self { format, lines: Vec::new() }
    }

    /// Whether the user asked for JSON.
    pub(crate) fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// Whether there is enough for a write.
    pub(crate) fn is_full(&self) -> bool {
        self.lines.len() >= WRITE_BYTES
    }

    /// Adds a line with an event.
    pub(crate) fn event(&mut self, event: &EventLine<'_>) {
        match self.format {
            Format::Text => event_as_text(&mut self.lines, event),
            Format::Json => event_as_json(&mut self.lines, event),
        }
        self.lines.push(b'\n');
    }

    /// Adds a result that is not an event: `text` for people, `object` for programs.
    pub(crate) fn result(&mut self, text: &str, object: &impl Serialize) {
        match self.format {
            Format::Text => self.lines.extend_from_slice(text.trim_end().as_bytes()),
            Format::Json => {
                serde_json::to_writer(&mut self.lines, object).expect("results have string keys");
            }
        }
        self.lines.push(b'\n');
    }

    /// Adds text as it is, whatever the format.
    pub(crate) fn raw(&mut self, text: &[u8]) {
        self.lines.extend_from_slice(text);
    }

    /// Writes all lines so far.
    ///
    /// # Errors
    ///
    /// [`Exit::OutputClosed`] where nobody reads stdout any more.
    pub(crate) async fn flush(&mut self) -> Result<(), Failure> {
        if self.lines.is_empty() {
            return Ok(());
        }
        let lines = std::mem::take(&mut self.lines);
        self.lines = beside(move || write_stdout(lines)).await?;
        Ok(())
    }

    /// The same outside of a runtime.
    ///
    /// # Errors
    ///
    /// As [`Output::flush`].
    pub(crate) fn flush_blocking(&mut self) -> Result<(), Failure> {
        self.lines = write_stdout(std::mem::take(&mut self.lines))?;
        Ok(())
    }
}

/// Writes `lines`, and gives the buffer back, empty.
fn write_stdout(mut lines: Vec<u8>) -> Result<Vec<u8>, Failure> {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(&lines).and_then(|()| stdout.flush()).map_err(|error| {
        if error.kind() == ErrorKind::BrokenPipe {
            Failure::new(Exit::OutputClosed, "nobody reads the output any more")
        } else {
            Failure::failed(format!("can't write to stdout: {error}"))
        }
    })?;
    lines.clear();
    Ok(lines)
}

fn event_as_text(line: &mut Vec<u8>, event: &EventLine<'_>) {
    let mut text = format!("{:>12}  {}  ", event.position, Rfc3339(event.created));
    push_printable(&mut text, event.stream);
    write!(text, "@{}  ", event.revision).expect("a string takes all");
    push_printable(&mut text, event.event_type);
    text.push_str("  ");
    push_content(&mut text, event.data);
    if !event.metadata.is_empty() {
        text.push_str("  metadata ");
        push_content(&mut text, event.metadata);
    }
    line.extend_from_slice(text.as_bytes());
}

/// Shows bytes of an application on one line.
fn push_content(text: &mut String, bytes: &[u8]) {
    match str::from_utf8(bytes) {
        Ok(content) => push_printable(text, content),
        Err(_) => write!(text, "({} bytes, not text)", bytes.len()).expect("a string takes all"),
    }
}

/// Control characters come from whoever wrote the event, and must not reach the terminal.
fn push_printable(text: &mut String, content: &str) {
    for character in content.chars() {
        match character {
            '\n' | '\r' | '\t' => text.push(' '),
            _ if character.is_control() => text.extend(character.escape_unicode()),
            _ => text.push(character),
        }
    }
}

fn event_as_json(line: &mut Vec<u8>, event: &EventLine<'_>) {
    let mut quoted = |prefix: &str, text: &str| {
        line.extend_from_slice(prefix.as_bytes());
        serde_json::to_writer(&mut *line, text).expect("a vector takes all");
    };
    quoted("{\"stream\":", event.stream);
    quoted(
        &format!(
            ",\"revision\":{},\"position\":{},\"id\":\"{}\",\"type\":",
            event.revision, event.position, event.id
        ),
        event.event_type,
    );
    line.push(b',');
    match event.content_type {
        ContentType::Json => push_json_or_base64(line, "data", event.data),
        ContentType::Octets => push_base64(line, "data", event.data),
    }
    line.push(b',');
    if event.metadata.is_empty() {
        line.extend_from_slice(b"\"metadata\":null");
    } else {
        push_json_or_base64(line, "metadata", event.metadata);
    }
    line.extend_from_slice(format!(",\"created\":\"{}\"}}", Rfc3339(event.created)).as_bytes());
}

/// Puts JSON in as it is (so that no number loses digits), or anything else as base64.
fn push_json_or_base64(line: &mut Vec<u8>, name: &str, bytes: &[u8]) {
    let Ok(json) = serde_json::from_slice::<&RawValue>(bytes) else {
        return push_base64(line, name, bytes);
    };
    line.extend_from_slice(format!("\"{name}\":").as_bytes());
    // A line break can only stand between tokens: inside a string JSON forbids it.
    let one_line = json.get().bytes().map(|byte| match byte {
        b'\n' | b'\r' => b' ',
        _ => byte,
    });
    line.extend(one_line);
}

fn push_base64(line: &mut Vec<u8>, name: &str, bytes: &[u8]) {
    let encoded = BASE64.encode(bytes);
    line.extend_from_slice(format!("\"{name}_base64\":\"{encoded}\"").as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENT: EventLine<'_> = EventLine {
        stream: "aircraft-N14228",
        revision: Revision::from_wire(3),
        position: Position::from_wire(4160),
        id: EventId::from_bytes([0xab; 16]),
        event_type: "departed",
        content_type: ContentType::Json,
        data: b"{\"delay\":2}",
        metadata: b"",
        created: Created::from_ticks(13_570_344_001_234_567),
    };

    fn text(event: &EventLine<'_>) -> String {
        let mut output = Output::new(Format::Text);
        output.event(event);
        String::from_utf8(output.lines).unwrap()
    }

    fn json(event: &EventLine<'_>) -> String {
        let mut output = Output::new(Format::Json);
        output.event(event);
        let line = String::from_utf8(output.lines).unwrap();
        assert_eq!(line.find('\n'), Some(line.len() - 1), "one object is one line");
        serde_json::from_str::<serde_json::Value>(&line).expect("a line is JSON");
        line
    }

    #[test]
    fn an_event_for_people() {
        assert_eq!(
            text(&EVENT),
            "        4160  2013-01-01T10:00:00.1234567Z  aircraft-N14228@3  departed  {\"delay\":2}\n"
        );
    }

    #[test]
    fn an_event_for_programs() {
        assert_eq!(
            json(&EVENT),
            "{\"stream\":\"aircraft-N14228\",\"revision\":3,\"position\":4160,\
             \"id\":\"abababab-abab-abab-abab-abababababab\",\"type\":\"departed\",\
             \"data\":{\"delay\":2},\"metadata\":null,\
             \"created\":\"2013-01-01T10:00:00.1234567Z\"}\n"
        );
    }

    #[test]
    fn data_that_is_not_json_is_base64() {
        for content_type in [ContentType::Json, ContentType::Octets] {
            let line = json(&EventLine { content_type, data: &[0xff, 0], ..EVENT });
            assert!(line.contains("\"data_base64\":\"/wA=\""), "{line}");
            assert!(!line.contains("\"data\""), "{line}");
        }
        let line = json(&EventLine { metadata: b"trace 7", ..EVENT });
        assert!(line.contains("\"metadata_base64\":\"dHJhY2UgNw==\""), "{line}");
    }

    #[test]
    fn octets_that_happen_to_be_json_are_still_base64() {
        let line = json(&EventLine { content_type: ContentType::Octets, data: b"1", ..EVENT });
        assert!(line.contains("\"data_base64\":\"MQ==\""), "{line}");
    }

    #[test]
    fn json_keeps_its_digits_and_loses_its_line_breaks() {
        let data = b"{\n  \"big\": 12345678901234567890.123,\r\n  \"text\": \"a\\nb\"\n}";
        let line = json(&EventLine { data, ..EVENT });
        assert!(line.contains("\"big\": 12345678901234567890.123"), "{line}");
        assert!(line.contains("\"text\": \"a\\nb\""), "{line}");
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        let line = text(&EventLine { stream: "a\u{1b}[2J", data: b"x\ny", ..EVENT });
        assert!(line.contains("a\\u{1b}[2J@3"), "{line}");
        assert!(line.ends_with("  x y\n"), "{line}");
    }

    #[test]
    fn binary_data_is_only_counted_for_people() {
        let line = text(&EventLine { data: &[0xff; 5], metadata: b"{\"by\":1}", ..EVENT });
        assert!(line.ends_with("  (5 bytes, not text)  metadata {\"by\":1}\n"), "{line}");
    }
}
