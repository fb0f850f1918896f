//! The two files of a run that the report is made of, line by line.

use serde::Deserialize;
use serde_json::Value;

/// What the page needs to know about the format; another number is another format.
const SCHEMA: u64 = 1;

/// A line that is not what it should be.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// From 1.
    pub(super) line: usize,
    pub(super) reason: String,
}

/// The first line of a trace.
#[derive(Deserialize)]
pub(super) struct Header {
    schema: u64,
    pub(super) name: String,
    pub(super) seed: u64,
    pub(super) tier: String,
    pub(super) resolution_ns: u64,
    pub(super) duration_ns: u64,
    pub(super) lanes: Vec<Lane>,
}

/// Who has a line of its own in the picture.
#[derive(Deserialize)]
pub(super) struct Lane {
    pub(super) name: String,
    /// `node` or `client`.
    pub(super) kind: String,
    #[serde(default)]
    pub(super) zone: String,
}

/// Any other line; which fields it has depends on its kind.
#[derive(Deserialize)]
pub(super) struct Line {
    /// Virtual nanoseconds since the start of the run.
    #[serde(rename = "t")]
    pub(super) time_ns: u64,
    #[serde(rename = "k")]
    pub(super) kind: String,
    #[serde(rename = "l")]
    pub(super) lane: Option<String>,
    pub(super) to: Option<String>,
    #[serde(rename = "m")]
    pub(super) message: Option<u64>,
    #[serde(rename = "kind")]
    pub(super) name: Option<String>,
    #[serde(rename = "d")]
    pub(super) text: Option<String>,
    pub(super) why: Option<String>,
    pub(super) role: Option<String>,
    pub(super) epoch: Option<u64>,
    #[serde(rename = "i")]
    pub(super) entry: Option<u64>,
    #[serde(rename = "c")]
    pub(super) call: Option<u64>,
    #[serde(rename = "op")]
    pub(super) operation: Option<String>,
    pub(super) outcome: Option<String>,
    #[serde(rename = "f")]
    pub(super) fault: Option<u64>,
    #[serde(default)]
    pub(super) lanes: Vec<String>,
    #[serde(rename = "until")]
    pub(super) until_ns: Option<u64>,
}

/// Reads the summary: the page shows it nearly as it is, so only its frame is looked at.
pub(super) fn summary(text: &str) -> Result<Value, Fault> {
    let summary: Value = serde_json::from_str(text)
        .map_err(|error| Fault { line: error.line().max(1), reason: error.to_string() })?;
    let fault = |reason: String| Err(Fault { line: 1, reason });
    match summary.get("schema").and_then(Value::as_u64) {
        Some(SCHEMA) => {}
        Some(other) => return fault(format!("schema {other}; this report knows {SCHEMA}")),
        None => return fault("has no schema: it is not the summary of a run".to_owned()),
    }
    for field in ["name", "verdict", "command"] {
        if summary.get(field).and_then(Value::as_str).is_none() {
            return fault(format!("has no text called {field}"));
        }
    }
    Ok(summary)
}

/// Reads the header and gives the lines behind it, with their numbers.
pub(super) fn trace(text: &str) -> Result<(Header, impl Iterator<Item = (usize, &str)>), Fault> {
    let mut lines = text.lines().enumerate().map(|(index, line)| (index + 1, line));
    let (_, first) = lines.next().ok_or_else(|| Fault {
        line: 1,
        reason: "is empty: a trace begins with a header".to_owned(),
    })?;
    let header: Header = parse(1, first)?;
    if header.schema != SCHEMA {
        let reason = format!("schema {}; this report knows {SCHEMA}", header.schema);
        return Err(Fault { line: 1, reason });
    }
    Ok((header, lines.filter(|(_, line)| !line.trim().is_empty())))
}

/// Reads one line.
pub(super) fn parse<'a, T: Deserialize<'a>>(number: usize, line: &'a str) -> Result<T, Fault> {
    serde_json::from_str(line).map_err(|error| Fault { line: number, reason: error.to_string() })
}
