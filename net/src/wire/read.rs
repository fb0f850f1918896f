//! What a reader or a subscriber asks for.
//!
//! These are archived as they stand: they are sent once per read, so they own their strings.

use quorate_core::request::Consistency;
use rkyv::{Archive, Deserialize, Serialize};

/// What is read.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// `$all`: every event of the log, in the log's order.
    All,
    /// One stream.
    Stream(String),
}

/// Towards which end a read goes.
#[derive(Archive, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Towards newer events.
    Forwards,
    /// Towards older events.
    Backwards,
}

/// Where a read begins. Numbers are revisions in a stream, positions in `$all`.
#[derive(Archive, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadFrom {
    /// At the first event.
    Start,
    /// At the last event.
    End,
    /// At this number: the event there is the first to be given.
    At(u64),
    /// Behind this number, in the read's direction: the event there is not given.
    After(u64),
}

/// Where a subscription begins. Numbers are revisions in a stream, positions in `$all`.
#[derive(Archive, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubscribeFrom {
    /// With the first event.
    Start,
    /// With the first event that is written after the subscription is confirmed.
    End,
    /// With the first event behind this number.
    After(u64),
}

/// Which events of `$all` are given.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
pub enum Filter {
    /// All of them.
    #[default]
    None,
    /// Those whose stream name begins with one of these.
    StreamPrefixes(Vec<String>),
    /// Those whose type begins with one of these.
    TypePrefixes(Vec<String>),
    /// Those whose stream name matches this regular expression somewhere.
    StreamExpression(String),
    /// Those whose type matches this regular expression somewhere.
    TypeExpression(String),
}

impl Filter {
    /// How many bytes its prefixes have together, or its expression.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self {
            Self::None => 0,
            Self::StreamPrefixes(prefixes) | Self::TypePrefixes(prefixes) => {
                prefixes.iter().map(String::len).sum()
            }
            Self::StreamExpression(expression) | Self::TypeExpression(expression) => {
                expression.len()
            }
        }
    }
}

/// The archive of [`Consistency`].
#[derive(Archive, Serialize, Deserialize)]
#[rkyv(remote = Consistency)]
enum ConsistencyBody {
    Linearizable,
    Committed,
}

impl From<ConsistencyBody> for Consistency {
    fn from(body: ConsistencyBody) -> Self {
        match body {
            ConsistencyBody::Linearizable => Self::Linearizable,
            ConsistencyBody::Committed => Self::Committed,
        }
    }
}

/// Opens a read.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct Read {
    /// What is read.
    pub target: Target,
    /// Where it begins.
    pub from: ReadFrom,
    /// Towards which end.
    pub direction: Direction,
    /// The most events to give (a link and its target are one); `None` for all there are.
    pub count: Option<u64>,
    /// Which events; for `$all` alone.
    pub filter: Filter,
    /// Whether a link event is followed by the event that it points to.
    pub resolve_links: bool,
    /// What it must see at least.
    #[rkyv(with = ConsistencyBody)]
    pub consistency: Consistency,
}

/// Opens a subscription.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct Subscribe {
    /// What is followed.
    pub target: Target,
    /// Where it begins.
    pub from: SubscribeFrom,
    /// Which events; for `$all` alone.
    pub filter: Filter,
    /// Whether a link event is followed by the event that it points to.
    pub resolve_links: bool,
    /// A `Checkpoint` follows at least each time that this many events have been looked at.
    pub checkpoint_events: u32,
}
