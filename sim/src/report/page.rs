//! The page itself: a template, styles, and scripts that are files of their own in `sim/report`.

use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::ZlibEncoder;
use serde_json::Value;

use super::columns::Packed;

const TEMPLATE: &str = include_str!("../../report/report.html");
const STYLES: &str = include_str!("../../report/report.css");
/// One concept each, and each uses only those before it.
const SCRIPTS: [(&str, &str); 24] = [
    ("unpack.js", include_str!("../../report/unpack.js")),
    ("words.js", include_str!("../../report/words.js")),
    ("elements.js", include_str!("../../report/elements.js")),
    ("trace.js", include_str!("../../report/trace.js")),
    ("paths.js", include_str!("../../report/paths.js")),
    ("causes.js", include_str!("../../report/causes.js")),
    ("why.js", include_str!("../../report/why.js")),
    ("palette.js", include_str!("../../report/palette.js")),
    ("view.js", include_str!("../../report/view.js")),
    ("lanes.js", include_str!("../../report/lanes.js")),
    ("axis.js", include_str!("../../report/axis.js")),
    ("bands.js", include_str!("../../report/bands.js")),
    ("ribbons.js", include_str!("../../report/ribbons.js")),
    ("messages.js", include_str!("../../report/messages.js")),
    ("marks.js", include_str!("../../report/marks.js")),
    ("minimap.js", include_str!("../../report/minimap.js")),
    ("panel.js", include_str!("../../report/panel.js")),
    ("legend.js", include_str!("../../report/legend.js")),
    ("search.js", include_str!("../../report/search.js")),
    ("diagram.js", include_str!("../../report/diagram.js")),
    ("charts.js", include_str!("../../report/charts.js")),
    ("latency.js", include_str!("../../report/latency.js")),
    ("tables.js", include_str!("../../report/tables.js")),
    ("main.js", include_str!("../../report/main.js")),
];

/// The whole file.
pub(super) fn assemble(summary: &Value, packed: &Packed) -> String {
    let title = summary.get("name").and_then(Value::as_str).unwrap_or("run");
    let parts = [
        ("title", escape(title)),
        ("styles", STYLES.to_owned()),
        ("scripts", scripts()),
        ("summary", json(summary)),
        ("header", json(&packed.header)),
        ("events", STANDARD.encode(deflate(&packed.bytes))),
    ];
    fill(TEMPLATE, &parts)
}

/// Puts each part where the template has its name in a comment. In one go, so that nothing that
/// stands in a part is taken for a place.
fn fill(template: &str, parts: &[(&str, String)]) -> String {
    let mut page = String::with_capacity(parts.iter().map(|(_, part)| part.len()).sum());
    let mut rest = template;
    while let Some((before, behind)) = rest.split_once("{{") {
        let (name, behind) = behind.split_once("}}").expect("each place of the template is closed");
        let part = parts.iter().find(|(part, _)| *part == name);
        page.push_str(before);
        page.push_str(&part.expect("the template has no place that is not filled").1);
        rest = behind;
    }
    page.push_str(rest);
    page
}

/// All scripts as one. Each is a module that says what it uses of which other: here each becomes a
/// function that gives what it exports, so that what it keeps to itself stays there.
fn scripts() -> String {
    let mut script = String::new();
    for (_, text) in SCRIPTS {
        let exported = exports(text).join(", ");
        match exported.is_empty() {
            true => script.push_str("await (async () => {\n"),
            false => script.push_str(&format!("const {{ {exported} }} = (() => {{\n")),
        }
        for line in text.lines().filter(|line| !line.starts_with("import ")) {
            script.push_str(line.strip_prefix("export ").unwrap_or(line));
            script.push('\n');
        }
        match exported.is_empty() {
            true => script.push_str("})();\n"),
            false => script.push_str(&format!("return {{ {exported} }};\n}})();\n")),
        }
    }
    script
}

/// The names that a script declares for others: one a line, at its beginning.
fn exports(text: &str) -> Vec<&str> {
    text.lines()
        .filter_map(|line| line.strip_prefix("export "))
        .filter_map(|line| {
            let (_, rest) = line.strip_prefix("async ").unwrap_or(line).split_once(' ')?;
            rest.split(|letter: char| !letter.is_alphanumeric() && letter != '_').next()
        })
        .collect()
}

/// JSON that can't end the element that it stands in.
fn json(value: &Value) -> String {
    value.to_string().replace('<', "\\u003c")
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::new(6));
    encoder.write_all(bytes).expect("memory takes everything");
    encoder.finish().expect("memory takes everything")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_script_uses_only_what_those_before_it_declare() {
        let mut declared: Vec<(&str, Vec<&str>)> = Vec::new();
        for (file, text) in SCRIPTS {
            for line in text.lines().filter(|line| line.starts_with("import ")) {
                let (names, from) = line
                    .strip_prefix("import { ")
                    .and_then(|rest| rest.strip_suffix("';"))
                    .and_then(|rest| rest.split_once(" } from './"))
                    .unwrap_or_else(|| panic!("{file}: an import is one line: {line}"));
                let found = declared.iter().find(|(earlier, _)| *earlier == from);
                let (_, exports) = found.unwrap_or_else(|| panic!("{file}: {from} comes later"));
                for name in names.split(", ") {
                    assert!(exports.contains(&name), "{file}: {from} exports no {name}");
                }
            }
            declared.push((file, exports(text)));
        }
    }

    #[test]
    fn scripts_are_short_and_say_what_they_are() {
        for (file, text) in SCRIPTS {
            assert!(text.starts_with("// "), "{file} begins with what it is");
            assert!(text.lines().count() <= 400, "{file}: is there a second concept in it?");
            assert!(!text.contains("</script"), "{file} would end its element");
        }
    }

    #[test]
    fn parts_are_filled_in_once() {
        let parts = [("a", "{{b}}".to_owned()), ("b", "2".to_owned())];
        assert_eq!(fill("1 {{a}} {{b}}.", &parts), "1 {{b}} 2.");
    }

    #[test]
    fn json_does_not_end_its_element() {
        assert_eq!(json(&Value::from("</script>")), "\"\\u003c/script>\"");
    }
}
