//! One word for one thing: the glossary's list of words that are not used as names.

use crate::source;
use crate::tidy::table;
use crate::tree::{Finding, Tree};

const GLOSSARY: &str = "docs/glossary.md";
const HEADER: [&str; 2] = ["not", "but"];
/// Names of files that say nothing about what is in them.
const EMPTY_NAMES: [&str; 7] = ["utils", "util", "helpers", "helper", "manager", "common", "misc"];

/// Compares identifiers and file names with the glossary.
pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let rows = tree.text(GLOSSARY).map(|text| table(text, &HEADER)).unwrap_or_default();
    if rows.is_empty() {
        let message = "has no table of words that are not used".to_owned();
        findings.push(Finding { path: GLOSSARY.to_owned(), line: 0, message });
    }
    let forbidden: Vec<(&str, &str)> =
        rows.iter().map(|(_, cells)| (cells[0].trim_matches('`'), cells[1])).collect();
    for file in tree.ending(".rs") {
        let stem = file.path.trim_end_matches(".rs").rsplit('/').next().unwrap_or_default();
        if EMPTY_NAMES.contains(&stem) {
            findings.push(file.finding(0, "a file is named by the one noun that it is about"));
        }
        let code = source::code_of(&file.text);
        for word in source::words(&code) {
            // What stands in a path may be another crate's name.
            let hit = forbidden.iter().find(|(name, _)| *name == word.text && !word.in_path);
            if let Some((name, instead)) = hit {
                findings.push(file.finding(word.line, format!("not `{name}`, but {instead}")));
            }
            let getter = word.text.strip_prefix("get_").is_some_and(|rest| !rest.is_empty());
            if getter && code_declares(&code, word) {
                findings.push(file.finding(word.line, "a function that gives has no get_"));
            }
        }
    }
    findings
}

/// Whether the word is the name of a function declared here.
fn code_declares(code: &str, word: source::Word<'_>) -> bool {
    let line = code.lines().nth(word.line - 1).unwrap_or_default();
    line.contains(&format!("fn {}", word.text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::check_rule;

    const TABLE: &str = "| not | but |\n|---|---|\n| `ring` | say which |\n";

    #[track_caller]
    fn check_text(path: &str, text: &str, expected: &[&str]) {
        check_rule(check, &[(GLOSSARY, TABLE), (path, text)], expected);
    }

    #[test]
    fn forbidden_words_are_found_where_we_choose_the_name() {
        check_text("a/src/a.rs", "let ring = 1;", &["a/src/a.rs:1: not `ring`, but say which"]);
        check_text("a/src/a.rs", "let io_ring = rustls::crypto::ring::x; // ring", &[]);
    }

    #[test]
    fn empty_names_are_found() {
        let message = "a/src/utils.rs: a file is named by the one noun that it is about";
        check_text("a/src/utils.rs", "", &[message]);
        let message = "a/src/a.rs:1: a function that gives has no get_";
        check_text("a/src/a.rs", "fn get_head() { x.get_mut() }", &[message]);
    }

    #[test]
    fn a_missing_table_is_found() {
        check_rule(check, &[], &["docs/glossary.md: has no table of words that are not used"]);
    }
}
