//! Where the flight recorder writes to, as a setting.

use std::path::PathBuf;

use super::value::Value;

/// What a recording takes on disk where nothing is said of that: some seconds of the greatest load,
/// and of what is written states are a thirtieth; of 64 MiB they would be an eighth.
const BYTES_DEFAULT: u64 = 256 << 20;
/// Less would hold hardly more than the core's state.
const BYTES_MIN: u64 = 16 << 20;

/// A folder, and how many bytes a recording may take there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordingSetting {
    /// Where to.
    pub folder: PathBuf,
    /// All its files together.
    pub bytes_max: u64,
}

impl Value for Option<RecordingSetting> {
    fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(None);
        }
        // A colon before a slash belongs to the path.
        let (folder, bytes_max) = match text.rsplit_once(':') {
            Some((folder, size)) if !size.contains('/') => (folder, bytes(size)?),
            Some(_) | None => (text, BYTES_DEFAULT),
        };
        if folder.is_empty() {
            return Err("names no folder: write DIR, or DIR:SIZE such as /var/log/q:256M".into());
        }
        Ok(Some(RecordingSetting { folder: folder.into(), bytes_max }))
    }

    fn show(&self) -> String {
        let shown = self.as_ref().map(|it| format!("{}:{}", it.folder.display(), it.bytes_max));
        shown.unwrap_or_default()
    }
}

fn bytes(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is no size: after the colon comes one such as 64M or 1G");
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "" | "B" => 1_u64,
        "K" | "KiB" => 1 << 10,
        "M" | "MiB" => 1 << 20,
        "G" | "GiB" => 1 << 30,
        "T" | "TiB" => 1 << 40,
        _ => return Err(wrong()),
    };
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    let bytes = number.checked_mul(unit).ok_or_else(wrong)?;
    if bytes < BYTES_MIN {
        return Err(format!("{text} is too small: a recording needs 16M at least"));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<(&str, u64), &str>) {
        match (Option::<RecordingSetting>::parse(text), expected) {
            (Ok(Some(it)), Ok((folder, bytes_max))) => {
                assert_eq!((it.folder, it.bytes_max), (PathBuf::from(folder), bytes_max));
            }
            (Err(error), Err(words)) => assert!(error.contains(words), "{error}"),
            (parsed, _) => panic!("{text}: {parsed:?}"),
        }
    }

    #[test]
    fn a_folder_and_a_size() {
        check("/a/b", Ok(("/a/b", 256 << 20)));
        check("a:16M", Ok(("a", 16 << 20)));
        check("a:1GiB", Ok(("a", 1 << 30)));
        check("a:b/c", Ok(("a:b/c", 256 << 20)));
        check("a:b:20000000", Ok(("a:b", 20_000_000)));
        check("a:b", Err("\"b\" is no size"));
        check("a:", Err("\"\" is no size"));
        check("a:12X", Err("no size"));
        check("a:99999999T", Err("no size"));
        check("a:15M", Err("16M at least"));
        check(":64M", Err("names no folder"));
        assert_eq!(Option::<RecordingSetting>::parse(""), Ok(None));
    }
}
