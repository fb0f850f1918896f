//! Recordings of several nodes as one run, for the report.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use quorate_core::RoleView;
use quorate_core::id::{NodeId, RequestId};
use quorate_node::recorder::segment::{Member, Origin};
use serde_json::{Value, json};

use super::align::{self, Place};
use super::story::{Life, Storyteller, Told};
use super::summary::{self, Measured};
use super::{Replayed, replay};
use crate::group::telling;
use crate::record::hash::TraceHash;
use crate::record::{Outcome, SCHEMA};

/// A node whose recording ends so long before the last was down meanwhile.
const DOWN_NANOS: i64 = 200_000_000;
/// A sending so shortly before the end of the receiver's recording may have arrived behind it.
const UNDER_WAY_NANOS: i64 = 50_000_000;

/// Goes through recordings again, and writes `trace.jsonl` and `summary.json` of all of them.
///
/// - returns what each replay came to
///
/// # Errors
///
/// In words: what can't be read or written, or does not belong together.
pub fn merge(folders: &[PathBuf], out: &Path) -> Result<Vec<Replayed>, String> {
    let started = Instant::now();
    let mut lives: Vec<Life> = Vec::new();
    let mut replayed = Vec::new();
    for folder in folders {
        let mut teller = Storyteller::default();
        let done = replay(folder, None, &mut teller).map_err(|error| error.to_string())?;
        replayed.push(done);
        lives.extend(teller.lives);
    }
    let first = &lives.first().ok_or("the recordings tell nothing")?.origin;
    let same = |life: &Life| life.origin.log == first.log;
    if !lives.iter().all(same) {
        return Err("these are recordings of different groups".to_owned());
    }
    let merged = Merged::new(lives);
    let failed = |error: io::Error| format!("can't write to {}: {error}", out.display());
    fs::create_dir_all(out).map_err(failed)?;
    let (hash, measured) = merged.write_trace(&out.join("trace.jsonl")).map_err(failed)?;
    let command: Vec<String> = folders.iter().map(|it| it.display().to_string()).collect();
    let command = format!("quorate-sim replay {} --report {}", command.join(" "), out.display());
    let wall_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let summary = summary::of(&measured, &replayed, &hash, wall_ms, command);
    let text = serde_json::to_string_pretty(&summary).expect("it is plain data");
    fs::write(out.join("summary.json"), text).map_err(failed)?;
    Ok(replayed)
}

/// What a line of the trace is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Item {
    /// An event of a life.
    Event(Place),
    /// This sending was received by nobody.
    Lost(Place),
    /// A life ends.
    Down(usize),
}

/// All lives on one axis.
struct Merged {
    lives: Vec<Life>,
    members: Vec<Member>,
    sendings: HashMap<Place, Place>,
    /// Nanoseconds since the first event of all, in order.
    items: Vec<(i64, Item)>,
}

impl Merged {
    fn new(lives: Vec<Life>) -> Self {
        let sendings = align::matches(&lives);
        let shifts = align::shifts(&lives, &sendings);
        let members = lives[0].origin.members.clone();
        let mut merged = Self { lives, members, sendings, items: Vec::new() };
        merged.place(&shifts);
        merged
    }

    /// Puts all events into one order, in which each receipt is behind its sending.
    fn place(&mut self, shifts: &[i64]) {
        let at = |(life, event): Place| self.lives[life].time(event) + shifts[life];
        let zero = (0..self.lives.len())
            .filter(|life| !self.lives[*life].events.is_empty())
            .map(|life| at((life, 0)))
            .min()
            .unwrap_or(0);
        let mut order: Vec<(i64, Place)> = Vec::new();
        for (life, it) in self.lives.iter().enumerate() {
            order.extend(
                (0..it.events.len()).map(|event| (at((life, event)) - zero, (life, event))),
            );
        }
        order.sort_unstable();
        let mut times: Vec<Vec<i64>> =
            self.lives.iter().map(|life| vec![0; life.events.len()]).collect();
        let mut latest = vec![0_i64; self.lives.len()];
        // A second time, because what is put off may put off what was looked at before it.
        for _ in 0..2 {
            latest.fill(0);
            for (time, (life, event)) in &order {
                let caused = self.sendings.get(&(*life, *event)).map_or(0, |sending| {
                    let known = times[sending.0][sending.1];
                    known.max(at(*sending) - zero) + 1
                });
                let time = (*time).max(latest[*life]).max(caused);
                latest[*life] = time;
                times[*life][*event] = time;
            }
        }
        self.items = order
            .iter()
            .map(|(_, (life, event))| (times[*life][*event], Item::Event((*life, *event))))
            .collect();
        self.add_losses(&times, &latest);
        self.add_ends(&latest);
        // What happens within one turn of a node has one time, and stays in its order.
        self.items.sort_by_key(|(time, _)| *time);
    }

    /// Sendings that the receiver would have received while it was recorded.
    fn add_losses(&mut self, times: &[Vec<i64>], latest: &[i64]) {
        let received: std::collections::HashSet<Place> = self.sendings.values().copied().collect();
        let mut losses = Vec::new();
        for (number, life) in self.lives.iter().enumerate() {
            for (event, (_, told)) in life.events.iter().enumerate() {
                let Told::Send { to, .. } = told else { continue };
                let time = times[number][event];
                let is_recorded = |(other, it): (usize, &Life)| {
                    let from = times[other].first().copied().unwrap_or(i64::MAX);
                    it.origin.node == *to && from <= time && time + UNDER_WAY_NANOS <= latest[other]
                };
                if !received.contains(&(number, event))
                    && self.lives.iter().enumerate().any(is_recorded)
                {
                    losses.push((time, Item::Lost((number, event))));
                }
            }
        }
        self.items.extend(losses);
    }

    /// Lives that end before another begins, or before the others.
    fn add_ends(&mut self, latest: &[i64]) {
        let end = latest.iter().max().copied().unwrap_or(0);
        for (number, life) in self.lives.iter().enumerate() {
            let again =
                self.lives[number + 1..].iter().any(|it| it.origin.node == life.origin.node);
            if again || latest[number] + DOWN_NANOS < end {
                self.items.push((latest[number], Item::Down(number)));
            }
        }
    }

    fn name(&self, node: NodeId) -> &str {
        let member = self.members.iter().find(|member| member.node == node);
        member.map_or("?", |member| &*member.name)
    }

    fn lanes(&self) -> Vec<Value> {
        let node = |it: &Member| json!({"name": it.name, "kind": "node", "zone": it.zone});
        let recorded = |it: &&Member| self.lives.iter().any(|life| life.origin.node == it.node);
        let clients = self
            .members
            .iter()
            .filter(recorded)
            .map(|it| json!({"name": clients_of(&it.name), "kind": "client", "zone": it.zone}));
        self.members.iter().map(node).chain(clients).collect()
    }

    fn write_trace(&self, path: &Path) -> io::Result<(String, Measured)> {
        let span = self.items.last().map_or(0, |(time, _)| time.cast_unsigned());
        let mut writer = TraceWriter {
            merged: self,
            file: BufWriter::new(File::create(path)?),
            hash: TraceHash::default(),
            messages: HashMap::new(),
            calls: BTreeMap::new(),
            measured: Measured::new(span, self.members.clone()),
        };
        let header = json!({
            "schema": SCHEMA, "name": "recording", "seed": 0, "tier": "recorded", "resolution_ns": 1,
            "duration_ns": span, "lanes": self.lanes(),
        });
        writeln!(writer.file, "{header}")?;
        for (time, item) in &self.items {
            writer.item(time.cast_unsigned(), *item)?;
        }
        writer.file.flush()?;
        Ok((writer.hash.text(), writer.measured))
    }
}

/// The lane of all that a node's clients do.
fn clients_of(name: &str) -> String {
    format!("clients of {name}")
}

struct TraceWriter<'a> {
    merged: &'a Merged,
    file: BufWriter<File>,
    hash: TraceHash,
    /// Numbers of sendings.
    messages: HashMap<Place, u64>,
    /// Numbers of calls, and when they came.
    calls: BTreeMap<(usize, RequestId), (u64, u64)>,
    measured: Measured,
}

impl TraceWriter<'_> {
    fn line(&mut self, line: &Value) -> io::Result<()> {
        let line = line.to_string();
        self.hash.add(line.as_bytes());
        writeln!(self.file, "{line}")
    }

    fn item(&mut self, t: u64, item: Item) -> io::Result<()> {
        match item {
            Item::Event(place) => {
                let life = &self.merged.lives[place.0];
                self.event(t, place, &life.origin, &life.events[place.1].1)
            }
            Item::Lost(place) => {
                let Told::Send { to, .. } = self.merged.lives[place.0].events[place.1].1 else {
                    unreachable!("only sendings are lost")
                };
                let (l, m) = (self.merged.name(to), self.messages.get(&place));
                self.line(&json!({"t": t, "k": "drop", "l": l, "m": m, "why": "lost"}))
            }
            Item::Down(life) => {
                let node = self.merged.lives[life].origin.node;
                self.measured.role(t, node, None);
                let l = self.merged.name(node);
                self.line(&json!({"t": t, "k": "role", "l": l, "role": "down", "epoch": 0}))
            }
        }
    }

    fn event(&mut self, t: u64, place: Place, origin: &Origin, told: &Told) -> io::Result<()> {
        let l = self.merged.name(origin.node);
        match told {
            Told::Send { to, message, from_log } => {
                let m = self.messages.len() as u64 + 1;
                self.messages.insert(place, m);
                let (to, kind) = (self.merged.name(*to), telling::kind_of(message));
                let d = words_of(message, *from_log);
                self.line(&json!({
                    "t": t, "k": "send", "l": l, "to": to, "m": m, "kind": kind, "d": d,
                }))
            }
            Told::Receive { .. } => {
                let sending = self.merged.sendings.get(&place);
                // The sender was not recorded then.
                let Some(m) = sending.and_then(|it| self.messages.get(it)) else { return Ok(()) };
                self.line(&json!({"t": t, "k": "recv", "l": l, "m": m}))
            }
            Told::Role { role, epoch } => {
                self.measured.role(t, origin.node, Some(*role));
                let role = shown(*role);
                self.line(&json!({"t": t, "k": "role", "l": l, "role": role, "epoch": epoch}))
            }
            Told::Durable(i) => self.line(&json!({"t": t, "k": "durable", "l": l, "i": i.get()})),
            Told::Commit(i) => self.line(&json!({"t": t, "k": "commit", "l": l, "i": i.get()})),
            Told::Truncate(i) => self.line(&json!({"t": t, "k": "truncate", "l": l, "i": i.get()})),
            Told::Note(d) => self.line(&json!({"t": t, "k": "note", "l": l, "d": d})),
            Told::Call { request, deed, words } => {
                let c = self.calls.len() as u64 + 1;
                self.calls.insert((place.0, *request), (c, t));
                let (l, op) = (clients_of(l), deed.name());
                self.line(&json!({"t": t, "k": "call", "l": l, "c": c, "op": op, "d": words}))
            }
            Told::Answer { request, outcome, words } => {
                let (c, called) = self.calls[&(place.0, *request)];
                self.measured.answer(called, t, *outcome);
                let (l, outcome) = (clients_of(l), Outcome::name(*outcome));
                self.line(&json!({
                    "t": t, "k": "answer", "l": l, "c": c, "outcome": outcome, "d": words,
                }))
            }
        }
    }
}

fn words_of(message: &quorate_core::message::Message, from_log: bool) -> String {
    match message {
        quorate_core::message::Message::Append { last, .. } if from_log => {
            format!("up to entry {last}, from the log")
        }
        other => telling::words(other),
    }
}

const fn shown(role: RoleView) -> &'static str {
    match role {
        RoleView::Follower => "follower",
        RoleView::PreCandidate | RoleView::Candidate => "candidate",
        RoleView::Elected | RoleView::Leader => "leader",
    }
}
