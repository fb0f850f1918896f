//! What a node did in each of its lives, with the time at which it did it.

use std::collections::BTreeSet;

use quorate_core::effect::Effect;
use quorate_core::id::{LogIndex, NodeId, RequestId};
use quorate_core::input::Input;
use quorate_core::message::{Message, Tip};
use quorate_core::notice::Notice;
use quorate_core::time::Now;
use quorate_core::{Replica, RoleView, View};
use quorate_node::recorder::segment::{Head, Origin};

use super::{Audience, words};
use crate::record::{Deed, Outcome};

/// One thing that a node did.
#[derive(Clone, Debug)]
pub enum Told {
    /// It sent a message.
    Send {
        /// To whom.
        to: NodeId,
        /// What.
        message: Message,
        /// Whether its entries were read from the log: then only the last of them is known.
        from_log: bool,
    },
    /// It heard one.
    Receive {
        /// From whom.
        from: NodeId,
        /// What.
        message: Message,
    },
    /// It became something else.
    Role {
        /// What.
        role: RoleView,
        /// In which epoch.
        epoch: u64,
    },
    /// Its disk has all entries up to this one.
    Durable(LogIndex),
    /// It knows all entries up to this one to be committed.
    Commit(LogIndex),
    /// The entries behind this one are gone.
    Truncate(LogIndex),
    /// A client wanted something.
    Call {
        /// Its number in this life.
        request: RequestId,
        /// What kind.
        deed: Deed,
        /// In words.
        words: String,
    },
    /// It was told.
    Answer {
        /// Its number in this life.
        request: RequestId,
        /// How it ended.
        outcome: Outcome,
        /// In words.
        words: String,
    },
    /// Anything else.
    Note(String),
}

/// A node from one start to its end, as far as it was recorded.
#[derive(Clone, Debug)]
pub struct Life {
    /// Whose.
    pub origin: Origin,
    /// What has to be added to its monotonic clock to get its wall clock, in nanoseconds.
    pub wall_base_nanos: i64,
    /// By its monotonic clock, in nanoseconds.
    pub events: Vec<(u64, Told)>,
}

impl Life {
    /// When an event was, by its node's wall clock, in nanoseconds since 1970.
    #[must_use]
    pub fn time(&self, event: usize) -> i64 {
        self.wall_base_nanos + self.events[event].0.cast_signed()
    }
}

/// Writes lives down.
#[derive(Debug, Default)]
pub struct Storyteller {
    /// All so far.
    pub lives: Vec<Life>,
    /// The first input of this life is still to come.
    is_new: bool,
    seen: Option<View>,
    open: BTreeSet<RequestId>,
}

impl Storyteller {
    fn tell(&mut self, nanos: u64, told: Told) {
        self.lives.last_mut().expect("a state comes first").events.push((nanos, told));
    }

    /// Tells what is different now.
    fn compare(&mut self, nanos: u64, view: View) {
        let before = self.seen.replace(view);
        let is_new =
            before.is_none_or(|it| (it.role.name(), it.epoch) != (view.role.name(), view.epoch));
        if is_new {
            self.tell(nanos, Told::Role { role: view.role, epoch: view.epoch.get() });
        }
        if before.is_none_or(|it| it.durable.index < view.durable.index) {
            self.tell(nanos, Told::Durable(view.durable.index));
        }
        if before.is_none_or(|it| it.committed.index < view.committed.index) {
            self.tell(nanos, Told::Commit(view.committed.index));
        }
    }

    fn hear(&mut self, nanos: u64, input: &Input<'_>, replica: &Replica) {
        match *input {
            Input::Received { from, message, .. } => {
                self.tell(nanos, Told::Receive { from, message });
            }
            Input::SentFromLog { to, session, last: Some((last, _)) } => {
                let epoch = replica.view().epoch;
                let (previous, committed) = (Tip::default(), LogIndex::ZERO);
                let message = Message::Append { epoch, session, previous, last, committed };
                self.tell(nanos, Told::Send { to, message, from_log: true });
            }
            Input::Propose(ref proposal) => {
                let words = words::proposal(proposal);
                self.call(nanos, proposal.request, Deed::Append, words);
            }
            Input::Read { request, consistency } => {
                self.call(nanos, request, Deed::Read, format!("{consistency:?}").to_lowercase());
            }
            Input::Transfer { request, .. } => {
                self.call(nanos, request, Deed::Transfer, words::input(input));
            }
            Input::PeerUp { .. }
            | Input::PeerDown { .. }
            | Input::DiskFailed
            | Input::DiskSpace { .. }
            | Input::HeadUnreadable { .. }
            | Input::IdsUnreadable { .. } => self.tell(nanos, Told::Note(words::input(input))),
            Input::Recovered { .. }
            | Input::Boot(_)
            | Input::HardStateWritten(_)
            | Input::SentFromLog { last: None, .. }
            | Input::Truncated { .. }
            | Input::Tick
            | Input::EntryWritten { .. }
            | Input::HeadLoaded { .. }
            | Input::IdsLoaded { .. }
            | Input::EndTurn => {}
        }
    }

    fn call(&mut self, nanos: u64, request: RequestId, deed: Deed, words: String) {
        self.open.insert(request);
        self.tell(nanos, Told::Call { request, deed, words });
    }

    fn answer(&mut self, nanos: u64, request: RequestId, outcome: Outcome, words: String) {
        // What was asked before the recording begins has no call in it.
        if self.open.remove(&request) {
            self.tell(nanos, Told::Answer { request, outcome, words });
        }
    }

    fn act(&mut self, nanos: u64, effect: &Effect) {
        match effect {
            Effect::Send { to, message } => {
                let (to, message) = (*to, *message);
                self.tell(nanos, Told::Send { to, message, from_log: false });
            }
            Effect::Truncate { end } => self.tell(nanos, Told::Truncate(end.index)),
            Effect::Halt(halt) => self.tell(nanos, Told::Note(format!("it halts: {halt}"))),
            Effect::Reply { request, outcome } => {
                use quorate_core::request::Outcome as Core;
                let how = match outcome {
                    Core::Appended(_) => Outcome::Done,
                    Core::Refused(_) => Outcome::Refused,
                    Core::Unknown => Outcome::Unknown,
                };
                self.answer(nanos, *request, how, words::outcome(outcome));
            }
            Effect::ServeRead { request, end } => {
                self.answer(nanos, *request, Outcome::Done, format!("up to {end}"));
            }
            Effect::RefuseRead { request, rejection } => {
                self.answer(nanos, *request, Outcome::Refused, rejection.to_string());
            }
            Effect::Transferred { request, result } => {
                let how = if result.is_ok() { Outcome::Done } else { Outcome::Refused };
                self.answer(nanos, *request, how, words::effect(effect));
            }
            Effect::Notice(
                notice @ (Notice::SteppedDown { .. }
                | Notice::LeaderLost { .. }
                | Notice::Voted { .. }
                | Notice::Resyncing { .. }
                | Notice::Transferring { .. }
                | Notice::TransferFailed { .. }
                | Notice::DiskStalled { .. }
                | Notice::CantServe { .. }
                | Notice::FollowerDiverged { .. }
                | Notice::BadMessage { .. }),
            ) => self.tell(nanos, Told::Note(format!("{notice:?}"))),
            Effect::WriteHardState(_)
            | Effect::WriteEntry(_)
            | Effect::SendFromLog { .. }
            | Effect::Commit { .. }
            | Effect::LoadHead { .. }
            | Effect::LoadIds { .. }
            | Effect::Notice(_) => {}
        }
    }
}

/// Nanoseconds of the wall clock behind those of the monotonic one.
fn wall_base_nanos(now: Now) -> i64 {
    (now.wall.ticks().wrapping_mul(100).wrapping_sub(now.monotonic.nanos())).cast_signed()
}

impl Audience for Storyteller {
    fn begins(&mut self, head: &Head, replica: &Replica) {
        let nanos = head.now.monotonic.nanos();
        let is_same = self.lives.last().is_some_and(|life| life.origin.run == head.origin.run);
        if is_same {
            self.tell(nanos, Told::Note("a part of the recording is missing".to_owned()));
        } else {
            let (origin, wall_base_nanos) = (head.origin.clone(), wall_base_nanos(head.now));
            self.lives.push(Life { origin, wall_base_nanos, events: Vec::new() });
            self.is_new = true;
            self.open.clear();
            self.seen = None;
        }
        self.compare(nanos, replica.view());
    }

    fn stepped(
        &mut self,
        now: Now,
        input: &Input<'_>,
        effects: &[Effect],
        replica: &Replica,
    ) -> bool {
        let nanos = now.monotonic.nanos();
        if std::mem::take(&mut self.is_new) {
            // The clocks of a recording's first state are read before the node's loop has its own.
            let life = self.lives.last_mut().expect("a state comes first");
            life.wall_base_nanos = wall_base_nanos(now);
        }
        self.hear(nanos, input, replica);
        self.compare(nanos, replica.view());
        effects.iter().for_each(|effect| self.act(nanos, effect));
        true
    }
}
