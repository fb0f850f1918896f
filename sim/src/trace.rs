//! What a run did, line by line: the same seed gives the same lines, in every process.

use std::fmt;

/// Lines and their hash.
pub struct Trace {
    hash: u64,
    lines: u64,
    prints: bool,
}

impl Trace {
    /// - `prints`: whether to show the lines, too
    #[must_use]
    pub fn new(prints: bool) -> Self {
        Self { hash: 0xcbf2_9ce4_8422_2325, lines: 0, prints }
    }

    /// Adds a line.
    pub fn line(&mut self, line: fmt::Arguments<'_>) {
        let line = line.to_string();
        if self.prints {
            println!("{line}");
        }
        self.lines += 1;
        for byte in line.bytes().chain([b'\n']) {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    /// Adds numbers, which are not shown.
    pub fn mix(&mut self, numbers: &[u64]) {
        for number in numbers {
            self.hash = (self.hash ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
        }
    }

    /// Shows a line that follows from what is in the trace already.
    pub fn detail(&self, line: impl FnOnce() -> String) {
        if self.prints {
            println!("{}", line());
        }
    }

    /// FNV-1a over all lines so far.
    #[must_use]
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// How many there are.
    #[must_use]
    pub fn lines(&self) -> u64 {
        self.lines
    }
}
