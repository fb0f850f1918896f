//! From a data folder that belongs to a group to an engine that is open.

use std::time::Duration;

use quorate_core::mutant::Mutant;
use quorate_core::time::{self, Now};
use quorate_net::clock::Instant;
use quorate_storage::index::IndexLimits;
use quorate_storage::read::ReadLimits;
use quorate_storage::superblock::Identity;

use super::ServeError;
use super::data::Data;
use crate::admin::{Facts, Phase, Shared};
use crate::config::Config;
use crate::driver::disk_name;
use crate::engine::{Engine, EngineOptions, OpenError, Recovered};
use crate::logger::{Fields, Logger, wall_clock};
use crate::recorder::RecordingFolder;
use crate::recorder::segment::{Member, Origin};
use quorate_net::environment::random;

/// Opens the engine on a folder, and tells what it found.
///
/// - `founding`: who the node is, where the folder is new
pub(super) fn open_engine(
    config: &Config,
    data: &Data,
    founding: Identity,
    mutant: Option<Mutant>,
    shared: &Shared,
    logger: &Logger,
) -> Result<(Engine, Recovered), OpenError> {
    shared.health.enter(Phase::Starting("reading the end of the log".into()));
    let started = Instant::now();
    let io = &data.io;
    let options = EngineOptions {
        limits: config.limits(),
        timing: config.timing(),
        leader_zones: config.leader_zones.clone(),
        index: IndexLimits {
            memtable_events_max: config.index_memtable_events_max.into(),
            cache_bytes_max: config.index_cache_bytes_max as usize,
            ..IndexLimits::PRODUCTION
        },
        reads: ReadLimits::PRODUCTION,
        tail_bytes_max: config.tail_cache_bytes_max.into(),
        scrub_bytes_per_s: config.scrub_bytes_per_s.into(),
        founding,
        seed: random(),
        mutant,
    };
    let now = Now { monotonic: time::Instant::START, wall: wall_clock() };
    let (engine, recovered) = io.block_on(Engine::open(io.clone(), now, options))?;
    tell(&recovered, data, shared, logger, started.elapsed());
    Ok((engine, recovered))
}

/// Records what the core takes in from now on.
pub(super) fn record(
    engine: &mut Engine,
    folder: RecordingFolder,
    identity: &Identity,
    logger: Logger,
) -> Result<(), ServeError> {
    let member = |member: &quorate_core::member::Member| Member {
        node: member.node,
        name: member.name.as_str().into(),
        zone: member.zone.as_str().into(),
    };
    let origin = Origin {
        version: env!("CARGO_PKG_VERSION").into(),
        run: random(),
        node: identity.node,
        log: identity.log,
        members: identity.members.iter().map(member).collect(),
    };
    let path = folder.path().display().to_string();
    let now = Now { monotonic: time::Instant::START, wall: wall_clock() };
    let recorder = engine.record(now, folder, origin, logger).map_err(ServeError::System)?;
    recorder.flush_in_panics();
    logger.info("recording", "all inputs of the core are recorded", &[("folder", &path)]);
    Ok(())
}

/// Tells people and metrics what the start found.
fn tell(recovered: &Recovered, data: &Data, shared: &Shared, logger: &Logger, took: Duration) {
    let Recovered { identity, founded, log, index, events_replayed } = recovered;
    let metrics = &shared.metrics;
    metrics.recovery_ms.set(u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
    metrics.recovery_bytes.set(log.scanned_bytes);
    metrics.torn_tails.set(log.torn.is_some().into());
    metrics.events.set(log.end.events);
    metrics.end_position.set(log.end.position.get());
    let facts = Facts {
        cluster: identity.log.cluster.to_string(),
        group: identity.log.group.get(),
        node: identity.node.get(),
        lineage: identity.log.lineage.to_string(),
        data: data.path.display().to_string(),
        disk: disk_name(data.report.kind).into(),
        disk_warning: data.report.warnings().join(" "),
    };
    shared.facts.set(facts).expect("a node opens its data once");
    if *founded {
        let fields: Fields<'_> = &[("cluster", &identity.log.cluster)];
        logger.info("founded", "a new cluster was founded in the data folder", fields);
    }
    if let Some(last) = &log.truncated {
        let sentence = "entries of an earlier leader were being taken back when the last process \
                        ended; that is finished now";
        logger.info("truncated", sentence, &[("last", last)]);
    }
    if let Some(torn) = &log.torn {
        let sentence = "an unfinished write at the end of the log was cut off; none of it had been \
                        acknowledged";
        let fields: Fields<'_> =
            &[("index", &torn.index), ("position", &torn.position), ("bytes", &torn.bytes)];
        logger.info("torn-tail", sentence, fields);
    }
    for repaired in &log.repaired {
        metrics.corruptions.add(1);
        logger.warn("repaired", "damage was made good", &[("damage", repaired)]);
    }
    if let Some(damage) = &index.damage {
        let sentence = "a file of the index was damaged; the index was made again from the log";
        logger.warn("index-rebuilt", sentence, &[("damage", damage)]);
    }
    let took = took.as_millis();
    let fields: Fields<'_> = &[
        ("events", &log.end.events),
        ("segments", &log.segments),
        ("scanned_bytes", &log.scanned_bytes),
        ("events_replayed", events_replayed),
        ("took_ms", &took),
    ];
    logger.info("recovered", "the log is open", fields);
}
