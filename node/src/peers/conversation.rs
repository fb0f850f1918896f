//! One connection to another node, from the hellos to its end.
//!
//! The node whose name sorts first keeps the connection that it dialled. The other one dials only to
//! say that it is there: it exchanges hellos, so that it can be dialled back, and closes.

use std::rc::Rc;
use std::time::Duration;

use quinn::{Connection, VarInt};
use quorate_core::id::NodeId;
use quorate_core::member::Name;
use quorate_net::clock::timeout;
use quorate_net::wire::peer::{
    Founding, Lane, MESSAGE_BYTES_MAX, PeerHello, PeerMessage, entries_payload_bytes_max,
};
use quorate_net::{Frame, WireError};

use super::hello::{Relation, check_member, check_same, judge};
use super::link::{
    CLOSE_AGAIN, CLOSE_LANE, CLOSE_MALFORMED, CLOSE_REFUSED, CLOSE_SECOND, CLOSE_SILENT,
    CLOSE_YOU_DIAL, Link, Lost, Stream,
};
use super::refusal::Refusal;
use super::{Peers, taker};
use crate::logger::Fields;

/// How long the last words may take to arrive.
const FAREWELL_PATIENCE: Duration = Duration::from_secs(1);

/// Longer than a node that dials needs to say hello; what takes it longer is dialled again.
const LINK_SETTLED: Duration = Duration::from_secs(2);

/// How a conversation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// The address leads to this node itself.
    Oneself,
    /// They don't belong together, or not now.
    Refused,
    /// The other one dials, or there is a connection already.
    NotOurs,
    /// One of them has come to be of a group: they speak again as members.
    Again,
    /// It was a link, and is lost.
    Linked,
    /// It was never one.
    Lost,
}

/// The two hellos, and the control lane that they came on.
struct Greeted {
    own: PeerHello,
    their: PeerHello,
    control: Stream,
}

impl Peers {
    /// Speaks with another node for as long as the connection lasts.
    ///
    /// - `peer`: its name, by its certificate
    /// - `dialled`: the address, where this node has dialled
    pub(super) async fn converse(
        self: &Rc<Self>,
        connection: Connection,
        peer: Name,
        dialled: Option<&str>,
    ) -> Ended {
        let own_hellos = self.own_hellos.get();
        let greeting = self.greet(&connection, dialled.is_some());
        let greeted = timeout(self.settings.hello_timeout, greeting).await;
        let Greeted { own, their, control } = match greeted.unwrap_or(Err(Lost::Silent)) {
            Ok(greeted) => greeted,
            Err(lost) => {
                self.lose_early(&connection, peer, &lost);
                return Ended::Lost;
            }
        };
        let judged = match judge(&own, &their, &peer) {
            // Where the hello has come to this very process, the address leads to oneself.
            Ok(Relation::Oneself) if dialled.is_some() && self.own_hellos.get() == own_hellos => {
                let (node, disk) = (own.node, own.disk);
                let refusal = Refusal::RunsTwice { node, disk, address: their.address.clone() };
                self.doubled.send_replace(Some(refusal.clone()));
                Err(refusal)
            }
            judged => judged,
        };
        let relation = match judged {
            Ok(relation) => relation,
            Err(refusal) => {
                self.see(&their);
                self.refuse(&connection, control, peer, &refusal).await;
                return Ended::Refused;
            }
        };
        if relation == Relation::Oneself {
            self.part(&connection, dialled.is_some()).await;
            return Ended::Oneself;
        }
        self.note_address(&their);
        if (own.node < their.node) != dialled.is_some() {
            if dialled.is_none() {
                if let Relation::Member(node) = relation {
                    self.doubt(node);
                }
                self.add_target(&their.address, Some(their.node));
            }
            self.part(&connection, dialled.is_some()).await;
            return Ended::NotOurs;
        }
        let _talking = self.talk(their.node);
        match relation {
            Relation::Member(node) => {
                self.link(&connection, control, node, peer, dialled.is_some()).await
            }
            Relation::Founding | Relation::Oneself => {
                self.wait_for_group(&connection, control, &their).await
            }
        }
    }

    /// Gives up a link of which its other side knows nothing: that would not have dialled if it did.
    ///
    /// A node that comes back commonly has ended the links of the process before it, but can't where
    /// its key was renewed meanwhile, by which the others know such an end. They would wait for the
    /// link's timeout.
    fn doubt(&self, node: NodeId) {
        // A younger one may have come up while the other node was dialling.
        if let Some(link) = self.links.get(node).filter(|link| link.age() > LINK_SETTLED) {
            link.close(CLOSE_SECOND, "the other node knows nothing of this link");
        }
    }

    /// Stays with a node until both are of a group.
    async fn wait_for_group(
        &self,
        connection: &Connection,
        mut control: Stream,
        their: &PeerHello,
    ) -> Ended {
        let id = self.conversations.replace(self.conversations.get() + 1);
        match their.founding {
            None => self.roster.borrow_mut().enter(id, their),
            Some(_) => self.see(their),
        }
        self.roster.borrow_mut().praise(their.node.as_str());
        self.consider();
        let ended = self.become_group(connection, &mut control, their).await;
        self.roster.borrow_mut().leave(id);
        self.consider();
        match ended {
            Ok(ended) => ended,
            Err(refusal) => {
                self.refuse(connection, control, their.node, &refusal).await;
                Ended::Refused
            }
        }
    }

    /// Exchanges hellos; the dialling side begins.
    async fn greet(&self, connection: &Connection, dialled: bool) -> Result<Greeted, Lost> {
        let hello_of = |frame: &Frame| match PeerMessage::decode(frame)? {
            PeerMessage::Hello(hello) if is_text(&hello.address) => Ok(*hello),
            _ => Err(WireError::UnexpectedKind { kind: frame.kind() }),
        };
        if dialled {
            let (send, receive) = connection.open_bi().await?;
            let mut control = Stream::new(Lane::Control, send, receive);
            let own = self.hello();
            control.say(&PeerMessage::Hello(Box::new(own.clone()))).await?;
            let their = hello_of(&control.hear().await?)?;
            return Ok(Greeted { own, their, control });
        }
        let (send, receive) = connection.accept_bi().await?;
        let mut control = Stream::new(Lane::Control, send, receive);
        let their = hello_of(&control.hear().await?)?;
        let own = self.hello();
        if own.node == their.node && own.disk == their.disk {
            self.own_hellos.set(self.own_hellos.get() + 1);
        }
        control.say(&PeerMessage::Hello(Box::new(own.clone()))).await?;
        Ok(Greeted { own, their, control })
    }

    /// Waits, with one that may come to be of the same group, until both are.
    async fn become_group(
        &self,
        connection: &Connection,
        control: &mut Stream,
        their: &PeerHello,
    ) -> Result<Ended, Refusal> {
        let mut group = self.group.subscribe();
        let mut told = false;
        loop {
            let known = group.borrow_and_update().clone();
            match known {
                Some(Ok(founding)) if !told => {
                    check_member(&founding, their)?;
                    told = true;
                    let found = PeerMessage::Found(Box::new(founding));
                    if let Err(lost) = control.say(&found).await {
                        return Ok(self.lose_founding(connection, their.node, &lost));
                    }
                }
                Some(Ok(_)) | None => {}
                // The node stops.
                Some(Err(_)) => return Ok(Ended::Lost),
            }
            let heard = tokio::select! {
                biased;
                heard = control.hear() => heard,
                changed = group.changed() => {
                    changed.expect("this node holds the other side");
                    continue;
                }
            };
            match self.hear_of_group(control, their, heard).await? {
                Ok(false) => {}
                Ok(true) => {
                    connection.close(CLOSE_AGAIN, b"both nodes are of a group now");
                    return Ok(Ended::Again);
                }
                Err(lost) => return Ok(self.lose_founding(connection, their.node, &lost)),
            }
        }
    }

    /// Takes in what another node says of the group; whether both are of it now.
    async fn hear_of_group(
        &self,
        control: &mut Stream,
        their: &PeerHello,
        heard: Result<Frame, Lost>,
    ) -> Result<Result<bool, Lost>, Refusal> {
        let frame = match heard {
            Ok(frame) => frame,
            Err(lost) => return Ok(Err(lost)),
        };
        match PeerMessage::decode(&frame) {
            Ok(PeerMessage::Found(founding)) => {
                let log = founding.log;
                self.take_up(*founding, their)?;
                let said = control.say(&PeerMessage::Founded { log }).await;
                Ok(said.map(|()| false))
            }
            Ok(PeerMessage::Founded { .. }) => Ok(Ok(true)),
            Ok(PeerMessage::Refused { message }) => {
                self.hear_refusal(their.node, &message);
                Ok(Err(Lost::Finished))
            }
            Ok(_) => Ok(Err(WireError::UnexpectedKind { kind: frame.kind() }.into())),
            Err(error) => Ok(Err(error.into())),
        }
    }

    /// Takes up the group that another node tells of, where this one is a member of it.
    fn take_up(&self, founding: Founding, their: &PeerHello) -> Result<(), Refusal> {
        let own = self.hello();
        if let Some(known) = &own.founding {
            return check_same(&own, known, their, &founding);
        }
        check_member(&founding, their)?;
        check_member(&founding, &own)?;
        self.settle(founding);
        Ok(())
    }

    fn lose_founding(&self, connection: &Connection, peer: Name, lost: &Lost) -> Ended {
        if closed_by_peer(connection) == Some(CLOSE_AGAIN) {
            return Ended::Again;
        }
        self.lose_early(connection, peer, lost);
        Ended::Lost
    }

    /// Makes a link of the connection, and carries frames until it is lost.
    async fn link(
        &self,
        connection: &Connection,
        control: Stream,
        node: NodeId,
        name: Name,
        dialled: bool,
    ) -> Ended {
        let mut attached = self.inbound.subscribe();
        tokio::select! {
            biased;
            _attached = attached.wait_for(Option::is_some) => {}
            _closed = connection.closed() => return Ended::Lost,
        }
        let opening = self.open_lanes(connection, dialled);
        let lanes = timeout(self.settings.hello_timeout, opening).await;
        let (replication, bulk) = match lanes.unwrap_or(Err(Lost::Silent)) {
            Ok(lanes) => lanes,
            Err(lost) => {
                self.lose_early(connection, name, &lost);
                return Ended::Lost;
            }
        };
        let lanes =
            [(Lane::Control, control), (Lane::Replication, replication), (Lane::Bulk, bulk)];
        let payload_bytes_max = self.payload_bytes_max();
        let streams = lanes.map(|(lane, mut stream)| {
            if lane != Lane::Control {
                stream.receive.set_payload_bytes_max(payload_bytes_max);
            }
            (lane, stream)
        });
        let link = Rc::new(Link::new(connection.clone()));
        if let Some(old) = self.links.put(node, Rc::clone(&link)) {
            old.close(CLOSE_SECOND, "a newer connection has taken its place");
            self.tell_inbound(|inbound| inbound.peer_down(node));
        }
        self.roster.borrow_mut().praise(name.as_str());
        self.logger.info("linked", "there is a link to a node", &[("node", &name)]);
        self.tell_inbound(|inbound| inbound.peer_up(node));
        let attached = Rc::new(attached);
        let take = move |frame: &Frame| match taker(&attached.borrow()) {
            Some(inbound) => inbound.receive(node, frame),
            None => Ok(()),
        };
        let lost = link.carry(streams, take).await;
        // Else a newer link has taken its place, and has ended this one.
        if self.links.take(node, &link) {
            self.tell_inbound(|inbound| inbound.peer_down(node));
            self.lose(connection, name, &lost);
        }
        Ended::Linked
    }

    /// Opens the lanes beside control; the dialling side begins.
    async fn open_lanes(
        &self,
        connection: &Connection,
        dialled: bool,
    ) -> Result<(Stream, Stream), Lost> {
        let mut opened = [None, None];
        for lane in [Lane::Replication, Lane::Bulk] {
            let stream = if dialled {
                let (send, receive) = connection.open_bi().await?;
                let mut stream = Stream::new(lane, send, receive);
                stream.say(&PeerMessage::LaneHello { lane }).await?;
                hear_lane(&mut stream, lane).await?;
                stream
            } else {
                let (send, receive) = connection.accept_bi().await?;
                let mut stream = Stream::new(lane, send, receive);
                hear_lane(&mut stream, lane).await?;
                stream.say(&PeerMessage::LaneHello { lane }).await?;
                stream
            };
            opened[usize::from(lane == Lane::Bulk)] = Some(stream);
        }
        let [Some(replication), Some(bulk)] = opened else { unreachable!("both were opened") };
        Ok((replication, bulk))
    }

    /// The longest payload that another node may send.
    fn payload_bytes_max(&self) -> u32 {
        let segment_bytes = match &*self.group.borrow() {
            Some(Ok(founding)) => founding.segment_bytes,
            Some(Err(_)) | None => unreachable!("only members have links"),
        };
        // No entry is longer than a segment, whatever limits its leader has.
        entries_payload_bytes_max(self.settings.message_bytes_target, segment_bytes)
    }

    /// Tells the other node why they don't belong together, and parts.
    async fn refuse(
        &self,
        connection: &Connection,
        mut control: Stream,
        peer: Name,
        refusal: &Refusal,
    ) {
        let text = refusal.to_string();
        if self.complain(peer.as_str(), &text) {
            self.logger.warn("refused", &text, &[("node", &peer)]);
        }
        let message = text[..text.floor_char_boundary(MESSAGE_BYTES_MAX)].to_owned();
        if control.say(&PeerMessage::Refused { message }).await.is_ok()
            && control.send.finish().is_ok()
        {
            // Who is gone has no need of it.
            let _delivered = timeout(FAREWELL_PATIENCE, control.send.stopped()).await;
        }
        connection.close(CLOSE_REFUSED, text.as_bytes());
    }

    fn hear_refusal(&self, peer: Name, message: &str) {
        let message: String =
            message.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
        let text = format!("{peer} refuses this node: {message}");
        if self.complain(peer.as_str(), &text) {
            self.logger.warn("refused-by-peer", &text, &[("node", &peer)]);
        }
    }

    /// Ends a connection that both sides know to be of no more use; the dialling side closes.
    async fn part(&self, connection: &Connection, dialled: bool) {
        if !dialled {
            let _closed = timeout(FAREWELL_PATIENCE, connection.closed()).await;
        }
        connection.close(CLOSE_YOU_DIAL, b"the node whose name sorts first dials");
    }

    /// A connection is lost that was not a link yet.
    fn lose_early(&self, connection: &Connection, peer: Name, lost: &Lost) {
        match closed_by_peer(connection) {
            Some(CLOSE_YOU_DIAL | CLOSE_AGAIN | CLOSE_SECOND) => {
                let sentence = "another connection takes the place of this one";
                self.logger.debug("second-connection", sentence, &[("node", &peer)]);
            }
            _ => self.lose(connection, peer, lost),
        }
    }

    /// A connection is lost, or to be given up.
    fn lose(&self, connection: &Connection, peer: Name, lost: &Lost) {
        let fields: Fields<'_> = &[("node", &peer), ("reason", lost)];
        match lost {
            Lost::Malformed(_) => {
                connection.close(CLOSE_MALFORMED, lost.to_string().as_bytes());
                self.logger.warn("bad-peer", "a node has sent what makes no sense", fields);
            }
            Lost::Receive(_) | Lost::Send(_) | Lost::Connection(_) | Lost::Finished => {
                connection.close(CLOSE_LANE, b"a lane has ended");
                self.logger.info("link-lost", "a node is not linked any more", fields);
            }
            Lost::Silent => {
                connection.close(CLOSE_SILENT, b"nothing was said");
                self.logger.info("link-lost", "a node is not linked any more", fields);
            }
        }
    }
}

/// The code with which the other side has closed a connection, if it has.
fn closed_by_peer(connection: &Connection) -> Option<VarInt> {
    match connection.close_reason() {
        Some(quinn::ConnectionError::ApplicationClosed(closed)) => Some(closed.error_code),
        _ => None,
    }
}

/// Whether it may stand in a log line.
fn is_text(address: &str) -> bool {
    !address.is_empty() && address.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Hears what a stream is for.
async fn hear_lane(stream: &mut Stream, lane: Lane) -> Result<(), Lost> {
    let frame = stream.hear().await?;
    match PeerMessage::decode(&frame)? {
        PeerMessage::LaneHello { lane: said } if said == lane => Ok(()),
        _ => Err(WireError::UnexpectedKind { kind: frame.kind() }.into()),
    }
}
