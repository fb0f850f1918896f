//! Transcripts of groups: inputs to the nodes and their effects, as text in
//! `tests/transcripts-group/*.txt`.
//!
//! A line that starts with `>` is an input; the lines under it are what came of it. `UPDATE=1`
//! writes what happens into the files: read the diff. After each input the node ends its turn,
//! unless its line ends with `...`. The inputs are:
//!
//! ```text
//! > start COUNT                       so many nodes, with links between all
//! > n1 tick [COUNT]
//! > n1 timeout                        ticks until it asks for votes, or would
//! > n1 is-elected-by n2              all of it, without the others; what n1 does then is shown
//! > n1 promised                       the hard state is written
//! > n1 written INDEX… | all
//! > n1 wrote EPOCH INDEX              the disk tells of a write that was of another entry
//! > n1 truncated
//! > n1 takes n2 [COUNT | all]         oldest messages from n2 arrive
//! > n1 loses n2 [COUNT | all]         they never do
//! > n1 doubles n2                     the oldest comes once more, behind the others
//! > n1 delays n2                      the oldest comes behind the others
//! > n1 append REQUEST STREAM          what it must load is loaded at once
//! > n1 read REQUEST
//! > n1 transfer REQUEST n2
//! > n1 sends-from-log
//! > n1 disk-failed
//! > n1 cut n2 | link n2
//! > n1 crash [promise] [truncation] [COUNT]
//!                                     what was under way is lost, but for these and COUNT entries
//! > n1 boot
//! > n1 forges INDEX                   its disk calls entries committed that are not
//! > calm [COUNT]                      all arrives and ends, and ticks go by; only notices are shown
//! > show
//! ```

#[allow(dead_code, reason = "each test uses a part of the group")]
mod group;
#[allow(dead_code, reason = "each test uses a part of the shell")]
mod shell;
#[allow(dead_code, reason = "each test uses a part of the tape")]
mod tape;

use std::fmt::Write as _;
use std::path::Path;

use group::disk::Part;
use group::{Envelope, Group, node};
use quorate_core::id::{Epoch, LogIndex, NodeId, RequestId};
use quorate_core::log::entry::EntryKind;
use quorate_core::message::{Message, Progress, Tip};
use quorate_core::mutant::Mutant;
use quorate_core::request::{Appended, Outcome};
use quorate_core::timing::Timing;
use quorate_core::{Effect, Input, Limits, RoleView};

#[test]
fn transcripts_of_groups_hold() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts-group");
    let mut paths: Vec<_> = folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty());
    let mut failed = Vec::new();
    for path in paths {
        println!("{}", path.display());
        let expected = std::fs::read_to_string(&path).unwrap();
        let actual = std::panic::catch_unwind(|| replay(&expected, None));
        let Ok(actual) = actual else {
            failed.push(path);
            continue;
        };
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&path, actual).unwrap();
        } else {
            let path = path.display();
            assert!(actual == expected, "{path} differs (UPDATE=1 rewrites it); now:\n{actual}");
        }
    }
    assert!(failed.is_empty(), "{failed:?}");
}

/// Each with the transcript that is about what it takes for the break to do harm, and with what the
/// observer says when that is played with the break in it.
const MISTAKES: [(Mutant, &str, Noticed); 6] = [
    (Mutant::AcksByIndex, "late-ack", Noticed::Says("1 disks have committed 2")),
    (Mutant::CountsAnyWrite, "append-aba", Noticed::Says("what is acknowledged is on disk")),
    (Mutant::DropsSession, "old-session", Noticed::Adds("append of 1, session 2: 2 < .. <= 3")),
    (
        Mutant::ReusesRounds,
        "late-answer",
        Noticed::Says("a read sees what was acknowledged before it"),
    ),
    (
        Mutant::VotesAfterFailure,
        "failed-disk-vote",
        Noticed::Says("who asks for votes has given itself its own"),
    ),
    (
        Mutant::WritesBeforeEpoch,
        "promise-first",
        Noticed::Says("an entry goes behind its epoch's promise"),
    ),
];

/// How a mistake is noticed.
#[derive(Clone, Copy)]
enum Noticed {
    /// The observer finds a rule broken.
    Says(&'static str),
    /// Something is sent that must not be.
    Adds(&'static str),
}

#[test]
fn mistakes_are_noticed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts-group");
    assert_eq!(MISTAKES.map(|(mutant, ..)| mutant), Mutant::RARE, "all that no seed notices");
    for (mutant, name, noticed) in MISTAKES {
        let text = std::fs::read_to_string(folder.join(name).with_extension("txt")).unwrap();
        match (std::panic::catch_unwind(|| replay(&text, Some(mutant))), noticed) {
            (Err(panic), Noticed::Says(rule)) => {
                let said = panic.downcast_ref::<String>().cloned();
                let said = said.or(panic.downcast_ref::<&str>().map(|&it| it.to_owned()));
                let said = said.unwrap_or_default();
                assert!(said.contains(rule), "{mutant:?} breaks another rule: {said}");
            }
            (Ok(actual), Noticed::Adds(line)) => {
                assert!(!text.contains(line), "{mutant:?}: the right thing is not wrong");
                assert!(actual.contains(line), "{mutant:?} is not noticed:\n{actual}");
            }
            (Ok(actual), Noticed::Says(_)) => panic!("{mutant:?} is not noticed:\n{actual}"),
            (Err(_), Noticed::Adds(_)) => panic!("{mutant:?} breaks another rule, see above"),
        }
    }
}

/// The text with the effects that happen now.
fn replay(text: &str, mutant: Option<Mutant>) -> String {
    let group = Group::new(&[0], Limits::TINY, Timing::TINY);
    let mut player = Player { group, mutant };
    let mut out = String::new();
    for line in text.lines().filter(|line| !line.starts_with("  ")) {
        writeln!(out, "{line}").unwrap();
        if let Some(input) = line.strip_prefix("> ") {
            println!("{line}"); // Shown where the test fails.
            for line in player.play(input) {
                writeln!(out, "  {line}").unwrap();
            }
        }
    }
    out
}

struct Player {
    group: Group,
    /// What the replicas do wrong.
    mutant: Option<Mutant>,
}

impl Player {
    fn play(&mut self, input: &str) -> Vec<String> {
        let words: Vec<_> = input.split_whitespace().collect();
        match words[..] {
            ["start", count] => {
                let ranks = vec![0; count.parse().unwrap()];
                self.group = Group::new(&ranks, Limits::TINY, Timing::TINY);
                (self.group.may_halt, self.group.mutant) = (true, self.mutant);
                self.group.boot_all();
                Vec::new()
            }
            ["calm"] => self.calm(1),
            ["calm", count] => self.calm(count.parse().unwrap()),
            ["show"] => self.show(),
            [id, ref rest @ ..] => {
                let id = parse_node(id);
                let (rest, ends_turn) = match rest.split_last() {
                    Some((&"...", rest)) => (rest, false),
                    _ => (rest, true),
                };
                let mut effects = self.act(id, rest);
                if ends_turn && self.group.node(id).running {
                    effects.extend(self.group.step(id, Input::EndTurn));
                }
                effects.iter().filter_map(|effect| self.describe(id, effect)).collect()
            }
            [] => panic!("an empty input"),
        }
    }

    fn act(&mut self, id: NodeId, words: &[&str]) -> Vec<Effect> {
        let group = &mut self.group;
        match *words {
            ["tick"] => group.tick(id),
            ["tick", count] => {
                (0..count.parse().unwrap()).flat_map(|_: u32| group.tick(id)).collect()
            }
            ["timeout"] => self.time_out(id),
            ["is-elected-by", voter] => self.elect(id, parse_node(voter)),
            ["promised"] => group.finish_hard_state(id),
            ["written", "all"] => {
                let writes = group.node(id).disk.under_way();
                writes.into_iter().flat_map(|index| group.finish_write(id, index)).collect()
            }
            ["written", ref indexes @ ..] => {
                let indexes = indexes.iter().map(|it| LogIndex::from_wire(it.parse().unwrap()));
                indexes.flat_map(|index| group.finish_write(id, index)).collect()
            }
            ["wrote", epoch, index] => {
                let index = LogIndex::from_wire(index.parse().unwrap());
                let epoch = Epoch::from_wire(epoch.parse().unwrap());
                group.step(id, Input::EntryWritten { epoch, index })
            }
            ["truncated"] => group.finish_truncation(id),
            ["append", request, stream] => {
                let mut effects = group.append(id, request.parse().unwrap(), stream);
                while !group.node(id).jobs.is_empty() {
                    effects.extend(group.finish_job(id, 0));
                }
                effects
            }
            ["read", request] => group.read(id, parse_request(request)),
            ["transfer", request, to] => {
                let (request, to) = (parse_request(request), Some(parse_node(to)));
                group.step(id, Input::Transfer { request, to })
            }
            ["sends-from-log"] => group.finish_job(id, 0),
            ["disk-failed"] => group.fail_disk(id),
            ["cut", peer] => group.step(id, Input::PeerDown { node: parse_node(peer) }),
            ["link", peer] => group.step(id, Input::PeerUp { node: parse_node(peer) }),
            ["crash", ref kept @ ..] => {
                self.crash(id, kept);
                Vec::new()
            }
            ["boot"] => group.boot(id),
            ["forges", index] => {
                group.node_mut(id).hint = LogIndex::from_wire(index.parse().unwrap());
                Vec::new()
            }
            [verb, from, ref count @ ..] => self.handle_messages(id, verb, from, count),
            _ => panic!("not an input: {words:?}"),
        }
    }

    fn time_out(&mut self, id: NodeId) -> Vec<Effect> {
        let mut effects = Vec::new();
        for _ in 0..2 * Timing::TINY.election_ticks_min {
            effects.extend(self.group.tick(id));
            let asks =
                |it: &Effect| matches!(it, Effect::Send { message: Message::PreVote { .. }, .. });
            if effects.iter().any(asks) {
                break;
            }
        }
        effects
    }

    fn elect(&mut self, id: NodeId, voter: NodeId) -> Vec<Effect> {
        // Who still hears a leader would not.
        self.time_out(voter);
        self.time_out(id);
        let is_of_election = |it: &Envelope| {
            matches!(
                it.message,
                Message::PreVote { .. }
                    | Message::PreVoteReply { .. }
                    | Message::Vote { .. }
                    | Message::VoteReply { .. }
            )
        };
        let (mut effects, mut tries) = (Vec::new(), 0);
        while !self.group.node(id).replica.view().role.leads() {
            let place = self.group.net.iter().position(is_of_election);
            if let Some(place) = place {
                let envelope = self.group.net.remove(place);
                let asks = envelope.from == id && envelope.to == voter;
                let answers = envelope.from == voter
                    && envelope.to == id
                    && !matches!(envelope.message, Message::PreVote { .. });
                if asks || answers {
                    effects = self.group.deliver(&envelope);
                }
                continue;
            }
            let promises = |it: &NodeId| self.group.node(*it).disk.hard_state_under_way.is_some();
            match [id, voter].into_iter().find(promises) {
                Some(it) => effects = self.group.finish_hard_state(it),
                // Its first question was about an epoch that is over.
                None => {
                    tries += 1;
                    assert!(tries < 5, "{id} is not elected");
                    self.time_out(id);
                }
            }
        }
        effects
    }

    fn crash(&mut self, id: NodeId, kept: &[&str]) {
        let mut entries = kept.iter().find_map(|it| it.parse().ok()).unwrap_or(0_u32);
        self.group.crash(id, |part| match part {
            Part::HardState => kept.contains(&"promise"),
            Part::Truncation => kept.contains(&"truncation"),
            Part::Entry => {
                let keeps = entries > 0;
                entries = entries.saturating_sub(1);
                keeps
            }
        });
    }

    fn handle_messages(
        &mut self,
        to: NodeId,
        verb: &str,
        from: &str,
        count: &[&str],
    ) -> Vec<Effect> {
        let from = parse_node(from);
        let is_its = |it: &Envelope| it.from == from && it.to == to && !is_ping(&it.message);
        let there = self.group.net.iter().filter(|it| is_its(it)).count();
        let count = match count {
            [] => 1,
            ["all"] => there,
            [count] => count.parse().unwrap(),
            _ => panic!("how many?"),
        };
        let mut effects = Vec::new();
        for _ in 0..count {
            let place = self.group.net.iter().position(is_its).expect("a message is there");
            let envelope = self.group.net.remove(place);
            match verb {
                "takes" => effects.extend(self.group.deliver(&envelope)),
                "loses" => {}
                "delays" => self.group.net.push(envelope),
                "doubles" => {
                    self.group.net.insert(place, envelope.clone());
                    self.group.net.push(envelope);
                }
                _ => panic!("not an input: {verb}"),
            }
        }
        effects
    }

    fn calm(&mut self, ticks: u32) -> Vec<String> {
        let before = self.group.ghost.outcomes.clone();
        for _ in 0..ticks {
            self.group.calm_tick();
        }
        let outcomes = self.group.ghost.outcomes.iter();
        let new = outcomes.filter(|(request, _)| !before.contains_key(request));
        let mut lines: Vec<_> = new
            .map(|(request, outcome)| format!("reply {request}: {}", outcome_text(outcome)))
            .collect();
        lines.extend(self.show());
        lines
    }

    fn show(&self) -> Vec<String> {
        let line = |node: &std::sync::Arc<group::Node>| {
            let entries: Vec<_> =
                node.disk.log.iter().map(|slot| slot.header.epoch.to_string()).collect();
            let entries = entries.join(" ");
            if !node.running {
                return format!("n{} is down; epochs of its log: {entries}", node.id);
            }
            let view = node.replica.view();
            let role = match view.role {
                RoleView::Elected => "elected",
                role => role.name(),
            };
            let committed = view.committed.index;
            format!("n{} {role} in {}, committed {committed}, log: {entries}", node.id, view.epoch)
        };
        self.group.nodes.iter().map(line).collect()
    }

    fn describe(&self, id: NodeId, effect: &Effect) -> Option<String> {
        Some(match effect {
            Effect::Send { message, .. } if is_ping(message) => return None,
            Effect::Send { to, message } => format!("to n{to}: {}", message_text(message)),
            Effect::SendFromLog { to, message } => {
                format!("to n{to} from the log: {}", message_text(message))
            }
            Effect::WriteHardState(state) => match state.voted_for {
                Some(vote) => format!("write hard state: epoch {}, vote for n{vote}", state.epoch),
                None => format!("write hard state: epoch {}", state.epoch),
            },
            Effect::WriteEntry(index) => {
                let slot = &self.group.node(id).disk.log[index.get() as usize - 1];
                let kind = match slot.header.kind {
                    EntryKind::Epoch => "epoch record",
                    EntryKind::Events => "events",
                };
                format!("write #{index}: {kind} of {}", slot.header.epoch)
            }
            Effect::Truncate { end } => format!("truncate behind #{}", end.index),
            Effect::Halt(halt) => format!("halt: {halt}"),
            Effect::Commit { index, .. } => format!("commit #{index}"),
            Effect::LoadHead { .. } | Effect::LoadIds { .. } => return None,
            Effect::Reply { request, outcome } => {
                format!("reply {request}: {}", outcome_text(outcome))
            }
            Effect::ServeRead { request, end } => format!("serve read {request}, end {end}"),
            Effect::RefuseRead { request, rejection } => {
                format!("refuse read {request}: {rejection}")
            }
            Effect::Transferred { request, result } => {
                format!("transferred {request}: {result:?}")
            }
            Effect::Notice(notice) => format!("notice {notice:?}"),
        })
    }
}

const fn is_ping(message: &Message) -> bool {
    matches!(message, Message::Ping { .. } | Message::Pong { .. })
}

fn outcome_text(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Appended(Appended { position, .. }) => format!("written at {position}"),
        Outcome::Refused(rejection) => format!("refused: {rejection}"),
        Outcome::Unknown => "unknown".to_owned(),
    }
}

fn message_text(message: &Message) -> String {
    let progress = |it: &Progress| {
        let Progress { session, received, durable, committed } = it;
        let durable = durable.index;
        format!("session {session}, received {received}, durable {durable}, committed {committed}")
    };
    match message {
        Message::PreVote { epoch, last } => {
            format!("pre-vote {epoch}? my log ends with #{} of {}", last.index, last.epoch)
        }
        Message::PreVoteReply { epoch, granted, promised } => {
            let answer = if *granted { "yes" } else { "no" };
            format!("pre-vote {epoch}: {answer}, promised {promised}")
        }
        Message::Vote { epoch, last, transfer } => {
            let transfer = if *transfer { ", the leader asked me to" } else { "" };
            format!("vote {epoch}? my log ends with #{} of {}{transfer}", last.index, last.epoch)
        }
        Message::VoteReply { epoch, granted } => {
            format!("vote {epoch}: {}", if *granted { "yes" } else { "no" })
        }
        Message::Heartbeat { epoch, round, committed } => {
            format!("heartbeat {round} of {epoch}, committed {committed}")
        }
        Message::HeartbeatReply { epoch, round, progress: it, fit, .. } => {
            let unfit = if *fit { "" } else { ", unfit" };
            format!("heartbeat {round} of {epoch} heard: {}{unfit}", progress(it))
        }
        Message::Append { epoch, session, previous: Tip { index, .. }, last, committed } => {
            format!(
                "append of {epoch}, session {session}: {index} < .. <= {last}, committed {committed}"
            )
        }
        Message::Ack { epoch, progress: it } => format!("ack of {epoch}: {}", progress(it)),
        Message::Resync { epoch, session, end, committed } => {
            let (end, committed) = (end.index, committed.index);
            format!("resync of {epoch}, session {session}: end {end}, committed {committed}")
        }
        Message::Commit { epoch, committed } => format!("commit of {epoch}: {committed}"),
        Message::TimeoutNow { epoch } => format!("campaign now, after {epoch}"),
        Message::Stale { epoch } => format!("stale, promised {epoch}"),
        Message::Ping { .. } | Message::Pong { .. } => "ping".to_owned(),
    }
}

fn parse_node(text: &str) -> NodeId {
    node(text.strip_prefix('n').expect("n1, n2 …").parse().unwrap())
}

fn parse_request(text: &str) -> RequestId {
    RequestId::from_wire(text.parse().unwrap())
}
