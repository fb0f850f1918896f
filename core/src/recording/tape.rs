//! Inputs one behind the other, each with the time at which it came, and in between what a replica
//! had become.

use super::{Recorded, RecordingError, Sink, Source, read_input, write_input};
use crate::input::Input;
use crate::time::{Created, Instant, Now};

const DIGEST: u64 = 0;
const INPUT: u64 = 1;
const LATER_INPUT: u64 = 2;

/// Writes a tape.
#[derive(Clone, Copy, Debug, Default)]
pub struct TapeWriter {
    now: Now,
}

impl TapeWriter {
    /// Adds an input.
    pub fn input(&mut self, now: Now, input: &Input<'_>, out: &mut impl Sink) {
        let (before, Now { monotonic, wall }) = (self.now, now);
        if before.monotonic == monotonic && before.wall == wall {
            out.number(INPUT);
        } else {
            out.number(LATER_INPUT);
            out.number(monotonic.nanos().wrapping_sub(before.monotonic.nanos()));
            out.number(zigzag(wall.ticks().wrapping_sub(before.wall.ticks())));
            self.now = now;
        }
        write_input(input, out);
    }

    /// Adds what the replica has become by now.
    pub fn digest(digest: u64, out: &mut impl Sink) {
        out.number(DIGEST);
        out.raw(&digest.to_le_bytes());
    }
}

/// Wall clocks are set back now and then: small steps in both directions are short.
const fn zigzag(step: u64) -> u64 {
    (step << 1) ^ ((step as i64) >> 63) as u64
}

const fn unzigzag(number: u64) -> u64 {
    (number >> 1) ^ (number & 1).wrapping_neg()
}

/// What stands on a tape.
#[derive(Clone, Copy, Debug)]
pub enum Step<'a> {
    /// Something happened.
    Input(Now, Input<'a>),
    /// What the replica had become.
    Digest(u64),
}

/// Reads a tape.
#[derive(Clone, Debug)]
pub struct TapeReader<'a> {
    from: Source<'a>,
    now: Now,
}

impl<'a> TapeReader<'a> {
    /// From its beginning.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { from: Source::new(bytes), now: Now::default() }
    }

    /// Whether nothing is left.
    #[must_use]
    pub const fn is_at_end(&self) -> bool {
        self.from.left() == 0
    }

    /// How many bytes are left.
    #[must_use]
    pub const fn left(&self) -> usize {
        self.from.left()
    }

    /// Lends the next step to `take`.
    ///
    /// # Errors
    ///
    /// [`RecordingError`] where there is none; `take` is not called then, and nothing more can be
    /// read.
    pub fn next<T>(&mut self, take: impl FnOnce(Step<'_>) -> T) -> Result<T, RecordingError> {
        match self.from.number()? {
            DIGEST => {
                let digest = u64::from_le_bytes(Recorded::read(&mut self.from)?);
                return Ok(take(Step::Digest(digest)));
            }
            INPUT => {}
            LATER_INPUT => {
                let nanos = self.now.monotonic.nanos().wrapping_add(self.from.number()?);
                let ticks = self.now.wall.ticks().wrapping_add(unzigzag(self.from.number()?));
                let (monotonic, wall) = (Instant::from_nanos(nanos), Created::from_ticks(ticks));
                self.now = Now { monotonic, wall };
            }
            _ => return Err(RecordingError::Malformed { what: "step" }),
        }
        let now = self.now;
        read_input(&mut self.from, |input| take(Step::Input(now, input)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_in_both_directions_come_back() {
        for step in [0, 1, 2, 1_u64.wrapping_neg(), u64::MAX / 2, u64::MAX / 2 + 1, u64::MAX] {
            assert_eq!(unzigzag(zigzag(step)), step);
        }
        assert_eq!((zigzag(1), zigzag(u64::MAX)), (2, 1));
    }
}
