//! The bytes of files, held fast: a change of them is a new version of the format.

/// Compares a file's bytes with the dump of them in `tests/golden`; `UPDATE=1` rewrites the dump.
pub(crate) fn check(name: &str, bytes: &[u8]) {
    let path = format!("{}/tests/golden/{name}", env!("CARGO_MANIFEST_DIR"));
    let found = dump(bytes);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, &found).expect("the source folder is writable");
        return;
    }
    let golden = std::fs::read_to_string(path).expect("each golden file is there");
    assert_eq!(found, golden, "{name}; UPDATE=1 rewrites it");
}

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
