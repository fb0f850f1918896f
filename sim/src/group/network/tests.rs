use quorate_core::id::GroupId;
use quorate_core::message::Message;
use quorate_core::time::Instant;
use quorate_net::frame::FrameReader;
use quorate_net::wire::peer::{self, PeerMessage};

use super::*;

const QUALITY: Quality = Quality {
    mood: Mood::Streams,
    latency: 100 * MICROS,
    jitter: 400 * MICROS,
    lost: 5,
    doubled: 0,
    reordered: 0,
    replayed: 0,
    idle_timeout: 100 * MILLIS,
};

/// A network of two, and what its nodes hear.
struct World {
    network: Network,
    queue: Queue,
    coverage: Coverage,
    now: Nanos,
    heard: Vec<Heard>,
    frames: Vec<u8>,
}

impl World {
    fn new(quality: Quality) -> Self {
        let mut world = Self {
            network: Network::new(2, (quality.mood, quality.idle_timeout), quality.routes(2, 1), 1),
            queue: Queue::default(),
            coverage: Coverage::default(),
            now: 0,
            heard: Vec::new(),
            frames: Vec::new(),
        };
        for node in 0..2 {
            world.network.start(0, node, &mut world.queue);
        }
        world.pass(50 * MILLIS);
        world
    }

    fn send(&mut self, number: u8) {
        let packet = packet(number);
        let Self { network, queue, coverage, now, .. } = self;
        network.send(*now, (0, 1), (0, 0), packet, queue, coverage);
    }

    fn pass(&mut self, nanos: Nanos) {
        let until = self.now + nanos;
        while self.queue.next_at().is_some_and(|at| at <= until) {
            let (at, event) = self.queue.pop().unwrap();
            self.now = at;
            match event {
                Event::Link(event) => {
                    let heard = self.network.happen(at, event, &mut self.queue);
                    self.heard.extend(heard);
                }
                Event::Frame(delivery) => {
                    let arrived = self.network.arrive(*delivery);
                    self.frames.extend(arrived.map(|it| number_of(&it.packet)));
                }
                _ => unreachable!("the network makes no other events"),
            }
        }
        self.now = until;
    }

    fn take(&mut self) -> (Vec<Heard>, Vec<u8>) {
        (std::mem::take(&mut self.heard), std::mem::take(&mut self.frames))
    }
}

fn packet(number: u8) -> Packet {
    let sent = Instant::from_nanos(number.into());
    let mut reader = FrameReader::new(0);
    let mut bytes = Vec::new();
    peer::encode_message(&mut bytes, GroupId::from_wire(1), &Message::Ping { sent });
    reader.buffer().extend_from_slice(&bytes);
    let frame = reader.next_frame().unwrap().unwrap();
    Packet { frame, bytes: bytes.len() }
}

fn number_of(packet: &Packet) -> u8 {
    match PeerMessage::decode(&packet.frame) {
        Ok(PeerMessage::Consensus { message: Message::Ping { sent }, .. }) => sent.nanos() as u8,
        other => panic!("{other:?}"),
    }
}

const BOTH_UP: [Heard; 2] = [Heard::Up { node: 0, peer: 1 }, Heard::Up { node: 1, peer: 0 }];

#[test]
fn streams_keep_order_and_lose_nothing() {
    let mut world = World::new(QUALITY);
    assert_eq!(world.take().0, BOTH_UP);
    (0..200).for_each(|number| world.send(number));
    world.pass(1_000 * MILLIS);
    assert_eq!(world.take(), (vec![], (0..200).collect()));
}

#[test]
fn a_short_cut_delays_and_a_long_one_ends_the_connection() {
    let mut world = World::new(QUALITY);
    world.take();
    world.network.cut(world.now, (0, 1), &mut world.queue);
    world.send(1);
    world.pass(50 * MILLIS);
    world.network.mend(world.now, (0, 1), &mut world.queue);
    world.pass(60 * MILLIS);
    assert_eq!(world.take(), (vec![], vec![1]));
    world.network.cut(world.now, (0, 1), &mut world.queue);
    world.send(2);
    world.pass(300 * MILLIS);
    let (heard, frames) = world.take();
    assert!(heard.contains(&Heard::Down { node: 0, peer: 1 }), "{heard:?}");
    assert!(heard.contains(&Heard::Down { node: 1, peer: 0 }), "{heard:?}");
    assert_eq!(frames, [0_u8; 0]);
    world.network.mend(world.now, (0, 1), &mut world.queue);
    world.pass(100 * MILLIS);
    world.send(3);
    world.pass(100 * MILLIS);
    assert_eq!(world.take(), (BOTH_UP.to_vec(), vec![3]));
}

#[test]
fn a_process_that_ends_takes_its_connections_along() {
    let mut world = World::new(QUALITY);
    world.take();
    world.network.stop(world.now, 1, &mut world.queue);
    world.pass(200 * MILLIS);
    assert_eq!(world.take().0, [Heard::Down { node: 0, peer: 1 }]);
    world.network.start(world.now, 1, &mut world.queue);
    world.pass(50 * MILLIS);
    assert_eq!(world.take().0, BOTH_UP);
}

#[test]
fn packets_do_whatever_they_like() {
    let quality =
        Quality { mood: Mood::Packets, lost: 5, doubled: 5, reordered: 5, replayed: 5, ..QUALITY };
    let mut world = World::new(quality);
    (0..200).for_each(|number| world.send(number));
    world.pass(1_000 * MILLIS);
    let (_, frames) = world.take();
    assert!(!frames.is_sorted(), "some come late");
    let count = |number| frames.iter().filter(|frame| **frame == number).count();
    let counts: Vec<usize> = (0..200).map(count).collect();
    assert!(counts.contains(&0) && counts.contains(&2), "some are lost, some come twice");
}
