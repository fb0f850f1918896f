//! A recording on a page of text.

use std::fmt::Write as _;
use std::path::Path;

use quorate_core::effect::Effect;
use quorate_core::input::Input;
use quorate_core::time::{Created, Now};
use quorate_core::{Replica, RoleView};
use quorate_node::recorder::segment::Head;
use quorate_node::rfc3339::Rfc3339;

use super::{Audience, Replayed, name_of, words};
use crate::scenario::units::show;

/// Changes of role that are shown.
const ROLES_MAX: usize = 40;

/// Gathers what the page tells.
#[derive(Debug, Default)]
pub struct Page {
    first: Option<Now>,
    last: Option<Now>,
    /// When, what, in which epoch.
    roles: Vec<(Now, RoleView, u64)>,
    committed: Option<(u64, u64)>,
    epochs: Option<(u64, u64)>,
    /// Events at each of which it is shown, as they come; up to so many nanoseconds.
    steps: Option<u64>,
    pause: Option<fn()>,
}

impl Page {
    /// Shows each input, too.
    ///
    /// - `until`: nanoseconds since the beginning of the recording
    /// - `pause`: called behind each input that is shown
    #[must_use]
    pub fn stepping(until: Option<u64>, pause: Option<fn()>) -> Self {
        Self { steps: Some(until.unwrap_or(u64::MAX)), pause, ..Self::default() }
    }

    fn look(&mut self, now: Now, replica: &Replica) {
        let view = replica.view();
        let (epoch, committed) = (view.epoch.get(), view.committed.index.get());
        let committed = self.committed.map_or((committed, committed), |it| (it.0, committed));
        self.committed = Some(committed);
        let epochs = self.epochs.map_or((epoch, epoch), |it| (it.0.min(epoch), it.1.max(epoch)));
        self.epochs = Some(epochs);
        let is_new = self.roles.last().is_none_or(|last| (last.1, last.2) != (view.role, epoch));
        if is_new {
            self.roles.push((now, view.role, epoch));
        }
    }

    /// The page, once all was gone through.
    #[must_use]
    pub fn text(&self, folder: &Path, replayed: &Replayed) -> String {
        let mut out = String::new();
        let _ = writeln!(out, "recording {}", folder.display());
        if let Some(origin) = &replayed.origin {
            let all: Vec<&str> = origin.members.iter().map(|member| &*member.name).collect();
            let _ = writeln!(out, "node      {} of {}", name_of(origin), all.join(", "));
        }
        let Replayed { files, starts, gaps, inputs, turns, states, tape_bytes, .. } = replayed;
        let megabytes = *tape_bytes as f64 / 1e6;
        let _ = write!(out, "files     {files}, {megabytes:.1} MB of inputs, ");
        let _ = writeln!(out, "starts of the node: {starts}, gaps: {gaps}");
        if let (Some(first), Some(last)) = (self.first, self.last) {
            let (from, to) = (Rfc3339(first.wall), Rfc3339(last.wall));
            let _ = writeln!(out, "time      {from} to {to} ({})", since(first, last));
        }
        if let (Some((first, last)), Some((from, to))) = (self.epochs, self.committed) {
            let _ = writeln!(out, "epochs    {first} to {last}");
            let _ = writeln!(out, "committed entry {from} to {to}");
        }
        for (now, role, epoch) in self.roles.iter().take(ROLES_MAX) {
            let at = self.first.map_or_else(String::new, |first| since(first, *now));
            let _ = writeln!(out, "  {at:>10}  {} in epoch {epoch}", name(*role));
        }
        if self.roles.len() > ROLES_MAX {
            let _ = writeln!(out, "  and {} more changes", self.roles.len() - ROLES_MAX);
        }
        for remark in &replayed.remarks {
            let _ = writeln!(out, "note      {remark}");
        }
        if let Some(text) = &replayed.died {
            let _ = writeln!(out, "died      of this assertion, and does so again: {text}");
        }
        let _ = write!(out, "replayed  {inputs} inputs, {turns} turns, {states} states: ");
        match &replayed.divergence {
            None => out.push_str("all as it was\n"),
            Some(divergence) => {
                let _ = writeln!(out, "NOT as it was\n{divergence}");
            }
        }
        out
    }
}

/// What a node is; one that was elected leads once its first entry is committed.
const fn name(role: RoleView) -> &'static str {
    match role {
        RoleView::Elected => "elected",
        other => other.name(),
    }
}

/// From one moment to another, by the wall clock: the monotonic one begins anew with each start.
fn since(first: Now, last: Now) -> String {
    show(nanos_between(first.wall, last.wall))
}

fn nanos_between(first: Created, last: Created) -> u64 {
    last.ticks().saturating_sub(first.ticks()).saturating_mul(100)
}

impl Audience for Page {
    fn begins(&mut self, head: &Head, replica: &Replica) {
        self.first.get_or_insert(head.now);
        self.last = Some(head.now);
        self.look(head.now, replica);
        if self.steps.is_some() {
            let role = replica.view().role.name();
            println!(
                "--- state at turn {}: {role}, epoch {} ---",
                head.turns,
                replica.view().epoch
            );
        }
    }

    fn stepped(
        &mut self,
        now: Now,
        input: &Input<'_>,
        effects: &[Effect],
        replica: &Replica,
    ) -> bool {
        self.last = Some(now);
        self.look(now, replica);
        let Some(until) = self.steps else { return true };
        let at = self.first.map_or(0, |first| nanos_between(first.wall, now.wall));
        if at > until {
            return false;
        }
        println!("{:>13.6}s {}", at as f64 / 1e9, words::input(input));
        for effect in effects {
            println!("{:>16}{}", "", words::effect(effect));
        }
        if let Some(pause) = self.pause {
            pause();
        }
        true
    }
}
