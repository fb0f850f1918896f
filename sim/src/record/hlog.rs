//! `latency.hlog`: latencies of each kind of call in each part of the run, as HdrHistogram's tools
//! read them.

use std::time::{Duration, UNIX_EPOCH};

use hdrhistogram::Histogram;
use hdrhistogram::serialization::V2Serializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};

use super::phases::phases;
use super::{Deed, Outcome, Recorder};

impl Recorder {
    /// The log, a line for each part and kind that has any; values are nanoseconds.
    pub(super) fn latency_log(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let mut serializer = V2Serializer::new();
        let mut builder = IntervalLogWriterBuilder::new();
        builder.add_comment(&format!("[{} seed {}, nanoseconds]", self.scenario.name, self.seed));
        builder.with_start_time(UNIX_EPOCH).with_base_time(UNIX_EPOCH);
        let mut writer =
            builder.begin_log_with(&mut out, &mut serializer).expect("memory takes all writes");
        for phase in phases(&self.faults, self.scenario.run.warmup, self.end()) {
            for deed in [Deed::Append, Deed::Read] {
                let mut histogram = Histogram::<u64>::new(3).expect("three digits are allowed");
                let inside = self
                    .answered
                    .iter()
                    .filter(|it| it.deed == deed && it.due >= phase.from && it.due < phase.to);
                for it in inside.filter(|it| it.outcome == Outcome::Done) {
                    histogram.saturating_record(it.latency().max(1));
                }
                if histogram.is_empty() {
                    continue;
                }
                let tag = format!("{}.{}", deed.name(), phase.name).replace([',', ' ', '\n'], "_");
                let (start, lasts) = (phase.from, phase.to - phase.from);
                let (start, lasts) = (Duration::from_nanos(start), Duration::from_nanos(lasts));
                let written = writer.write_histogram(&histogram, start, lasts, Tag::new(&tag));
                written.expect("a histogram fits in memory");
            }
        }
        out
    }
}
