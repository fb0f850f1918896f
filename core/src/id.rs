//! Names of things, and numbers that must not be confused with each other.
//!
//! None of them converts from a bare integer by `From`: a number becomes an id only where it is
//! read from a file or a frame (`from_wire`), or made from the one before it (`next`).

use core::fmt;

/// Makes a newtype over `u64` whose only arithmetic is `next`.
macro_rules! counter {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u64);

        impl $name {
            /// The first of its kind.
            pub const ZERO: Self = Self(0);

            /// Reads it back from a file or a frame.
            #[must_use]
            pub const fn from_wire(number: u64) -> Self {
                Self(number)
            }

            /// The number, for a file, a frame or a person.
            #[must_use]
            pub const fn get(self) -> u64 {
                self.0
            }

            /// The one after this; overflow is a bug and stops the node.
            #[must_use]
            pub const fn next(self) -> Self {
                Self(self.0 + 1)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(out)
            }
        }
    };
}

/// Makes a newtype over 16 random bytes, written as a UUID.
macro_rules! unique {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 16]);

        impl $name {
            /// Wraps 16 bytes that were drawn at random, or read from a file or a frame.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// The 16 bytes, in the order in which they are written.
            #[must_use]
            pub const fn to_bytes(self) -> [u8; 16] {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                for (index, byte) in self.0.iter().enumerate() {
                    if matches!(index, 4 | 6 | 8 | 10) {
                        out.write_str("-")?;
                    }
                    write!(out, "{byte:02x}")?;
                }
                Ok(())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(out, concat!(stringify!($name), "({})"), self)
            }
        }
    };
}

unique! {
    /// All nodes that were founded together. Drawn once, at the first start.
    ClusterId
}
unique! {
    /// One history of a group. A promoted copy begins a new one, so that two never merge silently.
    Lineage
}
unique! {
    /// One disk's state. A wiped disk comes back with another id, so that it can't vote as if it
    /// still knew what it had promised.
    DiskId
}
unique! {
    /// An event's id, chosen by the client; what makes a retry recognisable.
    EventId
}
counter! {
    /// A replication group within its cluster.
    GroupId
}
counter! {
    /// A node within its cluster.
    NodeId
}
counter! {
    /// A leader's reign. Grows at each election; no two leaders share one.
    ///
    /// Durable: a node writes an epoch to disk before it first speaks in it.
    Epoch
}
counter! {
    /// An entry's place in the log: 1, 2, 3 …; 0 is "before the first".
    LogIndex
}
counter! {
    /// An event's place in its stream: 0, 1, 2 …
    Revision
}
counter! {
    /// A leader's heartbeat, counted within its reign: what shows that an answer is fresh.
    Round
}
counter! {
    /// A leader's attempt to bring one follower up to date, counted within its reign. What belongs
    /// to an earlier attempt is void.
    Session
}
counter! {
    /// One client request within this process; pairs a reply with who asked.
    RequestId
}

impl LogIndex {
    /// The one before this.
    ///
    /// # Panics
    ///
    /// At zero, which has none.
    #[must_use]
    pub const fn previous(self) -> Self {
        assert!(self.0 > 0, "no entry is before the first");
        Self(self.0 - 1)
    }
}

impl Revision {
    /// The first event of a stream has this revision.
    pub const FIRST: Self = Self(0);

    /// The revision `count` events later.
    #[must_use]
    pub const fn plus(self, count: u64) -> Self {
        Self(self.0 + count)
    }

    /// The one before this, where there is one.
    #[must_use]
    pub const fn previous(self) -> Option<Self> {
        match self.0.checked_sub(1) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }
}

/// A place in `$all`: the byte address of an event's frame in the group's log.
///
/// The log's records follow one another without gaps in this address space, so positions are
/// ordered, the same on every replica, and stay what they are when segments are scavenged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(u64);

impl Position {
    /// Where the log starts.
    pub const START: Self = Self(0);

    /// Reads it back from a file or a frame.
    #[must_use]
    pub const fn from_wire(address: u64) -> Self {
        Self(address)
    }

    /// The byte address.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The address `bytes` further on.
    #[must_use]
    pub const fn plus(self, bytes: u64) -> Self {
        Self(self.0 + bytes)
    }

    /// How many bytes lie between `earlier` and this.
    ///
    /// # Panics
    ///
    /// Where `earlier` is in fact later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        assert!(self.0 >= earlier.0, "a distance is counted forwards");
        self.0 - earlier.0
    }
}

impl fmt::Display for Position {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

/// BLAKE3 over the chain before it, an entry's header fields and its body.
///
/// Two logs that agree on it at an index hold the same bytes up to there.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct ChainHash([u8; 32]);

impl ChainHash {
    /// The chain before the first entry.
    pub const GENESIS: Self = Self([0; 32]);

    /// Reads it back from a file or a frame.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 32] {
        self.0
    }
}

impl fmt::Debug for ChainHash {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "ChainHash({:02x}{:02x}{:02x}{:02x}…)",
            self.0[0], self.0[1], self.0[2], self.0[3]
        )
    }
}
