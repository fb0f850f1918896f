//! What a run gave, for a person and for a program.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Serialize, Serializer};

use crate::floor::Floor;
use crate::steal::NOISY_PERCENT;

/// Latencies from a microsecond's tenth to a minute, three digits exact.
pub(crate) fn histogram() -> Histogram<u64> {
    let minute = Duration::from_secs(60).as_nanos() as u64;
    Histogram::new_with_bounds(100, minute, 3).expect("the bounds fit each other")
}

/// Latency at the usual percentiles, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Percentiles {
    #[serde(rename = "p50_us")]
    pub(crate) p50: f64,
    #[serde(rename = "p90_us")]
    pub(crate) p90: f64,
    #[serde(rename = "p99_us")]
    pub(crate) p99: f64,
    #[serde(rename = "p999_us")]
    pub(crate) p999: f64,
    #[serde(rename = "max_us")]
    pub(crate) max: f64,
}

impl Percentiles {
    /// Of all that was recorded, in nanoseconds.
    pub(crate) fn of(histogram: &Histogram<u64>) -> Self {
        let at = |quantile| micros(histogram.value_at_quantile(quantile));
        Self {
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: micros(histogram.max()),
        }
    }

    pub(crate) fn line(&self) -> String {
        let Self { p50, p90, p99, p999, max } = self;
        format!("p50 {p50}  p90 {p90}  p99 {p99}  p99.9 {p999}  max {max}")
    }
}

pub(crate) fn micros(nanos: u64) -> f64 {
    (nanos as f64 / 100.0).round() / 10.0
}

/// Conditions under which a run was made, so that nobody has to guess.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Conditions {
    /// Whether the next append waits for an answer (closed) or for its time (open).
    #[serde(rename = "loop")]
    pub(crate) arrival: &'static str,
    pub(crate) streams: u64,
    pub(crate) expected_revision: &'static str,
    pub(crate) warm_up_seconds: f64,
    /// What the node says of itself: version, disk, what an acknowledgement means.
    pub(crate) node: String,
    pub(crate) same_machine: bool,
    pub(crate) processors: usize,
    pub(crate) client_build: &'static str,
    pub(crate) clock: &'static str,
}

/// The whole of an append run. Field names are stable.
#[derive(Debug, Serialize)]
pub(crate) struct AppendReport {
    pub(crate) connections: usize,
    pub(crate) in_flight: usize,
    pub(crate) size: usize,
    pub(crate) seconds: f64,
    /// What was asked for; none in a closed loop.
    pub(crate) rate: Option<f64>,
    pub(crate) appends_per_s: f64,
    /// From the intended start.
    #[serde(flatten)]
    pub(crate) response: Percentiles,
    pub(crate) errors: u64,
    #[serde(serialize_with = "one_digit")]
    pub(crate) steal_percent: f64,
    pub(crate) floor: Floor,
    /// From the moment at which it was really sent.
    pub(crate) service: Percentiles,
    /// Sent more than a millisecond after its time.
    pub(crate) late: u64,
    /// Not sent before the run was over.
    pub(crate) unsent: u64,
    pub(crate) noisy: bool,
    /// The first error, where there was one.
    pub(crate) first_error: Option<String>,
    pub(crate) conditions: Conditions,
}

impl AppendReport {
    /// Whether the run is worth something: no errors, nothing unsent.
    pub(crate) fn passed(&self) -> bool {
        self.errors == 0 && self.unsent == 0
    }

    pub(crate) fn print(&self) {
        let Conditions { arrival, streams, node, same_machine, processors, .. } = &self.conditions;
        let place = if *same_machine { "client on the same machine" } else { "client elsewhere" };
        println!(
            "{arrival} loop, {} connections x {} in flight, {} B to {streams} streams, {:.1} s",
            self.connections, self.in_flight, self.size, self.seconds
        );
        println!("node    {node}; {processors} processors, {place}, TLS 1.3");
        let asked = self.rate.map(|rate| format!(" of {rate:.0} asked")).unwrap_or_default();
        println!("rate    {:.0} durable appends/s{asked}", self.appends_per_s);
        println!("latency {} us, from the intended start", self.response.line());
        println!("service {} us, from the send", self.service.line());
        println!(
            "floor   {:.1} us = UDP round trip {:.1} + durable write {:.1}; p50 is {:.2} x floor",
            self.floor.sum_us(),
            self.floor.udp_rtt_us,
            self.floor.durable_write_us,
            self.response.p50 / self.floor.sum_us()
        );
        println!("errors  {}, late {}, unsent {}", self.errors, self.late, self.unsent);
        if let Some(error) = &self.first_error {
            println!("        first: {error}");
        }
        print_steal(self.steal_percent);
    }
}

/// The whole of a scan. Field names are stable.
#[derive(Debug, Serialize)]
pub(crate) struct ScanReport {
    pub(crate) events: u64,
    pub(crate) bytes: u64,
    pub(crate) seconds: f64,
    pub(crate) events_per_s: f64,
    #[serde(serialize_with = "one_digit")]
    pub(crate) first_event_us: f64,
    #[serde(serialize_with = "one_digit")]
    pub(crate) steal_percent: f64,
    pub(crate) noisy: bool,
}

impl ScanReport {
    pub(crate) fn print(&self) {
        println!(
            "scan    {} events, {} MB in {:.2} s: {:.0} events/s, checksums verified",
            self.events,
            self.bytes / 1_000_000,
            self.seconds,
            self.events_per_s
        );
        println!("first   event after {:.0} us", self.first_event_us);
        print_steal(self.steal_percent);
    }
}

fn print_steal(percent: f64) {
    let verdict = if percent > NOISY_PERCENT { ": NOISY, repeat this run" } else { "" };
    println!("steal   {percent:.1} % of processor time went to other guests{verdict}");
}

pub(crate) fn one_digit<S: Serializer>(number: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((number * 10.0).round() / 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> AppendReport {
        let mut latencies = histogram();
        for micros in 1..=1000 {
            latencies.record(micros * 1_000).expect("it is in bounds");
        }
        AppendReport {
            connections: 16,
            in_flight: 16,
            size: 256,
            seconds: 10.0,
            rate: None,
            appends_per_s: 123_456.0,
            response: Percentiles::of(&latencies),
            errors: 0,
            steal_percent: 1.23,
            floor: Floor { udp_rtt_us: 70.0, durable_write_us: 130.0, second_of_three_us: 210.0 },
            service: Percentiles::of(&latencies),
            late: 0,
            unsent: 0,
            noisy: false,
            first_error: None,
            conditions: Conditions {
                arrival: "closed",
                streams: 256,
                expected_revision: "any",
                warm_up_seconds: 1.0,
                node: "quorate 0.1.0".to_owned(),
                same_machine: true,
                processors: 2,
                client_build: "release",
                clock: "monotonic",
            },
        }
    }

    #[test]
    fn the_documented_fields_are_there_under_their_names() {
        let json = serde_json::to_value(report()).expect("it is plain data");
        let fields = [
            "connections",
            "in_flight",
            "size",
            "seconds",
            "rate",
            "appends_per_s",
            "p50_us",
            "p90_us",
            "p99_us",
            "p999_us",
            "max_us",
            "errors",
            "steal_percent",
        ];
        for field in fields {
            assert!(json.get(field).is_some(), "{field}");
        }
        assert_eq!(json["floor"]["udp_rtt_us"], 70.0);
        assert_eq!(json["floor"]["durable_write_us"], 130.0);
        assert_eq!(json["steal_percent"], 1.2);
    }

    #[test]
    fn percentiles_are_in_microseconds() {
        let response = report().response;
        assert!((499.0..502.0).contains(&response.p50), "{response:?}");
        assert!((999.0..1002.0).contains(&response.max), "{response:?}");
    }

    #[test]
    fn errors_and_unsent_appends_fail_a_run() {
        assert!(report().passed());
        assert!(!AppendReport { errors: 1, ..report() }.passed());
        assert!(!AppendReport { unsent: 1, ..report() }.passed());
    }
}
