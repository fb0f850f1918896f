//! A document as values with their places in the text, wherever it came from: a scenario is read
//! from TOML, a plan from JSON, and both through the same reader.

use std::fmt::Write as _;
use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::problem::Problem;

/// A value, and where it stands in the text.
#[derive(Clone, Debug, PartialEq)]
pub struct Spot {
    /// The value.
    pub tree: Tree,
    /// Bytes of the text; empty where there is none.
    pub span: Range<usize>,
}

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Tree {
    /// A string.
    Text(String),
    /// A whole number.
    Whole(i64),
    /// Any other number.
    Real(f64),
    /// True or false.
    Flag(bool),
    /// A list.
    List(Vec<Spot>),
    /// Values by name, in the order of the text.
    Table(Vec<(Key, Spot)>),
}

/// A name in a table, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The name.
    pub name: String,
    /// Bytes of the text.
    pub span: Range<usize>,
}

impl Spot {
    /// A value that stands nowhere.
    #[must_use]
    pub fn of(tree: Tree) -> Self {
        Self { tree, span: 0..0 }
    }

    /// Takes a TOML text apart.
    ///
    /// # Errors
    ///
    /// [`Problem`] where it is no TOML.
    pub fn from_toml(text: &str) -> Result<Self, Problem> {
        let table = DeTable::parse(text).map_err(|error| Problem {
            span: error.span().unwrap_or(0..0),
            what: format!("this is not TOML: {}", error.message().replace('\n', ", ")),
            hint: None,
        })?;
        let span = table.span();
        Ok(Self { tree: of_table(table.into_inner())?, span })
    }

    /// Takes a JSON value apart; what is `null` is left out.
    #[must_use]
    pub fn from_json(value: &serde_json::Value) -> Self {
        use serde_json::Value;
        Self::of(match value {
            Value::Null => Tree::Text(String::new()),
            Value::Bool(flag) => Tree::Flag(*flag),
            Value::Number(number) => match number.as_i64() {
                Some(whole) => Tree::Whole(whole),
                None => Tree::Real(number.as_f64().unwrap_or(f64::NAN)),
            },
            Value::String(text) => Tree::Text(text.clone()),
            Value::Array(items) => Tree::List(items.iter().map(Self::from_json).collect()),
            Value::Object(fields) => {
                let present = fields.iter().filter(|(_, value)| !value.is_null());
                let field = |(name, value): (&String, &Value)| {
                    (Key { name: name.clone(), span: 0..0 }, Self::from_json(value))
                };
                Tree::Table(present.map(field).collect())
            }
        })
    }

    /// The same as JSON.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        use serde_json::Value;
        match &self.tree {
            Tree::Text(text) => Value::from(text.as_str()),
            Tree::Whole(whole) => Value::from(*whole),
            Tree::Real(real) => Value::from(*real),
            Tree::Flag(flag) => Value::from(*flag),
            Tree::List(items) => Value::Array(items.iter().map(Self::to_json).collect()),
            Tree::Table(fields) => {
                let fields = fields.iter().map(|(key, spot)| (key.name.clone(), spot.to_json()));
                Value::Object(fields.collect())
            }
        }
    }

    /// What kind of value it is, for a person.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self.tree {
            Tree::Text(_) => "a text",
            Tree::Whole(_) | Tree::Real(_) => "a bare number",
            Tree::Flag(_) => "true or false",
            Tree::List(_) => "a list",
            Tree::Table(_) => "a table",
        }
    }
}

fn of_table(table: DeTable<'_>) -> Result<Tree, Problem> {
    let mut fields = Vec::new();
    for (key, value) in table {
        let key = Key { span: key.span(), name: key.into_inner().into_owned() };
        let span = value.span();
        fields.push((key, Spot { tree: of_value(value.into_inner(), &span)?, span }));
    }
    // The parser orders them by name.
    fields.sort_by_key(|(key, _)| key.span.start);
    Ok(Tree::Table(fields))
}

fn of_value(value: DeValue<'_>, span: &Range<usize>) -> Result<Tree, Problem> {
    let bad = |what: &str| Problem { span: span.clone(), what: what.to_owned(), hint: None };
    Ok(match value {
        DeValue::String(text) => Tree::Text(text.into_owned()),
        DeValue::Integer(number) => {
            let whole = i64::from_str_radix(number.as_str(), number.radix());
            Tree::Whole(whole.map_err(|_| bad("this number is too large"))?)
        }
        DeValue::Float(number) => {
            Tree::Real(number.as_str().parse().map_err(|_| bad("this is no number"))?)
        }
        DeValue::Boolean(flag) => Tree::Flag(flag),
        DeValue::Datetime(_) => return Err(bad("nothing here takes a date; times are \"20s\"")),
        DeValue::Array(items) => {
            let mut list = Vec::new();
            for item in items {
                let span = item.span();
                list.push(Spot { tree: of_value(item.into_inner(), &span)?, span });
            }
            Tree::List(list)
        }
        DeValue::Table(table) => of_table(table)?,
    })
}

/// Builds a table, field by field.
#[derive(Debug, Default)]
pub struct Fields(Vec<(Key, Spot)>);

impl Fields {
    /// Adds a field.
    pub fn add(&mut self, name: &str, tree: Tree) -> &mut Self {
        let key = Key { name: name.to_owned(), span: 0..0 };
        self.0.push((key, Spot::of(tree)));
        self
    }

    /// Adds a text.
    pub fn text(&mut self, name: &str, text: impl Into<String>) -> &mut Self {
        self.add(name, Tree::Text(text.into()))
    }

    /// The table.
    #[must_use]
    pub fn done(self) -> Tree {
        Tree::Table(self.0)
    }
}

/// A list of texts.
pub fn texts(items: impl IntoIterator<Item = String>) -> Tree {
    Tree::List(items.into_iter().map(|item| Spot::of(Tree::Text(item))).collect())
}

/// A table as a TOML document: plain fields first, then tables, then lists of tables.
#[must_use]
pub fn to_toml(tree: &Tree) -> String {
    let mut out = String::new();
    document(&mut out, "", tree);
    out
}

fn document(out: &mut String, path: &str, tree: &Tree) {
    let Tree::Table(fields) = tree else { return };
    let is_list_of_tables = |tree: &Tree| match tree {
        Tree::List(items) => {
            !items.is_empty() && items.iter().all(|it| matches!(it.tree, Tree::Table(_)))
        }
        _ => false,
    };
    // Only what stands at the top or is named so is a section; the rest is written in one line.
    let is_section = |key: &Key, tree: &Tree| {
        let is_top = path.is_empty() || key.name == "load" || path == "disk";
        is_top && (matches!(tree, Tree::Table(_)) || is_list_of_tables(tree))
    };
    for (key, spot) in fields.iter().filter(|(key, spot)| !is_section(key, &spot.tree)) {
        let _ = writeln!(out, "{} = {}", name(&key.name), inline(&spot.tree));
    }
    for (key, spot) in fields.iter().filter(|(key, spot)| is_section(key, &spot.tree)) {
        let own =
            if path.is_empty() { name(&key.name) } else { format!("{path}.{}", name(&key.name)) };
        match &spot.tree {
            Tree::Table(_) => {
                // Disks are tables by name, and nothing else.
                if own != "disk" {
                    let _ = writeln!(out, "\n[{own}]");
                }
                document(out, &own, &spot.tree);
            }
            Tree::List(items) => {
                for item in items {
                    let _ = writeln!(out, "\n[[{own}]]");
                    document(out, &own, &item.tree);
                }
            }
            _ => unreachable!("only tables and lists of them are sections"),
        }
    }
}

fn name(name: &str) -> String {
    let is_plain = |it: char| it.is_ascii_alphanumeric() || it == '-' || it == '_';
    if !name.is_empty() && name.chars().all(is_plain) { name.to_owned() } else { quoted(name) }
}

fn quoted(text: &str) -> String {
    // JSON's strings are TOML's basic strings.
    serde_json::Value::from(text).to_string()
}

fn inline(tree: &Tree) -> String {
    match tree {
        Tree::Text(text) => quoted(text),
        Tree::Whole(whole) => whole.to_string(),
        Tree::Real(real) => format!("{real:?}"),
        Tree::Flag(flag) => flag.to_string(),
        Tree::List(items) => {
            let items: Vec<_> = items.iter().map(|item| inline(&item.tree)).collect();
            format!("[{}]", items.join(", "))
        }
        Tree::Table(fields) => {
            let field =
                |(key, spot): &(Key, Spot)| format!("{} = {}", name(&key.name), inline(&spot.tree));
            let fields: Vec<_> = fields.iter().map(field).collect();
            format!("{{ {} }}", fields.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_the_same_after_it_was_written() {
        let text = "a = 1\nb = [\"x\", \"y\\\"z\"]\n\n[disk.quick]\nwrite = { p50 = \"1us\" }\n\n\
                    [[client]]\nname = \"c\"\n\n[[client.load]]\nop = \"append\"\nrate = 1.5\n";
        let tree = Spot::from_toml(text).unwrap().tree;
        assert_eq!(to_toml(&tree), text);
    }
}
