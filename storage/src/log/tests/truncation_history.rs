//! Random histories of a log that takes entries back, against a plain list.

use proptest::prelude::*;

use super::truncation::end_of;
use super::*;
use crate::disk::simulated::{FaultPlan, Survival};

/// One thing that happens to a log.
#[derive(Clone, Debug)]
enum Step {
    Append(Vec<usize>),
    /// Takes back so many, as far as they are not committed.
    Truncate(usize),
    Commit,
    Turn(u8),
    Restart,
    PowerLoss(Survival),
    Close,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => prop::collection::vec(0usize..9000, 1..4).prop_map(Step::Append),
        4 => (0usize..6).prop_map(Step::Truncate),
        1 => Just(Step::Commit),
        3 => (1u8..12).prop_map(Step::Turn),
        1 => Just(Step::Restart),
        1 => prop_oneof![
            Just(Survival::Nothing),
            Just(Survival::Everything),
            Just(Survival::Sectors),
            Just(Survival::SmallSectors),
        ].prop_map(Step::PowerLoss),
        1 => Just(Step::Close),
    ]
}

/// What may be found, and what must be.
#[derive(Default)]
struct Model {
    /// What the log holds as this process sees it.
    present: Vec<Entry>,
    /// Entries that were there when a truncation was asked for which may not be done yet.
    before: Vec<Vec<Entry>>,
    /// So many of `present` are certainly there.
    durable: usize,
    committed: usize,
    /// Makes entries at the same place differ.
    made: u64,
}

impl Model {
    fn check(&mut self, found: Vec<Entry>, recovery: &Recovery) {
        let committed = recovery.committed.get() as usize;
        assert!(committed <= self.committed.min(found.len()), "{committed}");
        let fits = |whole: &Vec<Entry>| found.len() <= whole.len() && found == whole[..found.len()];
        assert!(fits(&self.present) || self.before.iter().any(fits), "it is one of those");
        assert!(found.len() >= self.durable, "{} of {}", found.len(), self.durable);
        assert_eq!(found[..self.durable], self.present[..self.durable]);
        self.committed = self.committed.min(found.len());
        self.durable = found.len();
        self.present = found;
        self.before.clear();
    }
}

proptest! {
    #[test]
    fn a_log_that_takes_back_is_a_list_whatever_happens(
        seed in any::<u64>(),
        steps in prop::collection::vec(step(), 1..50),
    ) {
        let medium = Medium::with_faults(seed, FaultPlan::NONE.reordering());
        let mut model = Model::default();
        let mut process = None;
        let mut now = 0;
        for step in steps {
            let (io, mut log) = match process.take() {
                Some(running) => running,
                None => {
                    let io = io(&medium);
                    let (log, recovery) = open(&io).unwrap();
                    model.check(replayed(&io, &log, Position::START).unwrap(), &recovery);
                    (io, log)
                }
            };
            match step {
                Step::Append(sizes) => {
                    for bytes in sizes {
                        model.made += 1;
                        let epoch = Epoch::from_wire(model.made);
                        let made = entry_in(epoch, &log.end(), "list", &[bytes, bytes / 2]);
                        let committed = LogIndex::from_wire(model.committed as u64);
                        log.append(&made.header, &made.body, committed);
                        model.present.push(made);
                    }
                }
                Step::Truncate(count) => {
                    let left = model.present.len().saturating_sub(count).max(model.committed);
                    log.truncate(end_of(&model.present, left));
                    let before = model.present.clone();
                    model.present.truncate(left);
                    model.before.push(before);
                    model.durable = model.durable.min(left);
                }
                Step::Commit => {
                    model.committed = model.durable;
                    log.note_committed(LogIndex::from_wire(model.committed as u64));
                }
                Step::Turn(turns) => {
                    let mut context = Context::from_waker(Waker::noop());
                    let mut written = Vec::new();
                    for _ in 0..turns {
                        now += 1_000_000;
                        io.turn();
                        log.poll(Instant::from_nanos(now), &mut context, &mut written).unwrap();
                    }
                    for Written { epoch, index } in written {
                        let reported = model.present.get(index.get() as usize - 1);
                        let epochs = reported.map(|entry| entry.header.epoch);
                        prop_assert_eq!(epochs, Some(epoch), "it is still in the log");
                    }
                    while log.take_truncated().is_some() {}
                    if !log.truncations.are_under_way() {
                        model.before.clear();
                    }
                    model.durable = log.durable.get() as usize;
                }
                Step::Restart => {
                    drop((log, io));
                    medium.restart();
                    continue;
                }
                Step::PowerLoss(survival) => {
                    drop((log, io));
                    medium.power_loss_keeping(survival);
                    continue;
                }
                Step::Close => {
                    io.block_on(log.close()).unwrap();
                    model.durable = model.present.len();
                    model.before.clear();
                    drop(io);
                    medium.power_loss();
                    continue;
                }
            }
            prop_assert_eq!(log.end(), end_of(&model.present, model.present.len()));
            process = Some((io, log));
        }
    }
}
