//! How the node is: what `quorate status` shows, and what the metrics' gauges say.

use quorate_net::wire::{Detail, GroupStatus, MemberStatus, NodeStatus, Role, Serving, Tolerates};
use quorate_storage::disk::DiskKind;

use quorate_core::time::{Instant, Now};

use super::Driver;
use crate::admin::{Phase, process};
use crate::engine::Engine;

const MEASURE_EVERY_NANOS: u64 = 1_000_000_000;

impl Driver {
    /// How the node is.
    pub(crate) fn status(&self) -> NodeStatus {
        let engine = self.engine.borrow();
        let (index, end) = engine.committed();
        let facts = self.shared.facts.get().cloned().unwrap_or_default();
        NodeStatus {
            version: env!("CARGO_PKG_VERSION").into(),
            cluster: self.identity.log.cluster.to_bytes(),
            group: self.identity.log.group.get(),
            lineage: self.identity.log.lineage.to_bytes(),
            node: self.identity.node.get(),
            serving: self.serving(&engine),
            epoch: engine.epoch().get(),
            committed_index: index.get(),
            committed_position: end.get(),
            events: engine.events(),
            uptime_seconds: self.shared.health.uptime().as_secs(),
            data: facts.data.clone(),
            disk: facts.disk.clone(),
            warnings: self.warnings(&engine, &facts.disk_warning),
            replication: self.replication(&engine, &facts.disk),
            details: self.details(),
        }
    }

    /// A group of this node alone.
    fn replication(&self, engine: &Engine, disk: &str) -> GroupStatus {
        let committed_index = engine.committed().0.get();
        let node = self.identity.node.get();
        let member = MemberStatus {
            node,
            name: self.name(),
            zone: String::new(),
            address: String::new(),
            role: Role::Leader,
            durable_index: committed_index,
            committed_index,
            lag_events: 0,
            rtt_us: None,
            last_contact_ms: None,
            reachable: true,
            disk: disk.to_owned(),
        };
        GroupStatus {
            name: self.name(),
            zone: String::new(),
            role: Role::Leader,
            leader: Some(node),
            voters: 1,
            tolerates: Tolerates { nodes: 0, zones: 0 },
            commit_p99_us: self.shared.metrics.append.quantile_us(0.99),
            members: vec![member],
        }
    }

    fn serving(&self, engine: &Engine) -> Serving {
        match self.shared.health.phase() {
            Phase::Starting(_) => Serving::NotYet,
            Phase::Stopping => Serving::NoMore,
            Phase::Ready if engine.disk_full() => Serving::ReadsDiskFull,
            Phase::Ready => Serving::Everything,
        }
    }

    fn warnings(&self, engine: &Engine, disk_warning: &str) -> Vec<String> {
        let mut warnings = Vec::new();
        if !disk_warning.is_empty() {
            warnings.push(disk_warning.to_owned());
        }
        if engine.disk_full() {
            warnings.push(
                "The disk is full: appends are refused until there is space, reads go on.".into(),
            );
        }
        let damaged = engine.index().damaged_runs();
        if damaged > 0 {
            warnings.push(format!(
                "{damaged} files of the index are damaged and are being made again from the log; \
                 reads that need them fail until then."
            ));
        }
        warnings.extend(self.damage.borrow().iter().map(|damage| format!("Damaged: {damage}")));
        warnings
    }

    fn details(&self) -> Vec<Detail> {
        let metrics = &self.shared.metrics;
        let numbers = [
            ("appends", metrics.appends.get()),
            ("duplicate_appends", metrics.duplicates.get()),
            ("refused_appends", metrics.refusals()),
            ("appended_events", metrics.appended_events.get()),
            ("appended_bytes", metrics.appended_bytes.get()),
            ("append_p50_us_below", metrics.append.quantile_us(0.5)),
            ("append_p99_us_below", metrics.append.quantile_us(0.99)),
            ("log_writes", metrics.log_writes.get()),
            ("log_write_p50_us_below", metrics.log_write.quantile_us(0.5)),
            ("log_write_p99_us_below", metrics.log_write.quantile_us(0.99)),
            ("reads", metrics.reads.get()),
            ("read_events", metrics.read_events.get()),
            ("connections", metrics.connections.get()),
            ("subscriptions", self.shared.subscriptions.snapshot().len() as u64),
            ("index_memory_events", metrics.index_memory_events.get()),
            ("index_runs", metrics.index_runs.get()),
            ("index_covered_position", metrics.index_covered.get()),
            ("index_damaged_runs", metrics.index_damaged.get()),
            ("recovery_ms", metrics.recovery_ms.get()),
            ("recovery_read_bytes", metrics.recovery_bytes.get()),
            ("recovery_torn_tails", metrics.torn_tails.get()),
            ("scrub_passes", metrics.scrub_passes.get()),
            ("scrub_checked_position", metrics.scrub_checked.get()),
            ("scrub_total_position", metrics.scrub_total.get()),
            ("corruptions", metrics.corruptions.get()),
            ("memory_bytes", process::resident_bytes().unwrap_or(0)),
        ];
        let detail =
            |(name, value): (&str, u64)| Detail { name: name.into(), value: value.to_string() };
        numbers.into_iter().map(detail).collect()
    }

    /// Brings the gauges up to date: the cheap ones each turn, the others each second.
    pub(super) fn measure(&self, engine: &Engine, now: Now) {
        let metrics = &self.shared.metrics;
        metrics.end_position.set(engine.committed().1.get());
        metrics.events.set(engine.events());
        metrics.epoch.set(engine.epoch().get());
        metrics.disk_full.set(engine.disk_full().into());
        let since = now.monotonic.nanos().saturating_sub(self.measured.get().nanos());
        if since < MEASURE_EVERY_NANOS && self.measured.get() > Instant::START {
            return;
        }
        self.measured.set(now.monotonic);
        let extent = engine.index().extent();
        metrics.index_runs.set(extent.runs as u64);
        metrics.index_covered.set(extent.covered.get());
        metrics.index_memory_events.set(extent.memory_events);
        metrics.index_damaged.set(engine.index().damaged_runs() as u64);
        if let Some(scrub) = engine.scrub() {
            metrics.scrub_passes.set(scrub.passes);
            metrics.scrub_checked.set(scrub.checked.get());
            metrics.scrub_total.set(scrub.total.get());
        }
    }
}

/// A word for what writes to the disk.
#[must_use]
pub const fn disk_name(kind: DiskKind) -> &'static str {
    match kind {
        DiskKind::Uring => "io_uring",
        DiskKind::Fallback => "fallback",
        DiskKind::Simulated => "simulated",
    }
}
