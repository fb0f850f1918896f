//! A scenario in this world: what its plan, its faults and its load are here.

use std::rc::Rc;

use quorate_core::member::Name;
use quorate_core::mutant::Mutant;
use quorate_storage::disk::simulated::Random;

use super::World;
use super::applied::Applied;
use super::clock::{Clock, TRUE_RATE};
use super::disk::Pace;
use super::load::Load;
use super::mutant::GroupMutant;
use super::network::{Mood, Quality};
use super::plan::Plan;
use super::route::{Odds, Route};
use super::schedule::{Event, MICROS, MILLIS, Nanos};
use super::setup::Setup;
use super::subscriber::Subscriber;
use crate::history::Violation;
use crate::leak::Leak;
use crate::record::plan::Planned;
use crate::record::{Role, Shared};
use crate::scenario::fault::Trigger;
use crate::scenario::model::{NetworkModel, Node, Scenario, Sizes};
use crate::scenario::script::Script;

/// A connection of QUIC that hears nothing for so long is given up.
const IDLE_TIMEOUT: Nanos = 1_000 * MILLIS;
const IDLE_TIMEOUT_TINY: Nanos = 250 * MILLIS;
/// A node's loop takes up to so long to get to what has come in.
const LOOP_DELAY: Nanos = 5 * MICROS;
/// Nodes start within so long of each other.
pub(crate) const START_SPREAD: Nanos = 2 * MILLIS;

/// A scenario that is being run.
pub(super) struct Play {
    pub(super) scenario: Rc<Scenario>,
    pub(super) record: Shared,
    pub(super) script: Script,
    pub(super) applied: Vec<Applied>,
    pub(super) load: Load,
    /// Who led last.
    pub(super) last_leader: usize,
}

/// Runs a scenario to its end, and tells the record what happens.
///
/// - `planned`: the faults and arrivals of a run that is to be repeated
///
/// # Errors
///
/// [`Violation`]: the first promise that was broken. The record knows of it, too.
pub fn play(
    scenario: &Scenario,
    seed: u64,
    planned: Option<&[Planned]>,
    record: &Shared,
) -> Result<(), Violation> {
    let mutant = scenario.mutant.as_deref().and_then(mutant_of);
    let plan = Plan::of_scenario(scenario, seed);
    let mut world = World::new(seed, plan, mutant.map(GroupMutant::Core), false);
    world.subscribers = Subscriber::of_scenario(scenario);
    let scenario = Rc::new(scenario.clone());
    let names: Vec<String> = scenario.nodes.iter().map(|node| node.name.clone()).collect();
    world.play = Some(Play {
        load: Load::new(&scenario, seed),
        script: Script::new(Rc::clone(&scenario), planned),
        scenario,
        record: Rc::clone(record),
        applied: Vec::new(),
        last_leader: 0,
    });
    let ended = world.perform(planned).map_err(|violation| named(violation, &names));
    if let Err(violation) = &ended {
        record.borrow_mut().violation(world.now, violation);
    }
    ended
}

/// What an invariant says of nodes by their places, with their names.
fn named(violation: Violation, names: &[String]) -> Violation {
    let mut story = violation.story;
    for (place, name) in names.iter().enumerate() {
        for before in ["node", "leader"] {
            for after in [' ', ',', ':', ';', '\n'] {
                story = story.replace(
                    &format!("{before} {place}{after}"),
                    &format!("{before} {name}{after}"),
                );
            }
        }
        story = story.replace(&format!("NodeId({})", place + 1), name);
    }
    Violation { story, ..violation }
}

/// A deliberate mistake in the core, by its name.
#[must_use]
pub fn mutant_of(name: &str) -> Option<Mutant> {
    Mutant::ALL.into_iter().find(|mutant| format!("{mutant:?}") == name)
}

impl Plan {
    /// The world of a scenario: nothing goes wrong in it by itself.
    pub(super) fn of_scenario(scenario: &Scenario, seed: u64) -> Self {
        let nodes = scenario.nodes.len();
        let is_tiny = scenario.run.sizes == Sizes::Tiny;
        let mut random = Random::stream(seed, "scenario");
        let calm = Self::calm(nodes, &mut random);
        let mood = match scenario.run.network {
            NetworkModel::Streams => Mood::Streams,
            NetworkModel::Packets => Mood::Packets,
        };
        let idle_timeout = if is_tiny { IDLE_TIMEOUT_TINY } else { IDLE_TIMEOUT };
        let quality = Quality { mood, idle_timeout, ..calm.quality };
        Self {
            chaos: scenario.run.virtual_time,
            setup: Rc::new(setup(scenario)),
            clients: 0,
            quality,
            routes: Some(routes(scenario, seed)),
            paces: scenario.nodes.iter().map(|node| pace(scenario, node.disk)).collect(),
            clocks: scenario.nodes.iter().map(|node| clock(scenario, node)).collect(),
            loop_delay: LOOP_DELAY,
            loss_in_recovery: 0,
            transfer: 0,
            lost_answer: 0,
            leader_stays: None,
            ..calm
        }
    }
}

fn setup(scenario: &Scenario) -> Setup {
    let name = |text: &str| Name::new(text).expect("the loader has looked at it");
    let zone = |zone: usize| name(&scenario.zones[zone]);
    let members = scenario.nodes.iter().map(|node| (name(&node.name), zone(node.zone))).collect();
    let leader_zones = scenario.group.leader_zones.iter().map(|it| zone(*it)).collect();
    match scenario.run.sizes {
        Sizes::Production => Setup::production(members, leader_zones),
        Sizes::Tiny => {
            let tiny = Setup::tiny(scenario.nodes.len(), 0);
            Setup { members, leader_zones, ..tiny }
        }
    }
}

fn routes(scenario: &Scenario, seed: u64) -> Vec<Route> {
    let nodes = &scenario.nodes;
    let mut routes = Vec::new();
    for (from, one) in nodes.iter().enumerate() {
        for (to, other) in nodes.iter().enumerate() {
            let link = scenario.link(one.zone, other.zone);
            let place = (from * nodes.len() + to) as u64;
            let random = Random::stream(seed ^ (place << 32), "route");
            let mut route = Route::new(link.rtt.scaled(1, 2), random);
            route.odds = Odds {
                loss: link.loss,
                doubled: link.duplicate,
                reordered: link.reorder,
                ..Odds::NONE
            };
            route.bandwidth = link.bandwidth;
            routes.push(route);
        }
    }
    routes
}

pub(crate) fn pace(scenario: &Scenario, disk: usize) -> Pace {
    let model = &scenario.disks[disk];
    Pace::modelled(model.write.clone(), model.fsync.clone())
}

pub(crate) fn clock(scenario: &Scenario, node: &Node) -> Clock {
    let leak = scenario.mutant.as_deref().and_then(Leak::of);
    let drift_ppm = node.clock_drift_ppm + leak.map_or(0, Leak::drift_ppm);
    let rate = TRUE_RATE.saturating_add_signed(drift_ppm);
    let mut clock = Clock::new(rate);
    clock.jump(node.clock_offset / 100);
    clock
}

impl World {
    /// Lets a scenario happen, and then compares everything.
    fn perform(&mut self, planned: Option<&[Planned]>) -> Result<(), Violation> {
        self.is_chaos = false;
        for node in 0..self.nodes.len() {
            let at = self.schedule.below(START_SPREAD);
            self.queue.push(at, Event::Start { node });
        }
        for subscriber in 0..self.subscribers.len() {
            self.queue.push(0, Event::Subscriber { subscriber });
        }
        let play = self.play.as_mut().expect("a scenario is being run");
        for (at, cue) in play.script.cues(planned) {
            self.queue.push(at, cue.into());
        }
        if planned.is_none() {
            for (stream, at) in play.load.first_dues() {
                self.queue.push(at, Event::Due { stream });
            }
        }
        let (healed_at, end) = (play.scenario.healed_at(), play.scenario.run.virtual_time);
        self.pass_until(healed_at)?;
        if healed_at < end {
            self.heal_applied();
            self.pass_until(end)?;
        }
        self.tell(|record, _| record.over());
        if let Some(play) = &mut self.play {
            play.script.end();
        }
        self.heal_and_judge()
    }

    /// Tells the record something, where there is one.
    pub(super) fn tell(&self, what: impl FnOnce(&mut crate::record::Recorder, Nanos)) {
        if let Some(play) = &self.play {
            what(&mut play.record.borrow_mut(), self.now);
        }
    }

    /// Something has happened that a fault may wait for.
    pub(super) fn happened(&mut self, trigger: Trigger) {
        let Some(play) = &mut self.play else { return };
        for (fault, after) in play.script.happened(trigger) {
            self.queue.push(self.now + after, Event::Fault { fault });
        }
    }

    /// Tells the record what has changed of a node.
    pub(super) fn tell_of(&mut self, node: usize) {
        if self.play.is_none() {
            return;
        }
        let serving = self.leader().map(|(leader, _)| leader);
        let state = &self.nodes[node];
        let view = self.ghost.nodes[node].view;
        let (running, paused) = (state.engine.is_some(), state.paused_until > self.now);
        let play = self.play.as_mut().expect("there is one");
        let (record, at) = (&mut play.record.borrow_mut(), self.now);
        let role = match view {
            _ if !running && record.is_halted(node) => Role::Halted,
            _ if !running => Role::Down,
            _ if paused => Role::Paused,
            None => Role::Starting,
            Some(view) => match view.role {
                super::ghost::Role::Leader if view.is_ready => Role::Leader,
                super::ghost::Role::Leader | super::ghost::Role::Candidate => Role::Candidate,
                super::ghost::Role::Follower => Role::Follower,
            },
        };
        play.last_leader = serving.unwrap_or(play.last_leader);
        record.see(at, node, role, view.map(|view| view.progress()));
        record.serving(at, serving);
    }
}
