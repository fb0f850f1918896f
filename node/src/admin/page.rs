//! The page at `/`: the node in plain words.

use std::fmt::Write as _;

use super::{Shared, process};

/// The overview as text.
pub(super) fn render(shared: &Shared) -> String {
    let metrics = &shared.metrics;
    let (_, ready) = shared.health.ready();
    let mut text = format!("Quorate {}: {ready}\n", env!("CARGO_PKG_VERSION"));
    let mut row = |name: &str, value: String| {
        writeln!(text, "{name:<22}{value}").expect("a String takes all");
    };
    row("up for", format!("{} s", shared.health.uptime().as_secs()));
    if let Some(facts) = shared.facts.get() {
        row("node", format!("{} of cluster {}", facts.node, facts.cluster));
        row("data", facts.data.clone());
        row("disk", facts.disk.clone());
        if !facts.disk_warning.is_empty() {
            row("warning", facts.disk_warning.clone());
        }
    }
    if metrics.disk_full.get() > 0 {
        row("warning", "the disk is full: appends are refused until there is space".into());
    }
    if metrics.corruptions.get() > 0 {
        row("warning", format!("{} damaged places in the data", metrics.corruptions.get()));
    }
    row("events", metrics.events.get().to_string());
    row("log end", format!("position {}", metrics.end_position.get()));
    row("appends", format!("{} done, {} refused", metrics.appends.get(), metrics.refusals()));
    row("durable write", format!("median below {} us", metrics.log_write.quantile_us(0.5)));
    row("connections", metrics.connections.get().to_string());
    row("subscriptions", shared.subscriptions.snapshot().len().to_string());
    if let Some(bytes) = process::resident_bytes() {
        row("memory", format!("{} MiB", bytes >> 20));
    }
    text.push_str("\nMore: /livez /readyz /metrics, and `quorate status`.\n");
    text
}
