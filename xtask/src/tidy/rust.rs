//! Habits of the source: where `unsafe` may stand, what tests may not do, what must have a reason.

use crate::source::{self, Word};
use crate::tree::{File, Finding, Tree};

/// The one file that may say `unsafe`.
const UNSAFE_FILE: &str = "storage/src/disk/uring.rs";

/// Looks at every Rust file.
pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    // Where tokio's clock is paused, sleeping waits for nothing.
    let paused: Vec<&str> = tree
        .ending(".rs")
        .filter(|file| file.text.contains("start_paused"))
        .map(|file| folder(&file.path))
        .collect();
    let check = |file: &File| check_file(file, paused.contains(&folder(&file.path)));
    tree.ending(".rs").flat_map(check).collect()
}

fn folder(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

fn check_file(file: &File, paused: bool) -> Vec<Finding> {
    let code = source::code_of(&file.text);
    let tests_start = source::tests_start(&file.path, &code);
    let words = source::words(&code);
    let finds = |word: &Word<'_>| {
        let message = check_word(file, word, word.line >= tests_start)?;
        let waits = word.text == "sleep";
        (!(waits && paused)).then(|| file.finding(word.line, message))
    };
    words.iter().filter_map(finds).collect()
}

fn check_word(file: &File, word: &Word<'_>, in_tests: bool) -> Option<&'static str> {
    let call = word.after.starts_with('(');
    match word.text {
        "unsafe" if file.path != UNSAFE_FILE => Some("unsafe stands in the io_uring disk alone"),
        "ignore" if in_tests && is_attribute(file, word) => {
            Some("an ignored test proves nothing: mend it or remove it")
        }
        "todo" | "unimplemented" | "dbg" if word.after.starts_with('!') => {
            Some("unfinished code is not committed")
        }
        "allow" | "expect" if call && is_attribute(file, word) && !has_reason(word) => {
            Some("a lint is allowed for a stated reason: allow(…, reason = \"…\")")
        }
        "unwrap" if call && !in_tests => {
            Some("unwrap is for tests: expect(\"why it holds\"), or an error")
        }
        "sleep" if call && in_tests => Some("a test does not wait by the clock"),
        _ => None,
    }
}

/// Whether the line on which the word stands begins as an attribute does.
fn is_attribute(file: &File, word: &Word<'_>) -> bool {
    let line = file.text.lines().nth(word.line - 1).unwrap_or_default().trim_start();
    line.starts_with("#[") || line.starts_with("#![")
}

/// Strings are blanked, but the word before them is not.
fn has_reason(word: &Word<'_>) -> bool {
    let inside = source::in_parentheses(word.after).unwrap_or_default();
    source::words(inside).iter().any(|word| word.text == "reason")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::check_rule;

    #[track_caller]
    fn check_text(path: &str, text: &str, expected: &[&str]) {
        let expected: Vec<_> = expected.iter().map(|found| format!("{path}:{found}")).collect();
        let expected: Vec<_> = expected.iter().map(String::as_str).collect();
        check_rule(check, &[(path, text)], &expected);
    }

    #[test]
    fn unsafe_has_one_place() {
        check_text("storage/src/disk/uring.rs", "unsafe { f() }", &[]);
        check_text("net/src/a.rs", "// unsafe\n#![deny(unsafe_code)]", &[]);
        let message = "2: unsafe stands in the io_uring disk alone";
        check_text("net/src/a.rs", "\nunsafe { f() }", &[message]);
    }

    #[test]
    fn nothing_is_unfinished() {
        let message = "1: unfinished code is not committed";
        check_text("a/src/a.rs", "fn f() { todo!() }", &[message]);
        check_text("a/src/a.rs", "fn f() { unimplemented!(\"later\") }", &[message]);
        check_text("a/src/a.rs", "fn f() { \"todo!()\" }", &[]);
    }

    #[test]
    fn allowing_has_a_reason() {
        let message = "1: a lint is allowed for a stated reason: allow(…, reason = \"…\")";
        check_text("a/src/a.rs", "#[allow(dead_code)]", &[message]);
        check_text("a/src/a.rs", "#![allow(unsafe_code)]", &[message]);
        check_text("a/src/a.rs", "#[expect(clippy::all)]", &[message]);
        check_text("a/src/a.rs", "#[allow(dead_code, reason = \"it is a table\")]", &[]);
        check_text("a/src/a.rs", "x.expect(\"why\"); allow(x);", &[]);
    }

    #[test]
    fn unwrap_is_for_tests_and_sleep_is_not() {
        let text = "fn f() { x.unwrap(); }\n#[cfg(test)]\nmod tests { fn g() { x.unwrap(); } }";
        let message = "1: unwrap is for tests: expect(\"why it holds\"), or an error";
        check_text("a/src/a.rs", text, &[message]);
        check_text("a/tests/a.rs", "fn f() { x.unwrap(); }", &[]);
        let message = "1: a test does not wait by the clock";
        check_text("a/tests/a.rs", "fn f() { thread::sleep(x); }", &[message]);
        check_text("a/src/a.rs", "fn f() { thread::sleep(x); }", &[]);
        let clock = ("a/tests/b/main.rs", "builder.start_paused(true)");
        check_rule(check, &[clock, ("a/tests/b/a.rs", "fn f() { sleep(x); }")], &[]);
    }

    #[test]
    fn no_test_is_ignored() {
        let message = "3: an ignored test proves nothing: mend it or remove it";
        check_text("a/src/a.rs", "#[cfg(test)]\n#[test]\n#[ignore]\nfn f() {}", &[message]);
    }
}
