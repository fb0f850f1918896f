//! What a run of a scenario has still to do to its world, and what it has done: the same for all
//! tiers, each of which carries it out in its own way.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::check;
use super::fault::{Fault, FaultKind, Side, Target, Trigger, When};
use super::model::{Nanos, Scenario};
use super::story;
use crate::record::plan::Planned;

/// What is to come at a moment that is known from the beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cue {
    /// This fault strikes.
    Fault(usize),
    /// An operation of a client is due, as it was in the run that is repeated.
    Arrival { client: usize, load: usize, number: u64 },
}

/// The faults of a run.
pub(crate) struct Script {
    scenario: Rc<Scenario>,
    /// All that are to strike; those of a run that is repeated are all timed.
    faults: Vec<Fault>,
    /// How often each thing has happened that faults wait for.
    happened: BTreeMap<&'static str, u32>,
    /// Nothing strikes any more.
    is_over: bool,
}

impl Script {
    /// - `planned`: the faults and arrivals of a run that is to be repeated
    pub(crate) fn new(scenario: Rc<Scenario>, planned: Option<&[Planned]>) -> Self {
        let faults = match planned {
            None => scenario.faults.clone(),
            Some(planned) => planned.iter().filter_map(Planned::fault).collect(),
        };
        Self { scenario, faults, happened: BTreeMap::new(), is_over: false }
    }

    /// What comes when, as far as that is known.
    pub(crate) fn cues(&self, planned: Option<&[Planned]>) -> Vec<(Nanos, Cue)> {
        let faults = self.faults.iter().enumerate().filter_map(|(place, fault)| match fault.when {
            When::At(at) => Some((at, Cue::Fault(place))),
            When::Event { .. } => None,
        });
        let arrivals = planned.into_iter().flatten().filter_map(|planned| match *planned {
            Planned::Arrival { at, client, load, number } => {
                Some((at, Cue::Arrival { client, load, number }))
            }
            Planned::Fault { .. } => None,
        });
        faults.chain(arrivals).collect()
    }

    /// Something has happened. Gives the faults that have waited for that, and after how long each
    /// is to strike: in a moment of its own, so that it can be repeated at that moment.
    pub(crate) fn happened(&mut self, trigger: Trigger) -> Vec<(usize, Nanos)> {
        if self.is_over {
            return Vec::new();
        }
        let times = self.happened.entry(trigger.name()).or_default();
        *times += 1;
        let times = *times;
        let waited = self.faults.iter().enumerate().filter_map(|(place, fault)| match fault.when {
            When::Event { event, nth, after } if event == trigger && nth == times => {
                Some((place, after.max(1)))
            }
            When::Event { .. } | When::At(_) => None,
        });
        waited.collect()
    }

    /// A fault as it strikes now, with the nodes that it means; or why it does not. `None` where
    /// nothing strikes any more.
    ///
    /// - `running`: faults that have struck and last
    pub(crate) fn aim(
        &self,
        fault: usize,
        now: Nanos,
        leader: usize,
        running: &[&Fault],
    ) -> Option<Result<Fault, String>> {
        if self.is_over {
            return None;
        }
        let nodes = self.scenario.nodes.len();
        let fault = self.faults[fault].clone();
        let mut kind = fault.kind.with_targets(|target| match target {
            Target::Node(node) => node,
            Target::Leader => leader,
            Target::Follower => (0..nodes).find(|it| *it != leader).unwrap_or(0),
        });
        if let FaultKind::Partition { sides, .. } = &mut kind {
            disjoin(sides);
        }
        let is_conditional = matches!(fault.when, When::Event { .. });
        let fault = Fault { when: When::At(now), kind, ..fault };
        let keeps_quorum = || {
            let all: Vec<&Fault> = running.iter().copied().chain([&fault]).collect();
            check::keeps_quorum(&self.scenario, &all)
        };
        if is_conditional && !keeps_quorum() {
            let story = story::fault(&self.scenario, &fault.kind);
            return Some(Err(format!("skipped, it would take the quorum away: {story}")));
        }
        Some(Ok(fault))
    }

    /// Nothing strikes any more.
    pub(crate) fn end(&mut self) {
        self.is_over = true;
    }
}

/// Whoever is on two sides is on the first.
fn disjoin(sides: &mut [Side]) {
    for place in 1..sides.len() {
        let (before, rest) = sides.split_at_mut(place);
        let is_before = |node: &Target| before.iter().any(|side| side.nodes.contains(node));
        rest[0].nodes.retain(|node| !is_before(node));
    }
}
