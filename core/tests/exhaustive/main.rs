//! Every history of a small group: all orders of messages and writes, all losses, crashes at any
//! moment. What is checked is the real [`Replica`], with disks and a network that can be hashed.
//!
//! - *Messages* are a set: what was once said can arrive now, later, twice or never.
//! - *Time* is abstracted away: a node that does not lead can run out of patience at any moment,
//!   whatever its timers say, and it is ticked until it does. Timers are no part of a state, for all
//!   that they decide is when; what can happen from a state does not depend on them, since no node
//!   is ticked otherwise: a node that follows a leader has always heard it just now.
//! - *Pre-votes* are asked and answered in one moment, and refused ones are not remembered.
//! - *Bounds* are on epochs, appends, crashes and heartbeats.
//! - *Nodes* to which nothing has happened yet are alike: it is the first of them to which something
//!   does. What can do nothing any more, or nothing now, is not delivered.
//!
//! - *What nobody acts on* makes no difference between states: what a follower says it knows to be
//!   committed, what a start would know to be committed once no crash is to come, and what a replica
//!   still holds on to until its next step.
//!
//! Where that is still too much, a *narrow* check goes further, and leaves out:
//!
//! - first elections other than the usual one, and two candidates of one epoch;
//! - messages that come twice, and acknowledgements and sessions that newer ones have overtaken;
//! - once no crash is to come, the time that a truncation takes.
//!
//! It also takes fewer ways to the same states. None of these is lost; why, is said where it is done:
//!
//! - a promise is on disk at once (`State::finish_promise`);
//! - a follower gives its leader up in the moment in which it elects another node (`lose_leader`);
//! - a crash keeps nothing of what is under way, as that can end just before (`Bounds::actions_of`).
//!
//! `BOUNDS="narrow,3,0,0,0 wide,2,0,1,0"` (epochs, appends, crashes, heartbeats) checks these
//! instead; `MUTANT=DropsSession` does so with that mistake, and `BREADTH=1` goes breadth first: that
//! tells how far a search has got which takes too long. `docs/simulation.md` has the counts.

mod act;
#[allow(dead_code, reason = "each test uses a part of the group")]
#[path = "../group/mod.rs"]
mod group;
#[allow(dead_code, reason = "each test uses a part of the shell")]
#[path = "../shell/mod.rs"]
mod shell;
mod space;
#[allow(dead_code, reason = "each test uses a part of the tape")]
#[path = "../tape/mod.rs"]
mod tape;

use std::collections::BTreeMap;
use std::sync::{Arc, Once};
use std::time::Duration;

use quorate_core::mutant::Mutant;
use space::{Action, Bounds, IS_STEPPING, State};
use stateright::report::{ReportData, ReportDiscovery, Reporter};
use stateright::{Checker, HasDiscoveries, Model};

/// What is checked where nothing else is asked for. Without optimization it takes ten times as long:
/// `cargo xtask ci` has a step that asks for the larger ones.
const SMALL: &str = "wide,1,1,0,0 wide,1,0,1,0 narrow,1,1,1,0";

/// Mistakes that this must find, and where: it proves nothing else.
const MISTAKES: [(Mutant, &str); 8] = [
    (Mutant::VotesTwice, "wide,1,0,0,0"),
    (Mutant::CommitsAlone, "wide,1,0,0,0"),
    (Mutant::AcksBeforeWrite, "wide,1,0,0,0"),
    (Mutant::ForgetsVote, "wide,1,0,1,0"),
    (Mutant::IgnoresLogs, "narrow,2,0,0,0"),
    (Mutant::SkipsTruncation, "narrow,2,0,0,0"),
    (Mutant::CommitsOldEpochs, "narrow,2,0,0,0"),
    (Mutant::CommitsUnmatched, "narrow,2,1,0,1"),
];

impl Bounds {
    /// As in `narrow,2,1,0,0`.
    fn parse(text: &str, mutant: Option<Mutant>) -> Self {
        let words: Vec<_> = text.split(',').collect();
        let [kind @ ("narrow" | "wide"), numbers @ ..] = &words[..] else { panic!("{text}") };
        let numbers: Vec<u64> = numbers.iter().map(|it| it.parse().expect("a number")).collect();
        let [epochs, appends, crashes, beats] = numbers[..] else { panic!("four bounds: {text}") };
        let (narrow, known) = (*kind == "narrow", Arc::default());
        Self { nodes: 3, epochs, appends, crashes, beats, narrow, mutant, known }
    }

    /// Goes through all there is. Gives what was found: a broken rule with the way to it, or all
    /// that must happen sometimes.
    fn check(self, name: &str) -> BTreeMap<&'static str, String> {
        // A failed assertion is told once, with the way to it.
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let default = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                if !IS_STEPPING.get() {
                    default(panic);
                }
            }));
        });
        let failure = HasDiscoveries::AnyFailures;
        let checker = self.checker().threads(1).finish_when(failure);
        // It takes far more memory.
        if std::env::var_os("BREADTH").is_some() {
            return conclude(checker.spawn_bfs(), name);
        }
        conclude(checker.spawn_dfs(), name)
    }
}

/// Waits for the end of a search. Gives what was found.
fn conclude(search: impl Checker<Bounds>, name: &str) -> BTreeMap<&'static str, String> {
    let checker = search.report(&mut Progress { name, reports: 0 });
    let (states, steps) = (checker.unique_state_count(), checker.state_count());
    let depth = checker.max_depth();
    println!("{name}: {states} states, {steps} steps, {depth} deep");
    checker.discoveries().into_iter().map(|(name, path)| (name, tell(path.into_vec()))).collect()
}

/// Tells once a minute how far a search is.
struct Progress<'a> {
    name: &'a str,
    reports: u32,
}

impl Reporter<Bounds> for Progress<'_> {
    fn report_checking(&mut self, data: ReportData) {
        self.reports += 1;
        if self.reports.is_multiple_of(600) {
            let ReportData { total_states, unique_states, max_depth, duration, .. } = data;
            let (name, seconds) = (self.name, duration.as_secs());
            println!(
                "{name}: so far {unique_states} states, {total_states} steps, {max_depth} deep, \
                 {seconds} s"
            );
        }
    }

    fn report_discoveries(
        &mut self,
        _: &Bounds,
        _: BTreeMap<&'static str, ReportDiscovery<Bounds>>,
    ) {
    }

    fn delay(&self) -> Duration {
        Duration::from_millis(100)
    }
}

/// A way in words.
fn tell(path: Vec<(State, Option<Action>)>) -> String {
    let line = |(state, action): (State, Option<Action>)| match action {
        Some(Action::Deliver(key)) => format!("    {:?}\n", state.said[&key]),
        action => format!("    {action:?} {}\n", state.broken.unwrap_or_default()),
    };
    path.into_iter().map(line).collect()
}

#[test]
fn every_history_of_a_small_group_is_safe() {
    let wanted = std::env::var("BOUNDS").unwrap_or_else(|_| SMALL.to_owned());
    let mutant = std::env::var("MUTANT").ok().map(|name| {
        let mut known = Mutant::ALL.into_iter();
        known.find(|it| format!("{it:?}") == name).expect("a mistake that there is")
    });
    for text in wanted.split_whitespace() {
        let bounds = Bounds::parse(text, mutant);
        let found = bounds.clone().check(text);
        let broken = found.get("no assertion fails");
        assert!(broken.is_none(), "{text}:\n{}", broken.unwrap());
        for property in bounds.properties() {
            let is_found = found.contains_key(property.name);
            assert!(is_found || property.name == "no assertion fails", "never: {}", property.name);
        }
    }
}

#[test]
fn mistakes_are_found() {
    let takes_long = |text: &str| text.starts_with("narrow");
    let asked = std::env::var_os("BOUNDS").is_some();
    for (mutant, text) in MISTAKES.into_iter().filter(|(_, text)| asked || !takes_long(text)) {
        let found = Bounds::parse(text, Some(mutant)).check(&format!("{mutant:?} in {text}"));
        let way = found.get("no assertion fails").expect("the mistake is found");
        println!("{}", way.lines().last().unwrap());
    }
}
