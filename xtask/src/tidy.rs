//! What the compiler can't see: layers, forbidden words, links, sizes.
//!
//! Every rule is a function from the tree to findings, and has tests with a good and a bad example.

mod layers;
mod links;
mod lockfile;
mod names;
mod promises;
mod protocol;
mod rust;
mod size;
mod surroundings;

use std::io;
use std::path::Path;

use crate::tree::{Finding, Tree};

type Rule = fn(&Tree) -> Vec<Finding>;

const RULES: [(&str, Rule); 11] = [
    ("layers", layers::check),
    ("core is pure", layers::check_core),
    ("rust", rust::check),
    ("names", names::check),
    ("size", size::check),
    ("surroundings", surroundings::check),
    ("links", links::check),
    ("lockfile", lockfile::check),
    ("promises", promises::check),
    ("protocol", protocol::check),
    ("machine paths", promises::check_machine_paths),
];

/// Prints what the rules find in the project below `root`; says whether they found nothing.
pub(crate) fn run(root: &Path) -> io::Result<bool> {
    let tree = Tree::read(root)?;
    let mut count = 0;
    for (name, rule) in RULES {
        for finding in rule(&tree) {
            println!("{finding} [{name}]");
            count += 1;
        }
    }
    println!("tidy: {} rules, {count} findings", RULES.len());
    Ok(count == 0)
}

/// Cells of the Markdown table whose header row starts with these cells, row by row.
fn table<'a>(text: &'a str, header: &[&str]) -> Vec<(usize, Vec<&'a str>)> {
    let cells = |line: &'a str| -> Vec<&'a str> {
        line.trim().trim_matches('|').split('|').map(str::trim).collect()
    };
    let mut lines = text.lines().enumerate();
    if !lines.by_ref().any(|(_, line)| line.starts_with('|') && cells(line).starts_with(header)) {
        return Vec::new();
    }
    lines
        .skip(1)
        .take_while(|(_, line)| line.starts_with('|'))
        .map(|(index, line)| (index + 1, cells(line)))
        .collect()
}

/// Runs one rule over an example and compares what it says, line by line.
#[cfg(test)]
#[track_caller]
fn check_rule(rule: Rule, files: &[(&str, &str)], expected: &[&str]) {
    let findings: Vec<_> = rule(&Tree::of(files)).iter().map(Finding::to_string).collect();
    assert_eq!(findings, expected);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_found_by_their_header() {
        let text =
            "| a | b |\n|---|---|\n| 1 | 2 |\n\n| a | c |\n|---|---|\n| 3 | 4 |\n| 5 | 6 |\n";
        assert_eq!(table(text, &["a", "c"]), [(7, vec!["3", "4"]), (8, vec!["5", "6"])]);
        assert_eq!(table(text, &["a", "d"]), []);
    }
}
