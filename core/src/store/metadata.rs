//! A stream's metadata: the JSON in the last event of `$$x` that says who may see what of `x`, and
//! for how long.
//!
//! It hides events at once; reclaiming their space is another matter. Fields that the store does
//! not know are the application's own and are kept.

use alloc::borrow::Cow;
use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use serde_json::value::RawValue;

use crate::id::Revision;
use crate::time::Created;

/// What the store knows of a stream's metadata.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamMetadata {
    /// `$maxAge`: older events are hidden.
    pub max_age_seconds: Option<u64>,
    /// `$maxCount`: only so many of the newest events are shown.
    pub max_count: Option<u64>,
    /// `$tb`: events before this revision are hidden.
    pub truncate_before: Option<Revision>,
    /// `$cacheControl`: how long an HTTP cache may keep the stream's end.
    pub cache_control_seconds: Option<u64>,
    /// `$acl`: the roles that may use the stream.
    pub acl: Option<Acl>,
}

/// Roles that may use a stream; `None` leaves a right to the default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Acl {
    /// `$r`: read it.
    pub read: Option<Vec<String>>,
    /// `$w`: append to it.
    pub write: Option<Vec<String>>,
    /// `$d`: delete it.
    pub delete: Option<Vec<String>>,
    /// `$mr`: read its metadata.
    pub metadata_read: Option<Vec<String>>,
    /// `$mw`: write its metadata.
    pub metadata_write: Option<Vec<String>>,
}

/// Why bytes are not stream metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetadataError {
    /// Not a JSON object.
    NotAnObject,
    /// A known field has the wrong type or is out of range.
    Field(&'static str),
}

impl fmt::Display for MetadataError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAnObject => out.write_str("stream metadata is not a JSON object"),
            Self::Field(name) => write!(out, "{name} of the stream metadata has no valid value"),
        }
    }
}

impl core::error::Error for MetadataError {}

/// `$tb` of a soft-deleted stream. KurrentDB: `EventNumber.DeletedStream`.
pub const DELETED: Revision = Revision::from_wire(i64::MAX as u64);

const MAX_AGE: &str = "$maxAge";
const MAX_COUNT: &str = "$maxCount";
const TRUNCATE_BEFORE: &str = "$tb";
const CACHE_CONTROL: &str = "$cacheControl";
const ACL: &str = "$acl";

/// The fields of an object, each value as it was written.
type Fields<'a> = BTreeMap<Cow<'a, str>, &'a RawValue>;

impl StreamMetadata {
    /// Reads the data of a metadata event; data without a byte is metadata without a field.
    ///
    /// # Errors
    ///
    /// [`MetadataError`] for anything but a JSON object whose known fields have the right types.
    pub fn parse(data: &[u8]) -> Result<Self, MetadataError> {
        let mut metadata = Self::default();
        for (name, value) in &parse_fields(data)? {
            match name.as_ref() {
                MAX_AGE => metadata.max_age_seconds = Some(parse_count(MAX_AGE, 1, value)?),
                MAX_COUNT => metadata.max_count = Some(parse_count(MAX_COUNT, 1, value)?),
                TRUNCATE_BEFORE => {
                    let number = parse_count(TRUNCATE_BEFORE, 0, value)?;
                    metadata.truncate_before = Some(Revision::from_wire(number));
                }
                CACHE_CONTROL => {
                    metadata.cache_control_seconds = Some(parse_count(CACHE_CONTROL, 1, value)?);
                }
                ACL => metadata.acl = Some(Acl::parse(value)?),
                _ => {} // The application's own.
            }
        }
        Ok(metadata)
    }

    /// Whether the stream is soft-deleted: all is hidden, and the next append begins anew.
    #[must_use]
    pub fn is_deleted(&self) -> bool {
        self.truncate_before == Some(DELETED)
    }

    /// Whether readers of the stream see this event of it.
    ///
    /// - `last`: revision of the stream's last event
    #[must_use]
    pub fn visible(&self, event: Revision, created: Created, last: Revision, now: Created) -> bool {
        let young = |seconds| created >= now.minus_seconds(seconds);
        event >= self.first_visible(last) && self.max_age_seconds.is_none_or(young)
    }

    /// The first revision that `$tb` and `$maxCount` leave in sight; where it is behind `last`,
    /// none is. Some from here on may still be too old.
    #[must_use]
    pub fn first_visible(&self, last: Revision) -> Revision {
        let counted = self.max_count.map_or(Revision::FIRST, |count| {
            Revision::from_wire(last.get().saturating_add(1).saturating_sub(count))
        });
        counted.max(self.truncate_before.unwrap_or(Revision::FIRST))
    }
}

/// The metadata `data` with another `$tb`; all other fields stay as they were written.
///
/// It is at most [`TRUNCATION_BYTES_MAX`] longer.
#[must_use]
pub fn with_truncate_before(data: &[u8], before: Revision) -> Vec<u8> {
    // What can't be read says nothing that could be kept.
    let mut fields = parse_fields(data).unwrap_or_default();
    let number = RawValue::from_string(before.to_string()).expect("a number is JSON");
    fields.insert(Cow::Borrowed(TRUNCATE_BEFORE), &number);
    serde_json::to_vec(&fields).expect("names and JSON values make JSON")
}

/// `{"$tb":` … `}` around a number of 20 digits, or `,` instead of the braces.
pub const TRUNCATION_BYTES_MAX: usize = 28;

impl Acl {
    fn parse(value: &RawValue) -> Result<Self, MetadataError> {
        let mut acl = Self::default();
        let fields: Fields<'_> =
            serde_json::from_str(value.get()).map_err(|_| MetadataError::Field(ACL))?;
        for (name, value) in &fields {
            let right = match name.as_ref() {
                "$r" => &mut acl.read,
                "$w" => &mut acl.write,
                "$d" => &mut acl.delete,
                "$mr" => &mut acl.metadata_read,
                "$mw" => &mut acl.metadata_write,
                _ => continue, // The application's own.
            };
            *right = Some(parse_roles(value)?);
        }
        Ok(acl)
    }
}

fn parse_fields(data: &[u8]) -> Result<Fields<'_>, MetadataError> {
    if data.is_empty() {
        return Ok(Fields::new());
    }
    serde_json::from_slice(data).map_err(|_| MetadataError::NotAnObject)
}

fn parse_count(name: &'static str, min: u64, value: &RawValue) -> Result<u64, MetadataError> {
    let number: u64 = serde_json::from_str(value.get()).map_err(|_| MetadataError::Field(name))?;
    // Applications of other languages hold these in signed numbers.
    if number < min || number > i64::MAX as u64 {
        return Err(MetadataError::Field(name));
    }
    Ok(number)
}

/// One role or a list of them.
fn parse_roles(value: &RawValue) -> Result<Vec<String>, MetadataError> {
    serde_json::from_str::<String>(value.get())
        .map(|role| alloc::vec![role])
        .or_else(|_| serde_json::from_str(value.get()))
        .map_err(|_| MetadataError::Field(ACL))
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    fn parse(text: &str) -> Result<StreamMetadata, MetadataError> {
        StreamMetadata::parse(text.as_bytes())
    }

    #[test]
    fn known_fields_are_read_and_others_left_alone() {
        let text = r#"{"$maxAge":60,"$maxCount":3,"$tb":7,"$cacheControl":5,"owner":{"a":[1]},
            "$acl":{"$r":"$all","$w":["a","b"],"$x":1}}"#;
        let acl = Acl {
            read: Some(vec!["$all".into()]),
            write: Some(vec!["a".into(), "b".into()]),
            ..Acl::default()
        };
        let expected = StreamMetadata {
            max_age_seconds: Some(60),
            max_count: Some(3),
            truncate_before: Some(Revision::from_wire(7)),
            cache_control_seconds: Some(5),
            acl: Some(acl),
        };
        assert_eq!(parse(text), Ok(expected));
        assert_eq!(parse("{}"), Ok(StreamMetadata::default()));
        assert_eq!(parse(""), Ok(StreamMetadata::default()));
    }

    #[test]
    fn wrong_metadata_is_named() {
        for text in ["[]", "1", "null", "{", "{}x", "\u{0}"] {
            assert_eq!(parse(text), Err(MetadataError::NotAnObject), "{text}");
        }
        for name in [MAX_AGE, MAX_COUNT, TRUNCATE_BEFORE, CACHE_CONTROL, ACL] {
            for value in ["-1", "1.5", "\"1\"", "null", "9223372036854775808"] {
                let text = alloc::format!("{{\"{name}\":{value}}}");
                assert_eq!(parse(&text), Err(MetadataError::Field(name)), "{text}");
            }
        }
        assert_eq!(parse(r#"{"$maxCount":0}"#), Err(MetadataError::Field(MAX_COUNT)));
        assert_eq!(parse(r#"{"$acl":{"$r":1}}"#), Err(MetadataError::Field(ACL)));
    }

    /// Which of the revisions 0 to 5 are visible; each was created a second after the one before,
    /// the last one now.
    fn check_visible(text: &str, expected: &[u64]) {
        let metadata = parse(text).unwrap();
        let created = |revision: u64| Created::from_ticks(10_000_000 * (1_000 + revision));
        let visible: Vec<_> = (0..=5)
            .filter(|revision| {
                metadata.visible(
                    Revision::from_wire(*revision),
                    created(*revision),
                    Revision::from_wire(5),
                    created(5),
                )
            })
            .collect();
        assert_eq!(visible, expected, "{text}");
    }

    #[test]
    fn metadata_hides_events() {
        check_visible("{}", &[0, 1, 2, 3, 4, 5]);
        check_visible(r#"{"$maxCount":2}"#, &[4, 5]);
        check_visible(r#"{"$maxCount":100}"#, &[0, 1, 2, 3, 4, 5]);
        check_visible(r#"{"$tb":3}"#, &[3, 4, 5]);
        check_visible(r#"{"$tb":9}"#, &[]);
        check_visible(r#"{"$maxAge":1}"#, &[4, 5]);
        check_visible(r#"{"$maxAge":9223372036854775807}"#, &[0, 1, 2, 3, 4, 5]);
        check_visible(r#"{"$tb":3,"$maxCount":5,"$maxAge":4}"#, &[3, 4, 5]);
        check_visible(r#"{"$tb":9223372036854775807}"#, &[]);
    }

    #[test]
    fn truncation_keeps_what_else_was_written() {
        let check = |data: &str, expected: &str| {
            let edited = with_truncate_before(data.as_bytes(), DELETED);
            assert_eq!(str::from_utf8(&edited).unwrap(), expected);
            assert!(edited.len() <= data.len() + TRUNCATION_BYTES_MAX);
            assert!(StreamMetadata::parse(&edited).unwrap().is_deleted());
        };
        check("", r#"{"$tb":9223372036854775807}"#);
        check("{}", r#"{"$tb":9223372036854775807}"#);
        check(r#"{"a":1e9,"$tb":1}"#, r#"{"$tb":9223372036854775807,"a":1e9}"#);
        check(r#"{"ä\n":{"x": [1]}}"#, r#"{"$tb":9223372036854775807,"ä\n":{"x": [1]}}"#);
        check("broken", r#"{"$tb":9223372036854775807}"#);
    }
}
