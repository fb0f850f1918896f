//! What can be chosen when connecting, reading and subscribing.

use std::path::PathBuf;
use std::time::Duration;

use quorate_core::id::Position;
use quorate_core::request::Consistency;
use quorate_net::Trust;
use quorate_net::wire::{Direction, Filter, ReadFrom, SubscribeFrom};

/// How to connect, and how long to wait.
#[derive(Clone, Debug)]
pub struct Options {
    /// The certificate authority of the node, as a PEM file. `None`: the development authority
    /// that a node of this machine and user has published, for loopback hosts only.
    pub ca: Option<PathBuf>,
    /// That authority itself, where it is in no file.
    pub trust: Option<Trust>,
    /// How long a call may take, retries after a lost connection included. For a read it is how
    /// long the next event may take.
    pub deadline: Duration,
    /// How long [`crate::Client::connect`] waits, and each later attempt to connect again.
    pub connect_deadline: Duration,
    /// Name and version of the application, for the node's log.
    pub name: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            ca: None,
            trust: None,
            deadline: Duration::from_secs(10),
            connect_deadline: Duration::from_secs(3),
            name: concat!("quorate-client/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}

/// What to read. By default: everything, from the first event on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadOptions {
    /// Where to begin.
    pub from: ReadFrom,
    /// Towards newer or older events.
    pub direction: Direction,
    /// The most events to give; `None` for all there are.
    pub count: Option<u64>,
    /// Which events of `$all`.
    pub filter: Filter,
    /// Whether link events are replaced by the events that they point to.
    pub resolve_links: bool,
    /// What it must see at least. By default all that was acknowledged before it began, which the
    /// leader alone can tell; else what some node knows to be committed.
    pub consistency: Consistency,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self {
            from: ReadFrom::Start,
            direction: Direction::Forwards,
            count: None,
            filter: Filter::None,
            resolve_links: false,
            consistency: Consistency::Linearizable,
        }
    }
}

impl ReadOptions {
    /// From the last event towards older ones.
    #[must_use]
    pub fn backwards() -> Self {
        Self { from: ReadFrom::End, direction: Direction::Backwards, ..Self::default() }
    }

    /// What some node knows to be committed, without asking the leader.
    #[must_use]
    pub fn committed(self) -> Self {
        Self { consistency: Consistency::Committed, ..self }
    }

    /// At most so many.
    #[must_use]
    pub fn count(self, count: u64) -> Self {
        Self { count: Some(count), ..self }
    }
}

/// What to follow. By default: everything, from the first event on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscribeOptions {
    /// Where to begin.
    pub from: SubscribeFrom,
    /// Which events of `$all`.
    pub filter: Filter,
    /// Whether link events are replaced by the events that they point to.
    pub resolve_links: bool,
    /// With a filter, a checkpoint comes at least each time that so many events were looked at.
    pub checkpoint_events: u32,
}

impl Default for SubscribeOptions {
    fn default() -> Self {
        Self {
            from: SubscribeFrom::Start,
            filter: Filter::None,
            resolve_links: false,
            checkpoint_events: 4096,
        }
    }
}

impl SubscribeOptions {
    /// Behind an event of `$all` that was already dealt with.
    #[must_use]
    pub fn after(position: Position) -> Self {
        Self { from: SubscribeFrom::After(position.get()), ..Self::default() }
    }
}
