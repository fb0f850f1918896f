//! The links of a client: one to each node of the group that it knows, and which of them is used.
//!
//! Two facts decide where a call goes. Who leads, by the hint of the highest epoch that any node
//! gave; and whether the link to that node stands. While they do not come together the client is
//! *held*: changes wait, and nodes are asked.

use std::fmt::Write as _;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use quinn::Connection;
use quorate_net::clock::Instant;
use quorate_net::wire::{CallId, LeaderHint, MemberAddress, Request};

use crate::error::ConnectError;
use crate::uri::Address;

/// The call id of the question that the client asks for itself. No call has it: its slot would be
/// the last of 2^32.
pub(crate) const PROBE: CallId = CallId::new(u64::MAX);

/// One node, and the session with it while there is one.
pub(crate) struct Link {
    pub(crate) address: Address,
    /// Whether a node told of it, and not the URI.
    pub(crate) learned: bool,
    /// The node that answers there.
    pub(crate) node: Option<u64>,
    name: String,
    /// The connection, while the session is open.
    pub(crate) connection: Option<Connection>,
    /// Encoded requests that the writer has not taken yet.
    pub(crate) out: Vec<u8>,
    /// Bytes that were ever put into `out`, and taken out of it, in this session.
    pub(crate) queued: u64,
    pub(crate) taken: u64,
    pub(crate) writer: Option<Waker>,
    pub(crate) supervisor: Option<Waker>,
    /// When the last frame came, or the session was opened or lost.
    pub(crate) heard: Instant,
    /// When the node was asked who leads, until it says anything.
    pub(crate) asked: Option<Instant>,
    /// Who leads, as it has said since the session was opened.
    pub(crate) hint: Option<LeaderHint>,
    /// Since when it has known of no leader.
    pub(crate) alone: Option<Instant>,
    /// The subscriptions that it serves.
    pub(crate) subscriptions: usize,
    pub(crate) last_error: Option<Arc<ConnectError>>,
    /// Another link leads to the same node.
    pub(crate) retired: bool,
    /// Its task was started.
    pub(crate) started: bool,
}

impl Link {
    fn new(address: Address, learned: bool) -> Self {
        Self {
            address,
            learned,
            node: None,
            name: String::new(),
            connection: None,
            out: Vec::new(),
            queued: 0,
            taken: 0,
            writer: None,
            supervisor: None,
            heard: Instant::now(),
            asked: None,
            hint: None,
            alone: None,
            subscriptions: 0,
            last_error: None,
            retired: false,
            started: false,
        }
    }

    /// Forgets what the writer has not taken; gives how many bytes it has.
    pub(crate) fn drop_unsent(&mut self) -> u64 {
        if !self.out.is_empty() {
            self.out.clear();
            self.asked = None;
        }
        self.queued = self.taken;
        self.taken
    }

    /// The node has said who leads.
    pub(crate) fn says(&mut self, hint: Option<LeaderHint>, now: Instant) {
        self.hint = hint;
        self.alone = hint.is_none().then(|| self.alone.unwrap_or(now));
    }

    /// Since when subscribers on it may be missing what the group writes without it.
    pub(crate) fn strands_since(&self) -> Option<Instant> {
        self.alone.filter(|_| self.subscriptions > 0)
    }

    /// Asks the node how it is, and with it who leads; where that was asked already, and not
    /// answered, it is not asked again.
    fn probe(&mut self, now: Instant, woken: &mut Vec<Waker>) {
        if self.connection.is_none() || self.asked.is_some() {
            return;
        }
        self.asked = Some(now);
        let before = self.out.len();
        Request::Status { call: PROBE }.encode(&mut self.out);
        self.queued += (self.out.len() - before) as u64;
        woken.extend(self.writer.take());
    }

    /// What is known of the node, for a person.
    ///
    /// - `leader`: the name of the node that it says leads
    fn tell(&self, out: &mut String, now: Instant, waits: bool, leader: &str) {
        let _ = write!(out, "{}", self.address);
        if !self.name.is_empty() {
            let _ = write!(out, " ({})", self.name);
        }
        let silence = (now - self.heard).as_secs_f32();
        let silent = waits || self.asked.is_some_and(|asked| asked + TOLD_AFTER <= now);
        let _ = match (&self.connection, &self.last_error, self.hint) {
            (None, Some(error), _) if !matches!(**error, ConnectError::NoAnswer { .. }) => {
                write!(out, ": {error}")
            }
            (None, _, _) => write!(out, ": no answer for {silence:.1} s"),
            (Some(_), _, _) if silent => write!(out, ": no answer for {silence:.1} s"),
            (Some(_), _, Some(hint)) if Some(hint.node) == self.node => {
                write!(out, ": it leads in epoch {}, and did not answer in time", hint.epoch)
            }
            (Some(_), _, Some(hint)) => {
                write!(out, ": it says that {leader} leads in epoch {}", hint.epoch)
            }
            (Some(_), _, None) => write!(out, ": no leader known"),
        };
    }
}

/// A question that is younger is not called unanswered.
const TOLD_AFTER: Duration = Duration::from_millis(300);
/// Links beyond this many are not made, whatever nodes tell.
const LINKS_MAX: usize = 32;

/// All links of a client.
pub(crate) struct Links {
    pub(crate) all: Vec<Link>,
    /// The one whose session is used.
    pub(crate) primary: Option<usize>,
    /// Changes and reads that only a leader can serve wait.
    pub(crate) held: bool,
    /// Who leads, as far as is known.
    pub(crate) leader: Option<LeaderHint>,
    /// Whether the hint came with its epoch.
    pub(crate) certain: bool,
    /// The highest epoch of any hint.
    pub(crate) epoch: Option<u64>,
}

impl Links {
    pub(crate) fn new(addresses: &[Address]) -> Self {
        Self {
            all: addresses.iter().map(|address| Link::new(address.clone(), false)).collect(),
            primary: None,
            held: true,
            leader: None,
            certain: false,
            epoch: None,
        }
    }

    /// The link in use.
    pub(crate) fn in_use(&mut self) -> Option<&mut Link> {
        self.primary.map(|primary| &mut self.all[primary])
    }

    /// Whether a leader's session is in use.
    pub(crate) fn is_led(&self) -> bool {
        self.primary.is_some() && !self.held
    }

    /// Whether there is more than one node to turn to.
    pub(crate) fn is_group(&self) -> bool {
        self.all.iter().filter(|link| !link.retired).count() > 1
    }

    /// The open link to a node.
    pub(crate) fn open_to(&self, node: u64) -> Option<usize> {
        self.all.iter().position(|link| link.node == Some(node) && link.connection.is_some())
    }

    /// Any open link.
    pub(crate) fn any_open(&self) -> Option<usize> {
        self.all.iter().position(|link| link.connection.is_some())
    }

    /// Takes a hint in; whether it tells something newer than what is known.
    ///
    /// - `from`: the link that it came on
    pub(crate) fn believe(&mut self, hint: LeaderHint, from: usize) -> bool {
        // No two leaders share an epoch, so within one there is nothing new: but where that leader
        // had sent the client away, or was only guessed, its own word that it leads counts.
        let own_word = self.all[from].node == Some(hint.node);
        let open = self.leader.is_none() || !self.certain;
        let newer = match self.epoch {
            None => true,
            Some(epoch) => hint.epoch > epoch || (hint.epoch == epoch && own_word && open),
        };
        if newer {
            (self.leader, self.certain, self.epoch) = (Some(hint), true, Some(hint.epoch));
        }
        newer
    }

    /// Takes in who answers on a link, and who else there is.
    pub(crate) fn learn(&mut self, from: usize, name: &str, members: &[MemberAddress]) {
        if !name.is_empty() {
            name.clone_into(&mut self.all[from].name);
        }
        for member in members {
            let Ok(address) = member.address.parse::<Address>() else { continue };
            let known = |link: &&mut Link| {
                !link.retired && (link.node == Some(member.node) || link.address == address)
            };
            let room = self.all.len() < LINKS_MAX;
            match self.all.iter_mut().find(known) {
                Some(link) => {
                    // Where the URI's address leads to is only known once somebody answers there,
                    // and then that is the better address.
                    link.node.get_or_insert(member.node);
                    if link.learned && link.connection.is_none() {
                        link.address = address;
                    }
                    member.name.clone_into(&mut link.name);
                }
                None if room => {
                    let mut link = Link::new(address, true);
                    link.node = Some(member.node);
                    member.name.clone_into(&mut link.name);
                    self.all.push(link);
                }
                None => {}
            }
        }
    }

    /// Asks every node that can be asked who leads.
    pub(crate) fn probe_all(&mut self, now: Instant, woken: &mut Vec<Waker>) {
        for link in &mut self.all {
            link.probe(now, woken);
        }
    }

    /// Asks one node who leads, to see whether it is still there.
    pub(crate) fn probe(&mut self, link: usize, now: Instant, woken: &mut Vec<Waker>) {
        self.all[link].probe(now, woken);
    }

    /// The nodes that were tried, and what each said.
    pub(crate) fn told(&self, now: Instant) -> Arc<str> {
        let mut text = String::new();
        for (place, link) in self.all.iter().enumerate().filter(|(_, link)| !link.retired) {
            if !text.is_empty() {
                text.push_str("; ");
            }
            let leader = link.hint.map_or_else(String::new, |hint| self.name_of(hint.node));
            link.tell(&mut text, now, !self.held && self.primary == Some(place), &leader);
        }
        text.into()
    }

    /// A node's name as far as it is known, or else its number.
    fn name_of(&self, node: u64) -> String {
        let named = self.all.iter().find(|link| link.node == Some(node) && !link.name.is_empty());
        named.map_or_else(|| format!("node {node}"), |link| link.name.clone())
    }
}
