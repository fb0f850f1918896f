//! Reads all of `$all` as fast as a client can, every checksum verified.

use std::error::Error;
use std::time::Instant;

use quorate_client::ReadOptions;

use crate::Node;
use crate::append::connect;
use crate::report::ScanReport;
use crate::steal::{NOISY_PERCENT, Steal};

/// Reads from the start to the end and counts.
pub(crate) async fn run(node: &Node) -> Result<ScanReport, Box<dyn Error>> {
    let client = connect(node).await?;
    let steal = Steal::start()?;
    let start = Instant::now();
    let mut read = client.read_all(ReadOptions::default());
    let (mut events, mut bytes, mut first_event) = (0, 0, None);
    while let Some(event) = read.next().await {
        let event = event?.event;
        first_event.get_or_insert_with(|| start.elapsed());
        events += 1;
        bytes += event.as_frame().bytes().len() as u64;
    }
    let seconds = start.elapsed().as_secs_f64();
    let steal_percent = steal.percent()?;
    client.close().await;
    Ok(ScanReport {
        events,
        bytes,
        seconds,
        events_per_s: events as f64 / seconds,
        first_event_us: first_event.map_or(0.0, |time| time.as_nanos() as f64 / 1000.0),
        steal_percent,
        noisy: steal_percent > NOISY_PERCENT,
    })
}
