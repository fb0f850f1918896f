//! What nodes have said to each other and not heard yet, for the record: the frames themselves are
//! within QUIC's datagrams, where nobody can follow them.

use std::collections::{BTreeMap, VecDeque};

use quorate_core::message::Message;

use crate::group::schedule::{MILLIS, Nanos};
use crate::group::telling::{kind_of, words};
use crate::record::Recorder;

/// What was not heard for so long is lost with its connection.
const LOST_AFTER: Nanos = 7_000 * MILLIS;

/// A message under way.
struct Said {
    message: Message,
    number: u64,
    at: Nanos,
}

/// All messages under way.
pub(super) struct Talk(BTreeMap<(usize, usize), VecDeque<Said>>);

impl Talk {
    pub(super) fn new(nodes: usize) -> Self {
        let pairs = (0..nodes).flat_map(|from| (0..nodes).map(move |to| (from, to)));
        Self(pairs.map(|pair| (pair, VecDeque::new())).collect())
    }

    /// A node sends something.
    pub(super) fn says(
        &mut self,
        record: &mut Recorder,
        at: Nanos,
        pair: (usize, usize),
        message: Message,
    ) {
        let number = record.send(at, pair, kind_of(&message), None, || words(&message));
        let said = self.0.get_mut(&pair).expect("all pairs are there");
        while said.front().is_some_and(|first| first.at + LOST_AFTER < at) {
            let lost = said.pop_front().expect("it was looked at");
            record.lose(at, pair.1, lost.number, "loss");
        }
        said.push_back(Said { message, number, at });
    }

    /// A node hears something; gives when it was said.
    pub(super) fn hears(
        &mut self,
        record: &mut Recorder,
        at: Nanos,
        pair: (usize, usize),
        message: &Message,
    ) -> Option<Nanos> {
        let said = self.0.get_mut(&pair)?;
        let place = said.iter().position(|said| said.message == *message)?;
        let heard = said.remove(place)?;
        record.receive(at, pair.1, heard.number);
        Some(heard.at)
    }

    /// A process has ended: nobody will hear what was under way.
    pub(super) fn ends(&mut self, record: &mut Recorder, at: Nanos, node: usize) {
        for ((_, to), said) in self.0.iter_mut().filter(|((a, b), _)| *a == node || *b == node) {
            for lost in said.drain(..) {
                record.lose(at, *to, lost.number, "crash");
            }
        }
    }
}
