//! Transcripts: inputs to a replica and its effects, as text in `tests/transcripts/*.txt`.
//!
//! A line that starts with `>` is an input; the lines under it are its effects. `UPDATE=1` writes
//! what happens into the files: read the diff. The inputs are:
//!
//! ```text
//! > limits heads_max=1 …                          before the first start; others stay TINY
//! > start                                         or restart: behind what is on stable storage
//! > ready                                         start, and go on to where appends are taken
//! > hard-state-written
//! > append REQUEST STREAM EXPECTED EVENT… [since=POSITION]
//!                                                 EVENT: NUMBER[:TYPE][=DATA], *BYTES for size
//! > delete | tombstone REQUEST STREAM EXPECTED NUMBER [since=POSITION]
//! > written INDEX
//! > head STREAM                                   LoadHead is answered from what is committed
//! > ids REQUEST STREAM FIRST COUNT                and so is LoadIds
//! > head-unreadable STREAM | ids-unreadable REQUEST
//! > read REQUEST
//! > disk full | free
//! > end-turn
//! ```

#[allow(dead_code, reason = "each test uses a part of the shell")]
mod shell;
#[allow(dead_code, reason = "each test uses a part of the tape")]
mod tape;

use std::fmt::Write as _;
use std::path::Path;

use quorate_core::id::{LogIndex, Position, RequestId, Revision};
use quorate_core::log::entry::EntryKind;
use quorate_core::request::{Appended, Change, Consistency, Expected, Outcome, Proposal};
use quorate_core::{Effect, Input, Limits};
use shell::{Shell, Stored, at_second, encode, event_id, event_number, stored};

#[test]
fn transcripts_hold() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts");
    let mut paths: Vec<_> = folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty());
    for path in paths {
        let expected = std::fs::read_to_string(&path).unwrap();
        let actual = replay(&expected);
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&path, actual).unwrap();
        } else {
            let path = path.display();
            assert!(actual == expected, "{path} differs (UPDATE=1 rewrites it); now:\n{actual}");
        }
    }
}

#[test]
fn the_same_inputs_give_the_same_state() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts");
    for entry in folder.read_dir().unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        let digests = || {
            let mut player = Player::default();
            let inputs = text.lines().filter_map(|line| line.strip_prefix("> "));
            let digest = |input: &str| {
                player.play(input);
                player.shell.as_ref().map(|shell| shell.replica.digest())
            };
            inputs.map(digest).collect::<Vec<_>>()
        };
        let first = digests();
        assert_eq!(first, digests());
        let distinct: std::collections::BTreeSet<_> = first.iter().collect();
        assert!(distinct.len() > 2, "a digest follows the state");
    }
}

/// The text with the effects that happen now.
fn replay(text: &str) -> String {
    let mut player = Player::default();
    let mut out = String::new();
    for line in text.lines().filter(|line| !line.starts_with("  ")) {
        writeln!(out, "{line}").unwrap();
        if let Some(input) = line.strip_prefix("> ") {
            println!("{line}"); // Shown where the test fails.
            for effect in player.play(input) {
                writeln!(out, "  {}", player.describe(&effect)).unwrap();
            }
        }
    }
    out
}

#[derive(Default)]
struct Player {
    limits: Option<Limits>,
    shell: Option<Shell>,
}

impl Player {
    fn play(&mut self, input: &str) -> Vec<Effect> {
        let words: Vec<_> = input.split_whitespace().collect();
        if words[0] == "limits" {
            self.limits = Some(parse_limits(&words[1..]));
            return Vec::new();
        }
        let limits = self.limits.unwrap_or(Limits::TINY);
        let shell = self.shell.get_or_insert_with(|| Shell::new(limits));
        shell.now = at_second(1);
        match words[..] {
            ["start"] => shell.restart(),
            ["ready"] => {
                shell.restart_until_ready();
                Vec::new()
            }
            ["hard-state-written"] => shell.hard_state_written(),
            ["written", index] => shell.written(LogIndex::from_wire(index.parse().unwrap())),
            ["head", stream] => {
                let head = shell.head(stream);
                let epoch = shell.epoch();
                shell.step(Input::HeadLoaded { stream, epoch, head: head.lend() })
            }
            ["ids", request, stream, first, count] => {
                let first = Revision::from_wire(first.parse().unwrap());
                let (ids, position) = shell.ids(stream, first, count.parse().unwrap());
                let request = parse_request(request);
                shell.step(Input::IdsLoaded { request, ids: &ids, position })
            }
            ["head-unreadable", stream] => {
                let epoch = shell.epoch();
                shell.step(Input::HeadUnreadable { stream, epoch })
            }
            ["ids-unreadable", request] => {
                shell.step(Input::IdsUnreadable { request: parse_request(request) })
            }
            ["read", request] => {
                let consistency = Consistency::Linearizable;
                shell.step(Input::Read { request: parse_request(request), consistency })
            }
            ["disk", state] => shell.step(Input::DiskSpace { full: state == "full" }),
            ["end-turn"] => shell.step(Input::EndTurn),
            [verb, request, stream, expected, ref rest @ ..] => {
                propose(shell, verb, parse_request(request), stream, expected, rest)
            }
            _ => panic!("not an input: {input}"),
        }
    }

    fn describe(&self, effect: &Effect) -> String {
        let shell = self.shell.as_ref().unwrap();
        match effect {
            Effect::WriteHardState(hard_state) => {
                let vote = hard_state.voted_for.unwrap();
                format!("write hard state: epoch {}, vote for {vote}", hard_state.epoch)
            }
            Effect::WriteEntry(index) => {
                let (header, body) = shell.replica.entry(*index);
                let content = match header.kind {
                    EntryKind::Epoch => format!(" epoch {}", header.epoch),
                    EntryKind::Events => stored(header, body).iter().map(describe_event).collect(),
                };
                format!("write #{index} at {}:{content}", header.position)
            }
            Effect::Commit { index, end } => format!("commit #{index}, end {end}"),
            Effect::LoadHead { stream, .. } => format!("load head {stream}"),
            Effect::LoadIds { request, stream, first, count } => {
                format!("load ids {request} {stream} {first} {count}")
            }
            Effect::Reply { request, outcome } => {
                format!("reply {request}: {}", describe_outcome(outcome))
            }
            Effect::ServeRead { request, end } => format!("serve read {request}, end {end}"),
            Effect::RefuseRead { request, rejection } => {
                format!("refuse read {request}: {rejection}")
            }
            Effect::Notice(notice) => format!("notice {notice:?}"),
            Effect::Send { .. }
            | Effect::SendFromLog { .. }
            | Effect::Truncate { .. }
            | Effect::Transferred { .. }
            | Effect::Halt(_) => panic!("a group of one has no use for {effect:?}"),
        }
    }
}

fn describe_event(event: &Stored) -> String {
    let id = event_number(event.id).map_or("own".to_owned(), |number| number.to_string());
    let data = String::from_utf8_lossy(&event.data);
    let data = match data.len() {
        0 => String::new(),
        1..100 => format!("={data}"),
        length => format!("*{length}"),
    };
    let event_type = if event.event_type == "t" { "" } else { &format!(":{}", event.event_type) };
    format!(" [{}@{} {id}{event_type}{data}]", event.stream, event.revision)
}

fn describe_outcome(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Appended(Appended {
            first: Some(first),
            last: Some(last),
            position,
            duplicate,
        }) => {
            let verb = if *duplicate { "duplicate of" } else { "written" };
            format!("{verb} {first} to {last} at {position}")
        }
        Outcome::Appended(Appended { position, .. }) => {
            format!("holds, the log ends at {position}")
        }
        Outcome::Refused(rejection) => format!("refused: {rejection}"),
        Outcome::Unknown => "unknown".to_owned(),
    }
}

fn propose(
    shell: &mut Shell,
    verb: &str,
    request: RequestId,
    stream: &str,
    expected: &str,
    rest: &[&str],
) -> Vec<Effect> {
    let (since, events): (Vec<&str>, Vec<&str>) =
        rest.iter().copied().partition(|word| word.starts_with("since="));
    let retry_since =
        since.first().map(|word| Position::from_wire(word["since=".len()..].parse().unwrap()));
    let mut frames = Vec::new();
    let change = match verb {
        "append" => {
            for event in &events {
                encode_event(&mut frames, stream, event);
            }
            Change::Append { frames: &frames, count: events.len() as u32 }
        }
        "delete" => Change::Delete { id: event_id(events[0].parse().unwrap()) },
        "tombstone" => Change::Tombstone { id: event_id(events[0].parse().unwrap()) },
        _ => panic!("not an input: {verb}"),
    };
    let expected = match expected {
        "any" => Expected::Any,
        "none" => Expected::NoStream,
        "exists" => Expected::StreamExists,
        number => Expected::Exact(Revision::from_wire(number.parse().unwrap())),
    };
    shell.step(Input::Propose(Proposal { request, stream, expected, change, retry_since }))
}

fn encode_event(out: &mut Vec<u8>, stream: &str, text: &str) {
    let (text, data) = match (text.split_once('='), text.split_once('*')) {
        (Some((text, data)), _) => (text, data.to_owned()),
        (None, Some((text, bytes))) => (text, "x".repeat(bytes.parse().unwrap())),
        (None, None) => (text, String::new()),
    };
    let (id, event_type) = text.split_once(':').unwrap_or((text, "t"));
    encode(out, stream, id.parse().unwrap(), event_type, data.as_bytes());
}

fn parse_request(text: &str) -> RequestId {
    RequestId::from_wire(text.parse().unwrap())
}

fn parse_limits(words: &[&str]) -> Limits {
    let mut limits = Limits::TINY;
    for word in words {
        let (name, number) = word.split_once('=').unwrap();
        let number = number.parse().unwrap();
        match name {
            "entry_bytes_target" => limits.entry_bytes_target = number,
            "pending_appends_max" => limits.pending_appends_max = number,
            "heads_max" => limits.heads_max = number,
            "recent_ids_max" => limits.recent_ids_max = number,
            _ => panic!("not a limit that a transcript sets: {name}"),
        }
    }
    limits
}
