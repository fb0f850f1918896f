//! What a newcomer relies on: the first commands in the README, the files everyone looks for, and
//! nothing that works on one machine only.

use crate::tree::{Finding, Tree};

const COMMANDS: [&str; 2] = ["cargo run --release -- demo", "cargo test --workspace"];
const FILES: [&str; 8] = [
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "LICENSE",
    "Cargo.lock",
    "docs/glossary.md",
    ".ci/run",
];
/// Folders in which one developer's machine keeps things. Split, so that this file passes.
const MACHINE_FOLDERS: [&str; 4] =
    [concat!("/", "home/"), concat!("/", "root/"), concat!("/", "Users/"), concat!("/", "work/")];

/// The README shows the two commands, and the files are there.
pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let about = |path: &str, message: String| Finding { path: path.to_owned(), line: 0, message };
    let missing = FILES.iter().filter(|file| !tree.holds(file));
    let mut findings: Vec<_> = missing.map(|file| about(file, "is missing".to_owned())).collect();
    if let Some(readme) = tree.text("README.md") {
        let absent = COMMANDS.iter().filter(|command| !readme.contains(*command));
        findings.extend(absent.map(|command| about("README.md", format!("lacks: {command}"))));
    }
    findings
}

/// No file has a path that exists on its author's machine only.
pub(crate) fn check_machine_paths(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.files() {
        for (index, line) in file.text.lines().enumerate() {
            if let Some(folder) = MACHINE_FOLDERS.iter().find(|folder| starts_path(line, folder)) {
                findings.push(file.finding(index + 1, format!("a path of one machine: {folder}…")));
            }
        }
    }
    findings
}

/// Whether an absolute path into `folder` stands in the line; `a/home/b` is a relative one.
fn starts_path(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|before| before.is_alphanumeric() || "._-~/}".contains(before))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::check_rule;

    #[test]
    fn missing_commands_and_files_are_found() {
        let readme = COMMANDS.join("\n");
        let mut files: Vec<(&str, &str)> = FILES.iter().map(|path| (*path, "")).collect();
        files[0].1 = &readme;
        check_rule(check, &files, &[]);
        files[0].1 = COMMANDS[0];
        check_rule(check, &files, &["README.md: lacks: cargo test --workspace"]);
        let expected = [".ci/run: is missing", "README.md: lacks: cargo test --workspace"];
        check_rule(check, &files[..7], &expected);
    }

    #[test]
    fn paths_of_one_machine_are_found() {
        let path = format!("see {}me/x", MACHINE_FOLDERS[0]);
        let message = format!("a.md:1: a path of one machine: {}…", MACHINE_FOLDERS[0]);
        check_rule(check_machine_paths, &[("a.md", &path)], &[&message]);
        let relative = format!("core{}x and https://a.b{0}c", MACHINE_FOLDERS[3]);
        check_rule(check_machine_paths, &[("a.md", &relative)], &[]);
    }
}
