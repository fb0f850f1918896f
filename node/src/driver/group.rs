//! The group as clients and people see it: who the members are, who leads, and how another is made
//! to lead.

use std::rc::Rc;

use quorate_core::id::{LogIndex, NodeId, RequestId};
use quorate_core::log::entry::LogEnd;
use quorate_core::member::Members;
use quorate_core::request::TransferError;
use quorate_core::time::Now;
use quorate_net::wire::{CallId, ErrorCode, LeaderHint, MemberAddress, Reply};
use quorate_net::{Frame, WireError};
use tokio::sync::oneshot;

use super::Driver;
use super::calls::Call;
use crate::engine::Engine;
use crate::gateway::session::Outbox;
use crate::peers::Links;
use crate::watch;

impl Driver {
    /// Another node has sent something.
    ///
    /// # Errors
    ///
    /// [`WireError`] where that is no message between nodes.
    pub(crate) fn receive(&self, from: NodeId, frame: &Frame) -> Result<(), WireError> {
        if let Some(watch) = &self.watch {
            watch.heard(from, frame);
        }
        self.engine.borrow_mut().receive(self.now(), from, frame)?;
        self.wakeup.want();
        Ok(())
    }

    /// There is a link to another node now.
    pub(crate) fn peer_up(&self, node: NodeId) {
        self.engine.borrow_mut().peer_up(self.now(), node);
        self.wakeup.want();
    }

    /// There is none any more.
    pub(crate) fn peer_down(&self, node: NodeId) {
        self.engine.borrow_mut().peer_down(self.now(), node);
        self.wakeup.want();
    }

    /// The links to the other nodes.
    pub(crate) fn links(&self) -> &Links {
        &self.links
    }

    /// The node's name.
    pub(crate) fn name(&self) -> String {
        self.name_of(self.identity.node)
    }

    /// A member's name; its number where it is none.
    pub(super) fn name_of(&self, node: NodeId) -> String {
        name_in(&self.identity.members, node)
    }

    /// Who leads, as far as this node knows.
    pub(super) fn leader_of(engine: &Engine) -> Option<LeaderHint> {
        let view = engine.view();
        view.leader.map(|node| LeaderHint { epoch: view.epoch.get(), node: node.get() })
    }

    /// All members, with the addresses that are known.
    pub(crate) fn members(&self) -> Vec<MemberAddress> {
        let address = |node| self.links.address(node).unwrap_or_default();
        let members = self.identity.members.iter();
        members
            .map(|member| MemberAddress {
                node: member.node.get(),
                name: member.name.to_string(),
                zone: member.zone.to_string(),
                address: address(member.node),
            })
            .collect()
    }

    /// Tells of each change of who leads.
    pub(crate) fn leader(&self) -> watch::Receiver<Option<LeaderHint>> {
        self.leader.subscribe()
    }

    /// Somebody wants another node to lead; the answer goes to `outbox`.
    ///
    /// - `to`: the name of a node or of a zone
    pub(crate) fn transfer(&self, outbox: Rc<Outbox>, call: CallId, to: Option<&str>) {
        let to = match to.map(|name| self.member_called(name)).transpose() {
            Ok(to) => to,
            Err(message) => return outbox.fail(Some(call), ErrorCode::InvalidRequest, &message),
        };
        let now = self.now();
        let begun = now.monotonic;
        let request = self.calls.borrow_mut().insert(Call::Transfer { outbox, call, begun });
        self.engine.borrow_mut().transfer(now, request, to);
        self.wakeup.want();
    }

    /// The member with this name, or the one to take of the zone with this name: the leader if it
    /// stands there, else the first that there is a link to.
    fn member_called(&self, name: &str) -> Result<NodeId, String> {
        let members = &self.identity.members;
        if let Some(member) = members.iter().find(|member| member.name.as_str() == name) {
            return Ok(member.node);
        }
        let in_zone = || members.iter().filter(|member| member.zone.as_str() == name);
        let own = in_zone().find(|member| member.node == self.identity.node);
        let linked = in_zone().find(|member| self.links.is_up(member.node));
        let found = own.or(linked).or_else(|| in_zone().next());
        found.map(|member| member.node).ok_or_else(|| {
            let list = |names: Vec<String>| names.join(", ");
            let nodes = list(members.iter().map(|member| member.name.to_string()).collect());
            let mut zones: Vec<_> = members.iter().map(|it| it.zone.to_string()).collect();
            zones.dedup();
            let zones = list(zones);
            format!("no node or zone is called {name}: the nodes are {nodes}, the zones {zones}")
        })
    }

    /// Gives the lead to whoever is best, where this node has it; waits until that has come to an
    /// end.
    pub(super) async fn hand_over(&self) {
        let leads = self.engine.borrow().view().role.leads();
        if !leads || self.identity.members.len() == 1 {
            return;
        }
        let (done, ended) = oneshot::channel();
        let request = self.calls.borrow_mut().insert(Call::HandOver(done));
        self.engine.borrow_mut().transfer(self.now(), request, None);
        self.wakeup.want();
        // The sender is dropped only with the driver.
        let _told = ended.await;
    }

    /// A transfer has come to its end.
    pub(super) fn transferred(
        &self,
        now: Now,
        request: RequestId,
        result: Result<NodeId, TransferError>,
        epoch: u64,
    ) {
        let (outbox, call, begun) = match self.calls.borrow_mut().take(request) {
            Call::Transfer { outbox, call, begun } => (outbox, call, begun),
            Call::HandOver(done) => {
                // Whoever waited may have lost patience.
                let _waited = done.send(());
                return;
            }
            Call::Change { .. } | Call::Read(_) => unreachable!("only a transfer ends so"),
        };
        match result {
            Ok(to) => {
                let nanos = now.monotonic.nanos().saturating_sub(begun.nanos());
                outbox.send(&Reply::Transferred {
                    call,
                    from: self.name(),
                    to: self.name_of(to),
                    epoch,
                    took_us: nanos / 1000,
                });
            }
            Err(error @ TransferError::NotLeader { leader }) => {
                let message = leader.map_or_else(
                    || error.to_string(),
                    |leader| {
                        format!("{} does not lead; {} does", self.name(), self.name_of(leader))
                    },
                );
                outbox.fail(Some(call), ErrorCode::NotLeader, &message);
            }
            Err(error) => outbox.fail(Some(call), ErrorCode::InvalidRequest, &error.to_string()),
        }
    }
}

/// Events that a follower lacks, as far as its leader can tell: by the share of entries.
pub(super) fn lag_events(committed: &LogEnd, follower: LogIndex) -> u64 {
    let behind = committed.index.get().saturating_sub(follower.get());
    // Entries hold different numbers of events; the mean is near enough for people.
    behind.saturating_mul(committed.events) / committed.index.get().max(1)
}

/// A member's name; its number where it is none.
pub(super) fn name_in(members: &Members, node: NodeId) -> String {
    let member = members.get(node);
    member.map_or_else(|| format!("#{node}"), |member| member.name.to_string())
}
