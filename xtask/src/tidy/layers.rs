//! Arrows go down only: the table in ARCHITECTURE.md and the manifests say the same, both ways.

use std::collections::{BTreeMap, BTreeSet};

use crate::source;
use crate::tidy::table;
use crate::tree::{File, Finding, Tree};

const ARCHITECTURE: &str = "ARCHITECTURE.md";
const HEADER: [&str; 2] = ["crate", "may use"];
/// Who may not know of whom inside the core.
const STRANGERS: [(&str, &str); 2] = [("consensus", "store"), ("store", "consensus")];

/// Compares the layer table with what the manifests and the sources use.
pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let layers = read_table(tree, &mut findings);
    let mut crates = BTreeSet::new();
    for file in tree.ending("/Cargo.toml") {
        let folder = file.path.trim_end_matches("/Cargo.toml");
        crates.insert(folder.to_owned());
        match file.text.parse::<toml::Table>() {
            Ok(manifest) => check_manifest(tree, file, folder, &manifest, &layers, &mut findings),
            Err(error) => findings.push(file.finding(0, format!("is not TOML: {error}"))),
        }
    }
    for (name, layer) in &layers {
        if !crates.contains(name) {
            let message = format!("the table has {name}, and there is no such crate");
            findings.push(Finding { path: ARCHITECTURE.to_owned(), line: layer.line, message });
        }
    }
    findings
}

struct Layer {
    line: usize,
    may_use: BTreeSet<String>,
}

/// Rows stand in order: a crate may only use those in rows above it.
fn read_table(tree: &Tree, findings: &mut Vec<Finding>) -> BTreeMap<String, Layer> {
    let rows = tree.text(ARCHITECTURE).map(|text| table(text, &HEADER)).unwrap_or_default();
    let mut finding = |line, message| {
        findings.push(Finding { path: ARCHITECTURE.to_owned(), line, message });
    };
    if rows.is_empty() {
        finding(0, "has no table of crates and what they may use".to_owned());
    }
    let mut layers = BTreeMap::new();
    for (line, cells) in rows {
        let name = cells[0].trim_matches('`').to_owned();
        let may_use: BTreeSet<String> = cells[1]
            .split(',')
            .map(|cell| cell.trim().trim_matches('`').to_owned())
            .filter(|cell| !cell.is_empty() && cell != "nothing")
            .collect();
        for used in may_use.iter().filter(|used| !layers.contains_key(*used)) {
            finding(line, format!("{name} may use {used}, which no row above it has"));
        }
        layers.insert(name, Layer { line, may_use });
    }
    layers
}

fn check_manifest(
    tree: &Tree,
    file: &File,
    folder: &str,
    manifest: &toml::Table,
    layers: &BTreeMap<String, Layer>,
    findings: &mut Vec<Finding>,
) {
    let mut finding = |message: String| findings.push(file.finding(0, message));
    let name = manifest.get("package").and_then(|package| package.get("name"));
    if name.and_then(toml::Value::as_str) != Some(package_name(folder).as_str()) {
        finding(format!("the package in {folder} is called {}", package_name(folder)));
    }
    let lints = manifest.get("lints").and_then(|lints| lints.get("workspace"));
    if lints.and_then(toml::Value::as_bool) != Some(true) {
        finding("does not take the workspace's lints".to_owned());
    }
    let Some(layer) = layers.get(folder) else {
        return finding(format!("{ARCHITECTURE}'s table has no row for {folder}"));
    };
    let dependencies = dependencies(manifest);
    for dependency in &dependencies {
        // A crate may name itself: its tests want a feature that nobody else has.
        if let Some(used) = dependency.strip_prefix("quorate-")
            && used != folder
            && !layer.may_use.contains(used)
        {
            finding(format!("{folder} uses {used}, which {ARCHITECTURE}'s table does not allow"));
        }
        if !is_named(tree, folder, dependency) {
            finding(format!("no source of {folder} names its dependency {dependency}"));
        }
    }
    for allowed in &layer.may_use {
        if !dependencies.contains(&package_name(allowed)) {
            finding(format!("{ARCHITECTURE}'s table lets {folder} use {allowed}, and it does not"));
        }
    }
}

fn package_name(folder: &str) -> String {
    if folder == "xtask" { folder.to_owned() } else { format!("quorate-{folder}") }
}

fn dependencies(manifest: &toml::Table) -> BTreeSet<String> {
    ["dependencies", "dev-dependencies", "build-dependencies"]
        .iter()
        .filter_map(|section| manifest.get(*section)?.as_table())
        .flat_map(|section| section.keys().cloned())
        .collect()
}

fn is_named(tree: &Tree, folder: &str, dependency: &str) -> bool {
    let name = dependency.replace('-', "_");
    let prefix = format!("{folder}/");
    tree.ending(".rs")
        .filter(|file| file.path.starts_with(&prefix))
        .any(|file| source::words(&file.text).iter().any(|word| word.text == name))
}

/// Core is `no_std`, and its two halves know nothing of each other.
pub(crate) fn check_core(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.ending(".rs") {
        let Some(path) = file.path.strip_prefix("core/src/") else { continue };
        let code = source::code_of(&file.text);
        if path == "lib.rs" && !code.contains("#![no_std]") {
            findings.push(file.finding(0, "core is no_std, so that the compiler proves it pure"));
        }
        for (this, stranger) in STRANGERS {
            let inside = path == format!("{this}.rs") || path.starts_with(&format!("{this}/"));
            if !inside {
                continue;
            }
            let named = source::words(&code).into_iter();
            for word in named.filter(|word| word.text == stranger && word.in_path) {
                let message = format!("{this} names {stranger}: only the replica knows both");
                findings.push(file.finding(word.line, message));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::check_rule;

    const TABLE: &str = "\
| crate | may use | why |
|---|---|---|
| `core` | nothing | |
| `net` | `core` | |
";
    const CORE: &str = "[package]\nname = 'quorate-core'\n[lints]\nworkspace = true\n";
    const NET: &str = "[package]\nname = 'quorate-net'\n[lints]\nworkspace = true\n\
                       [dependencies]\nquorate-core = 1\n";

    #[track_caller]
    fn check_layers(table: &str, core: &str, net: &str, expected: &[&str]) {
        let files = [
            ("ARCHITECTURE.md", table),
            ("core/Cargo.toml", core),
            ("core/src/lib.rs", "use quorate_net::x;"),
            ("net/Cargo.toml", net),
            ("net/src/lib.rs", "use quorate_core::x;"),
        ];
        check_rule(check, &files, expected);
    }

    #[test]
    fn table_and_manifests_agree() {
        check_layers(TABLE, CORE, NET, &[]);
    }

    #[test]
    fn an_arrow_that_goes_up_is_found() {
        let core = format!("{CORE}[dev-dependencies]\nquorate-net = 1\n");
        let message =
            "core/Cargo.toml: core uses net, which ARCHITECTURE.md's table does not allow";
        check_layers(TABLE, &core, NET, &[message]);
        let upwards = TABLE.replace("nothing", "`net`");
        let message = "ARCHITECTURE.md:3: core may use net, which no row above it has";
        check_layers(&upwards, &core, NET, &[message]);
    }

    #[test]
    fn a_table_that_allows_too_much_is_found() {
        let net = NET.replace("quorate-core = 1\n", "");
        let message = "net/Cargo.toml: ARCHITECTURE.md's table lets net use core, and it does not";
        check_layers(TABLE, CORE, &net, &[message]);
    }

    #[test]
    fn rows_and_crates_match() {
        let table = TABLE.replace("`net`", "`web`");
        let expected = [
            "net/Cargo.toml: ARCHITECTURE.md's table has no row for net",
            "ARCHITECTURE.md:4: the table has web, and there is no such crate",
        ];
        check_layers(&table, CORE, NET, &expected);
        let expected = [
            "ARCHITECTURE.md: has no table of crates and what they may use",
            "core/Cargo.toml: ARCHITECTURE.md's table has no row for core",
            "net/Cargo.toml: ARCHITECTURE.md's table has no row for net",
        ];
        check_layers("", CORE, NET, &expected);
    }

    #[test]
    fn idle_dependencies_wrong_names_and_missing_lints_are_found() {
        let net = "[package]\nname = 'net'\n[dependencies]\nquorate-core = 1\ncsv = 1\n";
        let expected = [
            "net/Cargo.toml: the package in net is called quorate-net",
            "net/Cargo.toml: does not take the workspace's lints",
            "net/Cargo.toml: no source of net names its dependency csv",
        ];
        check_layers(TABLE, CORE, net, &expected);
    }

    #[test]
    fn core_is_no_std_and_its_halves_are_strangers() {
        let good = [
            ("core/src/lib.rs", "#![no_std]\npub mod store;"),
            ("core/src/replica.rs", "use crate::{consensus::A, store::B};"),
            ("core/src/store/decide.rs", "// not consensus::commit\nlet store = store.head();"),
        ];
        check_rule(check_core, &good, &[]);
        let bad = [
            ("core/src/lib.rs", "extern crate std;"),
            ("core/src/store.rs", "\nuse crate::consensus::Quorum;"),
            ("core/src/consensus/commit.rs", "fn f() { super::super::store::decide() }"),
        ];
        let expected = [
            "core/src/lib.rs: core is no_std, so that the compiler proves it pure",
            "core/src/store.rs:2: store names consensus: only the replica knows both",
            "core/src/consensus/commit.rs:1: consensus names store: only the replica knows both",
        ];
        check_rule(check_core, &bad, &expected);
    }
}
