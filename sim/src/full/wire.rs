//! What becomes of each datagram between two machines, and the account of all of them.
//!
//! It belongs to the thread: a socket must be such that threads could share it, and so can't hold
//! what they could not. All that a world sends and receives is in one hash, which two runs of one
//! seed must have in common.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use quorate_net::clock::Instant;
use quorate_storage::disk::simulated::Random;

use crate::group::schedule::{MILLIS, Nanos};

/// What waits longer than this for its turn on a narrow link is lost.
const QUEUE_NANOS_MAX: Nanos = 100 * MILLIS;
/// How late a datagram is that others overtake.
const LATE_NANOS_MAX: Nanos = 20 * MILLIS;

/// How good the way from one machine to another is. Shares are parts of a billion.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Quality {
    pub(super) loss: u32,
    pub(super) duplicate: u32,
    pub(super) reorder: u32,
    pub(super) corrupt: u32,
    /// An old datagram comes again.
    pub(super) replay: u32,
    /// Bits a second; zero for as many as one likes.
    pub(super) bandwidth: u64,
    /// At most so much later than the others, in any order that does not overtake.
    pub(super) jitter: Nanos,
    /// Later by so much.
    pub(super) delay: Nanos,
}

/// What is sent of a datagram.
pub(super) struct Copy {
    pub(super) late: Duration,
    pub(super) damaged: Option<Vec<u8>>,
}

/// How many datagrams met which fate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) sent: u64,
    pub(super) bytes: u64,
    pub(super) received: u64,
    pub(super) lost: u64,
    pub(super) doubled: u64,
    pub(super) late: u64,
    pub(super) damaged: u64,
}

/// The way from one machine to another.
#[derive(Default)]
struct Way {
    quality: Quality,
    /// When the last datagram will have been sent.
    busy_until: Nanos,
    /// No datagram is sent before this one.
    last_sent: Nanos,
    /// One of the past.
    old: Option<Vec<u8>>,
}

/// All ways of a world.
pub(super) struct Wire {
    random: Random,
    began: Instant,
    machines: BTreeMap<IpAddr, usize>,
    ways: BTreeMap<(usize, usize), Way>,
    hash: u64,
    counts: Counts,
}

thread_local! {
    static WIRE: RefCell<Option<Wire>> = const { RefCell::new(None) };
}

/// The thread's network, while it lives.
pub(super) struct Laid;

impl Drop for Laid {
    fn drop(&mut self) {
        WIRE.set(None);
    }
}

/// Lays the wires between these machines.
pub(super) fn lay(seed: u64, machines: &[IpAddr]) -> Laid {
    WIRE.set(Some(Wire {
        random: Random::stream(seed, "datagrams"),
        began: Instant::now(),
        machines: machines.iter().copied().zip(0..).collect(),
        ways: BTreeMap::new(),
        hash: 0xcbf2_9ce4_8422_2325,
        counts: Counts::default(),
    }));
    Laid
}

/// The way from one machine to another is like this from now on.
pub(super) fn set_quality(from: usize, to: usize, quality: Quality) {
    with(|wire| wire.ways.entry((from, to)).or_default().quality = quality);
}

/// What all that went over the wires hashes to.
pub(super) fn hash() -> u64 {
    with(|wire| wire.hash)
}

/// What became of the datagrams.
pub(super) fn counts() -> Counts {
    with(|wire| wire.counts)
}

/// Takes something else into the account of what happened.
pub(super) fn note(bytes: &[u8]) {
    with(|wire| {
        let now = wire.now();
        wire.mix(b'n', now, (0, 0), bytes);
    });
}

/// A datagram is sent: these copies of it are to go out.
pub(super) fn send(from: SocketAddr, to: SocketAddr, bytes: &[u8]) -> Vec<Copy> {
    with(|wire| wire.send(from, to, bytes))
}

/// A datagram has come.
pub(super) fn received(from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
    with(|wire| {
        let now = wire.now();
        wire.counts.received += 1;
        wire.mix(b'r', now, (wire.machine(from), wire.machine(to)), bytes);
    });
}

fn with<T>(act: impl FnOnce(&mut Wire) -> T) -> T {
    WIRE.with_borrow_mut(|wire| act(wire.as_mut().expect("the world has a network")))
}

impl Wire {
    fn now(&self) -> Nanos {
        u64::try_from(self.began.elapsed().as_nanos()).expect("a run is short")
    }

    fn machine(&self, address: SocketAddr) -> usize {
        self.machines.get(&address.ip()).copied().unwrap_or(usize::MAX)
    }

    fn send(&mut self, from: SocketAddr, to: SocketAddr, bytes: &[u8]) -> Vec<Copy> {
        let (now, ends) = (self.now(), (self.machine(from), self.machine(to)));
        self.counts.sent += 1;
        self.counts.bytes += bytes.len() as u64;
        self.mix(b's', now, ends, bytes);
        let way = self.ways.entry(ends).or_default();
        let Quality { bandwidth, jitter, delay, .. } = way.quality;
        if way.quality == Quality::default() {
            return vec![Copy { late: Duration::ZERO, damaged: None }];
        }
        let mut struck = |share: u32| share > 0 && self.random.below(1_000_000_000) < share.into();
        let mut at = now + delay;
        if bandwidth > 0 {
            let takes = u128::from(bytes.len() as u64) * 8_000_000_000 / u128::from(bandwidth);
            way.busy_until = way.busy_until.max(now) + u64::try_from(takes).unwrap_or(u64::MAX / 2);
            at += way.busy_until - now;
        }
        if struck(way.quality.loss) || at > now + delay + QUEUE_NANOS_MAX {
            self.counts.lost += 1;
            return Vec::new();
        }
        if struck(way.quality.reorder) {
            self.counts.late += 1;
            at += self.random.below(LATE_NANOS_MAX);
        } else {
            at += if jitter > 0 { self.random.below(jitter) } else { 0 };
            at = at.max(way.last_sent);
            way.last_sent = at;
        }
        let mut struck = |share: u32| share > 0 && self.random.below(1_000_000_000) < share.into();
        let (corrupt, duplicate) = (struck(way.quality.corrupt), struck(way.quality.duplicate));
        let replay = struck(way.quality.replay);
        let mut copies = vec![Copy { late: Duration::from_nanos(at - now), damaged: None }];
        if corrupt {
            self.counts.damaged += 1;
            let mut damaged = bytes.to_vec();
            let bit = self.random.index(damaged.len() * 8);
            damaged[bit / 8] ^= 1 << (bit % 8);
            copies[0].damaged = Some(damaged);
        }
        if duplicate {
            self.counts.doubled += 1;
            let late = at - now + self.random.below(LATE_NANOS_MAX);
            copies.push(Copy { late: Duration::from_nanos(late), damaged: None });
        }
        if way.quality.replay > 0 {
            if replay && let Some(old) = way.old.take() {
                copies.push(Copy { late: Duration::from_nanos(at - now), damaged: Some(old) });
            }
            if way.old.is_none() || self.random.one_in(100) {
                way.old = Some(bytes.to_vec());
            }
        }
        copies
    }

    /// Takes a datagram into the hash.
    fn mix(&mut self, what: u8, at: Nanos, (from, to): (usize, usize), bytes: &[u8]) {
        let mut hash = self.hash;
        let mut take = |number: u64| {
            hash = (hash ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
        };
        take(u64::from(what) | (from as u64) << 8 | (to as u64) << 32);
        take(at);
        take(bytes.len() as u64);
        for piece in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..piece.len()].copy_from_slice(piece);
            take(u64::from_le_bytes(word));
        }
        self.hash = hash;
    }
}
