//! Files that hold the bytes of frames.

use std::fmt::Write as _;
use std::path::Path;

use quorate_net::{Frame, FrameReader};

/// Sixteen bytes a line, so that the frame's header is the first line.
fn hexadecimal(bytes: &[u8]) -> String {
    let mut text = String::new();
    for line in bytes.chunks(16) {
        let words: Vec<String> = line.iter().map(|byte| format!("{byte:02x}")).collect();
        writeln!(text, "{}", words.join(" ")).unwrap();
    }
    text
}

/// Compares the bytes of a frame with its file.
pub(crate) fn check_golden(name: &str, bytes: &[u8]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/{name}.hex"));
    let found = hexadecimal(bytes);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &found).unwrap();
    }
    let expected = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}; UPDATE=1 writes it", path.display()));
    assert_eq!(found, expected, "{name}: the wire format changed");
}

/// The only frame in these bytes.
pub(crate) fn read_one(bytes: &[u8]) -> Frame {
    let mut reader = FrameReader::new(1 << 20);
    reader.buffer().extend_from_slice(bytes);
    let frame = reader.next_frame().unwrap().expect("a whole frame");
    assert!(reader.finish().is_ok(), "nothing follows");
    frame
}
