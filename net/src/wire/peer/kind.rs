//! The kinds of frames between nodes.

use std::fmt;

/// What the body of a frame between nodes is. Their codes begin at 128.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PeerKind {
    /// Opens the control lane.
    Hello,
    /// Opens another lane.
    LaneHello,
    /// The group has been founded.
    Found,
    /// The founding is on stable storage.
    Founded,
    /// The nodes don't belong together.
    Refused,
    /// A message of consensus without entries.
    Consensus,
    /// A message of consensus with entries.
    Entries,
    /// Asks for an entry in place of a damaged one.
    Fetch,
    /// The answer.
    Fetched,
}

impl PeerKind {
    /// Every kind.
    pub const ALL: &'static [Self] = &[
        Self::Hello,
        Self::LaneHello,
        Self::Found,
        Self::Founded,
        Self::Refused,
        Self::Consensus,
        Self::Entries,
        Self::Fetch,
        Self::Fetched,
    ];

    /// Its code in the frame's header.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Hello => 128,
            Self::LaneHello => 129,
            Self::Found => 130,
            Self::Founded => 131,
            Self::Refused => 132,
            Self::Consensus => 133,
            Self::Entries => 134,
            Self::Fetch => 135,
            Self::Fetched => 136,
        }
    }

    /// The kind with this code.
    #[must_use]
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            128 => Some(Self::Hello),
            129 => Some(Self::LaneHello),
            130 => Some(Self::Found),
            131 => Some(Self::Founded),
            132 => Some(Self::Refused),
            133 => Some(Self::Consensus),
            134 => Some(Self::Entries),
            135 => Some(Self::Fetch),
            136 => Some(Self::Fetched),
            _ => None,
        }
    }
}

impl fmt::Display for PeerKind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Hello => "PeerHello",
            Self::LaneHello => "LaneHello",
            Self::Found => "Found",
            Self::Founded => "Founded",
            Self::Refused => "PeerRefused",
            Self::Consensus => "Consensus",
            Self::Entries => "Entries",
            Self::Fetch => "Fetch",
            Self::Fetched => "Fetched",
        })
    }
}
