//! The page about the protocol names a function for each rule: those functions must exist.

use std::collections::BTreeSet;

use crate::source;
use crate::tree::{Finding, Tree};

const PAGE: &str = "docs/protocol.md";
const CORE: &str = "core/src/";

/// Looks each name on the page up in the core.
pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let Some(page) = tree.text(PAGE) else {
        return vec![Finding { path: PAGE.to_owned(), line: 0, message: "is missing".to_owned() }];
    };
    let mut known = BTreeSet::new();
    for file in tree.ending(".rs").filter(|file| file.path.starts_with(CORE)) {
        let code = source::code_of(&file.text);
        known.extend(source::words(&code).iter().map(|word| word.text.to_owned()));
    }
    let mut findings = Vec::new();
    for (index, line) in page.lines().enumerate() {
        for name in names(line) {
            if let Some(unknown) = name.split("::").find(|part| !known.contains(*part)) {
                let message = format!("names `{name}`, and the core has no `{unknown}`");
                findings.push(Finding { path: PAGE.to_owned(), line: index + 1, message });
            }
        }
    }
    findings
}

/// What stands between backquotes and looks like a name in code: `a_function`, `A::method`.
fn names(line: &str) -> impl Iterator<Item = &str> {
    let quoted = line.split('`').skip(1).step_by(2);
    quoted.filter(|text| {
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
        !text.is_empty() && text.chars().all(is_name) && !text.starts_with(':')
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::check_rule;

    #[test]
    fn a_name_that_the_core_lacks_is_found() {
        let core = ("core/src/a.rs", "struct Remote; impl Remote { fn pump() {} }");
        check_rule(check, &[core, (PAGE, "sends (`Remote::pump`), `docs/a.md`, `a b`")], &[]);
        let message = "docs/protocol.md:1: names `Remote::sends`, and the core has no `sends`";
        check_rule(check, &[core, (PAGE, "sends (`Remote::sends`)")], &[message]);
        check_rule(check, &[core], &["docs/protocol.md: is missing"]);
    }
}
