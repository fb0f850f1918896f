//! Takes a table apart field by field. Everything that is wrong is noted, with its place, so that a
//! person can mend a file in one go; what was never asked for is unknown.

use std::cell::RefCell;
use std::ops::Range;

use super::distribution::Distribution;
use super::model::Share;
use super::problem::{Problem, did_you_mean};
use super::tree::{Spot, Tree};
use super::units;

/// Notes what is wrong.
#[derive(Debug, Default)]
pub(super) struct Notes(RefCell<Vec<Problem>>);

impl Notes {
    pub(super) fn add(&self, span: &Range<usize>, what: impl Into<String>) {
        self.add_with(span, what, None);
    }

    pub(super) fn add_with(
        &self,
        span: &Range<usize>,
        what: impl Into<String>,
        hint: Option<String>,
    ) {
        self.0.borrow_mut().push(Problem { span: span.clone(), what: what.into(), hint });
    }

    pub(super) fn take(&self) -> Vec<Problem> {
        let mut list = std::mem::take(&mut *self.0.borrow_mut());
        list.sort_by_key(|problem| problem.span.start);
        list.dedup();
        list
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.borrow().is_empty()
    }
}

/// A table that is being read.
pub(super) struct Reader<'a> {
    /// What it is, for a person.
    what: String,
    pub(super) span: Range<usize>,
    fields: &'a [(super::tree::Key, Spot)],
    known: Vec<&'static str>,
    pub(super) notes: &'a Notes,
}

/// A text with its place.
#[derive(Clone, Debug)]
pub(super) struct Text {
    pub(super) text: String,
    pub(super) span: Range<usize>,
}

impl<'a> Reader<'a> {
    /// Begins to read a value that must be a table.
    pub(super) fn new(what: &str, spot: &'a Spot, notes: &'a Notes) -> Option<Self> {
        let Tree::Table(fields) = &spot.tree else {
            notes.add(&spot.span, format!("{what} is a table, and this is {}", spot.kind()));
            return None;
        };
        let (what, span) = (what.to_owned(), spot.span.clone());
        Some(Self { what, span, fields, known: Vec::new(), notes })
    }

    /// Notes what was never asked for.
    pub(super) fn finish(self) {
        for (key, _) in self.fields {
            if !self.known.contains(&key.name.as_str()) {
                let hint = did_you_mean(&key.name, self.known.iter().copied());
                let what = format!("{} has no field `{}`", self.what, key.name);
                self.notes.add_with(&key.span, what, hint);
            }
        }
    }

    /// A field, if it is there.
    pub(super) fn field(&mut self, name: &'static str) -> Option<&'a Spot> {
        self.known.push(name);
        let found = self.fields.iter().find(|(key, _)| key.name == name);
        found.map(|(_, spot)| spot)
    }

    /// Where a field's name stands, if it is there; it stays unknown.
    pub(super) fn place_of(&self, name: &str) -> Option<&'a Range<usize>> {
        let found = self.fields.iter().find(|(key, _)| key.name == name);
        found.map(|(key, _)| &key.span)
    }

    /// Notes that a field is missing.
    pub(super) fn missing(&self, name: &str, hint: &str) {
        let hint = (!hint.is_empty()).then(|| hint.to_owned());
        let what = format!("{} needs a field `{name}`", self.what);
        // Only the beginning of the table is shown.
        let span = self.span.start..self.span.start + 1;
        self.notes.add_with(&span, what, hint);
    }

    pub(super) fn text(&mut self, name: &'static str) -> Option<Text> {
        let spot = self.field(name)?;
        self.as_text(name, spot)
    }

    pub(super) fn needed_text(&mut self, name: &'static str, hint: &str) -> Option<Text> {
        if self.place_of(name).is_none() {
            self.missing(name, hint);
        }
        self.text(name)
    }

    fn as_text(&self, name: &str, spot: &Spot) -> Option<Text> {
        match &spot.tree {
            Tree::Text(text) => Some(Text { text: text.clone(), span: spot.span.clone() }),
            _ => {
                let what = format!("`{name}` is a text in quotes, and this is {}", spot.kind());
                self.notes.add(&spot.span, what);
                None
            }
        }
    }

    pub(super) fn flag(&mut self, name: &'static str) -> Option<bool> {
        let spot = self.field(name)?;
        match spot.tree {
            Tree::Flag(flag) => Some(flag),
            _ => {
                let what = format!("`{name}` is true or false, and this is {}", spot.kind());
                self.notes.add(&spot.span, what);
                None
            }
        }
    }

    /// A whole number within bounds.
    pub(super) fn whole(&mut self, name: &'static str, min: i64, max: i64) -> Option<i64> {
        let spot = self.field(name)?;
        match spot.tree {
            Tree::Whole(whole) if (min..=max).contains(&whole) => Some(whole),
            _ => {
                let what = format!("`{name}` is a whole number from {min} to {max}");
                self.notes.add(&spot.span, what);
                None
            }
        }
    }

    /// A number from 0 to 1.
    pub(super) fn share(&mut self, name: &'static str) -> Option<Share> {
        let spot = self.field(name)?;
        let share = number(spot).and_then(Share::of);
        if share.is_none() {
            self.notes.add(&spot.span, format!("`{name}` is a share from 0.0 to 1.0"));
        }
        share
    }

    /// Any number that is not negative.
    pub(super) fn number(&mut self, name: &'static str) -> Option<f64> {
        let spot = self.field(name)?;
        let found = number(spot).filter(|it| *it >= 0.0);
        if found.is_none() {
            self.notes.add(&spot.span, format!("`{name}` is a number that is not negative"));
        }
        found
    }

    /// A text that `parse` takes, like a duration.
    pub(super) fn parsed<T>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let spot = self.field(name)?;
        self.parse(spot, name, parse)
    }

    fn parse<T>(
        &self,
        spot: &Spot,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let parsed = match &spot.tree {
            Tree::Text(text) => parse(text),
            Tree::Whole(whole) => parse(&whole.to_string()),
            Tree::Real(real) => parse(&real.to_string()),
            Tree::Flag(_) | Tree::List(_) | Tree::Table(_) => {
                Err(format!("`{name}` is a text with a unit, and this is {}", spot.kind()))
            }
        };
        parsed.map_err(|what| self.notes.add(&spot.span, what)).ok()
    }

    pub(super) fn duration(&mut self, name: &'static str) -> Option<u64> {
        self.parsed(name, units::duration)
    }

    /// One of a few words.
    pub(super) fn word<T: Copy>(
        &mut self,
        name: &'static str,
        known: &[(&'static str, T)],
    ) -> Option<T> {
        let text = self.text(name)?;
        self.find_word(name, &text, known)
    }

    pub(super) fn find_word<T: Copy>(
        &self,
        name: &str,
        text: &Text,
        known: &[(&'static str, T)],
    ) -> Option<T> {
        let found = known.iter().find(|(word, _)| *word == text.text);
        if found.is_none() {
            let hint = did_you_mean(&text.text, known.iter().map(|(word, _)| *word));
            self.notes.add_with(&text.span, format!("`{name}` can't be `{}`", text.text), hint);
        }
        found.map(|(_, value)| *value)
    }

    /// A list of texts; a single text is a list of one.
    pub(super) fn texts(&mut self, name: &'static str) -> Option<Vec<Text>> {
        let spot = self.field(name)?;
        self.as_texts(name, spot)
    }

    pub(super) fn as_texts(&self, name: &str, spot: &Spot) -> Option<Vec<Text>> {
        match &spot.tree {
            Tree::Text(_) => Some(vec![self.as_text(name, spot)?]),
            Tree::List(items) => items.iter().map(|item| self.as_text(name, item)).collect(),
            _ => {
                let what = format!("`{name}` is a list of names, and this is {}", spot.kind());
                self.notes.add(&spot.span, what);
                None
            }
        }
    }

    /// The items of a list, where it is one.
    pub(super) fn items(&mut self, name: &'static str) -> &'a [Spot] {
        match self.field(name) {
            None => &[],
            Some(Spot { tree: Tree::List(items), .. }) => items,
            Some(spot) => {
                let what = format!("`{name}` is a list: write [[{name}]]");
                self.notes.add(&spot.span, what);
                &[]
            }
        }
    }

    /// How something differs from one occasion to the next: a constant, or a table.
    pub(super) fn distribution(
        &mut self,
        name: &'static str,
        parse: fn(&str) -> Result<u64, String>,
        folder: &std::path::Path,
    ) -> Option<Distribution> {
        let spot = self.field(name)?;
        if !matches!(spot.tree, Tree::Table(_)) {
            return self.parse(spot, name, parse).map(Distribution::Constant);
        }
        let mut inner = Reader::new(&format!("`{name}`"), spot, self.notes)?;
        let kinds = [("constant", 0), ("uniform", 1), ("lognormal", 2), ("empirical", 3)];
        let kind = match inner.place_of("dist") {
            Some(_) => inner.word("dist", &kinds)?,
            None => {
                inner.field("dist");
                2
            }
        };
        let result = match kind {
            0 => inner.needed(parse, "value").map(Distribution::Constant),
            1 => inner
                .needed(parse, "min")
                .zip(inner.needed(parse, "max"))
                .map(|(min, max)| Distribution::Uniform { min, max }),
            2 => {
                let min = inner.parsed("min", parse).unwrap_or(0);
                let middle = inner.needed(parse, "p50");
                let high = inner.needed(parse, "p99");
                let pair = middle.zip(high);
                pair.map(|(p50, p99)| Distribution::Lognormal { min, p50, p99 })
            }
            _ => inner.empirical(parse, folder),
        };
        let ordered = match &result {
            Some(Distribution::Uniform { min, max }) => min <= max,
            Some(Distribution::Lognormal { min, p50, p99 }) => min <= p50 && p50 <= p99,
            Some(Distribution::Empirical(points)) => {
                points.windows(2).all(|it| it[0].0 <= it[1].0 && it[0].1 <= it[1].1)
            }
            Some(Distribution::Constant(_)) | None => true,
        };
        if !ordered {
            self.notes.add(&spot.span, format!("the values of `{name}` must grow: min, p50, p99"));
        }
        inner.finish();
        result.filter(|_| ordered)
    }

    fn needed(
        &mut self,
        parse: fn(&str) -> Result<u64, String>,
        name: &'static str,
    ) -> Option<u64> {
        if self.place_of(name).is_none() {
            self.missing(name, "a distribution is { p50 = …, p99 = … } or a constant");
        }
        self.parsed(name, parse)
    }

    fn empirical(
        &mut self,
        parse: fn(&str) -> Result<u64, String>,
        folder: &std::path::Path,
    ) -> Option<Distribution> {
        if let Some(file) = self.text("file") {
            let unit = self.needed_text("unit", "what one of the file is, like unit = \"1us\"")?;
            let unit = parse(&unit.text).map_err(|it| self.notes.add(&unit.span, it)).ok()?;
            let read = std::fs::read_to_string(folder.join(&file.text));
            let text = read
                .map_err(|it| self.notes.add(&file.span, format!("can't read {}: {it}", file.text)))
                .ok()?;
            let points = hgrm(&text, unit);
            if points.is_empty() {
                self.notes.add(&file.span, format!("{} has no percentiles", file.text));
            }
            return (!points.is_empty()).then_some(Distribution::Empirical(points));
        }
        let mut points = Vec::new();
        for item in self.items("points") {
            let pair = match &item.tree {
                Tree::List(pair) if pair.len() == 2 => number(&pair[0]).zip(Some(&pair[1])),
                _ => None,
            };
            let Some((percent, value)) = pair else {
                self.notes.add(&item.span, "a point is a percentile and a value: [99, \"3ms\"]");
                return None;
            };
            points.push((percent, self.parse(value, "points", parse)?));
        }
        if points.is_empty() {
            self.missing("points", "or a `file` in the form of HdrHistogram's .hgrm");
            return None;
        }
        Some(Distribution::Empirical(points))
    }
}

/// The percentiles of a file as HdrHistogram writes them: value, share, count, and more.
fn hgrm(text: &str, unit: u64) -> Vec<(f64, u64)> {
    let row = |line: &str| {
        let mut words = line.split_whitespace();
        let value: f64 = words.next()?.parse().ok()?;
        let share: f64 = words.next()?.parse().ok()?;
        Some((share * 100.0, (value * unit as f64) as u64))
    };
    text.lines().filter_map(row).collect()
}

/// A number, where it is one.
pub(super) fn number(spot: &Spot) -> Option<f64> {
    match spot.tree {
        Tree::Whole(whole) => Some(whole as f64),
        Tree::Real(real) => Some(real),
        _ => None,
    }
}
