//! Rows of a CSV or NDJSON file, each as the stream and the JSON data of one event.

use std::fmt;
use std::io::{self, BufRead, Read};

use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use super::source::{BoundedRows, Source};
use super::template::StreamTemplate;

/// Longer numbers stay text: every reader of JSON keeps 15 digits exactly, and not all keep more.
const NUMBER_DIGITS_MAX: usize = 15;

/// How rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum RowFormat {
    /// Comma-separated values; the first line names the columns.
    Csv,
    /// One JSON object a line.
    Ndjson,
}

/// How rows become events.
#[derive(Clone, Debug)]
pub(super) struct RowOptions {
    /// `None`: by the first byte, which is `{` for NDJSON.
    pub(super) format: Option<RowFormat>,
    /// The stream of each row.
    pub(super) stream: StreamTemplate,
    /// A CSV field with this text counts as empty.
    pub(super) null: Option<String>,
    /// Longer rows are refused.
    pub(super) row_bytes_max: u64,
}

/// One row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// 1, 2, 3 … without header and empty lines.
    pub(super) number: u64,
    /// Where it starts in the file.
    pub(super) line: u64,
    /// By the template.
    pub(super) stream: String,
    /// A JSON object.
    pub(super) data: Vec<u8>,
}

/// A row that can't be an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RowError {
    /// Where it starts in the file; 0 where that is not known.
    pub(super) line: u64,
    what: String,
}

impl RowError {
    fn new(line: u64, what: impl fmt::Display) -> Self {
        Self { line, what: what.to_string() }
    }

    /// The file could not be opened, or its first bytes not be read.
    pub(super) fn unreadable(error: io::Error) -> Self {
        Self::new(0, error)
    }
}

impl fmt::Display for RowError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 0 {
            write!(out, "line {}: ", self.line)?;
        }
        out.write_str(&self.what)
    }
}

impl std::error::Error for RowError {}

/// Reads one row after another; after an error it has ended.
pub(super) struct Rows {
    reader: Reader,
    options: RowOptions,
    rows: u64,
}

enum Reader {
    Csv(CsvReader),
    Ndjson(LineReader),
    Ended,
}

impl Rows {
    /// Reads the header, where there is one.
    ///
    /// # Errors
    ///
    /// A header that can't be read, or that lacks a field of the template.
    pub(super) fn new(mut source: Source, options: RowOptions) -> Result<Self, RowError> {
        let first = source.fill_buf().map_err(|error| RowError::new(0, error))?;
        let guess = if first.first() == Some(&b'{') { RowFormat::Ndjson } else { RowFormat::Csv };
        let source = BoundedRows::new(source, options.row_bytes_max);
        let reader = match options.format.unwrap_or(guess) {
            RowFormat::Csv => Reader::Csv(CsvReader::new(source, &options.stream)?),
            RowFormat::Ndjson => Reader::Ndjson(LineReader::new(source, options.row_bytes_max)),
        };
        Ok(Self { reader, options, rows: 0 })
    }

    fn read(&mut self) -> Option<Result<Row, RowError>> {
        let number = self.rows + 1;
        match &mut self.reader {
            Reader::Csv(reader) => reader.read(number, &self.options),
            Reader::Ndjson(reader) => reader.read(number, &self.options.stream),
            Reader::Ended => Ok(None),
        }
        .transpose()
    }
}

impl Iterator for Rows {
    type Item = Result<Row, RowError>;

    fn next(&mut self) -> Option<Self::Item> {
        let row = self.read();
        match row {
            Some(Ok(_)) => self.rows += 1,
            Some(Err(_)) | None => self.reader = Reader::Ended,
        }
        row
    }
}

struct CsvReader {
    reader: csv::Reader<BoundedRows>,
    /// Names of the columns.
    columns: Vec<String>,
    /// The same as JSON strings with a colon.
    keys: Vec<String>,
    record: csv::StringRecord,
}

impl CsvReader {
    fn new(source: BoundedRows, template: &StreamTemplate) -> Result<Self, RowError> {
        let mut reader = csv::ReaderBuilder::new().from_reader(source);
        let header = reader.headers().map_err(|error| csv_error(&error, 1))?;
        let mut columns: Vec<String> = header.iter().map(str::to_owned).collect();
        if let Some(first) = columns.first_mut() {
            *first = first.trim_start_matches('\u{feff}').to_owned();
        }
        if columns.is_empty() {
            return Err(RowError::new(0, "there is nothing in it, not even a header"));
        }
        for (index, column) in columns.iter().enumerate() {
            if column.is_empty() {
                let what = format!("column {} of the header has no name", index + 1);
                return Err(RowError::new(1, what));
            }
            if columns[..index].contains(column) {
                return Err(RowError::new(1, format!("two columns are called {column:?}")));
            }
        }
        for field in template.fields() {
            if !columns.iter().any(|column| column == field) {
                return Err(unknown_field(1, field, "columns", columns.iter().map(String::as_str)));
            }
        }
        let keys = columns.iter().map(|column| format!("{}:", Value::from(column.as_str())));
        let keys = keys.collect();
        reader.get_mut().row_done();
        Ok(Self { reader, columns, keys, record: csv::StringRecord::new() })
    }

    fn read(&mut self, number: u64, options: &RowOptions) -> Result<Option<Row>, RowError> {
        let line = self.reader.position().line();
        let more = self.reader.read_record(&mut self.record);
        if !more.map_err(|error| csv_error(&error, line))? {
            return Ok(None);
        }
        self.reader.get_mut().row_done();
        let line = self.record.position().map_or(line, csv::Position::line);
        let null = options.null.as_deref();
        let value = |index: usize| self.record.get(index).filter(|value| Some(*value) != null);
        let stream = options.stream.render(|field, name| {
            let index = self.columns.iter().position(|column| column == field);
            let index = index.expect("the header was compared with the template");
            name.push_str(value(index).unwrap_or_default());
            Ok(())
        })?;
        let mut data = Vec::with_capacity(2 * self.record.as_slice().len() + 64);
        for (index, key) in self.keys.iter().enumerate() {
            data.push(if index == 0 { b'{' } else { b',' });
            data.extend_from_slice(key.as_bytes());
            push_value(&mut data, value(index).unwrap_or_default());
        }
        data.push(b'}');
        Ok(Some(Row { number, line, stream, data }))
    }
}

/// A CSV field as JSON: empty is null, a plain number is a number, and the rest is text.
fn push_value(data: &mut Vec<u8>, field: &str) {
    if field.is_empty() {
        data.extend_from_slice(b"null");
    } else if is_plain_number(field) {
        data.extend_from_slice(field.as_bytes());
    } else {
        serde_json::to_writer(data, field).expect("a vector takes all");
    }
}

/// Whether a field is a number as JSON writes it, without exponent and not too long.
///
/// `007` and `1E5` are codes rather than numbers and stay text.
fn is_plain_number(field: &str) -> bool {
    let unsigned = field.strip_prefix('-').unwrap_or(field);
    let (whole, fraction) = match unsigned.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (unsigned, None),
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    unsigned.len() <= NUMBER_DIGITS_MAX
        && digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(digits)
}

fn csv_error(error: &csv::Error, line: u64) -> RowError {
    match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, pos } => {
            let line = pos.as_ref().map_or(line, csv::Position::line);
            RowError::new(line, format!("{len} fields, but the header has {expected_len}"))
        }
        csv::ErrorKind::Utf8 { err, pos } => {
            let line = pos.as_ref().map_or(line, csv::Position::line);
            RowError::new(line, format!("field {} is not UTF-8", err.field() + 1))
        }
        csv::ErrorKind::Io(error) => RowError::new(line, error),
        _ => RowError::new(line, error),
    }
}

fn unknown_field<'a>(
    line: u64,
    field: &str,
    kind: &str,
    names: impl Iterator<Item = &'a str>,
) -> RowError {
    let names: Vec<&str> = names.collect();
    let what = format!("no field {{{field}}}; the {kind} are {}", names.join(", "));
    RowError::new(line, what)
}

struct LineReader {
    source: io::BufReader<BoundedRows>,
    line_bytes_max: u64,
    line: u64,
    text: Vec<u8>,
}

impl LineReader {
    fn new(source: BoundedRows, line_bytes_max: u64) -> Self {
        Self { source: io::BufReader::new(source), line_bytes_max, line: 0, text: Vec::new() }
    }

    fn read(&mut self, number: u64, template: &StreamTemplate) -> Result<Option<Row>, RowError> {
        while self.next_line()? {
            let text = self.text.trim_ascii();
            if !text.is_empty() {
                return ndjson_row(number, self.line, text, template).map(Some);
            }
        }
        Ok(None)
    }

    fn next_line(&mut self) -> Result<bool, RowError> {
        self.text.clear();
        self.line += 1;
        self.source.get_mut().row_done();
        let mut bounded = self.source.by_ref().take(self.line_bytes_max + 1);
        let count = bounded
            .read_until(b'\n', &mut self.text)
            .map_err(|error| RowError::new(self.line, error))?;
        if count as u64 > self.line_bytes_max {
            let what = format!("longer than {} bytes", self.line_bytes_max);
            return Err(RowError::new(self.line, what));
        }
        Ok(count > 0)
    }
}

fn ndjson_row(
    number: u64,
    line: u64,
    text: &[u8],
    template: &StreamTemplate,
) -> Result<Row, RowError> {
    let not_json =
        |error: serde_json::Error| RowError::new(line, format!("not a JSON object ({error})"));
    let mut data = text.to_vec();
    data.retain(|byte| *byte != b'\r');
    if template.fields().next().is_none() {
        // Only whether it is an object matters: nothing of it is looked at.
        serde_json::from_slice::<std::collections::HashMap<String, IgnoredAny>>(text)
            .map_err(not_json)?;
        let stream = template.render(|_, _| Ok(()))?;
        return Ok(Row { number, line, stream, data });
    }
    let object: Map<String, Value> = serde_json::from_slice(text).map_err(not_json)?;
    let stream = template.render(|field, name| {
        match object.get(field) {
            None => return Err(unknown_field(line, field, "fields", object.keys().map(|k| &**k))),
            Some(Value::Null) => {}
            Some(Value::String(text)) => name.push_str(text),
            Some(value @ (Value::Bool(_) | Value::Number(_))) => name.push_str(&value.to_string()),
            Some(Value::Array(_) | Value::Object(_)) => {
                let what = format!("field {{{field}}} is neither text nor a number");
                return Err(RowError::new(line, what));
            }
        }
        Ok(())
    })?;
    Ok(Row { number, line, stream, data })
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn options(stream: &str) -> RowOptions {
        RowOptions {
            format: None,
            stream: stream.parse().unwrap(),
            null: None,
            row_bytes_max: 1 << 10,
        }
    }

    /// Rows as `line number stream data`, then the error, if any.
    fn read(bytes: &[u8], options: RowOptions) -> Vec<String> {
        let rows = match Rows::new(Box::new(Cursor::new(bytes.to_vec())), options) {
            Ok(rows) => rows,
            Err(error) => return vec![format!("error {error}")],
        };
        let show = |row: Result<Row, RowError>| match row {
            Ok(row) => {
                let data = String::from_utf8(row.data).unwrap();
                serde_json::from_str::<Value>(&data).expect("data is JSON");
                format!("{} {} {} {data}", row.line, row.number, row.stream)
            }
            Err(error) => format!("error {error}"),
        };
        rows.map(show).collect()
    }

    fn check(stream: &str, text: &str, expected: &[&str]) {
        assert_eq!(read(text.as_bytes(), options(stream)), expected, "{text}");
    }

    #[test]
    fn csv_rows_become_objects() {
        check(
            "aircraft-{tailnum}",
            "tailnum,delay,note\nN1,-2,\"a \"\"b\"\",\nc\"\n,1.5,\n",
            &[
                r#"2 1 aircraft-N1 {"tailnum":"N1","delay":-2,"note":"a \"b\",\nc"}"#,
                r#"4 2 aircraft-none {"tailnum":null,"delay":1.5,"note":null}"#,
            ],
        );
    }

    #[test]
    fn a_mark_for_missing_values() {
        let options = RowOptions { null: Some("NA".to_owned()), ..options("{tailnum}") };
        assert_eq!(
            read(b"tailnum,time\nNA,NA\nNAN,1\n", options),
            [r#"2 1 none {"tailnum":null,"time":null}"#, r#"3 2 NAN {"tailnum":"NAN","time":1}"#]
        );
    }

    #[test]
    fn plain_numbers_stay_numbers() {
        for number in ["0", "7", "-7", "0.50", "-0.5", "123456789012345", "10.0"] {
            assert!(is_plain_number(number), "{number}");
        }
        for text in [
            "",
            "-",
            "007",
            "+7",
            "1e5",
            "1E5",
            ".5",
            "5.",
            "1.2.3",
            "0x1",
            "1 ",
            "٣",
            "NaN",
            "1234567890123456",
        ] {
            assert!(!is_plain_number(text), "{text}");
        }
    }

    #[test]
    fn ndjson_rows_stay_as_they_are() {
        check(
            "s-{id}",
            "{\"id\": 7, \"x\": 1.50}\r\n\n  {\"id\":\"a\"}\n{\"id\":null}\n{\"id\":true}",
            &[
                r#"1 1 s-7 {"id": 7, "x": 1.50}"#,
                r#"3 2 s-a {"id":"a"}"#,
                r#"4 3 s-none {"id":null}"#,
                r#"5 4 s-true {"id":true}"#,
            ],
        );
        check("all", "{\"id\":7}\n", &[r#"1 1 all {"id":7}"#]);
    }

    #[test]
    fn a_header_must_have_the_fields() {
        let missing = "error line 1: no field {tail}; the columns are tailnum, delay";
        check("{tail}", "tailnum,delay\nN1,2\n", &[missing]);
        check("all", "a,,c\n", &["error line 1: column 2 of the header has no name"]);
        check("all", "a,b,a\n", &["error line 1: two columns are called \"a\""]);
        check("all", "", &["error there is nothing in it, not even a header"]);
        check("all", "a,b\n", &[]);
        check("{a}", "\u{feff}a,b\n1,2\n", &[r#"2 1 1 {"a":1,"b":2}"#]);
    }

    #[test]
    fn bad_rows_name_their_line_and_end_it() {
        check(
            "all",
            "a,b\n1,2\n1,2,3\n1,2\n",
            &[r#"2 1 all {"a":1,"b":2}"#, "error line 3: 3 fields, but the header has 2"],
        );
        check(
            "{id}",
            "{\"id\":1}\n{\"other\":1,\"more\":2}\n{\"id\":3}\n",
            &[r#"1 1 1 {"id":1}"#, "error line 2: no field {id}; the fields are more, other"],
        );
        let nested = "error line 1: field {id} is neither text nor a number";
        check("{id}", "{\"id\":[1]}\n", &[nested]);
        assert_eq!(read(b"a\n\xff\n", options("all")), ["error line 2: field 1 is not UTF-8"]);
        for text in ["{\"id\":1\n", "{} {}\n", "{\"id\":}\n"] {
            for template in ["{id}", "all"] {
                let rows = read(text.as_bytes(), options(template));
                assert!(rows[0].starts_with("error line 1: not a JSON object ("), "{rows:?}");
            }
        }
        let options = RowOptions { format: Some(RowFormat::Ndjson), ..options("all") };
        let rows = read(b"[1]\n", options);
        assert!(rows[0].starts_with("error line 1: not a JSON object ("), "{rows:?}");
    }

    #[test]
    fn endless_rows_are_given_up() {
        let quote = format!("a\n\"{}", "x\n".repeat(100_000));
        let rows = read(quote.as_bytes(), options("all"));
        assert!(rows[0].contains("is a closing quote missing?"), "{rows:?}");
        let line = format!("{{\"a\":\"{}\"}}", "x".repeat(2000));
        let rows = read(line.as_bytes(), options("all"));
        assert_eq!(rows, ["error line 1: longer than 1024 bytes"]);
    }
}
