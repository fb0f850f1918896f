//! The stream of a row, by a template such as `aircraft-{tailnum}`.

use std::fmt;
use std::str::FromStr;

/// What an empty field becomes in a stream's name.
const EMPTY_FIELD: &str = "none";

/// A stream name with places for fields. `{{` and `}}` stand for the braces themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamTemplate {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    Field(String),
}

/// Why a text is no template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TemplateError {
    /// There is nothing in it.
    Empty,
    /// A `{` without its `}`.
    Unclosed,
    /// A `}` without its `{`.
    Unopened,
    /// `{}`.
    NoField,
}

impl fmt::Display for TemplateError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Empty => "a stream's name must not be empty",
            Self::Unclosed => "a { without its }; for the character itself write {{",
            Self::Unopened => "a } without its {; for the character itself write }}",
            Self::NoField => "{} names no field; write for example aircraft-{tailnum}",
        })
    }
}

impl std::error::Error for TemplateError {}

impl FromStr for StreamTemplate {
    type Err = TemplateError;

    fn from_str(text: &str) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(brace) = rest.find(['{', '}']) {
            literal.push_str(&rest[..brace]);
            let (open, doubled) = (rest[brace..].starts_with('{'), &rest[brace + 1..]);
            if doubled.starts_with(if open { '{' } else { '}' }) {
                literal.push(if open { '{' } else { '}' });
                rest = &doubled[1..];
                continue;
            }
            if !open {
                return Err(TemplateError::Unopened);
            }
            let (field, after) = doubled.split_once('}').ok_or(TemplateError::Unclosed)?;
            if field.is_empty() {
                return Err(TemplateError::NoField);
            }
            if !literal.is_empty() {
                parts.push(Part::Literal(std::mem::take(&mut literal)));
            }
            parts.push(Part::Field(field.to_owned()));
            rest = after;
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Literal(literal));
        }
        if parts.is_empty() { Err(TemplateError::Empty) } else { Ok(Self { parts }) }
    }
}

impl StreamTemplate {
    /// The fields that it needs.
    pub(super) fn fields(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Literal(_) => None,
            Part::Field(name) => Some(name.as_str()),
        })
    }

    /// The stream's name, with each field as `value` gives it. An empty field becomes `none`.
    ///
    /// # Errors
    ///
    /// The first that `value` gives.
    pub(super) fn render<E>(
        &self,
        mut value: impl FnMut(&str, &mut String) -> Result<(), E>,
    ) -> Result<String, E> {
        let mut name = String::new();
        for part in &self.parts {
            match part {
                Part::Literal(text) => name.push_str(text),
                Part::Field(field) => {
                    let before = name.len();
                    value(field, &mut name)?;
                    if name.len() == before {
                        name.push_str(EMPTY_FIELD);
                    }
                }
            }
        }
        Ok(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(template: &str, expected: Result<&str, TemplateError>) {
        let rendered = template.parse::<StreamTemplate>().map(|template| {
            let value = |field: &str, name: &mut String| {
                name.push_str(match field {
                    "tailnum" => "N14228",
                    "empty" => "",
                    _ => return Err(field.to_owned()),
                });
                Ok(())
            };
            template.render(value).unwrap()
        });
        assert_eq!(rendered.as_deref(), expected.as_ref().map(|name| *name), "{template}");
    }

    #[test]
    fn templates() {
        check("aircraft-{tailnum}", Ok("aircraft-N14228"));
        check("flights", Ok("flights"));
        check("{tailnum}", Ok("N14228"));
        check("{tailnum}-{empty}.", Ok("N14228-none."));
        check("{empty}", Ok("none"));
        check("{{{tailnum}}}", Ok("{N14228}"));
        check("a}}b{{", Ok("a}b{"));
        check("ä-{tailnum}-ö", Ok("ä-N14228-ö"));
        check("", Err(TemplateError::Empty));
        check("a-{tailnum", Err(TemplateError::Unclosed));
        check("a-}", Err(TemplateError::Unopened));
        check("a-{}", Err(TemplateError::NoField));
    }

    #[test]
    fn fields_in_order() {
        let template: StreamTemplate = "{carrier}-{flight}".parse().unwrap();
        assert_eq!(template.fields().collect::<Vec<_>>(), ["carrier", "flight"]);
    }

    #[test]
    fn an_unknown_field_is_the_callers_error() {
        let template: StreamTemplate = "{other}".parse().unwrap();
        assert_eq!(template.render(|field, _| Err(field.to_owned())), Err("other".to_owned()));
    }
}
