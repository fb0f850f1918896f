//! Links in the documents lead somewhere: to a file of the project, and to a heading in it.

use crate::tree::{Finding, Tree};

/// Follows every relative link of every Markdown file.
pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.ending(".md") {
        let mut in_code = false;
        for (index, line) in file.text.lines().enumerate() {
            if line.trim_start().starts_with("```") {
                in_code = !in_code;
            }
            if in_code {
                continue;
            }
            for target in targets(line) {
                if let Some(message) = check_target(tree, &file.path, target) {
                    findings.push(file.finding(index + 1, message));
                }
            }
        }
    }
    findings
}

/// What stands in `](…)`.
fn targets(line: &str) -> impl Iterator<Item = &str> {
    line.split("](").skip(1).filter_map(|rest| rest.split(')').next())
}

fn check_target(tree: &Tree, from: &str, target: &str) -> Option<String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (path, heading) = match target.split_once('#') {
        Some((path, heading)) => (path, Some(heading)),
        None => (target, None),
    };
    let path = if path.is_empty() { Some(from.to_owned()) } else { resolve(from, path) };
    let Some(path) = path.filter(|path| tree.holds(path)) else {
        return Some(format!("the link to {target} leads nowhere"));
    };
    let heading = heading?;
    let known = tree.text(&path).is_some_and(|text| anchors(text).any(|anchor| anchor == heading));
    if known { None } else { Some(format!("{path} has no heading #{heading}")) }
}

/// `path` as seen from the folder of `from`; `None` where it leaves the project.
fn resolve(from: &str, path: &str) -> Option<String> {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// Headings as code hosts turn them into anchors.
fn anchors(text: &str) -> impl Iterator<Item = String> + '_ {
    text.lines().filter(|line| line.starts_with('#')).map(|line| {
        let heading = line.trim_start_matches('#').trim().to_lowercase();
        heading
            .chars()
            .filter(|character| character.is_alphanumeric() || " -_".contains(*character))
            .map(|character| if character == ' ' { '-' } else { character })
            .collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::check_rule;

    #[track_caller]
    fn check_link(target: &str, expected: &[&str]) {
        let page = format!("\nSee [this]({target}).\n");
        let files = [("docs/a.md", page.as_str()), ("README.md", "# The `log`, and why\n")];
        check_rule(check, &files, expected);
    }

    #[test]
    fn links_lead_somewhere() {
        check_link("../README.md", &[]);
        check_link("../README.md#the-log-and-why", &[]);
        check_link("https://example.org/x.md", &[]);
        check_link("..", &[]);
        check_link("b.md", &["docs/a.md:2: the link to b.md leads nowhere"]);
        check_link("../../x.md", &["docs/a.md:2: the link to ../../x.md leads nowhere"]);
        check_link("../README.md#gone", &["docs/a.md:2: README.md has no heading #gone"]);
        check_link("#gone", &["docs/a.md:2: docs/a.md has no heading #gone"]);
    }

    #[test]
    fn code_blocks_hold_no_links() {
        check_rule(check, &[("a.md", "```\n[x](nowhere.md)\n```\n")], &[]);
    }
}
