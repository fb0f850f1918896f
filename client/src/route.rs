//! Where calls go: to the leader, as soon as the client knows it and has a session with it.

use quorate_core::id::NodeId;
use quorate_net::clock::Instant;
use quorate_net::wire::{CallId, LeaderHint};

use crate::session::State;
use crate::watch::PROBE_PAUSE_MIN;

impl State {
    /// Encodes a waiting call on the session in use.
    pub(crate) fn send(&mut self, call: CallId) {
        let Some(link) = self.links.in_use() else { return };
        let before = link.out.len();
        self.calls.send(call, &mut link.out, link.queued);
        link.queued += (link.out.len() - before) as u64;
    }

    /// A node has said who leads.
    pub(crate) fn follow(&mut self, from: usize, hint: Option<LeaderHint>) {
        self.links.all[from].says(hint, Instant::now());
        if self.links.all[from].strands_since().is_some() {
            self.wake_watchers();
        }
        match hint {
            Some(hint) => {
                if self.links.believe(hint, from) {
                    self.route();
                }
            }
            None => self.denied(from),
        }
    }

    /// A node says that it does not lead. Where that is the one that was thought to, nobody knows.
    pub(crate) fn denied(&mut self, from: usize) {
        let node = self.links.all[from].node;
        if self.links.leader.is_some_and(|leader| Some(leader.node) == node) {
            self.links.leader = None;
        }
        if self.links.leader.is_none() {
            self.hold();
        }
    }

    /// The node in use has sent a call away.
    ///
    /// - `begun`: whether it may have been carried out all the same
    pub(crate) fn turned_away(&mut self, call: CallId, leader: Option<NodeId>, begun: bool) {
        let before = self.calls.turned_away(call, begun);
        let Some(primary) = self.links.primary else { return };
        let own = self.links.all[primary].node;
        // The refusal tells no epoch. It is followed once: two nodes that point at each other must
        // not keep the client running between them.
        let guess = leader
            .map(NodeId::get)
            .filter(|node| before == Some(0) && Some(*node) != own)
            .filter(|node| self.links.open_to(*node).is_some());
        match guess {
            Some(node) => {
                let epoch = self.links.epoch.unwrap_or(0);
                self.links.leader = Some(LeaderHint { epoch, node });
                self.links.certain = false;
                self.route();
            }
            None => self.denied(primary),
        }
    }

    /// Uses the leader's session where there is one, and else waits with any.
    pub(crate) fn route(&mut self) {
        let leader = self.links.leader.and_then(|leader| self.links.open_to(leader.node));
        let stands = |primary: &usize| self.links.all[*primary].connection.is_some();
        let any = self.links.primary.filter(stands).or(self.links.any_open());
        match (leader, any) {
            (Some(leader), _) => {
                let led = self.links.primary == Some(leader) && !self.links.held;
                self.turn_to(leader);
                self.links.held = false;
                if !led {
                    self.resume(true);
                }
            }
            (None, Some(any)) => {
                self.turn_to(any);
                self.hold();
                self.resume(false);
            }
            (None, None) => {
                self.links.held = true;
                self.want_links();
            }
        }
    }

    /// Makes a link the one that is used.
    fn turn_to(&mut self, link: usize) {
        if self.links.primary == Some(link) {
            return;
        }
        if let Some(old) = self.links.primary.replace(link) {
            let gone = self.links.all[old].connection.is_none();
            let taken = self.links.all[old].drop_unsent();
            self.calls.take_back(taken, gone);
            // Reads and subscriptions may still be there: is it alive?
            self.links.probe(old, Instant::now(), &mut self.woken);
            self.wake_watchers();
        }
    }

    /// Changes wait from now on: the node in use does not lead, or nobody knows who does.
    fn hold(&mut self) {
        if !std::mem::replace(&mut self.links.held, true) {
            if let Some(link) = self.links.in_use() {
                let taken = link.drop_unsent();
                self.calls.take_back(taken, false);
            }
            self.probe_if_due(Instant::now());
            self.resume(false);
        }
        self.want_links();
        self.wake_watchers();
    }

    /// Sends what waited for the session that is in use now.
    fn resume(&mut self, led: bool) {
        for call in self.calls.waiting(led) {
            self.send(call);
        }
        if let Some(link) = self.links.in_use() {
            self.woken.extend(link.writer.take());
        }
        self.woken.append(&mut self.readers);
    }

    /// Lets the links that are down be dialled now.
    pub(crate) fn want_links(&mut self) {
        for link in &mut self.links.all {
            self.woken.extend(link.supervisor.take());
        }
    }

    /// A leader has done its work: the next time that nobody leads, nodes are asked at once.
    pub(crate) fn is_served(&mut self) {
        self.probe_pause = PROBE_PAUSE_MIN;
    }
}
