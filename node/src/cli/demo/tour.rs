//! `quorate demo --tour`: the leader is killed under load, and nothing that was acknowledged is lost.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use indicatif::HumanCount;
use quorate_client::{Client, EventData, MemberProgress, NodeStatus, Outcome, ReadOptions};
use quorate_core::id::{EventId, Position};
use quorate_core::request::Expected;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::group::DemoGroup;
use crate::cli::connection;
use crate::cli::failure::Failure;
use crate::cli::output::{Output, tell};

/// Appends that are under way at once.
const WRITERS: usize = 8;
/// How long the load runs before the leader is killed, and after there is another.
const LOAD_FOR: Duration = Duration::from_secs(2);

/// What the writers were told.
#[derive(Default)]
struct Told {
    acknowledged: HashMap<EventId, Position>,
    unknown: u64,
    /// The longest time between two acknowledgements that any writer got.
    pause: Duration,
}

/// What the tour has shown.
struct Shown {
    killed: String,
    leader: String,
    epochs: (u64, u64),
    acknowledged: u64,
    unknown: u64,
    pause: Duration,
    caught_up: Duration,
}

/// Kills the leader under load, brings it back, and compares what was acknowledged with what is
/// there.
///
/// # Errors
///
/// Where anything that was acknowledged is not there, once, where it was said to be.
pub(super) async fn run(
    group: &mut DemoGroup,
    client: &Client,
    output: &mut Output,
) -> Result<(), Failure> {
    let (stop, stopped) = watch::channel(false);
    let writers = start_writers(client, &stopped);
    sleep(LOAD_FOR).await;
    let before = group.wait_until(client, |status| status.replication.leader.is_some()).await?;
    let (place, killed) = leader_of(&before)?;
    tell(format_args!(
        "\n{WRITERS} writers append without pause; now {killed}, which leads, is killed with SIGKILL …"
    ));
    group.kill(place)?;
    let after = wait_for_other(client, before.epoch).await?;
    let (_, leader) = leader_of(&after)?;
    tell(format_args!("{leader} leads now, in epoch {}; the load goes on …", after.epoch));
    sleep(LOAD_FOR).await;
    tell(format_args!("{killed} is started again …"));
    let restarted = Instant::now();
    group.restart(place)?;
    group.wait_until(client, all_are_there).await?;
    let caught_up = restarted.elapsed();
    stop.send_replace(true);
    let told = join(writers).await?;
    compare(client, &told).await?;
    let shown = Shown {
        killed,
        leader,
        epochs: (before.epoch, after.epoch),
        acknowledged: told.acknowledged.len() as u64,
        unknown: told.unknown,
        pause: told.pause,
        caught_up,
    };
    output.result(&text(&shown), &object(&shown));
    output.flush().await
}

fn start_writers(
    client: &Client,
    stopped: &watch::Receiver<bool>,
) -> JoinSet<Result<Told, Failure>> {
    let mut writers = JoinSet::new();
    for number in 0..WRITERS {
        let (client, stopped) = (client.clone(), stopped.clone());
        writers.spawn(async move { write(client, number, stopped).await });
    }
    writers
}

/// Appends one event after another, and keeps what it is told.
async fn write(
    client: Client,
    number: usize,
    stopped: watch::Receiver<bool>,
) -> Result<Told, Failure> {
    let stream = format!("tour-{number}");
    let mut told = Told::default();
    let mut last = Instant::now();
    while !*stopped.borrow() {
        let event = EventData::json("written", "{}");
        let id = event.id;
        match client.append(&stream, Expected::Any, &[event]).await {
            Ok(appended) => {
                told.acknowledged.insert(id, appended.position);
                told.pause = told.pause.max(last.elapsed());
                last = Instant::now();
            }
            Err(error) if error.outcome() == Outcome::Unknown => told.unknown += 1,
            Err(error) => return Err(connection::append_failure(error)),
        }
    }
    Ok(told)
}

async fn join(mut writers: JoinSet<Result<Told, Failure>>) -> Result<Told, Failure> {
    let mut all = Told::default();
    while let Some(told) = writers.join_next().await {
        let told = told.expect("a writer does not panic")?;
        all.acknowledged.extend(told.acknowledged);
        all.unknown += told.unknown;
        all.pause = all.pause.max(told.pause);
    }
    Ok(all)
}

async fn wait_for_other(client: &Client, epoch: u64) -> Result<NodeStatus, Failure> {
    loop {
        let status = connection::group_status(client).await?;
        if status.epoch > epoch && status.replication.leader.is_some() {
            return Ok(status);
        }
        sleep(Duration::from_millis(20)).await;
    }
}

fn all_are_there(status: &NodeStatus) -> bool {
    let group = &status.replication;
    let near = |it: MemberProgress| it.durable_index + 64 >= status.committed_index;
    group.leader == Some(status.node)
        && group.members.iter().all(|it| it.reachable && it.progress.is_some_and(near))
}

fn leader_of(status: &NodeStatus) -> Result<(usize, String), Failure> {
    let leader = status.replication.leader;
    let members = status.replication.members.iter();
    let found = members.enumerate().find(|(_, member)| Some(member.node) == leader);
    let (place, member) = found.ok_or_else(|| Failure::failed("nobody leads the group"))?;
    Ok((place, member.name.clone()))
}

/// Reads everything back: each acknowledged event must be there once, where it was said to be.
async fn compare(client: &Client, told: &Told) -> Result<(), Failure> {
    let mut missing = told.acknowledged.clone();
    let mut events = client.read_all(ReadOptions::default());
    while let Some(event) = events.next().await {
        let event = event.map_err(connection::read_failure)?.event;
        let Some(position) = told.acknowledged.get(&event.id()) else { continue };
        let first = missing.remove(&event.id()).is_some();
        if !first || *position != event.position() {
            let id = event.id();
            return Err(Failure::failed(format!("event {id} is there twice, or elsewhere")));
        }
    }
    if let Some((id, position)) = missing.iter().next() {
        let count = missing.len();
        return Err(Failure::failed(format!(
            "{count} acknowledged events are lost, such as {id} at {position}"
        )));
    }
    Ok(())
}

fn text(shown: &Shown) -> String {
    let Shown { killed, leader, epochs, acknowledged, unknown, pause, caught_up } = shown;
    format!(
        "
{killed} was killed under load; {leader} took over (epoch {} after {}).
Longest pause without a successful append, for any of the {WRITERS} writers: {} ms
{killed} came back and had everything again after {:.1} s.
{} appends were acknowledged: each of them is there once, where it was said to be. {} ended unknown.",
        epochs.1,
        epochs.0,
        pause.as_millis(),
        caught_up.as_secs_f64(),
        HumanCount(*acknowledged),
        HumanCount(*unknown),
    )
}

fn object(shown: &Shown) -> Value {
    json!({
        "killed": shown.killed,
        "leader": shown.leader,
        "epoch_before": shown.epochs.0,
        "epoch_after": shown.epochs.1,
        "acknowledged": shown.acknowledged,
        "unknown": shown.unknown,
        "longest_pause_ms": u64::try_from(shown.pause.as_millis()).unwrap_or(u64::MAX),
        "caught_up_ms": u64::try_from(shown.caught_up.as_millis()).unwrap_or(u64::MAX),
        "lost": 0,
    })
}
