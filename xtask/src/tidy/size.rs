//! A file of more than 600 lines probably holds a second noun.

use crate::tree::{Finding, Tree};

const LINES_MAX: usize = 600;

/// Files that were looked at twice, and why they are whole.
const LOOKED_AT_TWICE: [(&str, &str); 0] = [];

/// Finds long files, and exceptions that are needed no more.
pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    check_except(tree, &LOOKED_AT_TWICE)
}

fn check_except(tree: &Tree, exceptions: &[(&str, &str)]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.ending(".rs") {
        let lines = file.text.lines().count();
        let excepted = exceptions.iter().any(|(path, _)| *path == file.path);
        if lines > LINES_MAX && !excepted {
            let message = format!("has {lines} lines: is there a second noun in it?");
            findings.push(file.finding(0, message));
        }
        if lines <= LINES_MAX && excepted {
            findings.push(file.finding(0, "is short enough to need no exception"));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_lines(lines: usize, exceptions: &[(&str, &str)], expected: &[&str]) {
        let tree = Tree::of(&[("a/src/a.rs", &"\n".repeat(lines))]);
        let found: Vec<_> =
            check_except(&tree, exceptions).iter().map(Finding::to_string).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn long_files_and_idle_exceptions_are_found() {
        let excepted = [("a/src/a.rs", "one state machine")];
        check_lines(600, &[], &[]);
        check_lines(601, &[], &["a/src/a.rs: has 601 lines: is there a second noun in it?"]);
        check_lines(601, &excepted, &[]);
        check_lines(600, &excepted, &["a/src/a.rs: is short enough to need no exception"]);
    }
}
