//! The files' bytes, held fast: a change here is a new version of the format.

use super::{Model, Process};
use crate::disk::simulated::Medium;
use crate::index::{IndexLimits, manifest};

/// The lines of a dump that are not zero.
fn dump(bytes: &[u8]) -> String {
    let mut out = String::new();
    for (index, line) in bytes.chunks(16).enumerate() {
        if line.iter().any(|byte| *byte != 0) {
            let hex: Vec<String> = line.iter().map(|byte| format!("{byte:02x}")).collect();
            out.push_str(&format!("{:05x}: {}\n", index * 16, hex.join(" ")));
        }
    }
    out.push_str(&format!("{:05x}\n", bytes.len()));
    out
}

fn check(name: &str, golden: &str, bytes: &[u8]) {
    let found = dump(bytes);
    if std::env::var_os("UPDATE").is_some() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/index/tests/");
        std::fs::write(format!("{folder}{name}"), &found).expect("the source folder is writable");
        return;
    }
    assert_eq!(found, golden, "{name}; UPDATE=1 rewrites it");
}

#[test]
fn bytes_are_what_they_were() {
    let medium = Medium::new(1);
    let mut model = Model::default();
    let (mut process, _) = Process::start(&medium, &model, IndexLimits::TINY);
    process.apply(&model.append(&["a", "b", "a"]));
    process.apply(&model.append(&["a", "c", "b", "a", "d"]));
    process.settle().unwrap();
    let run = medium.contents("index/0000000000000000.run");
    check("run.hex", include_str!("run.hex"), &run);
    check("manifest.hex", include_str!("manifest.hex"), &medium.contents(manifest::NAME));
}
