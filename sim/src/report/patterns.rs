//! Texts as patterns with numbers in them: a million texts are some dozen patterns.

use std::collections::BTreeMap;

/// Stands for a number in a pattern. No text that a person reads has it.
pub(super) const SLOT: char = '\u{1}';
/// Numbers up to here are exact in a script: fifteen digits.
const DIGITS_MAX: usize = 15;

/// All patterns so far, and the last numbers of each: the next ones are often close to them.
#[derive(Default)]
pub(super) struct Patterns {
    places: BTreeMap<String, usize>,
    last: Vec<Vec<u64>>,
}

impl Patterns {
    /// Takes a text apart. Gives the number of its pattern, and by how much each of its numbers
    /// differs from that of the last text of this pattern.
    pub(super) fn differences(&mut self, text: &str) -> (usize, Vec<i64>) {
        let (pattern, numbers) = split(text);
        let next = self.places.len();
        let place = *self.places.entry(pattern).or_insert(next);
        if place == self.last.len() {
            self.last.push(vec![0; numbers.len()]);
        }
        let last = &mut self.last[place];
        let differences = numbers
            .iter()
            .zip(last.iter())
            .map(|(number, last)| number.cast_signed() - last.cast_signed())
            .collect();
        *last = numbers;
        (place, differences)
    }

    /// All patterns, by number.
    pub(super) fn list(&self) -> Vec<&str> {
        let mut list = vec![""; self.places.len()];
        for (pattern, place) in &self.places {
            list[*place] = pattern;
        }
        list
    }
}

/// A text's pattern and the numbers that stood in it.
fn split(text: &str) -> (String, Vec<u64>) {
    let mut pattern = String::with_capacity(text.len());
    let mut numbers = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find(|letter: char| letter.is_ascii_digit()) {
        let (before, from) = rest.split_at(start);
        pattern.extend(before.chars().filter(|letter| *letter != SLOT));
        let end = from.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(from.len());
        let (digits, behind) = from.split_at(end);
        // A leading zero would get lost, and many digits are a name rather than a number.
        let plain = digits.len() <= DIGITS_MAX && (digits.len() == 1 || !digits.starts_with('0'));
        match digits.parse() {
            Ok(number) if plain => {
                pattern.push(SLOT);
                numbers.push(number);
            }
            _ => pattern.push_str(digits),
        }
        rest = behind;
    }
    pattern.extend(rest.chars().filter(|letter| *letter != SLOT));
    (pattern, numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, pattern: &str, numbers: &[u64]) {
        assert_eq!(split(text), (pattern.to_owned(), numbers.to_vec()));
    }

    #[test]
    fn numbers_leave_slots() {
        check("entries 5 to 71, epoch 2", "entries \u{1} to \u{1}, epoch \u{1}", &[5, 71, 2]);
        check("", "", &[]);
        check("n1", "n\u{1}", &[1]);
    }

    #[test]
    fn what_would_not_come_back_stays_text() {
        check("1.05 s", "\u{1}.05 s", &[1]);
        check("0", "\u{1}", &[0]);
        check("id 1234567890123456", "id 1234567890123456", &[]);
        check("a\u{1}2", "a\u{1}", &[2]);
    }

    #[test]
    fn the_next_of_a_pattern_is_a_difference() {
        let mut patterns = Patterns::default();
        assert_eq!(patterns.differences("entry 70"), (0, vec![70]));
        assert_eq!(patterns.differences("note"), (1, vec![]));
        assert_eq!(patterns.differences("entry 68"), (0, vec![-2]));
        assert_eq!(patterns.list(), ["entry \u{1}", "note"]);
    }
}
