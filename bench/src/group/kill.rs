//! `kill -9` for the leader, again and again, and how long nothing goes on.

use std::cell::Cell;
use std::error::Error;
use std::rc::Rc;
use std::time::{Duration, Instant};

use quorate_client::Client;
use serde::Serialize;
use tokio::task::LocalSet;

use super::nodes::Nodes;
use super::report::{Mark, Report};
use super::runs::median;
use super::{Common, Group};
use crate::append::{Events, Load, connect};
use crate::machine::Machine;
use crate::report::one_digit;
use crate::steal::{NOISY_PERCENT, Steal};

const PAUSE_MS_MAX: f64 = 500.0;
/// How long to watch after a kill, and at most where nothing goes on at all.
const WATCH_MIN: Duration = Duration::from_secs(2);
const WATCH_MAX: Duration = Duration::from_secs(30);
/// The whole group runs so long before the next kill.
const SETTLE: Duration = Duration::from_secs(1);
const LOOK: Duration = Duration::from_millis(20);

/// One kill and what came of it.
#[derive(Clone, Debug, Serialize)]
struct Kill {
    /// Whether it counts.
    valid: bool,
    leader: String,
    next_leader: String,
    /// The longest time without a successful append, from the last before the kill on.
    #[serde(serialize_with = "one_digit")]
    pause_ms: f64,
    /// The same while the killed node came back.
    #[serde(serialize_with = "one_digit")]
    pause_of_return_ms: f64,
    #[serde(serialize_with = "one_digit")]
    steal_percent: f64,
}

#[derive(Debug, Serialize)]
struct Kills {
    appends: u64,
    errors: u64,
    kills: Vec<Kill>,
}

/// Successful appends of all slots, and the longest time between two.
struct Beats {
    last: Cell<Instant>,
    longest: Cell<Duration>,
    appends: Cell<u64>,
    errors: Cell<u64>,
    stop: Cell<bool>,
}

impl Beats {
    fn new() -> Self {
        Self {
            last: Cell::new(Instant::now()),
            longest: Cell::default(),
            appends: Cell::default(),
            errors: Cell::default(),
            stop: Cell::default(),
        }
    }

    fn beat(&self, now: Instant) {
        self.appends.set(self.appends.get() + 1);
        self.longest.set(self.longest.get().max(now - self.last.replace(now)));
    }

    /// From now on; the time since the last success counts.
    fn watch(&self) {
        self.longest.set(Duration::ZERO);
    }

    /// The longest time so far, the one that goes on included.
    fn longest(&self, now: Instant) -> Duration {
        self.longest.get().max(now - self.last.get())
    }
}

/// Kills until enough count.
pub(super) async fn run(
    mut common: Common,
    machine: Machine,
    count: u32,
) -> Result<(), Box<dyn Error>> {
    common.load = common.load.or(4, 4, None);
    let mut group = Group::find(&common)?;
    let nodes = group.own()?;
    nodes.ready().await?;
    let mut clients = Vec::new();
    for _ in 0..common.load.connections() {
        clients.push(connect(&nodes.node()).await?);
    }
    let beats = Rc::new(Beats::new());
    let slots = LocalSet::new();
    load(&slots, &clients, &common.load, &beats);
    let kills = slots.run_until(kill_all(nodes, &beats, count)).await;
    beats.stop.set(true);
    slots.await;
    for client in clients {
        client.close().await;
    }
    let kills = kills?;
    group.end()?;
    let found = Kills { appends: beats.appends.get(), errors: beats.errors.get(), kills };
    let pauses: Vec<f64> = valid(&found.kills).map(|kill| kill.pause_ms).collect();
    let longest = pauses.iter().copied().reduce(f64::max);
    let mut report = Report::new("kill", &common, machine, found);
    report.marks = vec![Mark::at_most("longest pause in ms", PAUSE_MS_MAX, longest)];
    Ok(report.print(&common, |found| print(found, &pauses))?)
}

fn valid(kills: &[Kill]) -> impl Iterator<Item = &Kill> {
    kills.iter().filter(|kill| kill.valid)
}

fn print(found: &Kills, pauses: &[f64]) {
    for (number, kill) in (1..).zip(&found.kills) {
        println!("kill {number:<3}{}", kill.line());
    }
    let short = pauses.iter().filter(|pause| **pause < PAUSE_MS_MAX).count();
    let [middle, most] = [median(pauses.to_vec()), pauses.iter().copied().reduce(f64::max)]
        .map(Option::unwrap_or_default);
    println!("valid   {} of {} kills; void above 3 % steal", pauses.len(), found.kills.len());
    println!(
        "pause   median {middle:.0}, longest {most:.0} ms; {short} below {PAUSE_MS_MAX:.0} ms"
    );
    println!("appends {} succeeded, {} failed", found.appends, found.errors);
}

impl Kill {
    fn line(&self) -> String {
        let Self { leader, next_leader, pause_ms, pause_of_return_ms, steal_percent, valid } = self;
        let void = if *valid { "" } else { ": VOID" };
        format!(
            "{leader} killed, {next_leader} leads: pause {pause_ms:.0} ms; when {leader} came back \
             {pause_of_return_ms:.0} ms; steal {steal_percent:.1} %{void}"
        )
    }
}

fn load(slots: &LocalSet, clients: &[Client], load: &Load, beats: &Rc<Beats>) {
    let events = Rc::new(Events::new(load));
    for client in clients {
        for _ in 0..load.in_flight() {
            let (client, events, beats) = (client.clone(), Rc::clone(&events), Rc::clone(beats));
            slots.spawn_local(async move {
                while !beats.stop.get() {
                    match events.append(&client).await {
                        Ok(_) => beats.beat(Instant::now()),
                        Err(error) => {
                            eprintln!("an append failed: {error}");
                            beats.errors.set(beats.errors.get() + 1);
                            // A client that fails at once would take the processor from the nodes.
                            tokio::time::sleep(LOOK).await;
                        }
                    }
                }
            });
        }
    }
}

async fn kill_all(
    nodes: &mut Nodes,
    beats: &Beats,
    count: u32,
) -> Result<Vec<Kill>, Box<dyn Error>> {
    let mut kills = Vec::new();
    while valid(&kills).count() < count as usize && kills.len() < 2 * count as usize {
        let kill = kill_once(nodes, beats).await?;
        eprintln!("kill {}: {}", kills.len() + 1, kill.line());
        kills.push(kill);
    }
    Ok(kills)
}

async fn kill_once(nodes: &mut Nodes, beats: &Beats) -> Result<Kill, Box<dyn Error>> {
    tokio::time::sleep(SETTLE).await;
    let leader = nodes.ready().await?.replication.name;
    let steal = Steal::start()?;
    beats.watch();
    let (start, before) = (Instant::now(), beats.appends.get());
    nodes.kill(&leader)?;
    // What was under way may still be answered from this side's sockets: one more is not enough.
    while start.elapsed() < WATCH_MIN || beats.appends.get() < before + 1000 {
        if start.elapsed() > WATCH_MAX {
            break;
        }
        tokio::time::sleep(LOOK).await;
    }
    let pause = beats.longest(Instant::now());
    let steal_percent = steal.percent()?;
    beats.watch();
    nodes.restart(&leader)?;
    let next_leader = nodes.ready().await?.replication.name;
    let pause_of_return = beats.longest(Instant::now());
    Ok(Kill {
        valid: steal_percent <= NOISY_PERCENT,
        leader,
        next_leader,
        pause_ms: pause.as_secs_f64() * 1000.0,
        pause_of_return_ms: pause_of_return.as_secs_f64() * 1000.0,
        steal_percent,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_begins_before_the_kill_and_may_still_go_on() {
        let beats = Beats::new();
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        beats.last.set(start);
        beats.beat(at(900));
        beats.watch();
        beats.beat(at(1300));
        beats.beat(at(1310));
        assert_eq!(beats.longest(at(1311)), Duration::from_millis(400));
        assert_eq!(beats.longest(at(2310)), Duration::from_millis(1000));
    }
}
