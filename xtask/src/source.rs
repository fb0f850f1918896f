//! Rust source as the checks need it: comments and strings blanked out, tests told from the rest.

/// The code of a file: every byte of a comment, string or character literal is a space, and line
/// breaks stay, so that lines and columns are those of the file.
pub(crate) fn code_of(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut code = Vec::with_capacity(bytes.len());
    while code.len() < bytes.len() {
        let at = code.len();
        match literal_bytes(&bytes[at..], at.checked_sub(1).map(|before| bytes[before])) {
            0 => code.push(bytes[at]),
            skipped => {
                let blank = |byte: &u8| if *byte == b'\n' { b'\n' } else { b' ' };
                code.extend(bytes[at..at + skipped].iter().map(blank));
            }
        }
    }
    String::from_utf8(code).expect("literals and comments end at the bounds of characters")
}

/// How long the comment or literal is that starts here; 0 where none does.
fn literal_bytes(rest: &[u8], before: Option<u8>) -> usize {
    let in_word = before.is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    match rest {
        [b'/', b'/', ..] => position(rest, b"\n").unwrap_or(rest.len()),
        [b'/', b'*', ..] => block_comment_bytes(rest),
        [b'"', ..] => quoted_bytes(rest, b'"'),
        [b'r' | b'b' | b'c', ..] if !in_word => prefixed_bytes(rest),
        [b'\'', ..] => character_bytes(rest),
        _ => 0,
    }
}

fn block_comment_bytes(rest: &[u8]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        if rest[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    rest.len()
}

/// From one quote to the next that no backslash escapes.
fn quoted_bytes(rest: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            byte if byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// `r"…"`, `r#"…"#`, `b"…"`, `br"…"`, `b'…'`; 0 for a mere word that starts with these letters.
fn prefixed_bytes(rest: &[u8]) -> usize {
    let prefix = rest.iter().take_while(|byte| matches!(byte, b'r' | b'b' | b'c')).count();
    let raw = rest[..prefix].contains(&b'r');
    let hashes = rest[prefix..].iter().take_while(|byte| **byte == b'#').count();
    let opening = prefix + hashes;
    if prefix > 2 || (hashes > 0 && !raw) {
        return 0;
    }
    match rest.get(opening) {
        Some(b'"') if raw => {
            let closing = [b"\"".as_slice(), &b"#".repeat(hashes)].concat();
            let end = position(&rest[opening + 1..], &closing);
            end.map_or(rest.len(), |end| opening + 1 + end + closing.len())
        }
        Some(b'"') => opening + quoted_bytes(&rest[opening..], b'"'),
        Some(b'\'') if rest[..prefix] == *b"b" => opening + quoted_bytes(&rest[opening..], b'\''),
        _ => 0,
    }
}

/// A character literal; 0 for a lifetime.
fn character_bytes(rest: &[u8]) -> usize {
    if rest.get(1) == Some(&b'\\') {
        return quoted_bytes(rest, b'\'');
    }
    let Some(first) = rest.get(1) else { return 0 };
    let width = match first {
        0x00..0x80 => 1,
        0x80..0xe0 => 2,
        0xe0..0xf0 => 3,
        0xf0..=0xff => 4,
    };
    if rest.get(1 + width) == Some(&b'\'') { width + 2 } else { 0 }
}

fn position(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

/// An identifier or keyword, and where it stands.
#[derive(Clone, Copy)]
pub(crate) struct Word<'a> {
    pub(crate) text: &'a str,
    /// From 1.
    pub(crate) line: usize,
    /// Whether `::` stands before or behind it.
    pub(crate) in_path: bool,
    /// The rest of the file behind it.
    pub(crate) after: &'a str,
}

/// All words of blanked code, in order.
pub(crate) fn words(code: &str) -> Vec<Word<'_>> {
    let bytes = code.as_bytes();
    let (mut found, mut line, mut at) = (Vec::new(), 1, 0);
    while at < bytes.len() {
        if bytes[at] == b'\n' {
            line += 1;
        }
        if !is_word(bytes[at]) {
            at += 1;
            continue;
        }
        let length = bytes[at..].iter().take_while(|byte| is_word(**byte)).count();
        let (before, after) = (&code[..at], &code[at + length..]);
        let in_path = before.trim_end().ends_with("::") || after.trim_start().starts_with("::");
        found.push(Word { text: &code[at..at + length], line, in_path, after });
        at += length;
    }
    found
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

/// The line (from 1) at which a file's own tests start; behind the last line where it has none.
pub(crate) fn tests_start(path: &str, code: &str) -> usize {
    if path.contains("/tests/") || path.ends_with("/tests.rs") || path.contains("/test_support") {
        return 1;
    }
    let test_module = code.lines().position(|line| line.trim() == "#[cfg(test)]");
    test_module.map_or(usize::MAX, |index| index + 1)
}

/// What stands between the parenthesis that `text` starts with and the one that closes it.
pub(crate) fn in_parentheses(text: &str) -> Option<&str> {
    let inner = text.strip_prefix('(')?;
    let mut depth = 1;
    for (at, character) in inner.char_indices() {
        match character {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(&inner[..at]);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(code_of(text), expected);
    }

    #[test]
    fn comments_and_literals_are_blank() {
        check("a // b\nc", "a     \nc");
        check("a /* b /* c */ d */ e", "a                   e");
        check(r#"f("un\"safe")"#, "f(          )");
        check(r##"f(r#"a"b"#, x)"##, "f(        , x)");
        check(r#"f(b"a", b'x', br"y")"#, "f(    ,     ,      )");
        check("f('x', '\\'', 'ä')", "f(   ,     ,     )");
    }

    #[test]
    fn lifetimes_and_words_stay() {
        check("fn f<'a>(bar: &'a str)", "fn f<'a>(bar: &'a str)");
        check("br + rb_c", "br + rb_c");
    }

    #[test]
    fn words_know_their_lines_and_paths() {
        let found: Vec<_> = words("let a =\n crate::store::b;")
            .iter()
            .map(|word| (word.text.to_owned(), word.line, word.in_path))
            .collect();
        let expected = [("let", 1, false), ("a", 1, false), ("crate", 2, true)];
        assert_eq!(found[..3], expected.map(|(text, line, path)| (text.to_owned(), line, path)));
        assert!(found[3].2 && found[4].2, "both ends of a path are in it");
    }

    #[test]
    fn parentheses_nest() {
        assert_eq!(in_parentheses("(a(b)c) d"), Some("a(b)c"));
        assert_eq!(in_parentheses("(a"), None);
        assert_eq!(in_parentheses("a"), None);
    }
}
