//! What people and machines that watch a node see of it: health, metrics, and a small page.
//!
//! It runs on its own thread and shares nothing with the node's loop but atomics and, for rare
//! changes, a short lock. A slow scrape or a stuck browser can't delay an append.

pub mod health;
pub mod http;
pub mod metrics;
mod page;
pub mod process;
pub mod subscriptions;

pub use health::{Health, Phase};
pub use http::AdminServer;
pub use metrics::Metrics;
pub use subscriptions::{Progress, Subscriptions};

use std::sync::OnceLock;

/// What does not change while a node runs, once it has found its data.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The cluster, as a UUID.
    pub cluster: String,
    /// The group within it.
    pub group: u64,
    /// The node within it.
    pub node: u64,
    /// The history that it keeps, as a UUID.
    pub lineage: String,
    /// The data folder.
    pub data: String,
    /// `io_uring`, `fallback` or `simulated`.
    pub disk: String,
    /// Why the disk is not what it should be; empty where it is.
    pub disk_warning: String,
}

/// All that the node's loop tells the admin thread.
#[derive(Debug, Default)]
pub struct Shared {
    /// Where the node is in its life.
    pub health: Health,
    /// Counts and gauges.
    pub metrics: Metrics,
    /// Who follows what, and how far behind.
    pub subscriptions: Subscriptions,
    /// Set once, when the data is found.
    pub facts: OnceLock<Facts>,
}
