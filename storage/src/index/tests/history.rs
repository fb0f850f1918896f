//! Random histories, with restarts and power losses anywhere.

use proptest::prelude::*;
use quorate_core::time::Instant;

use super::{Model, Process};
use crate::disk::simulated::Medium;
use crate::index::{IndexLimits, Room};

#[derive(Clone, Debug)]
enum Step {
    Append { streams: Vec<u8> },
    Turns(u8),
    Settle,
    Restart,
    PowerLoss,
    Check,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => proptest::collection::vec(0..6_u8, 1..20).prop_map(|streams| Step::Append { streams }),
        6 => (1..12_u8).prop_map(Step::Turns),
        1 => Just(Step::Settle),
        1 => Just(Step::Restart),
        1 => Just(Step::PowerLoss),
        2 => Just(Step::Check),
    ];
    proptest::collection::vec(step, 1..60)
}

proptest! {
    #[test]
    fn a_model_gives_the_same_answers(steps in steps(), seed in any::<u64>()) {
        let medium = Medium::new(seed);
        let mut model = Model::default();
        let (mut process, _) = Process::start(&medium, &model, IndexLimits::TINY);
        for step in steps {
            match step {
                Step::Append { streams } => {
                    let names: Vec<String> =
                        streams.iter().map(|stream| format!("stream-{stream}")).collect();
                    let names: Vec<&str> = names.iter().map(String::as_str).collect();
                    process.apply(&model.append(&names));
                }
                Step::Turns(count) => {
                    for _ in 0..count {
                        process.turn(Instant::START).unwrap();
                    }
                }
                Step::Settle => process.settle().unwrap(),
                Step::Restart => {
                    medium.restart();
                    process = Process::start(&medium, &model, IndexLimits::TINY).0;
                }
                Step::PowerLoss => {
                    medium.power_loss();
                    process = Process::start(&medium, &model, IndexLimits::TINY).0;
                }
                Step::Check => process.check(&model),
            }
        }
        process.check(&model);
        process.settle().unwrap();
        prop_assert_eq!(process.index.room(), Room::Free);
        process.check(&model);
    }
}

/// Sections of many blocks, bloom filters of several, and merges of merges.
#[test]
fn large_runs_give_the_same_answers() {
    let limits =
        IndexLimits { memtable_events_max: 6000, frozen_max: 2, cache_bytes_max: 64 << 12 };
    let medium = Medium::new(1);
    let mut model = Model::default();
    let (mut process, _) = Process::start(&medium, &model, limits);
    let mut number = 1_u64;
    for _ in 0..40_000 {
        number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        // One long stream, some of middle length, thousands of short ones.
        let stream = match number >> 60 {
            0..=7 => 0,
            8..=11 => 1 + (number >> 40) % 16,
            _ => 100 + (number >> 40) % 9000,
        };
        let entry = model.append(&[&format!("stream-{stream}")]);
        process.apply(&entry);
        process.turn(Instant::START).unwrap();
    }
    process.settle().unwrap();
    process.check(&model);
    medium.power_loss();
    let (process, recovery) = Process::start(&medium, &model, limits);
    assert!(recovery.runs < 6, "four runs of a tier become one: {recovery:?}");
    assert!(
        recovery.covered > model.log[35_000].header.position,
        "all but the newest events are in runs"
    );
    process.check(&model);
}
