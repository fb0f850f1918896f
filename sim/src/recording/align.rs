//! Which message is which, and what time it was everywhere.
//!
//! Messages carry no number, so a receipt is found again among the sendings by what it says; of
//! several that say the same the first is taken. Clocks of different machines differ: no message is
//! received before it was sent, and each life is moved as far as that demands.

use std::collections::{HashMap, VecDeque};

use quorate_core::id::{LogIndex, NodeId};
use quorate_core::message::{Message, Tip};

use super::story::{Life, Told};

/// An event, by its life and its place in it.
pub type Place = (usize, usize);

/// A sending that nobody has received for so long is lost.
const LOST_NANOS: i64 = 10_000_000_000;

/// What a message is recognised by. Entries that are read from the log leave the core without their
/// beginning.
fn recognised(message: &Message) -> Message {
    match *message {
        Message::Append { epoch, session, last, .. } => {
            let (previous, committed) = (Tip::default(), LogIndex::ZERO);
            Message::Append { epoch, session, previous, last, committed }
        }
        other => other,
    }
}

/// The sending of each receipt that has one.
#[must_use]
pub fn matches(lives: &[Life]) -> HashMap<Place, Place> {
    let mut sent: HashMap<(NodeId, NodeId, Message), VecDeque<Place>> = HashMap::new();
    let mut receipts: Vec<(i64, Place, NodeId, NodeId, Message)> = Vec::new();
    for (number, life) in lives.iter().enumerate() {
        let own = life.origin.node;
        for (event, (_, told)) in life.events.iter().enumerate() {
            match told {
                Told::Send { to, message, .. } => {
                    let key = (own, *to, recognised(message));
                    sent.entry(key).or_default().push_back((number, event));
                }
                Told::Receive { from, message } => {
                    let time = life.time(event);
                    receipts.push((time, (number, event), *from, own, recognised(message)));
                }
                _ => {}
            }
        }
    }
    receipts.sort_by_key(|(time, place, ..)| (*time, *place));
    let mut found = HashMap::new();
    for (time, place, from, to, message) in receipts {
        let Some(queue) = sent.get_mut(&(from, to, message)) else { continue };
        while let Some((life, event)) = queue.pop_front() {
            if lives[life].time(event) >= time - LOST_NANOS {
                found.insert(place, (life, event));
                break;
            }
        }
    }
    found
}

/// How far each life has to be moved, in nanoseconds, so that nothing is received before it is sent.
/// Where a turn's clock was read so early that no move will do, a little is left over.
#[must_use]
pub fn shifts(lives: &[Life], matches: &HashMap<Place, Place>) -> Vec<i64> {
    let mut least: HashMap<(usize, usize), i64> = HashMap::new();
    for (receipt, sending) in matches {
        let transit = lives[receipt.0].time(receipt.1) - lives[sending.0].time(sending.1);
        let least = least.entry((sending.0, receipt.0)).or_insert(transit);
        *least = (*least).min(transit);
    }
    let mut shifts = vec![0_i64; lives.len()];
    // The longest ways in a graph without circles are found in as many rounds as it has nodes.
    for _ in 0..lives.len() {
        for ((from, to), transit) in &least {
            shifts[*to] = shifts[*to].max(shifts[*from] - transit);
        }
    }
    shifts
}

#[cfg(test)]
mod tests {
    use quorate_core::id::{Epoch, Round};
    use quorate_core::log::entry::LogId;
    use quorate_node::recorder::segment::Origin;

    use super::*;

    fn life(node: u64, wall_base_nanos: i64, events: Vec<(u64, Told)>) -> Life {
        let node = NodeId::from_wire(node);
        let origin = Origin {
            version: "".into(),
            run: [node.get() as u8; 16],
            node,
            log: LogId::default(),
            members: Vec::new(),
        };
        Life { origin, wall_base_nanos, events }
    }

    fn heartbeat(round: u64) -> Message {
        let (epoch, round) = (Epoch::from_wire(1), Round::from_wire(round));
        Message::Heartbeat { epoch, round, committed: LogIndex::ZERO }
    }

    fn send(to: u64, round: u64) -> Told {
        let (to, message) = (NodeId::from_wire(to), heartbeat(round));
        Told::Send { to, message, from_log: false }
    }

    fn receive(from: u64, round: u64) -> Told {
        Told::Receive { from: NodeId::from_wire(from), message: heartbeat(round) }
    }

    #[test]
    fn a_clock_that_is_behind_is_moved_until_no_effect_is_before_its_cause() {
        // The second node's clock is 500 behind; the way takes 10.
        let one = life(1, 0, vec![(1000, send(2, 1)), (1100, send(2, 2)), (1120, receive(2, 7))]);
        let two = life(2, -500, vec![(1010, receive(1, 1)), (1110, send(1, 7))]);
        let lives = [one, two];
        let matches = matches(&lives);
        assert_eq!(matches.get(&(1, 0)), Some(&(0, 0)));
        assert_eq!(matches.get(&(0, 2)), Some(&(1, 1)));
        assert_eq!(matches.len(), 2, "the second was lost");
        assert_eq!(shifts(&lives, &matches), [0, 490]);
    }

    #[test]
    fn what_says_the_same_is_taken_in_its_order() {
        let one = life(1, 0, vec![(1, send(2, 1)), (2, send(2, 1))]);
        let two = life(2, 0, vec![(5, receive(1, 1)), (6, receive(1, 1)), (7, receive(1, 1))]);
        let matches = matches(&[one, two]);
        assert_eq!(matches.get(&(1, 0)), Some(&(0, 0)));
        assert_eq!(matches.get(&(1, 1)), Some(&(0, 1)));
        assert_eq!(matches.get(&(1, 2)), None);
    }
}
