//! What is wrong with a scenario file, with the place and a hint.

use std::fmt::{self, Write as _};
use std::ops::Range;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where, in bytes of the text.
    pub span: Range<usize>,
    /// What.
    pub what: String,
    /// What may have been meant.
    pub hint: Option<String>,
}

/// All that is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems {
    /// The file, as it was named.
    pub file: String,
    /// Its text.
    pub text: String,
    /// In the order of the text.
    pub list: Vec<Problem>,
}

impl fmt::Display for Problems {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.list {
            let Place { line, column, source } = place(&self.text, problem.span.start);
            writeln!(out, "{}:{line}:{column}: {}", self.file, problem.what)?;
            let length = self.text.get(problem.span.clone()).map_or(1, |it| it.chars().count());
            let room = source.chars().count().saturating_sub(column - 1).max(1);
            let mut marks = String::new();
            let _ =
                write!(marks, "{}{}", " ".repeat(column - 1), "^".repeat(length.clamp(1, room)));
            writeln!(out, "{line:>5} | {source}")?;
            writeln!(out, "      | {marks}")?;
            if let Some(hint) = &problem.hint {
                writeln!(out, "      = {hint}")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

struct Place<'a> {
    line: usize,
    column: usize,
    source: &'a str,
}

fn place(text: &str, at: usize) -> Place<'_> {
    let before = text.get(..at).unwrap_or("");
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = before.matches('\n').count() + 1;
    let column = before[start..].chars().count() + 1;
    let source = text.get(start..).unwrap_or("").lines().next().unwrap_or("");
    Place { line, column, source }
}

/// The known word that is most like a wrong one, where one is.
#[must_use]
pub fn nearest<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let scored = known.into_iter().map(|word| (distance(wrong, word), word));
    let (distance, word) = scored.min()?;
    (distance <= 1 + wrong.len().max(word.len()) / 3).then_some(word)
}

/// A hint with the nearest known word, or all of them where they are few.
pub(super) fn did_you_mean<'a>(
    wrong: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    let known: Vec<&str> = known.into_iter().collect();
    match nearest(wrong, known.iter().copied()) {
        Some(word) => Some(format!("did you mean `{word}`?")),
        None if known.is_empty() => None,
        None if known.len() <= 30 => Some(format!("there are {}", known.join(", "))),
        None => None,
    }
}

/// Letters to change, add, or leave out.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (place, letter) in one.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], place + 1);
        for column in 0..other.len() {
            let changed = diagonal + usize::from(letter != other[column]);
            diagonal = row[column + 1];
            row[column + 1] = changed.min(row[column] + 1).min(diagonal + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_found_where_one_is_near() {
        let known = ["partition", "pause", "crash", "zone-loss"];
        for (wrong, expected) in [
            ("partiton", Some("partition")),
            ("zone_loss", Some("zone-loss")),
            ("crsh", Some("crash")),
            ("meteorite", None),
        ] {
            assert_eq!(nearest(wrong, known), expected, "{wrong}");
        }
    }
}
