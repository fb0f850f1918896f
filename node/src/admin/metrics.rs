//! Counts and gauges of a node, and how Prometheus reads them.
//!
//! The node's loop is the only writer. A metric's name and unit are promises: dashboards rest on
//! them, so they are never renamed.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use quorate_core::request::Rejection;

use super::subscriptions::SHOWN_MAX;
use super::{Phase, Shared, process};

/// One number.
#[derive(Debug, Default)]
pub struct Number(AtomicU64);

impl Number {
    /// Adds to it.
    pub fn add(&self, amount: u64) {
        self.0.fetch_add(amount, Ordering::Relaxed);
    }

    /// Takes from it.
    pub fn subtract(&self, amount: u64) {
        self.0.fetch_sub(amount, Ordering::Relaxed);
    }

    /// Replaces it.
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// What it is now.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Upper bounds of the buckets of a [`Latency`], in microseconds.
const BUCKETS_US: [u64; 17] = [
    50, 75, 100, 150, 200, 300, 500, 750, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000,
    500_000, 1_000_000,
];

/// How long something took, counted in buckets.
#[derive(Debug, Default)]
pub struct Latency {
    buckets: [AtomicU64; BUCKETS_US.len() + 1],
    nanoseconds: AtomicU64,
}

impl Latency {
    /// Counts one.
    pub fn record(&self, took: Duration) {
        let microseconds = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = BUCKETS_US.partition_point(|bound| *bound < microseconds);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
    }

    /// The bucket bound below which this part of them lies, in microseconds; 0 where there are none.
    ///
    /// - `part`: 0.5 for the median
    #[must_use]
    pub fn quantile_us(&self, part: f64) -> u64 {
        let counts = self.buckets.each_ref().map(|bucket| bucket.load(Ordering::Relaxed));
        let total: u64 = counts.iter().sum();
        let mut left = (total as f64 * part).ceil() as u64;
        for (index, count) in counts.iter().enumerate() {
            if left > 0 && *count >= left {
                let beyond = 10 * BUCKETS_US[BUCKETS_US.len() - 1];
                return BUCKETS_US.get(index).copied().unwrap_or(beyond);
            }
            left = left.saturating_sub(*count);
        }
        0
    }

    fn write(&self, text: &mut String, name: &str, help: &str) {
        header(text, name, help, "histogram");
        let mut below = 0;
        for (index, bucket) in self.buckets.iter().enumerate() {
            below += bucket.load(Ordering::Relaxed);
            let bound = BUCKETS_US.get(index).map(|bound| format!("{}", *bound as f64 / 1e6));
            let bound = bound.unwrap_or_else(|| "+Inf".into());
            line(text, &format!("{name}_bucket{{le=\"{bound}\"}}"), below);
        }
        let seconds = self.nanoseconds.load(Ordering::Relaxed) as f64 / 1e9;
        line(text, &format!("{name}_sum"), seconds);
        line(text, &format!("{name}_count"), below);
    }
}

/// Makes [`Metrics`] and what writes it from one table.
macro_rules! metrics {
    ($($(#[doc = $doc:literal])+ $field:ident: $kind:literal $name:literal;)+) => {
        /// Counts and gauges of one node.
        #[derive(Debug, Default)]
        pub struct Metrics {
            $($(#[doc = $doc])+ pub $field: Number,)+
            /// Appends that were refused, by [`REFUSALS`].
            refusals: [Number; REFUSALS.len()],
            /// From the submission of a log write to its being on stable storage.
            pub log_write: Latency,
            /// From the submission of a leader's log write to the commit of the entry.
            pub commit: Latency,
            /// From an append's arrival to its answer.
            pub append: Latency,
        }

        impl Metrics {
            fn write_numbers(&self, text: &mut String) {
                $(
                    header(text, $name, concat!($($doc),+).trim(), $kind);
                    line(text, $name, self.$field.get());
                )+
            }
        }
    };
}

metrics! {
    /// Appends, deletes and tombstones that are on stable storage.
    appends: "counter" "quorate_appends_total";
    /// Those of them that an earlier attempt had written.
    duplicates: "counter" "quorate_duplicate_appends_total";
    /// Events that clients appended.
    appended_events: "counter" "quorate_appended_events_total";
    /// Event bytes that clients appended.
    appended_bytes: "counter" "quorate_appended_bytes_total";
    /// Reads that were asked for, subscriptions not included.
    reads: "counter" "quorate_reads_total";
    /// Subscriptions that were asked for.
    subscriptions: "counter" "quorate_subscriptions_total";
    /// Subscriptions that fell back from live to catch-up.
    fell_behind: "counter" "quorate_subscriptions_fell_behind_total";
    /// Events sent to readers and subscribers.
    read_events: "counter" "quorate_read_events_total";
    /// Bytes sent to readers and subscribers.
    read_bytes: "counter" "quorate_read_bytes_total";
    /// Client connections that are open.
    connections: "gauge" "quorate_connections";
    /// Client connections that were taken.
    connections_taken: "counter" "quorate_connections_total";
    /// Client connections that were refused or ended because of what the client sent or did not.
    connections_refused: "counter" "quorate_connections_refused_total";
    /// Append bytes that wait for the disk.
    pending_bytes: "gauge" "quorate_pending_bytes";
    /// Log entries on stable storage since the start.
    log_writes: "counter" "quorate_log_writes_total";
    /// Bytes of them, sectors included.
    log_write_bytes: "counter" "quorate_log_write_bytes_total";
    /// The position behind the last committed entry.
    end_position: "gauge" "quorate_log_end_position_bytes";
    /// Events in the log.
    events: "gauge" "quorate_log_events";
    /// Appends whose fate the node can't tell, because it lost the lead meanwhile.
    unknown: "counter" "quorate_appends_unknown_total";
    /// Elections that the node has asked to win.
    campaigns: "counter" "quorate_campaigns_total";
    /// Times that the end of the log made room for a leader's.
    truncations: "counter" "quorate_log_truncations_total";
    /// Whether the node leads.
    leads: "gauge" "quorate_leader";
    /// The newest epoch that the node knows of.
    epoch: "gauge" "quorate_epoch";
    /// Events that the index keeps in memory, not yet in a file.
    index_memory_events: "gauge" "quorate_index_memory_events";
    /// Files of the index.
    index_runs: "gauge" "quorate_index_runs";
    /// The position up to which the index is in files.
    index_covered: "gauge" "quorate_index_covered_position_bytes";
    /// How long recovery took at the start.
    recovery_ms: "gauge" "quorate_recovery_milliseconds";
    /// Log bytes that recovery read at the start.
    recovery_bytes: "gauge" "quorate_recovery_read_bytes";
    /// Writes that a crash had torn and that recovery cut off; none was ever acknowledged.
    torn_tails: "gauge" "quorate_recovery_torn_tails";
    /// Damaged places that were found in the data.
    corruptions: "counter" "quorate_corruptions_total";
    /// Damaged entries that were written anew, as another node has them.
    mended: "counter" "quorate_mended_entries_total";
    /// Files of the index that are damaged and not made again yet.
    index_damaged: "gauge" "quorate_index_damaged_runs";
    /// Passes over all older segments that the background verification has made since the start.
    scrub_passes: "counter" "quorate_scrub_passes_total";
    /// The position up to which the background verification has come in this pass.
    scrub_checked: "gauge" "quorate_scrub_checked_position_bytes";
    /// The position up to which it will come.
    scrub_total: "gauge" "quorate_scrub_total_position_bytes";
    /// Whether the disk is full and appends are refused.
    disk_full: "gauge" "quorate_disk_full";
}

/// Names of the kinds of refusals, as they stand in the label.
pub const REFUSALS: [&str; 13] = [
    "wrong_revision",
    "corrupted_idempotency",
    "stream_deleted",
    "retry_expired",
    "overloaded",
    "disk_full",
    "not_ready",
    "too_large",
    "invalid_stream_name",
    "invalid_metadata",
    "invalid_event",
    "damaged",
    "not_leader",
];

const fn refusal_index(rejection: &Rejection) -> usize {
    match rejection {
        Rejection::WrongRevision { .. } => 0,
        Rejection::CorruptedIdempotency { .. } => 1,
        Rejection::StreamDeleted => 2,
        Rejection::RetryExpired => 3,
        Rejection::Overloaded => 4,
        Rejection::DiskFull => 5,
        Rejection::NotReady => 6,
        Rejection::TooLarge { .. } => 7,
        Rejection::InvalidStreamName => 8,
        Rejection::InvalidMetadata => 9,
        Rejection::InvalidEvent => 10,
        Rejection::Damaged => 11,
        Rejection::NotLeader { .. } => 12,
    }
}

impl Metrics {
    /// Counts a refused append.
    pub fn refused(&self, rejection: &Rejection) {
        self.refusals[refusal_index(rejection)].add(1);
    }

    /// How many appends were refused, for any reason.
    #[must_use]
    pub fn refusals(&self) -> u64 {
        self.refusals.iter().map(Number::get).sum()
    }
}

/// The answer of `/metrics`, in Prometheus's text format 0.0.4.
#[must_use]
pub fn render(shared: &Shared) -> String {
    let mut text = String::with_capacity(16 << 10);
    let metrics = &shared.metrics;
    metrics.write_numbers(&mut text);
    let name = "quorate_append_refusals_total";
    header(&mut text, name, "Appends that were refused, by kind.", "counter");
    for (kind, count) in REFUSALS.iter().zip(&metrics.refusals) {
        line(&mut text, &format!("{name}{{kind=\"{kind}\"}}"), count.get());
    }
    let about = "From the submission of a log write to its being on stable storage.";
    metrics.log_write.write(&mut text, "quorate_log_write_seconds", about);
    let about = "From the submission of a log write, on the leader, to the commit of the entry.";
    metrics.commit.write(&mut text, "quorate_commit_seconds", about);
    let about = "From an append's arrival at the node to its answer.";
    metrics.append.write(&mut text, "quorate_append_seconds", about);
    write_subscriptions(&mut text, shared);
    write_process(&mut text, shared);
    text
}

fn write_subscriptions(text: &mut String, shared: &Shared) {
    let all = shared.subscriptions.snapshot();
    header(text, "quorate_subscriptions", "Subscriptions that are open.", "gauge");
    line(text, "quorate_subscriptions", all.len());
    let end = shared.metrics.end_position.get();
    let worst = all.iter().map(|(_, one)| one.lag(end)).max().unwrap_or(0);
    let name = "quorate_subscription_lag_bytes_max";
    header(text, name, "Log bytes that the slowest subscription has not seen.", "gauge");
    line(text, name, worst);
    let name = "quorate_subscription_lag_bytes";
    header(text, name, "Log bytes that a subscription has not seen.", "gauge");
    for (id, one) in all.iter().take(SHOWN_MAX) {
        let target = one.target.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let label = format!("{name}{{subscription=\"{id}\",target=\"{target}\"}}");
        line(text, &label, one.lag(end));
    }
}

fn write_process(text: &mut String, shared: &Shared) {
    header(text, "quorate_ready", "Whether the node takes appends and reads.", "gauge");
    line(text, "quorate_ready", u8::from(shared.health.phase() == Phase::Ready));
    header(text, "quorate_uptime_seconds", "How long the node has been up.", "gauge");
    line(text, "quorate_uptime_seconds", shared.health.uptime().as_secs_f64());
    if let Some(facts) = shared.facts.get() {
        header(text, "quorate_info", "What the node is.", "gauge");
        let version = env!("CARGO_PKG_VERSION");
        let label = format!(
            "quorate_info{{version=\"{version}\",cluster=\"{}\",group=\"{}\",node=\"{}\",disk=\"{}\"}}",
            facts.cluster, facts.group, facts.node, facts.disk
        );
        line(text, &label, 1);
    }
    if let Some(bytes) = process::resident_bytes() {
        let name = "process_resident_memory_bytes";
        header(text, name, "Memory that the process holds.", "gauge");
        line(text, name, bytes);
    }
    if let Some(seconds) = process::cpu_seconds() {
        let name = "process_cpu_seconds_total";
        header(text, name, "CPU that the process has used.", "counter");
        line(text, name, seconds);
    }
}

fn header(text: &mut String, name: &str, help: &str, kind: &str) {
    writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}").expect("a String takes all");
}

fn line(text: &mut String, name: &str, value: impl std::fmt::Display) {
    writeln!(text, "{name} {value}").expect("a String takes all");
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rendered metrics have this line.
    fn check_line(text: &str, wanted: &str) {
        assert!(text.lines().any(|line| line == wanted), "no line {wanted:?} in\n{text}");
    }

    #[test]
    fn prometheus_reads_what_was_counted() {
        let shared = Shared::default();
        shared.metrics.appends.add(3);
        shared.metrics.refused(&Rejection::DiskFull);
        shared.metrics.log_write.record(Duration::from_micros(60));
        shared.metrics.log_write.record(Duration::from_secs(9));
        shared.metrics.end_position.set(100);
        let progress = shared.subscriptions.begin("a\"b".into());
        progress.seen(23);
        let text = render(&shared);
        check_line(&text, "quorate_appends_total 3");
        check_line(&text, "# TYPE quorate_appends_total counter");
        check_line(&text, "quorate_append_refusals_total{kind=\"disk_full\"} 1");
        check_line(&text, "quorate_log_write_seconds_bucket{le=\"0.000075\"} 1");
        check_line(&text, "quorate_log_write_seconds_bucket{le=\"+Inf\"} 2");
        check_line(&text, "quorate_log_write_seconds_count 2");
        check_line(
            &text,
            "quorate_subscription_lag_bytes{subscription=\"0\",target=\"a\\\"b\"} 77",
        );
        drop(progress);
        check_line(&render(&shared), "quorate_subscriptions 0");
    }

    #[test]
    fn quantiles_come_from_the_buckets() {
        let latency = Latency::default();
        assert_eq!(latency.quantile_us(0.5), 0);
        for _ in 0..9 {
            latency.record(Duration::from_micros(120));
        }
        latency.record(Duration::from_millis(40));
        assert_eq!(latency.quantile_us(0.5), 150);
        assert_eq!(latency.quantile_us(0.99), 50_000);
    }

    #[test]
    fn every_metric_is_in_the_handbook() {
        let handbook = include_str!("../../../docs/operating.md");
        let text = render(&Shared::default());
        for line in text.lines().filter(|line| line.starts_with("# TYPE ")) {
            let name = line.split(' ').nth(2).expect("it has a name");
            let named = handbook.contains(&format!("`{name}`"));
            assert!(named || handbook.contains(&format!("`{name}{{")), "{name} is not there");
        }
    }
}
