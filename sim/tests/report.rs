//! The report of a run as a file: whole, closed to the world, and an error that helps where it can't
//! be made. How it looks and behaves is tested in a browser: `cargo xtask ci --only report`.

use std::fs;
use std::path::PathBuf;

use quorate_sim::report::{self, fixture, fixture::Shape};

/// A folder of one test, removed with it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("report-{name}"));
        let _ = fs::remove_dir_all(&path);
        Self(path)
    }

    fn with_run(name: &str) -> Self {
        let folder = Self::new(name);
        let shape = Shape { calls_per_second: 8, failing: true };
        fixture::write(&folder.0, shape).expect("the folder can be written to");
        folder
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_report_is_one_file_that_asks_nobody() {
    let folder = Folder::with_run("offline");
    let path = report::write(&folder.0).expect("a good run");
    assert_eq!(path, folder.0.join("report.html"));
    let page = fs::read_to_string(&path).expect("it is there");
    assert!(page.contains("content=\"default-src 'none'; script-src 'unsafe-inline';"));
    for outside in ["http:", "https:", "//cdn", "src=", "@import", "url(", "fetch(", "import("] {
        assert!(!page.contains(outside), "the page has {outside}");
    }
    assert!(page.contains("--seed 17221501019635524208"));
    assert!(!page.contains("{{"), "a place of the template was not filled");
}

#[test]
fn the_same_run_gives_the_same_bytes() {
    let pages = ["same-1", "same-2"].map(|name| {
        let folder = Folder::with_run(name);
        fs::read(report::write(&folder.0).expect("a good run")).expect("it is there")
    });
    assert!(pages[0] == pages[1]);
}

#[test]
fn errors_name_the_file_and_the_line() {
    let check = |name: &str, file: &str, change: fn(String) -> String, expected: &str| {
        let folder = Folder::with_run(name);
        let path = folder.0.join(file);
        let text = fs::read_to_string(&path).expect("the run is there");
        fs::write(&path, change(text)).expect("the folder can be written to");
        let error = report::write(&folder.0).expect_err("this run is broken").to_string();
        assert!(error.starts_with(&format!("{}:{expected}", path.display())), "{error}");
        assert!(!folder.0.join("report.html").exists(), "no report is better than a wrong one");
    };
    check("cut", "trace.jsonl", |text| text[..text.len() / 2].to_owned(), "");
    let break_third = |text: String| {
        let mut lines: Vec<&str> = text.lines().collect();
        lines[2] = "{\"t\":1,\"k\":\"send\",\"l\":\"n1\"}";
        lines.join("\n")
    };
    check("third", "trace.jsonl", break_third, "3: send without its number (m)");
    check(
        "schema",
        "summary.json",
        |text| text.replace("\"schema\": 1", "\"schema\": 3"),
        "1: schema 3",
    );
    check(
        "verdict",
        "summary.json",
        |_| "{\"schema\":1,\n\"name\":\"x\"}".to_owned(),
        "1: has no text",
    );
}

#[test]
fn a_missing_file_is_named() {
    let folder = Folder::new("missing");
    let error = report::write(&folder.0).expect_err("there is no run").to_string();
    assert!(error.starts_with("can't read "), "{error}");
    assert!(error.contains("summary.json"), "{error}");
}
