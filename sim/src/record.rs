//! What a run of a scenario leaves behind: its trace, what clients asked and heard, how long it
//! took, the plan of all that was done to it, and a summary.
//!
//! Both tiers tell a [`Recorder`] what happens, in the order of time. With a folder it is written
//! there as it comes, so that a run that ends in the middle leaves what it had; without one only
//! its figures and the hash of its trace are kept.

pub mod hash;
mod hlog;
pub mod measure;
mod node;
pub mod phases;
pub mod plan;
pub mod sink;
pub mod summary;
pub mod verdict;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::path::Path;
use std::rc::Rc;

use serde_json::{Value, json};

use self::hash::TraceHash;
use self::measure::{Answered, Bands, Residency, Serving};
pub use self::node::{Progress, Role};
use self::plan::Planned;
use self::sink::Sink;
use self::summary::Summary;
use crate::history::Violation;
use crate::scenario::check::Tier;
use crate::scenario::fault::Fault;
use crate::scenario::model::{Nanos, Scenario};
use crate::scenario::{story, write};

/// The version of the formats in a run's folder.
pub const SCHEMA: u64 = 1;

/// Is shown each line of a trace as it comes.
pub type LineShown = Box<dyn FnMut(&str)>;

/// A recorder that several parts of a world share.
pub type Shared = Rc<RefCell<Recorder>>;

/// What a client does, as a report sorts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Deed {
    /// A change of a stream.
    Append,
    /// A read.
    Read,
    /// A look for more events.
    Subscribe,
    /// A wish for another leader.
    Transfer,
}

impl Deed {
    /// Its name in a trace.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Append => "append",
            Self::Read => "read",
            Self::Subscribe => "subscribe",
            Self::Transfer => "transfer",
        }
    }
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// It was done.
    Done,
    /// It was not done, nor will it be.
    Refused,
    /// Nobody can say.
    Unknown,
}

impl Outcome {
    /// Its name in a trace.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Unknown => "unknown",
        }
    }
}

/// A call that has not ended.
#[derive(Clone, Copy, Debug)]
struct Open {
    deed: Deed,
    /// When it was due.
    due: Nanos,
}

/// Takes in what happens. Lanes are the nodes, and behind them the clients one by one.
pub struct Recorder {
    scenario: Scenario,
    seed: u64,
    tier: Tier,
    resolution: Nanos,
    lanes: Rc<[String]>,
    sink: Sink,
    hash: TraceHash,
    messages: u64,
    calls: u64,
    open: BTreeMap<u64, Open>,
    answered: Vec<Answered>,
    faults: Vec<AppliedFault>,
    serving: Serving,
    bands: Bands,
    elections: Vec<Nanos>,
    epoch_max: u64,
    halted: Vec<bool>,
    /// Damaged entries that nodes have written anew.
    mended: u64,
    /// Nodes that could not read all of their log in the end.
    unreadable: Vec<usize>,
    /// What each node was when it was last seen, so that only changes are told.
    seen: Vec<(Role, Progress)>,
    links: BTreeMap<(usize, usize), Vec<Nanos>>,
    violation: Option<(Nanos, Violation)>,
    now: Nanos,
    /// What happens after the run's own time is no part of its trace.
    is_over: bool,
    steps: Option<LineShown>,
    /// The last line. There are so many that none is made anew.
    line: String,
}

/// A fault as it was really applied.
#[derive(Clone, Debug, PartialEq)]
pub struct AppliedFault {
    /// With its targets as they were found, and the time at which it struck.
    pub fault: Fault,
    /// When it struck.
    pub at: Nanos,
    /// When it is to end by itself.
    pub until: Option<Nanos>,
    /// When it did end.
    pub ended: Option<Nanos>,
    /// In plain words.
    pub text: String,
}

impl Recorder {
    /// Begins the record of a run.
    ///
    /// - `resolution`: what the world's time is counted in
    /// - `sink`: where to write to
    #[must_use]
    pub fn new(scenario: &Scenario, seed: u64, tier: Tier, resolution: Nanos, sink: Sink) -> Self {
        let nodes = scenario.nodes.iter().map(|node| node.name.clone());
        let clients = scenario.client_names().into_iter().map(|(name, _)| name);
        let count = scenario.nodes.len();
        let mut recorder = Self {
            scenario: scenario.clone(),
            seed,
            tier,
            resolution,
            lanes: nodes.chain(clients).collect(),
            sink,
            hash: TraceHash::default(),
            messages: 0,
            calls: 0,
            open: BTreeMap::new(),
            answered: Vec::new(),
            faults: Vec::new(),
            serving: Serving::default(),
            bands: Bands::new(count),
            elections: Vec::new(),
            epoch_max: 0,
            halted: vec![false; count],
            mended: 0,
            unreadable: Vec::new(),
            seen: vec![(Role::Down, Progress::default()); count],
            links: BTreeMap::new(),
            violation: None,
            now: 0,
            is_over: false,
            steps: None,
            line: String::new(),
        };
        recorder.header();
        recorder
    }

    /// Shows each line of the trace as it comes, too.
    pub fn on_line(&mut self, show: LineShown) {
        self.steps = Some(show);
    }

    fn header(&mut self) {
        let zone = |zone: usize| self.scenario.zones[zone].as_str();
        let nodes = self
            .scenario
            .nodes
            .iter()
            .map(|node| json!({"name": node.name, "kind": "node", "zone": zone(node.zone)}));
        let clients = self.scenario.client_names().into_iter().map(|(name, kind)| {
            json!({"name": name, "kind": "client", "zone": zone(self.scenario.clients[kind].zone)})
        });
        let lanes: Vec<Value> = nodes.chain(clients).collect();
        let header = json!({
            "schema": SCHEMA,
            "name": self.scenario.name,
            "seed": self.seed,
            "tier": self.tier.name(),
            "resolution_ns": self.resolution,
            "duration_ns": self.scenario.run.virtual_time,
            "lanes": lanes,
        });
        self.sink.trace(&header.to_string());
        let mut plan = header;
        if let Value::Object(fields) = &mut plan {
            fields.remove("lanes");
        }
        self.sink.plan(&plan.to_string());
    }

    /// Whether details are worth making.
    #[must_use]
    pub fn wants_details(&self) -> bool {
        self.sink.is_there() || self.steps.is_some()
    }

    /// Adds a line: fields that two runs must have in common, and words for people.
    fn line(&mut self, at: Nanos, fields: std::fmt::Arguments<'_>, words: Option<String>) {
        self.now = self.now.max(at);
        if self.is_over {
            return;
        }
        let wants_details = self.wants_details();
        let line = &mut self.line;
        line.clear();
        let made = write!(line, "{{\"t\":{at},").and_then(|()| line.write_fmt(fields));
        made.expect("a string has room");
        self.hash.add(line.as_bytes());
        if !wants_details {
            return;
        }
        if let Some(words) = words.filter(|words| !words.is_empty()) {
            write!(line, ",\"d\":{}", Value::from(words)).expect("a string has room");
        }
        line.push('}');
        self.sink.trace(line);
        if let Some(show) = &mut self.steps {
            show(line);
        }
    }

    /// A message leaves; gives its number.
    ///
    /// - `call`: the call that it is about, between client and node
    pub fn send(
        &mut self,
        at: Nanos,
        (from, to): (usize, usize),
        kind: &str,
        call: Option<u64>,
        details: impl FnOnce() -> String,
    ) -> u64 {
        self.messages += 1;
        let (message, call) = (self.messages, show_call(call));
        let words = self.wants_details().then(details);
        let lanes = Rc::clone(&self.lanes);
        let (from, to) = (&lanes[from], &lanes[to]);
        self.line(
            at,
            format_args!(
                "\"k\":\"send\",\"l\":\"{from}\",\"to\":\"{to}\",\"m\":{message},\"kind\":\"{kind}\"{call}"
            ),
            words,
        );
        message
    }

    /// A message arrives.
    pub fn receive(&mut self, at: Nanos, lane: usize, message: u64) {
        let lane = &Rc::clone(&self.lanes)[lane];
        self.line(at, format_args!("\"k\":\"recv\",\"l\":\"{lane}\",\"m\":{message}"), None);
    }

    /// A message never arrives.
    pub fn lose(&mut self, at: Nanos, lane: usize, message: u64, why: &str) {
        let lane = &Rc::clone(&self.lanes)[lane];
        self.line(
            at,
            format_args!("\"k\":\"drop\",\"l\":\"{lane}\",\"m\":{message},\"why\":\"{why}\""),
            None,
        );
    }

    /// How long a message between these zones was under way.
    pub fn travelled(&mut self, zones: (usize, usize), nanos: Nanos) {
        let pair = (zones.0.min(zones.1), zones.0.max(zones.1));
        self.links.entry(pair).or_default().push(nanos);
    }

    /// Tells what has changed of a node; gives what it was before, where its role or epoch has.
    ///
    /// - `progress`: how far it is, where its process runs
    pub fn see(
        &mut self,
        at: Nanos,
        node: usize,
        role: Role,
        progress: Option<Progress>,
    ) -> Option<Role> {
        let (role_before, before) = self.seen[node];
        let now = progress.unwrap_or(before);
        self.seen[node] = (role, now);
        let is_other = (role, now.epoch) != (role_before, before.epoch);
        if is_other {
            self.role(at, node, role, now.epoch);
        }
        if now.durable > before.durable {
            self.place(at, node, "durable", now.durable);
        }
        if now.committed > before.committed {
            self.place(at, node, "commit", now.committed);
        }
        is_other.then_some(role_before)
    }

    /// A node is something else from now on.
    pub fn role(&mut self, at: Nanos, node: usize, role: Role, epoch: u64) {
        if !self.bands.change(at, node, role) && epoch <= self.epoch_max {
            return;
        }
        self.epoch_max = self.epoch_max.max(epoch);
        if role == Role::Leader && !self.is_over {
            self.elections.push(at);
        }
        let (lane, role) = (&Rc::clone(&self.lanes)[node], role.name());
        self.line(
            at,
            format_args!("\"k\":\"role\",\"l\":\"{lane}\",\"role\":\"{role}\",\"epoch\":{epoch}"),
            None,
        );
    }

    /// A node has stopped by itself, for good.
    pub fn halt(&mut self, at: Nanos, node: usize) {
        self.halted[node] = true;
        self.role(at, node, Role::Halted, 0);
    }

    /// A node has written a damaged entry anew, as another one has it.
    pub fn mended(&mut self, at: Nanos, node: usize, index: u64, from: usize) {
        self.mended += 1;
        let text = format!("entry {index} is mended, as {} has it", self.lanes[from]);
        self.note(at, Some(node), text);
    }

    /// A node can't read all of its log, though all is over.
    pub fn unreadable(&mut self, at: Nanos, node: usize, violation: &Violation) {
        self.unreadable.push(node);
        self.note(at, Some(node), format!("its log can't be read: {violation}"));
    }

    /// Whether a node has stopped by itself, for good.
    #[must_use]
    pub fn is_halted(&self, node: usize) -> bool {
        self.halted[node]
    }

    /// Whom a majority follows, if anybody.
    pub fn serving(&mut self, at: Nanos, leader: Option<usize>) {
        if !self.is_over {
            self.serving.change(at, leader);
        }
    }

    /// A node's entries behind this one are gone.
    pub fn truncate(&mut self, at: Nanos, node: usize, index: u64) {
        self.place(at, node, "truncate", index);
    }

    fn place(&mut self, at: Nanos, node: usize, kind: &str, index: u64) {
        let lane = &Rc::clone(&self.lanes)[node];
        self.line(at, format_args!("\"k\":\"{kind}\",\"l\":\"{lane}\",\"i\":{index}"), None);
    }

    /// A client wants something; gives the number of its call.
    ///
    /// - `client`: its lane
    /// - `due`: when it was to be sent
    pub fn call(
        &mut self,
        at: Nanos,
        client: usize,
        deed: Deed,
        due: Nanos,
        details: impl FnOnce() -> String,
    ) -> u64 {
        self.calls += 1;
        let call = self.calls;
        self.open.insert(call, Open { deed, due });
        let words = self.wants_details().then(details);
        let (lane, op) = (&Rc::clone(&self.lanes)[client], deed.name());
        let history = || json!({"t": at, "process": lane, "type": "invoke", "call": call, "f": op, "value": words});
        if self.sink.is_there() {
            self.sink.history(&history().to_string());
        }
        self.line(
            at,
            format_args!("\"k\":\"call\",\"l\":\"{lane}\",\"c\":{call},\"op\":\"{op}\""),
            words,
        );
        call
    }

    /// A call has ended.
    ///
    /// - `index`: which entry it is, where that is known
    pub fn answer(
        &mut self,
        at: Nanos,
        client: usize,
        call: u64,
        outcome: Outcome,
        index: Option<u64>,
        details: impl FnOnce() -> String,
    ) {
        let Some(Open { deed, due }) = self.open.remove(&call) else { return };
        if !self.is_over {
            self.answered.push(Answered { deed, due, at, outcome });
        }
        let words = self.wants_details().then(details);
        let (lane, name) = (&Rc::clone(&self.lanes)[client], outcome.name());
        if self.sink.is_there() {
            let kind = match outcome {
                Outcome::Done => "ok",
                Outcome::Refused => "fail",
                Outcome::Unknown => "info",
            };
            let line = json!({
                "t": at, "process": lane, "type": kind, "call": call, "f": deed.name(),
                "index": index, "value": words,
            });
            self.sink.history(&line.to_string());
        }
        let index = index.map(|index| format!(",\"i\":{index}")).unwrap_or_default();
        self.line(
            at,
            format_args!(
                "\"k\":\"answer\",\"l\":\"{lane}\",\"c\":{call},\"outcome\":\"{name}\"{index}"
            ),
            words,
        );
    }

    /// A fault strikes; gives its number. It names the nodes that it strikes.
    pub fn fault(&mut self, at: Nanos, fault: &Fault, until: Option<Nanos>) -> usize {
        let number = self.faults.len();
        let text = story::fault(&self.scenario, &fault.kind);
        let struck = plan::struck(&self.scenario, &fault.kind);
        let lanes: Vec<&str> = struck.iter().map(|lane| self.lanes[*lane].as_str()).collect();
        let fields = format!(
            "\"k\":\"fault\",\"f\":{number},\"kind\":\"{}\",\"lanes\":{},\"until\":{}",
            fault.kind.name().text(),
            Value::from(lanes),
            until.map_or(Value::Null, Value::from),
        );
        let planned = Planned::Fault { at, fault: fault.clone() };
        self.sink.plan(&plan::line(&self.scenario, &planned));
        self.line(at, format_args!("{fields}"), Some(text.clone()));
        self.bands.struck(at, number, &fault.kind, &struck);
        self.faults.push(AppliedFault { fault: fault.clone(), at, until, ended: None, text });
        number
    }

    /// A fault has ended.
    pub fn heal(&mut self, at: Nanos, fault: usize) {
        if self.faults[fault].ended.replace(at).is_some() {
            return;
        }
        self.bands.healed(at, fault);
        self.line(at, format_args!("\"k\":\"heal\",\"f\":{fault}"), None);
    }

    /// A client's operation is due: for the plan alone.
    pub fn arrival(&mut self, at: Nanos, client: usize, load: usize, number: u64) {
        if self.sink.is_there() && !self.is_over {
            let planned = Planned::Arrival { at, client, load, number };
            self.sink.plan(&plan::line(&self.scenario, &planned));
        }
    }

    /// Something that two runs must have in common, and words about it.
    pub fn digest(&mut self, at: Nanos, bytes: &[u8], text: String) {
        self.hash.add(bytes);
        self.note(at, None, text);
    }

    /// Something worth a word.
    pub fn note(&mut self, at: Nanos, lane: Option<usize>, text: String) {
        let lane = lane.map(|lane| format!(",\"l\":\"{}\"", self.lanes[lane]));
        let lane = lane.unwrap_or_default();
        self.line(at, format_args!("\"k\":\"note\"{lane}"), Some(text));
    }

    /// A promise was broken.
    pub fn violation(&mut self, at: Nanos, violation: &Violation) {
        // It is a part of the trace wherever it is found.
        let was_over = std::mem::replace(&mut self.is_over, false);
        self.line(at, format_args!("\"k\":\"violation\""), Some(violation.to_string()));
        self.is_over = was_over;
        self.violation.get_or_insert((at, violation.clone()));
    }

    /// A promise was broken by what happened last.
    pub fn failed(&mut self, violation: &Violation) {
        self.violation(self.now, violation);
    }

    /// The run's own time is over; what comes is the last look at everything.
    pub fn over(&mut self) {
        self.is_over = true;
    }

    /// How often this has been seen so far: a node that began to lead.
    #[must_use]
    pub fn elections(&self) -> &[Nanos] {
        &self.elections
    }

    /// The faults that have struck so far.
    #[must_use]
    pub fn faults(&self) -> &[AppliedFault] {
        &self.faults
    }

    /// The scenario that is being run.
    #[must_use]
    pub fn scenario(&self) -> &Scenario {
        &self.scenario
    }

    /// How long each node led, and the others did not.
    #[must_use]
    pub fn residency(&self) -> Residency {
        self.serving.residency(self.scenario.nodes.len(), self.end())
    }

    /// Writes what is left to write, with the figures.
    ///
    /// - `as_written`: the scenario as a person wrote it
    ///
    /// # Errors
    ///
    /// Where the folder can't be written to.
    pub fn finish(&mut self, as_written: &str, summary: &Summary) -> io::Result<()> {
        self.sink.flush()?;
        if !self.sink.is_there() {
            return Ok(());
        }
        self.sink.write("scenario.toml", as_written.as_bytes())?;
        self.sink.write("resolved.toml", write::write(&self.scenario).as_bytes())?;
        self.sink.write("latency.hlog", &self.latency_log())?;
        let mut text = serde_json::to_string_pretty(summary).map_err(io::Error::other)?;
        text.push('\n');
        self.sink.write("summary.json", text.as_bytes())
    }

    /// A node's band as marks, one for each part of the time.
    #[must_use]
    pub fn band(&self, node: usize, columns: usize) -> String {
        self.bands.marks(node, columns, self.end())
    }

    /// Where it is written to, if anywhere.
    #[must_use]
    pub fn folder(&self) -> Option<&Path> {
        self.sink.path()
    }

    /// Until when the record goes.
    fn end(&self) -> Nanos {
        match &self.violation {
            Some((at, _)) => (*at).min(self.scenario.run.virtual_time),
            None => self.scenario.run.virtual_time,
        }
    }
}

fn show_call(call: Option<u64>) -> String {
    call.map(|call| format!(",\"c\":{call}")).unwrap_or_default()
}
