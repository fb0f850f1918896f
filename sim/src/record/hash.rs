//! A hash over a trace: two runs of one plan have the same.

/// Takes in lines.
#[derive(Clone, Debug)]
pub struct TraceHash(u64);

impl Default for TraceHash {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl TraceHash {
    /// Adds a line.
    pub fn add(&mut self, line: &[u8]) {
        let mut words = line.chunks_exact(8);
        for word in &mut words {
            let word = u64::from_le_bytes(word.try_into().expect("eight bytes"));
            self.mix(word);
        }
        let mut last = [0; 8];
        last[..words.remainder().len()].copy_from_slice(words.remainder());
        self.mix(u64::from_le_bytes(last));
        self.mix(line.len() as u64);
    }

    /// Adds what the line of these numbers' bytes would.
    pub fn add_numbers(&mut self, numbers: &[u64]) {
        numbers.iter().for_each(|number| self.mix(*number));
        self.mix(0);
        self.mix(8 * numbers.len() as u64);
    }

    fn mix(&mut self, word: u64) {
        self.0 = (self.0 ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    }

    /// As it is written.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{:016x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_their_bytes() {
        let numbers = [7, u64::MAX, 0];
        let (mut one, mut other) = (TraceHash::default(), TraceHash::default());
        one.add_numbers(&numbers);
        other.add(&numbers.map(u64::to_le_bytes).concat());
        assert_eq!(one.text(), other.text());
    }
}
