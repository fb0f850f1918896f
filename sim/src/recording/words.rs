//! Inputs and effects in words.

use quorate_core::effect::Effect;
use quorate_core::input::Input;
use quorate_core::request::{Change, Outcome, Proposal};

use crate::group::telling;

/// An input.
#[must_use]
pub fn input(input: &Input<'_>) -> String {
    match input {
        Input::Recovered { entry, .. } => format!("recovered entry {}", entry.index),
        Input::Boot(_) => "boot".to_owned(),
        Input::HardStateWritten(state) => match state.voted_for {
            Some(node) => format!("epoch {} and the vote for node {node} are on disk", state.epoch),
            None => format!("epoch {} is on disk", state.epoch),
        },
        Input::Received { from, message, .. } => {
            let (kind, words) = (telling::kind_of(message), telling::words(message));
            format!("received from node {from}: {kind} {words}").trim_end().to_owned()
        }
        Input::PeerUp { node } => format!("link to node {node} is up"),
        Input::PeerDown { node } => format!("link to node {node} is down"),
        Input::SentFromLog { to, last: Some((last, bytes)), .. } => {
            format!("sent to node {to} from the log: up to entry {last}, {bytes} bytes")
        }
        Input::SentFromLog { to, last: None, .. } => {
            format!("could not read the log for node {to}")
        }
        Input::Truncated { index } => format!("the log is truncated behind entry {index}"),
        Input::Tick => "tick".to_owned(),
        Input::DiskFailed => "the disk has failed".to_owned(),
        Input::Transfer { request, to: Some(to) } => {
            format!("request {request}: transfer the lead to node {to}")
        }
        Input::Transfer { request, to: None } => format!("request {request}: transfer the lead"),
        Input::EntryWritten { epoch, index } => {
            format!("entry {index} of epoch {epoch} is on disk")
        }
        Input::Propose(it) => format!("request {}: {}", it.request, proposal(it)),
        Input::HeadLoaded { stream, head, .. } => match head.last {
            Some(last) => format!("head of {stream} is loaded: revision {last}"),
            None => format!("head of {stream} is loaded: no events"),
        },
        Input::IdsLoaded { request, ids, .. } => {
            format!("ids for request {request} are loaded: {}", ids.len())
        }
        Input::HeadUnreadable { stream, .. } => format!("head of {stream} can't be read"),
        Input::IdsUnreadable { request } => format!("ids for request {request} can't be read"),
        Input::Read { request, consistency } => format!("request {request}: {consistency:?} read"),
        Input::DiskSpace { full: true } => "the disk is full".to_owned(),
        Input::DiskSpace { full: false } => "the disk has space again".to_owned(),
        Input::EndTurn => "end of turn".to_owned(),
    }
}

/// What a client wants.
#[must_use]
pub fn proposal(proposal: &Proposal<'_>) -> String {
    let Proposal { stream, expected, .. } = proposal;
    match proposal.change {
        Change::Append { frames, count } => {
            format!(
                "append to {stream}, {count} events, {} bytes, expected {expected}",
                frames.len()
            )
        }
        Change::Delete { .. } => format!("delete {stream}, expected {expected}"),
        Change::Tombstone { .. } => format!("tombstone {stream}, expected {expected}"),
    }
}

/// How a change ended.
#[must_use]
pub fn outcome(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Appended(appended) => match appended.last {
            Some(last) if appended.duplicate => format!("done before, revision {last}"),
            Some(last) => format!("revision {last}, position {}", appended.position),
            None => "holds".to_owned(),
        },
        Outcome::Refused(rejection) => rejection.to_string(),
        Outcome::Unknown => "the lead was lost".to_owned(),
    }
}

/// An effect; a message with whom it goes to.
#[must_use]
pub fn effect(effect: &Effect) -> String {
    match effect {
        Effect::WriteHardState(state) => format!("write epoch {}", state.epoch),
        Effect::WriteEntry(index) => format!("write entry {index}"),
        Effect::Send { to, message } => {
            let (kind, words) = (telling::kind_of(message), telling::words(message));
            format!("send to node {to}: {kind} {words}").trim_end().to_owned()
        }
        Effect::SendFromLog { to, .. } => format!("send to node {to} from the log"),
        Effect::Truncate { end } => format!("truncate behind entry {}", end.index),
        Effect::Halt(halt) => format!("halt: {halt}"),
        Effect::Commit { index, .. } => format!("commit up to entry {index}"),
        Effect::LoadHead { stream, .. } => format!("load the head of {stream}"),
        Effect::LoadIds { request, stream, first, count } => {
            format!("load {count} ids of {stream} from {first} on for request {request}")
        }
        Effect::Reply { request, outcome: it } => format!("answer {request}: {}", outcome(it)),
        Effect::ServeRead { request, end } => format!("serve read {request} up to {end}"),
        Effect::RefuseRead { request, rejection } => format!("refuse read {request}: {rejection}"),
        Effect::Transferred { request, result: Ok(node) } => {
            format!("answer {request}: node {node} leads")
        }
        Effect::Transferred { request, result: Err(error) } => format!("answer {request}: {error}"),
        Effect::Notice(notice) => format!("notice {notice:?}"),
    }
}
