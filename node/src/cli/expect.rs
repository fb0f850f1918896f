//! `--expect`: the state that a stream must be in.

use quorate_core::id::Revision;
use quorate_core::request::Expected;

/// Reads `any`, `none`, `exists` or a revision.
///
/// # Errors
///
/// What may be given.
pub(super) fn parse(text: &str) -> Result<Expected, String> {
    match text {
        "any" => Ok(Expected::Any),
        "none" => Ok(Expected::NoStream),
        "exists" => Ok(Expected::StreamExists),
        _ => match text.parse() {
            Ok(revision) => Ok(Expected::Exact(Revision::from_wire(revision))),
            Err(_) => Err("give any, none, exists or a revision such as 7".to_owned()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_kinds() {
        assert_eq!(parse("any"), Ok(Expected::Any));
        assert_eq!(parse("none"), Ok(Expected::NoStream));
        assert_eq!(parse("exists"), Ok(Expected::StreamExists));
        assert_eq!(parse("0"), Ok(Expected::Exact(Revision::FIRST)));
        assert_eq!(parse("18"), Ok(Expected::Exact(Revision::from_wire(18))));
    }

    #[test]
    fn what_it_shows_can_be_read_back() {
        for text in ["any", "none", "exists", "7"] {
            assert_eq!(parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "-1", "ANY", "1.0", "18446744073709551616"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
