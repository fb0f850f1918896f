//! A replica on tape: its state as bytes, and all that was stepped into it since.
//!
//! The same inputs give the same effects on every machine, so a state and the inputs behind it are
//! a whole run, which can be gone through again anywhere. What is written here is read by the same
//! version of the program, and by no other: the state's fields are its format.
//!
//! Numbers are LEB128, shortest form only; bytes stand behind their number; a choice is a number. So
//! one value has one form, and two states are the same if their bytes are.

mod fold;
mod forms;
mod input;
mod tape;

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::fmt;

pub use fold::Witness;
pub use input::{read_input, write_input};
pub use tape::{Step, TapeReader, TapeWriter};

/// Where the parts of a value go to.
pub trait Sink {
    /// A number.
    fn number(&mut self, number: u64);

    /// Bytes, whose count is known to whoever reads them.
    fn raw(&mut self, bytes: &[u8]);
}

impl Sink for Vec<u8> {
    fn number(&mut self, number: u64) {
        if number < 0x80 {
            self.push(number as u8);
            return;
        }
        let (mut bytes, mut count, mut rest) = ([0; 10], 0, number);
        while rest >= 0x80 {
            bytes[count] = rest as u8 | 0x80;
            count += 1;
            rest >>= 7;
        }
        bytes[count] = rest as u8;
        self.extend_from_slice(&bytes[..=count]);
    }

    fn raw(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// Bytes that are no recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordingError {
    /// They end in the middle of a value.
    CutOff,
    /// They say something that has no meaning.
    Malformed {
        /// Of what.
        what: &'static str,
    },
}

impl fmt::Display for RecordingError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CutOff => out.write_str("the recording ends in the middle of a value"),
            Self::Malformed { what } => write!(out, "the recording has a malformed {what}"),
        }
    }
}

impl core::error::Error for RecordingError {}

/// Bytes that are read value by value.
#[derive(Clone, Debug)]
pub struct Source<'a>(&'a [u8]);

impl<'a> Source<'a> {
    /// All of these.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// How many are left.
    #[must_use]
    pub const fn left(&self) -> usize {
        self.0.len()
    }

    /// The next number.
    ///
    /// # Errors
    ///
    /// [`RecordingError`] where there is none.
    pub fn number(&mut self) -> Result<u64, RecordingError> {
        let malformed = Err(RecordingError::Malformed { what: "number" });
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first().ok_or(RecordingError::CutOff)?;
            self.0 = rest;
            let part = u64::from(byte & 0x7f);
            if part << shift >> shift != part || (*byte == 0 && shift > 0) {
                return malformed;
            }
            number |= part << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        malformed
    }

    /// The next so many bytes.
    ///
    /// # Errors
    ///
    /// [`RecordingError::CutOff`] where there are fewer.
    pub fn raw(&mut self, count: usize) -> Result<&'a [u8], RecordingError> {
        let (bytes, rest) = self.0.split_at_checked(count).ok_or(RecordingError::CutOff)?;
        self.0 = rest;
        Ok(bytes)
    }

    /// The next bytes, which stand behind their number.
    ///
    /// # Errors
    ///
    /// [`RecordingError`] where they are not there.
    pub fn bytes(&mut self) -> Result<&'a [u8], RecordingError> {
        let count = usize::try_from(self.number()?).map_err(|_| RecordingError::CutOff)?;
        self.raw(count)
    }

    /// The next text.
    ///
    /// # Errors
    ///
    /// [`RecordingError`] where there is none.
    pub fn text(&mut self) -> Result<&'a str, RecordingError> {
        core::str::from_utf8(self.bytes()?).map_err(|_| RecordingError::Malformed { what: "text" })
    }

    /// How many values follow; each has a byte at least.
    fn count(&mut self) -> Result<usize, RecordingError> {
        let count = usize::try_from(self.number()?).map_err(|_| RecordingError::CutOff)?;
        if count > self.left() { Err(RecordingError::CutOff) } else { Ok(count) }
    }
}

/// A value that has a form on tape.
pub trait Recorded: Sized {
    /// Writes it.
    fn record(&self, out: &mut impl Sink);

    /// Reads it.
    ///
    /// # Errors
    ///
    /// [`RecordingError`] where it is not there.
    fn read(from: &mut Source<'_>) -> Result<Self, RecordingError>;
}

/// Gives a struct, or an enum whose choices are told apart by the numbers before them, a form. Every
/// field has to be named, so none is forgotten; those behind a semicolon are no part of the form.
macro_rules! recorded {
    (struct $name:ident { $($field:ident),* $(,)? $(; $($left:ident),*)? }) => {
        impl $crate::recording::Recorded for $name {
            fn record(&self, out: &mut impl $crate::recording::Sink) {
                let Self { $($field,)* $($($left: _,)*)? } = self;
                $($crate::recording::Recorded::record($field, out);)*
            }

            fn read(
                from: &mut $crate::recording::Source<'_>,
            ) -> Result<Self, $crate::recording::RecordingError> {
                $(let $field = $crate::recording::Recorded::read(from)?;)*
                Ok(Self { $($field,)* $($($left: Default::default(),)*)? })
            }
        }
    };
    (enum $name:ident { $(
        $code:literal => $variant:ident $(($($inner:ident),*))? $({ $($field:ident),* })?
    ),* $(,)? }) => {
        impl $crate::recording::Recorded for $name {
            fn record(&self, out: &mut impl $crate::recording::Sink) {
                match self {$(
                    Self::$variant $(($($inner),*))? $({ $($field),* })? => {
                        out.number($code);
                        $($($crate::recording::Recorded::record($inner, out);)*)?
                        $($($crate::recording::Recorded::record($field, out);)*)?
                    }
                )*}
            }

            fn read(
                from: &mut $crate::recording::Source<'_>,
            ) -> Result<Self, $crate::recording::RecordingError> {
                match from.number()? {
                    $($code => {
                        $($(let $inner = $crate::recording::Recorded::read(from)?;)*)?
                        $($(let $field = $crate::recording::Recorded::read(from)?;)*)?
                        Ok(Self::$variant $(($($inner),*))? $({ $($field),* })?)
                    })*
                    _ => Err($crate::recording::RecordingError::Malformed {
                        what: stringify!($name),
                    }),
                }
            }
        }
    };
}
pub(crate) use recorded;

/// Writes bytes behind their number.
pub(crate) fn write_bytes(bytes: &[u8], out: &mut impl Sink) {
    out.number(bytes.len() as u64);
    out.raw(bytes);
}

/// Writes values behind their number.
fn write_all<'a, T: Recorded + 'a>(
    values: impl ExactSizeIterator<Item = &'a T>,
    out: &mut impl Sink,
) {
    out.number(values.len() as u64);
    values.for_each(|value| value.record(out));
}

/// Reads values that stand behind their number.
fn read_all<T: Recorded, C: FromIterator<T>>(from: &mut Source<'_>) -> Result<C, RecordingError> {
    (0..from.count()?).map(|_| T::read(from)).collect()
}

/// Reads values of which each has a greater key than the one before: in another order, or twice, they
/// would be another form of the same.
fn read_ordered<T: Recorded, C: FromIterator<T>, K: Ord>(
    from: &mut Source<'_>,
    key: impl Fn(&T) -> &K,
) -> Result<C, RecordingError> {
    let values: Vec<T> = read_all(from)?;
    if values.is_sorted_by(|one, next| key(one) < key(next)) {
        Ok(values.into_iter().collect())
    } else {
        Err(RecordingError::Malformed { what: "order" })
    }
}

impl Recorded for u64 {
    fn record(&self, out: &mut impl Sink) {
        out.number(*self);
    }

    fn read(from: &mut Source<'_>) -> Result<Self, RecordingError> {
        from.number()
    }
}

macro_rules! narrow {
    ($($kind:ident)*) => {$(
        impl Recorded for $kind {
            fn record(&self, out: &mut impl Sink) {
                out.number(*self as u64);
            }

            fn read(from: &mut Source<'_>) -> Result<Self, RecordingError> {
                let malformed = RecordingError::Malformed { what: stringify!($kind) };
                Self::try_from(from.number()?).map_err(|_| malformed)
            }
        }
    )*};
}
narrow!(u16 u32 usize);

impl Recorded for bool {
    fn record(&self, out: &mut impl Sink) {
        out.number(u64::from(*self));
    }

    fn read(from: &mut Source<'_>) -> Result<Self, RecordingError> {
        match from.number()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(RecordingError::Malformed { what: "yes or no" }),
        }
    }
}

impl<const N: usize> Recorded for [u8; N] {
    fn record(&self, out: &mut impl Sink) {
        out.raw(self);
    }

    fn read(from: &mut Source<'_>) -> Result<Self, RecordingError> {
        Ok(from.raw(N)?.try_into().expect("as many as were asked for"))
    }
}

impl<T: Recorded> Recorded for Option<T> {
    fn record(&self, out: &mut impl Sink) {
        out.number(u64::from(self.is_some()));
        if let Some(value) = self {
            value.record(out);
        }
    }

    fn read(from: &mut Source<'_>) -> Result<Self, RecordingError> {
        bool::read(from)?.then(|| T::read(from)).transpose()
    }
}

impl<A: Recorded, B: Recorded> Recorded for (A, B) {
    fn record(&self, out: &mut impl Sink) {
        self.0.record(out);
        self.1.record(out);
    }

    fn read(from: &mut Source<'_>) -> Result<Self, RecordingError> {
        Ok((A::read(from)?, B::read(from)?))
    }
}

impl<T: Recorded> Recorded for Vec<T> {
    fn record(&self, out: &mut impl Sink) {
        write_all(self.iter(), out);
    }

    fn read(from: &mut Source<'_>) -> Result<Self, RecordingError> {
        read_all(from)
    }
}

impl<T: Recorded> Recorded for VecDeque<T> {
    fn record(&self, out: &mut impl Sink) {
        write_all(self.iter(), out);
    }

    fn read(from: &mut Source<'_>) -> Result<Self, RecordingError> {
        read_all(from)
    }
}

impl<T: Recorded + Ord> Recorded for BTreeSet<T> {
    fn record(&self, out: &mut impl Sink) {
        write_all(self.iter(), out);
    }

    fn read(from: &mut Source<'_>) -> Result<Self, RecordingError> {
        read_ordered::<T, Self, _>(from, |value| value)
    }
}

impl<K: Recorded + Ord, V: Recorded> Recorded for BTreeMap<K, V> {
    fn record(&self, out: &mut impl Sink) {
        out.number(self.len() as u64);
        for (key, value) in self {
            key.record(out);
            value.record(out);
        }
    }

    fn read(from: &mut Source<'_>) -> Result<Self, RecordingError> {
        read_ordered::<(K, V), Self, _>(from, |(key, _)| key)
    }
}

/// Bytes are no values of their own: they are copied as a whole.
impl Recorded for Vec<u8> {
    fn record(&self, out: &mut impl Sink) {
        write_bytes(self, out);
    }

    fn read(from: &mut Source<'_>) -> Result<Self, RecordingError> {
        from.bytes().map(Self::from)
    }
}

impl Recorded for Box<[u8]> {
    fn record(&self, out: &mut impl Sink) {
        write_bytes(self, out);
    }

    fn read(from: &mut Source<'_>) -> Result<Self, RecordingError> {
        from.bytes().map(Self::from)
    }
}

impl Recorded for Box<str> {
    fn record(&self, out: &mut impl Sink) {
        write_bytes(self.as_bytes(), out);
    }

    fn read(from: &mut Source<'_>) -> Result<Self, RecordingError> {
        from.text().map(Self::from)
    }
}
